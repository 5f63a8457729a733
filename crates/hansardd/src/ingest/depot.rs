//! Where parts go, and what is in the archive already.

use hansard_core::seal::Digest;
use hansard_core::{SessionId, Sink};
use hansard_identity::Peer;
use hansard_record::order::Spot;

/// What ingest puts parts into. All of it is called on threads that may block.
///
/// - Sinks MUST be of class L at least.
/// - When a segment becomes class S, or is found to be in conflict, the implementation MUST say so
///   to [`super::Connections`]; a host forgets nothing before.
pub trait Depot: Send + Sync {
    /// A sink for what this host sends. Each connection has its own.
    fn sink(&self, peer: &Peer) -> Box<dyn Sink + Send>;

    /// The newest segment of a session in the archive. Parts up to there are not put again: they
    /// are compared by the digest of their seal.
    ///
    /// # Errors
    /// Why it cannot be known now.
    fn archived(&self, session: SessionId) -> Result<Option<u32>, String>;

    /// A host has nothing of a session before this part, the first of a segment, and segments before it
    /// are not archived. Is said before the part is put.
    fn begins_at(&self, session: SessionId, spot: Spot);

    /// Whether the archive has this segment with this digest (the one in its seal). MUST NOT say
    /// so of another one in its place.
    ///
    /// # Errors
    /// Why it cannot be known now.
    fn holds(&self, session: SessionId, segment: u32, digest: &Digest) -> Result<bool, String>;
}
