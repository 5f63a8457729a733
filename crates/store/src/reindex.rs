//! A catalog from the blobs alone: what a crash left without anybody pointing to it is adopted, and
//! a catalog that is lost is built anew. Both are the same function, and rows are made by the same
//! projection as ever.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hansard_core::SessionId;
use hansard_core::seal::Digest;

use crate::archive::read::is_in_place;
use crate::archive::{ArchiveError, row};
use crate::blob::{BlobError, BlobName, BlobStore};
use crate::catalog::{Advanced, Catalog, Move, Place, Quarantined, SegmentRow};
use crate::chain::{Alarm, AlarmKind, Tip, Turn, turn};
use crate::limits::{CATALOG_ADVANCES_MAX, PROBLEMS_LISTED_MAX, REINDEX_ENTRIES_MAX};
use crate::pack::{self, Entry, TableError, read_table, salvage};
use crate::project::{Progress, Projector};
use crate::segment::{SealedSegment, Unfit};

/// Packs that are listed at once.
const PACKS: usize = 1000;

/// What adopting did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Adopted {
    /// Packs that were looked at.
    pub packs: u64,
    /// Packs whose table was damaged; what could be found in them without it was taken.
    pub packs_damaged: u64,
    /// Segments that the catalog did not know.
    pub segments: u64,
    /// Segments that it knew.
    pub known: u64,
    /// Segments that were not taken because one before them is missing; whoever has that will offer
    /// both.
    pub too_early: u64,
    /// Segments whose predecessors are lost, taken all the same when building anew.
    pub after_loss: u64,
    /// Segments of sessions that were deleted, left alone.
    pub deleted: u64,
    /// Segments that are not sound, or are forks.
    pub quarantined: u64,
    /// Keys of the segments that the catalog did not know.
    pub signers: BTreeSet<[u8; 32]>,
    /// What to raise, at most [`PROBLEMS_LISTED_MAX`].
    pub alarms: Vec<Alarm>,
}

/// Adopts packs that no segment of the catalog is in: what a crash left between writing a pack and
/// advancing the heads. To be run when a service starts, before its archive takes anything.
///
/// # Errors
/// `Retry` when a store fails. Repeating is harmless.
pub fn adopt(blobs: &dyn BlobStore, catalog: &dyn Catalog) -> Result<Adopted, ArchiveError> {
    Adoption::new(blobs, catalog, false, REINDEX_ENTRIES_MAX).run()
}

/// Builds a catalog anew: takes every segment of every pack, in order, and projects them. Where
/// segments are lost, those after them are taken all the same. Given a catalog that is not empty, it
/// adds what is missing.
///
/// # Errors
/// `Retry` when a store fails. Repeating goes on.
pub fn reindex(
    blobs: &Arc<dyn BlobStore>,
    catalog: &Arc<dyn Catalog>,
) -> Result<(Adopted, Progress), ArchiveError> {
    let adopted = Adoption::new(&**blobs, &**catalog, true, REINDEX_ENTRIES_MAX).run()?;
    let progress = Projector::new(blobs.clone(), catalog.clone()).run_all()?;
    Ok((adopted, progress))
}

mod recall;

pub(crate) use recall::told_of;
pub use recall::{Recalled, recall};

/// What is to be looked at: the places of segments by session, number and content.
type Found = BTreeMap<(SessionId, u32, Digest), Vec<Spot>>;

/// Where a segment is said to be.
struct Spot {
    blob: Arc<BlobName>,
    offset: u64,
    bytes: u64,
    predecessor: Digest,
}

struct Adoption<'a> {
    blobs: &'a dyn BlobStore,
    catalog: &'a dyn Catalog,
    /// Look at all packs, and take segments whose predecessors are lost.
    anew: bool,
    entries_max: usize,
    adopted: Adopted,
    /// Packs of which not even the beginning can be read.
    unreadable: u64,
    /// Rows that continue each other and are not in the catalog yet.
    rows: Vec<SegmentRow>,
}

