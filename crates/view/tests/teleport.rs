//! Teleport's streams: samples made by another program, every quirk of the parts, hostile bytes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod support;

use std::io::{Read, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use hansard_core::{Body, Event, Session, Value};
use hansard_view::teleport::{StreamDecoder, guess};
use hansard_view::{Decoder, Encoder, Format};
use proptest::prelude::*;
use support::{import, key};

type Read3 = (Vec<Event>, Option<String>, Vec<String>);

fn read(src: impl Read) -> Read3 {
    let mut decoder = StreamDecoder::new(src, import());
    let mut events: Vec<Event> = Vec::new();
    let error = loop {
        match decoder.next_event() {
            Ok(Some(event)) => {
                assert_eq!(events.is_empty(), matches!(event.body, Body::Start(_)));
                assert_eq!(event.seq, events.len() as u64);
                assert!(events.last().is_none_or(|last| last.at_ns <= event.at_ns));
                events.push(event);
            }
            Ok(None) => break None,
            Err(e) => break Some(e.to_string()),
        }
    };
    assert!(matches!(decoder.next_event(), Ok(None)));
    (events, error, decoder.take_notices())
}

fn sample(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/data/teleport/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(path).unwrap()
}

fn header(events: &[Event]) -> &Session {
    match &events[0].body {
        Body::Start(session) => session,
        body => panic!("{body:?} first"),
    }
}

fn output(events: &[Event]) -> Vec<u8> {
    let data = events.iter().filter_map(|event| match &event.body {
        Body::Data { bytes, .. } => Some(bytes.as_slice()),
        _ => None,
    });
    data.collect::<Vec<_>>().concat()
}

#[test]
fn a_stream_becomes_events() {
    let (events, error, notices) = read(sample("one-part.tar").as_slice());
    assert_eq!((error, notices), (None, vec![]));
    let session = header(&events);
    assert_eq!(session.start_utc_ns, 1_700_000_000_000_000_000);
    assert_eq!(
        (session.kind.as_str(), session.subject.text("user")),
        ("terminal", Some("alice"))
    );
    assert_eq!(session.subject.text("login"), Some("root"));
    assert_eq!(session.origin.text("addr.remote"), Some("192.0.2.9:51000"));
    assert_eq!(
        session.origin.text("sid"),
        Some("6f1c0a52-9d0b-4c8e-8f8f-0e6a5c1b2d3e")
    );
    assert_eq!(session.target.text("server_id"), Some("node-1"));
    let words = Value::List(vec!["bash".into(), "-l".into()]);
    assert_eq!(session.target.get("argv"), Some(&words));
    let Body::Channel(start) = &events[1].body else {
        panic!("{:?}", events[1])
    };
    assert_eq!(
        (start.event.as_str(), start.fields.text("code")),
        ("session.start", Some("T2000I"))
    );
    assert_eq!(start.fields.text("time"), Some("2023-11-14T22:13:20Z"));
    assert_eq!(
        start.fields.text("teleport.json.server_labels"),
        Some("{\"env\":\"prod\"}")
    );
    assert_eq!(start.fields.get("initial_command"), Some(&words));
    assert_eq!(
        start.fields.get("user_roles"),
        Some(&Value::List(vec!["access".into(), "auditor".into()]))
    );
    assert_eq!(events[2].body, Body::Resize { cols: 80, rows: 25 });
    assert_eq!(
        (events[3].at_ns, &events[3].body),
        (100_000_000, &support::output(b"$ "))
    );
    let Body::Command(command) = &events[4].body else {
        panic!("{:?}", events[4])
    };
    assert_eq!(
        command.fields.get("argv"),
        Some(&Value::List(vec!["https://wttr.in".into(), "".into()]))
    );
    assert_eq!(command.fields.get("return_code"), Some(&Value::Int(-2)));
    assert_eq!(command.fields.get("pid"), Some(&Value::Uint(5007)));
    assert_eq!(command.fields.text("path"), Some("/bin/curl"));
    assert_eq!(
        events[7].body,
        Body::Resize {
            cols: 132,
            rows: 43
        }
    );
    let Body::Admin(unknown) = &events[8].body else {
        panic!("{:?}", events[8])
    };
    assert_eq!(unknown.event, "join_token.bound_keypair.verify");
    assert_eq!(
        unknown.fields.get("teleport.oneof"),
        Some(&Value::Uint(222))
    );
    assert!(
        matches!(unknown.fields.get("teleport.raw"), Some(Value::Bytes(raw)) if raw.ends_with(b"token"))
    );
    assert_eq!(output(&events), b"$ curl\r\n\xff\xe7\x95\x8c");
    let Body::Channel(end) = &events[10].body else {
        panic!("{:?}", events[10])
    };
    assert_eq!(end.fields.get("interactive"), Some(&Value::Bool(true)));
    let Body::End(end) = &events[11].body else {
        panic!("{:?}", events[11])
    };
    assert_eq!(
        (end.reason.as_str(), events[11].at_ns, events.len()),
        ("ended", 900_000_000, 12)
    );
}

#[test]
fn parts_padding_and_both_versions_make_no_difference() {
    let (events, ..) = read(sample("one-part.tar").as_slice());
    for (name, notice) in [
        ("padded.tar", Some("77 bytes of padding inside parts")),
        (
            "resumed.tar",
            Some("2 events that stood in the recording twice"),
        ),
        ("v2.tar", None),
    ] {
        let (other, error, notices) = read(sample(name).as_slice());
        assert_eq!(error, None, "{name}");
        assert_eq!(other, events, "{name}");
        assert_eq!(
            notices.len(),
            usize::from(notice.is_some()),
            "{name}: {notices:?}"
        );
        assert!(
            notices.iter().all(|n| n.contains(notice.unwrap())),
            "{name}: {notices:?}"
        );
    }
}

#[test]
fn missing_events_are_a_gap() {
    let (events, error, notices) = read(sample("gap.tar").as_slice());
    assert_eq!(error, None);
    assert!(
        notices[0].starts_with("3 events are missing"),
        "{notices:?}"
    );
    let gaps: Vec<_> = events
        .iter()
        .filter(|e| matches!(e.body, Body::Gap(_)))
        .collect();
    let [
        Event {
            at_ns: 700_000_000,
            body: Body::Gap(gap),
            ..
        },
    ] = gaps.as_slice()
    else {
        panic!("{gaps:?}")
    };
    assert_eq!((gap.events, gap.from_ns), (Some(3), 250_000_000));
}

#[test]
fn an_encrypted_recording_is_said_to_be() {
    let (events, error, _) = read(sample("encrypted.tar").as_slice());
    assert!(events.is_empty());
    let error = error.unwrap();
    assert!(
        error.starts_with("offset 0: this recording is encrypted"),
        "{error}"
    );
    assert!(guess(&sample("encrypted.tar")));
}

#[test]
fn only_streams_are_taken_for_streams() {
    for name in ["one-part.tar", "padded.tar", "v2.tar"] {
        assert!(guess(&sample(name)), "{name}");
    }
    for other in [
        &b""[..],
        b"\0\0\0\0\0\0\0\x01",
        &[0; 64],
        &sample("classic.tar"),
        b"{\"version\":2}",
    ] {
        assert!(!guess(other));
    }
}

// A writer of its own for what the samples do not hold.

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn part(inflated: &[u8], padding: u64) -> Vec<u8> {
    let body = gz(inflated);
    let mut part = Vec::new();
    for n in [1, body.len() as u64, padding] {
        part.extend_from_slice(&n.to_be_bytes());
    }
    part.extend_from_slice(&body);
    part.resize(part.len() + padding as usize, 0);
    part
}

fn record(message: &[u8]) -> Vec<u8> {
    let mut record = (message.len() as u32).to_be_bytes().to_vec();
    record.extend_from_slice(message);
    record
}

fn varint(mut n: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while n > 127 {
        out.push(n as u8 | 128);
        n >>= 7;
    }
    out.push(n as u8);
    out
}

fn bytes(number: u64, bytes: &[u8]) -> Vec<u8> {
    [
        varint(number << 3 | 2),
        varint(bytes.len() as u64),
        bytes.to_vec(),
    ]
    .concat()
}

fn number(number: u64, n: u64) -> Vec<u8> {
    [varint(number << 3), varint(n)].concat()
}

fn event(member: u64, index: u64, name: &str, rest: &[u8]) -> Vec<u8> {
    let said = [number(1, index), bytes(2, name.as_bytes())].concat();
    record(&bytes(member, &[bytes(1, &said), rest.to_vec()].concat()))
}

fn print(index: u64, ms: u64, data: &[u8]) -> Vec<u8> {
    event(7, index, "print", &[bytes(3, data), number(5, ms)].concat())
}

fn error(stream: &[u8]) -> String {
    read(stream).1.expect("an error")
}

#[test]
fn every_truncation_ends_in_an_error_with_what_was_sound() {
    let whole = sample("padded.tar");
    let (events, ..) = read(whole.as_slice());
    // Between two parts the recording only lacks its end.
    let between: Vec<usize> = (1..whole.len())
        .filter(|cut| read(&whole[..*cut]).1.is_none())
        .collect();
    assert_eq!(between.len(), 3, "{between:?}");
    for cut in 0..whole.len() {
        let (some, error, notices) = read(&whole[..cut]);
        match error {
            Some(error) => {
                assert!(error.starts_with("offset "), "{error}");
                assert_eq!(some, events[..some.len()], "cut at {cut}");
            }
            None => {
                assert!(
                    notices.iter().any(|n| n.contains("no session.end")),
                    "{notices:?}"
                );
                assert_eq!(
                    some[..some.len() - 1],
                    events[..some.len() - 1],
                    "cut at {cut}"
                );
            }
        }
    }
}

#[test]
fn lies_are_refused_with_the_offset() {
    let sound = part(&print(0, 0, b"x"), 0);
    let after = format!("offset {}: ", sound.len());
    let mut cut = sound.clone();
    cut.truncate(sound.len() - 5);
    for (stream, wanted) in [
        (vec![], "offset 0: the recording holds no event".to_owned()),
        (vec![0; 24], "offset 0: no part".to_owned()),
        (part(&[0; 4], 0), "offset 0: part that begins here, byte 0 of what it holds: a record of length 0".to_owned()),
        ([sound.clone(), part(&[0, 8, 0, 1], 0)].concat(), format!("{after}part that begins here, byte 0 of what it holds: a record of 524289 bytes")),
        ([sound.clone(), part(&[255; 64], 0)].concat(), format!("{after}part that begins here, byte 0 of what it holds: a record of 4294967295")),
        (part(&[0, 0], 0), "offset 0: part that begins here, byte 0 of what it holds: the part ends inside the length".to_owned()),
        (part(&[0, 0, 0, 9, 1], 0), "offset 0: part that begins here, byte 0 of what it holds: the part ends inside a record".to_owned()),
        ([sound.clone(), b"garbage that is long enough to be a header".to_vec()].concat(), format!("{after}no part of a Teleport recording begins here")),
        (part(&record(b"\x0a\x7f"), 0), "offset 0: part that begins here, byte 6 of what it holds: a field longer".to_owned()),
        (cut, "offset 0: part that begins here, byte ".to_owned()),
    ] {
        let error = error(&stream);
        assert!(error.starts_with(&wanted), "{error:?}, not {wanted:?}");
    }
    let mut padded = part(&print(0, 0, b"x"), 100);
    padded.pop();
    assert!(
        error(&padded).contains("the padding of a part is cut: 99 of 100"),
        "{}",
        error(&padded)
    );
    // A part that says it is longer than the file.
    let mut long = sound.clone();
    long[8] = 0x7f;
    assert!(error(&long).contains("is cut"), "{}", error(&long));
}

#[test]
fn a_large_record_is_taken_up_to_the_limit() {
    let data = vec![b'x'; 500 * 1024];
    let (events, error, _) = read(part(&print(0, 7, &data), 0).as_slice());
    assert_eq!(error, None);
    assert_eq!(output(&events), data);
    // Text that JSON writes six times as long: what cannot fit is kept as it came.
    let labels = bytes(
        5,
        &[bytes(1, b"k"), bytes(2, &vec![1; 300 * 1024])].concat(),
    );
    let (events, error, _) =
        read(part(&event(5, 0, "session.start", &bytes(4, &labels)), 0).as_slice());
    assert_eq!(error, None);
    let Body::Channel(start) = &events[1].body else {
        panic!()
    };
    assert!(
        matches!(start.fields.get("teleport.raw"), Some(Value::Bytes(raw)) if raw.len() > 300 * 1024)
    );
    through_ours(&events);
}

/// Our own format keeps all of it.
fn through_ours(events: &[Event]) {
    let mut out = Vec::new();
    {
        let mut encoder = Format::Hansard.encoder(&mut out, key()).unwrap();
        for event in events {
            match &event.body {
                Body::Start(session) => encoder.begin(session).unwrap(),
                _ => encoder.event(event).unwrap(),
            }
        }
        encoder.end().unwrap();
    }
    let mut decoder = Format::Hansard.decoder(out.as_slice(), import()).unwrap();
    for event in events {
        let mut read = decoder.next_event().unwrap().unwrap();
        if let (Body::Start(read), Body::Start(wrote)) = (&mut read.body, &event.body) {
            read.recorder_key = wrote.recorder_key;
        }
        assert_eq!(&read, event);
    }
}

#[test]
fn a_bomb_is_handed_out_piece_by_piece_and_absurd_padding_is_refused() {
    // 64 MiB of terminal from some hundred kilobytes.
    let bomb: Vec<u8> = (0..2048)
        .flat_map(|i| print(i, i, &[b'x'; 32 * 1024]))
        .collect();
    let bomb = part(&bomb, 0);
    assert!(bomb.len() < 1 << 20, "{}", bomb.len());
    let mut decoder = StreamDecoder::new(bomb.as_slice(), import());
    let mut total = 0;
    while let Some(event) = decoder.next_event().unwrap() {
        if let Body::Data { bytes, .. } = event.body {
            assert!(bytes.len() <= 32 * 1024);
            total += bytes.len();
        }
    }
    assert_eq!(total, 64 << 20);
    // Parts of nothing but padding that claims to be longer than anything.
    let empty: Vec<u8> = [1, 0, u64::MAX]
        .iter()
        .flat_map(|n: &u64| n.to_be_bytes())
        .collect();
    let (events, error, _) = read(empty.chain(vec![0; 1 << 20].as_slice()));
    assert!(events.is_empty());
    assert!(
        error
            .unwrap()
            .contains("the padding of a part is cut: 1048576 of")
    );
}

#[test]
fn what_has_no_index_is_neither_dropped_nor_missing() {
    let stream: Vec<u8> = [
        event(5, 0, "session.start", b""),
        event(11, 0, "session.command", b""),
        print(1, 10, b"a"),
        event(11, 0, "session.command", b""),
        event(14, 2_147_483_646, "session.data", b""),
        print(2, 20, b"b"),
        print(2, 20, b"b"),
    ]
    .concat();
    let (events, error, notices) = read(part(&stream, 0).as_slice());
    assert_eq!(error, None);
    assert_eq!(output(&events), b"ab");
    assert!(
        events
            .iter()
            .all(|event| !matches!(event.body, Body::Gap(_)))
    );
    assert!(notices[1].starts_with("1 events that stood"), "{notices:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_prints_come_back(
        prints in proptest::collection::vec((0u64..1000, proptest::collection::vec(any::<u8>(), 1..300)), 1..40),
        cuts in proptest::collection::vec(0usize..40, 0..5),
        paddings in proptest::collection::vec(0u64..700, 6),
    ) {
        let mut ms = 0;
        let mut parts = vec![Vec::new()];
        for (i, (step, data)) in prints.iter().enumerate() {
            if cuts.contains(&i) {
                parts.push(Vec::new());
            }
            ms += step;
            parts.last_mut().unwrap().extend(print(i as u64, ms, data));
        }
        let stream: Vec<u8> = parts.iter().zip(paddings.iter().cycle()).flat_map(|(p, n)| part(p, *n)).collect();
        let (events, error, _) = read(stream.as_slice());
        prop_assert_eq!(error, None);
        prop_assert_eq!(events.len(), prints.len() + 2);
        let mut at = 0;
        for ((step, data), event) in prints.iter().zip(&events[1..]) {
            at += step * 1_000_000;
            prop_assert_eq!((event.at_ns, &event.body), (at, &support::output(data)));
        }
        through_ours(&events);
    }

    #[test]
    fn any_record_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200), member in 1u64..280) {
        let record = record(&self::bytes(member, &bytes));
        let (events, error, _) = read(part(&record, 0).as_slice());
        prop_assert!(error.is_some() || events.len() >= 2);
        if error.is_none() {
            through_ours(&events);
        }
    }

    #[test]
    fn a_changed_stream_is_read_or_refused(at in 0usize..1400, byte in any::<u8>()) {
        let mut stream = sample("padded.tar");
        let at = at % stream.len();
        stream[at] = byte;
        let (_, error, _) = read(stream.as_slice());
        prop_assert!(error.is_none_or(|e| e.starts_with("offset ")));
    }
}
