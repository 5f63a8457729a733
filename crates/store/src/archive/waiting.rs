//! What an archive holds in memory: where chains end, the open pack, and closed packs that are not
//! written yet. All of it may be lost: senders have it too.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, OnceLock};

use hansard_core::SessionId;
use hansard_core::seal::Digest;

use super::{SegmentId, Settled, fork};
use crate::catalog::Advanced;
use crate::chain::{Alarm, Tip};
use crate::limits::{BLOB_BYTES_MAX, PACK_SEGMENTS_MAX, TIPS_MAX, WAITING_BYTES_MAX};
use crate::pack::{Pack, PackBuilder};
use crate::segment::{SealedSegment, SegmentFacts};

/// What became of a pack's segments, in their order; not set while it waits.
type Outcomes = Arc<OnceLock<Vec<Result<(), Alarm>>>>;

/// A segment's place in a pack that waits.
#[derive(Clone)]
pub(super) struct Ticket {
    outcomes: Outcomes,
    index: usize,
}

impl Ticket {
    /// What became of the segment, once its pack is settled.
    pub(super) fn outcome(&self) -> Option<Result<(), Alarm>> {
        self.outcomes.get()?.get(self.index).cloned()
    }
}

/// A pack that is full, or that must be written for another reason.
#[derive(Clone)]
pub(super) struct Closed {
    pub(super) number: u64,
    pub(super) pack: Arc<Pack>,
    after_loss: Arc<HashSet<SegmentId>>,
    outcomes: Outcomes,
}

impl Closed {
    /// Whether segments before this one of the pack are lost.
    pub(super) fn is_after_loss(&self, facts: &SegmentFacts) -> bool {
        self.after_loss.contains(&(facts.session, facts.number))
    }
}

#[derive(Default)]
pub(super) struct Waiting {
    tips: HashMap<SessionId, Option<Tip>>,
    /// Segments in packs: what they are, and where.
    segments: HashMap<SegmentId, (Digest, Ticket)>,
    /// How many of a session's segments are in packs.
    counts: HashMap<SessionId, usize>,
    open: PackBuilder,
    /// Segments in the open pack before which others are lost.
    open_after_loss: HashSet<SegmentId>,
    open_outcomes: Outcomes,
    open_first_ns: u64,
    closed: VecDeque<Closed>,
    next_number: u64,
    /// A thread is writing the first closed pack; one at a time, so that a session's segments stay
    /// in order.
    pub(super) writing: bool,
}

impl Waiting {
    /// Whether it is known where this session's chain ends.
    pub(super) fn remembers(&self, session: SessionId) -> bool {
        self.tips.contains_key(&session)
    }

    /// Forgets where a chain ends, unless segments wait that it ends with.
    pub(super) fn forget(&mut self, session: SessionId) {
        if !self.counts.contains_key(&session) {
            self.tips.remove(&session);
        }
    }

    /// Notes what the catalog said, unless somebody was faster.
    pub(super) fn learn(&mut self, session: SessionId, tip: Option<Tip>) {
        if self.tips.len() >= TIPS_MAX {
            let counts = &self.counts;
            self.tips.retain(|session, _| counts.contains_key(session));
        }
        self.tips.entry(session).or_insert(tip);
    }

    pub(super) fn tip(&self, session: SessionId) -> Option<&Tip> {
        self.tips.get(&session)?.as_ref()
    }

    /// The segment that waits in this one's place: its content and ticket.
    pub(super) fn find(&self, facts: &SegmentFacts) -> Option<(Digest, Ticket)> {
        self.segments.get(&(facts.session, facts.number)).cloned()
    }

    /// Puts a segment into the open pack, and closes it if that fills it. `None` when too much
    /// waits already.
    pub(super) fn add(
        &mut self,
        (segment, is_after_loss): (&SealedSegment, bool),
        now_ns: u64,
        pack_bytes: u64,
    ) -> Option<Ticket> {
        if self.size().0 > WAITING_BYTES_MAX {
            return None;
        }
        if self.open.bytes_with(segment) > BLOB_BYTES_MAX as u64 {
            // A pack that no store takes would wait for ever, and everything behind it.
            self.close();
        }
        if self.open.segments() == 0 {
            self.open_first_ns = now_ns;
        }
        let facts = segment.facts();
        let ticket = Ticket {
            outcomes: self.open_outcomes.clone(),
            index: self.open.segments(),
        };
        self.open.push(segment);
        let key = (facts.session, facts.number);
        self.segments.insert(key, (facts.content, ticket.clone()));
        if is_after_loss {
            self.open_after_loss.insert(key);
        }
        *self.counts.entry(facts.session).or_default() += 1;
        self.tips.insert(facts.session, Some(Tip::from(facts)));
        if self.open.bytes() >= pack_bytes || self.open.segments() >= PACK_SEGMENTS_MAX {
            self.close();
        }
        Some(ticket)
    }

