//! ttyrecs there and back, and broken ones.

use std::io::Read;

use hansard_core::event::{End, Gap};
use hansard_core::{Body, Event, SessionId, Stream};
use proptest::prelude::*;

use super::{Header, Order, TtyrecDecoder, TtyrecEncoder, guess, order};
use crate::codec::{Decoder, copy};
use crate::import::Import;
use crate::segments::{SegmentDecoder, SegmentEncoder};

fn import() -> Import {
    Import {
        id: SessionId::new_v7(1_700_000_000_000, [7; 10]),
        start_utc_ns: 5,
        recorder: "test".to_owned(),
        rec: None,
    }
}

fn record(seconds: u32, micros: u32, bytes: &[u8]) -> Vec<u8> {
    let len = u32::try_from(bytes.len()).unwrap();
    let header = Header {
        seconds,
        micros,
        len,
    };
    [&header.write()[..], bytes].concat()
}

fn big_endian(records: &[(u32, u32, &[u8])]) -> Vec<u8> {
    let one = |(seconds, micros, bytes): &(u32, u32, &[u8])| {
        let len = u32::try_from(bytes.len()).unwrap();
        let numbers = [*seconds, *micros, len].map(u32::to_be_bytes).concat();
        [&numbers, *bytes].concat()
    };
    records.iter().flat_map(one).collect()
}

fn read(src: impl Read) -> (Vec<Event>, Option<String>, Vec<String>) {
    let mut decoder = TtyrecDecoder::new(src, import());
    let mut events = Vec::new();
    let error = loop {
        match decoder.next_event() {
            Ok(Some(event)) => events.push(event),
            Ok(None) => break None,
            Err(e) => break Some(e.to_string()),
        }
    };
    assert!(
        matches!(decoder.next_event(), Ok(None)),
        "goes on after its end"
    );
    for (pair, seq) in events.windows(2).zip(1..) {
        assert!(pair[1].seq == seq && pair[1].at_ns >= pair[0].at_ns);
    }
    (events, error, decoder.take_notices())
}

fn shown(events: &[Event]) -> Vec<(u64, &[u8])> {
    let mut found = Vec::new();
    for event in events {
        if let Body::Data { bytes, .. } = &event.body {
            found.push((event.at_ns, bytes.as_slice()));
        }
    }
    found
}

fn rewritten(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    copy(
        &mut TtyrecDecoder::new(bytes, import()),
        &mut TtyrecEncoder::new(&mut out),
    )
    .unwrap();
    out
}

#[test]
fn records_become_output_at_their_times_in_either_order_of_bytes() {
    let little = [
        record(1_700_000_000, 999_999, b"a"),
        record(1_700_000_001, 0, b"\xff\0"),
    ]
    .concat();
    let big = big_endian(&[
        (1_700_000_000, 999_999, b"a"),
        (1_700_000_001, 0, b"\xff\0"),
    ]);
    for file in [little, big] {
        assert!(guess(&file));
        let (events, error, notices) = read(&file[..]);
        assert_eq!((error, notices), (None, vec![]));
        let Body::Start(session) = &events[0].body else {
            panic!("no session first")
        };
        assert_eq!(session.start_utc_ns, 1_700_000_000_999_999_000);
        assert_eq!(shown(&events), [(0, &b"a"[..]), (1000, b"\xff\0")]);
        assert!(matches!(events.last().unwrap().body, Body::End(_)));
    }
}

