//! tlog: what was read can be written, and holds the same.
#![no_main]

use hansard_core::{Body, Event};
use hansard_fuzz::{import, read_all};
use hansard_view::tlog::{TlogDecoder, TlogEncoder, guess};
use hansard_view::{Decoder as _, Encoder as _};
use libfuzzer_sys::fuzz_target;

fn decode(bytes: &[u8]) -> (Vec<Event>, bool) {
    let mut decoder = TlogDecoder::new(bytes, import());
    let read = read_all(&mut decoder);
    assert!(decoder.take_notices().iter().all(|notice| !notice.is_empty()));
    read
}

fn encode(events: &[Event], payload: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = TlogEncoder::with_payload(&mut out, payload);
    for event in events {
        match &event.body {
            Body::Start(session) => encoder.begin(session),
            _ => encoder.event(event),
        }
        .expect("what was read can be written");
    }
    encoder.end().expect("memory can be written");
    out
}

/// What tlog can say of events: input, output, and the sizes as they changed.
fn said(events: &[Event]) -> (Vec<u8>, Vec<u8>, Vec<(u16, u16)>) {
    let (mut input, mut output, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
    for event in events {
        match &event.body {
            Body::Data { stream, bytes } if stream.is_shown() => output.extend_from_slice(bytes),
            Body::Data { bytes, .. } => input.extend_from_slice(bytes),
            Body::Resize { cols, rows } => sizes.push((*cols, *rows)),
            _ => {}
        }
    }
    sizes.dedup();
    (input, output, sizes)
}

fuzz_target!(|bytes: &[u8]| {
    let _ = guess(bytes);
    let (events, _) = decode(bytes);
    if events.is_empty() {
        return;
    }
    for payload in [2048, 32] {
        let tlog = encode(&events, payload);
        if tlog.is_empty() {
            assert_eq!(said(&events), Default::default());
            continue;
        }
        let (back, sound) = decode(&tlog);
        assert!(sound, "what was written is not sound");
        assert_eq!(said(&back), said(&events));
        assert!(back.last().map(|e| e.at_ns) <= events.last().map(|e| e.at_ns));
    }
});
