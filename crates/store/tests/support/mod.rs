//! What the tests share: a directory that goes away, and recordings made from a number.

#![allow(dead_code, unreachable_pub, reason = "each test uses a part")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use hansard_core::event::{End, Fact, Gap, Stream};
use hansard_core::seal::SigningKey;
use hansard_core::session::{ClockQuality, Session};
use hansard_core::writer::{Bounds, SegmentWriter};
use hansard_core::{Body, Fields, Policy, SessionId};
use hansard_store::SealedSegment;

pub struct TempDir(PathBuf);

impl TempDir {
    pub fn new(what: &str) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("hansard-store-{what}-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// How many times a torture test tries; `HANSARD_TORTURE` for a release.
pub fn torture(usually: u64) -> u64 {
    let asked = std::env::var("HANSARD_TORTURE").ok();
    asked.and_then(|n| n.parse().ok()).unwrap_or(usually)
}

/// A number from a number, well mixed (SplitMix64).
pub fn mix(n: u64) -> u64 {
    let mut z = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

pub fn id(number: u64) -> SessionId {
    let mut random = [0u8; 10];
    random[..8].copy_from_slice(&mix(number).to_le_bytes());
    SessionId::new_v7(1_700_000_000_000 + number / 4, random)
}

pub fn header(number: u64, key: &SigningKey) -> Session {
    Session {
        id: id(number),
        parent: number.is_multiple_of(3).then(|| id(number / 3)),
        kind: ["terminal", "exec", "ssh"][number as usize % 3].to_owned(),
        subject: Fields::new().with("user", format!("user-{}", number % 7)),
        origin: Fields::new().with("addr.remote", "192.0.2.7:4711"),
        target: Fields::new().with("server_hostname", format!("host-{}", number % 5)),
        start_utc_ns: (1_700_000_000_000 + number / 4) * 1_000_000,
        clock: ClockQuality::Synchronised,
        policy: Policy::default(),
        recorder_key: key.public(),
        recorder: "test".to_owned(),
    }
}

pub fn key(number: u64) -> SigningKey {
    let mut seed = [7u8; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    SigningKey::from_seed(seed)
}

/// A whole recording of at least this many segments, the same for the same numbers. `branch` makes
/// another recording of the same session, that begins to differ at segment `fork`.
pub fn forked(number: u64, segments: u32, fork: u32, branch: u64) -> Vec<SealedSegment> {
    signed(number, segments, fork, branch, &key(number))
}

pub fn signed(
    number: u64,
    segments: u32,
    fork: u32,
    branch: u64,
    key: &SigningKey,
) -> Vec<SealedSegment> {
    let bounds = Bounds {
        segment_ns: 1_000_000,
        ..Bounds::default()
    };
    let mut writer = SegmentWriter::new(header(number, key), key.clone(), bounds).unwrap();
    for segment in 0..segments {
        let now = u64::from(segment) * 1_000_000;
        for i in 0..4u64 {
            let mut seed = mix(number ^ mix(u64::from(segment) << 8 | i));
            if segment >= fork {
                seed ^= branch;
            }
            let at = now + i * 100;
            match seed % 6 {
                0 => writer.push(at, &Body::Resize { cols: 80, rows: 24 }),
                1 => writer.push(at, &command(seed)),
                2 if i == 3 => writer.push(at, &Body::Gap(Gap::default())),
                3 => writer.push(
                    at,
                    &Body::Unknown {
                        kind: 250,
                        bytes: vec![1; 9],
                    },
                ),
                _ => writer.push_data(at, Stream::Output, format!("{seed:x}\r\n").as_bytes()),
            }
            .unwrap();
        }
        if segment + 1 < segments {
            writer.cut().unwrap();
            writer.tick(now + 1_000_000).unwrap();
        }
    }
    let end = End {
        reason: "exited".to_owned(),
        exit_status: Some((number % 250) as u8),
        signal: None,
    };
    writer
        .finish(u64::from(segments) * 1_000_000 - 500_000, &end)
        .unwrap();
    let made = split(&writer.parts());
    assert_eq!(made.len(), segments as usize);
    made
}

fn command(seed: u64) -> Body {
    Body::Command(Fact {
        event: "session.command".to_owned(),
        fields: Fields::new()
            .with("path", format!("/bin/{seed:x}"))
            .with("pid", seed % 30_000),
    })
}

/// The segments that parts make.
pub fn split(parts: &[hansard_core::Part]) -> Vec<SealedSegment> {
    parts
        .chunk_by(|a, b| a.segment() == b.segment())
        .map(|parts| SealedSegment::from_parts(parts).unwrap())
        .collect()
}

pub fn recording(number: u64, segments: u32) -> Vec<SealedSegment> {
    forked(number, segments, 0, 0)
}

pub fn bytes_of(segments: &[SealedSegment]) -> Vec<u8> {
    segments
        .iter()
        .flat_map(|s| s.bytes().iter().copied())
        .collect()
}
