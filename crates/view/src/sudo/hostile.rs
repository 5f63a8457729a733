//! Broken and hostile sessions of sudo.

use std::io;

use hansard_core::{Body, Stream};
use proptest::prelude::*;

use super::tests::{JSON, Memory, TIMING, gzip, import, read, session};
use super::{SudoDecoder, guess_names};
use crate::codec::{Decoder, copy};

#[test]
fn a_directory_that_is_no_session_is_told_what_it_lacks() {
    let names = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>()
    };
    assert!(
        guess_names(&names(&["log", "timing"]))
            && guess_names(&names(&["log.json", "timing", "x"]))
    );
    assert!(
        !guess_names(&names(&["log"])) && !guess_names(&names(&["timing"])) && !guess_names(&[])
    );
    let seen = read(&Memory::default().with("00", ""));
    assert_eq!(
        seen.error.unwrap(),
        "offset 0: no session of sudo: timing and log.json or log is not in this directory (below \
         sudo's own directory, sessions are three levels down: 00/00/01)"
    );
    let single = crate::parts::Once::new(Box::new(io::empty()), None);
    assert!(
        read(&single)
            .error
            .unwrap()
            .contains("a directory, not a file")
    );
}

#[test]
fn what_is_missing_or_left_over_is_told_and_nothing_is_lost() {
    let timing = "4 1 4\n4 1 5\n3 1 2\n";
    let base = session().with("timing", timing);
    let mut without = base.clone().with("ttyout", b"abcd123");
    without.files.remove("ttyin");
    let seen = read(&without);
    assert_eq!(seen.bytes(Stream::Output), b"abcd123");
    assert_eq!(
        seen.gaps(),
        [
            (3_000_000_000, Some(2), "there is no file ttyin"),
            (2_000_000_000, Some(2), "ttyout is cut"),
        ]
    );
    assert!(
        seen.notices
            .iter()
            .any(|n| n.starts_with("3 bytes of stdout are not in the timing")),
        "{:?}",
        seen.notices
    );
    // Compression that was never finished, and one that was damaged.
    let mut state = 1u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    })
    .take(20_000)
    .collect();
    let whole = gzip(&noise);
    let told = session()
        .with("timing", format!("4 1 {}\n", noise.len()))
        .zipped();
    let mut broken = whole.clone();
    broken[9_000..9_010].fill(0xff);
    for (bytes, fault) in [
        (&whole[..15_000], "its compression was never finished"),
        (&broken, "its compression is damaged"),
    ] {
        let seen = read(&told.clone().with("ttyout", bytes));
        let shown = seen.bytes(Stream::Output);
        assert_eq!(seen.error, None);
        let missing = u64::try_from(noise.len() - shown.len()).unwrap();
        let said = seen.notices.iter().any(|n| n.contains(fault));
        assert!(said, "{:?}", seen.notices);
        assert_eq!(seen.is_damaged, fault.ends_with("damaged"));
        if fault.ends_with("finished") {
            assert!(noise.starts_with(&shown) && shown.len() > 10_000);
            assert_eq!(seen.gaps()[0].1, Some(missing));
        } else {
            // Noise is not compressed, so that only the checksum shows the damage.
            assert_eq!(missing, 0);
        }
    }
    // The same of the timing: what it does not tell of comes at the end, and there is no end.
    let timing = "4 0.1 1\n".repeat(500);
    let all = session()
        .with("ttyout", [b'x'; 500])
        .with("timing", &timing)
        .zipped();
    let zipped = all.files["timing"].clone();
    for cut in 2..zipped.len() {
        let seen = read(&all.clone().with("timing", &zipped[..cut]));
        assert_eq!(
            (seen.error.clone(), seen.bytes(Stream::Output).len()),
            (None, 500),
            "cut at {cut}"
        );
        assert!(!seen.ended() && seen.notices.iter().any(|n| n.contains("the timing is cut")));
    }
}

