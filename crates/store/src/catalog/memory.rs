//! A catalog in memory that fails on purpose, and the oracle of the tests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hansard_core::SessionId;

use crate::blob::BlobName;
use crate::catalog::counts::Tally;
use crate::catalog::hosts::HostSessions;
use crate::catalog::{
    Advanced, ArrivalCursor, Catalog, CatalogError, CountWish, Cursor, EventCounts, EventRow, Head,
    Page, Quarantined, Query, SegmentRow, SegmentUpdate, SessionRow, Tombstone,
};
use crate::fault::{Fault, Faults};
use crate::limits::CATALOG_EVENTS_MAX;

mod retention;

/// The catalog. Clones are the same catalog, so that what it holds outlives whoever used it.
#[derive(Clone, Default)]
pub struct MemoryCatalog {
    kept: Arc<Mutex<Kept>>,
    faults: Faults,
}

#[derive(Default)]
struct Kept {
    segments: BTreeMap<(SessionId, u32), SegmentRow>,
    unprojected: BTreeSet<(SessionId, u32)>,
    sessions: BTreeMap<SessionId, SessionRow>,
    events: BTreeMap<Cursor, EventRow>,
    /// Places of events by what must be unique.
    places: BTreeMap<(SessionId, u64, u32), Cursor>,
    quarantined: BTreeMap<String, Quarantined>,
    /// Segments by the order they came in, and how many there ever were.
    arrivals: BTreeMap<u64, (SessionId, u32)>,
    arrived: u64,
    held: BTreeSet<SessionId>,
    /// When a session was dated, and with how many segments.
    dates: BTreeMap<SessionId, (u64, u64)>,
    tombstones: BTreeMap<SessionId, Tombstone>,
    /// Deleted sessions that may have rows of events.
    unswept: BTreeSet<SessionId>,
    doomed: BTreeSet<BlobName>,
}

