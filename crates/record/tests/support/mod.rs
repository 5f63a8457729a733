//! What the tests of this crate share: a session to record, a place for files, a way to read back.

#![allow(dead_code, unreachable_pub)] // each test binary uses a part of it

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use hansard_core::event::Event;
use hansard_core::policy::{OnLoss, Policy};
use hansard_core::reader::{Item, Reader, Tail};
use hansard_core::seal::SigningKey;
use hansard_core::session::{ClockQuality, Session};
use hansard_core::{Fields, SessionId};

/// The key of every test recording.
pub fn key() -> SigningKey {
    SigningKey::from_seed([7; 32])
}

/// A session whose id says which one it is.
pub fn session(number: u16, on_loss: OnLoss, hold_ms_max: u64) -> Session {
    let mut random = [0u8; 10];
    random[8..].copy_from_slice(&number.to_be_bytes());
    Session {
        id: SessionId::new_v7(1_700_000_000_000, random),
        parent: None,
        kind: "terminal".into(),
        subject: Fields::new().with("user", "alice"),
        origin: Fields::new(),
        target: Fields::new().with("command", "top"),
        start_utc_ns: 1_700_000_000_000_000_000,
        clock: ClockQuality::Synchronised,
        policy: Policy {
            on_loss,
            hold_ms_max,
            ..Policy::default()
        },
        recorder_key: key().public(),
        recorder: "hansard test".into(),
    }
}

/// A directory of this test's own, removed when it is dropped.
pub struct TempDir(PathBuf);

impl TempDir {
    pub fn new(what: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("hansard-record-{what}-{}-{number}", std::process::id());
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

/// Everything a reader finds in these bytes, and how they end. Damage fails the test.
pub fn read_all(bytes: &[u8]) -> (Vec<Event>, Tail) {
    let mut reader = Reader::new(bytes);
    let mut events = Vec::new();
    loop {
        match reader.next_item().unwrap() {
            Item::Frame(frame) => events.extend(frame.events),
            Item::Seal(_) => {}
            Item::Damage(damage) => panic!("{damage:?}"),
            Item::End(tail) => return (events, tail),
        }
    }
}
