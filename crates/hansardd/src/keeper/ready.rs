//! Sealed segments on their way to the archive.

use std::collections::VecDeque;

use hansard_store::SealedSegment;
use hansard_store::archive::SegmentId;

/// Segments that wait for the archive; at as many the keeper reads no further, and everything waits
/// in the spool.
pub const READY_MAX: usize = 16_384;

/// Bytes of them that are held in memory; the rest are read again from the spool when their turn
/// comes.
pub const READY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Segments and bytes that are given to the archive at once.
const OFFER_SEGMENTS_MAX: usize = 256;
const OFFER_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How long the first of them waits for others while parts keep coming, nanoseconds: fsyncs are
/// shared, and nobody waits for a receipt of class S meanwhile.
const OFFER_AGE_NS: u64 = 100_000_000;

/// One of them.
pub(super) enum Ready {
    Whole(SealedSegment),
    /// To be read again from the spool.
    Later(SegmentId),
}

impl Ready {
    pub(super) fn id(&self) -> SegmentId {
        match self {
            Self::Whole(segment) => (segment.facts().session, segment.facts().number),
            Self::Later(id) => *id,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Whole(segment) => segment.bytes().len(),
            Self::Later(_) => 0,
        }
    }
}

#[derive(Default)]
pub(super) struct ReadyQueue {
    queue: VecDeque<Ready>,
    bytes: usize,
    /// When something came that found nothing waiting.
    since_ns: u64,
}

impl ReadyQueue {
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.queue.len() >= READY_MAX
    }

    /// Whether as much waits as is given to the archive at once, or something for long enough.
    pub(super) fn is_due(&self, now_ns: u64) -> bool {
        let is_old = now_ns.saturating_sub(self.since_ns) >= OFFER_AGE_NS;
        let is_much = self.queue.len() >= OFFER_SEGMENTS_MAX || self.bytes >= OFFER_BYTES_MAX;
        is_much || (is_old && !self.queue.is_empty())
    }

    pub(super) fn push(&mut self, segment: SealedSegment, now_ns: u64) {
        if self.queue.is_empty() {
            self.since_ns = now_ns;
        }
        let ready = match self.bytes.saturating_add(segment.bytes().len()) > READY_BYTES_MAX {
            true => Ready::Later((segment.facts().session, segment.facts().number)),
            false => Ready::Whole(segment),
        };
        self.put(ready);
    }

    /// Puts one behind the others.
    pub(super) fn put(&mut self, ready: Ready) {
        self.bytes = self.bytes.saturating_add(ready.bytes());
        self.queue.push_back(ready);
    }

    /// Takes the first, as many as are given at once.
    pub(super) fn take_offer(&mut self) -> Vec<Ready> {
        let (mut taken, mut bytes) = (Vec::new(), 0usize);
        while taken.len() < OFFER_SEGMENTS_MAX && bytes < OFFER_BYTES_MAX {
            let Some(ready) = self.queue.pop_front() else {
                break;
            };
            self.bytes = self.bytes.saturating_sub(ready.bytes());
            bytes = bytes.saturating_add(ready.bytes());
            taken.push(ready);
        }
        taken
    }

    /// Puts back what was taken, before the others.
    pub(super) fn put_back(&mut self, taken: Vec<Ready>) {
        for ready in taken.into_iter().rev() {
            self.bytes = self.bytes.saturating_add(ready.bytes());
            self.queue.push_front(ready);
        }
    }

    /// Takes out a session's segments from this number on.
    pub(super) fn remove_from(&mut self, (session, number): SegmentId) {
        self.queue
            .retain(|ready| ready.id().0 != session || ready.id().1 < number);
        self.bytes = self.queue.iter().map(Ready::bytes).sum();
    }
}
