//! Writes the golden recordings of format version 1, the same bytes on every run.
//!
//! `cargo run -p hansard-core --example golden -- formats/golden/v1`. They are committed and never
//! rewritten: a later version must read those that are there. This shows how they came to be.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

use hansard_core::event::{End, Fact, Gap};
use hansard_core::policy::{OnLoss, Policy};
use hansard_core::seal::SigningKey;
use hansard_core::session::{ClockQuality, Session};
use hansard_core::writer::{Bounds, SegmentWriter};
use hansard_core::{Body, Fields, SessionId, Stream, Value};

const MS: u64 = 1_000_000;

fn main() {
    let dir = std::path::PathBuf::from(std::env::args().nth(1).unwrap());
    let all: [(&str, Vec<u8>); 8] = [
        ("hello", hello()),
        ("families", families()),
        ("pipes", pipes()),
        ("segments", segments(true)),
        ("unfinished", segments(false)),
        ("torn", torn()),
        ("damaged", damaged()),
        ("bulk", bulk()),
    ];
    for (name, bytes) in all {
        let path = dir.join(format!("{name}.hansard"));
        println!("{}: {} bytes", path.display(), bytes.len());
        std::fs::write(path, bytes).unwrap();
    }
}

fn key() -> SigningKey {
    // The seed of RFC 8032 §7.1, test 1: public, so that anybody can make these files.
    SigningKey::from_seed([
        0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c,
        0xc4, 0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae,
        0x7f, 0x60,
    ])
}

fn session(n: u8, kind: &str, argv: &[&str]) -> Session {
    Session {
        id: SessionId::new_v7(1_795_219_200_000, [n; 10]),
        parent: None,
        kind: kind.into(),
        subject: Fields::new()
            .with("user", "alice")
            .with("login", "alice")
            .with("uid", 1000u64),
        origin: Fields::new()
            .with("tty", "/dev/pts/3")
            .with("term", "xterm-256color"),
        target: Fields::new().with("server_hostname", "db1").with(
            "argv",
            Value::List(argv.iter().map(|a| Value::from(*a)).collect()),
        ),
        start_utc_ns: 1_795_219_200_000_000_000,
        clock: ClockQuality::Synchronised,
        policy: Policy::default(),
        recorder_key: key().public(),
        recorder: "hansard golden 1".into(),
    }
}

fn output(text: &str) -> Body {
    Body::Data {
        stream: Stream::Output,
        bytes: text.as_bytes().to_vec(),
    }
}

fn exited(status: u8) -> End {
    End {
        reason: "exited".into(),
        exit_status: Some(status),
        signal: None,
    }
}

fn bytes(mut writer: SegmentWriter) -> Vec<u8> {
    writer
        .parts()
        .iter()
        .flat_map(|part| part.bytes().to_vec())
        .collect()
}

/// The smallest whole recording.
fn hello() -> Vec<u8> {
    let mut writer =
        SegmentWriter::new(session(1, "terminal", &["echo", "hello"]), key(), plain()).unwrap();
    writer
        .push(0, &Body::Resize { cols: 80, rows: 24 })
        .unwrap();
    writer.push(3 * MS, &output("hello\r\n")).unwrap();
    writer.finish(4 * MS, &exited(0)).unwrap();
    bytes(writer)
}

