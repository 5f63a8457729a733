//! tlog there and back, against messages that tlog itself wrote or documents, and round trips.

use hansard_core::event::{End, Fact, Gap};
use hansard_core::seal::SigningKey;
use hansard_core::session::ClockQuality;
use hansard_core::{Body, Event, Fields, Policy, Session, SessionId, Stream};
use proptest::prelude::*;

use super::{TlogDecoder, TlogEncoder, guess};
use crate::segments::{SegmentDecoder, SegmentEncoder};
use crate::{Decoder, Encoder, Import};

mod reader;

const MS: u64 = 1_000_000;

fn import() -> Import {
    Import {
        id: SessionId::new_v7(1_700_000_000_000, [8; 10]),
        start_utc_ns: 1_600_000_000_000_000_000,
        recorder: "hansard 0.1.0".to_owned(),
        rec: None,
    }
}

fn session() -> Session {
    Session {
        id: SessionId::new_v7(1_700_000_000_000, [7; 10]),
        parent: None,
        kind: "terminal".to_owned(),
        subject: Fields::new().with("user", "root"),
        origin: Fields::new().with("term", "xterm"),
        target: Fields::new()
            .with("server_hostname", "vm")
            .with("tlog.rec", "0fb0-3b53-2bafe"),
        start_utc_ns: 1_795_213_487_155 * MS,
        clock: ClockQuality::Unknown,
        policy: Policy::default(),
        recorder_key: [0; 32],
        recorder: "hansard 0.1.0".to_owned(),
    }
}

fn output(bytes: &[u8]) -> Body {
    Body::Data {
        stream: Stream::Output,
        bytes: bytes.to_vec(),
    }
}

fn typed(bytes: &[u8]) -> Body {
    Body::Data {
        stream: Stream::Keystrokes,
        bytes: bytes.to_vec(),
    }
}

fn numbered(session: Session, bodies: Vec<(u64, Body)>) -> Vec<Event> {
    std::iter::once((0, Body::Start(Box::new(session))))
        .chain(bodies)
        .zip(0..)
        .map(|((at_ns, body), seq)| Event { seq, at_ns, body })
        .collect()
}

fn write(encoder: &mut dyn Encoder, events: &[Event]) {
    for event in events {
        match &event.body {
            Body::Start(session) => encoder.begin(session).unwrap(),
            _ => encoder.event(event).unwrap(),
        }
    }
    encoder.end().unwrap();
}

fn encode_with(payload: usize, events: &[Event]) -> String {
    let mut out = Vec::new();
    write(&mut TlogEncoder::with_payload(&mut out, payload), events);
    String::from_utf8(out).unwrap()
}

fn encode(events: &[Event]) -> String {
    let mut out = Vec::new();
    write(&mut TlogEncoder::new(&mut out), events);
    String::from_utf8(out).unwrap()
}

/// The values under a key, one for each message, as they stand in JSON.
fn values(tlog: &str, key: &str) -> Vec<String> {
    let of = |line: &str| {
        let json: serde_json::Value = serde_json::from_str(line).unwrap();
        match &json[key] {
            serde_json::Value::String(text) => text.clone(),
            value => value.to_string(),
        }
    };
    tlog.lines().map(of).collect()
}

fn read_all(decoder: &mut dyn Decoder) -> (Vec<Event>, Vec<String>, Option<String>) {
    let mut events: Vec<Event> = Vec::new();
    let error = loop {
        match decoder.next_event() {
            Ok(Some(event)) => {
                assert_eq!(events.is_empty(), matches!(event.body, Body::Start(_)));
                assert_eq!(event.seq, events.len() as u64);
                assert!(events.last().is_none_or(|last| event.at_ns >= last.at_ns));
                events.push(event);
            }
            Ok(None) => break None,
            Err(e) => break Some(e.to_string()),
        }
    };
    assert!(matches!(decoder.next_event(), Ok(None)));
    (events, decoder.take_notices(), error)
}

fn decode(tlog: &str) -> Vec<Event> {
    let (events, notices, error) = read_all(&mut TlogDecoder::new(tlog.as_bytes(), import()));
    assert_eq!((notices, error), (Vec::new(), None));
    events
}

fn bytes_of(events: &[Event], shown: bool) -> Vec<u8> {
    let of = events.iter().filter_map(|event| match &event.body {
        Body::Data { stream, bytes } if stream.is_shown() == shown => Some(bytes.as_slice()),
        _ => None,
    });
    of.collect::<Vec<_>>().concat()
}

