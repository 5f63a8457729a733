//! How far the keeper has read, for whoever asks for a listing: what was durable when the question
//! came is in the answer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a listing waits at most for the keeper to read what was durable when it was asked for.
/// Beyond it the answer says that there is more.
pub const READ_WITHIN: Duration = Duration::from_secs(1);

/// Counts what has arrived, and how much of that was read.
#[derive(Default)]
pub(super) struct Reading {
    arrived: AtomicU64,
    read: Mutex<u64>,
    moved: Condvar,
}

impl Reading {
    /// Something has become durable.
    pub(super) fn arrived(&self) {
        self.arrived.fetch_add(1, Ordering::AcqRel);
    }

    /// How often that was said.
    pub(super) fn so_far(&self) -> u64 {
        self.arrived.load(Ordering::Acquire)
    }

    /// Everything that was durable at that count has been read.
    pub(super) fn read_up_to(&self, count: u64) {
        let mut read = self.lock();
        if count > *read {
            *read = count;
            self.moved.notify_all();
        }
    }

    /// Waits until everything is read that is durable now; `false` if it was not in that time.
    pub(super) fn wait(&self, at_most: Duration) -> bool {
        let (wanted, began) = (self.so_far(), Instant::now());
        let mut read = self.lock();
        while *read < wanted {
            let Some(rest) = at_most.checked_sub(began.elapsed()) else {
                return false;
            };
            (read, _) = self
                .moved
                .wait_timeout(read, rest)
                .unwrap_or_else(PoisonError::into_inner);
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_waits_for_what_had_arrived_and_for_nothing_that_comes_later() {
        let reading = Reading::default();
        assert!(reading.wait(Duration::ZERO));
        reading.arrived();
        reading.arrived();
        assert!(!reading.wait(Duration::ZERO));
        reading.read_up_to(1);
        assert!(!reading.wait(Duration::from_millis(1)));
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| reading.wait(Duration::from_secs(60)));
            reading.read_up_to(2);
            assert!(waits.join().unwrap());
        });
        reading.read_up_to(1);
        assert!(reading.wait(Duration::ZERO), "it never goes back");
    }
}
