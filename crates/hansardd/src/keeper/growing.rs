//! Segments that are being read, as many as there is room for: which ones were used last.

use std::collections::{BTreeMap, HashMap};

use hansard_core::SessionId;
use hansard_store::GrowingSegment;

/// Memory of segments being read; beyond it those that were silent for longest are given up. Their
/// next part costs reading them again from the spool, which holds every part of them.
pub const GROWING_BYTES_MAX: usize = 48 * 1024 * 1024;

/// About what a decompressor takes when it has seen little.
const CONTEXT_BYTES: usize = 160 * 1024;

/// Most that its window takes.
const WINDOW_BYTES: u64 = 1280 * 1024;

#[derive(Default)]
pub(super) struct Growing {
    all: HashMap<SessionId, Entry>,
    /// Sessions by when they were used.
    order: BTreeMap<u64, SessionId>,
    uses: u64,
    bytes: usize,
}

struct Entry {
    segment: GrowingSegment,
    used: u64,
    bytes: usize,
}

impl Growing {
    /// Takes a session's segment out, to read on with it.
    pub(super) fn take(&mut self, session: SessionId) -> Option<GrowingSegment> {
        let entry = self.all.remove(&session)?;
        self.order.remove(&entry.used);
        self.bytes = self.bytes.saturating_sub(entry.bytes);
        Some(entry.segment)
    }

    /// Puts it back, at the cost of others.
    pub(super) fn put(&mut self, session: SessionId, segment: GrowingSegment, bytes_max: usize) {
        let window = usize::try_from(segment.raw_bytes().min(WINDOW_BYTES)).unwrap_or(usize::MAX);
        let bytes = CONTEXT_BYTES
            .saturating_add(window)
            .saturating_add(segment.stored_bytes());
        self.uses = self.uses.wrapping_add(1);
        self.order.insert(self.uses, session);
        self.bytes = self.bytes.saturating_add(bytes);
        let used = self.uses;
        self.all.insert(
            session,
            Entry {
                segment,
                used,
                bytes,
            },
        );
        while self.bytes > bytes_max && self.all.len() > 1 {
            let Some((_, oldest)) = self.order.first_key_value() else {
                return;
            };
            let oldest = *oldest;
            self.take(oldest);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }
}
