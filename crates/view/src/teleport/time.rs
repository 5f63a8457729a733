//! Moments as Teleport writes them: RFC 3339 in UTC, without the zeros that end a fraction.

use crate::calendar::{civil, days};

const DAY: i64 = 86_400;

/// The text of a moment: whole seconds since 1970 (years 1 to 9999) and nanoseconds.
pub(crate) fn text(seconds: i64, nanos: u32) -> Option<String> {
    let (days, second) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
    let (year, month, day) = civil(days);
    if !(1..=9999).contains(&year) || nanos >= 1_000_000_000 {
        return None;
    }
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let mut text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    if nanos > 0 {
        text.push_str(format!(".{nanos:09}").trim_end_matches('0'));
    }
    text.push('Z');
    Some(text)
}

/// The text of nanoseconds since 1970, to the nearest millisecond.
pub(super) fn text_ms(utc_ns: u64) -> String {
    let ms = rounded_ms(utc_ns);
    let nanos = u32::try_from(ms % 1000).unwrap_or(0) * 1_000_000;
    let seconds = i64::try_from(ms / 1000).unwrap_or(0);
    text(seconds, nanos).unwrap_or_default()
}

/// Writes moments one after another: most are of the same second as the one before.
#[derive(Debug, Default)]
pub(super) struct Clock {
    second: Option<u64>,
    whole: usize,
    text: String,
}

impl Clock {
    /// As [`text_ms`].
    pub(super) fn text_ms(&mut self, utc_ns: u64) -> &str {
        let ms = rounded_ms(utc_ns);
        let (second, ms) = (ms / 1000, ms % 1000);
        if self.second != Some(second) {
            self.second = Some(second);
            self.text = text_ms(second.saturating_mul(1_000_000_000));
            self.whole = self.text.len().saturating_sub(1);
        }
        self.text.truncate(self.whole);
        if ms > 0 {
            let digits = [ms / 100, ms / 10 % 10, ms % 10];
            let kept = digits
                .iter()
                .rposition(|digit| *digit > 0)
                .map_or(0, |last| last + 1);
            self.text.push('.');
            for digit in digits.iter().take(kept) {
                self.text
                    .push(char::from(b'0' + u8::try_from(*digit).unwrap_or(0)));
            }
        }
        self.text.push('Z');
        &self.text
    }
}

/// The nearest millisecond.
pub(super) fn rounded_ms(utc_ns: u64) -> u64 {
    utc_ns / 1_000_000 + u64::from(utc_ns % 1_000_000 >= 500_000)
}

/// Nanoseconds since 1970 of such a text, also with an offset from UTC; `None` for anything else
/// and for moments that do not fit (before 1970, after 2554).
pub(crate) fn parse(text: &str) -> Option<u64> {
    let (date, rest) = text.split_at_checked(10)?;
    let mut parts = date.split('-');
    let mut part = |len| number(parts.next()?, len);
    let (year, month, day) = (part(4)?, part(2)?, part(2)?);
    if parts.next().is_some() || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (clock, rest) = rest.strip_prefix(['T', 't'])?.split_at_checked(8)?;
    let mut parts = clock.split(':');
    let mut part = |max| number(parts.next()?, 2).filter(|n| *n <= max);
    let (hour, minute, second) = (part(23)?, part(59)?, part(60)?);
    let (nanos, zone) = fraction(rest)?;
    let seconds = days(year, month, day) * DAY + hour * 3600 + minute * 60 + second - offset(zone)?;
    u64::try_from(seconds)
        .ok()?
        .checked_mul(1_000_000_000)?
        .checked_add(nanos)
}

fn number(text: &str, len: usize) -> Option<i64> {
    let digits = text.len() == len && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// A fraction of a second in nanoseconds, and what follows it.
fn fraction(text: &str) -> Option<(u64, &str)> {
    let Some(rest) = text.strip_prefix('.') else {
        return Some((0, text));
    };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (fraction, zone) = rest.split_at_checked(digits)?;
    if fraction.is_empty() {
        return None;
    }
    let mut nanos = 0;
    for i in 0..9 {
        let digit = fraction
            .as_bytes()
            .get(i)
            .map_or(0, |b| u64::from(b - b'0'));
        nanos = nanos * 10 + digit;
    }
    Some((nanos, zone))
}

fn offset(zone: &str) -> Option<i64> {
    if matches!(zone, "Z" | "z") {
        return Some(0);
    }
    let sign = match zone.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    Some(sign * (number(hours, 2)? * 3600 + number(minutes, 2)? * 60))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn moments_that_others_know() {
        for (ns, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_515_031_960_245_000_000, "2018-01-04T02:12:40.245Z"),
            (951_782_400_000_000_000, "2000-02-29T00:00:00Z"),
            (1_606_780_799_500_000_000, "2020-11-30T23:59:59.5Z"),
        ] {
            assert_eq!(parse(text), Some(ns), "{text}");
            assert_eq!(text_ms(ns), text);
        }
        assert_eq!(
            parse("2018-01-04T04:12:40.245+02:00"),
            parse("2018-01-04T02:12:40.245Z")
        );
        assert_eq!(
            super::text(-62_135_596_800, 0).unwrap(),
            "0001-01-01T00:00:00Z"
        );
        assert_eq!(super::text(i64::MAX, 0), None);
        assert_eq!(super::text(i64::MIN, 0), None);
    }

    #[test]
    fn what_is_no_moment_is_none() {
        for bad in [
            "",
            "2018",
            "2018-01-04",
            "2018-01-04T02:12:40",
            "2018-01-04T02:12:40.Z",
            "2018-13-04T02:12:40Z",
            "2018-01-04T24:12:40Z",
            "2018-1-04T02:12:400Z",
            "1969-12-31T23:59:59Z",
            "9999-01-01T00:00:00Z",
            "2018-01-04T02:12:40+2",
            "é018-01-04T02:12:40Z",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn there_and_back(ms in 0u64..18_000_000_000_000) {
            prop_assert_eq!(parse(&text_ms(ms * 1_000_000)), Some(ms * 1_000_000));
        }

        #[test]
        fn a_clock_says_the_same(steps in proptest::collection::vec(0u64..2_000_000_000, 1..50)) {
            let (mut clock, mut now) = (Clock::default(), 1_515_031_960_000_000_000);
            for step in steps {
                now += step;
                prop_assert_eq!(clock.text_ms(now), text_ms(now));
                prop_assert_eq!(clock.text_ms(now / 1_000_000_000 * 1_000_000_000), text_ms(now / 1_000_000_000 * 1_000_000_000));
            }
        }
    }
}