    /// Closes the open pack, if anything is in it.
    pub(super) fn close(&mut self) {
        if self.open.segments() == 0 {
            return;
        }
        self.closed.push_back(Closed {
            number: self.next_number,
            pack: Arc::new(std::mem::take(&mut self.open).finish()),
            after_loss: Arc::new(std::mem::take(&mut self.open_after_loss)),
            outcomes: std::mem::take(&mut self.open_outcomes),
        });
        self.next_number = self.next_number.saturating_add(1);
    }

    pub(super) fn first_closed(&self) -> Option<Closed> {
        self.closed.front().cloned()
    }

    pub(super) fn last_closed(&self) -> Option<u64> {
        self.closed.back().map(|closed| closed.number)
    }

    pub(super) fn due_ns(&self, age_ns: u64) -> Option<u64> {
        (self.open.segments() > 0).then(|| self.open_first_ns.saturating_add(age_ns))
    }

    /// Bytes and segments in packs.
    pub(super) fn size(&self) -> (u64, usize) {
        let closed = self.closed.iter().map(|c| c.pack.bytes().len() as u64);
        (closed.sum::<u64>() + self.open.bytes(), self.segments.len())
    }

    /// The first closed pack is written: says what became of its segments.
    pub(super) fn settle(&mut self, closed: &Closed, advanced: &[Advanced]) -> Vec<Settled> {
        self.closed.pop_front();
        let mut settled = Vec::new();
        for ((facts, ..), advanced) in closed.pack.segments().iter().zip(advanced) {
            let segment = (facts.session, facts.number);
            self.segments.remove(&segment);
            if let Some(count) = self.counts.get_mut(&facts.session) {
                *count -= 1;
                if *count == 0 {
                    self.counts.remove(&facts.session);
                }
            }
            let outcome = match advanced {
                Advanced::Done | Advanced::Already => Ok(()),
                Advanced::Conflict | Advanced::TooEarly => Err(fork(facts)),
            };
            // An ended session's chain need not be remembered, and one that is another's than we
            // thought must not be.
            if facts.is_final || outcome.is_err() {
                self.tips.remove(&facts.session);
            }
            settled.push(Settled { segment, outcome });
        }
        let outcomes = settled.iter().map(|s| s.outcome.clone()).collect();
        // Set once: a closed pack is settled once.
        let _ = closed.outcomes.set(outcomes);
        settled
    }
}

#[cfg(test)]
mod tests {
    use hansard_core::Stream;
    use hansard_core::event::End;
    use hansard_core::seal::SigningKey;
    use hansard_core::writer::{Bounds, SegmentWriter};

    use super::*;
    use crate::project::unknown_header;

    /// A segment of about 15 MiB.
    fn large() -> SealedSegment {
        let key = SigningKey::from_seed([1; 32]);
        let mut header = unknown_header(SessionId::from_bytes([1; 16]));
        header.recorder_key = key.public();
        let bounds = Bounds {
            segment_bytes: u64::MAX,
            segment_raw_bytes: u64::MAX,
            ..Bounds::default()
        };
        let mut writer = SegmentWriter::new(header, key, bounds).unwrap();
        let mut state = 1u64;
        let noise: Vec<u8> = (0..15 * 1024 * 1024)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 24) as u8
            })
            .collect();
        writer.push_data(1, Stream::Output, &noise).unwrap();
        writer.finish(2, &End::default()).unwrap();
        SealedSegment::from_parts(&writer.parts()).unwrap()
    }

    #[test]
    fn no_pack_is_larger_than_a_store_takes_whatever_its_bound() {
        let segment = large();
        let length = segment.bytes().len() as u64;
        let mut waiting = Waiting::default();
        let mut added = 0u64;
        while waiting.add((&segment, false), 0, u64::MAX).is_some() {
            added += 1;
            assert!(added < 10);
        }
        assert!(added * length > BLOB_BYTES_MAX as u64);
        let closed = waiting.first_closed().unwrap();
        assert!(closed.pack.bytes().len() <= BLOB_BYTES_MAX);
        assert!(closed.pack.segments().len() > 3);
    }
}
