//! Moments and durations as people write and read them.

use std::str::FromStr;

/// A moment in a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Nanoseconds since the start.
    At(u64),
    /// The end.
    End,
}

impl Moment {
    /// Nanoseconds since the start; the end is beyond every event.
    pub(crate) fn at_ns(self) -> u64 {
        match self {
            Self::At(ns) => ns,
            Self::End => u64::MAX,
        }
    }
}

impl FromStr for Moment {
    type Err = String;

    /// `90`, `90.5`, `1:30`, `1:02:03.5`, `1h2m3s`, `250ms`, `start`, `end`.
    fn from_str(text: &str) -> Result<Self, String> {
        let ns = match text {
            "end" => return Ok(Self::End),
            "start" => Some(0),
            _ if text.contains(':') => clock(text),
            _ if text.ends_with(|c: char| c.is_ascii_alphabetic()) => units(text),
            _ => seconds(text),
        };
        ns.map(Self::At).ok_or_else(|| {
            "not a moment; write seconds (90.5), [H:]M:S (1:30), 1h2m3s, `start` or `end`"
                .to_owned()
        })
    }
}

/// What lies between two moments, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stretch {
    /// Where it begins.
    pub(crate) from: Moment,
    /// Where it ends.
    pub(crate) until: Moment,
}

impl FromStr for Stretch {
    type Err = String;

    /// `FROM..UNTIL`; without the one it begins at the start, without the other it goes to the end.
    fn from_str(text: &str) -> Result<Self, String> {
        let (from, until) = text
            .split_once("..")
            .ok_or("not a stretch; write FROM..UNTIL, such as 1:30..2:00 or 90..")?;
        let moment = |text: &str, open| match text {
            "" => Ok(open),
            text => text.parse(),
        };
        let (from, until) = (moment(from, Moment::At(0))?, moment(until, Moment::End)?);
        if from == Moment::End {
            return Err("it begins at the end, and nothing is behind that".to_owned());
        }
        if from.at_ns() > until.at_ns() {
            return Err("its end is before its beginning".to_owned());
        }
        Ok(Self { from, until })
    }
}

/// Digits with at most nine behind a point, as nanoseconds.
fn seconds(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    let padded: String = fraction
        .chars()
        .chain("000000000".chars())
        .take(9)
        .collect();
    whole
        .parse::<u64>()
        .ok()?
        .checked_mul(1_000_000_000)?
        .checked_add(padded.parse().ok()?)
}

fn clock(text: &str) -> Option<u64> {
    let parts: Vec<&str> = text.split(':').collect();
    let (last, front) = parts.split_last()?;
    if front.len() > 2 {
        return None;
    }
    let minutes = front.iter().try_fold(0u64, |sum, part| {
        // Half a minute would be passed over without a word.
        let is_whole = part.bytes().all(|b| b.is_ascii_digit());
        let part = part.parse::<u64>().ok().filter(|_| is_whole)?;
        sum.checked_mul(60)?.checked_add(part)
    })?;
    minutes
        .checked_mul(60_000_000_000)?
        .checked_add(seconds(last)?)
}

fn units(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut total = 0u64;
    while !rest.is_empty() {
        let number_len = rest.find(|c: char| c.is_ascii_alphabetic())?;
        let (number, tail) = rest.split_at(number_len);
        let unit_len = tail
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_len);
        let ns = seconds(number)?;
        total = total.checked_add(match unit {
            "h" => ns.checked_mul(3600)?,
            "m" | "min" => ns.checked_mul(60)?,
            "s" => ns,
            "ms" => ns / 1000,
            _ => return None,
        })?;
        rest = tail;
    }
    Some(total)
}

/// `0:01.5`, `1:02:03`: minutes and seconds, hours if there are any, tenths if they are not zero.
pub(crate) fn show(ns: u64) -> String {
    let tenths = ns / 100_000_000;
    let (s, t) = (tenths / 10, tenths % 10);
    let (h, m, s) = (s / 3600, s / 60 % 60, s % 60);
    let mut text = if h > 0 {
        format!("{h}:{m:02}:{s:02}")
    } else {
        format!("{m}:{s:02}")
    };
    if t > 0 {
        text.push_str(&format!(".{t}"));
    }
    text
}

