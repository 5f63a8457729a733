//! How far away a peer is, and so how large a window it needs. One that is larger does harm: OpenSSH reads ahead as much
//! as it may send, into a buffer that it makes anew, as large as all that is in it, for each piece. Thirty-two
//! mebibytes cost it two and a half seconds of a processor, two cost ten milliseconds.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::limits::{STREAM_BYTES_PER_SECOND, STREAM_WINDOW_BYTES, WINDOW_BYTES};

/// What is known of it.
pub(super) struct Distance {
    /// The least time, in nanoseconds, that an answer has taken; as much as there is while there was none.
    least_ns: AtomicU64,
}

impl Default for Distance {
    fn default() -> Self {
        Self {
            least_ns: AtomicU64::new(u64::MAX),
        }
    }
}

impl Distance {
    /// It has answered within this time: something that needs no thought.
    pub(super) fn answered(&self, within: Duration) {
        let ns = u64::try_from(within.as_nanos()).unwrap_or(u64::MAX);
        self.least_ns.fetch_min(ns, Ordering::Relaxed);
    }

    /// The window of a channel that streams, in bytes: half of it fills the line. While nothing is known, the largest.
    pub(super) fn window(&self) -> u32 {
        let ns = u128::from(self.least_ns.load(Ordering::Relaxed));
        let bytes = ns * u128::from(2 * STREAM_BYTES_PER_SECOND) / 1_000_000_000;
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        bytes.clamp(WINDOW_BYTES, STREAM_WINDOW_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_near_has_a_small_window_and_who_is_far_or_unknown_a_large_one() {
        let distance = Distance::default();
        assert_eq!(distance.window(), STREAM_WINDOW_BYTES);
        distance.answered(Duration::from_millis(200));
        assert_eq!(distance.window(), STREAM_WINDOW_BYTES);
        distance.answered(Duration::from_millis(167));
        assert_eq!(distance.window(), 33_400_000);
        distance.answered(Duration::from_millis(40));
        assert_eq!(distance.window(), 8_000_000);
        distance.answered(Duration::from_secs(1));
        assert_eq!(distance.window(), 8_000_000, "the least counts");
        distance.answered(Duration::from_micros(300));
        assert_eq!(distance.window(), WINDOW_BYTES);
    }
}
