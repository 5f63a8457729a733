//! What the spool knows about the parts it holds, in memory: where each one lies, in which order they
//! are read, and which have been released.
//!
//! A part keeps its turn for as long as it is here, wherever its entry lies: who reads on behind a
//! part that was moved reads on where it was.

use std::collections::{BTreeMap, HashMap, VecDeque};

use hansard_core::SessionId;
use hansard_core::frame::Place;

use crate::order::{Spot, Turn};
use crate::spool::layout::{Digest, Entry};

/// Released parts whose digests are remembered, so that the same part again is known as such.
/// Beyond this the oldest are forgotten; a session of which nothing is known may begin anywhere.
const RELEASED_MAX: usize = 16 * 1024;

/// Where an entry lies; also the turn of the part that was first written there. Sorts in the order of
/// writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Position {
    pub(super) file: u64,
    pub(super) offset: u64,
}

/// One entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct At {
    /// When its part is read: as if it lay here.
    pub(super) turn: Position,
    /// Where it lies.
    pub(super) place: Position,
    /// Where it ends in its file.
    pub(super) end: u64,
}

impl At {
    fn bytes(&self) -> u64 {
        self.end.saturating_sub(self.place.offset)
    }
}

/// One part.
#[derive(Debug, Clone, Copy)]
struct Known {
    digest: Digest,
    /// Where it lies, until it is released.
    at: Option<At>,
}

/// What a file holds that is not released.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Live {
    pub(super) parts: u64,
    pub(super) bytes: u64,
}

