//! UTC times: as text, for events, and as certificates have them.

/// `2026-11-21T08:00:00Z` of UTC nanoseconds since 1970; whole seconds.
#[must_use]
pub fn iso(utc_ns: u64) -> String {
    let seconds = utc_ns / 1_000_000_000;
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// Year, month and day of a day since 1970-01-01, by counting in eras of 400 years that begin on a
/// first of March.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

/// UTC seconds since 1970 of a certificate's time (RFC 5280 §4.1.2.5): `YYMMDDhhmmssZ`, of the years
/// 1950 to 2049, or `YYYYMMDDhhmmssZ`. None for anything else, and for times before 1970.
pub(crate) fn seconds(text: &[u8]) -> Option<u64> {
    let mut numbers = [0u64; 7];
    let (digits, [b'Z']) = text.split_last_chunk()? else {
        return None;
    };
    let (pairs, []) = digits.as_chunks::<2>() else {
        return None;
    };
    let numbers = numbers.get_mut(..pairs.len())?;
    for (number, pair) in numbers.iter_mut().zip(pairs) {
        if !pair.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let [ten, one] = pair.map(|c| u64::from(c - b'0'));
        *number = ten * 10 + one;
    }
    let (year, month, day, time) = match *numbers {
        [yy, month, day, h, m, s] if yy < 50 => (2000 + yy, month, day, [h, m, s]),
        [yy, month, day, h, m, s] => (1900 + yy, month, day, [h, m, s]),
        [century, yy, month, day, h, m, s] => (century * 100 + yy, month, day, [h, m, s]),
        _ => return None,
    };
    let [hour, minute, second] = time;
    if hour > 23 || minute > 59 || second > 59 || year < 1970 {
        return None;
    }
    let days = days(year, month, day)?;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

/// The number of a day since 1970-01-01, if there is such a day: [`civil`] backwards.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1..=12).contains(&month) || day == 0 {
        return None;
    }
    let since_march = (month + 9) % 12;
    let year_from_march = year - u64::from(month <= 2);
    let (era, of_era) = (year_from_march / 400, year_from_march % 400);
    let of_year = (153 * since_march + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    let days = days.checked_sub(719_468)?;
    // A 30th of February comes back as a day of March.
    (civil(days) == (year, month, day)).then_some(days)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_799, "2000-02-29T23:59:59Z"),
            (1_795_248_000, "2026-11-21T08:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (7_258_118_400, "2200-01-01T00:00:00Z"),
        ] {
            assert_eq!(iso(seconds * 1_000_000_000 + 999), text);
        }
    }

    #[test]
    fn times_of_certificates() {
        for (text, expected) in [
            ("261121080000Z", "2026-11-21T08:00:00Z"),
            ("700101000000Z", "1970-01-01T00:00:00Z"),
            ("491231235959Z", "2049-12-31T23:59:59Z"),
            ("20500101000000Z", "2050-01-01T00:00:00Z"),
            ("20000229120000Z", "2000-02-29T12:00:00Z"),
            ("21000301000000Z", "2100-03-01T00:00:00Z"),
            ("24000229000000Z", "2400-02-29T00:00:00Z"),
        ] {
            let seconds = seconds(text.as_bytes()).unwrap();
            assert_eq!(iso(seconds * 1_000_000_000), expected.to_owned(), "{text}");
        }
        assert_eq!(seconds(b"99991231235959Z"), Some(253_402_300_799));
        for bad in [
            "",
            "Z",
            "261121080000",
            "2611210800Z",
            "261121080000+0000",
            "500101000000Z",
            "19691231235959Z",
            "21000229000000Z",
            "20270229000000Z",
            "20261301000000Z",
            "20260001000000Z",
            "20260100000000Z",
            "20260432000000Z",
            "20260101240000Z",
            "20260101006000Z",
            "20260101000060Z",
            "2026010100000Z",
            " 0260101000000Z",
            "+0260101000000Z",
        ] {
            assert_eq!(seconds(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn every_day_of_five_centuries_and_back() {
        for day in 0..(500 * 365) {
            let (y, m, d) = civil(day);
            let text = format!("{y:04}{m:02}{d:02}000000Z");
            assert_eq!(seconds(text.as_bytes()), Some(day * 86_400), "{text}");
        }
    }
}
