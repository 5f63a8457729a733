//! Moments as they are written in a question: so long ago, a day, or a day and a time, in UTC.

use crate::calendar::{civil, days};

const NS: u64 = 1_000_000_000;

/// `90s`, `30m`, `2h`, `7d` before now; `2026-11-21`, `2026-11-21T08:00`, `2026-11-21T08:00:30Z`.
/// UTC nanoseconds since 1970; `None` for anything else.
#[must_use]
pub fn utc_ns(text: &str, now_ns: u64) -> Option<u64> {
    ago_ns(text)
        .map(|ns| now_ns.saturating_sub(ns))
        .or_else(|| at_ns(text))
}

fn ago_ns(text: &str) -> Option<u64> {
    let unit = text.chars().next_back()?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return None,
    };
    let number = text.strip_suffix(unit)?;
    if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number: u64 = number.parse().ok()?;
    number.checked_mul(seconds)?.checked_mul(NS)
}

fn at_ns(text: &str) -> Option<u64> {
    let bare = text.strip_suffix('Z').unwrap_or(text);
    let (date, clock) = bare.split_once('T').unwrap_or((bare, "00:00:00"));
    let mut parts = date.split('-').map(number);
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let day_number = days(year, month, day);
    if parts.next().is_some() || civil(day_number) != (year, month, day) {
        return None;
    }
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut parts = clock.split(':').map(number);
    let (hour, minute) = (parts.next()??, parts.next()??);
    let second = match parts.next() {
        Some(second) => second?,
        None => 0,
    };
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let of_day = hour * 3600 + minute * 60 + second;
    let seconds = u64::try_from(day_number * 86_400 + of_day).ok()?;
    seconds.checked_mul(NS)?.checked_add(fraction_ns(fraction)?)
}

fn fraction_ns(digits: &str) -> Option<u64> {
    if digits.len() > 9 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    format!("{digits:0<9}").parse().ok()
}

fn number(text: &str) -> Option<i64> {
    let digits = (1..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}
