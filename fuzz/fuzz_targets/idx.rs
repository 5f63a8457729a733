//! The index: one made of anything never leads to a wrong moment, and one that is anything does
//! not either.
#![no_main]

use std::ops::ControlFlow;
use std::sync::Arc;

use hansard_core::writer::{Bounds, SegmentWriter};
use hansard_core::{Body, Stream};
use hansard_fuzz::{decode, import, key, tame};
use hansard_view::index::{Index, build};
use hansard_view::source::Source;
use hansard_view::{Format, Indexed, Replay, Screen};
use libfuzzer_sys::fuzz_target;

/// A recording whose events the fuzzer chooses.
fn recording(choices: &[u8]) -> (Vec<u8>, u64) {
    let (events, _) = decode(Format::Raw, b"");
    let Some(Body::Start(session)) = events.first().map(|event| event.body.clone()) else {
        unreachable!("a decoder begins with the session")
    };
    let session = hansard_core::Session { recorder_key: key().public(), id: import().id, ..*session };
    let bounds = Bounds { frame_events: 5, segment_bytes: 700, ..Bounds::default() };
    let mut writer = SegmentWriter::new(session, key(), bounds).expect("a writer");
    let mut at_ns = 0;
    for choice in choices.chunks(24) {
        let (head, data) = choice.split_at(2.min(choice.len()));
        let [wait, kind] = head else { break };
        at_ns += u64::from(*wait) * 100_000_000;
        let body = match kind {
            0..16 => Body::Resize { cols: u16::from(kind % 5) * 20, rows: u16::from(kind / 5) * 9 },
            16..24 => Body::Mark { label: String::from_utf8_lossy(data).into_owned() },
            24..32 => Body::Data { stream: Stream::Stdout, bytes: data.to_vec() },
            _ => Body::Data { stream: Stream::Output, bytes: tame(data) },
        };
        writer.tick(at_ns).expect("in memory");
        writer.push(at_ns, &body).expect("short");
    }
    writer.cut().expect("in memory");
    let parts = writer.parts();
    (parts.iter().flat_map(|part| part.bytes().to_vec()).collect(), at_ns)
}

fn state(screen: &Screen) -> Vec<u8> {
    screen.to_keyframe()
}

fuzz_target!(|bytes: &[u8]| {
    // Anything as an index.
    if let Ok(index) = Index::open(Arc::new(bytes.to_vec())) {
        let _ = index.points();
        if let Ok((_, entry)) = index.entry_at(u64::from(bytes[0]) << 24) {
            let _ = index.keyframe(&entry);
        }
    }
    let _ = Screen::from_keyframe(&tame(bytes));

    let Some(([flip_low, flip_high, when], choices)) = bytes.split_first_chunk::<3>() else { return };
    let (recorded, last_ns) = recording(choices);
    let source: Source = Arc::new(recorded);
    let mut index = Vec::new();
    build(&source, &mut index, &mut |_| ControlFlow::Continue(())).expect("a sound recording");
    let at_ns = last_ns / 255 * u64::from(*when);
    let mut expected = Replay::new(source.clone());
    expected.advance_to(at_ns).expect("a sound recording");

    // A sound index, then one with a byte changed: the same screen, or it says that it is doubtful.
    for changed in [false, true] {
        if changed {
            let at = usize::from(u16::from_le_bytes([*flip_low, *flip_high])) % index.len();
            index[at] ^= when | 1;
        }
        let opened = Index::open(Arc::new(index.clone()));
        let Ok(mut indexed) = opened.and_then(|index| Indexed::new(source.clone(), index)) else {
            assert!(changed);
            continue;
        };
        let sought = indexed.seek(at_ns).expect("a sound recording");
        assert_eq!(state(sought.screen()), state(expected.screen()));
        assert_eq!(sought.next_seq(), expected.next_seq());
    }
});
