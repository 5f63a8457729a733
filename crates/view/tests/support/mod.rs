//! What tests of this crate are made of: recordings, noise, places for files.

#![allow(dead_code, unreachable_pub)] // each test uses some of it

pub mod teleport;

use std::path::PathBuf;

use hansard_core::event::End;
use hansard_core::seal::SigningKey;
use hansard_core::session::ClockQuality;
use hansard_core::writer::{Bounds, SegmentWriter};
use hansard_core::{Body, Fields, Policy, Session, SessionId, Stream};
use hansard_view::Import;

pub fn session() -> Session {
    Session {
        id: SessionId::new_v7(1_700_000_000_000, [7; 10]),
        parent: None,
        kind: "terminal".to_owned(),
        subject: Fields::new().with("user", "root"),
        origin: Fields::new().with("term", "xterm-256color"),
        target: Fields::new()
            .with("command", "bash -l")
            .with("env.SHELL", "/bin/bash"),
        start_utc_ns: 1_700_000_000_000_000_000,
        clock: ClockQuality::Synchronised,
        policy: Policy::default(),
        recorder_key: key().public(),
        recorder: "hansard 0.1.0".to_owned(),
    }
}

pub fn key() -> SigningKey {
    SigningKey::from_seed([9; 32])
}

pub fn import() -> Import {
    Import {
        id: SessionId::new_v7(1_700_000_000_000, [8; 10]),
        start_utc_ns: 1_600_000_000_000_000_000,
        recorder: "hansard 0.1.0".to_owned(),
        rec: None,
    }
}

pub fn output(bytes: &[u8]) -> Body {
    Body::Data {
        stream: Stream::Output,
        bytes: bytes.to_vec(),
    }
}

/// A finished recording of these events.
pub fn recording(events: &[(u64, Body)]) -> Vec<u8> {
    recording_with(events, Bounds::default(), true).0
}

/// A recording and the offsets at which its parts end.
pub fn recording_with(
    events: &[(u64, Body)],
    bounds: Bounds,
    finish: bool,
) -> (Vec<u8>, Vec<usize>) {
    let mut writer = SegmentWriter::new(session(), key(), bounds).unwrap();
    let mut last = 0;
    for (at_ns, body) in events {
        writer.tick(*at_ns).unwrap();
        writer.push(*at_ns, body).unwrap();
        last = *at_ns;
    }
    match finish {
        true => {
            let end = End {
                reason: "exited".to_owned(),
                exit_status: Some(0),
                signal: None,
            };
            writer.finish(last, &end).unwrap();
        }
        false => writer.cut().unwrap(),
    }
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    for part in writer.parts() {
        bytes.extend_from_slice(part.bytes());
        ends.push(bytes.len());
    }
    (bytes, ends)
}

/// A small source of noise: the same seed, the same noise (xorshift64*).
pub struct Noise(u64);

impl Noise {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    /// About this many bytes of what programs send terminals, good and bad.
    pub fn terminal_bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < len {
            match self.below(14) {
                0 => bytes.extend_from_slice(b"\r\n"),
                1 => {
                    let (a, b) = (self.below(30), self.below(90));
                    bytes.extend_from_slice(format!("\x1b[{a};{b}H").as_bytes());
                }
                2 => {
                    let n = [0, 1, 4, 7, 8, 28, 31, 44, 97][self.below(9) as usize];
                    bytes.extend_from_slice(format!("\x1b[{n}m").as_bytes());
                }
                3 => {
                    let n = self.below(256);
                    bytes.extend_from_slice(format!("\x1b[38;5;{n}m").as_bytes());
                }
                4 => bytes.extend_from_slice("界é🎉".as_bytes()),
                5 => bytes.push(self.next() as u8),
                6 => {
                    let (n, end) = (self.below(6), b"ABCDJKLMPSTX@b"[self.below(14) as usize]);
                    bytes.extend_from_slice(format!("\x1b[{n}{}", end as char).as_bytes());
                }
                7 => {
                    let all = [
                        "\x1b[?1049h",
                        "\x1b[?1049l",
                        "\x1b[?7l",
                        "\x1b[?7h",
                        "\x1b[?6h",
                        "\x1b[?6l",
                        "\x1b[?25l",
                        "\x1b[?25h",
                        "\x1b7",
                        "\x1b8",
                        "\x1bM",
                        "\x1bD",
                        "\x1b[2;8r",
                        "\x1b[r",
                        "\x1b(0",
                        "\x1b(B",
                        "\x0e",
                        "\x0f",
                        "\t",
                        "\x08",
                        "\x1b]0;title\x07",
                        "\x1bP+q\x1b\\",
                        "\x1b[4h",
                        "\x1b[4l",
                        "\x1bH",
                        "\x1b[3g",
                        "\x1b[!p",
                    ];
                    bytes.extend_from_slice(all[self.below(all.len() as u64) as usize].as_bytes());
                }
                _ => {
                    for _ in 0..self.below(40) {
                        bytes.push(b' ' + self.below(95) as u8);
                    }
                }
            }
        }
        bytes.truncate(len);
        bytes
    }
}

/// A directory of a test, removed afterwards.
pub struct TempDir(PathBuf);

impl TempDir {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("hansard-view-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(&self.0)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
