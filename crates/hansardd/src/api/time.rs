//! Times as the API writes and reads them: RFC 3339, written in UTC to the millisecond.

use hansard_view::calendar::{civil, days};

const DAY_S: i64 = 86_400;
const SECOND_NS: u64 = 1_000_000_000;

/// A time as text.
#[must_use]
pub(super) fn text(utc_ns: u64) -> String {
    let (secs, ms) = (utc_ns / SECOND_NS, utc_ns / 1_000_000 % 1000);
    let day = i64::try_from(secs / 86_400).unwrap_or(0);
    let (year, month, of_month) = civil(day);
    let (h, m, s) = (secs / 3600 % 24, secs / 60 % 60, secs % 60);
    format!("{year:04}-{month:02}-{of_month:02}T{h:02}:{m:02}:{s:02}.{ms:03}Z")
}

/// UTC nanoseconds since 1970 of a time with `Z` or an offset; `None` if it is not one, or before
/// 1970 or after 2262.
#[must_use]
pub(super) fn parse(text: &str) -> Option<u64> {
    let (date, rest) = text.split_at_checked(10)?;
    let clock = rest.strip_prefix(['T', 't', ' '])?;
    let (hms, rest) = clock.split_at_checked(8)?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(hms, ':', [2, 2, 2])?;
    let day_number = days(year, month, day);
    if civil(day_number) != (year, month, day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (fraction, zone) = match rest.strip_prefix('.') {
        Some(rest) => {
            let end = rest.find(|c: char| !c.is_ascii_digit())?;
            rest.split_at_checked(end)
                .filter(|(digits, _)| !digits.is_empty())?
        }
        None => ("", rest),
    };
    let offset_s = match zone {
        "Z" | "z" => 0,
        _ => {
            let (sign, hm) = zone.split_at_checked(1)?;
            let [hours, minutes] = numbers(hm, ':', [2, 2])?;
            let offset = hours * 3600 + minutes * 60;
            match sign {
                "+" if hours < 24 && minutes < 60 => offset,
                "-" if hours < 24 && minutes < 60 => -offset,
                _ => return None,
            }
        }
    };
    let secs = day_number * DAY_S + hour * 3600 + minute * 60 + second - offset_s;
    let nanos: String = fraction
        .chars()
        .chain("000000000".chars())
        .take(9)
        .collect();
    let ns = u64::try_from(secs)
        .ok()?
        .checked_mul(SECOND_NS)?
        .checked_add(nanos.parse().ok()?)?;
    (ns <= hansard_store::catalog::rows::TIME_NS_MAX).then_some(ns)
}

/// Numbers of exactly these lengths between separators.
fn numbers<const N: usize>(text: &str, separator: char, lengths: [usize; N]) -> Option<[i64; N]> {
    let mut found = [0; N];
    let mut parts = text.split(separator);
    for (slot, length) in found.iter_mut().zip(lengths) {
        let part = parts.next()?;
        if part.len() != length || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        *slot = part.parse().ok()?;
    }
    parts.next().is_none().then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_there_and_back() {
        assert_eq!(text(0), "1970-01-01T00:00:00.000Z");
        let ns = 1_795_219_200_123_000_000;
        assert_eq!(text(ns), "2026-11-21T00:00:00.123Z");
        for same in [
            "2026-11-21T00:00:00.123Z",
            "2026-11-21T01:30:00.123+01:30",
            "2026-11-20 19:00:00.123000-05:00",
            "2026-11-21t00:00:00.123000000999z",
        ] {
            assert_eq!(parse(same), Some(ns), "{same}");
        }
        for bad in [
            "",
            "now",
            "2026-11-21",
            "2026-11-21T00:00:00",
            "2026-02-30T00:00:00Z",
            "2026-11-21T24:00:00Z",
            "2026-11-21T00:00:00.Z",
            "1969-12-31T23:59:59Z",
            "2263-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
            "2026-11-21T00:00:00+24:00",
            "2026-11-21T00:00:00ZZ",
            "2026-11-2éT00:00:00Z",
            "+026-11-21T00:00:00Z",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
