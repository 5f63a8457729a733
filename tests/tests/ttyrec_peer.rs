//! Debian's ttyplay plays our ttyrecs, and what Debian's ttyrec recorded reads as what was shown.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod terminal;

use std::fs;
use std::path::Path;
use std::time::Instant;

use hansard_core::{Body, Event, SessionId};
use hansard_tests::{Scratch, skipped};
use hansard_view::ttyrec::{TtyrecDecoder, TtyrecEncoder, guess};
use hansard_view::{Decoder, Import, copy};
use terminal::on_terminal;

fn is_missing() -> bool {
    let there = ["/usr/bin/ttyrec", "/usr/bin/ttyplay"].map(|path| Path::new(path).exists());
    if there != [true, true] {
        skipped("Debian's ttyrec is not installed");
        return true;
    }
    false
}

fn import() -> Import {
    Import {
        id: SessionId::new_v7(1_700_000_000_000, [7; 10]),
        start_utc_ns: 5,
        recorder: "test".to_owned(),
        rec: None,
    }
}

fn read(file: &[u8]) -> Vec<Event> {
    let mut decoder = TtyrecDecoder::new(file, import());
    let events = std::iter::from_fn(|| decoder.next_event().unwrap()).collect();
    assert_eq!(decoder.take_notices(), Vec::<String>::new());
    events
}

fn shown(events: &[Event]) -> Vec<u8> {
    let mut all = Vec::new();
    for event in events {
        if let Body::Data { bytes, .. } = &event.body {
            all.extend_from_slice(bytes);
        }
    }
    all
}

#[test]
fn what_debians_ttyrec_recorded_reads_as_what_was_shown() {
    if is_missing() {
        return;
    }
    let scratch = Scratch::new("ttyrec");
    let file = scratch.join("file");
    let program = r#"
        printf 'name? '; read -r name; printf 'hello %s \377\303( \000 \033[1mbold\033[m\r\n' "$name"
        seq 1 3000; sleep 0.3; printf end
    "#;
    let command = ["ttyrec", "-e", program, file.to_str().unwrap()];
    let began = Instant::now();
    let seen = on_terminal(&command, &[("name? ", "anna\r", None)]);
    let lasted = began.elapsed().as_nanos();
    assert!(
        seen.status.success(),
        "{}",
        String::from_utf8_lossy(&seen.stderr)
    );
    let recorded = fs::read(&file).unwrap();
    assert!(guess(&recorded[..recorded.len().min(4096)]));
    let events = read(&recorded);
    assert!(
        shown(&events) == seen.stdout,
        "{} of {} bytes",
        shown(&events).len(),
        seen.stdout.len()
    );
    let last = u128::from(events.last().unwrap().at_ns);
    assert!((300_000_000..=lasted).contains(&last), "{last} of {lasted}");
    // And through us it is the same file.
    let mut again = Vec::new();
    copy(
        &mut TtyrecDecoder::new(&recorded[..], import()),
        &mut TtyrecEncoder::new(&mut again),
    )
    .unwrap();
    assert!(again == recorded);
}

#[test]
fn debians_ttyplay_plays_our_ttyrecs() {
    if is_missing() {
        return;
    }
    let scratch = Scratch::new("ttyplay");
    let (file, played) = (scratch.join("file"), scratch.join("played"));
    let mut noise = 7u64;
    let mut bodies = vec![
        Body::Start(Box::new(session())),
        Body::Resize {
            cols: 100,
            rows: 30,
        },
    ];
    for i in 0..300u64 {
        let len = if i == 50 { 300_000 } else { i % 90 };
        let bytes = (0..len).map(|_| {
            noise = noise
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (noise >> 56) as u8
        });
        let stream = hansard_core::Stream::Output;
        bodies.push(Body::Data {
            stream,
            bytes: bytes.collect(),
        });
    }
    let events: Vec<_> = bodies
        .into_iter()
        .zip(0..)
        .map(|(body, seq)| Event {
            seq,
            // One long pause, before anything that ttyplay could have slept too long over.
            at_ns: seq * 333_333 + u64::from(seq > 3) * 300_000_000,
            body,
        })
        .collect();
    let mut out = Vec::new();
    let mut encoder = TtyrecEncoder::new(&mut out);
    for event in &events {
        use hansard_view::Encoder as _;
        match &event.body {
            Body::Start(session) => encoder.begin(session).unwrap(),
            _ => encoder.event(event).unwrap(),
        }
    }
    fs::write(&file, &out).unwrap();
    let expected = shown(&events);
    // It lasts 400 ms, less what ttyplay takes off for having slept too long: on a busy machine it is
    // given several chances.
    for (how, least_ms) in [("-n", 0), ("", 200)] {
        // It wants a terminal to be steered from; what it shows goes past that.
        let line = format!("ttyplay {how} {} >{}", file.display(), played.display());
        let lasts = (0..10).any(|_| {
            let began = Instant::now();
            let done = on_terminal(&["sh", "-c", &line], &[]);
            assert!(
                done.status.success(),
                "{}",
                String::from_utf8_lossy(&[done.stdout, done.stderr].concat())
            );
            let took = began.elapsed().as_millis();
            let seen = fs::read(&played).unwrap();
            assert!(
                seen == expected,
                "{how}: {} of {} bytes",
                seen.len(),
                expected.len()
            );
            took >= least_ms
        });
        assert!(lasts, "{how}: no time was kept");
    }
}

fn session() -> hansard_core::Session {
    let decoded = read(
        &[
            &1_700_000_000u32.to_le_bytes()[..],
            &[0; 4],
            &[1, 0, 0, 0],
            b"x",
        ]
        .concat(),
    );
    let Body::Start(session) = &decoded[0].body else {
        panic!("no session first")
    };
    (**session).clone()
}
