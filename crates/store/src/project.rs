//! Segments → rows: sessions as they are listed, and their events as the documents that the event
//! log has of them.
//!
//! A projection reads what is archived and nothing else, so nothing is listed before it is durable.
//! It may lag, and may be done again: events have one row each whatever happens, and a segment is
//! counted into its session once. A crash in the middle leaves rows of events whose segment still
//! waits; the next run puts the same rows again.

use std::collections::HashMap;
use std::sync::Arc;

use hansard_core::reader::{Item, Reader};
use hansard_core::{Body, Event, Session, SessionId};
use hansard_view::document::{Counted, Documents, Place};

use crate::archive::read::{Fetch, fetch_current};
use crate::archive::{ArchiveError, SegmentId};
use crate::blob::{BlobError, BlobStore};
use crate::catalog::{
    Catalog, CatalogError, EventRow, Quarantined, Query, SegmentRow, SegmentUpdate,
};
use crate::limits::{PROJECT_HEADERS_BYTES_MAX, PROJECT_ROWS, PROJECT_SESSIONS_MAX};
use crate::segment::{Unfit, walk};

mod facts;
mod putter;

use facts::cut;
pub use facts::{end_facts, event_row, start_facts, unknown_header};
use putter::Putter;

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
    running: HashMap<SessionId, Running>,
    /// Memory of the headers in `running`.
    running_bytes: usize,
    events: Vec<EventRow>,
    putter: Putter,
    updates: Vec<SegmentUpdate>,
    progress: Progress,
    done: Vec<SegmentId>,
}

/// A session up to the segment that comes next.
#[derive(Clone)]
struct Running {
    header: Arc<Session>,
    counted: Counted,
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
            putter: Putter::new(Arc::clone(&catalog)),
            catalog,
            running: HashMap::new(),
            running_bytes: 0,
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
        // What a run that failed left behind is put again.
        let _ = self.putter.wait();
        let done = self.run_rows(segments_max);
        if done.is_err() {
            // What is remembered is ahead of what was written.
            self.forget();
        }
        done.map(|()| self.progress)
    }

    fn run_rows(&mut self, segments_max: usize) -> Result<(), ArchiveError> {
        for row in self.catalog.unprojected(segments_max)? {
            self.segment(&row)?;
        }
        Ok(self.write()?)
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
        let bytes = match fetch_current(&*self.blobs, &*self.catalog, row) {
            Ok(bytes) => bytes,
            Err(Fetch::Failed(BlobError::Retry(why))) => return Err(ArchiveError::Retry(why)),
            Err(Fetch::Failed(e)) => return self.quarantine(row, e.to_string()),
            Err(Fetch::Lost(why) | Fetch::Differs(_, why)) => return self.quarantine(row, why),
        };
        let running = self.running_of(row)?;
        match self.rows(row, &bytes, running.clone()) {
            Ok(update) => {
                self.updates.push(update);
                Ok(())
            }
            Err(Stop::Catalog(e)) => Err(e.into()),
            Err(Stop::Unfit(unfit)) => {
                // The next segment goes on as if this one were not.
                self.remember(row.session, running)?;
                self.quarantine(row, unfit.to_string())
            }
        }
    }

    /// Makes the rows of a segment's events, and answers what it adds to its session.
    fn rows(
        &mut self,
        row: &SegmentRow,
        bytes: &[u8],
        running: Running,
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
            counted: Counted::default(),
        };
        let mut header = running.header;
        let mut documents = Documents::resume(Place::default(), &header, running.counted);
        walk(bytes, |events| {
            for event in events {
                count(&mut update, &event);
                for document in documents.turn(&event) {
                    self.events.push(event_row(row.session, document));
                }
                if let Body::Start(session) = event.body {
                    update.start = Some(start_facts(&session));
                    header = Arc::new(*session);
                }
            }
            if self.events.len() >= PROJECT_ROWS {
                self.write_events().map_err(Stop::Catalog)?;
            }
            Ok::<(), Stop>(())
        })?;
        update.counted = documents.into_counted();
        if !row.is_final {
            let counted = update.counted.clone();
            let running = Running { header, counted };
            self.remember(row.session, running).map_err(Stop::Catalog)?;
        }
        Ok(update)
    }

    /// The session up to this segment: as it is remembered, or as the stores have it.
    fn running_of(&mut self, row: &SegmentRow) -> Result<Running, ArchiveError> {
        let session = row.session;
        if let Some(running) = self.running.remove(&session) {
            let bytes = running.header.memory_bytes();
            self.running_bytes = self.running_bytes.saturating_sub(bytes);
            return Ok(running);
        }
        let unknown = || Arc::new(unknown_header(session));
        if row.number == 0 {
            // It is about to be read.
            let (header, counted) = (unknown(), Counted::default());
            return Ok(Running { header, counted });
        }
        let query = Query {
            session: Some(session),
            limit: 1,
            ..Query::default()
        };
        let found = self.catalog.sessions(&query)?.rows.into_iter().next();
        let header = self.header_of(session)?;
        Ok(Running {
            header: header.map_or_else(unknown, Arc::new),
            counted: found.map(|found| found.counted).unwrap_or_default(),
        })
    }

    /// The header in a session's first segment, if that can be read.
    fn header_of(&self, session: SessionId) -> Result<Option<Session>, ArchiveError> {
        let rows = self.catalog.segments(session, 0, 1)?;
        let Some(first) = rows.iter().find(|row| row.number == 0) else {
            return Ok(None);
        };
        let bytes = match fetch_current(&*self.blobs, &*self.catalog, first) {
            Ok(bytes) => bytes,
            Err(Fetch::Failed(e)) => return Err(e.into()),
            Err(Fetch::Lost(_) | Fetch::Differs(..)) => return Ok(None),
        };
        match Reader::resume(bytes.as_slice(), 0).next_item() {
            Ok(Item::Frame(frame)) => Ok(frame.events.into_iter().find_map(|e| match e.body {
                Body::Start(session) => Some(*session),
                _ => None,
            })),
            _ => Ok(None),
        }
    }

    fn remember(&mut self, session: SessionId, running: Running) -> Result<(), CatalogError> {
        let bytes = running.header.memory_bytes();
        let all_bytes = self.running_bytes.saturating_add(bytes);
        let is_full = self.running.len() >= PROJECT_SESSIONS_MAX;
        if is_full || all_bytes > PROJECT_HEADERS_BYTES_MAX {
            // What is forgotten is asked from the catalog, which must have it.
            self.write()?;
            self.forget();
        }
        self.running_bytes = self.running_bytes.saturating_add(bytes);
        self.running.insert(session, running);
        Ok(())
    }

    fn forget(&mut self) {
        self.running.clear();
        self.running_bytes = 0;
    }

    /// Writes what was gathered: events first, so that a segment that is counted has all its rows.
    fn write(&mut self) -> Result<(), CatalogError> {
        self.write_events()?;
        self.progress.events += self.putter.wait()?;
        self.catalog.project(&self.updates)?;
        self.progress.segments += self.updates.len() as u64;
        let counted = self.updates.iter().map(|u| (u.session, u.segment));
        self.done.extend(counted);
        self.updates.clear();
        Ok(())
    }

    fn write_events(&mut self) -> Result<(), CatalogError> {
        let rows = std::mem::take(&mut self.events);
        self.progress.events += self.putter.put(rows)?;
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
