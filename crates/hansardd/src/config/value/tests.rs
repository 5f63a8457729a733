//! Values as people write them.

use super::*;

#[test]
fn durations_and_sizes_need_their_units() {
    let ms = |text| with_units(text, &TIME_UNITS);
    assert_eq!(ms("30s"), Some(30_000));
    assert_eq!(ms("1h30m"), Some(5_400_000));
    assert_eq!(ms("365d"), Some(365 * 86_400_000));
    assert_eq!(ms("5ms"), Some(5));
    let bytes = |text| with_units(text, &SIZE_UNITS);
    assert_eq!(bytes("64MiB"), Some(64 << 20));
    assert_eq!(bytes("18446744073709551615B"), Some(u64::MAX));
    for wrong in [
        "",
        "30",
        "s",
        "-1s",
        "1.5h",
        "1 h",
        "30S",
        "5y",
        "99999999999999999999s",
    ] {
        assert_eq!(ms(wrong), None, "{wrong}");
    }
    for wrong in [
        "1GB",
        "1gib",
        "18446744073709551616B",
        "16777216TiB",
        "1e3B",
        "0x1B",
    ] {
        assert_eq!(bytes(wrong), None, "{wrong}");
    }
}

#[test]
fn what_is_shown_reads_as_the_same() {
    for value in [
        Span::seconds(90),
        Span::days(365),
        Span::millis(250),
        Span::seconds(0),
    ] {
        let read = with_units(&value.shown(), &TIME_UNITS);
        assert_eq!(read, Some(value.as_millis()), "{}", value.shown());
    }
    for value in [
        Size::kib(64),
        Size::gib(1),
        Size(1),
        Size(0),
        Size(1_000_000),
    ] {
        assert_eq!(with_units(&value.shown(), &SIZE_UNITS), Some(value.0));
    }
    assert_eq!(Span::days(365).shown(), "365d");
}

#[test]
fn hosts_and_ports() {
    let of = |text| HostPort::parse(text).map(|h| h.to_string());
    assert_eq!(of("a.example:3000").unwrap(), "a.example:3000");
    assert_eq!(of("a.example").unwrap(), "a.example:3025");
    assert_eq!(of("[::1]:9").unwrap(), "[::1]:9");
    assert_eq!(of("[2001:db8::7]").unwrap(), "[2001:db8::7]:3025");
    for wrong in [
        "",
        ":1",
        "a:",
        "a:0",
        "a:70000",
        "a b:1",
        "[::1]x",
        "[x]:1",
        "::1",
        "a\u{1b}:1",
    ] {
        assert_eq!(of(wrong), None, "{wrong}");
    }
}
