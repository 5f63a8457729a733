//! Whose a session is: the question that ingest asks before it takes a part.

use std::sync::Arc;

use hansard_core::{SessionId, SinkError};
use hansard_record::Spool;
use hansard_store::Catalog;

use super::work::opening;
use crate::live::Live;
use crate::tee::header_of;

/// Answers which key must have signed a session.
#[derive(Clone)]
pub struct Owners {
    live: Live,
    spool: Spool,
    catalog: Arc<dyn Catalog>,
}

impl Owners {
    /// Asks these, in this order: what is live, the archive's catalog, the spool.
    #[must_use]
    pub fn new(live: Live, spool: Spool, catalog: Arc<dyn Catalog>) -> Self {
        Self {
            live,
            spool,
            catalog,
        }
    }

    /// The recorder's key that a session's header names, or with which its newest archived segment is
    /// signed, also if it was deleted. `None`: nothing of the session is known here, so only its first frame may be taken,
    /// and that says whose it is ([`header_of`]).
    ///
    /// # Errors
    /// `Retry` while the catalog does not answer: nobody may be refused for that.
    pub fn owner_key(&self, session: SessionId) -> Result<Option<[u8; 32]>, SinkError> {
        if let Some(key) = self.live.recorder_key(session) {
            return Ok(Some(key));
        }
        let retry = |e: hansard_store::CatalogError| SinkError::Retry(e.to_string());
        let heads = self.catalog.heads(&[session]).map_err(retry)?;
        if let Some(head) = heads.into_iter().next().flatten() {
            return Ok(Some(head.key));
        }
        // Who still has what was deleted here gets the receipt for it, and forgets it, too.
        let tombstones = self.catalog.tombstones(&[session]).map_err(retry)?;
        let tombstone = tombstones.into_iter().next().flatten();
        // One that was made again of an event of an earlier version does not say the key.
        if let Some(tombstone) = tombstone.filter(|tombstone| tombstone.key != [0; 32]) {
            return Ok(Some(tombstone.key));
        }
        let first = self.spool.pending_of(session, None, 1);
        let Some(first) = first.into_iter().find(|p| p.spot == opening(0)) else {
            return Ok(None);
        };
        let part = self.spool.read(&first);
        let part = part.map_err(|e| SinkError::Retry(format!("the spool: {e}")))?;
        Ok(header_of(&part).map(|header| header.recorder_key))
    }
}
