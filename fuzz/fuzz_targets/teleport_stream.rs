//! Teleport's stream, as it is and as what is inside a part: what was read is kept by our own
//! formats, and becomes a sound classic recording.
#![no_main]

use hansard_core::Event;
use hansard_fuzz::teleport::{classic, stored_gzip};
use hansard_fuzz::{decode, encode, import, read_all};
use hansard_view::Format;
use hansard_view::teleport::{ClassicDecoder, StreamDecoder, guess};
use libfuzzer_sys::fuzz_target;

fn check(events: &[Event]) {
    if events.is_empty() {
        return;
    }
    let ours = encode(Format::Jsonl, events).expect("JSON lines hold everything");
    assert_eq!(decode(Format::Jsonl, &ours).0, events);
    encode(Format::Hansard, events).expect("our own format holds everything");
    let files = classic(events);
    let (back, sound) = read_all(&mut ClassicDecoder::new(&files, import()));
    assert!(sound || back.is_empty());
}

fuzz_target!(|bytes: &[u8]| {
    let _ = guess(bytes);
    check(&read_all(&mut StreamDecoder::new(bytes, import())).0);
    // The fuzzer cannot make gzip: here its bytes are records.
    let body = stored_gzip(bytes);
    let mut part = Vec::new();
    for n in [1, body.len() as u64, 0] {
        part.extend_from_slice(&n.to_be_bytes());
    }
    part.extend_from_slice(&body);
    check(&read_all(&mut StreamDecoder::new(part.as_slice(), import())).0);
});
