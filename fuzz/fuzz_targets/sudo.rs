//! Sessions of sudo: read to an end in bounded time, and kept whole by JSON lines.
#![no_main]

use hansard_fuzz::files::{Memory, split};
use hansard_fuzz::{decode, encode, import, read_all};
use hansard_view::Format;
use hansard_view::parts::Inputs;
use hansard_view::sudo::{SudoDecoder, guess_names};
use libfuzzer_sys::fuzz_target;

const NAMES: [&str; 8] =
    ["log.json", "log", "timing", "stdin", "stdout", "stderr", "ttyin", "ttyout"];

fuzz_target!(|bytes: &[u8]| {
    let inputs = Memory::new(&NAMES, &split(bytes));
    let is = guess_names(inputs.names().unwrap_or_default());
    let (events, sound) = read_all(&mut SudoDecoder::new(&inputs, import()));
    assert!(is || (events.is_empty() && !sound));
    if events.is_empty() {
        return;
    }
    let json = encode(Format::Jsonl, &events).expect("JSON lines hold everything");
    assert_eq!(decode(Format::Jsonl, &json).0, events);
    assert!(encode(Format::Hansard, &events).is_some(), "a session that cannot be kept");
});