/// Every family and every type of value.
fn families() -> Vec<u8> {
    let mut session = session(2, "terminal", &["bash", "-l"]);
    session.parent = Some(SessionId::new_v7(1_795_219_199_000, [9; 10]));
    session.clock = ClockQuality::Unsynchronised;
    session.policy = Policy {
        stdin: false,
        keystrokes: true,
        passwords: true,
        forwarding: true,
        files: true,
        strict: true,
        on_loss: OnLoss::Continue,
        hold_ms_max: 1,
        ..Policy::default()
    };
    let mut writer = SegmentWriter::new(session, key(), plain()).unwrap();
    let fact = |event: &str| Fact {
        event: event.into(),
        fields: Fields::new()
            .with("user", "älice \u{1f600}")
            .with("path", Value::Bytes(vec![0xff, 0x00, b'/']))
            .with("count", u64::MAX)
            .with("delta", Value::Int(i64::MIN))
            .with("success", false)
            .with(
                "argv",
                Value::List(vec![
                    "".into(),
                    Value::List(vec![
                        Value::Int(-1),
                        Value::List(vec![Value::List(vec![true.into()])]),
                    ]),
                ]),
            )
            .with("user", "twice"),
    };
    let bodies = [
        Body::Resize {
            cols: 65535,
            rows: 1,
        },
        Body::Auth(fact("auth")),
        Body::Channel(fact("port")),
        Body::Command(fact("session.command")),
        Body::File(fact("session.disk")),
        Body::Network(fact("session.network")),
        Body::Process(fact("session.process")),
        Body::Transfer(fact("sftp")),
        Body::Request(fact("app.session.request")),
        Body::Admin(fact("session.recording.access")),
        Body::Data {
            stream: Stream::Keystrokes,
            bytes: b"ls\r".to_vec(),
        },
        Body::Data {
            stream: Stream::Output,
            bytes: vec![0x1b, b'[', b'1', b'm', 0xc3, 0x28, 0x00, 0xff],
        },
        Body::Clock {
            utc_ns: 1_795_219_260_000_000_000,
            quality: ClockQuality::Unknown,
            reason: "jump".into(),
        },
        Body::Mark {
            label: "here ✓".into(),
        },
        Body::Mark {
            label: String::new(),
        },
        Body::Gap(Gap {
            cause: "disk full".into(),
            from_ns: 5,
            events: Some(3),
            bytes: Some(0),
            bytes_max: None,
        }),
        Body::Gap(Gap {
            cause: "killed".into(),
            from_ns: 6,
            events: None,
            bytes: None,
            bytes_max: Some(65536),
        }),
        Body::Unknown {
            kind: 0x7f,
            bytes: vec![1, 2, 3],
        },
        Body::Unknown {
            kind: 0x00,
            bytes: vec![],
        },
    ];
    for (n, body) in (1u64..).zip(bodies) {
        writer.push(n * 20 * MS, &body).unwrap();
    }
    let end = End {
        reason: "signalled".into(),
        exit_status: None,
        signal: Some("TERM".into()),
    };
    writer.finish(7_200_000 * MS, &end).unwrap();
    bytes(writer)
}

/// A program without a terminal: three streams apart.
fn pipes() -> Vec<u8> {
    let mut writer = SegmentWriter::new(
        session(3, "exec", &["tar", "-cf", "-", "."]),
        key(),
        plain(),
    )
    .unwrap();
    for (n, stream) in (0u64..).zip(
        [Stream::Stdin, Stream::Stdout, Stream::Stderr]
            .into_iter()
            .cycle()
            .take(30),
    ) {
        let data: Vec<u8> = (0..n * 9).map(|i| (i * 37 + n) as u8).collect();
        writer
            .push(
                n * 100 * MS,
                &Body::Data {
                    stream,
                    bytes: data,
                },
            )
            .unwrap();
    }
    writer.finish(3_100 * MS, &exited(2)).unwrap();
    bytes(writer)
}

/// The defaults of the day these were made, spelled out: the files must not change with them.
fn plain() -> Bounds {
    Bounds {
        frame_bytes: 65_536,
        frame_events: 8192,
        frame_ns: 1_000_000_000,
        segment_bytes: 262_144,
        segment_raw_bytes: 16_777_216,
        segment_ns: 60_000_000_000,
    }
}

fn tight() -> Bounds {
    Bounds {
        frame_bytes: 300,
        segment_bytes: 1200,
        segment_ns: 20_000 * MS,
        ..plain()
    }
}

/// Many segments; without an end, the last ones unsealed.
fn segments(end: bool) -> Vec<u8> {
    let mut writer = SegmentWriter::new(
        session(4 + u8::from(end), "terminal", &["top"]),
        key(),
        tight(),
    )
    .unwrap();
    writer
        .push(0, &Body::Resize { cols: 80, rows: 24 })
        .unwrap();
    for n in 0..200u64 {
        let text = format!(
            "\x1b[H{:02}:{:02}  up {n} min, load {:.2}\x1b[K\r\n",
            n / 60,
            n % 60,
            (n * 7919 % 400) as f64 / 100.0
        );
        writer.push(n * 700 * MS, &output(&text)).unwrap();
    }
    if end {
        writer.finish(141_000 * MS, &exited(0)).unwrap();
    } else {
        writer.cut().unwrap();
    }
    bytes(writer)
}

/// Cut off inside a record.
fn torn() -> Vec<u8> {
    let mut bytes = segments(false);
    bytes.truncate(bytes.len() - 5);
    bytes
}

/// One bit of a frame in the middle is another one.
fn damaged() -> Vec<u8> {
    let mut bytes = segments(true);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    bytes
}

/// Frames as large as they get, compressible and not.
fn bulk() -> Vec<u8> {
    let mut writer = SegmentWriter::new(session(6, "terminal", &["cat"]), key(), plain()).unwrap();
    let mut x = 1u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        x = x
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (x >> 56) as u8
    })
    .take(100_000)
    .collect();
    writer
        .push(
            MS,
            &Body::Data {
                stream: Stream::Output,
                bytes: noise,
            },
        )
        .unwrap();
    writer
        .push(
            2 * MS,
            &Body::Data {
                stream: Stream::Output,
                bytes: vec![b'x'; 1_000_000],
            },
        )
        .unwrap();
    writer.finish(3 * MS, &exited(0)).unwrap();
    bytes(writer)
}