#[test]
fn only_a_chain_of_records_is_recognised() {
    let one = record(1_700_000_000, 5, &[b'x'; 8000]);
    assert!(guess(&one[..4096]));
    // Times from zero, as converters write them, take several records.
    let from_zero: Vec<u8> = (0..3).flat_map(|i| record(i, 5, b"abc")).collect();
    assert!(guess(&from_zero) && !guess(&from_zero[..20]));
    for no in [
        &b""[..],
        b"Script started on 2026-11-21 05:40:43+00:00 [TERM=\"xterm\"]\n$ ",
        b"\x89HNSD\r\n\x1a\x01\0\0\0\0\0\0\0\0\0\0\0\0",
        b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0\x01\0\0\0",
        b"\x1f\x8b\x08\0\0\0\0\0\0\x03abcdefghijklmnop",
        b"PK\x03\x04\x14\0\0\0\x08\0abcdefghijklmnop",
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01",
        &[0; 4096],
        &[0xff; 4096],
        &one[..11],
        &record(1_700_000_000, 1_000_000, b"abc"),
        &record(1_700_000_000, 5, b""),
        &[
            record(1_700_000_000, 5, b"a"),
            record(1_600_000_000, 5, b"b"),
        ]
        .concat(),
    ] {
        assert!(!guess(no), "{:?}", &no[..no.len().min(24)]);
    }
}

#[test]
fn the_order_in_which_more_records_make_sense_is_taken() {
    // A first header that is possible either way.
    let first = Header {
        seconds: 0x0101_0101,
        micros: 0,
        len: 0x0000_0100,
    };
    let mut file = first.write().to_vec();
    file.extend([b'x'; 0x100]);
    file.extend(record(0x0101_0102, 3, b"more"));
    assert_eq!(order(&file), Some(Order::Little));
    let mut file = big_endian(&[(0x0101_0101, 0, &[b'x'; 0x100]), (0x0101_0102, 3, b"more")]);
    assert_eq!(order(&file), Some(Order::Big));
    // Damage further on does not hide what the beginning is.
    file.extend([0xff; 12]);
    let (events, error, _) = read(&file[..]);
    assert_eq!(shown(&events).len(), 2);
    assert!(
        error
            .unwrap()
            .starts_with("offset 284: no record of a ttyrec begins here")
    );
}

#[test]
fn every_cut_is_told_and_loses_nothing_before_it() {
    let file = [
        record(1_700_000_000, 1, b"first"),
        record(1_700_000_005, 2, b"second"),
    ]
    .concat();
    for cut in 0..file.len() {
        let (events, error, notices) = read(&file[..cut]);
        let bytes: Vec<u8> = shown(&events).concat_bytes();
        let whole = b"firstsecond";
        assert_eq!(bytes, whole[..bytes.len()], "cut at {cut}");
        let ended = events
            .iter()
            .any(|event| matches!(event.body, Body::End(_)));
        match cut {
            0..12 => assert!(error.unwrap().starts_with("offset 0: "), "cut at {cut}"),
            17 => assert!(error.is_none() && notices.is_empty() && ended),
            _ => {
                assert!(error.is_none() && !ended, "cut at {cut}");
                assert!(
                    notices[0].starts_with(&format!("the file ends at byte {cut}, ")),
                    "{notices:?}"
                );
            }
        }
    }
}

trait ConcatBytes {
    fn concat_bytes(&self) -> Vec<u8>;
}

impl ConcatBytes for Vec<(u64, &[u8])> {
    fn concat_bytes(&self) -> Vec<u8> {
        self.iter().flat_map(|(_, bytes)| bytes.to_vec()).collect()
    }
}

#[test]
fn a_clock_that_was_set_back_stands_still_with_a_notice() {
    let file = [
        record(1_700_000_010, 0, b"a"),
        record(1_700_000_012, 0, b"b"),
        record(1_700_000_003, 0, b"c"),
        record(1_700_000_013, 0, b"d"),
    ]
    .concat();
    let (events, error, notices) = read(&file[..]);
    assert_eq!(error, None);
    let times: Vec<u64> = shown(&events)
        .iter()
        .map(|(at, _)| at / 1_000_000_000)
        .collect();
    assert_eq!(times, [0, 2, 2, 3]);
    assert!(
        notices[0].starts_with("1 records bear a time before"),
        "{notices:?}"
    );
}

