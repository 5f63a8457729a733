//! Any events come back exactly; any damage is noticed and named.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

use hansard_core::event::{End, Fact, Gap};
use hansard_core::policy::Policy;
use hansard_core::reader::{Item, Reader, Tail};
use hansard_core::seal::SigningKey;
use hansard_core::session::{ClockQuality, Session};
use hansard_core::verify::{Verdict, verify};
use hansard_core::writer::{Bounds, SegmentWriter, WriteError};
use hansard_core::{Body, Event, Fields, SessionId, Stream, Value};
use proptest::prelude::*;

fn key() -> SigningKey {
    SigningKey::from_seed([7; 32])
}

fn session(n: u8) -> Session {
    Session {
        id: SessionId::new_v7(1_700_000_000_000, [n; 10]),
        parent: None,
        kind: "terminal".into(),
        subject: Fields::new().with("user", "alice").with("uid", 1000u64),
        origin: Fields::new().with("tty", "pts/3"),
        target: Fields::new().with(
            "argv",
            Value::List(vec!["sh".into(), Value::Bytes(vec![0xff, 0])]),
        ),
        start_utc_ns: 1_700_000_000_000_000_000,
        clock: ClockQuality::Synchronised,
        policy: Policy::default(),
        recorder_key: key().public(),
        recorder: "test".into(),
    }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        ".{0,12}".prop_map(Value::Text),
        proptest::collection::vec(any::<u8>(), 0..12).prop_map(Value::Bytes),
        any::<u64>().prop_map(Value::Uint),
        any::<i64>().prop_map(Value::Int),
        any::<bool>().prop_map(Value::Bool),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        proptest::collection::vec(inner, 0..4).prop_map(Value::List)
    })
}

fn fact() -> impl Strategy<Value = Fact> {
    (
        ".{0,12}",
        proptest::collection::vec((".{0,8}", value()), 0..5),
    )
        .prop_map(|(event, list)| {
            let mut fields = Fields::new();
            for (name, value) in list {
                fields.push(name, value);
            }
            Fact { event, fields }
        })
}

fn body() -> impl Strategy<Value = Body> {
    let stream = proptest::sample::select(Stream::ALL.to_vec());
    prop_oneof![
        8 => (stream, proptest::collection::vec(any::<u8>(), 1..300))
            .prop_map(|(stream, bytes)| Body::Data { stream, bytes }),
        1 => fact().prop_map(Body::Auth),
        1 => fact().prop_map(Body::Network),
        1 => (any::<u16>(), any::<u16>()).prop_map(|(cols, rows)| Body::Resize { cols, rows }),
        1 => ".{0,9}".prop_map(|label| Body::Mark { label }),
        1 => (any::<u64>(), ".{0,9}").prop_map(|(utc_ns, reason)| Body::Clock {
            utc_ns, quality: ClockQuality::Unsynchronised, reason }),
        1 => (".{0,9}", any::<u64>(), any::<Option<u64>>(), any::<Option<u64>>()).prop_map(
            |(cause, from_ns, events, bytes)| Body::Gap(Gap { cause, from_ns, events, bytes, bytes_max: events })),
        1 => (0x40u8.., proptest::collection::vec(any::<u8>(), 0..9))
            .prop_map(|(kind, bytes)| Body::Unknown { kind, bytes }),
    ]
}

fn tight() -> Bounds {
    Bounds {
        frame_bytes: 200,
        frame_events: 7,
        frame_ns: 1000,
        segment_bytes: 900,
        segment_raw_bytes: 4000,
        segment_ns: 20_000,
    }
}

fn write(n: u8, bounds: Bounds, events: &[(u64, Body)], end: bool) -> Vec<u8> {
    let mut writer = SegmentWriter::new(session(n), key(), bounds).unwrap();
    let mut at = 0u64;
    for (delta, body) in events {
        at += delta;
        writer.push(at, body).unwrap();
    }
    if end {
        writer
            .finish(
                at,
                &End {
                    reason: "exited".into(),
                    exit_status: Some(3),
                    signal: None,
                },
            )
            .unwrap();
    } else {
        writer.cut().unwrap();
    }
    writer
        .parts()
        .iter()
        .flat_map(|p| p.bytes().to_vec())
        .collect()
}