impl MemoryCatalog {
    /// An empty catalog that fails under this plan.
    #[must_use]
    pub fn new(faults: Faults) -> Self {
        Self {
            kept: Arc::default(),
            faults,
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something to each item, under the plan.
    fn each<I, T>(
        &self,
        items: &[I],
        mut act: impl FnMut(&mut Kept, &I) -> T,
    ) -> Result<Vec<T>, CatalogError> {
        let fault = self.faults.enter();
        let count = match fault {
            Some(Fault::Before) => 0,
            Some(Fault::Partly) => items.len() / 2,
            Some(Fault::After) | None => items.len(),
        };
        let mut kept = self.kept();
        let done = items.iter().take(count).map(|item| act(&mut kept, item));
        let done = done.collect();
        match fault {
            None => Ok(done),
            Some(_) => Err(CatalogError::Retry("told to fail".to_owned())),
        }
    }

    /// Looks something up, under the plan.
    fn look<T>(&self, act: impl FnOnce(&Kept) -> T) -> Result<T, CatalogError> {
        match self.faults.enter() {
            None => Ok(act(&self.kept())),
            Some(_) => Err(CatalogError::Retry("told to fail".to_owned())),
        }
    }
}

impl Kept {
    fn head(&self, session: SessionId) -> Option<&SegmentRow> {
        let all = (session, 0)..=(session, u32::MAX);
        self.segments.range(all).next_back().map(|(_, row)| row)
    }

    fn advance(&mut self, row: &SegmentRow) -> Advanced {
        let key = (row.session, row.number);
        if self.tombstones.contains_key(&row.session) {
            return Advanced::Conflict;
        }
        let there = self.segments.get(&key).map(|there| there.content);
        let outcome = Head::advance(self.head(row.session).map(Head::of).as_ref(), there, row);
        if outcome == Advanced::Done {
            self.segments.insert(key, row.clone());
            self.unprojected.insert(key);
            self.arrived += 1;
            self.arrivals.insert(self.arrived, key);
        }
        outcome
    }

    fn project(&mut self, update: &SegmentUpdate) {
        if !self.unprojected.remove(&(update.session, update.segment)) {
            return;
        }
        let row = self.sessions.entry(update.session);
        let row = row.or_insert_with(|| SessionRow::unknown(update.session));
        if let Some(start) = &update.start {
            row.start = start.clone();
        }
        if update.end.is_some() {
            row.end.clone_from(&update.end);
        }
        row.last_ns = row.last_ns.max(update.last_ns);
        row.segments = row.segments.saturating_add(1);
        row.events = row.events.saturating_add(update.events);
        row.data_bytes = row.data_bytes.saturating_add(update.data_bytes);
        row.stored_bytes = row.stored_bytes.saturating_add(update.stored_bytes);
        row.gaps = row.gaps.saturating_add(update.gaps);
        row.counted.clone_from(&update.counted);
    }
}

impl Catalog for MemoryCatalog {
    fn heads(&self, sessions: &[SessionId]) -> Result<Vec<Option<SegmentRow>>, CatalogError> {
        self.look(|kept| sessions.iter().map(|s| kept.head(*s).cloned()).collect())
    }

    fn advance(&self, rows: &[SegmentRow]) -> Result<Vec<Advanced>, CatalogError> {
        self.each(rows, Kept::advance)
    }

    fn segments(
        &self,
        session: SessionId,
        from: u32,
        limit: usize,
    ) -> Result<Vec<SegmentRow>, CatalogError> {
        self.look(|kept| {
            let rows = kept.segments.range((session, from)..=(session, u32::MAX));
            rows.take(limit).map(|(_, row)| row.clone()).collect()
        })
    }

    fn arrived(
        &self,
        after: ArrivalCursor,
        limit: usize,
    ) -> Result<Vec<(ArrivalCursor, SegmentRow)>, CatalogError> {
        self.look(|kept| {
            let behind = kept.arrivals.range(after.0.saturating_add(1)..).take(limit);
            behind
                .filter_map(|(n, key)| Some((ArrivalCursor(*n), kept.segments.get(key)?.clone())))
                .collect()
        })
    }

    fn referenced(&self, blobs: &[BlobName]) -> Result<Vec<bool>, CatalogError> {
        self.look(|kept| {
            let named: BTreeSet<&BlobName> =
                kept.segments.values().map(|row| &row.place.blob).collect();
            blobs.iter().map(|blob| named.contains(blob)).collect()
        })
    }

    fn unprojected(&self, limit: usize) -> Result<Vec<SegmentRow>, CatalogError> {
        self.look(|kept| {
            let waiting = kept.unprojected.iter().take(limit);
            waiting
                .filter_map(|key| kept.segments.get(key).cloned())
                .collect()
        })
    }

    fn put_events(&self, rows: Arc<[EventRow]>) -> Result<(), CatalogError> {
        if rows.len() > CATALOG_EVENTS_MAX {
            return Err(CatalogError::Refused(
                "too many rows in one call".to_owned(),
            ));
        }
        let put = |kept: &mut Kept, row: &EventRow| {
            let key = (row.session, row.seq, row.ordinal);
            if kept.places.contains_key(&key) {
                return;
            }
            kept.places.insert(key, Cursor::of_event(row));
            kept.events.insert(Cursor::of_event(row), row.clone());
        };
        self.each(&rows, put).map(drop)
    }

    fn project(&self, updates: &[SegmentUpdate]) -> Result<(), CatalogError> {
        self.each(updates, Kept::project).map(drop)
    }

    fn quarantine(
        &self,
        item: &Quarantined,
        segment: Option<(SessionId, u32)>,
    ) -> Result<(), CatalogError> {
        let put = |kept: &mut Kept, item: &Quarantined| {
            kept.quarantined.insert(item.what.clone(), item.clone());
            if let Some(key) = segment {
                kept.unprojected.remove(&key);
            }
        };
        self.each(std::slice::from_ref(item), put).map(drop)
    }

    fn quarantined(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Quarantined>, CatalogError> {
        self.look(|kept| {
            let all = kept.quarantined.values();
            let behind = all.filter(|item| after.is_none_or(|a| item.what.as_str() > a));
            behind.take(limit).cloned().collect()
        })
    }

    fn sessions(&self, query: &Query) -> Result<Page<SessionRow>, CatalogError> {
        let mut rows = Vec::new();
        for row in self.look(|kept| kept.sessions.values().cloned().collect::<Vec<_>>())? {
            if query.admits_session(&row)? {
                rows.push(row);
            }
        }
        rows.sort_by_key(Cursor::of_session);
        if query.newest_first {
            rows.reverse();
        }
        rows.truncate(query.rows_max() + 1);
        Ok(query.page(rows, Cursor::of_session))
    }

    fn events(&self, query: &Query) -> Result<Page<EventRow>, CatalogError> {
        let limit = query.rows_max() + 1;
        let rows = self.look(|kept| {
            let fits = |row: &&EventRow| query.admits_event(row);
            match query.newest_first {
                true => kept
                    .events
                    .values()
                    .rev()
                    .filter(fits)
                    .take(limit)
                    .cloned()
                    .collect(),
                false => kept
                    .events
                    .values()
                    .filter(fits)
                    .take(limit)
                    .cloned()
                    .collect(),
            }
        });
        Ok(query.page(rows?, Cursor::of_event))
    }

    fn hosts(&self, after: Option<&str>, limit: usize) -> Result<Vec<HostSessions>, CatalogError> {
        self.look(|kept| {
            let names: BTreeSet<&str> = kept.sessions.values().map(|r| &*r.start.host).collect();
            let behind = names.into_iter().filter(|host| *host > after.unwrap_or(""));
            let of = |host: &str| {
                let rows = kept.sessions.values().filter(|row| row.start.host == host);
                let mut rows: Vec<&SessionRow> = rows.collect();
                rows.sort_by_key(|row| std::cmp::Reverse(Cursor::of_session(row)));
                HostSessions::of(host, rows.into_iter())
            };
            behind.take(limit).map(of).collect()
        })
    }

    fn count_events(&self, wish: &CountWish) -> Result<EventCounts, CatalogError> {
        let mut tally = Tally::default();
        self.look(|kept| {
            // What is counted is what is answered, wherever a page of it would begin.
            let query = Query {
                after: None,
                ..wish.query.clone()
            };
            let rows = kept.events.values();
            rows.filter(|row| query.admits_event(row))
                .for_each(|row| tally.add_row(row));
        })?;
        Ok(tally.finish(wish, 1))
    }
}
