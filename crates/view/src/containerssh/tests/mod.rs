//! Logs there and back, and what hostile ones do.

mod hostile;
mod own;
mod round;

use std::io::Write as _;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use hansard_core::seal::SigningKey;
use hansard_core::{Body, Event, SessionId};

use super::cbor::{self, put_bool, put_head, put_int, put_null, put_string, put_text};
use super::inflate::MAGIC;
use super::table::{Key, Kind, Row, TABLE};
use super::{ContainerSshDecoder, ContainerSshEncoder, ContainerSshJsonEncoder};
use crate::segments::{SegmentDecoder, SegmentEncoder};
use crate::{Decoder, Encoder, Import};

const ID: &str = "0123456789abcdef0123456789abcdef";
const START: i64 = 1_700_000_000_001_000_000;

fn import() -> Import {
    Import {
        id: SessionId::new_v7(1_700_000_000_000, [8; 10]),
        start_utc_ns: 1_600_000_000_000_000_000,
        recorder: "hansard 0.1.0".to_owned(),
        rec: None,
    }
}

fn header(version: u64) -> Vec<u8> {
    [
        &MAGIC[..],
        &version.to_le_bytes(),
        &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff],
    ]
    .concat()
}

/// A log of this content, flushed and not closed.
fn log(version: u64, content: &[u8]) -> Vec<u8> {
    let mut file = header(version);
    file.reserve(content.len() + content.len() / 4 + 1024);
    Compress::new(Compression::fast(), false)
        .compress_vec(content, &mut file, FlushCompress::Sync)
        .unwrap();
    assert!(file.ends_with(&[0, 0, 0xff, 0xff]));
    file
}

/// What is inside a log that our encoder wrote.
fn content(log: &[u8]) -> Vec<u8> {
    assert_eq!(&log[..50], header(2));
    assert!(log.ends_with(&[0, 0, 0xff, 0xff, 0, 0, 0, 0xff, 0xff]) || log.len() == 55);
    let mut inflate = Decompress::new(false);
    let mut content = Vec::new();
    let mut rest = &log[50..];
    while !rest.is_empty() {
        content.reserve(64 * 1024);
        let before = inflate.total_in();
        inflate
            .decompress_vec(rest, &mut content, FlushDecompress::None)
            .unwrap();
        rest = &rest[(inflate.total_in() - before) as usize..];
    }
    content
}

fn read_all(decoder: &mut dyn Decoder) -> (Vec<Event>, Option<String>) {
    let mut events: Vec<Event> = Vec::new();
    let error = loop {
        match decoder.next_event() {
            Ok(Some(event)) => {
                assert_eq!(events.is_empty(), matches!(event.body, Body::Start(_)));
                if let Some(last) = events.last() {
                    assert_eq!(event.seq, last.seq + 1);
                    assert!(event.at_ns >= last.at_ns);
                    assert!(!matches!(last.body, Body::End(_)));
                }
                events.push(event);
            }
            Ok(None) => break None,
            Err(e) => break Some(e.to_string()),
        }
    };
    assert!(matches!(decoder.next_event(), Ok(None)));
    (events, error)
}

fn decode(log: &[u8]) -> (Vec<Event>, Option<String>) {
    read_all(&mut ContainerSshDecoder::new(log, import()))
}

fn notices(log: &[u8]) -> Vec<String> {
    let mut decoder = ContainerSshDecoder::new(log, import());
    let _ = read_all(&mut decoder);
    decoder.take_notices()
}

fn feed(encoder: &mut dyn Encoder, events: &[Event]) {
    for event in events {
        match &event.body {
            Body::Start(session) => encoder.begin(session).unwrap(),
            _ => encoder.event(event).unwrap(),
        }
    }
    encoder.end().unwrap();
}

fn encode(events: &[Event]) -> Vec<u8> {
    let mut out = Vec::new();
    feed(&mut ContainerSshEncoder::new(&mut out), events);
    out
}

fn json(events: &[Event]) -> String {
    let mut out = Vec::new();
    feed(&mut ContainerSshJsonEncoder::new(&mut out), events);
    String::from_utf8(out).unwrap()
}

