//! The reader of recordings: any bytes, whole and resumed, decoding and not.
#![no_main]

use hansard_core::reader::{Item, Reader};
use hansard_core::verify::{Verdict, verify};
use hansard_fuzz::{decode, encode};
use hansard_view::Format;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut offsets = Vec::new();
    let mut damages = 0u64;
    let mut events = 0u64;
    let mut reader = Reader::new(bytes);
    let mut readable = true;
    // Every item moves on, so there are never more than bytes.
    for turn in 0.. {
        assert!(turn <= bytes.len() + 2, "the reader stands still");
        match reader.next_item() {
            Ok(Item::Frame(frame)) => {
                assert!(frame.offset + frame.stored_bytes <= bytes.len() as u64);
                if frame.opening.is_some() {
                    offsets.push(frame.offset);
                }
                events += frame.events.len() as u64;
            }
            Ok(Item::Seal(seal)) => assert!(seal.end <= bytes.len() as u64),
            Ok(Item::Damage(damage)) => {
                damages += 1;
                assert!(!damage.to_string().is_empty());
            }
            Ok(Item::End(tail)) => {
                assert!(matches!(reader.next_item(), Ok(Item::End(again)) if again == tail));
                break;
            }
            Err(_) => {
                readable = false;
                break;
            }
        }
    }
    // The verdict is the reader's.
    match verify(bytes) {
        Ok(report) => {
            assert!(readable);
            assert_eq!(report.events, events);
            assert!(report.verdict == Verdict::Damaged || damages == 0);
            assert!(report.intact_bytes <= bytes.len() as u64);
        }
        Err(_) => assert!(!readable),
    }
    // Any segment can be read by itself.
    for offset in offsets.into_iter().take(8) {
        let mut reader = Reader::resume(&bytes[offset as usize..], offset);
        assert!(matches!(reader.next_item(), Ok(Item::Frame(frame)) if frame.opening.is_some()));
    }
    // What can be read can be written again, and says the same.
    let (events, sound) = decode(Format::Hansard, bytes);
    if sound && damages == 0 && !events.is_empty() {
        if let Some(again) = encode(Format::Hansard, &events) {
            let (back, _) = decode(Format::Hansard, &again);
            let (bodies, back): (Vec<_>, Vec<_>) = (
                events.iter().skip(1).map(|e| (e.at_ns, &e.body)).collect(),
                back.iter().skip(1).map(|e| (e.at_ns, &e.body)).collect(),
            );
            // Long data is split and empty data is none: compared where neither happens.
            if bodies.len() == back.len() {
                assert_eq!(bodies, back);
            }
        }
    }
});