#[test]
fn absurd_records_are_refused_by_offset_and_endless_ones_take_no_memory() {
    let first = record(1_700_000_000, 0, b"ok");
    let long = Header {
        seconds: 1_700_000_001,
        micros: 0,
        len: 16 * 1024 * 1024 + 1,
    };
    let late = Header {
        seconds: 2_900_000_000,
        micros: 0,
        len: 1,
    };
    for (header, why) in [
        (
            long,
            "offset 14: no record of a ttyrec begins here: 0 microseconds, 16777217 bytes",
        ),
        (
            late,
            "offset 14: the time 2900000000 is more than 1000000000 seconds",
        ),
    ] {
        let file = [&first[..], &header.write(), &[b'x'; 100]].concat();
        let (events, error, _) = read(&file[..]);
        assert_eq!(shown(&events), [(0, &b"ok"[..])]);
        assert!(error.unwrap().starts_with(why), "{why}");
    }
    let most = Header {
        len: 16 * 1024 * 1024,
        ..long
    };
    let endless = std::io::Cursor::new(most.write()).chain(std::io::repeat(b'x'));
    let mut decoder = TtyrecDecoder::new(endless, import());
    let mut bytes = 0;
    loop {
        match decoder.next_event() {
            Ok(Some(Event {
                body: Body::Data { bytes: piece, .. },
                ..
            })) => {
                assert!(piece.len() <= 32 * 1024);
                bytes += piece.len();
            }
            Ok(Some(_)) => {}
            Ok(None) => panic!("an endless file ended"),
            Err(e) => {
                assert!(e.to_string().starts_with("offset 16777228: "), "{e}");
                break;
            }
        }
    }
    assert_eq!(bytes, 16 * 1024 * 1024);
}

#[test]
fn what_the_format_cannot_hold_is_left_out() {
    let bodies = [
        Body::Start(Box::new(import().session("x"))),
        Body::Resize { cols: 1, rows: 2 },
        Body::Data {
            stream: Stream::Keystrokes,
            bytes: b"typed".to_vec(),
        },
        Body::Data {
            stream: Stream::Output,
            bytes: vec![],
        },
        Body::Data {
            stream: Stream::Stderr,
            bytes: b"e".to_vec(),
        },
        Body::Gap(Gap::default()),
        Body::Unknown {
            kind: 200,
            bytes: vec![1],
        },
        Body::Data {
            stream: Stream::Output,
            bytes: vec![b'o'; 1024 * 1024 + 1],
        },
        Body::End(End::default()),
    ];
    let mut out = Vec::new();
    let mut encoder = TtyrecEncoder::new(&mut out);
    for (body, seq) in bodies.into_iter().zip(0..) {
        use crate::codec::Encoder as _;
        match &body {
            Body::Start(session) => encoder.begin(session).unwrap(),
            _ => encoder
                .event(&Event {
                    seq,
                    at_ns: u64::MAX / 2,
                    body,
                })
                .unwrap(),
        }
    }
    let (events, error, _) = read(&out[..]);
    assert_eq!(error, None);
    assert_eq!(shown(&events).concat_bytes().len(), 1024 * 1024 + 2);
}

proptest! {
    #[test]
    fn a_ttyrec_comes_back_as_it_was_through_our_own_format(
        start in 0u32..u32::MAX - 100_000,
        records in prop::collection::vec(
            (0u32..1000, 0u32..1_000_000, prop::collection::vec(any::<u8>(), 1..40)), 1..20),
    ) {
        let (mut seconds, mut last) = (start, 0);
        let mut file = Vec::new();
        for (wait, micros, bytes) in &records {
            // At least a second later, or the same second and not earlier in it.
            let micros = if *wait == 0 { last.max(*micros) } else { *micros };
            seconds += wait;
            last = micros;
            file.extend(record(seconds, micros, bytes));
        }
        prop_assert_eq!(&rewritten(&file), &file);
        let mut ours = Vec::new();
        let key = hansard_core::seal::SigningKey::from_seed([9; 32]);
        copy(&mut TtyrecDecoder::new(&file[..], import()), &mut SegmentEncoder::new(&mut ours, key)).unwrap();
        let mut back = Vec::new();
        copy(&mut SegmentDecoder::new(&ours[..]), &mut TtyrecEncoder::new(&mut back)).unwrap();
        prop_assert_eq!(&back, &file);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(0)], 0..300)) {
        let _ = guess(&bytes);
        read(&bytes[..]);
    }
}
