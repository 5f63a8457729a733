//! Whether the wall clock can be believed enough to delete something by it.
//!
//! A clock that jumps ten years ahead makes everything old. So whoever deletes by age watches the
//! clock beside the monotonic one, and after a jump, in either direction, deletes nothing for
//! [`SETTLE_NS`]: time for somebody to read the event `retention.paused` and set the clock right.

/// How long nothing is deleted after a jump of the clock: 24 hours of monotonic time.
pub const SETTLE_NS: u64 = 24 * 3600 * 1_000_000_000;

/// A difference between the clocks' paces that counts as a jump: five minutes between two looks.
pub const JUMP_NS: u64 = 300 * 1_000_000_000;

/// At a start, the clock has jumped if it is further than this from the newest time that was written
/// down before: seven days, so that a service that stood still over a weekend goes on at once.
pub const START_JUMP_NS: u64 = 7 * 24 * 3600 * 1_000_000_000;

/// A jump of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jump {
    /// How far it jumped ahead; negative: back. Nanoseconds.
    pub ahead_ns: i64,
    /// Until when nothing is deleted, by the clock as it is now: UTC nanoseconds since 1970.
    pub until_utc_ns: u64,
}

/// Watches the clock.
#[derive(Debug, Clone, Default)]
pub struct Steady {
    last: Option<(u64, u64)>,
    newest_utc_ns: Option<u64>,
    paused_until_ns: u64,
}

impl Steady {
    /// `newest_utc_ns`: the newest time that was written down before this start, if any.
    #[must_use]
    pub fn new(newest_utc_ns: Option<u64>) -> Self {
        Self {
            newest_utc_ns,
            ..Self::default()
        }
    }

    /// Looks at both clocks, nanoseconds. Answers a jump since the look before.
    pub fn look(&mut self, monotonic_ns: u64, utc_ns: u64) -> Option<Jump> {
        let (ahead, most) = match (self.last, self.newest_utc_ns) {
            (Some((monotonic, utc)), _) => {
                let passed = monotonic_ns.saturating_sub(monotonic);
                (between(utc.saturating_add(passed), utc_ns), JUMP_NS)
            }
            (None, Some(newest)) => (between(newest, utc_ns), START_JUMP_NS),
            (None, None) => (0, JUMP_NS),
        };
        self.last = Some((monotonic_ns, utc_ns));
        if ahead.unsigned_abs() <= most {
            return None;
        }
        self.paused_until_ns = monotonic_ns.saturating_add(SETTLE_NS);
        Some(Jump {
            ahead_ns: ahead,
            until_utc_ns: utc_ns.saturating_add(SETTLE_NS),
        })
    }

    /// Whether something may be deleted by its age at this monotonic time.
    #[must_use]
    pub fn may_delete(&self, monotonic_ns: u64) -> bool {
        self.last.is_some() && monotonic_ns >= self.paused_until_ns
    }
}

fn between(from: u64, to: u64) -> i64 {
    let difference = i128::from(to) - i128::from(from);
    i64::try_from(difference).unwrap_or(if difference < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3600 * 1_000_000_000;
    const YEARS: u64 = 10 * 365 * 24 * HOUR;
    const NOW: u64 = 1_795_305_600_000_000_000;

    #[test]
    fn a_jump_in_either_direction_stops_deletions_for_a_day() {
        let mut steady = Steady::new(Some(NOW));
        assert!(!steady.may_delete(0), "nobody looked yet");
        assert_eq!(steady.look(0, NOW + HOUR), None);
        assert!(steady.may_delete(0));
        assert_eq!(steady.look(HOUR, NOW + 2 * HOUR), None);
        let jump = steady.look(2 * HOUR, NOW + 3 * HOUR + YEARS).unwrap();
        assert_eq!(jump.ahead_ns, i64::try_from(YEARS).unwrap());
        assert!(!steady.may_delete(25 * HOUR));
        assert_eq!(steady.look(20 * HOUR, NOW + 21 * HOUR + YEARS), None);
        // Back again: the day begins anew.
        let back = steady.look(21 * HOUR, NOW + 22 * HOUR).unwrap();
        assert!(back.ahead_ns < 0);
        assert!(!steady.may_delete(44 * HOUR) && steady.may_delete(45 * HOUR));
    }

    #[test]
    fn at_a_start_the_clock_is_compared_with_what_was_written_down() {
        for (newest, jumps) in [
            (NOW, false),
            (NOW - 6 * 24 * HOUR, false),
            (NOW - 8 * 24 * HOUR, true),
            (NOW + YEARS, true),
            (0, true),
        ] {
            let mut steady = Steady::new(Some(newest));
            assert_eq!(steady.look(5, NOW).is_some(), jumps, "{newest}");
            assert_eq!(steady.may_delete(5), !jumps);
        }
        let mut steady = Steady::new(None);
        assert_eq!(steady.look(5, NOW), None);
        assert!(steady.may_delete(5));
    }
}
