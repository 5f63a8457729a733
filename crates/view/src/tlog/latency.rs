//! When tlog writes a message that is not full: a fixed time after the first thing logged since it
//! last did so.

/// tlog's default `latency`.
const LATENCY_NS: u64 = 10_000_000_000;

/// The timer. It starts with the first event after it went off, and a message that was full does
/// not stop it.
#[derive(Debug)]
pub(super) struct Latency {
    after_ns: u64,
    since_ns: Option<u64>,
}

impl Default for Latency {
    fn default() -> Self {
        Self::of(LATENCY_NS)
    }
}

impl Latency {
    /// A timer of this length.
    pub(super) fn of(after_ns: u64) -> Self {
        Self {
            after_ns,
            since_ns: None,
        }
    }

    /// Since when it runs, if it does.
    pub(super) fn since_ns(&self) -> Option<u64> {
        self.since_ns
    }

    /// Whether the timer went off before this moment.
    pub(super) fn is_due(&self, at_ns: u64) -> bool {
        self.since_ns
            .is_some_and(|since| at_ns >= since.saturating_add(self.after_ns))
    }

    /// An event is logged at this moment.
    pub(super) fn start(&mut self, at_ns: u64) {
        self.since_ns.get_or_insert(at_ns);
    }

    /// The timer waits for the next event.
    pub(super) fn stop(&mut self) {
        self.since_ns = None;
    }
}
