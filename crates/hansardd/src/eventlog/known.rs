//! Whoever knows how far a session is archived: asked for sessions that the log does not remember.

use std::io;
use std::sync::Arc;

use hansard_core::SessionId;
use hansard_store::Catalog;
use hansard_store::catalog::Query;
use hansard_view::document::{Counted, Place};

/// Where recordings come from, as far as they do not say it themselves: nothing. Then log, rows and
/// everything that is built anew later say the same, byte for byte.
#[must_use]
pub fn place() -> Place {
    Place::default()
}

/// Knows how far sessions are archived. What is archived was in the log before.
pub trait Known: Send {
    /// Number of the first event that is not archived, and what was counted before it. `None` for a
    /// session of which nothing is.
    ///
    /// # Errors
    /// Not now: ask again later.
    fn known(&self, session: SessionId) -> io::Result<Option<(u64, Counted)>>;
}

/// Nobody knows anything: for a log without an archive.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nothing;

impl Known for Nothing {
    fn known(&self, _session: SessionId) -> io::Result<Option<(u64, Counted)>> {
        Ok(None)
    }
}

/// The catalog of an archive.
pub struct Archived(pub Arc<dyn Catalog>);

impl Known for Archived {
    fn known(&self, session: SessionId) -> io::Result<Option<(u64, Counted)>> {
        let heads = self.0.heads(&[session]).map_err(io::Error::other)?;
        let Some(head) = heads.into_iter().next().flatten() else {
            return Ok(None);
        };
        let query = Query {
            session: Some(session),
            limit: 1,
            ..Query::default()
        };
        let page = self.0.sessions(&query).map_err(io::Error::other)?;
        let row = page.rows.into_iter().next();
        // Rows may lag behind the head; what was counted is then a little less at the end.
        let counted = row.map(|row| row.counted).unwrap_or_default();
        Ok(Some((head.next_seq, counted)))
    }
}
