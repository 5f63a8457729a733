//! Days of UTC, and the names of their files.

use hansard_view::calendar::{civil, days};

/// Nanoseconds of a day.
pub const DAY_NS: u64 = 86_400_000_000_000;

/// A day of UTC, counted from 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub u64);

impl Day {
    /// The day of a moment, UTC nanoseconds since 1970.
    #[must_use]
    pub fn of(utc_ns: u64) -> Self {
        Self(utc_ns / DAY_NS)
    }

    /// When it ends, UTC nanoseconds since 1970.
    #[must_use]
    pub fn end_ns(self) -> u64 {
        self.0.saturating_add(1).saturating_mul(DAY_NS)
    }

    /// The name of its file, as Teleport has it: `2026-11-21.00:00:00.log`.
    #[must_use]
    pub fn file_name(self) -> String {
        let (year, month, day) = civil(i64::try_from(self.0).unwrap_or(0));
        format!("{year:04}-{month:02}-{day:02}.00:00:00.log")
    }

    /// The day of a file of this name, compressed or not.
    #[must_use]
    pub fn of_file(name: &str) -> Option<Self> {
        let (date, rest) = name.split_once(".00:00:00.log")?;
        let is_ours = rest.is_empty() || rest.strip_suffix(".gz").is_some_and(is_turn);
        let mut numbers = date.splitn(3, '-').map(str::parse::<u32>);
        let (Ok(year), Ok(month), Ok(day)) = (numbers.next()?, numbers.next()?, numbers.next()?)
        else {
            return None;
        };
        let found = u64::try_from(days(year.into(), month.into(), day.into())).ok()?;
        let found = Self(found);
        // Only the one way of writing it is a name of ours.
        (is_ours && found.file_name().starts_with(date)).then_some(found)
    }

    /// The name of its compressed file; `turn` counts those of a day that came back because the
    /// clock was set.
    #[must_use]
    pub fn compressed_name(self, turn: u32) -> String {
        match turn {
            0 => format!("{}.gz", self.file_name()),
            turn => format!("{}.{turn}.gz", self.file_name()),
        }
    }
}

/// A moment of UTC as text (RFC 3339), to the second that has begun.
#[must_use]
pub fn text(utc_ns: u64) -> String {
    let (year, month, day) = civil(i64::try_from(utc_ns / DAY_NS).unwrap_or(0));
    let second = utc_ns % DAY_NS / 1_000_000_000;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// What stands between `.log` and `.gz`: nothing, or a number.
fn is_turn(text: &str) -> bool {
    text.is_empty()
        || text
            .strip_prefix('.')
            .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_there_and_back() {
        for day in [0, 59, 11_016, 20_778, 25_000, 100_000] {
            let day = Day(day);
            assert_eq!(Day::of_file(&day.file_name()), Some(day));
            assert_eq!(Day::of_file(&day.compressed_name(0)), Some(day));
            assert_eq!(Day::of_file(&day.compressed_name(7)), Some(day));
        }
        assert_eq!(
            Day::of(1_795_305_600_000_000_000).file_name(),
            "2026-11-22.00:00:00.log"
        );
        assert_eq!(text(1_795_305_599_999_999_999), "2026-11-21T23:59:59Z");
        for other in [
            "",
            "cursor",
            "2026-11-21.00:00:00.log.gz.new",
            "2026-11-21.00:00:00.log.x.gz",
            "2026-11-31.00:00:00.log",
            "2026-11-21.00:00:00.lo",
            "26-11-21.00:00:00.log",
            "+026-11-21.00:00:00.log",
        ] {
            assert_eq!(Day::of_file(other), None, "{other}");
        }
    }
}
