//! Segments → rows: sessions as they are listed, and their events as facts.
//!
//! A projection reads what is archived and nothing else, so nothing is listed before it is durable.
//! It may lag, and may be done again: events have one row each whatever happens, and a segment is
//! counted into its session once. A crash in the middle leaves rows of events whose segment still
//! waits; the next run puts the same rows again.

use std::collections::HashMap;
use std::sync::Arc;

use hansard_core::{Body, Event, SessionId};

use crate::archive::read::{Fetch, fetch};
use crate::archive::{ArchiveError, SegmentId};
use crate::blob::{BlobError, BlobStore};
use crate::catalog::{
    Catalog, CatalogError, EventRow, Quarantined, Query, SegmentRow, SegmentUpdate, StartFacts,
};
use crate::limits::{CATALOG_EVENTS_MAX, PROJECT_ROWS, PROJECT_SESSIONS_MAX};
use crate::segment::{Unfit, walk};

mod facts;

use facts::cut;
pub use facts::{end_facts, event_name, event_row, start_facts};

/// What one run did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Segments that were counted.
    pub segments: u64,
    /// Rows of events that were written; some may have been there.
    pub events: u64,
    /// Segments that could not be read, and are quarantined.
    pub quarantined: u64,
}

impl Progress {
    /// Whether nothing waited.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.segments == 0 && self.quarantined == 0
    }
}

/// Makes rows of segments. One for each catalog; two would do the same work twice.
pub struct Projector {
    blobs: Arc<dyn BlobStore>,
    catalog: Arc<dyn Catalog>,
    starts: HashMap<SessionId, StartFacts>,
    events: Vec<EventRow>,
    updates: Vec<SegmentUpdate>,
    progress: Progress,
    done: Vec<SegmentId>,
}

/// Why a segment's projection stopped.
enum Stop {
    /// The segment is not sound.
    Unfit(Unfit),
    /// The catalog failed.
    Catalog(CatalogError),
}

impl From<Unfit> for Stop {
    fn from(unfit: Unfit) -> Self {
        Self::Unfit(unfit)
    }
}

impl Projector {
    /// A projection of what is in these stores.
    #[must_use]
    pub fn new(blobs: Arc<dyn BlobStore>, catalog: Arc<dyn Catalog>) -> Self {
        Self {
            blobs,
            catalog,
            starts: HashMap::new(),
            events: Vec::new(),
            updates: Vec::new(),
            progress: Progress::default(),
            done: Vec::new(),
        }
    }

    /// The segments that the last run counted or put aside, also where that run failed: their rows
    /// are in the catalog.
    #[must_use]
    pub fn done(&self) -> &[SegmentId] {
        &self.done
    }

    /// Projects the next segments that wait, at most this many. One that cannot be read is put
    /// aside with the reason, and the others go on.
    ///
    /// # Errors
    /// `Retry` when a store fails; what was not finished still waits.
    pub fn run(&mut self, segments_max: usize) -> Result<Progress, ArchiveError> {
        self.progress = Progress::default();
        self.events.clear();
        self.updates.clear();
        self.done.clear();
        for row in self.catalog.unprojected(segments_max)? {
            self.segment(&row)?;
        }
        self.write()?;
        Ok(self.progress)
    }

    /// Projects until nothing waits.
    ///
    /// # Errors
    /// As [`Projector::run`].
    pub fn run_all(&mut self) -> Result<Progress, ArchiveError> {
        let mut total = Progress::default();
        loop {
            let progress = self.run(SEGMENTS_PER_RUN)?;
            if progress.is_idle() {
                return Ok(total);
            }
            total.segments += progress.segments;
            total.events += progress.events;
            total.quarantined += progress.quarantined;
        }
    }

