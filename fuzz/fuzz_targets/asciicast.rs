//! asciicast 2 and 3: what was read can be written, and reads the same.
#![no_main]

use hansard_core::{Body, Event};
use hansard_fuzz::{decode, encode};
use hansard_view::Format;
use libfuzzer_sys::fuzz_target;

/// What a cast can say of events: times in microseconds.
fn said(events: &[Event]) -> Vec<(u64, Body)> {
    let body = |event: &Event| match &event.body {
        // The time of the session's start is written in whole seconds.
        Body::Start(session) => {
            let mut session = session.clone();
            session.start_utc_ns -= session.start_utc_ns % 1_000_000_000;
            Body::Start(session)
        }
        body => body.clone(),
    };
    let empty = |event: &&Event| matches!(&event.body, Body::Data { bytes, .. } if bytes.is_empty());
    let kept = events.iter().filter(|event| !empty(event));
    kept.map(|event| ((event.at_ns + 500) / 1000, body(event))).collect()
}

fuzz_target!(|bytes: &[u8]| {
    for format in [Format::AsciicastV2, Format::AsciicastV3] {
        let (events, _) = decode(format, bytes);
        if events.is_empty() {
            continue;
        }
        let cast = encode(format, &events).expect("what was read can be written");
        let (back, sound) = decode(format, &cast);
        assert!(sound, "what was written is not sound");
        let (mut first, mut second) = (said(&events), said(&back));
        // A cut cast ends nowhere, or with an exit that is no end; the one written from it ends.
        let is_end = |body: &Body| match body {
            Body::End(_) => true,
            Body::Channel(fact) => fact.fields.text("code") == Some("x"),
            _ => false,
        };
        for said in [&mut first, &mut second] {
            while said.last().is_some_and(|(_, body)| is_end(body)) {
                said.pop();
            }
        }
        // The header is put in order when it is written: compared once it has been.
        first[0] = second[0].clone();
        assert_eq!(first, second);
        // From here on nothing changes any more.
        assert_eq!(encode(format, &back).as_deref(), Some(cast.as_slice()));
        // And our own format and JSON lines keep all of it.
        let ours = encode(Format::Jsonl, &events).expect("JSON lines hold everything");
        assert_eq!(decode(Format::Jsonl, &ours).0, events);
        if let Some(ours) = encode(Format::Hansard, &back) {
            let (through, _) = decode(Format::Hansard, &ours);
            assert_eq!(encode(format, &through).as_deref(), Some(cast.as_slice()));
        }
    }
});
