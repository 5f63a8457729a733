//! Legal holds, in the catalog.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hansard_core::SessionId;
use hansard_store::Catalog;

use crate::api::problem::Trouble;
use crate::api::seams::Holds;
use crate::follow::Followed;

/// Holds of a service.
pub struct Held {
    /// Where they are.
    pub catalog: Arc<dyn Catalog>,
    /// Where the sessions are.
    pub from: Followed,
    /// Whether a catalog that was built anew does not know all holds yet. Until it does, none is
    /// changed: what is recalled could undo it.
    pub recalling: Arc<AtomicBool>,
}

impl Holds for Held {
    fn check(&self, session: SessionId) -> Result<bool, Trouble> {
        Ok(self.is_held(session)?.is_some())
    }

    fn hold(&self, session: SessionId, held: bool) -> Result<bool, Trouble> {
        let Some(is_held) = self.is_held(session)? else {
            return Ok(false);
        };
        if is_held != held {
            self.catalog.hold(session, held)?;
        }
        Ok(true)
    }

    fn list(&self, after: Option<SessionId>, most: usize) -> Result<Vec<SessionId>, Trouble> {
        Ok(self.catalog.holds(after, most)?)
    }
}

impl Held {
    /// Whether a session is held, if there is such a one and that can be changed now.
    fn is_held(&self, session: SessionId) -> Result<Option<bool>, Trouble> {
        if self.recalling.load(Ordering::Acquire) {
            let why = "the catalog was built anew, and holds are still being recalled; if that lasts, an alarm `recall` says why";
            return Err(Trouble::Busy(why.to_owned()));
        }
        // A hold can be on what is not known (any more); lifting it needs no recording.
        let is_held = self.catalog.held(&[session])?.first() == Some(&true);
        if !is_held && !super::recorded::knows(&self.from, session)? {
            return Ok(None);
        }
        Ok(Some(is_held))
    }
}