fn sizes_of(events: &[Event]) -> Vec<(u16, u16)> {
    let mut sizes: Vec<_> = events
        .iter()
        .filter_map(|event| match event.body {
            Body::Resize { cols, rows } => Some((cols, rows)),
            _ => None,
        })
        .collect();
    sizes.dedup();
    sizes
}

#[test]
fn a_message_is_written_as_tlog_wrote_it() {
    let events = numbered(
        session(),
        vec![
            (0, Body::Resize { cols: 0, rows: 0 }),
            (MS + 10, output(b"a\xffb")),
            (102 * MS + 11, output("é\r\n".as_bytes())),
        ],
    );
    let expected = "{\"ver\":\"2.3\",\"host\":\"vm\",\"rec\":\"0fb0-3b53-2bafe\",\
        \"user\":\"root\",\"term\":\"xterm\",\"session\":4294967295,\"id\":1,\"pos\":0,\
        \"time\":1795213487.155,\"timing\":\"=0x0+1>1]1/1>1+101>3\",\"in_txt\":\"\",\
        \"in_bin\":[],\"out_txt\":\"a\u{fffd}bé\\r\\n\",\"out_bin\":[255]}\n";
    assert_eq!(encode(&events), expected);
    let back = decode(expected);
    assert_eq!(encode(&back), expected);
    let times: Vec<_> = back.iter().map(|event| event.at_ns).collect();
    assert_eq!(times, [0, 0, MS, 102 * MS, 102 * MS]);
}

#[test]
fn escapes_are_tlogs() {
    let events = numbered(
        session(),
        vec![(0, output(b"\"\\/\x08\x0c\n\r\t\0\x1b\x7f"))],
    );
    let tlog = encode(&events);
    let expected = "\"out_txt\":\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0000\\u001b\\u007f\"";
    assert!(tlog.contains(expected), "{tlog}");
    assert_eq!(values(&tlog, "timing"), [">11"]);
}

#[test]
fn a_message_holds_as_much_as_tlogs_does() {
    let text = typed(&[b'x'; 62]);
    let tlog = encode_with(64, &numbered(session(), vec![(0, text.clone())]));
    assert_eq!(values(&tlog, "timing"), ["<61", "<1"]);
    let size = Body::Resize {
        cols: 100,
        rows: 200,
    };
    let tlog = encode_with(64, &numbered(session(), vec![(0, size), (0, text)]));
    assert_eq!(values(&tlog, "timing"), ["=100x200<53", "=100x200<9"]);
    assert_eq!(values(&tlog, "id"), ["1", "2"]);
    // A character is never cut, and never exceeds even the least message.
    let wide = output("\u{1}🎉\u{0}\u{fffd}".repeat(50).as_bytes());
    let broken = output(&b"\xf0\x9f\x8e\xff\xe2\x82x".repeat(50));
    let largest = Body::Resize {
        cols: 65535,
        rows: 65535,
    };
    let events = numbered(session(), vec![(0, largest), (0, wide), (0, broken)]);
    let tlog = encode_with(1, &events);
    assert_eq!(bytes_of(&decode(&tlog), true), bytes_of(&events, true));
    for line in tlog.lines() {
        let payload = line.split_once("\"timing\":").unwrap().1;
        let empty = "\"\",\"in_txt\":\"\",\"in_bin\":[],\"out_txt\":\"\",\"out_bin\":[]}";
        assert!(payload.len() - empty.len() <= 32, "{line}");
    }
}

#[test]
fn what_is_no_character_follows_the_unicode_standard() {
    for (pieces, timing) in [
        (vec![output(b"\xf0\x9d\x84X")], "]1/3>1"),
        (vec![output(b"\xff\xc0\x80")], "]3/3"),
        (vec![output(b"\xed\xa0\x80")], "]3/3"),
        (vec![output(b"\xf4\x90\x80\x80")], "]4/4"),
        (vec![output(b"\xe2\x82")], "]1/2"),
        (vec![output(b"\xe2\x82"), output(b"\xac")], ">1"),
        (vec![output(b"\xe2"), output(b"\xe2\x82\xac")], "]1/1>1"),
        (
            vec![typed(b"\xf0\x9d"), output(b"o"), typed(b"\xff")],
            "[2/3>1",
        ),
        // Within a millisecond input comes first, but a run that was cut is written at once.
        (vec![output(b"a"), typed(b"b"), output(b"c")], "<1>2"),
        (vec![output(b"a"), typed(b"b"), output(b"\xff")], ">1<1]1/1"),
    ] {
        let events = pieces.into_iter().map(|body| (7, body)).collect();
        let tlog = encode(&numbered(session(), events));
        assert_eq!(values(&tlog, "timing"), [timing]);
        assert_eq!(encode(&decode(&tlog)), tlog);
    }
}

