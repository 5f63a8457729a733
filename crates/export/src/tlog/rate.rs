//! tlog's limit of the rate: a bucket for each recording, from which bytes leak at the rate and which
//! holds a burst besides. What happens to a message that does not fit is the action.

const NS_PER_S: u128 = 1_000_000_000;

/// What is done with a message that is over the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It passes: there is no limit.
    Pass,
    /// It waits; the session that it is of does not.
    Delay,
    /// It is left out, and is missing between its neighbours.
    Drop,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Pass, Self::Delay, Self::Drop];

    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Delay => "delay",
            Self::Drop => "drop",
        }
    }

    /// Reads it.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == word)
    }
}

/// The limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Bytes in a second.
    pub rate: u64,
    /// Bytes that may come at once besides.
    pub burst: u64,
    /// What happens to more.
    pub action: Action,
}

/// What is to be done with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is written.
    Write,
    /// It is asked about again at this moment.
    Wait {
        /// Nanoseconds of the clock that was asked with.
        until_ns: u64,
    },
    /// It is left out.
    Drop,
}

/// How much of a recording was written lately.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bucket {
    level: u64,
    at_ns: u64,
}

impl Bucket {
    /// Whether a message of so many bytes is written at this moment; it is counted if so. A message
    /// that is larger than the limit passes alone.
    pub fn ask(&mut self, limit: &Rate, bytes: usize, now_ns: u64) -> Verdict {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        if limit.action == Action::Pass {
            return Verdict::Write;
        }
        let passed_ns = now_ns.saturating_sub(self.at_ns);
        let leaked = u128::from(passed_ns).saturating_mul(u128::from(limit.rate)) / NS_PER_S;
        // Only what leaked is counted as time gone by, so that no part of a byte is ever lost.
        if leaked > 0 || self.level == 0 {
            self.level = self
                .level
                .saturating_sub(u64::try_from(leaked).unwrap_or(u64::MAX));
            self.at_ns = now_ns;
        }
        let most = limit.rate.saturating_add(limit.burst);
        let filled = self.level.saturating_add(bytes);
        if filled <= most || self.level == 0 {
            self.level = filled;
            return Verdict::Write;
        }
        match limit.action {
            Action::Drop => Verdict::Drop,
            _ => {
                let over = u128::from((filled - most).min(self.level));
                let wait = (over * NS_PER_S).div_ceil(u128::from(limit.rate.max(1)));
                let wait = u64::try_from(wait).unwrap_or(u64::MAX).max(1);
                Verdict::Wait {
                    until_ns: self.at_ns.saturating_add(wait),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(action: Action) -> Rate {
        Rate {
            rate: 100,
            burst: 50,
            action,
        }
    }

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let mut bucket = Bucket::default();
        let drop = limit(Action::Drop);
        assert_eq!(bucket.ask(&drop, 150, 0), Verdict::Write);
        assert_eq!(bucket.ask(&drop, 1, 0), Verdict::Drop);
        assert_eq!(bucket.ask(&drop, 1, 9_999_999), Verdict::Drop);
        assert_eq!(bucket.ask(&drop, 1, 10_000_000), Verdict::Write);
        assert_eq!(bucket.ask(&drop, 100, 1_010_000_000), Verdict::Write);
        assert_eq!(bucket.ask(&drop, 2, 1_010_000_001), Verdict::Drop);
    }

    #[test]
    fn who_waits_as_long_as_told_passes() {
        let mut bucket = Bucket::default();
        let delay = limit(Action::Delay);
        let mut now = 5;
        for _ in 0..200 {
            match bucket.ask(&delay, 33, now) {
                Verdict::Write => {}
                Verdict::Wait { until_ns } => {
                    assert!(until_ns > now);
                    now = until_ns;
                    assert_eq!(bucket.ask(&delay, 33, now), Verdict::Write);
                }
                Verdict::Drop => panic!("dropped"),
            }
        }
        // 200 messages of 33 bytes less the burst, at 100 a second.
        assert!((64_000_000_000..66_000_000_000).contains(&now), "{now}");
    }

    #[test]
    fn what_is_larger_than_the_limit_passes_alone() {
        let mut bucket = Bucket::default();
        let delay = limit(Action::Delay);
        assert_eq!(bucket.ask(&delay, 1000, 0), Verdict::Write);
        let Verdict::Wait { until_ns } = bucket.ask(&delay, 1000, 1) else {
            panic!("passed");
        };
        assert_eq!(bucket.ask(&delay, 1000, until_ns), Verdict::Write);
        let pass = limit(Action::Pass);
        assert_eq!(bucket.ask(&pass, 1 << 30, until_ns), Verdict::Write);
    }
}
