//! The messages between host and service, byte by byte, as `formats/golden/transport-v1.txt` has
//! them. That file stays: what a later version writes, this one must be able to read.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fmt::Write as _;

use hansard_core::frame::{Frame, Part, Place};
use hansard_core::{Seal, SessionId};
use hansard_record::forward::wire::{
    Decoder, Down, Hello, InForce, Message, PolicyPiece, Problem, ProblemKind, Stored, Up,
};
use hansard_record::order::Spot;

const GOLDEN: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../formats/golden/transport-v1.txt"
);

fn session(n: u8) -> SessionId {
    SessionId::new_v7(0x0189_0a5d_ac96, [n; 10])
}

fn ups() -> Vec<(&'static str, Up)> {
    let frame = Part::Frame(Frame {
        session: session(1),
        segment: 2,
        index: 3,
        bytes: b"a frame".to_vec(),
    });
    let seal = Part::Seal(Seal {
        session: session(1),
        segment: 2,
        bytes: b"a seal".to_vec(),
    });
    let in_force = InForce {
        version: 300,
        sha256: [0xd1; 32],
        trouble: "why".to_owned(),
    };
    vec![
        (
            "hello",
            Up::Hello(Hello {
                version: 1,
                software: "hansardd 0.1.0".to_owned(),
                live: vec![session(1), session(2)],
            }),
        ),
        ("part: a frame", Up::Part(frame)),
        ("part: a seal", Up::Part(seal)),
        ("ping", Up::Ping(300)),
        ("in force", Up::InForce(in_force)),
    ]
}

fn downs() -> Vec<(&'static str, Down)> {
    let problem = |kind, place| {
        let at = Spot { segment: 2, place };
        let why = "why".to_owned();
        Down::Problem(Problem {
            session: session(1),
            kind,
            at,
            why,
        })
    };
    let follow = |on| Down::Follow {
        session: session(1),
        on,
    };
    let welcome = Down::Welcome {
        version: 1,
        software: "hansardd 0.1.0".to_owned(),
    };
    let stored = |digest| {
        Down::Stored(Stored {
            session: session(1),
            segment: 2,
            digest,
        })
    };
    let end = Down::End {
        session: session(1),
        reason: "enough".to_owned(),
        by: "alice".to_owned(),
    };
    let why = "the disk is full".to_owned();
    let busy = Down::Busy {
        pause_ms: 1000,
        why,
    };
    let why = "the service is stopping".to_owned();
    let policy = PolicyPiece {
        version: 300,
        total_bytes: 4_000,
        offset: 300,
        sha256: [0xd1; 32],
        bytes: b"scope: all".to_vec(),
    };
    vec![
        ("welcome", welcome),
        ("received", Down::Received { ordinal: 300 }),
        ("stored", stored(None)),
        ("stored: with a digest", stored(Some([0xd3; 32]))),
        (
            "problem: retry",
            problem(ProblemKind::Retry, Place::Frame(3)),
        ),
        (
            "problem: conflict",
            problem(ProblemKind::Conflict, Place::Seal),
        ),
        (
            "problem: refused",
            problem(ProblemKind::Refused, Place::Frame(0)),
        ),
        ("busy", busy),
        ("follow: on", follow(true)),
        ("follow: off", follow(false)),
        ("end", end),
        ("pong", Down::Pong(300)),
        ("bye", Down::Bye { why }),
        ("policy", Down::Policy(policy)),
    ]
}

fn line(name: &str, bytes: &[u8]) -> String {
    let mut hex = String::new();
    bytes
        .iter()
        .for_each(|byte| write!(hex, "{byte:02x}").unwrap());
    format!("{name}: {hex}\n")
}

fn written() -> String {
    let mut text = String::new();
    for (name, message) in ups() {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        text += &line(&format!("up {name}"), &bytes);
    }
    for (name, message) in downs() {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        text += &line(&format!("down {name}"), &bytes);
    }
    text
}

#[test]
fn every_message_is_written_as_it_always_was() {
    let golden = std::fs::read_to_string(GOLDEN).unwrap();
    assert!(written() == golden, "now written:\n{}", written());
}

fn read<M: Message>(hex: &str) -> M {
    let byte = |at: usize| u8::from_str_radix(hex.get(at..at + 2).unwrap(), 16).unwrap();
    let bytes: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
    let mut decoder = Decoder::new();
    decoder.push(&bytes);
    let message = decoder.next_message().unwrap().unwrap();
    assert!(decoder.next_message().unwrap().is_none());
    message
}

#[test]
fn every_message_that_was_ever_written_is_read() {
    let golden = std::fs::read_to_string(GOLDEN).unwrap();
    let (mut ups, mut downs) = (ups().into_iter(), downs().into_iter());
    for line in golden.lines() {
        let (name, hex) = line.rsplit_once(": ").unwrap();
        match name.split_once(' ').unwrap() {
            ("up", name) => assert_eq!((name, read::<Up>(hex)), ups.next().unwrap()),
            (_, name) => assert_eq!((name, read::<Down>(hex)), downs.next().unwrap()),
        }
    }
    assert!(ups.next().is_none() && downs.next().is_none());
}
