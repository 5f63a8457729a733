//! Recordings made to hurt: every check fits, the content lies.

use zstd_safe::zstd_sys::ZSTD_EndDirective;
use zstd_safe::{CCtx, CParameter, InBuffer, OutBuffer};

use super::{Item, Reader};
use crate::event::End;
use crate::frame::{SegmentHeader, encode_frame, encode_seal};
use crate::id::SessionId;
use crate::seal::{NO_PREDECESSOR, PlaceOf, SigningKey, Statement};
use crate::verify::{Verdict, verify};
use crate::wire::put_varint;
use crate::writer::{Bounds, SegmentWriter};

const ID: SessionId = SessionId::from_bytes([3; 16]);

fn compress(raw: &[u8], window_log: u32, end: bool) -> Vec<u8> {
    let mut compressor = CCtx::create();
    compressor
        .set_parameter(CParameter::WindowLog(window_log))
        .unwrap();
    compressor
        .set_parameter(CParameter::ContentSizeFlag(false))
        .unwrap();
    let mut out = Vec::with_capacity(zstd_safe::compress_bound(raw.len()) + 1024);
    let mut input = InBuffer::around(raw);
    let directive = if end {
        ZSTD_EndDirective::ZSTD_e_end
    } else {
        ZSTD_EndDirective::ZSTD_e_flush
    };
    loop {
        let pos = out.len();
        let mut output = OutBuffer::around_pos(&mut out, pos);
        if compressor
            .compress_stream2(&mut output, &mut input, directive)
            .unwrap()
            == 0
        {
            return out;
        }
        out.reserve(1 << 16);
    }
}

fn opening(payload: &[u8]) -> Vec<u8> {
    let header = SegmentHeader {
        session: ID,
        number: 0,
        first_seq: 0,
        base_ns: 0,
        predecessor: NO_PREDECESSOR,
    };
    encode_frame(
        PlaceOf {
            session: ID,
            segment: 0,
            index: 0,
        },
        Some(&header),
        payload,
    )
    .0
    .bytes
}

fn columns(count: u64, times: &[u64], kinds: &[u8], lens: &[u64], bodies: &[u8]) -> Vec<u8> {
    let mut raw = Vec::new();
    put_varint(&mut raw, count);
    times.iter().for_each(|t| put_varint(&mut raw, *t));
    raw.extend_from_slice(kinds);
    lens.iter().for_each(|l| put_varint(&mut raw, *l));
    raw.extend_from_slice(bodies);
    raw
}

fn damage_of(bytes: &[u8]) -> String {
    let report = verify(bytes).unwrap();
    assert_eq!(report.verdict, Verdict::Damaged, "{report:?}");
    assert_eq!(report.events, 0);
    report.damages[0].what.clone()
}

#[test]
fn a_bomb_is_refused_at_the_limit() {
    let bomb = compress(&vec![0; 64 << 20], 20, false);
    assert!(bomb.len() < 10_000);
    assert!(damage_of(&opening(&bomb)).contains("decompresses to more than"));
    let window = compress(&vec![7; 1000], 27, false);
    assert!(damage_of(&opening(&window)).contains("decompressing"));
    let ended = compress(&columns(1, &[0], &[0x10], &[1], b"x"), 20, true);
    assert!(damage_of(&opening(&ended)).contains("ends inside the segment"));
    assert!(damage_of(&opening(&[0xff; 40])).contains("begin as it must"));
}

#[test]
fn counts_and_lengths_are_not_believed() {
    let lies = [
        columns(u64::MAX, &[], &[], &[], b""),
        columns(60_000, &[0], &[0x10], &[1], b"x"),
        columns(0, &[], &[], &[], b""),
        columns(1, &[0], &[0x10], &[u64::MAX], b"x"),
        columns(1, &[0], &[0x10], &[1 << 21], &vec![0; 1 << 21]),
        columns(1, &[0], &[0x10], &[1], b"xy"),
        columns(2, &[u64::MAX, u64::MAX], &[0x10, 0x10], &[1, 1], b"xy"),
        columns(
            1,
            &[0],
            &[0x0f],
            &[7],
            &[0x08, 0xff, 0xff, 0xff, 0x7f, 0x10, 0x01],
        ),
    ];
    for (n, raw) in lies.iter().enumerate() {
        let what = damage_of(&opening(&compress(raw, 20, false)));
        assert!(!what.is_empty(), "{n}");
    }
}

