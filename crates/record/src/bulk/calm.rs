//! Whether a stream is calm: what people do over pipes is, what copies is not.
//!
//! A bucket of tokens, one a byte. A piece that is no longer than the tokens takes its own and is
//! calm. One that is longer takes all there are, and nothing is calm for a while.

/// Tokens that come in a second: what is slower for ever is calm for ever.
pub(super) const CALM_BYTES_PER_S: u64 = 64 * 1024;

/// Most tokens: what a stream that rested may hand over at once.
pub(super) const CALM_BYTES_MAX: u64 = 64 * 1024;

/// How long nothing is calm after a piece that was not. So a stream becomes calm again at most ten
/// times a second, whoever wants it to, and so often at most a recording says what it left out.
pub(super) const HOLD_NS: u64 = 100_000_000;

const NS_PER_S: u64 = 1_000_000_000;

/// What is known of one stream.
#[derive(Debug)]
pub(super) struct Calm {
    /// Tokens, each [`NS_PER_S`]: a nanosecond is worth a fraction of one.
    credit: u64,
    /// When that was.
    at_ns: u64,
    held_until_ns: u64,
}

impl Default for Calm {
    /// A stream that rested.
    fn default() -> Self {
        Self {
            credit: CALM_BYTES_MAX.saturating_mul(NS_PER_S),
            at_ns: 0,
            held_until_ns: 0,
        }
    }
}

impl Calm {
    /// Takes a piece of so many bytes into account; answers whether the stream is calm with it.
    pub(super) fn takes(&mut self, bytes: usize, now_ns: u64) -> bool {
        let came = now_ns
            .saturating_sub(self.at_ns)
            .saturating_mul(CALM_BYTES_PER_S);
        let full = CALM_BYTES_MAX.saturating_mul(NS_PER_S);
        self.at_ns = now_ns;
        self.credit = self.credit.saturating_add(came).min(full);
        let cost = u64::try_from(bytes)
            .unwrap_or(u64::MAX)
            .saturating_mul(NS_PER_S);
        match self.credit.checked_sub(cost) {
            Some(rest) => {
                self.credit = rest;
                now_ns >= self.held_until_ns
            }
            None => {
                self.credit = 0;
                self.held_until_ns = now_ns.saturating_add(HOLD_NS);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn a_flood_is_never_calm_whatever_its_pieces() {
        // Twice as fast as what is calm, and ten thousand times.
        for (bytes, every_ns) in [
            (1, 7_600),
            (80, 610_000),
            (4096, 31_250_000),
            (32_768, 250 * MS),
            (32_768, 50_000),
            (262_144, 50_000),
        ] {
            let mut calm = Calm::default();
            let (mut now_ns, mut at_first) = (0, 0);
            while calm.takes(bytes, now_ns) {
                (now_ns, at_first) = (now_ns + every_ns, at_first + bytes as u64);
            }
            assert!(at_first < 3 * CALM_BYTES_MAX, "{bytes}: {at_first}");
            for _ in 0..100_000 {
                now_ns += every_ns;
                assert!(!calm.takes(bytes, now_ns), "{bytes} every {every_ns} ns");
            }
        }
    }

    #[test]
    fn who_rests_may_hand_over_much_and_the_hold_ends_whatever_small_is_in_it() {
        let mut calm = Calm::default();
        let all = usize::try_from(CALM_BYTES_MAX).unwrap();
        assert!(calm.takes(all, 5));
        assert!(!calm.takes(1, 6), "nothing is left");
        for ms in 1..100 {
            assert!(!calm.takes(10, 6 + ms * MS), "after {ms} ms");
        }
        assert!(calm.takes(10, 6 + 100 * MS));
        // It rests: what it may hand over grows, and not for ever.
        assert!(calm.takes(all, 2_000 * MS));
        assert!(!calm.takes(all + 1, 60_000 * MS));
        assert!(calm.takes(all, 61_000 * MS));
    }

    #[test]
    fn a_clock_that_stands_or_is_at_its_end_keeps_the_bounds() {
        let mut calm = Calm::default();
        assert!(calm.takes(0, 0));
        assert!(!calm.takes(usize::MAX, u64::MAX));
        assert!(calm.takes(0, u64::MAX), "held until then");
        assert!(!calm.takes(1, u64::MAX));
        assert!(!calm.takes(1, 0), "one that goes back gives nothing");
    }
}
