//! Segments that are being read, as many as there is room for.

use std::collections::HashMap;

use hansard_core::SessionId;
use hansard_store::GrowingSegment;

/// Memory of segments being read; beyond it some are given up. Their next part costs reading them
/// again from the spool, which holds every part of them.
pub const GROWING_BYTES_MAX: usize = 48 * 1024 * 1024;

/// About what a decompressor takes when it has seen little.
const CONTEXT_BYTES: usize = 160 * 1024;

/// Most that its window takes.
const WINDOW_BYTES: u64 = 1280 * 1024;

/// Which one is given up is left to chance: sessions that all say a little take turns, and of those
/// the one that was silent for longest would be the very one that comes next.
#[derive(Default)]
pub(super) struct Growing {
    all: Vec<Entry>,
    places: HashMap<SessionId, usize>,
    bytes: usize,
    chance: u64,
}

struct Entry {
    session: SessionId,
    segment: GrowingSegment,
    bytes: usize,
}

impl Growing {
    /// Takes a session's segment out, to read on with it.
    pub(super) fn take(&mut self, session: SessionId) -> Option<GrowingSegment> {
        let place = self.places.remove(&session)?;
        if place >= self.all.len() {
            return None;
        }
        let entry = self.all.swap_remove(place);
        if let Some(moved) = self.all.get(place) {
            self.places.insert(moved.session, place);
        }
        self.bytes = self.bytes.saturating_sub(entry.bytes);
        Some(entry.segment)
    }

    /// Puts it back, at the cost of others.
    pub(super) fn put(&mut self, session: SessionId, segment: GrowingSegment, bytes_max: usize) {
        let window = usize::try_from(segment.raw_bytes().min(WINDOW_BYTES)).unwrap_or(usize::MAX);
        let bytes = CONTEXT_BYTES
            .saturating_add(window)
            .saturating_add(segment.stored_bytes());
        while self.bytes.saturating_add(bytes) > bytes_max {
            let Some(victim) = self.pick() else {
                break;
            };
            self.take(victim);
        }
        self.take(session);
        self.bytes = self.bytes.saturating_add(bytes);
        self.places.insert(session, self.all.len());
        self.all.push(Entry {
            session,
            segment,
            bytes,
        });
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    fn pick(&mut self) -> Option<SessionId> {
        self.chance = self
            .chance
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        let count = u64::try_from(self.all.len()).ok()?;
        let nth = usize::try_from((self.chance >> 33).checked_rem(count)?).ok()?;
        self.all.get(nth).map(|entry| entry.session)
    }
}
