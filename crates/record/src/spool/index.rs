//! What the spool knows about the parts it holds, in memory: where each one lies, and which have
//! been released.

use std::collections::{BTreeMap, HashMap, VecDeque};

use hansard_core::SessionId;
use hansard_core::frame::Place;

use crate::order::{Spot, Turn};
use crate::spool::layout::{Digest, Entry};

/// Released parts whose digests are remembered, so that the same part again is known as such.
/// Beyond this the oldest are forgotten; a session of which nothing is known may begin anywhere.
const RELEASED_MAX: usize = 16 * 1024;

/// Where an entry lies. Sorts in the order of writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Position {
    pub(super) file: u64,
    pub(super) offset: u64,
}

/// One part.
#[derive(Debug, Clone, Copy)]
struct Known {
    digest: Digest,
    /// Where it lies, until it is released.
    at: Option<(Position, u64)>,
}

/// One session.
#[derive(Debug, Default)]
struct Parts {
    known: BTreeMap<Spot, Known>,
    /// The highest spot that was forgotten.
    floor: Option<Spot>,
    /// It was found when the spool was opened, and nothing was put since. Parts that were released
    /// before may have come back without those that followed them, so what comes next may be
    /// further on.
    is_found: bool,
}

impl Parts {
    fn last(&self) -> Option<Spot> {
        self.known
            .last_key_value()
            .map(|(spot, _)| *spot)
            .or(self.floor)
    }
}

/// How a part that is offered stands to what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// New; it is to be written.
    New,
    /// There, with its end in this file.
    Pending { file: u64, end: u64 },
    /// It was there and has been released.
    Released,
    /// Another is in its place.
    Conflict,
    /// What precedes it is missing.
    TooEarly,
    /// So old that nothing is known of it.
    Forgotten,
}

/// All sessions.
#[derive(Debug, Default)]
pub(super) struct Index {
    sessions: HashMap<SessionId, Parts>,
    pending: BTreeMap<Position, (SessionId, Spot)>,
    /// Bytes of all entries in `pending`.
    pending_bytes: u64,
    released: VecDeque<(SessionId, Spot)>,
    /// The spool is in use, and no longer being opened.
    is_open: bool,
}

impl Index {
    /// How a part stands, given the last new part of its session in the same `put`.
    pub(super) fn standing(
        &self,
        session: SessionId,
        spot: Spot,
        digest: &Digest,
        before: Option<Spot>,
    ) -> Standing {
        let parts = self.sessions.get(&session);
        if let Some(known) = parts.and_then(|parts| parts.known.get(&spot)) {
            return match known.at {
                _ if known.digest != *digest => Standing::Conflict,
                Some((position, end)) => Standing::Pending {
                    file: position.file,
                    end,
                },
                None => Standing::Released,
            };
        }
        let Some(last) = before.or(parts.and_then(Parts::last)) else {
            return Standing::New;
        };
        match Spot::turn(Some(last), spot) {
            Turn::Next => Standing::New,
            Turn::TooEarly if !self.is_open => Standing::New,
            Turn::TooEarly if before.is_none() && parts.is_some_and(|p| p.is_found) => {
                Standing::New
            }
            Turn::TooEarly => Standing::TooEarly,
            Turn::Earlier
                if parts
                    .and_then(|p| p.floor)
                    .is_some_and(|floor| spot <= floor) =>
            {
                Standing::Forgotten
            }
            // It was here and the medium lost it: the sender's copy repairs that. A session that
            // was found begun in the middle takes nothing from before.
            Turn::Earlier => match parts.and_then(|p| p.known.first_key_value()) {
                Some((first, _)) if spot < *first => Standing::Forgotten,
                _ => Standing::New,
            },
        }
    }

    /// Notes an entry that was written. One that was there before in its place is replaced: the
    /// later of two was written because the first had not become durable.
    pub(super) fn add(&mut self, file: u64, entry: &Entry) {
        let position = Position {
            file,
            offset: entry.offset,
        };
        let known = Known {
            digest: entry.digest,
            at: Some((position, entry.end())),
        };
        let parts = self.sessions.entry(entry.session).or_default();
        parts.is_found = !self.is_open;
        if let Some(Known {
            at: Some((old, end)),
            ..
        }) = parts.known.insert(entry.spot, known)
        {
            self.pending.remove(&old);
            self.pending_bytes = self
                .pending_bytes
                .saturating_sub(end.saturating_sub(old.offset));
        }
        self.pending.insert(position, (entry.session, entry.spot));
        let bytes = entry.end().saturating_sub(entry.offset);
        self.pending_bytes = self.pending_bytes.saturating_add(bytes);
    }

    /// From now on sessions are gone on with, rather than found.
    pub(super) fn opens(&mut self) {
        self.is_open = true;
    }

