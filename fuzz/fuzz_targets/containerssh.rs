//! ContainerSSH logs, whole files or what is inside them: what was read can be written, reads the
//! same, and no text in it stops a reader that wants UTF-8.
#![no_main]

use hansard_core::{Body, Event};
use hansard_fuzz::{decode, encode, import, read_all};
use hansard_view::containerssh::{
    ContainerSshDecoder, ContainerSshEncoder, ContainerSshJsonEncoder, guess,
};
use hansard_view::{Encoder, Format};
use libfuzzer_sys::fuzz_target;

/// Anything that is no log is taken for what is inside one of version 1 or 2, stored without
/// compression, so that the fuzzer need not learn DEFLATE to get to the CBOR.
fn file(bytes: &[u8]) -> Vec<u8> {
    let Some((first, content)) = bytes.split_first().filter(|_| !guess(bytes)) else {
        return bytes.to_vec();
    };
    let mut file = b"ContainerSSH-Auditlog\0\0\0\0\0\0\0\0\0\0\0".to_vec();
    file.extend(u64::from(1 + first % 2).to_le_bytes());
    file.extend([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]);
    for piece in content.chunks(0xffff) {
        let length = u16::try_from(piece.len()).expect("a chunk of at most that");
        file.push(0);
        file.extend(length.to_le_bytes());
        file.extend((!length).to_le_bytes());
        file.extend(piece);
    }
    file
}

fn read(bytes: &[u8]) -> (Vec<Event>, bool) {
    read_all(&mut ContainerSshDecoder::new(bytes, import()))
}

fn write(encoder: &mut dyn Encoder, events: &[Event]) {
    for event in events {
        let written = match &event.body {
            Body::Start(session) => encoder.begin(session),
            _ => encoder.event(event),
        };
        written.expect("what was read can be written");
    }
    encoder.end().expect("what was read can be written");
}

fn log(events: &[Event]) -> Vec<u8> {
    let mut log = Vec::new();
    write(&mut ContainerSshEncoder::new(&mut log), events);
    log
}

fn lines(events: &[Event]) -> String {
    let mut lines = Vec::new();
    write(&mut ContainerSshJsonEncoder::new(&mut lines), events);
    String::from_utf8(lines).expect("JSON is UTF-8")
}

/// Everything but that the file was closed, which is not written.
fn without_trailer(events: &[Event]) -> Vec<Event> {
    let is_trailer = |event: &Event| match &event.body {
        Body::Channel(fact) => fact.event == "containerssh.trailer",
        _ => false,
    };
    events
        .iter()
        .filter(|event| !is_trailer(event))
        .cloned()
        .collect()
}

fn times(events: &[Event]) -> Vec<(u64, &'static str)> {
    let kept = without_trailer(events);
    kept.iter()
        .map(|event| (event.at_ns, event.body.family()))
        .collect()
}

fuzz_target!(|bytes: &[u8]| {
    let (events, _) = read(&file(bytes));
    let first = log(&events);
    let (back, sound) = read(&first);
    assert!(sound, "what was written is not sound");
    // Damage is a gap here, and a message that says so there; what a message does not say is
    // written as nothing said (an empty text, a zero). Compared in the words of their decoder.
    if !events
        .iter()
        .any(|event| matches!(event.body, Body::Gap(_)))
    {
        assert_eq!(lines(&without_trailer(&events)), lines(&back));
        assert_eq!(times(&events), times(&back));
    }
    // From here on nothing changes any more, and our own format and JSON lines keep all of it.
    assert_eq!(log(&back), first);
    for format in [Format::Hansard, Format::Jsonl] {
        let ours = encode(format, &back).expect("it holds everything");
        let (through, sound) = decode(format, &ours);
        assert!(sound);
        assert_eq!(log(&through), first);
        assert_eq!(lines(&through), lines(&back));
    }
});
