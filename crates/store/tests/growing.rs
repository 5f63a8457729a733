//! A segment taken part by part is the segment taken whole: the same facts, bytes and refusals.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod support;

use hansard_core::frame::Part;
use hansard_core::reader::{Item, Reader};
use hansard_core::seal::Seal;
use hansard_core::{Event, Frame};
use hansard_store::segment::{Unfit, walk};
use hansard_store::{GrowingSegment, SealedSegment};
use support::{key, recording, signed};

/// The parts of a segment.
fn parts_of(segment: &SealedSegment) -> Vec<Part> {
    let (bytes, facts) = (segment.bytes(), segment.facts());
    let (session, number) = (facts.session, facts.number);
    let mut reader = Reader::resume(bytes, 0);
    let mut parts = Vec::new();
    let mut from = 0;
    loop {
        let (end, index) = match reader.next_item().unwrap() {
            Item::Frame(frame) => (frame.offset + frame.stored_bytes, Some(frame.index)),
            Item::Seal(seal) => (seal.end, None),
            other => panic!("{other:?}"),
        };
        let bytes = bytes[from as usize..end as usize].to_vec();
        from = end;
        let Some(index) = index else {
            parts.push(Part::Seal(Seal {
                session,
                segment: number,
                bytes,
            }));
            return parts;
        };
        parts.push(Part::Frame(Frame {
            session,
            segment: number,
            index,
            bytes,
        }));
    }
}

fn grow(parts: &[Part]) -> Result<(SealedSegment, Vec<Event>), Unfit> {
    let (seal, frames) = parts.split_last().unwrap();
    let (first, frames) = frames.split_first().unwrap();
    let (mut growing, mut events) = GrowingSegment::open(first)?;
    for frame in frames {
        events.extend(growing.frame(frame)?);
    }
    Ok((growing.seal(seal)?, events))
}

#[test]
fn part_by_part_is_the_same_as_whole() {
    for number in 0..6 {
        for segment in recording(number, 4) {
            let parts = parts_of(&segment);
            assert_eq!(SealedSegment::from_parts(&parts).unwrap(), segment);
            let (grown, events) = grow(&parts).unwrap();
            assert_eq!(grown, segment);
            let mut wanted = Vec::new();
            walk(segment.bytes(), |events| {
                wanted.extend(events);
                Ok::<(), Unfit>(())
            })
            .unwrap();
            assert_eq!(events, wanted);
        }
    }
}

#[test]
fn what_is_refused_whole_is_refused_part_by_part() {
    let segments = recording(3, 2);
    let parts = parts_of(&segments[1]);
    for (i, part) in parts.iter().enumerate() {
        for at in (0..part.bytes().len()).step_by(5) {
            let mut changed = parts.clone();
            match &mut changed[i] {
                Part::Frame(frame) => frame.bytes[at] ^= 4,
                Part::Seal(seal) => seal.bytes[at] ^= 4,
            }
            assert!(SealedSegment::from_parts(&changed).is_err());
            assert!(grow(&changed).is_err(), "part {i}, byte {at}");
        }
    }
}

#[test]
fn the_alarms_are_the_same() {
    // Signed by another than the header names.
    let other = signed(5, 1, 0, 0, &key(5));
    let mut parts = parts_of(&other[0]);
    let foreign = signed(5, 1, 0, 0, &key(6));
    *parts.last_mut().unwrap() = parts_of(&foreign[0]).pop().unwrap();
    assert_eq!(
        grow(&parts).is_err(),
        SealedSegment::from_parts(&parts).is_err()
    );
    // Offered for another place than its own.
    let mut moved = parts_of(&other[0]);
    for part in &mut moved {
        match part {
            Part::Frame(frame) => frame.session = support::id(99),
            Part::Seal(seal) => seal.session = support::id(99),
        }
    }
    let whole = SealedSegment::from_parts(&moved).unwrap_err();
    assert!(matches!(whole, Unfit::Alarm(_)));
    assert_eq!(grow(&moved).unwrap_err(), whole);
}

#[test]
fn a_seal_by_itself_says_what_it_states() {
    let segments = recording(2, 3);
    for segment in &segments {
        let Some(Part::Seal(seal)) = parts_of(segment).pop() else {
            panic!();
        };
        let stated = seal.statement().unwrap();
        assert_eq!(stated.digest, segment.facts().digest);
        assert_eq!(stated.is_final, segment.facts().is_final);
        for at in 0..seal.bytes.len() {
            let mut changed = seal.clone();
            changed.bytes[at] ^= 1;
            assert!(changed.statement().is_err(), "byte {at}");
        }
        let mut elsewhere = seal.clone();
        elsewhere.segment += 1;
        assert!(elsewhere.statement().is_err());
    }
}