    fn segment(&mut self, row: &SegmentRow) -> Result<(), ArchiveError> {
        let bytes = match fetch(&*self.blobs, row) {
            Ok(bytes) => bytes,
            Err(Fetch::Failed(BlobError::Retry(why))) => return Err(ArchiveError::Retry(why)),
            Err(Fetch::Failed(e)) => return self.quarantine(row, e.to_string()),
            Err(Fetch::Lost(why) | Fetch::Differs(_, why)) => return self.quarantine(row, why),
        };
        let start = self.start_of(row)?;
        match self.rows(row, &bytes, start) {
            Ok(update) => {
                self.updates.push(update);
                Ok(())
            }
            Err(Stop::Catalog(e)) => Err(e.into()),
            Err(Stop::Unfit(unfit)) => self.quarantine(row, unfit.to_string()),
        }
    }

    /// Makes the rows of a segment's events, and answers what it adds to its session.
    fn rows(
        &mut self,
        row: &SegmentRow,
        bytes: &[u8],
        mut start: StartFacts,
    ) -> Result<SegmentUpdate, Stop> {
        let mut update = SegmentUpdate {
            session: row.session,
            segment: row.number,
            start: None,
            last_ns: row.last_ns,
            end: None,
            events: 0,
            data_bytes: 0,
            stored_bytes: bytes.len() as u64,
            gaps: 0,
        };
        walk(bytes, |events| {
            for event in events {
                count(&mut update, &event);
                if let Body::Start(session) = &event.body {
                    start = start_facts(session);
                    update.start = Some(start.clone());
                }
                if !matches!(event.body, Body::Data { .. }) {
                    self.events.push(event_row(row.session, &event, &start));
                }
            }
            if self.events.len() >= PROJECT_ROWS {
                self.write_events().map_err(Stop::Catalog)?;
            }
            Ok::<(), Stop>(())
        })?;
        if update.start.is_some() && !row.is_final {
            self.remember(row.session, start);
        }
        Ok(update)
    }

    /// What the session's header says, which is in its first segment.
    fn start_of(&mut self, row: &SegmentRow) -> Result<StartFacts, ArchiveError> {
        let session = row.session;
        if let Some(start) = self.starts.get(&session) {
            return Ok(start.clone());
        }
        if row.number == 0 {
            // It is about to be read.
            return Ok(StartFacts::unknown(session));
        }
        let query = Query {
            session: Some(session),
            limit: 1,
            ..Query::default()
        };
        let found = self.catalog.sessions(&query)?.rows.into_iter().next();
        let start = found.map_or_else(|| StartFacts::unknown(session), |found| found.start);
        self.remember(session, start.clone());
        Ok(start)
    }

    fn remember(&mut self, session: SessionId, start: StartFacts) {
        if self.starts.len() >= PROJECT_SESSIONS_MAX {
            self.starts.clear();
        }
        self.starts.insert(session, start);
    }

    /// Writes what was gathered: events first, so that a segment that is counted has all its rows.
    fn write(&mut self) -> Result<(), CatalogError> {
        self.write_events()?;
        self.catalog.project(&self.updates)?;
        self.progress.segments += self.updates.len() as u64;
        let counted = self.updates.iter().map(|u| (u.session, u.segment));
        self.done.extend(counted);
        self.updates.clear();
        Ok(())
    }

    fn write_events(&mut self) -> Result<(), CatalogError> {
        for rows in self.events.chunks(CATALOG_EVENTS_MAX) {
            self.catalog.put_events(rows)?;
            self.progress.events += rows.len() as u64;
        }
        self.events.clear();
        Ok(())
    }

    fn quarantine(&mut self, row: &SegmentRow, reason: String) -> Result<(), ArchiveError> {
        let item = Quarantined {
            what: format!("{} {}/{}", row.place.blob, row.session, row.number),
            reason: cut(&reason),
        };
        self.catalog
            .quarantine(&item, Some((row.session, row.number)))?;
        self.progress.quarantined += 1;
        self.done.push((row.session, row.number));
        Ok(())
    }
}

/// Segments of one run of [`Projector::run_all`].
const SEGMENTS_PER_RUN: usize = 256;

fn count(update: &mut SegmentUpdate, event: &Event) {
    update.events += 1;
    match &event.body {
        Body::Data { bytes, .. } => update.data_bytes += bytes.len() as u64,
        Body::Gap(_) => update.gaps += 1,
        Body::End(end) => update.end = Some(end_facts(end)),
        _ => {}
    }
}