/// The same events after our own format.
fn through_hansard(events: &[Event]) -> Vec<Event> {
    let mut out = Vec::new();
    feed(
        &mut SegmentEncoder::new(&mut out, SigningKey::from_seed([9; 32])),
        events,
    );
    let (mut back, error) = read_all(&mut SegmentDecoder::new(&out[..]));
    assert_eq!(error, None);
    // Who converted signs, and is in the header.
    if let (Body::Start(ours), Body::Start(theirs)) = (&mut back[0].body, &events[0].body) {
        ours.recorder_key = theirs.recorder_key;
    }
    assert_eq!(back, events);
    back
}

/// A message with a payload that is CBOR already.
fn message(number: u64, timestamp: i64, payload: &[u8], channel: Option<u64>) -> Vec<u8> {
    let mut out = vec![0xa5];
    put_text(&mut out, "connectionId");
    put_text(&mut out, ID);
    put_text(&mut out, "timestamp");
    put_int(&mut out, timestamp);
    put_text(&mut out, "type");
    put_head(&mut out, cbor::UINT, number);
    put_text(&mut out, "payload");
    out.extend_from_slice(payload);
    put_text(&mut out, "channelId");
    match channel {
        Some(channel) => put_head(&mut out, cbor::UINT, channel),
        None => put_null(&mut out),
    }
    out
}

fn io(timestamp: i64, stream: u64, data: &[u8], channel: u64) -> Vec<u8> {
    let mut payload = vec![0xa2];
    put_text(&mut payload, "stream");
    put_head(&mut payload, cbor::UINT, stream);
    put_text(&mut payload, "data");
    put_string(&mut payload, cbor::BYTES, data);
    message(500, timestamp, &payload, Some(channel))
}

fn exec(timestamp: i64, program: &[u8]) -> Vec<u8> {
    let mut payload = vec![0xa2];
    put_text(&mut payload, "requestId");
    put_int(&mut payload, 7);
    put_text(&mut payload, "program");
    put_string(&mut payload, cbor::TEXT, program);
    message(403, timestamp, &payload, Some(0))
}

/// Values of a payload, each of its kind, made from a number.
fn payload(row: &Row, from: u64) -> Vec<u8> {
    let mut out = Vec::new();
    if row.keys.is_empty() {
        put_null(&mut out);
    } else {
        put_map(&mut out, row.keys, from);
    }
    out
}

fn put_map(out: &mut Vec<u8>, keys: &[Key], from: u64) {
    put_head(out, cbor::MAP, keys.len() as u64);
    for (key, n) in keys.iter().zip(from..) {
        put_text(out, key.key);
        match (key.kind, n % 3) {
            (Kind::Text, _) => put_text(out, &"é<&>\n".repeat((n % 9) as usize)),
            (Kind::Bytes | Kind::List(_), 0) => put_null(out),
            (Kind::Bytes, _) => put_string(out, cbor::BYTES, &vec![n as u8; (n % 40) as usize]),
            // A stream that is none of the three, so that it is no data.
            (Kind::Uint, _) if key.key == "stream" => put_int(out, 3),
            (Kind::Uint, 0) => put_head(out, cbor::UINT, u64::from(u32::MAX)),
            (Kind::Uint, _) => put_head(out, cbor::UINT, n),
            (Kind::Bool, _) => put_bool(out, n % 2 == 0),
            (Kind::List(inner), many) => {
                put_head(out, cbor::LIST, many - 1);
                for i in 1..many {
                    put_map(out, inner, n + i);
                }
            }
        }
    }
}

/// One message of each type, and the disconnect last.
fn all_types(from: u64) -> Vec<u8> {
    let mut rows: Vec<&Row> = TABLE.iter().collect();
    let disconnect = rows.remove(1);
    rows.push(disconnect);
    let mut content = Vec::new();
    for (row, i) in rows.iter().zip(0..) {
        let channel = (row.number >= 300).then_some(i as u64 % 3);
        let payload = payload(row, from + i as u64);
        content.extend(message(row.number, START + i * 1000, &payload, channel));
    }
    content
}
