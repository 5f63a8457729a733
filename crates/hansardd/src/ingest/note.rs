//! What happened at ingest that has to become an event.

use std::net::SocketAddr;

use hansard_core::SessionId;
use hansard_identity::Peer;
use hansard_record::forward::wire::ProblemKind;

/// Something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// A host is connected.
    Connected {
        /// Who.
        peer: Peer,
        /// From where.
        remote: SocketAddr,
        /// What it says that it runs.
        software: String,
    },
    /// A host is not connected any more.
    Gone {
        /// Who.
        peer: Peer,
        /// From where.
        remote: SocketAddr,
        /// Why.
        why: String,
    },
    /// Somebody was turned away: a bad certificate, or one that is locked out.
    TurnedAway {
        /// Who, as far as its certificate was good.
        peer: Option<Peer>,
        /// From where.
        remote: SocketAddr,
        /// Why.
        why: String,
        /// How many more there were that were not told of, to keep this bounded.
        untold: u64,
    },
    /// A session is not taken. An alarm, unless `kind` is `Refused` and `is_alarm` is not set.
    NotTaken {
        /// Who sent it.
        peer: Peer,
        /// From where.
        remote: SocketAddr,
        /// The session.
        session: SessionId,
        /// Conflict or refused.
        kind: ProblemKind,
        /// Why.
        why: String,
        /// Whether an administrator has to know.
        is_alarm: bool,
    },
}

/// Makes events of what happened. `note` MUST NOT block for long; it may be called from any thread,
/// and outside of a runtime's.
pub trait Witness: Send + Sync {
    /// Something happened.
    fn note(&self, note: Note);
}
