//! ttyrec: what was read can be written, and reads the same.
#![no_main]

use hansard_core::{Body, Event};
use hansard_fuzz::{import, read_all};
use hansard_view::Encoder;
use hansard_view::ttyrec::{TtyrecDecoder, TtyrecEncoder, guess};
use libfuzzer_sys::fuzz_target;

fn read(bytes: &[u8]) -> (Vec<Event>, bool) {
    read_all(&mut TtyrecDecoder::new(bytes, import()))
}

fn write(events: &[Event]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = TtyrecEncoder::new(&mut out);
    for event in events {
        match &event.body {
            Body::Start(session) => encoder.begin(session).expect("memory can be written"),
            _ => encoder.event(event).expect("memory can be written"),
        }
    }
    encoder.end().expect("memory can be written");
    drop(encoder);
    out
}

fn said(events: &[Event], begin_ns: u64) -> Vec<(u64, Body)> {
    let data = |event: &&Event| matches!(event.body, Body::Data { .. });
    events.iter().filter(data).map(|event| (begin_ns + event.at_ns, event.body.clone())).collect()
}

fn began(events: &[Event]) -> u64 {
    match events.first().map(|event| &event.body) {
        Some(Body::Start(session)) => session.start_utc_ns,
        _ => 0,
    }
}

fuzz_target!(|bytes: &[u8]| {
    let _ = guess(bytes);
    let (events, _) = read(bytes);
    let written = write(&events);
    let Some(first) = written.first_chunk::<4>() else {
        // No bytes were shown: nothing is written, which is no ttyrec.
        return;
    };
    let (back, sound) = read(&written);
    if began(&back) / 1_000_000_000 != u64::from(u32::from_le_bytes(*first)) {
        // A file that reads either way may be taken for the other.
        assert!(!back.is_empty());
        return;
    }
    assert!(sound, "what was written is not sound");
    // A first record without bytes leaves only its time behind: moments of the wall clock stay.
    assert_eq!(said(&events, began(&events)), said(&back, began(&back)));
    assert_eq!(write(&back), written);
});
