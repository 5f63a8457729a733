//! Rows: of the catalog, and what it does not list yet.

use std::sync::Arc;

use hansard_core::SessionId;
use hansard_store::catalog::{EventRow, Page, SessionRow};
use hansard_store::{Catalog, Query};

use crate::api::problem::Trouble;
use crate::api::seams::{Behind, Listings};
use crate::live::{Live, listing};

/// Listings of a service.
pub struct Listed {
    /// What is archived and projected.
    pub catalog: Arc<dyn Catalog>,
    /// What is not yet.
    pub live: Live,
}

impl Listings for Listed {
    fn sessions(&self, query: &Query) -> Result<Page<SessionRow>, Trouble> {
        Ok(listing::sessions(&*self.catalog, &self.live, query)?.page)
    }

    fn events(&self, query: &Query) -> Result<Page<EventRow>, Trouble> {
        Ok(listing::events(&*self.catalog, &self.live, query)?.page)
    }

    fn behind(&self) -> Result<Behind, Trouble> {
        let mut behind = Listings::behind(&*self.catalog)?;
        // Events beyond what the live rows hold are listed only once they are projected.
        let first = Query {
            limit: 1,
            ..Query::default()
        };
        behind.more |= !self.live.events(&first).1;
        Ok(behind)
    }
    fn deleted(&self, session: SessionId) -> Result<Option<String>, Trouble> {
        Listings::deleted(&*self.catalog, session)
    }
}
