//! When tlog writes a message that is not full: a fixed time after the first thing logged since it
//! last did so.

/// tlog's default `latency`.
const LATENCY_NS: u64 = 10_000_000_000;

/// The timer. It starts with the first event after it went off, and a message that was full does
/// not stop it.
#[derive(Debug, Default)]
pub(super) struct Latency {
    since_ns: Option<u64>,
}

impl Latency {
    /// Whether the timer went off before this moment.
    pub(super) fn is_due(&self, at_ns: u64) -> bool {
        self.since_ns
            .is_some_and(|since| at_ns >= since.saturating_add(LATENCY_NS))
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
