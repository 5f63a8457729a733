//! What is told of a recording that was closed.

use hansard_core::SessionId;
use hansard_record::{Lost, Summary};

use super::{Happening, Means};

impl Means {
    /// What became of a recording that was to be closed. The note of one that is goes with it.
    pub(crate) fn closed(
        &self,
        session: SessionId,
        reason: String,
        closed: Result<Summary, Lost>,
    ) -> Happening {
        match closed {
            Ok(_) => {
                // A note that stays is found finished by the next start.
                let _ = self.open.end(session);
                Happening::Ended { session, reason }
            }
            Err(lost) => Happening::Lost {
                session,
                why: lost.to_string(),
            },
        }
    }
}
