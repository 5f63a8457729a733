//! Broken and hostile typescripts.

use std::io::{Cursor, Read};

use hansard_core::event::Gap;
use hansard_core::{Body, Stream};
use proptest::prelude::*;

use super::tests::{
    DONE, HEADER, SHOWN, Seen, TIMING, TYPED, drain, import, out, read, text, with_input,
};
use super::{TypescriptDecoder, guess};
use crate::codec::Decoder;

#[test]
fn what_is_missing_or_left_over_is_told_and_nothing_is_lost() {
    let notice = |seen: &Seen, what: &str| {
        assert!(
            seen.error.is_none() && seen.notices.iter().any(|n| n.contains(what)),
            "{:?}",
            seen.notices
        );
    };
    // Longer timing.
    let seen = read(
        format!("{HEADER}abc").as_bytes(),
        Some("0.1 2\n0.2 4\n0.3 50\n"),
    );
    assert_eq!(seen.bytes(Stream::Output), b"abc");
    notice(
        &seen,
        "53 bytes that the timing tells of are not in the typescript",
    );
    notice(&seen, "no end");
    let gap = Gap {
        cause: "the typescript holds less than the timing tells of".into(),
        from_ns: 300_000_000,
        bytes: Some(53),
        ..Gap::default()
    };
    assert_eq!(
        (
            seen.events.last().unwrap().at_ns,
            &seen.events.last().unwrap().body
        ),
        (600_000_000, &Body::Gap(gap))
    );
    // Bytes left over.
    let seen = read(&out(b"abcdef"), Some("0.1 2\n"));
    assert_eq!(seen.bytes(Stream::Output), b"abcdef");
    notice(&seen, "4 bytes of the typescript are not in its timing");
    assert_eq!(seen.end().unwrap().exit_status, Some(3));
    // A torn last line.
    for torn in ["0.1 2\n0.", "0.1 2\n0.2 ", "0.1 2\n0.2 3"] {
        let seen = read(&out(b"abcdef"), Some(torn));
        assert_eq!(seen.bytes(Stream::Output), b"abcdef");
        let left = if torn.ends_with('3') { 1 } else { 4 };
        notice(&seen, &format!("{left} bytes of the typescript are not in"));
        assert_eq!(
            seen.notices.iter().any(|n| n.contains("is not whole")),
            !torn.ends_with('3'),
            "{torn}"
        );
    }
    // No first line.
    let seen = read(b"\x1b[1mbold\r\nx", Some("0.1 9\n0.1 2\n"));
    assert_eq!(seen.bytes(Stream::Output), b"\x1b[1mbold\r\nx");
    notice(&seen, "the first line is not script's own");
    let Body::Start(session) = &seen.events[0].body else {
        panic!("no session first")
    };
    assert_eq!(session.start_utc_ns, 5_000_000_000);
    // Somebody printed a last line: it counts as output, as the timing says.
    let fake = "\nScript done on x [COMMAND_EXIT_CODE=\"0\"]\n";
    let seen = read(
        format!("{HEADER}ab{fake}").as_bytes(),
        Some(&format!("0.1 {}\n", 2 + fake.len())),
    );
    assert_eq!(seen.bytes(Stream::Output), format!("ab{fake}").as_bytes());
    assert!(seen.end().is_none());
}

#[test]
fn every_cut_of_either_file_reads_and_shows_what_is_there() {
    let file = out(&SHOWN[..17]);
    let typed = out(&TYPED[..9]);
    for cut in 1..=file.len() {
        let seen = drain(with_input(&file[..cut], TIMING.as_bytes(), &typed));
        assert_eq!(seen.error, None);
        let shown = seen.bytes(Stream::Output);
        let first = if cut < HEADER.len() { 0 } else { HEADER.len() };
        assert!(file[first..cut].starts_with(&shown), "cut at {cut}");
        assert!(shown.len() >= (cut - first).min(17), "cut at {cut}");
    }
    for cut in 0..=TIMING.len() {
        let seen = drain(with_input(&file, &TIMING.as_bytes()[..cut], &typed));
        assert_eq!(seen.error, None, "cut at {cut}");
        let shown = seen.bytes(Stream::Output);
        assert_eq!(text(&shown), text(&SHOWN[..17]), "cut at {cut}");
    }
}

