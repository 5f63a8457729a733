//! A recorder that died at any moment: what it had recorded stays, and the recording goes on.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

use hansard_core::event::{End, Gap};
use hansard_core::frame::{Part, Place};
use hansard_core::policy::Policy;
use hansard_core::reader::{Item, Reader};
use hansard_core::seal::SigningKey;
use hansard_core::session::{ClockQuality, Session};
use hansard_core::verify::{Verdict, verify};
use hansard_core::writer::{Bounds, LastSegment, ReviveError, SegmentWriter, Tip};
use hansard_core::{Body, Event, Fields, SessionId, Stream};
use proptest::prelude::*;

fn key() -> SigningKey {
    SigningKey::from_seed([7; 32])
}

fn session() -> Session {
    Session {
        id: SessionId::new_v7(1_700_000_000_000, [1; 10]),
        parent: None,
        kind: "terminal".into(),
        subject: Fields::new().with("user", "alice"),
        origin: Fields::new(),
        target: Fields::new(),
        start_utc_ns: 1_700_000_000_000_000_000,
        clock: ClockQuality::Synchronised,
        policy: Policy::default(),
        recorder_key: key().public(),
        recorder: "test".into(),
    }
}

fn bounds() -> Bounds {
    Bounds {
        frame_bytes: 64,
        segment_bytes: 400,
        ..Bounds::default()
    }
}

/// The parts of a recording that is not ended, unless `end` says so.
fn recorded(pieces: &[(u64, Vec<u8>)], end: bool) -> Vec<Part> {
    let mut writer = SegmentWriter::new(session(), key(), bounds()).unwrap();
    let mut at_ns = 0;
    for (pause, bytes) in pieces {
        at_ns += pause;
        writer.push_data(at_ns, Stream::Output, bytes).unwrap();
    }
    if end {
        writer.finish(at_ns, &End::default()).unwrap();
    } else {
        writer.cut().unwrap();
    }
    writer.parts()
}

fn bytes_of(parts: &[Part]) -> Vec<u8> {
    parts.iter().flat_map(|p| p.bytes().to_vec()).collect()
}

fn events_of(bytes: &[u8]) -> Vec<Event> {
    let mut reader = Reader::new(bytes);
    let mut events = Vec::new();
    loop {
        match reader.next_item().unwrap() {
            Item::Frame(frame) => events.extend(frame.events),
            Item::End(_) => return events,
            Item::Damage(damage) => panic!("{damage}"),
            Item::Seal(_) => {}
        }
    }
}

fn last_segment(parts: &[Part]) -> &[Part] {
    let number = parts.last().unwrap().segment();
    let from = parts.partition_point(|p| p.segment() < number);
    &parts[from..]
}

/// Revives what there is and ends it, as a daemon does.
fn revived(mut parts: Vec<Part>) -> Vec<Part> {
    let last = LastSegment::read(last_segment(&parts)).unwrap();
    let dropped = last_segment(&parts).len() - last.kept();
    parts.truncate(parts.len() - dropped);
    let mut writer = SegmentWriter::revive(last, key().public(), key(), bounds()).unwrap();
    if !writer.is_ended() {
        let at_ns = writer.last_ns();
        let gap = Gap {
            cause: "the recorder ended without a word".into(),
            from_ns: at_ns,
            ..Gap::default()
        };
        writer.push(at_ns, &Body::Gap(gap)).unwrap();
        writer.finish(at_ns, &End::default()).unwrap();
    }
    parts.extend(writer.parts());
    parts
}

