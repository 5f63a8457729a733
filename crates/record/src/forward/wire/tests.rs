//! The codec: every message there and back, in any pieces, and hostile bytes.

use super::*;
use proptest::prelude::*;

fn id(n: u8) -> SessionId {
    SessionId::from_bytes([n; 16])
}

fn ups() -> Vec<Up> {
    let spot = |segment, place| Spot { segment, place };
    vec![
        Up::Hello(Hello::new("hansardd 0.1.0", vec![id(1), id(2)])),
        Up::Hello(Hello::new("", Vec::new())),
        Up::Part(part_from(id(1), spot(0, Place::Frame(0)), vec![9; 700])),
        Up::Part(part_from(id(1), spot(0, Place::Seal), vec![8; 3])),
        Up::Ping(u64::MAX),
        Up::Ping(0),
        Up::InForce(InForce::default()),
        Up::InForce(InForce {
            version: 7,
            sha256: [5; 32],
            trouble: "line 3".into(),
        }),
    ]
}

fn downs() -> Vec<Down> {
    let problem = |kind, place| {
        Down::Problem(Problem {
            session: id(3),
            kind,
            at: Spot { segment: 7, place },
            why: "déjà vu".into(),
        })
    };
    vec![
        Down::welcome("hansardd 0.1.0"),
        Down::Received { ordinal: 1 << 40 },
        Down::Stored(Stored {
            session: id(1),
            segment: 0,
            digest: None,
        }),
        Down::Stored(Stored {
            session: id(1),
            segment: 7,
            digest: Some([9; 32]),
        }),
        problem(ProblemKind::Retry, Place::Frame(3)),
        problem(ProblemKind::Conflict, Place::Seal),
        problem(ProblemKind::Refused, Place::Frame(0)),
        Down::Busy {
            pause_ms: 1000,
            why: "disk full".into(),
        },
        Down::Follow {
            session: id(1),
            on: true,
        },
        Down::Follow {
            session: id(1),
            on: false,
        },
        Down::End {
            session: id(1),
            reason: "enough".into(),
            by: "alice".into(),
        },
        Down::Pong(5),
        Down::Policy(PolicyPiece {
            version: 7,
            total_bytes: 10,
            offset: 4,
            sha256: [6; 32],
            bytes: vec![1; 6],
        }),
        Down::Bye {
            why: "stopping".into(),
        },
    ]
}

/// Everything that comes out of these bytes, pushed in pieces of this size.
fn decode<M: Message>(bytes: &[u8], piece: usize) -> Result<Vec<M>, Malformed> {
    let mut decoder = Decoder::<M>::new();
    let mut out = Vec::new();
    for chunk in bytes.chunks(piece.max(1)) {
        decoder.push(chunk);
        while let Some(message) = decoder.next_message()? {
            out.push(message);
        }
    }
    Ok(out)
}

#[test]
fn every_message_there_and_back_in_any_pieces() {
    let (mut up, mut down) = (Vec::new(), Vec::new());
    ups().iter().for_each(|m| m.encode(&mut up));
    downs().iter().for_each(|m| m.encode(&mut down));
    for piece in [1, 2, 3, 5, 7, 64, 1000, 100_000] {
        assert_eq!(decode::<Up>(&up, piece).unwrap(), ups(), "{piece}");
        assert_eq!(decode::<Down>(&down, piece).unwrap(), downs(), "{piece}");
    }
}

#[test]
fn what_a_later_version_says_is_skipped_however_long() {
    let mut bytes = Vec::new();
    Up::Ping(1).encode(&mut bytes);
    put_message(&mut bytes, 0x7e, &vec![1; BODY_BYTES_MAX * 3]);
    // A known message with a field that is not known.
    put_message(&mut bytes, 0x03, &[0x08, 2, 0x7a, 1, 9]);
    for piece in [1, 1000, 1_000_000] {
        let out = decode::<Up>(&bytes, piece).unwrap();
        assert_eq!(out, [Up::Ping(1), Up::Ping(2)]);
    }
}

#[test]
fn a_part_that_is_too_long_is_told_and_skipped_without_being_held() {
    let mut bytes = vec![0x02];
    let length = u32::try_from(PART_BYTES_MAX + 25).unwrap();
    bytes.extend(length.to_le_bytes());
    bytes.extend([7; 16]);
    bytes.extend(3u32.to_le_bytes());
    bytes.extend(4u32.to_le_bytes());
    let mut decoder = Decoder::<Up>::new();
    decoder.push(&bytes);
    let spot = Spot {
        segment: 3,
        place: Place::Frame(4),
    };
    let told = Up::TooLong {
        session: id(7),
        spot,
        bytes: length,
    };
    assert_eq!(decoder.next_message().unwrap(), Some(told));
    let mut left = PART_BYTES_MAX + 1;
    while left > 0 {
        let n = left.min(10_000);
        decoder.push(&vec![0; n]);
        assert_eq!(decoder.next_message().unwrap(), None);
        assert!(decoder.buffer.capacity() < 20_000);
        left -= n;
    }
    let mut ping = Vec::new();
    Up::Ping(9).encode(&mut ping);
    decoder.push(&ping);
    assert_eq!(decoder.next_message().unwrap(), Some(Up::Ping(9)));
}