#[test]
fn hostile_timing_is_refused_by_line_or_bounded() {
    for (timing, why) in [
        ("0.1 2\nO 0.1 2\n", "line 2 (offset 6): in the timing"),
        (
            "0.1 2\n0.1\n",
            "line 2 (offset 6): in the timing: no number of bytes",
        ),
        ("0.1 -2\n", "line 1 (offset 0): in the timing: no number"),
        ("1e9 2\n", "line 1 (offset 0): in the timing: no interval"),
        ("nan 2\n", "line 1"),
        (
            "O 0.1 2\n0.1 2\n",
            "line 2 (offset 8): in the timing: no entry",
        ),
        (
            "999999999 2\n999999999 2\n",
            "line 2 (offset 12): the times add up",
        ),
        ("O 0.1 2\n\u{1}\n", "line 2"),
    ] {
        let seen = read(&out(b"abcdef"), Some(timing));
        assert!(
            seen.error.as_ref().unwrap().starts_with(why),
            "{timing}: {:?}",
            seen.error
        );
    }
    // A count that is absurd reads what is there.
    let seen = read(
        &out(b"abc"),
        Some("0.1 18446744073709551615\n0.1 18446744073709551615\n"),
    );
    assert_eq!(
        (seen.error.clone(), seen.bytes(Stream::Output)),
        (None, [b"abc", DONE.as_bytes()].concat())
    );
    // Endless lines and endless facts.
    let endless: Box<dyn Read> = Box::new(std::io::repeat(b'x'));
    let seen = drain(TypescriptDecoder::new(&b"abc"[..], Some(endless), import()));
    assert!(seen.error.unwrap().contains("longer than 163840 bytes"));
    let facts: String = ["SHELL", "COMMAND", "TERM", "TTY"]
        .iter()
        .map(|name| format!("H 0 {name} {}\n", "x".repeat(150_000)))
        .collect();
    let seen = read(b"abc", Some(&facts));
    assert!(
        seen.error.unwrap().starts_with("line 4 (offset 450"),
        "bounded facts"
    );
    let endless = Cursor::new(HEADER).chain(std::io::repeat(b'x'));
    let mut decoder = TypescriptDecoder::new(endless, None, import());
    let bytes: usize = (0..1000)
        .map(|_| match decoder.next_event().unwrap().unwrap().body {
            Body::Data { bytes, .. } => bytes.len(),
            _ => 0,
        })
        .sum();
    assert!(bytes > 998 * 32 * 1024 - 1 && bytes <= 1000 * 32 * 1024);
}

#[test]
fn typescripts_are_recognised() {
    for (begins, is) in [
        (&b"Script started on Sat Nov 21 05:40:43 2026\n$ "[..], true),
        (b"Script started on 2026", true),
        (b"Skript gestartet am 2026-11-21 [TERM=\"xterm\"]\n$ ", true),
        (b"Script", false),
        (b"$ ls\r\n", false),
        (b"{\"version\": 2}\n", false),
        (b"a [b=\"c\"]", false),
        (b"", false),
    ] {
        assert_eq!(guess(begins), is, "{}", text(begins));
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        out in prop::collection::vec(any::<u8>(), 0..200),
        timing in "([OISHZ] )?[0-9.]{0,4} ?(COLUMNS|LINES|EXIT_CODE|MARK|GAP|SIGWINCH)?[ 0-9-]{0,9}\n([OISHZ0] ?[ 0-9.]{0,9}\n?){0,9}",
    ) {
        let _ = guess(&out);
        read(&out, Some(&timing));
    }
}
