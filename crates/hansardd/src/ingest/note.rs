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
    /// A session is not taken. An alarm, unless `kind` is `Refused` and it is nobody's fault.
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
        /// Whose fault it is.
        cause: Cause,
    },
}

/// Whose fault it is that a session is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Nobody's.
    Nobody,
    /// Its sender's: it is not sound, or not this host's. An administrator has to know.
    Foreign,
    /// Nobody knows: how the session began is lost. An administrator has to know.
    Lost,
}

/// Makes events of what happened. `note` MUST NOT block for long; it may be called from any thread,
/// and outside of a runtime's.
pub trait Witness: Send + Sync {
    /// Something happened.
    fn note(&self, note: Note);
}
