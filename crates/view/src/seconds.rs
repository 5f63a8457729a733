//! Decimal seconds in lines of timing, as script and sudo write them.

/// Latest moment a timing may come to, in nanoseconds: [`crate::limits::SECONDS_MAX`].
pub(crate) const NS_MAX: u64 = 1_000_000_000 * 1_000_000_000;

/// An interval: nanoseconds of decimal seconds, rounded down; nothing if it is no plain decimal
/// number or beyond [`NS_MAX`]. A decimal comma is read too: some languages' recorders wrote one.
/// A negative interval (the clock was set back) is none.
pub(crate) fn parse(text: &[u8]) -> Option<u64> {
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut parts = text.splitn(2, |b| matches!(b, b'.' | b','));
    let (whole, fraction) = (parts.next()?, parts.next().unwrap_or_default());
    if whole.is_empty() {
        return None;
    }
    let mut ns = number(whole)?.checked_mul(1_000_000_000)?;
    let mut unit = 100_000_000;
    for byte in fraction {
        ns += u64::from(digit(*byte)?) * unit;
        unit /= 10;
    }
    (ns <= NS_MAX).then_some(if negative { 0 } else { ns })
}

/// A moment: nanoseconds since 1970 of decimal seconds; nothing if it is none or beyond 2554.
pub(crate) fn parse_moment(text: &[u8]) -> Option<u64> {
    let mut parts = text.splitn(2, |b| matches!(b, b'.' | b','));
    let whole = number(parts.next()?)?.checked_mul(1_000_000_000)?;
    let fraction = [b"0.", parts.next().unwrap_or(b"0")].concat();
    whole.checked_add(parse(&fraction)?)
}

/// A number of nothing but digits.
pub(crate) fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |n, byte| {
        n.checked_mul(10)?.checked_add(u64::from(digit(*byte)?))
    })
}

fn digit(byte: u8) -> Option<u8> {
    byte.is_ascii_digit().then(|| byte - b'0')
}

/// The first word of a line and what follows the white space behind it.
pub(crate) fn word(line: &[u8]) -> (&[u8], &[u8]) {
    let line = line.trim_ascii_start();
    let end = line.iter().position(u8::is_ascii_whitespace);
    let (word, rest) = line
        .split_at_checked(end.unwrap_or(line.len()))
        .unwrap_or((line, &[]));
    (word, rest.trim_ascii_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_seconds_are_exact() {
        for (text, ns) in [
            ("0", Some(0)),
            ("0.000001", Some(1000)),
            ("12.345678901999", Some(12_345_678_901)),
            ("3,5", Some(3_500_000_000)),
            ("7.", Some(7_000_000_000)),
            ("-4.2", Some(0)),
            ("1000000000", Some(NS_MAX)),
            ("1000000000.000000001", None),
            ("18446744073709551616", None),
            ("", None),
            ("-", None),
            (".5", None),
            ("1e3", None),
            ("1.5x", None),
            ("+1", None),
            ("nan", None),
        ] {
            assert_eq!(parse(text.as_bytes()), ns, "{text}");
        }
    }

    #[test]
    fn moments_reach_further() {
        assert_eq!(parse_moment(b"1795240063"), Some(1_795_240_063_000_000_000));
        assert_eq!(
            parse_moment(b"1795240063.5"),
            Some(1_795_240_063_500_000_000)
        );
        assert_eq!(parse_moment(b"18446744074"), None);
        assert_eq!(parse_moment(b"-1"), None);
    }

    #[test]
    fn words_stand_between_white_space() {
        assert_eq!(
            word(b"  one \t two three"),
            (&b"one"[..], &b"two three"[..])
        );
        assert_eq!(word(b"one"), (&b"one"[..], &b""[..]));
        assert_eq!(word(b""), (&b""[..], &b""[..]));
    }
}
