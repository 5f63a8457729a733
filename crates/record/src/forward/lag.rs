//! How far behind the service is: the age of the oldest part that it has not received.
//!
//! A spool does not know when its parts came, so a few marks are kept: at this moment, so much was
//! there.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::spool::Pending;

/// Marks that are kept; when there are more, every second one goes, so that an age over a long
/// outage is less precise and takes no more memory.
const MARKS_MAX: usize = 512;

/// Time between two marks, at least.
const MARK_EVERY: Duration = Duration::from_millis(50);

/// The marks, oldest first.
#[derive(Default)]
pub(super) struct Lag {
    marks: VecDeque<(Instant, Pending)>,
    passed: Option<Pending>,
}

impl Lag {
    /// Something came: `newest` is the last part there is.
    pub(super) fn note(&mut self, now: Instant, newest: impl FnOnce() -> Option<Pending>) {
        let last = self.marks.back().map(|(at, _)| *at);
        if last.is_some_and(|last| now.saturating_duration_since(last) < MARK_EVERY) {
            return;
        }
        let Some(newest) = newest().filter(|newest| self.is_ahead(newest)) else {
            return;
        };
        if let Some((_, last)) = self.marks.back()
            && !last.is_before(&newest)
        {
            return;
        }
        if self.marks.len() >= MARKS_MAX {
            let mut index = 0usize;
            self.marks.retain(|_| {
                index = index.saturating_add(1);
                index % 2 == 1
            });
        }
        self.marks.push_back((now, newest));
    }

    /// The service has received everything up to this part.
    pub(super) fn pass(&mut self, part: &Pending) {
        if !self.is_ahead(part) {
            return;
        }
        self.passed = Some(*part);
        while self
            .marks
            .front()
            .is_some_and(|(_, mark)| !part.is_before(mark))
        {
            self.marks.pop_front();
        }
    }

    /// Age of the oldest part that is not received; zero if there is none.
    pub(super) fn age(&self, now: Instant) -> Duration {
        let oldest = self.marks.front();
        oldest.map_or(Duration::ZERO, |(at, _)| now.saturating_duration_since(*at))
    }

    fn is_ahead(&self, part: &Pending) -> bool {
        self.passed.is_none_or(|passed| passed.is_before(part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::sample_parts;
    use crate::sim::SimDisk;
    use crate::{Spool, SpoolOptions};
    use hansard_core::Sink;
    use std::path::Path;
    use std::sync::Arc;

    #[test]
    fn the_age_is_that_of_the_oldest_part_that_has_not_been_received() {
        let disk = Arc::new(SimDisk::new(1));
        let mut spool = Spool::open(Path::new("/s"), disk, SpoolOptions::default()).unwrap();
        let parts = sample_parts(1).unwrap();
        let begin = Instant::now();
        let at = |seconds: usize| begin + Duration::from_secs(seconds as u64);
        let mut lag = Lag::default();
        for (n, part) in parts.iter().take(10).enumerate() {
            spool.put(std::slice::from_ref(part)).unwrap();
            lag.note(at(n), || spool.newest());
            lag.note(at(n) + Duration::from_millis(1), || spool.newest());
        }
        let pending = spool.pending(None, 100);
        assert_eq!(lag.age(at(10)), Duration::from_secs(10));
        lag.pass(&pending[3]);
        assert_eq!(lag.age(at(10)), Duration::from_secs(6));
        // What was received once and is sent again makes nothing older.
        lag.pass(&pending[0]);
        lag.pass(&pending[9]);
        assert_eq!(lag.age(at(10)), Duration::ZERO);
        lag.note(at(11), || spool.newest());
        assert_eq!(lag.age(at(20)), Duration::ZERO);
    }
}