fn pieces() -> impl Strategy<Value = Vec<(u64, Vec<u8>)>> {
    let piece = (
        0u64..2_000_000_000,
        proptest::collection::vec(any::<u8>(), 1..90),
    );
    proptest::collection::vec(piece, 1..24)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn killed_at_any_part_the_recording_verifies_and_keeps_its_events(
        pieces in pieces(), end in any::<bool>(),
    ) {
        let whole = recorded(&pieces, end);
        for cut in 1..=whole.len() {
            let before = &whole[..cut];
            if end && cut == whole.len() {
                let last = LastSegment::read(last_segment(before)).unwrap();
                let again = SegmentWriter::revive(last, key().public(), key(), bounds());
                prop_assert_eq!(again.err(), Some(ReviveError::Ended));
                continue;
            }
            let known = events_of(&bytes_of(before));
            let parts = revived(before.to_vec());
            prop_assert_eq!(&parts[..cut], before);
            let bytes = bytes_of(&parts);
            let report = verify(bytes.as_slice()).unwrap();
            prop_assert_eq!(report.verdict, Verdict::Complete, "{:?}", report.damages);
            let events = events_of(&bytes);
            prop_assert_eq!(&events[..known.len()], &known[..]);
            prop_assert!(events.iter().zip(0u64..).all(|(event, n)| event.seq == n));
        }
    }

    #[test]
    fn a_torn_last_part_is_left_out(pieces in pieces(), at in 0usize..1000, keep in 0usize..1000) {
        let whole = recorded(&pieces, false);
        // A torn opening frame leaves a segment of which nothing is known; see below.
        let inner: Vec<usize> = (1..whole.len())
            .filter(|i| !matches!(whole[*i].place(), Place::Frame(0)))
            .collect();
        prop_assume!(!inner.is_empty());
        let at = inner[at % inner.len()];
        let mut parts = whole[..=at].to_vec();
        let torn = |bytes: &mut Vec<u8>| bytes.truncate(keep % bytes.len());
        match parts.last_mut().unwrap() {
            Part::Frame(frame) => torn(&mut frame.bytes),
            Part::Seal(seal) => torn(&mut seal.bytes),
        }
        let parts = revived(parts);
        prop_assert_eq!(&parts[..at], &whole[..at]);
        let report = verify(bytes_of(&parts).as_slice()).unwrap();
        prop_assert_eq!(report.verdict, Verdict::Complete, "{:?}", report.damages);
    }

    #[test]
    fn a_tip_is_as_good_as_the_segment_it_stands_for(pieces in pieces()) {
        let whole = recorded(&pieces, false);
        for seal in (0..whole.len()).filter(|i| whole[*i].place() == Place::Seal) {
            let before = &whole[..=seal];
            let tip: Tip = LastSegment::read(last_segment(before)).unwrap().tip().unwrap();
            let mut writer = SegmentWriter::after(&tip, key(), bounds()).unwrap();
            writer.finish(tip.last_ns, &End::default()).unwrap();
            let mut parts = before.to_vec();
            parts.extend(writer.parts());
            let report = verify(bytes_of(&parts).as_slice()).unwrap();
            prop_assert_eq!(report.verdict, Verdict::Complete, "{:?}", report.damages);
            prop_assert_eq!(report.head, Some(writer.head()));
        }
    }

    #[test]
    fn any_bytes_in_a_part_are_sound_torn_or_damage(
        pieces in pieces(), at in any::<usize>(), byte in any::<usize>(), flip in 1u8..,
    ) {
        let mut parts = last_segment(&recorded(&pieces, false)).to_vec();
        let at = at % parts.len();
        let is_last = at + 1 == parts.len();
        match &mut parts[at] {
            Part::Frame(frame) => { let n = byte % frame.bytes.len(); frame.bytes[n] ^= flip; }
            Part::Seal(seal) => { let n = byte % seal.bytes.len(); seal.bytes[n] ^= flip; }
        }
        let kept = LastSegment::read(&parts).map(|last| last.kept());
        match kept {
            Ok(kept) => prop_assert!(is_last && at > 0 && kept == at),
            Err(ReviveError::NoHeader) => prop_assert_eq!(at, 0),
            Err(ReviveError::Damaged(_)) => prop_assert!(at > 0),
            Err(other) => prop_assert!(false, "{}", other),
        }
    }
}

#[test]
fn only_the_same_key_goes_on() {
    let parts = recorded(&[(1, b"hello".to_vec())], false);
    let other = SigningKey::from_seed([8; 32]);
    let read = || LastSegment::read(&parts).unwrap();
    for named in [key().public(), other.public()] {
        let outcome = SegmentWriter::revive(read(), named, other.clone(), bounds());
        assert_eq!(outcome.err(), Some(ReviveError::NotOurs));
    }
    let minute = 60_000_000_000;
    let sealed = recorded(&[(1, vec![3; 40]), (minute, vec![4; 40])], false);
    let seal = sealed.iter().position(|p| p.place() == Place::Seal);
    let tip = LastSegment::read(&sealed[..=seal.unwrap()]).unwrap().tip();
    let outcome = SegmentWriter::after(&tip.unwrap(), other, bounds());
    assert_eq!(outcome.err(), Some(ReviveError::NotOurs));
}

#[test]
fn without_its_opening_frame_or_with_a_hole_a_segment_is_not_sealed() {
    let parts = recorded(
        &[(1, vec![1; 60]), (1, vec![2; 60]), (1, vec![3; 60])],
        false,
    );
    assert!(parts.len() >= 4 && parts.iter().all(|p| p.segment() == 0));
    let no_header = LastSegment::read(&parts[1..]).map(|_| ());
    assert_eq!(no_header, Err(ReviveError::NoHeader));
    assert_eq!(
        LastSegment::read(&[]).map(|_| ()),
        Err(ReviveError::NoHeader)
    );
    let holed = [parts[0].clone(), parts[2].clone(), parts[3].clone()];
    let outcome = LastSegment::read(&holed).map(|_| ());
    assert!(
        matches!(outcome, Err(ReviveError::Damaged(_))),
        "{outcome:?}"
    );
}
