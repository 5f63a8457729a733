//! How long to wait before trying again: exponential with a cap, and full jitter, so that two
//! thousand hosts do not come back at once.

use std::sync::Arc;
use std::time::Duration;

use crate::random::Random;

/// Doublings after which the cap has long been reached.
const DOUBLINGS_MAX: u32 = 20;

/// The waits of one thing that is tried again and again.
pub(super) struct Backoff {
    random: Arc<dyn Random>,
    first: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    pub(super) fn new(random: Arc<dyn Random>, first: Duration, max: Duration) -> Self {
        Self {
            random,
            first,
            max,
            failures: 0,
        }
    }

    /// It worked: the next wait is a short one again.
    pub(super) fn worked(&mut self) {
        self.failures = 0;
    }

    /// It failed: how long to wait now.
    pub(super) fn failed(&mut self) -> Duration {
        let wait = jittered(&*self.random, self.first, self.max, self.failures);
        self.failures = self.failures.saturating_add(1);
        wait
    }
}

/// A wait between nothing and `first` doubled for each failure before, at most `max`. Without
/// randomness the longest of them.
pub(super) fn jittered(
    random: &dyn Random,
    first: Duration,
    max: Duration,
    failures: u32,
) -> Duration {
    let doubled = first.saturating_mul(1 << failures.min(DOUBLINGS_MAX));
    let longest = doubled.min(max);
    let mut bytes = [0; 4];
    match random.fill(&mut bytes) {
        Ok(()) => longest.mul_f64(f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)),
        Err(_) => longest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::SimRandom;

    #[test]
    fn waits_grow_to_the_cap_are_spread_and_begin_anew_when_it_worked() {
        let (first, max) = (Duration::from_millis(100), Duration::from_secs(30));
        let mut longest = [Duration::ZERO; 40];
        for seed in 0..200 {
            let mut backoff = Backoff::new(Arc::new(SimRandom::new(seed)), first, max);
            for slot in &mut longest {
                *slot = backoff.failed().max(*slot);
            }
            backoff.worked();
            assert!(backoff.failed() <= first);
        }
        for (n, longest) in longest.iter().enumerate() {
            let bound = first.saturating_mul(1 << n.min(9)).min(max);
            assert!(*longest <= bound && *longest > bound.mul_f64(0.9), "{n}");
        }
    }
}