/// A moment at which something was there, to be asked for again: the first whole millisecond at which it was.
/// `0:03.007`, `1:02:03`.
pub(crate) fn show_from(ns: u64) -> String {
    let ms = ns.div_ceil(1_000_000);
    let text = show(ms / 1000 * 1_000_000_000);
    match ms % 1000 {
        0 => text,
        ms => format!("{text}.{ms:03}"),
    }
}

/// A UTC time as RFC 3339 with milliseconds; civil calendar after H. Hinnant's algorithm.
pub(crate) fn utc(ns: u64) -> String {
    let (secs, ms) = (ns / 1_000_000_000, ns / 1_000_000 % 1000);
    let (days, secs) = (secs / 86400, secs % 86400);
    // Days since 0000-03-01, so that leap days come last in their year.
    let z = days + 719_468;
    let era = z / 146_097;
    let of_era = z % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (h, m, s) = (secs / 3600, secs / 60 % 60, secs % 60);
    format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{ms:03}Z")
}

/// Bytes in the unit that suits them.
pub(crate) fn bytes(n: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1000)];
    for (unit, size) in UNITS {
        if n >= size {
            return format!("{}.{} {unit}", n / size, n % size * 10 / size);
        }
    }
    format!("{n} bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_as_people_write_them() {
        let s = 1_000_000_000;
        for (text, ns) in [
            ("0", 0),
            ("90", 90 * s),
            ("1.5", 3 * s / 2),
            ("1:30", 90 * s),
            ("1:00:00.25", 3600 * s + s / 4),
            ("2m", 120 * s),
            ("1h2m3s", 3723 * s),
            ("250ms", s / 4),
            ("1.5h", 5400 * s),
            ("start", 0),
        ] {
            assert_eq!(text.parse(), Ok(Moment::At(ns)), "{text}");
        }
        for bad in [
            "",
            "x",
            "-1",
            "1.5:30",
            "1:0.5:30",
            "+1:30",
            "1:2:3:4",
            "1h2",
            "5y",
            "99999999999999999999",
            ":",
            "1..2",
            "h",
        ] {
            assert!(bad.parse::<Moment>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_stretch_has_something_in_it() {
        let at = |s: u64| Moment::At(s * 1_000_000_000);
        for (text, from, until) in [
            ("1:30..2:00", at(90), at(120)),
            ("90..", at(90), Moment::End),
            ("..1m", at(0), at(60)),
            ("start..end", at(0), Moment::End),
        ] {
            assert_eq!(text.parse(), Ok(Stretch { from, until }), "{text}");
        }
        // A link to it would be one to everything.
        for bad in ["end..", "end..end", "2..1", "90", "end..5", "x..", "..y"] {
            assert!(bad.parse::<Stretch>().is_err(), "{bad}");
        }
    }

    #[test]
    fn moments_as_people_read_them() {
        assert_eq!(show(0), "0:00");
        assert_eq!(show(61_500_000_000), "1:01.5");
        assert_eq!(show(3_723_000_000_000), "1:02:03");
        for (ns, shown) in [
            (0, "0:00"),
            (1, "0:00.001"),
            (3_006_802_856, "0:03.007"),
            (3_007_000_000, "0:03.007"),
            (3_999_000_001, "0:04"),
            (3_723_500_000_000, "1:02:03.500"),
        ] {
            assert_eq!(show_from(ns), shown);
            assert!(shown.parse::<Moment>().unwrap().at_ns() >= ns, "{shown}");
        }
        assert_eq!(utc(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(utc(951_782_400_000_000_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(utc(1_795_219_200_123_000_000), "2026-11-21T00:00:00.123Z");
        assert_eq!(bytes(999), "999 bytes");
        assert_eq!(bytes(1_250_000), "1.2 MB");
    }
}