#[test]
fn less_than_a_millisecond_is_lost_until_the_next_message() {
    let bodies = (0..1000).map(|i| (i * 1_900_000, output(b"tick\n")));
    let tlog = encode(&numbered(session(), bodies.collect()));
    let positions: Vec<u64> = values(&tlog, "pos")
        .iter()
        .map(|pos| pos.parse().unwrap())
        .collect();
    let first_tick = |message: &String| message.matches("tick").count() as u64;
    let mut before = 0;
    for (pos, text) in positions.iter().zip(values(&tlog, "out_txt")) {
        assert_eq!(*pos, before * 1_900_000 / MS);
        before += first_tick(&text);
    }
    assert_eq!(before, 1000);
    assert!(
        values(&tlog, "timing")
            .iter()
            .all(|timing| !timing.contains("+0"))
    );
}

#[test]
fn a_message_waits_for_ten_seconds() {
    let at = [0, 9_999, 10_000, 19_000, 20_001, 20_002];
    let bodies = at.into_iter().map(|ms| (ms * MS, output(b"x"))).collect();
    let tlog = encode(&numbered(session(), bodies));
    assert_eq!(
        values(&tlog, "timing"),
        [">1+9999>1", ">1+9000>1", ">1+1>1"]
    );
    assert_eq!(values(&tlog, "pos"), ["0", "10000", "20001"]);
    assert_eq!(
        values(&tlog, "time"),
        ["1795213487.155", "1795213497.155", "1795213507.156"]
    );
    // An unfinished character waits without a message, and is of the moment of its last byte.
    let bodies = vec![
        (0, output(b"a\xe2")),
        (11_000 * MS, output(b"\x82")),
        (25_000 * MS, output(b"\xacb")),
    ];
    let tlog = encode(&numbered(session(), bodies));
    assert_eq!(values(&tlog, "timing"), [">1", ">2"]);
    assert_eq!(values(&tlog, "pos"), ["0", "25000"]);
}

#[test]
fn what_tlog_cannot_hold_is_left_out() {
    let fact = || Fact {
        event: "auth".to_owned(),
        fields: Fields::new(),
    };
    let data = |stream, bytes: &[u8]| Body::Data {
        stream,
        bytes: bytes.to_vec(),
    };
    let mut session = session();
    session.subject = Fields::new().with("login", "alice");
    session.origin = Fields::new();
    session.target = Fields::new();
    let bodies = vec![
        (0, Body::Auth(fact())),
        (0, Body::Channel(fact())),
        (0, data(Stream::Stdout, b"out\n")),
        (0, data(Stream::Stderr, b"err\n")),
        (0, data(Stream::Stdin, b"in\n")),
        (0, data(Stream::Output, b"")),
        (0, Body::Gap(Gap::default())),
        (
            0,
            Body::Mark {
                label: "m".to_owned(),
            },
        ),
        (
            0,
            Body::Unknown {
                kind: 200,
                bytes: vec![1],
            },
        ),
        (0, Body::End(End::default())),
    ];
    let tlog = encode(&numbered(session.clone(), bodies));
    assert_eq!(
        tlog,
        "{\"ver\":\"2.3\",\"host\":\"\",\"rec\":\"018bcfe568007707870707070707070-0-0\",\
         \"user\":\"alice\",\"term\":\"\",\"session\":4294967295,\"id\":1,\"pos\":0,\
         \"time\":1795213487.155,\"timing\":\"<3>8\",\"in_txt\":\"in\\n\",\"in_bin\":[],\
         \"out_txt\":\"out\\nerr\\n\",\"out_bin\":[]}\n"
            .replace(
                "018bcfe568007707870707070707070",
                &session.id.to_string().replace('-', "")
            )
    );
    assert_eq!(encode(&numbered(session, Vec::new())), "");
}

