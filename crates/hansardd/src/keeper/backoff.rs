//! When to try again what failed.

/// First pause after a failure, nanoseconds; each further one is twice as long.
const PAUSE_FIRST_NS: u64 = 50_000_000;

/// Longest pause. What is tried again is local, so nobody is crowded out by it.
const PAUSE_NS_MAX: u64 = 5_000_000_000;

/// The pauses of one thing.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    /// Set while it fails: when to try again, and how long the pause was.
    failing: Option<(u64, u64)>,
}

impl Backoff {
    pub(super) fn failed(&mut self, now_ns: u64) {
        let pause = match self.failing {
            None => PAUSE_FIRST_NS,
            Some((_, pause)) => pause.saturating_mul(2).min(PAUSE_NS_MAX),
        };
        self.failing = Some((now_ns.saturating_add(pause), pause));
    }

    pub(super) fn succeeded(&mut self) {
        self.failing = None;
    }

    /// Whether it may be tried now.
    pub(super) fn may_try(&self, now_ns: u64) -> bool {
        self.failing.is_none_or(|(until_ns, _)| now_ns >= until_ns)
    }

    pub(super) fn is_failing(&self) -> bool {
        self.failing.is_some()
    }

    /// When it may be tried again, if it failed.
    pub(super) fn due_ns(&self) -> Option<u64> {
        self.failing.map(|(until_ns, _)| until_ns)
    }
}