#[test]
fn lengths_and_bodies_that_lie_end_the_stream_and_allocate_nothing() {
    let mut hello = vec![0x01];
    hello.extend(u32::MAX.to_le_bytes());
    hello.extend([0; 30]);
    assert!(decode::<Up>(&hello, 100).is_err());
    let cases: [&[u8]; 5] = [
        &[0x02, 3, 0, 0, 0, 1, 2, 3],    // a part without its head
        &[0x01, 2, 0, 0, 0, 0x08, 0x80], // a varint that is cut off
        &[0x01, 3, 0, 0, 0, 0x1a, 1, 9], // a session of one byte
        &[0x83, 2, 0, 0, 0, 0x10, 1],    // no session
        &[0x83, 0, 0, 0, 0],             // nothing at all
    ];
    for case in cases {
        let up = decode::<Up>(case, 100).is_err();
        let down = decode::<Down>(case, 100).is_err();
        assert!(up || down, "{case:?}");
    }
    let mut m = hansard_core::wire::MessageWriter::new();
    m.bytes(1, &[b'x'; TEXT_BYTES_MAX + 1]);
    let mut bytes = Vec::new();
    put_message(&mut bytes, 0x89, &m.finish());
    assert!(decode::<Down>(&bytes, 100).is_err());
}

#[test]
fn long_texts_are_cut_between_characters() {
    let why = "é".repeat(TEXT_BYTES_MAX);
    let mut bytes = Vec::new();
    Down::Bye { why: why.clone() }.encode(&mut bytes);
    let [Down::Bye { why: cut }] = &decode::<Down>(&bytes, 99).unwrap()[..] else {
        panic!("not a bye")
    };
    assert!(cut.len() <= TEXT_BYTES_MAX && cut.len() > TEXT_BYTES_MAX - 2);
    assert!(why.starts_with(cut.as_str()));
}

#[test]
fn versions_that_differ_are_told_with_both_numbers() {
    let mut hello = Hello::new("hansardd 9", Vec::new());
    assert_eq!(hello.check(), Ok(()));
    hello.version = 2;
    let why = hello.check().unwrap_err().to_string();
    assert!(
        why.contains("version 1") && why.contains("version 2"),
        "{why}"
    );
    assert!(why.contains("bring this side up to date"), "{why}");
    let welcome = Down::Welcome {
        version: 0,
        software: String::new(),
    };
    assert!(
        welcome
            .check()
            .unwrap_err()
            .to_string()
            .contains("the other")
    );
}

#[test]
fn an_idle_decoder_holds_next_to_nothing() {
    let mut decoder = Decoder::<Up>::new();
    let mut bytes = Vec::new();
    ups().iter().for_each(|m| m.encode(&mut bytes));
    Up::Part(part_from(
        id(1),
        Spot {
            segment: 0,
            place: Place::Frame(0),
        },
        vec![1; 100_000],
    ))
    .encode(&mut bytes);
    decoder.push(&bytes);
    assert!(decoder.wanted_bytes() > 0);
    while decoder.next_message().unwrap().is_some() {}
    assert!(decoder.buffer.capacity() <= BUFFER_KEPT_BYTES);
    assert_eq!(decoder.wanted_bytes(), 0);
}

proptest! {
    #[test]
    fn any_bytes_are_messages_or_an_error_and_pieces_do_not_matter(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        piece in 1usize..50,
    ) {
        prop_assert_eq!(decode::<Up>(&bytes, 1000).ok(), decode::<Up>(&bytes, piece).ok());
        prop_assert_eq!(decode::<Down>(&bytes, 1000).ok(), decode::<Down>(&bytes, piece).ok());
    }
}

fn pieces(policy: &PolicyText) -> Vec<PolicyPiece> {
    let mut bytes = Vec::new();
    policy.encode(&mut bytes);
    let mut decoder = Decoder::<Down>::new();
    decoder.push(&bytes);
    let mut pieces = Vec::new();
    while let Some(message) = decoder.next_message().unwrap() {
        let Down::Policy(piece) = message else {
            panic!("{message:?}");
        };
        pieces.push(piece);
    }
    pieces
}

#[test]
fn a_policy_arrives_whole_or_not_at_all() {
    for length in [
        0,
        1,
        POLICY_PIECE_BYTES,
        POLICY_PIECE_BYTES + 1,
        POLICY_BYTES_MAX,
    ] {
        let policy = PolicyText::new(3, "é".repeat(length / 2) + &"x".repeat(length % 2));
        let pieces = pieces(&policy);
        assert_eq!(pieces.len(), length.div_ceil(POLICY_PIECE_BYTES).max(1));
        let mut assembly = Assembly::default();
        let mut whole = None;
        for piece in &pieces {
            assert_eq!(whole, None);
            whole = assembly.take(piece.clone()).unwrap();
        }
        assert_eq!(whole.as_ref(), Some(&policy));
        // Begun anew in the middle of another: the newer one is what counts.
        assembly.take(pieces[0].clone()).unwrap();
        let mut whole = None;
        for piece in &pieces {
            whole = assembly.take(piece.clone()).unwrap();
        }
        assert_eq!(whole, Some(policy));
    }
}

#[test]
fn pieces_that_do_not_fit_end_the_connection() {
    let policy = PolicyText::new(3, "x".repeat(3 * POLICY_PIECE_BYTES));
    let good = pieces(&policy);
    let refused = |pieces: &[PolicyPiece]| {
        let mut assembly = Assembly::default();
        pieces
            .iter()
            .any(|piece| assembly.take(piece.clone()).is_err())
    };
    assert!(!refused(&good));
    assert!(refused(&good[1..]), "the first is missing");
    assert!(refused(&[good[0].clone(), good[2].clone()]), "a hole");
    let mut long = good.clone();
    long[2].bytes.push(0);
    assert!(refused(&long), "longer than announced");
    let mut other = good.clone();
    other[1].bytes[0] ^= 1;
    assert!(refused(&other), "not what the digest says");
    let mut huge = good.clone();
    huge[0].total_bytes = POLICY_BYTES_MAX as u64 + 1;
    assert!(refused(&huge), "longer than a policy may be");
    let mut empty = good;
    empty[1].bytes.clear();
    assert!(refused(&empty), "a piece that brings nothing");
}
