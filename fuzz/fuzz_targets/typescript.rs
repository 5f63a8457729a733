//! Typescripts: what was read can be written, shows the same, and does not change any more.
#![no_main]

use std::io::Read;

use hansard_core::{Body, Event};
use hansard_fuzz::files::{bytes, split};
use hansard_fuzz::{decode, encode, import, read_all};
use hansard_view::typescript::{TypescriptDecoder, TypescriptEncoder, guess};
use hansard_view::{Encoder, Format};
use libfuzzer_sys::fuzz_target;

fn read(out: &[u8], timing: Option<&[u8]>, input: Option<&[u8]>) -> (Vec<Event>, bool) {
    let timing = timing.map(|timing| Box::new(timing) as Box<dyn Read>);
    let mut decoder = TypescriptDecoder::new(out, timing, import());
    if let Some(input) = input {
        decoder = decoder.with_input_log(Box::new(input)).expect("memory can be read");
    }
    read_all(&mut decoder)
}

fn write(events: &[Event]) -> [Vec<u8>; 3] {
    let [mut out, mut timing, mut input] = [vec![], vec![], vec![]];
    let mut encoder = TypescriptEncoder::new(&mut out, &mut timing).with_input_log(&mut input);
    for event in events {
        match &event.body {
            Body::Start(session) => encoder.begin(session).expect("memory can be written"),
            _ => encoder.event(event).expect("memory can be written"),
        }
    }
    encoder.end().expect("memory can be written");
    drop(encoder);
    [out, timing, input]
}

fuzz_target!(|fuzzed: &[u8]| {
    let files = split(fuzzed);
    let _ = guess(files[0]);
    let (timing, input) = (files.get(1).copied(), files.get(2).copied());
    // Without the file of what was typed: must end, and well.
    read(files[0], timing, None);
    let (events, _) = read(files[0], timing, Some(input.unwrap_or_default()));
    if events.is_empty() {
        return;
    }
    let first = write(&events);
    let (back, sound) = read(&first[0], Some(&first[1]), Some(&first[2]));
    assert!(sound, "what was written is not sound");
    for shown in [true, false] {
        let wanted = |stream: hansard_core::Stream| stream.is_shown() == shown;
        assert_eq!(bytes(&events, wanted), bytes(&back, wanted));
    }
    assert_eq!(write(&back), first);
    // And our own format keeps all of it.
    if let Some(ours) = encode(Format::Hansard, &back) {
        let (through, _) = decode(Format::Hansard, &ours);
        assert_eq!(write(&through), first);
    }
});