#[test]
fn lists_nest_no_deeper_than_they_may() {
    // A value that is a list of a list of …: field 6 around field 1 around field 6.
    let mut value = vec![0x18, 0x01];
    for _ in 0..50_000 {
        let mut inner = vec![0x0a];
        put_varint(&mut inner, value.len() as u64);
        inner.extend_from_slice(&value);
        value = vec![0x32];
        put_varint(&mut value, inner.len() as u64);
        value.extend_from_slice(&inner);
    }
    let mut fields = vec![0x0a, 0x01, b'n', 0x12];
    put_varint(&mut fields, value.len() as u64);
    fields.extend_from_slice(&value);
    let mut fact = vec![0x12];
    put_varint(&mut fact, fields.len() as u64);
    fact.extend_from_slice(&fields);
    assert!(fact.len() < crate::limits::BODY_BYTES_MAX);
    let raw = columns(1, &[0], &[0x02], &[fact.len() as u64], &fact);
    assert!(damage_of(&opening(&compress(&raw, 20, false))).contains("nested deeper"));
}

#[test]
fn a_seal_must_tell_the_truth() {
    let key = SigningKey::from_seed([1; 32]);
    let session = crate::Session {
        id: ID,
        parent: None,
        kind: "terminal".into(),
        subject: crate::Fields::new(),
        origin: crate::Fields::new(),
        target: crate::Fields::new(),
        start_utc_ns: 0,
        clock: crate::session::ClockQuality::Unknown,
        policy: crate::Policy::default(),
        recorder_key: key.public(),
        recorder: "hostile".into(),
    };
    let mut writer = SegmentWriter::new(session, key.clone(), Bounds::default()).unwrap();
    writer.finish(5, &End::default()).unwrap();
    let parts = writer.parts();
    let frames: Vec<u8> = parts[..2].iter().flat_map(|p| p.bytes().to_vec()).collect();
    let mut reader = Reader::new(
        parts
            .iter()
            .flat_map(|p| p.bytes().to_vec())
            .collect::<Vec<u8>>()
            .leak() as &[u8],
    );
    let seal = loop {
        if let Item::Seal(seal) = reader.next_item().unwrap() {
            break seal;
        }
    };
    let truth = Statement {
        session: ID,
        segment: 0,
        frames: 2,
        next_seq: 2,
        at_ns: 5,
        digest: seal.digest,
        key: key.public(),
        is_final: true,
    };
    let verdict = |statement: &Statement, key: &SigningKey| {
        let place = PlaceOf {
            session: ID,
            segment: 0,
            index: 2,
        };
        let sealed = encode_seal(place, &statement.sign(key));
        verify(&[&frames[..], &sealed.bytes].concat()[..])
            .unwrap()
            .verdict
    };
    assert_eq!(verdict(&truth, &key), Verdict::Complete);
    let other = SigningKey::from_seed([2; 32]);
    assert_eq!(
        verdict(&truth, &other),
        Verdict::Damaged,
        "signed by another key than it names"
    );
    let lies = [
        Statement {
            session: SessionId::from_bytes([4; 16]),
            ..truth.clone()
        },
        Statement {
            segment: 1,
            ..truth.clone()
        },
        Statement {
            frames: 1,
            ..truth.clone()
        },
        Statement {
            next_seq: 3,
            ..truth.clone()
        },
        Statement {
            at_ns: 4,
            ..truth.clone()
        },
        Statement {
            digest: [0; 32],
            ..truth.clone()
        },
        Statement {
            is_final: false,
            ..truth.clone()
        },
    ];
    for lie in lies {
        assert_eq!(verdict(&lie, &key), Verdict::Damaged, "{lie:?}");
    }
    let foreign = Statement {
        key: other.public(),
        ..truth
    };
    assert_eq!(
        verdict(&foreign, &other),
        Verdict::Damaged,
        "not the recorder's key"
    );
}
