//! What a log says is there again in the log made from its events.

use proptest::prelude::*;

use hansard_core::{Fields, Value};

use super::*;
use crate::containerssh::{field, name};

fn facts(events: &[Event]) -> Vec<(&str, &Fields)> {
    let mut facts = Vec::new();
    for event in events {
        if let Body::Auth(fact) | Body::Channel(fact) | Body::Command(fact) | Body::Network(fact) =
            &event.body
        {
            facts.push((&*fact.event, &fact.fields));
        }
    }
    facts
}

#[test]
fn every_type_comes_back_byte_for_byte() {
    for from in 0..40 {
        let content_of_log = all_types(from);
        let (events, error) = decode(&log(2, &content_of_log));
        assert_eq!(error, None);
        assert!(matches!(events.last().unwrap().body, Body::End(_)));
        let written = encode(&events);
        assert_eq!(content(&written), content_of_log);
        // One flush a message and one at the end (these messages have no such bytes).
        let flushes = written.windows(4).filter(|w| *w == [0, 0, 0xff, 0xff]);
        assert_eq!(flushes.count(), 47);
        assert_eq!(content(&encode(&through_hansard(&events))), content_of_log);
        assert_eq!(json(&events).lines().count(), 46);
        // Each is a fact that names its type, but the disconnect, which is the end.
        let types = facts(&events)
            .iter()
            .filter(|(_, f)| f.get(field::TYPE).is_some())
            .count();
        assert_eq!(types, 45);
    }
}

#[test]
fn version_1_is_read_with_and_without_its_break() {
    let messages = all_types(3);
    let list = |begin: &[u8], end: &[u8]| log(1, &[begin, &messages, end].concat());
    let (want, _) = decode(&log(2, &messages));
    for (file, closed) in [
        (list(&[0x9f], &[0xff]), true),
        (list(&[0x9f], &[]), false),
        (list(&[0x98, 46], &[]), true),
        (list(&[0x9f], &[0xff, 0x9f]), true),
    ] {
        let (events, error) = decode(&file);
        assert_eq!(error, None);
        assert_eq!(events[1..], want[1..]);
        let said = notices(&file);
        assert_eq!(
            said.iter().any(|n| n.contains("not closed")),
            !closed,
            "{said:?}"
        );
        assert_eq!(content(&encode(&events)), messages);
    }
    assert!(notices(&list(&[0x9f], &[0xff, 0x9f]))[0].contains("more behind the end"));
    let (events, error) = decode(&log(1, &messages));
    assert!(error.unwrap().contains("no list of messages"));
    assert!(matches!(&events[1].body, Body::Gap(_)) && events.len() == 2);
}