/// What tlog can hold, in any order that a recording may have.
fn happening() -> impl Strategy<Value = (u64, Body)> {
    let delay = prop_oneof![
        Just(0u64),
        0..2 * MS,
        0..50 * MS,
        (9_000 * MS)..(11_000 * MS),
    ];
    let piece = prop_oneof![
        "[ -~]{0,40}".prop_map(String::into_bytes),
        "\\PC{0,20}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..30),
        proptest::sample::select(vec![
            &b"\xf0\x9f"[..],
            b"\xe2\x82",
            b"\xac",
            b"\x8e\x89",
            b"\r\n\x1b[0m\0",
        ])
        .prop_map(<[u8]>::to_vec),
        (1usize..3000).prop_map(|len| vec![b'x'; len]),
    ];
    let body =
        (0u8..8, piece, 0u16..300, 0u16..300).prop_map(|(kind, bytes, cols, rows)| match kind {
            0 => Body::Resize { cols, rows },
            1..3 => typed(&bytes),
            _ => output(&bytes),
        });
    (delay, body)
}

fn happenings() -> impl Strategy<Value = Vec<(u64, Body)>> {
    let moved = |all: Vec<(u64, Body)>| {
        let mut at_ns = 0;
        let mut at = |delay| {
            at_ns += delay;
            at_ns
        };
        all.into_iter()
            .map(|(delay, body)| (at(delay), body))
            .collect()
    };
    proptest::collection::vec(happening(), 0..40).prop_map(moved)
}

proptest! {
    #[test]
    fn all_that_is_logged_comes_back(bodies in happenings(), payload in 32usize..300) {
        let events = numbered(session(), bodies);
        for tlog in [encode(&events), encode_with(payload, &events)] {
            if tlog.is_empty() {
                continue;
            }
            let back = decode(&tlog);
            prop_assert_eq!(bytes_of(&back, true), bytes_of(&events, true));
            prop_assert_eq!(bytes_of(&back, false), bytes_of(&events, false));
            prop_assert_eq!(sizes_of(&back), sizes_of(&events));
            // Times fall behind by less than a millisecond for each event.
            let (last, count) = (events.last().unwrap().at_ns, events.len() as u64);
            let last_back = back.last().unwrap().at_ns;
            prop_assert!(last_back <= last);
            let logged = events.iter().rev().find(|event| match &event.body {
                Body::Data { bytes, .. } => !bytes.is_empty(),
                _ => false,
            });
            if let Some(logged) = logged {
                prop_assert!(last_back + count * MS >= logged.at_ns.min(last));
            }
        }
    }

    #[test]
    fn a_tlog_is_the_same_after_our_own_format(
        bodies in happenings(),
        payload in prop_oneof![32usize..2048, 2010usize..2048, Just(2048)],
    ) {
        let tlog = encode_with(payload, &numbered(session(), bodies));
        if tlog.is_empty() {
            return Ok(());
        }
        let events = decode(&tlog);
        let mut ours = Vec::new();
        write(&mut SegmentEncoder::new(&mut ours, SigningKey::from_seed([9; 32])), &events);
        let (through, _, error) = read_all(&mut SegmentDecoder::new(ours.as_slice()));
        prop_assert_eq!(error, None);
        prop_assert_eq!(encode(&through), tlog);
    }
}

/// Whatever is changed in a tlog, what can be read of it can be written, and holds the same.
fn check_mutated(tlog: &[u8]) {
    let (events, _, _) = read_all(&mut TlogDecoder::new(tlog, import()));
    if events.is_empty() {
        return;
    }
    for again in [encode(&events), encode_with(32, &events)] {
        if again.is_empty() {
            assert_eq!(
                bytes_of(&events, true).len() + bytes_of(&events, false).len(),
                0
            );
            continue;
        }
        let back = decode(&again);
        assert_eq!(bytes_of(&back, true), bytes_of(&events, true));
        assert_eq!(bytes_of(&back, false), bytes_of(&events, false));
        assert_eq!(sizes_of(&back), sizes_of(&events));
        assert!(back.last().unwrap().at_ns <= events.last().unwrap().at_ns);
    }
}

proptest! {
    #[test]
    fn changed_anywhere_it_is_survived(
        bodies in happenings(),
        changes in proptest::collection::vec(
            (any::<proptest::sample::Index>(), 0u8..3, 0usize..39),
            1..4,
        ),
    ) {
        let mut tlog = encode(&numbered(session(), bodies)).into_bytes();
        for (at, kind, with) in changes {
            if tlog.is_empty() {
                break;
            }
            let at = at.index(tlog.len());
            let byte = b"0123456789<>[]=+/x\"\\,{}:\nu\xe2\xff \x00tidposrec"[with];
            match kind {
                0 => tlog[at] = byte,
                1 => tlog.insert(at, byte),
                _ => drop(tlog.drain(at..(at + with).min(tlog.len()))),
            }
        }
        check_mutated(&tlog);
    }
}