#[test]
fn every_cut_of_plain_timing_shows_everything() {
    for cut in 0..=TIMING.len() {
        let seen = read(&session().with("timing", &TIMING[..cut]));
        assert_eq!(seen.error, None, "cut at {cut}");
        assert_eq!(seen.bytes(Stream::Output), b"$ ls\r\nx", "cut at {cut}");
        assert_eq!(seen.bytes(Stream::Keystrokes), b"ls\r", "cut at {cut}");
    }
}

#[test]
fn hostile_sessions_are_refused_by_line_or_bounded() {
    for (timing, why) in [
        ("4 1 1\nx 1 1\n", "line 2 (offset 6): in timing: no kind"),
        (
            "4 1 1\n4 1\n",
            "line 2 (offset 6): in timing: no number of bytes",
        ),
        ("4 x 1\n", "line 1 (offset 0): in timing: no interval"),
        (
            "5 1 24\n",
            "line 1 (offset 0): in timing: no lines and columns",
        ),
        (
            "5 1 24 65536\n",
            "line 1 (offset 0): in timing: no lines and columns",
        ),
        (
            "4 999999999 1\n4 999999999 1\n",
            "line 2 (offset 14): the times add up",
        ),
        (
            &"4".repeat(200_000),
            "line 1 (offset 0): the line is longer than 163840",
        ),
    ] {
        let seen = read(&session().with("timing", timing));
        assert!(
            seen.error.as_ref().unwrap().starts_with(why),
            "{:?}",
            seen.error
        );
    }
    for (log, why) in [
        ("[1]", "not a JSON object"),
        ("{\"timestamp\":{}}", "no seconds"),
        (&"[".repeat(100_000), "recursion"),
        (
            &format!("[{}]", ",".repeat(500_000)),
            "more than 400000 values",
        ),
        (&" ".repeat(5_000_000), "longer than 4194304 bytes"),
    ] {
        let mut inputs = session().with("log.json", log);
        inputs.files.remove("log");
        let error = read(&inputs).error.unwrap();
        assert!(
            error.starts_with("offset 0: in log.json: ") && error.contains(why),
            "{error}"
        );
    }
    // Little that unpacks to much: read as far as the bound, in small pieces.
    let zeros = gzip(&vec![0; 70 << 20]);
    let mut decoder = SudoDecoder::new(&session().zipped().with("ttyout", zeros), import());
    let mut bytes = 0;
    while let Some(event) = decoder.next_event().unwrap() {
        if let Body::Data {
            stream: Stream::Output,
            bytes: piece,
        } = event.body
        {
            assert!(piece.len() <= 32 * 1024);
            bytes += piece.len();
        }
    }
    assert_eq!(bytes, 7 + (64 << 20));
    assert!(decoder.take_notices()[0].ends_with("; there are more, left out"));
}

#[test]
fn more_facts_than_a_header_holds_are_left_out_with_a_notice() {
    let variables: Vec<String> = (0..2000)
        .map(|i| format!("\"V{i}={}\"", "x".repeat(1000)))
        .collect();
    let json = JSON.replace("\"NOTHING\"", &variables.join(","));
    let inputs = session().with("log.json", json);
    let seen = read(&inputs);
    assert!(
        seen.error.is_none() && seen.notices[0].contains("are left out"),
        "{:?}",
        seen.notices
    );
    let mut ours = Vec::new();
    let key = hansard_core::seal::SigningKey::from_seed([9; 32]);
    let mut encoder = crate::segments::SegmentEncoder::new(&mut ours, key);
    copy(&mut SudoDecoder::new(&inputs, import()), &mut encoder).unwrap();
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        log in prop::collection::vec(any::<u8>(), 0..100),
        timing in "([0-9] ?[0-9.]{0,5} ?[0-9A-Z]{0,3} ?[0-9]{0,3}\n?){0,9}",
        bytes in prop::collection::vec(any::<u8>(), 0..100),
        name in "(log|log\\.json)",
    ) {
        let unsure = session().with(&name, log).with("timing", timing);
        read(&unsure);
        read(&unsure.with("ttyout", &bytes).with("timing", [&[0x1f, 0x8b][..], &bytes].concat()));
    }
}
