//! Times as people write them: in UTC, as this program shows them, or so long ago.

use std::str::FromStr;

use hansard_record::Environment;
use hansard_view::calendar::{civil, days};
use hansard_view::question::times::utc_ns;

use crate::moment::{self, Moment};

/// A time in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Time {
    utc_ns: u64,
}

impl Time {
    /// As the service takes it.
    pub(crate) fn text(self) -> String {
        moment::utc(self.utc_ns)
    }

    /// UTC nanoseconds since 1970.
    pub(crate) fn utc_ns(self) -> u64 {
        self.utc_ns
    }

    /// `2h`, `30m`, `7d`, `2w`: so long before now; or a day, or a day and a time.
    pub(crate) fn since(text: &str) -> Result<Self, String> {
        let now = Environment::real().clock.utc_ns();
        let ago = long_ns(text).map(|ns| now.saturating_sub(ns)).ok();
        let utc_ns = ago.or_else(|| utc_ns(text, now));
        let bad =
            "not a time; write 30m, 2h or 7d ago, or 2026-11-21 or 2026-11-21T08:00[:00], in UTC";
        match utc_ns {
            Some(utc_ns) => Ok(Self { utc_ns }),
            None => text.parse().map_err(|_| bad.to_owned()),
        }
    }
}

/// `90s`, `30m`, `1h`, `7d` as nanoseconds.
fn long_ns(text: &str) -> Result<u64, String> {
    let long = match text.strip_suffix('d') {
        Some(days) => days
            .parse::<u64>()
            .ok()
            .and_then(|days| days.checked_mul(86_400_000_000_000)),
        None if text.ends_with(['s', 'm', 'h']) => match text.parse::<Moment>() {
            Ok(Moment::At(ns)) => Some(ns),
            _ => None,
        },
        None => None,
    };
    long.ok_or_else(|| "not a duration; write 90s, 30m, 2h or 7d".to_owned())
}

/// The same as seconds, for options of how long something holds: not at all is no answer.
pub(crate) fn long_s(text: &str) -> Result<u64, String> {
    match long_ns(text)? / 1_000_000_000 {
        0 => Err("that is over at once; write 1s or more".to_owned()),
        s => Ok(s),
    }
}

impl FromStr for Time {
    type Err = String;

    /// `2026-11-21`, `2026-11-21T08:00`, `2026-11-21T08:00:00`, with `Z` or without.
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || "not a time; write 2026-11-21 or 2026-11-21T08:00[:00], in UTC".to_owned();
        let bare = text.strip_suffix('Z').unwrap_or(text);
        let (date, clock) = bare.split_once(['T', ' ']).unwrap_or((bare, "00:00"));
        let numbers = |text: &str, separator: char| -> Option<Vec<i64>> {
            let parts = text.split(separator);
            let number = |part: &str| {
                let digits =
                    (1..=4).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
                digits.then(|| part.parse::<i64>().ok()).flatten()
            };
            parts.map(number).collect()
        };
        let (date, clock) = numbers(date, '-')
            .zip(numbers(clock, ':'))
            .ok_or_else(bad)?;
        let ([year, month, day], [hour, minute, rest @ ..]) = (date.as_slice(), clock.as_slice())
        else {
            return Err(bad());
        };
        let day_number = days(*year, *month, *day);
        let second = rest.first().copied().unwrap_or(0);
        let real = civil(day_number) == (*year, *month, *day);
        if !real || *hour > 23 || *minute > 59 || second > 59 || rest.len() > 1 {
            return Err(bad());
        }
        let seconds = day_number * 86_400 + hour * 3600 + minute * 60 + second;
        let ns = u64::try_from(seconds).ok();
        let utc_ns = ns
            .and_then(|s| s.checked_mul(1_000_000_000))
            .ok_or_else(bad)?;
        Ok(Self { utc_ns })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_people_write_them() {
        for (text, same) in [
            ("2026-11-21", "2026-11-21T00:00:00.000Z"),
            ("2026-11-21T08:00", "2026-11-21T08:00:00.000Z"),
            ("2026-11-21 08:05:09Z", "2026-11-21T08:05:09.000Z"),
        ] {
            assert_eq!(text.parse::<Time>().unwrap().text(), same);
        }
        for bad in [
            "",
            "yesterday",
            "2026-02-30",
            "2026-11-21T24:00",
            "2026-11-21T08",
            "1969-01-01",
            "2026-11-21T08:00:00:00",
            "99999-01-01",
            "2026-11-21T08:00+01:00",
            "-1-1-1",
        ] {
            assert!(bad.parse::<Time>().is_err(), "{bad}");
        }
        for good in [
            "90s",
            "30m",
            "2h",
            "1h30m",
            "7d",
            "2w",
            "2026-11-21",
            "2026-11-21T08:00",
            "2026-11-21 08:05:09Z",
        ] {
            assert!(Time::since(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "2",
            "-1h",
            "start",
            "h",
            "99999999999999999999d",
            "2026-02-30",
        ] {
            assert!(Time::since(bad).is_err(), "{bad}");
        }
    }
}