#[test]
fn a_text_that_is_not_utf8_hides_nothing_and_is_written_so_that_it_does_not_hide_for_them() {
    let original = [exec(START, b"echo \xff \xe7\x95"), io(START, 1, b"x", 0)].concat();
    let (events, error) = decode(&log(2, &original));
    assert_eq!(error, None);
    let (event, fields) = facts(&events)[0];
    assert_eq!(event, "exec");
    let bytes = Value::Bytes(b"echo \xff \xe7\x95".to_vec());
    assert_eq!(fields.get("command"), Some(&bytes));
    assert!(notices(&log(2, &original))[0].contains("1 of 2 messages hold text that is not UTF-8"));
    assert!(json(&events).contains(r#""program":"echo � ��"}"#));
    let written = encode(&events);
    assert!(cbor::is_utf8(&content(&written)));
    assert!(String::from_utf8_lossy(&content(&written)).contains("program.bytes"));
    let (back, _) = decode(&written);
    assert_eq!(back, events);
    assert_eq!(json(&back), json(&events));
}

#[test]
fn unknown_types_and_keys_and_odd_messages_are_kept_and_written_again() {
    let mut strange = message(600, START + 5, &[0xf6], None);
    strange.extend(message(600, START + 6, b"\xa1\x61x\xf9\x3c\x00", Some(9)));
    // A program that is a number; a payload that is a list; a type below zero.
    strange.extend(message(403, START + 7, b"\xa1\x67program\x05", Some(0)));
    strange.extend(message(402, START + 8, b"\x81\x00", Some(0)));
    let mut negative = message(1, START + 8, &[0xf6], None);
    let at = negative.windows(4).position(|w| w == b"type").unwrap() + 4;
    negative[at] = 0x20;
    strange.extend(negative);
    // An unknown key in the payload, one that is not UTF-8, and a disconnect that is not the end.
    strange.extend(message(
        405,
        START + 9,
        b"\xa2\x69requestId\x01\x61z\xc1\x00",
        Some(0),
    ));
    strange.extend(message(
        405,
        START + 9,
        b"\xa2\x69requestId\x01\x61z\x61\xff",
        Some(0),
    ));
    strange.extend(message(1, START + 10, &[0xf6], None));
    strange.extend(message(1, START + 11, &[0xf6], None));
    strange.extend(message(497, START + 12, b"\xa1\x61y\xf5", Some(4)));
    let (events, error) = decode(&log(2, &strange));
    assert_eq!(error, None);
    let names: Vec<_> = facts(&events).iter().map(|(event, _)| *event).collect();
    assert_eq!(
        names,
        [
            name::UNKNOWN,
            name::UNKNOWN,
            name::ODD,
            name::ODD,
            name::UNKNOWN,
            "shell",
            "shell",
            "disconnect",
            "disconnect",
            "close",
        ]
    );
    let lines = json(&events);
    assert!(
        lines.starts_with("{\"error\":\"invalid message type: 600\"}\n"),
        "{lines}"
    );
    assert!(
        lines.contains("{\"error\":\"invalid message type: -1\"}\n"),
        "{lines}"
    );
    assert!(lines.contains("{\"error\":\"\\\"program\\\" of type 403 is of another type\"}\n"));
    let back = content(&encode(&through_hansard(&events)));
    // All is as it was but the key that their decoder would stop at, which is packed.
    let packed = b"\x6dhansard.extra\x44\x61z\x61\xff";
    let want = replace(&strange, b"\x61z\x61\xff", packed);
    assert_eq!(back, want);
    let (again, _) = decode(&log(2, &back));
    assert_eq!(again, events);
}

#[test]
fn every_disconnect_comes_back_where_there_are_several() {
    let disconnect = |timestamp| message(1, timestamp, &[0xf6], None);
    for second in [START - 1, START + 1] {
        let messages = [disconnect(START), disconnect(second), disconnect(START + 1)].concat();
        let (events, error) = decode(&log(2, &messages));
        assert_eq!(error, None);
        assert_eq!(content(&encode(&through_hansard(&events))), messages);
    }
}

fn replace(bytes: &[u8], what: &[u8], with: &[u8]) -> Vec<u8> {
    let at = bytes.windows(what.len()).position(|w| w == what).unwrap();
    [&bytes[..at], with, &bytes[at + what.len()..]].concat()
}

#[test]
fn keys_are_found_in_any_order_and_case_and_items_of_any_length() {
    let canonical = exec(START, b"ls");
    // The same with maps and strings of indefinite length, long numbers, other case and order.
    let mut loose = b"\xbf\x67PAYLOAD\xbf\x7f\x63PRO\x64gram\xff\x7f\x61l\x61s\xff".to_vec();
    loose.extend(b"\x69requestid\x1b\0\0\0\0\0\0\0\x07\xff\x64tYpE\x19\x01\x93");
    loose.extend(b"\x69timestamp\x1b");
    loose.extend(START.to_be_bytes());
    loose.extend(b"\x69channelId\xc1\x00\x6cconnectionid\x78\x20");
    loose.extend(ID.as_bytes());
    loose.push(0xff);
    let (events, error) = decode(&log(2, &loose));
    assert_eq!(error, None);
    assert_eq!(events, decode(&log(2, &canonical)).0);
    assert_eq!(content(&encode(&events)), canonical);
    // Of a key that stands twice the one that is spelled right is taken; the other stays.
    let twice = message(
        405,
        START,
        b"\xa2\x69REQUESTID\x05\x69requestId\x06",
        Some(0),
    );
    let (events, _) = decode(&log(2, &twice));
    assert_eq!(facts(&events)[0].1.get("requestId"), Some(&Value::Uint(6)));
    assert!(facts(&events)[0].1.get(field::PAYLOAD_EXTRA).is_some());
}

#[derive(Debug, Clone)]
struct Made {
    row: usize,
    from: u64,
    timestamp: i64,
    channel: Option<u64>,
    other_connection: bool,
    data: Vec<u8>,
}

fn made() -> impl Strategy<Value = Made> {
    let timestamp = prop_oneof![
        START..START + 5_000_000_000,
        any::<i64>(),
        Just(0),
        Just(i64::MAX),
        Just(i64::MIN),
    ];
    let channel = prop_oneof![
        Just(None),
        (0u64..3).prop_map(Some),
        any::<u64>().prop_map(Some)
    ];
    let data = proptest::collection::vec(any::<u8>(), 0..50);
    let row = prop_oneof![0usize..46, Just(44)];
    (
        row,
        0u64..400,
        timestamp,
        channel,
        proptest::bool::weighted(0.1),
        data,
    )
        .prop_map(
            |(row, from, timestamp, channel, other_connection, data)| Made {
                row,
                from,
                timestamp,
                channel,
                other_connection,
                data,
            },
        )
}

fn bytes(made: &Made) -> Vec<u8> {
    let row = &TABLE[made.row];
    let mut bytes = match (row.number, made.channel) {
        (500, Some(channel)) => io(made.timestamp, made.from % 3, &made.data, channel),
        (403, _) if made.from.is_multiple_of(5) => exec(made.timestamp, &made.data),
        _ => message(
            row.number,
            made.timestamp,
            &payload(row, made.from),
            made.channel,
        ),
    };
    if made.other_connection {
        let at = bytes.windows(4).position(|w| w == b"0123").unwrap();
        bytes[at] = if made.from.is_multiple_of(2) {
            b'x'
        } else {
            0xff
        };
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_log_comes_back(messages in proptest::collection::vec(made(), 0..90)) {
        let all: Vec<u8> = messages.iter().flat_map(bytes).collect();
        let (events, error) = decode(&log(2, &all));
        prop_assert_eq!(error, None);
        let written = content(&encode(&through_hansard(&events)));
        if cbor::is_utf8(&all) {
            prop_assert_eq!(&written, &all);
        }
        prop_assert!(cbor::is_utf8(&written));
        let (back, _) = decode(&log(2, &written));
        prop_assert_eq!(json(&back), json(&events));
        prop_assert_eq!(back, events);
    }
}
