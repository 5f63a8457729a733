//! Rows: of the catalog, and what it does not list yet. What was durable when the question came is in
//! the answer, once the keeper has read it, which is waited for.

use std::sync::Arc;

use hansard_core::SessionId;
use hansard_store::catalog::{CountWish, EventCounts, EventRow, HostSessions, Page, SessionRow};
use hansard_store::{Catalog, Query};

use crate::api::problem::Trouble;
use crate::api::seams::{Behind, Listings};
use crate::live::{Live, READ_WITHIN, listing};
use crate::tee::Source;

/// Listings of a service.
pub struct Listed {
    /// What is archived and projected.
    pub catalog: Arc<dyn Catalog>,
    /// What is not yet.
    pub live: Live,
    /// Whether a host is connected, by its identifier.
    pub connected: Arc<dyn Fn(&str) -> bool + Send + Sync>,
}

impl Listings for Listed {
    fn sessions(&self, query: &Query) -> Result<Page<SessionRow>, Trouble> {
        let _ = self.live.is_read(READ_WITHIN);
        Ok(listing::sessions(&*self.catalog, &self.live, query)?.page)
    }

    fn events(&self, query: &Query) -> Result<Page<EventRow>, Trouble> {
        let _ = self.live.is_read(READ_WITHIN);
        Ok(listing::events(&*self.catalog, &self.live, query)?.page)
    }

    fn hosts(&self, after: Option<&str>, most: usize) -> Result<Vec<HostSessions>, Trouble> {
        Listings::hosts(&*self.catalog, after, most)
    }

    fn count_events(&self, wish: &CountWish) -> Result<EventCounts, Trouble> {
        Listings::count_events(&*self.catalog, wish)
    }

    fn behind(&self) -> Result<Behind, Trouble> {
        let mut behind = Listings::behind(&*self.catalog)?;
        // Events beyond what the live rows hold are listed only once they are projected.
        let first = Query {
            limit: 1,
            ..Query::default()
        };
        behind.more |= !self.live.events(&first).1;
        // Neither are those that the keeper did not come to in time.
        behind.more |= !self.live.is_read(READ_WITHIN);
        Ok(behind)
    }

    fn no_end(&self, row: &SessionRow) -> Option<String> {
        if row.end.is_some() {
            return None;
        }
        let why = match self.live.source(row.session) {
            // What a daemon that died left open here got its end when this one started.
            Some(Source::Local) => return None,
            Some(Source::Host(host)) if (self.connected)(&host) => return None,
            Some(Source::Host(_)) => "its host is not connected",
            None => "its recorder is gone, or silent since this service started",
        };
        Some(why.to_owned())
    }

    fn deleted(&self, session: SessionId) -> Result<Option<String>, Trouble> {
        Listings::deleted(&*self.catalog, session)
    }
}