impl<'a> Adoption<'a> {
    fn new(
        blobs: &'a dyn BlobStore,
        catalog: &'a dyn Catalog,
        anew: bool,
        entries_max: usize,
    ) -> Self {
        Self {
            blobs,
            catalog,
            anew,
            entries_max,
            adopted: Adopted::default(),
            unreadable: 0,
            rows: Vec::new(),
        }
    }

    /// Rounds over the packs' tables, each taking the next segments in order, as many as fit in
    /// memory. Usually there is one round.
    fn run(mut self) -> Result<Adopted, ArchiveError> {
        let mut after = None;
        let mut all = self.anew;
        loop {
            let (found, more) = self.round(after, all)?;
            if self.anew && self.unreadable > 0 && self.unreadable == self.adopted.packs {
                // That is no bad sector: a catalog of nothing would pass for all there is.
                return Err(ArchiveError::Retry(
                    "none of the packs can be read: is the archive's disk what it was?".to_owned(),
                ));
            }
            let last = found.last_key_value().map(|(key, _)| *key);
            self.take(found)?;
            if !more {
                return Ok(self.adopted);
            }
            // Packs of which a part was adopted are pointed to from now on.
            (after, all) = (last, true);
        }
    }

    /// The next segments after this one, in order, and whether there are more.
    fn round(
        &mut self,
        after: Option<(SessionId, u32, Digest)>,
        all: bool,
    ) -> Result<(Found, bool), ArchiveError> {
        let (mut found, mut more) = (Found::new(), false);
        let mut last: Option<BlobName> = None;
        self.adopted.packs = 0;
        loop {
            let listed = self.blobs.list(pack::FAMILY, last.as_ref(), PACKS)?;
            let names: Vec<BlobName> = listed.into_iter().map(|listed| listed.name).collect();
            let Some(end) = names.last() else {
                return Ok((found, more));
            };
            last = Some(end.clone());
            let known = match all {
                true => vec![false; names.len()],
                false => self.catalog.referenced(&names)?,
            };
            let wanted = names.into_iter().zip(known).filter(|(_, known)| !known);
            for (name, _) in wanted {
                self.adopted.packs += 1;
                let entries = self.entries(&name, after.is_none())?;
                let blob = Arc::new(name);
                for entry in entries {
                    let key = (entry.session, entry.number, entry.content);
                    if after.is_none_or(|after| key > after) {
                        found.entry(key).or_default().push(spot(&blob, &entry));
                    }
                    if found.len() > self.entries_max {
                        found.pop_last();
                        more = true;
                    }
                }
            }
        }
    }

    /// A pack's table, or what can be found without one.
    fn entries(&mut self, name: &BlobName, first_round: bool) -> Result<Vec<Entry>, ArchiveError> {
        let why = match read_table(self.blobs, name) {
            Ok(entries) => return Ok(entries),
            // Deleted since it was listed.
            Err(TableError::Store(BlobError::NotFound(_))) => return Ok(Vec::new()),
            Err(TableError::Store(e)) => return Err(e.into()),
            Err(TableError::Damaged(why)) => why,
        };
        let entries = salvage(self.blobs, name)?;
        if first_round {
            self.adopted.packs_damaged += 1;
            let begin = self.blobs.read(name, 0..1);
            self.unreadable += u64::from(matches!(begin, Err(BlobError::Unreadable(_))));
            let reason = format!("{why}; {} segments were found without it", entries.len());
            self.quarantine(name.to_string(), reason)?;
        }
        Ok(entries)
    }

