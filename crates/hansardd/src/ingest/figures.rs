//! What ingest counts, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters since the program started.
#[derive(Debug, Default)]
pub struct Figures {
    pub(super) accepted: AtomicU64,
    pub(super) turned_away: AtomicU64,
    pub(super) connected: AtomicU64,
    pub(super) parts: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) batches: AtomicU64,
    pub(super) put_again: AtomicU64,
    pub(super) retries: AtomicU64,
    pub(super) conflicts: AtomicU64,
    pub(super) refusals: AtomicU64,
    pub(super) stored_told: AtomicU64,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshot {
    /// Connections accepted.
    pub accepted: u64,
    /// Connections closed before they said anything: too many, or not let in.
    pub turned_away: u64,
    /// Hosts connected now.
    pub connected: u64,
    /// Parts received, repeats included.
    pub parts: u64,
    /// Bytes of their records.
    pub bytes: u64,
    /// Batches that were put.
    pub batches: u64,
    /// Times that a batch had to be put again, because the disk or the spool was full.
    pub put_again: u64,
    /// Sessions that hosts were asked to offer again later.
    pub retries: u64,
    /// Sessions in conflict.
    pub conflicts: u64,
    /// Sessions refused.
    pub refusals: u64,
    /// Receipts of class S that were sent.
    pub stored_told: u64,
}

pub(super) fn add(counter: &AtomicU64, n: usize) {
    counter.fetch_add(n as u64, Ordering::Relaxed);
}

impl Figures {
    /// The counters now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Snapshot {
            accepted: get(&self.accepted),
            turned_away: get(&self.turned_away),
            connected: get(&self.connected),
            parts: get(&self.parts),
            bytes: get(&self.bytes),
            batches: get(&self.batches),
            put_again: get(&self.put_again),
            retries: get(&self.retries),
            conflicts: get(&self.conflicts),
            refusals: get(&self.refusals),
            stored_told: get(&self.stored_told),
        }
    }
}