    /// Takes back what was noted about a part that did not become durable.
    pub(super) fn retract(&mut self, position: Position) {
        let Some((session, spot)) = self.pending.remove(&position) else {
            return;
        };
        if let Some(parts) = self.sessions.get_mut(&session)
            && let Some(Known {
                at: Some((at, end)),
                ..
            }) = parts.known.remove(&spot)
        {
            let bytes = end.saturating_sub(at.offset);
            self.pending_bytes = self.pending_bytes.saturating_sub(bytes);
        }
        self.drop_if_empty(session);
    }

    /// Releases a part that is durable below `synced` of its file; answers that file.
    pub(super) fn release(
        &mut self,
        session: SessionId,
        spot: Spot,
        is_durable: impl Fn(u64, u64) -> bool,
    ) -> Option<u64> {
        let known = self.sessions.get_mut(&session)?.known.get_mut(&spot)?;
        let (position, end) = known.at?;
        if !is_durable(position.file, end) {
            return None;
        }
        known.at = None;
        self.pending.remove(&position);
        let bytes = end.saturating_sub(position.offset);
        self.pending_bytes = self.pending_bytes.saturating_sub(bytes);
        self.released.push_back((session, spot));
        while self.released.len() > RELEASED_MAX {
            self.forget_oldest();
        }
        Some(position.file)
    }

    fn forget_oldest(&mut self) {
        let Some((session, spot)) = self.released.pop_front() else {
            return;
        };
        if let Some(parts) = self.sessions.get_mut(&session)
            && parts
                .known
                .get(&spot)
                .is_some_and(|known| known.at.is_none())
        {
            parts.known.remove(&spot);
            parts.floor = parts.floor.max(Some(spot));
        }
        self.drop_if_empty(session);
    }

    fn drop_if_empty(&mut self, session: SessionId) {
        if self
            .sessions
            .get(&session)
            .is_some_and(|parts| parts.known.is_empty())
        {
            self.sessions.remove(&session);
        }
    }

    /// Entries that are not released, in the order of writing, after a position.
    pub(super) fn pending_after(
        &self,
        after: Option<Position>,
    ) -> impl Iterator<Item = (Position, SessionId, Spot)> {
        use std::ops::Bound;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let range = self.pending.range((from, Bound::Unbounded));
        range.map(|(position, (session, spot))| (*position, *session, *spot))
    }

    /// The entries of a session that are not released, after a spot: where each lies and ends.
    pub(super) fn pending_of(
        &self,
        session: SessionId,
        after: Option<Spot>,
    ) -> impl Iterator<Item = (Position, u64, Spot)> {
        use std::ops::Bound;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let parts = self.sessions.get(&session).into_iter();
        parts
            .flat_map(move |parts| parts.known.range((from, Bound::Unbounded)))
            .filter_map(|(spot, known)| known.at.map(|(position, end)| (position, end, *spot)))
    }

    /// The entry that was written last and is not released.
    pub(super) fn newest(&self) -> Option<(Position, SessionId, Spot)> {
        let (position, (session, spot)) = self.pending.last_key_value()?;
        Some((*position, *session, *spot))
    }

    /// Bytes of the entries that are not released.
    pub(super) fn pending_bytes(&self) -> u64 {
        self.pending_bytes
    }

    /// Entries of one segment that are not released, with their ends.
    pub(super) fn pending_in(
        &self,
        session: SessionId,
        segment: u32,
    ) -> impl Iterator<Item = (Position, Spot, u64)> {
        let spot = |place| Spot { segment, place };
        let range = spot(Place::Frame(0))..=spot(Place::Seal);
        let parts = self.sessions.get(&session).into_iter();
        parts
            .flat_map(move |parts| parts.known.range(range.clone()))
            .filter_map(|(spot, known)| known.at.map(|(position, end)| (position, *spot, end)))
    }

    /// How many entries are not released.
    pub(super) fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// How many entries of a file are not released.
    pub(super) fn live_in(&self, file: u64) -> bool {
        let from = Position { file, offset: 0 };
        let to = Position {
            file,
            offset: u64::MAX,
        };
        self.pending.range(from..=to).next().is_some()
    }

    /// The entries of a file from an offset on.
    pub(super) fn positions_from(&self, file: u64, offset: u64) -> Vec<Position> {
        let from = Position { file, offset };
        let to = Position {
            file,
            offset: u64::MAX,
        };
        self.pending
            .range(from..=to)
            .map(|(position, _)| *position)
            .collect()
    }

    /// Where the entry at this position ends.
    pub(super) fn end_of(&self, session: SessionId, spot: Spot) -> Option<u64> {
        self.sessions
            .get(&session)?
            .known
            .get(&spot)?
            .at
            .map(|(_, end)| end)
    }
}