    /// Takes what was found, session by session, number by number.
    fn take(&mut self, found: Found) -> Result<(), ArchiveError> {
        let mut tip: Option<(SessionId, Option<Tip>)> = None;
        let mut deleted = None;
        let mut found = found.into_iter().peekable();
        while let Some(((session, number, content), spots)) = found.next() {
            let mut candidates = vec![(content, spots)];
            while let Some(((_, _, content), spots)) =
                found.next_if(|((s, n, _), _)| (*s, *n) == (session, number))
            {
                candidates.push((content, spots));
            }
            if tip.is_none_or(|(of, _)| of != session) {
                let head = self.catalog.heads(&[session])?.into_iter().next().flatten();
                tip = Some((session, head.as_ref().map(Tip::from)));
                if head.is_none() && self.catalog.tombstones(&[session])? != [None] {
                    deleted = Some(session);
                }
            }
            if deleted == Some(session) {
                // Its bytes are in a pack that waits for others to expire, too.
                self.adopted.deleted += 1;
                continue;
            }
            let known = tip.and_then(|(_, tip)| tip);
            if known.is_some_and(|tip| number <= tip.number) {
                self.compare(session, number, &candidates)?;
                continue;
            }
            let mut sound = Vec::new();
            for (_, spots) in &candidates {
                sound.extend(self.read((session, number), spots)?);
            }
            // Of a fork, the branch that goes on is the likelier one to have been settled.
            let mut goes_on = |digest: Digest| {
                let next = found.peek();
                next.is_some_and(|((s, n, _), spots)| {
                    (*s, Some(*n)) == (session, number.checked_add(1))
                        && spots.iter().any(|spot| spot.predecessor == digest)
                })
            };
            sound.sort_by_key(|(segment, _): &(SealedSegment, Place)| {
                !goes_on(segment.facts().digest)
            });
            let newest = self.choose(known, sound)?;
            tip = Some((session, newest.or(known)));
        }
        self.advance()
    }

    /// Segments in a place that the catalog knows: the same, or forks.
    fn compare(
        &mut self,
        session: SessionId,
        number: u32,
        candidates: &[(Digest, Vec<Spot>)],
    ) -> Result<(), ArchiveError> {
        // What is known may still wait in `rows`.
        self.advance()?;
        let rows = self.catalog.segments(session, number, 1)?;
        let there = rows.iter().find(|row| row.number == number);
        for (content, spots) in candidates {
            if let Some(row) = there.filter(|row| row.content == *content) {
                self.adopted.known += 1;
                self.put_right(row, spots)?;
            } else if let Some(spot) = spots.first() {
                self.fork(session, number, spot)?;
            }
        }
        Ok(())
    }

    /// A catalog that was put back from a copy may say that a segment is where it was before its pack was
    /// written anew, and is gone from there: it is in one of these places now.
    fn put_right(&mut self, row: &SegmentRow, spots: &[Spot]) -> Result<(), ArchiveError> {
        let is_there = |spot: &Spot| *spot.blob == row.place.blob;
        if spots.iter().any(is_there) || is_in_place(self.blobs, self.catalog, row)? {
            return Ok(());
        }
        let sound = self.read((row.session, row.number), spots)?;
        let Some((_, to)) = sound.filter(|(segment, _)| segment.facts().content == row.content)
        else {
            return Ok(());
        };
        // A crash before this finds the same pack again, which nothing points to yet.
        let moved = Move {
            session: row.session,
            number: row.number,
            from: row.place.blob.clone(),
            to,
        };
        Ok(self.catalog.relocate(&[moved])?)
    }

    fn fork(&mut self, session: SessionId, number: u32, spot: &Spot) -> Result<(), ArchiveError> {
        let alarm = Alarm {
            kind: AlarmKind::Fork,
            session,
            segment: number,
            what: format!(
                "another segment is in its place than the one in {}",
                spot.blob
            ),
        };
        self.alarm(spot, alarm)
    }