/// One session.
#[derive(Debug, Default)]
struct Parts {
    known: BTreeMap<Spot, Known>,
    /// Bytes of the entries that are not released.
    bytes: u64,
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
    /// What is not released, by turn.
    pending: BTreeMap<Position, (SessionId, Spot)>,
    /// What of it does not lie where its turn says, by place.
    moved: BTreeMap<Position, (SessionId, Spot)>,
    /// What of it lies in which file.
    live: BTreeMap<u64, Live>,
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
                Some(at) => Standing::Pending {
                    file: at.place.file,
                    end: at.end,
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

    /// Notes an entry that was written. One that was there before in its place is replaced, and
    /// leaves it its turn: the later of two was written because the first had not become durable, or
    /// because its file is to go.
    pub(super) fn add(&mut self, file: u64, entry: &Entry) {
        let place = Position {
            file,
            offset: entry.offset,
        };
        let mut at = At {
            turn: place,
            place,
            end: entry.end(),
        };
        let parts = self.sessions.entry(entry.session).or_default();
        parts.is_found = !self.is_open;
        if let Some(old) = parts.known.get(&entry.spot).and_then(|known| known.at) {
            at.turn = old.turn;
            self.strike(entry.session, &old);
        }
        self.put_down(entry.session, entry.spot, at);
        let digest = entry.digest;
        let known = Known {
            digest,
            at: Some(at),
        };
        if let Some(parts) = self.sessions.get_mut(&entry.session) {
            parts.known.insert(entry.spot, known);
        }
    }

    /// A copy of an entry, which MUST be durable, stands for it from now on. Nothing happens if it
    /// was released meanwhile, or does not lie `from` where it was copied.
    pub(super) fn moved(&mut self, from: Position, file: u64, copy: &Entry) {
        let (session, spot) = (copy.session, copy.spot);
        let known = self.sessions.get_mut(&session);
        let known = known.and_then(|parts| parts.known.get_mut(&spot));
        let Some(Known {
            digest,
            at: Some(at),
        }) = known
        else {
            return;
        };
        if at.place != from || *digest != copy.digest {
            return;
        }
        let old = *at;
        at.place = Position {
            file,
            offset: copy.offset,
        };
        at.end = copy.end();
        let new = *at;
        self.strike(session, &old);
        self.put_down(session, spot, new);
    }

    /// Notes where an entry lies.
    fn put_down(&mut self, session: SessionId, spot: Spot, at: At) {
        if let Some(parts) = self.sessions.get_mut(&session) {
            parts.bytes = parts.bytes.saturating_add(at.bytes());
        }
        self.pending.insert(at.turn, (session, spot));
        if at.turn != at.place {
            self.moved.insert(at.place, (session, spot));
        }
        let live = self.live.entry(at.place.file).or_default();
        live.parts = live.parts.saturating_add(1);
        live.bytes = live.bytes.saturating_add(at.bytes());
        self.pending_bytes = self.pending_bytes.saturating_add(at.bytes());
    }

    /// Takes that back.
    fn strike(&mut self, session: SessionId, at: &At) {
        if let Some(parts) = self.sessions.get_mut(&session) {
            parts.bytes = parts.bytes.saturating_sub(at.bytes());
        }
        self.pending.remove(&at.turn);
        self.moved.remove(&at.place);
        if let Some(live) = self.live.get_mut(&at.place.file) {
            live.parts = live.parts.saturating_sub(1);
            live.bytes = live.bytes.saturating_sub(at.bytes());
            if live.parts == 0 {
                self.live.remove(&at.place.file);
            }
        }
        self.pending_bytes = self.pending_bytes.saturating_sub(at.bytes());
    }

    /// From now on sessions are gone on with, rather than found. Entries were found in the order of
    /// their places, and one that was moved may lie behind what follows it in its session: the
    /// parts of a session share its turns in the order of the recording.
    pub(super) fn opens(&mut self) {
        self.is_open = true;
        for (session, parts) in &mut self.sessions {
            let held = || parts.known.values().filter_map(|known| known.at);
            if held().is_sorted_by_key(|at| at.turn) {
                continue;
            }
            let mut turns: Vec<Position> = held().map(|at| at.turn).collect();
            turns.sort_unstable();
            let mut turns = turns.into_iter();
            for (spot, known) in &mut parts.known {
                let Some(at) = &mut known.at else { continue };
                let Some(turn) = turns.next() else { break };
                at.turn = turn;
                self.pending.insert(turn, (*session, *spot));
                self.moved.remove(&at.place);
                if at.turn != at.place {
                    self.moved.insert(at.place, (*session, *spot));
                }
            }
        }
    }

    /// Takes back what was noted about a part that did not become durable.
    pub(super) fn retract(&mut self, session: SessionId, spot: Spot) {
        let parts = self.sessions.get_mut(&session);
        if let Some(at) = parts
            .and_then(|parts| parts.known.remove(&spot))
            .and_then(|known| known.at)
        {
            self.strike(session, &at);
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
        let at = known.at?;
        if !is_durable(at.place.file, at.end) {
            return None;
        }
        known.at = None;
        self.strike(session, &at);
        self.released.push_back((session, spot));
        while self.released.len() > RELEASED_MAX {
            self.forget_oldest();
        }
        Some(at.place.file)
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

    /// Bytes of the entries of each session that are not released.
    pub(super) fn bytes_of_sessions(&self) -> Vec<(SessionId, u64)> {
        let all = self.sessions.iter().filter(|(_, parts)| parts.bytes > 0);
        all.map(|(session, parts)| (*session, parts.bytes))
            .collect()
    }

    /// Parts that are not released, in the order of their turns, after one.
    pub(super) fn pending_after(
        &self,
        after: Option<Position>,
    ) -> impl Iterator<Item = (Position, SessionId, Spot)> {
        use std::ops::Bound;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let range = self.pending.range((from, Bound::Unbounded));
        range.map(|(position, (session, spot))| (*position, *session, *spot))
    }

    /// The entries of a session that are not released, after a spot.
    pub(super) fn pending_of(
        &self,
        session: SessionId,
        after: Option<Spot>,
    ) -> impl Iterator<Item = (At, Spot)> {
        use std::ops::Bound;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let parts = self.sessions.get(&session).into_iter();
        parts
            .flat_map(move |parts| parts.known.range((from, Bound::Unbounded)))
            .filter_map(|(spot, known)| known.at.map(|at| (at, *spot)))
    }

    /// The part that is read last and is not released.
    pub(super) fn newest(&self) -> Option<(Position, SessionId, Spot)> {
        let (position, (session, spot)) = self.pending.last_key_value()?;
        Some((*position, *session, *spot))
    }

    /// Bytes of the entries that are not released.
    pub(super) fn pending_bytes(&self) -> u64 {
        self.pending_bytes
    }

    /// Entries of one segment that are not released.
    pub(super) fn pending_in(
        &self,
        session: SessionId,
        segment: u32,
    ) -> impl Iterator<Item = (At, Spot)> {
        let spot = |place| Spot { segment, place };
        let range = spot(Place::Frame(0))..=spot(Place::Seal);
        let parts = self.sessions.get(&session).into_iter();
        parts
            .flat_map(move |parts| parts.known.range(range.clone()))
            .filter_map(|(spot, known)| known.at.map(|at| (at, *spot)))
    }

    /// How many entries are not released.
    pub(super) fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// What of a file is not released.
    pub(super) fn live_in(&self, file: u64) -> Live {
        self.live.get(&file).copied().unwrap_or_default()
    }

    /// What lies in a file from an offset on and is not released, in the order of its places.
    pub(super) fn lying_in(&self, file: u64, offset: u64) -> Vec<(SessionId, Spot, At)> {
        let end = Position {
            file,
            offset: u64::MAX,
        };
        let range = Position { file, offset }..=end;
        let (turns, moved) = (self.pending.range(range.clone()), self.moved.range(range));
        let mut found: Vec<_> = turns
            .chain(moved)
            .filter_map(|(at, (session, spot))| {
                let known = self.at(*session, *spot)?;
                // Its turn may be here, and its place not.
                (known.place == *at).then_some((*session, *spot, known))
            })
            .collect();
        found.sort_unstable_by_key(|(_, _, at)| at.place);
        found
    }

    /// Where a part that is not released lies.
    pub(super) fn at(&self, session: SessionId, spot: Spot) -> Option<At> {
        self.sessions.get(&session)?.known.get(&spot)?.at
    }
}
