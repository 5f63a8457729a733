//! A terminal that pours (`yes`, a log of gigabytes) gives way to people who type in others: while they do, it shows no
//! more than a screen could. What is poured costs every processor that relays, records and keeps it, and whoever waits
//! for an echo would wait behind all that. Where nobody types, nothing is held up; pipes are never.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What a terminal may show at once, bytes, before it is held up: a few thousand screens.
const BURST_BYTES: f64 = 1024.0 * 1024.0;

/// What it may show in a second from then on, bytes.
const RATE_BYTES: f64 = 8.0 * 1024.0 * 1024.0;

/// How long after a key somebody is taken to type.
const TYPING: Duration = Duration::from_secs(1);

/// When somebody last typed at any terminal of a node.
#[derive(Debug)]
pub(in crate::ssh) struct Typing {
    began: Instant,
    /// Milliseconds after that, and one more; 0: never.
    last_ms: AtomicU64,
}

impl Default for Typing {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            last_ms: AtomicU64::new(0),
        }
    }
}

impl Typing {
    /// Somebody types.
    pub(super) fn key(&self) {
        self.last_ms.fetch_max(self.now_ms(), Ordering::Relaxed);
    }

    /// Whether somebody does.
    fn is_going_on(&self) -> bool {
        let last_ms = self.last_ms.load(Ordering::Relaxed);
        let since = Duration::from_millis(self.now_ms().saturating_sub(last_ms));
        last_ms > 0 && since < TYPING
    }

    fn now_ms(&self) -> u64 {
        let ms = u64::try_from(self.began.elapsed().as_millis());
        ms.unwrap_or(u64::MAX).saturating_add(1)
    }
}

/// What one terminal may show.
pub(super) struct Pace {
    rest_bytes: f64,
    at: Instant,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self {
            rest_bytes: BURST_BYTES,
            at: Instant::now(),
        }
    }

    /// It has shown so much; answers how long it has to wait now.
    pub(super) fn shown(&mut self, bytes: usize, typing: &Typing) -> Option<Duration> {
        let now = Instant::now();
        let grown = now.duration_since(self.at).as_secs_f64() * RATE_BYTES;
        self.at = now;
        // What was poured while nobody typed is not held against it later.
        let shown = f64::from(u32::try_from(bytes).unwrap_or(u32::MAX));
        self.rest_bytes = (self.rest_bytes + grown).min(BURST_BYTES) - shown;
        if self.rest_bytes >= 0.0 {
            return None;
        }
        if !typing.is_going_on() {
            self.rest_bytes = 0.0;
            return None;
        }
        Some(Duration::from_secs_f64(-self.rest_bytes / RATE_BYTES))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_beside_somebody_who_types_and_only_what_pours_waits() {
        let typing = Typing::default();
        let mut pace = Pace::new();
        let burst = 1024 * 1024;
        assert_eq!(pace.shown(100 * burst, &typing), None, "nobody types");
        typing.key();
        let waits = pace.shown(8 * burst, &typing).unwrap();
        assert!(waits > Duration::from_millis(500) && waits <= Duration::from_secs(1));
        let mut calm = Pace::new();
        assert_eq!(calm.shown(burst / 2, &typing), None, "that is no flood");
    }
}
