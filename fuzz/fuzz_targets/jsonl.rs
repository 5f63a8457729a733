//! JSON lines: what was read is written without loss.
#![no_main]

use hansard_fuzz::{decode, encode};
use hansard_view::Format;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (events, _) = decode(Format::Jsonl, bytes);
    if events.is_empty() {
        return;
    }
    let written = encode(Format::Jsonl, &events).expect("JSON lines hold everything");
    let (back, sound) = decode(Format::Jsonl, &written);
    assert!(sound);
    assert_eq!(back, events);
    // The other formats take whatever comes, or say why not.
    for format in [Format::Hansard, Format::AsciicastV2, Format::AsciicastV3, Format::Raw] {
        let _ = encode(format, &events);
    }
});