fn read(bytes: &[u8]) -> (Vec<Event>, Vec<String>, Tail) {
    let mut reader = Reader::new(bytes);
    let (mut events, mut damages) = (Vec::new(), Vec::new());
    loop {
        match reader.next_item().unwrap() {
            Item::Frame(frame) => events.extend(frame.events),
            Item::Seal(_) => {}
            Item::Damage(damage) => damages.push(damage.to_string()),
            Item::End(tail) => return (events, damages, tail),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn any_stream_round_trips(
        events in proptest::collection::vec((0u64..3000, body()), 0..120),
        end in any::<bool>(),
        small in any::<bool>(),
    ) {
        let bounds = if small { tight() } else { Bounds::default() };
        let bytes = write(1, bounds, &events, end);
        let (back, damages, tail) = read(&bytes);
        prop_assert_eq!(damages, Vec::<String>::new());
        // With tight bounds the cut may fall just after a seal.
        prop_assert_eq!(matches!(tail, Tail::Complete), end);
        let mut at = 0;
        let expected: Vec<(u64, Body)> = events.iter().map(|(d, b)| { at += d; (at, b.clone()) }).collect();
        let got: Vec<(u64, Body)> = back.iter().filter(|e| !matches!(e.body, Body::Start(_) | Body::End(_)))
            .map(|e| (e.at_ns, e.body.clone())).collect();
        prop_assert_eq!(got, expected);
        prop_assert!(back.iter().enumerate().all(|(i, e)| e.seq == i as u64));
        prop_assert_eq!(&back[0].body, &Body::Start(Box::new(session(1))));
        let report = verify(&bytes[..]).unwrap();
        prop_assert_eq!(report.verdict, if end { Verdict::Complete } else { Verdict::Unfinished });
        prop_assert_eq!(report.intact_bytes, bytes.len() as u64);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = verify(&bytes[..]);
        let mut like = write(2, tight(), &[], false);
        like.extend_from_slice(&bytes);
        let report = verify(&like[..]).unwrap();
        prop_assert!(report.verdict != Verdict::Complete);
    }
}

/// One event that no reader takes would cost the frame that it is in, and everything behind that.
#[test]
fn what_no_reader_would_take_is_not_written() {
    let list = |n: usize| Value::List(vec![Value::from(""); n]);
    let wide = |n: usize| (0..n).fold(Fields::new(), |f, i| f.with(format!("f{i}"), "x"));
    let deep = |n: usize| (0..n).fold(Value::from("x"), |inner, _| Value::List(vec![inner]));
    let fact = |fields| {
        let event = "session.command".to_owned();
        Body::Command(Fact { event, fields })
    };
    let most = hansard_core::limits::FIELDS_MAX;
    let deepest = hansard_core::limits::VALUE_DEPTH_MAX;
    let taken = [
        fact(Fields::new().with("argv", list(most))),
        fact(wide(most)),
        fact(Fields::new().with("argv", deep(deepest))),
    ];
    let refused = [
        fact(Fields::new().with("argv", list(most + 1))),
        fact(wide(most + 1)),
        fact(Fields::new().with("argv", deep(deepest + 1))),
    ];
    let mut writer = SegmentWriter::new(session(1), key(), Bounds::default()).unwrap();
    for (body, other) in taken.iter().zip(&refused) {
        writer.push(1, body).unwrap();
        let why = writer.push(2, other).unwrap_err();
        assert!(matches!(why, WriteError::Unreadable(_)), "{why}");
    }
    writer.finish(3, &End::default()).unwrap();
    let parts = writer.parts();
    let bytes: Vec<u8> = parts.iter().flat_map(|p| p.bytes().to_vec()).collect();
    assert_eq!(verify(&bytes[..]).unwrap().verdict, Verdict::Complete);
    let (events, damages, _) = read(&bytes);
    let bodies: Vec<Body> = events.into_iter().map(|event| event.body).collect();
    assert_eq!((damages, &bodies[1..4]), (Vec::new(), &taken[..]));

    let target = wide(most + 1);
    let header = Session {
        target,
        ..session(1)
    };
    let begun = SegmentWriter::new(header, key(), Bounds::default());
    assert!(matches!(begun.err(), Some(WriteError::Unreadable(_))));
}

#[test]
fn a_small_frame_costs_at_most_24_bytes() {
    let mut writer = SegmentWriter::new(session(3), key(), Bounds::default()).unwrap();
    let _ = writer.parts();
    let mut worst = 0;
    for i in 0u64..50 {
        let data = [b'a' + (i % 26) as u8, (i * 37) as u8, 0xfe];
        writer
            .push_data(1 + i * 1_000_000_007, Stream::Output, &data)
            .unwrap();
        writer.cut().unwrap();
        for part in writer.parts() {
            if matches!(part.place(), hansard_core::frame::Place::Frame(_)) {
                worst = worst.max(part.bytes().len() - data.len());
            }
        }
    }
    assert!(worst <= 24, "{worst} bytes of overhead");
}

#[test]
fn every_cut_reads_as_unfinished_and_keeps_what_is_before() {
    let events: Vec<(u64, Body)> = (0..60u64)
        .map(|i| {
            (
                300,
                Body::Data {
                    stream: Stream::Output,
                    bytes: format!("line {i}\r\n").into_bytes(),
                },
            )
        })
        .collect();
    let bytes = write(4, tight(), &events, true);
    let (all, _, _) = read(&bytes);
    for len in 1..bytes.len() {
        let report = verify(&bytes[..len]).unwrap();
        assert_eq!(
            report.verdict,
            Verdict::Unfinished,
            "cut at {len}: {report:?}"
        );
        let (some, _, _) = read(&bytes[..len]);
        assert_eq!(some, all[..some.len()]);
        // Zeros behind, as a file system leaves them after a power failure, change nothing.
        let mut padded = bytes[..len].to_vec();
        padded.resize(len.div_ceil(512) * 512 + 4096, 0);
        // Of fewer than four bytes of the magic nobody can tell what they were.
        if len < 4 {
            assert!(verify(&padded[..]).is_err());
            continue;
        }
        let padded_report = verify(&padded[..]).unwrap();
        assert!(padded_report.verdict != Verdict::Complete);
        assert_eq!(read(&padded).0[..some.len()], some[..]);
    }
}

#[test]
fn every_single_bit_flip_is_damage() {
    let events: Vec<(u64, Body)> = (0..25u64)
        .map(|i| {
            (
                300,
                Body::Data {
                    stream: Stream::Output,
                    bytes: format!("line {i}\r\n").into_bytes(),
                },
            )
        })
        .collect();
    for end in [true, false] {
        let bytes = write(5, tight(), &events, end);
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let report = verify(&bad[..]).unwrap_or_else(|e| panic!("bit {bit}: {e}"));
            assert_eq!(
                report.verdict,
                Verdict::Damaged,
                "bit {bit} of {}: {report:?}",
                bytes.len() * 8
            );
            assert!(
                report.damages[0].offset as usize <= bit / 8,
                "bit {bit}: {:?}",
                report.damages[0]
            );
        }
    }
}
