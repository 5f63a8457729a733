//! A catalog alone as the listings that the API stands on.

use hansard_core::SessionId;
use hansard_store::catalog::{CountWish, EventCounts, EventRow, HostSessions, Page, SessionRow};
use hansard_store::retention::epitaph;
use hansard_store::{Catalog, Query};

use super::super::limits::BEHIND_MAX;
use super::super::problem::Trouble;
use super::super::time;
use super::{Behind, Listings};

impl<C: Catalog + ?Sized> Listings for C {
    fn sessions(&self, query: &Query) -> Result<Page<SessionRow>, Trouble> {
        Ok(Catalog::sessions(self, query)?)
    }

    fn events(&self, query: &Query) -> Result<Page<EventRow>, Trouble> {
        Ok(Catalog::events(self, query)?)
    }

    fn hosts(&self, after: Option<&str>, most: usize) -> Result<Vec<HostSessions>, Trouble> {
        Ok(Catalog::hosts(self, after, most)?)
    }

    fn count_events(&self, wish: &CountWish) -> Result<EventCounts, Trouble> {
        Ok(Catalog::count_events(self, wish)?)
    }

    fn behind(&self) -> Result<Behind, Trouble> {
        let waiting = self.unprojected(BEHIND_MAX)?.len();
        Ok(Behind {
            segments: waiting as u64,
            more: waiting >= BEHIND_MAX,
        })
    }

    fn deleted(&self, session: SessionId) -> Result<Option<String>, Trouble> {
        let tombstones = self.tombstones(&[session])?;
        let tombstone = tombstones.into_iter().next().flatten();
        Ok(tombstone.map(|tombstone| {
            let words = epitaph(session, &tombstone);
            let at = time::text(tombstone.burial.utc_ns);
            format!("{words}, on {at}")
        }))
    }

    fn no_end(&self, _: &SessionRow) -> Option<String> {
        // Who records is nothing that rows say.
        None
    }
}
