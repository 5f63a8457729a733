//! Deleting, in memory.

use hansard_core::SessionId;

use super::{Kept, MemoryCatalog};
use crate::blob::BlobName;
use crate::catalog::{
    Burial, Buried, CatalogError, Cursor, Expiry, Move, Retention, SegmentRow, SessionRow,
    Tombstone,
};

impl Kept {
    fn waits(&self, session: SessionId) -> bool {
        let all = (session, 0)..=(session, u32::MAX);
        self.unprojected.range(all).next().is_some()
    }

    fn bury(&mut self, session: SessionId, burial: &Burial) -> Buried {
        if let Some(tombstone) = self.tombstones.get(&session) {
            return Buried::Already(Box::new(tombstone.clone()));
        }
        let Some(head) = self.head(session).cloned() else {
            return Buried::Unknown;
        };
        if self.held.contains(&session) {
            return Buried::Held;
        }
        if self.waits(session) {
            return Buried::Waits;
        }
        let row = self.sessions.remove(&session);
        let row = row.unwrap_or_else(|| SessionRow::unknown(session));
        let tombstone = Tombstone::new(row, &head, burial.clone());
        let all = (session, 0)..=(session, u32::MAX);
        let numbers: Vec<(SessionId, u32)> = self.segments.range(all).map(|(k, _)| *k).collect();
        for key in numbers {
            let gone = self.segments.remove(&key);
            self.doomed.extend(gone.map(|row| row.place.blob));
        }
        self.arrivals.retain(|_, (of, _)| *of != session);
        self.dates.remove(&session);
        self.tombstones.insert(session, tombstone.clone());
        self.unswept.insert(session);
        Buried::Done(Box::new(tombstone))
    }

    fn entomb(&mut self, tombstone: &Tombstone) -> bool {
        let session = tombstone.session;
        let is_new = self.head(session).is_none() && !self.tombstones.contains_key(&session);
        if is_new {
            self.tombstones.insert(session, tombstone.clone());
            self.unswept.insert(session);
        }
        is_new
    }

    fn sweep(&mut self, limit: usize) -> u64 {
        let mut swept = 0u64;
        for session in self.unswept.clone() {
            let all = (session, 0, 0)..=(session, u64::MAX, u32::MAX);
            let room = limit.saturating_sub(usize::try_from(swept).unwrap_or(limit));
            let places = self.places.range(all).take(room);
            let keys: Vec<_> = places.map(|(key, cursor)| (*key, *cursor)).collect();
            if keys.is_empty() && room > 0 {
                self.unswept.remove(&session);
            }
            for (key, cursor) in keys {
                self.places.remove(&key);
                self.events.remove(&cursor);
                swept += 1;
            }
        }
        swept
    }

    fn relocate(&mut self, moved: &Move) {
        let Some(row) = self.segments.get_mut(&(moved.session, moved.number)) else {
            return;
        };
        if row.place.blob == moved.from {
            row.place = moved.to.clone();
            self.doomed.insert(moved.from.clone());
        }
    }
}

impl MemoryCatalog {
    /// Does one thing, under the plan.
    fn once<T>(&self, act: impl FnOnce(&mut Kept) -> T) -> Result<T, CatalogError> {
        let mut act = Some(act);
        let done = self.each(&[()], |kept, ()| act.take().map(|act| act(kept)))?;
        let done = done.into_iter().flatten().next();
        done.ok_or_else(|| CatalogError::Retry("told to fail".to_owned()))
    }
}

impl Retention for MemoryCatalog {
    fn hold(&self, session: SessionId, held: bool) -> Result<(), CatalogError> {
        self.once(|kept| match held {
            true => kept.held.insert(session),
            false => kept.held.remove(&session),
        })
        .map(drop)
    }

    fn holds(
        &self,
        after: Option<SessionId>,
        limit: usize,
    ) -> Result<Vec<SessionId>, CatalogError> {
        let is_after = |session: &&SessionId| after.is_none_or(|after| **session > after);
        self.look(|kept| {
            let held = kept.held.iter().filter(is_after);
            held.take(limit).copied().collect()
        })
    }

    fn held(&self, sessions: &[SessionId]) -> Result<Vec<bool>, CatalogError> {
        self.look(|kept| sessions.iter().map(|s| kept.held.contains(s)).collect())
    }

    fn date(&self, utc_ns: u64) -> Result<(), CatalogError> {
        self.once(|kept| {
            for row in kept.sessions.values() {
                let dated = kept.dates.entry(row.session).or_insert((0, 0));
                if dated.1 != row.segments {
                    *dated = (utc_ns, row.segments);
                }
            }
        })
    }

    fn expired(&self, expiry: &Expiry) -> Result<Vec<SessionRow>, CatalogError> {
        self.look(|kept| {
            let is_dated = |row: &SessionRow| {
                let dated = kept.dates.get(&row.session);
                dated.is_some_and(|(at, segments)| {
                    let is_over = row.end.is_some() || *at < expiry.unended_dated_before_ns;
                    *segments == row.segments && *at < expiry.dated_before_ns && is_over
                })
            };
            let mut rows: Vec<SessionRow> = kept
                .sessions
                .values()
                .filter(|row| expiry.admits(row) && is_dated(row))
                .filter(|row| !kept.held.contains(&row.session) && !kept.waits(row.session))
                .cloned()
                .collect();
            rows.sort_by_key(Cursor::of_session);
            rows.truncate(expiry.rows_max());
            rows
        })
    }

    fn bury(&self, session: SessionId, burial: &Burial) -> Result<Buried, CatalogError> {
        self.once(|kept| kept.bury(session, burial))
    }

    fn newest_date(&self) -> Result<Option<u64>, CatalogError> {
        self.look(|kept| kept.dates.values().map(|(at, _)| *at).max())
    }

    fn entomb(&self, tombstone: &Tombstone) -> Result<bool, CatalogError> {
        self.once(|kept| kept.entomb(tombstone))
    }

    fn tombstones(&self, sessions: &[SessionId]) -> Result<Vec<Option<Tombstone>>, CatalogError> {
        self.look(|kept| {
            let found = sessions.iter().map(|s| kept.tombstones.get(s).cloned());
            found.collect()
        })
    }

    fn sweep(&self, limit: usize) -> Result<u64, CatalogError> {
        self.once(|kept| kept.sweep(limit))
    }

    fn doomed(
        &self,
        after: Option<&BlobName>,
        limit: usize,
    ) -> Result<Vec<BlobName>, CatalogError> {
        self.look(|kept| {
            let behind = kept.doomed.iter().filter(|b| after.is_none_or(|a| *b > a));
            behind.take(limit).cloned().collect()
        })
    }

    fn segments_in(&self, blob: &BlobName) -> Result<Vec<SegmentRow>, CatalogError> {
        self.look(|kept| {
            let rows = kept.segments.values();
            rows.filter(|row| row.place.blob == *blob)
                .cloned()
                .collect()
        })
    }

    fn relocate(&self, moves: &[Move]) -> Result<(), CatalogError> {
        self.each(moves, Kept::relocate).map(drop)
    }

    fn undoom(&self, blob: &BlobName) -> Result<(), CatalogError> {
        self.once(|kept| kept.doomed.remove(blob)).map(drop)
    }
}
