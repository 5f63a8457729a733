//! What strangers do is told a few times a second, and counted beyond that: an event is durable and stays, and
//! nobody who has not joined writes as many of them as they like.

use std::time::{Duration, Instant};

use crate::ingest::limits::STRANGERS_TOLD_MAX;

/// How often something was told lately.
#[derive(Debug, Default)]
pub struct Sparingly {
    told: Option<(Instant, u32)>,
    untold: u64,
}

impl Sparingly {
    /// Whether this is to be told, and if so how many before it were not; it counts as told, or not, from now on.
    pub fn tell(&mut self, now: Instant) -> Option<u64> {
        let (since, told) = self
            .told
            .filter(|(since, _)| now.saturating_duration_since(*since) < Duration::from_secs(1))
            .unwrap_or((now, 0));
        self.told = Some((since, told.saturating_add(1)));
        if told >= STRANGERS_TOLD_MAX {
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
    }
}
