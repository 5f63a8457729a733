//! Recordings whose recorder is gone and whose session is not: somebody kept its terminal, and goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use hansard_core::SessionId;
use hansard_core::seal::SigningKey;
use hansard_core::writer::SegmentWriter;

use super::{Chain, last_segments, writer_after};
use crate::open_sessions::{Found, OpenSessions};
use crate::spool::Spool;

/// A recording that is gone on with: [`OpenSessions::record_on`]. Dropped instead, it is as it was,
/// and [`super::revive`] brings it to an end.
pub struct GoesOn {
    pub(crate) session: SessionId,
    pub(crate) writer: SegmentWriter,
    loss_bytes_max: Option<u64>,
    last_ns: u64,
}

impl GoesOn {
    /// Most bytes of data that a crash of its last recorder can have taken; `None`: nobody knows.
    #[must_use]
    pub fn loss_bytes_max(&self) -> Option<u64> {
        self.loss_bytes_max
    }

    /// When its last event happened, nanoseconds since the session's start.
    #[must_use]
    pub fn last_ns(&self) -> u64 {
        self.last_ns
    }
}

impl std::fmt::Debug for GoesOn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GoesOn")
            .field("session", &self.session)
            .field("last_ns", &self.last_ns)
            .finish_non_exhaustive()
    }
}

/// Those of these sessions whose recordings can be gone on with. Call it where [`super::revive`] is
/// called, before it, and leave them out there ([`super::revive_but`]). Nothing is written before
/// [`OpenSessions::record_on`]: a crash until then leaves them as they are.
///
/// # Errors
/// When the notes cannot be read.
pub fn going_on(
    spool: &Spool,
    key: &SigningKey,
    open: &OpenSessions,
    wanted: &BTreeSet<SessionId>,
) -> io::Result<BTreeMap<SessionId, GoesOn>> {
    if wanted.is_empty() {
        return Ok(BTreeMap::new());
    }
    let last = last_segments(spool, wanted);
    let mut all = BTreeMap::new();
    for (session, found) in open.found()? {
        let Found::Note(note) = found else { continue };
        if !wanted.contains(&session) {
            continue;
        }
        let of = (session, &note, last.get(&session).copied());
        // Whatever else it is, `revive` says.
        if let Ok(Chain::Goes(writer)) = writer_after(spool, key, of)
            && !writer.is_ended()
        {
            let goes_on = GoesOn {
                session,
                last_ns: writer.last_ns(),
                writer: *writer,
                loss_bytes_max: note.loss_bytes_max,
            };
            all.insert(session, goes_on);
        }
    }
    Ok(all)
}
