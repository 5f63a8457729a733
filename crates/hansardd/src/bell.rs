//! Wakes whoever waits for something that may have happened meanwhile, without a queue.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A bell. Clones are the same bell.
///
/// Whoever waits reads [`Bell::rung`] first, then looks whether there is something to do, and then
/// waits since that reading: what came in between is not missed.
#[derive(Clone, Default)]
pub struct Bell(Arc<Inner>);

#[derive(Default)]
struct Inner {
    rung: Mutex<u64>,
    waits: Condvar,
}

impl Bell {
    /// Wakes all who wait.
    pub fn ring(&self) {
        let mut rung = self.lock();
        *rung = rung.wrapping_add(1);
        drop(rung);
        self.0.waits.notify_all();
    }

    /// How often it has rung.
    #[must_use]
    pub fn rung(&self) -> u64 {
        *self.lock()
    }

    /// Waits until it has rung since that reading, at most for so long.
    pub fn wait(&self, since: u64, at_most: Duration) {
        let began = Instant::now();
        let mut rung = self.lock();
        while *rung == since {
            let Some(rest) = at_most.checked_sub(began.elapsed()) else {
                return;
            };
            (rung, _) = self
                .0
                .waits
                .wait_timeout(rung, rest)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        self.0.rung.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
