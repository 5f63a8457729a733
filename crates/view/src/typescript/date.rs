//! Dates in a typescript: `2026-11-21 05:40:43+00:00` today, and what older recorders wrote.

use crate::calendar::{civil, days};

const DAY: i64 = 86_400;
const MONTHS: [&[u8]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

/// A moment that a date names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    /// Seconds since 1970.
    pub(super) seconds: u64,
    /// Whether the date says how far from UTC it is; if not it is taken for UTC.
    pub(super) zoned: bool,
}

/// The moment a date names; nothing if it is not one of the notations known here, or not between
/// 1970 and 9999.
pub(super) fn parse(text: &[u8]) -> Option<Moment> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let (local, offset) = match iso(text) {
        Some(parsed) => parsed,
        None => ctime(text)?,
    };
    let seconds = local.checked_sub(offset.unwrap_or(0))?;
    Some(Moment {
        seconds: u64::try_from(seconds).ok()?,
        zoned: offset.is_some(),
    })
}

/// `2026-11-21 05:40:43+00:00`, the zone with or without its colon, or not there.
fn iso(text: &str) -> Option<(i64, Option<i64>)> {
    let (date, rest) = text.split_once([' ', 'T'])?;
    let mut parts = date.splitn(3, '-').map(number);
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let zone = rest.find(['+', '-', 'Z']).unwrap_or(rest.len());
    let (clock, zone) = rest.split_at_checked(zone)?;
    let offset = match zone {
        "" => None,
        "Z" => Some(0),
        _ => {
            let digits: String = zone.chars().filter(char::is_ascii_digit).collect();
            let hhmm = (digits.len() == 4).then(|| number(&digits)).flatten()?;
            let offset = hhmm / 100 * 3600 + hhmm % 100 * 60;
            Some(if zone.starts_with('-') {
                -offset
            } else {
                offset
            })
        }
    };
    Some((
        days_of(year, month, day)? * DAY + clock_seconds(clock.trim())?,
        offset,
    ))
}

/// `Sat Nov 21 05:40:43 2026` and `Sat 21 Nov 2026 05:40:43 AM UTC`: the words say what they are.
fn ctime(text: &str) -> Option<(i64, Option<i64>)> {
    let (mut year, mut month, mut day, mut clock) = (None, None, None, None);
    let (mut half, mut offset) = (None, None);
    for word in text.split([' ', ',']).filter(|word| !word.is_empty()) {
        let named = MONTHS
            .iter()
            .zip(1..)
            .find(|(name, _)| **name == word.as_bytes());
        match word {
            "AM" => half = Some(0),
            "PM" => half = Some(12),
            "UTC" | "GMT" => offset = Some(0),
            _ if named.is_some() => month = named.map(|(_, n)| n),
            _ if word.contains(':') => clock = Some(clock_seconds(word)?),
            _ if word.len() == 4 && number(word).is_some() => year = number(word),
            _ if word.len() <= 2 && number(word).is_some() => day = number(word),
            _ => {}
        }
    }
    let mut clock = clock?;
    if let Some(half) = half {
        clock = clock % (12 * 3600) + half * 3600;
    }
    Some((days_of(year?, month?, day?)? * DAY + clock, offset))
}

fn number(text: &str) -> Option<i64> {
    let digits = !text.is_empty() && text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

fn clock_seconds(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, ':').map(number);
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    (hour < 24 && minute < 60 && second <= 60).then_some(hour * 3600 + minute * 60 + second)
}

/// Days since 1970 of a date, if it is one between 1969 (of a zone) and 9999.
fn days_of(year: i64, month: i64, day: i64) -> Option<i64> {
    let possible =
        (1..=12).contains(&month) && (1..=31).contains(&day) && (1969..=9999).contains(&year);
    possible.then(|| days(year, month, day))
}

/// A moment as script writes it.
pub(super) fn format(seconds: u64) -> String {
    let (year, month, day) = civil(i64::try_from(seconds / 86_400).unwrap_or(i64::MAX));
    let clock = seconds % 86_400;
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}+00:00",
        clock / 3600,
        clock / 60 % 60,
        clock % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dates_of_every_recorder_are_read() {
        let zoned = |seconds| {
            Some(Moment {
                seconds,
                zoned: true,
            })
        };
        let local = |seconds| {
            Some(Moment {
                seconds,
                zoned: false,
            })
        };
        for (text, moment) in [
            ("2026-11-21 05:40:43+00:00", zoned(1_795_239_643)),
            ("2026-11-21 06:40:43+01:00", zoned(1_795_239_643)),
            ("2026-11-21T00:10:43-0530", zoned(1_795_239_643)),
            ("2026-11-21T05:40:43Z", zoned(1_795_239_643)),
            ("2026-11-21 05:40:43", local(1_795_239_643)),
            ("Sat Nov 21 05:40:43 2026", local(1_795_239_643)),
            ("Sat 21 Nov 2026 05:40:43 AM UTC", zoned(1_795_239_643)),
            ("Sat 21 Nov 2026 05:40:43 PM GMT", zoned(1_795_282_843)),
            ("Thu Jan  1 00:00:00 1970", local(0)),
            ("2000-02-29 12:00:00+00:00", zoned(951_825_600)),
            ("1969-12-31 23:00:00-02:00", zoned(3600)),
            ("1969-12-31 23:00:00+00:00", None),
            ("2026-13-21 05:40:43+00:00", None),
            ("2026-11-21 25:40:43+00:00", None),
            ("99999999999-11-21 05:40:43+00:00", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(parse(text.as_bytes()), moment, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(seconds in 0u64..253_402_300_800) {
            prop_assert_eq!(parse(format(seconds).as_bytes()), Some(Moment { seconds, zoned: true }));
        }
    }
}