    /// The segment at the first of these places where it is sound, and where that was.
    fn read(
        &mut self,
        (session, number): (SessionId, u32),
        spots: &[Spot],
    ) -> Result<Option<(SealedSegment, Place)>, ArchiveError> {
        let mut problems = Vec::new();
        for spot in spots {
            let range = spot.offset..spot.offset.saturating_add(spot.bytes);
            let read = match self.blobs.read(&spot.blob, range) {
                Err(BlobError::Retry(why)) => return Err(ArchiveError::Retry(why)),
                Err(e) => Err(Unfit::Malformed(e.to_string())),
                Ok(bytes) => SealedSegment::from_bytes(bytes),
            };
            let why = match read {
                Ok(segment) => {
                    let facts = segment.facts();
                    if (facts.session, facts.number) == (session, number) {
                        let place = Place {
                            blob: BlobName::clone(&spot.blob),
                            offset: spot.offset,
                            bytes: spot.bytes,
                        };
                        return Ok(Some((segment, place)));
                    }
                    "it is another segment than the pack's table says".to_owned()
                }
                Err(unfit) => unfit.to_string(),
            };
            problems.push((format!("{} {session}/{number}", spot.blob), why));
        }
        for (what, why) in problems {
            self.adopted.quarantined += 1;
            self.quarantine(what, why)?;
        }
        Ok(None)
    }

    /// Takes the one that continues the chain; the others are forks. Answers where the chain ends
    /// now, if it moved.
    fn choose(
        &mut self,
        tip: Option<Tip>,
        sound: Vec<(SealedSegment, Place)>,
    ) -> Result<Option<Tip>, ArchiveError> {
        let mut newest = None;
        for (segment, place) in sound {
            let facts = segment.facts();
            let spot = Spot {
                blob: Arc::new(place.blob.clone()),
                offset: place.offset,
                bytes: place.bytes,
                predecessor: facts.predecessor,
            };
            if newest.is_some() {
                self.fork(facts.session, facts.number, &spot)?;
                continue;
            }
            let after_loss = match turn(tip.as_ref(), facts) {
                Turn::Next => false,
                Turn::TooEarly if self.anew => true,
                Turn::TooEarly => {
                    self.adopted.too_early += 1;
                    continue;
                }
                Turn::Earlier => continue,
                Turn::Wrong(alarm) => {
                    self.alarm(&spot, alarm)?;
                    continue;
                }
            };
            self.adopted.after_loss += u64::from(after_loss);
            newest = Some(Tip::from(facts));
            self.rows.push(row(facts, place, after_loss));
        }
        if self.rows.len() >= CATALOG_ADVANCES_MAX {
            self.advance()?;
        }
        Ok(newest)
    }

    /// Advances the heads over the rows that were gathered.
    fn advance(&mut self) -> Result<(), ArchiveError> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let outcomes = self.catalog.advance(&self.rows)?;
        for (row, outcome) in std::mem::take(&mut self.rows).into_iter().zip(outcomes) {
            match outcome {
                Advanced::Done => {
                    self.adopted.segments += 1;
                    self.adopted.signers.insert(row.key);
                }
                Advanced::Already => self.adopted.known += 1,
                Advanced::Conflict | Advanced::TooEarly => {
                    let spot = Spot {
                        blob: Arc::new(row.place.blob),
                        offset: row.place.offset,
                        bytes: row.place.bytes,
                        predecessor: row.predecessor,
                    };
                    self.fork(row.session, row.number, &spot)?;
                }
            }
        }
        Ok(())
    }

    fn alarm(&mut self, spot: &Spot, alarm: Alarm) -> Result<(), ArchiveError> {
        self.adopted.quarantined += 1;
        let what = format!("{} {}/{}", spot.blob, alarm.session, alarm.segment);
        self.quarantine(what, alarm.what.clone())?;
        if self.adopted.alarms.len() < PROBLEMS_LISTED_MAX {
            self.adopted.alarms.push(alarm);
        }
        Ok(())
    }

    fn quarantine(&self, what: String, reason: String) -> Result<(), ArchiveError> {
        let item = Quarantined { what, reason };
        Ok(self.catalog.quarantine(&item, None)?)
    }
}

fn spot(blob: &Arc<BlobName>, entry: &Entry) -> Spot {
    Spot {
        blob: blob.clone(),
        offset: entry.offset,
        bytes: entry.bytes,
        predecessor: entry.predecessor,
    }
}

#[cfg(test)]
mod tests;
