//! What a forwarder tells about itself: for metrics, and for people who ask why nothing arrives.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::forward::lag::Lag;
use crate::spool::{Pending, Spool};

/// The state of a forwarder, looked at from outside.
pub struct Status {
    spool: Spool,
    inner: Mutex<Inner>,
}

#[derive(Default)]
pub(super) struct Inner {
    pub(super) counts: Counts,
    pub(super) connected_since: Option<Instant>,
    pub(super) last_error: Option<(Instant, String)>,
    pub(super) busy: Option<String>,
    pub(super) lag: Lag,
}

/// What has been counted since the program started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) connections: u64,
    pub(super) failures: u64,
    pub(super) parts_sent: u64,
    pub(super) bytes_sent: u64,
    pub(super) retries: u64,
    pub(super) conflicts: u64,
    pub(super) refusals: u64,
    pub(super) damaged: u64,
    pub(super) parts_aside: u64,
}

/// The state at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// For how long the service has been answering on this connection; `None` without one.
    pub connected_for: Option<Duration>,
    /// What went wrong last, and how long ago.
    pub last_error: Option<(Duration, String)>,
    /// Why the service takes nothing at the moment, if it says so.
    pub busy: Option<String>,
    /// Age of the oldest part that the service has not received, since this program started.
    pub lag: Duration,
    /// Parts that are not in the service's archive yet.
    pub pending_parts: usize,
    /// Their bytes.
    pub pending_bytes: u64,
    /// Connections on which the service answered.
    pub connections: u64,
    /// Connections that failed, or were not made.
    pub failures: u64,
    /// Parts sent, repeats included.
    pub parts_sent: u64,
    /// Bytes sent, repeats included.
    pub bytes_sent: u64,
    /// Times that the service asked to offer a session again later.
    pub retries: u64,
    /// Sessions in conflict.
    pub conflicts: u64,
    /// Sessions that were refused.
    pub refusals: u64,
    /// Sessions of which a part cannot be read any more.
    pub damaged: u64,
    /// Parts that were put aside.
    pub parts_aside: u64,
}

impl Status {
    pub(super) fn new(spool: Spool) -> Self {
        Self {
            spool,
            inner: Mutex::default(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Parts have come into the spool.
    pub(super) fn note_arrival(&self) {
        self.lock().lag.note(Instant::now(), || self.spool.newest());
    }

    pub(super) fn pass(&self, part: &Pending) {
        self.lock().lag.pass(part);
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.lock().counts);
    }

    pub(super) fn connected(&self) {
        let mut inner = self.lock();
        inner.connected_since = Some(Instant::now());
        inner.counts.connections = inner.counts.connections.saturating_add(1);
    }

    pub(super) fn disconnected(&self, why: &str) {
        let mut inner = self.lock();
        inner.connected_since = None;
        inner.busy = None;
        inner.last_error = Some((Instant::now(), why.to_owned()));
        inner.counts.failures = inner.counts.failures.saturating_add(1);
    }

    /// Something failed that is no fault of the connection.
    pub(super) fn note_error(&self, why: &str) {
        self.lock().last_error = Some((Instant::now(), why.to_owned()));
    }

    /// How it is now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.note_arrival();
        let usage = self.spool.usage();
        let now = Instant::now();
        let since = |then: Instant| now.saturating_duration_since(then);
        let inner = self.lock();
        let counts = inner.counts;
        Snapshot {
            connected_for: inner.connected_since.map(since),
            last_error: inner
                .last_error
                .as_ref()
                .map(|(at, why)| (since(*at), why.clone())),
            busy: inner.busy.clone(),
            lag: inner.lag.age(now),
            pending_parts: usage.parts,
            pending_bytes: usage.pending_bytes,
            connections: counts.connections,
            failures: counts.failures,
            parts_sent: counts.parts_sent,
            bytes_sent: counts.bytes_sent,
            retries: counts.retries,
            conflicts: counts.conflicts,
            refusals: counts.refusals,
            damaged: counts.damaged,
            parts_aside: counts.parts_aside,
        }
    }
}
