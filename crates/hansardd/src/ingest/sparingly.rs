//! What strangers do is told a few times a second, what one host does wrong so many times an hour, and both are
//! counted beyond that: an event is durable and stays, and nobody writes as many of them as they like.

use std::time::{Duration, Instant};

use crate::ingest::limits::{NOT_TAKEN_TOLD_MAX, STRANGERS_TOLD_MAX};

/// How often something was told lately.
#[derive(Debug)]
pub struct Sparingly {
    /// So often at most, within so long.
    at_most: (u32, Duration),
    told: Option<(Instant, u32)>,
    untold: u64,
}

impl Default for Sparingly {
    /// Of strangers.
    fn default() -> Self {
        Self::at_most(STRANGERS_TOLD_MAX, Duration::from_secs(1))
    }
}

impl Sparingly {
    /// Of sessions of one host that are not taken: as many as it may have at a time are told at once.
    #[must_use]
    pub fn of_host() -> Self {
        Self::at_most(NOT_TAKEN_TOLD_MAX, Duration::from_secs(3600))
    }

    fn at_most(told: u32, within: Duration) -> Self {
        Self {
            at_most: (told, within),
            told: None,
            untold: 0,
        }
    }

    /// Whether this is to be told, and if so how many before it were not; it counts as told, or not, from now on.
    pub fn tell(&mut self, now: Instant) -> Option<u64> {
        let (at_most, within) = self.at_most;
        let (since, told) = self
            .told
            .filter(|(since, _)| now.saturating_duration_since(*since) < within)
            .unwrap_or((now, 0));
        self.told = Some((since, told.saturating_add(1)));
        if told >= at_most {
            self.untold = self.untold.saturating_add(1);
            return None;
        }
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_are_told_and_the_next_says_how_many_were_not() {
        let (mut sparingly, now) = (Sparingly::default(), Instant::now());
        let told = (0..100).filter_map(|_| sparingly.tell(now)).count();
        assert_eq!(told, STRANGERS_TOLD_MAX as usize);
        let later = now + Duration::from_secs(1);
        assert_eq!(
            sparingly.tell(later),
            Some(100 - u64::from(STRANGERS_TOLD_MAX))
        );
        assert_eq!(sparingly.tell(later), Some(0));
        let mut of_host = Sparingly::of_host();
        let told = (0..2 * NOT_TAKEN_TOLD_MAX).filter_map(|_| of_host.tell(now));
        assert_eq!(told.count(), NOT_TAKEN_TOLD_MAX as usize);
    }
}
