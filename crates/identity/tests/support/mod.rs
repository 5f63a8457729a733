//! A cluster in a directory of its own, with a clock and randomness that tests decide.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)] // not every test file uses all of it

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use hansard_core::event::Body;
use hansard_identity::authority::Authority;
use hansard_identity::host_identity::{HostIdentity, HostKeys};
use hansard_identity::random::Random;
use hansard_identity::registry::{Denied, Enrolment, Registry};
use hansard_identity::token::JoinAs;

pub(crate) const SECOND: u64 = 1_000_000_000;
pub(crate) const HOUR: u64 = 3600 * SECOND;
pub(crate) const DAY: u64 = 24 * HOUR;
pub(crate) const YEAR: u64 = 365 * DAY;

/// 2026-11-21T08:00:00Z.
pub(crate) const NOW: u64 = 1_795_248_000 * SECOND;

/// A directory of its own, removed when dropped.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = format!("hansard-identity-{name}-{}-{n}", std::process::id());
        let path = std::env::temp_dir().join(path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Random bytes from a seed (splitmix64).
pub(crate) fn random(seed: u64) -> Arc<dyn Random> {
    let state = AtomicU64::new(seed);
    Arc::new(move |bytes: &mut [u8]| -> io::Result<()> {
        for chunk in bytes.chunks_mut(8) {
            let mut z = state.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            chunk.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    })
}

/// An authority and its registry.
pub(crate) struct Cluster {
    pub(crate) scratch: Scratch,
    pub(crate) authority: Arc<Authority>,
    pub(crate) registry: Registry,
    pub(crate) random: Arc<dyn Random>,
}

impl Cluster {
    pub(crate) fn new(name: &str, seed: u64) -> Self {
        let scratch = Scratch::new(name);
        let random = random(seed);
        let directory = scratch.0.join("authority");
        let authority = Authority::create(&directory, name, NOW, &*random).unwrap();
        let authority = Arc::new(authority);
        let at = scratch.0.join("registry");
        Registry::create(&at).unwrap();
        let (registry, facts) =
            Registry::open(&at, Arc::clone(&authority), Arc::clone(&random)).unwrap();
        assert!(facts.is_empty());
        Self {
            scratch,
            authority,
            registry,
            random,
        }
    }

    pub(crate) fn token(&self, role: JoinAs, uses: u32) -> String {
        let made = self.registry.create_token(role, uses, HOUR, "root", NOW);
        made.unwrap().answer.reveal()
    }

    pub(crate) fn keys(&self, name: &str) -> HostKeys {
        HostKeys::create(&self.directory(name), &*self.random).unwrap()
    }

    pub(crate) fn directory(&self, name: &str) -> PathBuf {
        self.scratch.0.join("hosts").join(name)
    }

    /// A host that joined at [`NOW`].
    pub(crate) fn host(&self, name: &str) -> HostIdentity {
        let token = self.token(JoinAs::Host, 1);
        let keys = self.keys(name);
        let request = keys.join_request(&token, name, BTreeMap::new(), Vec::new());
        let joined = self.registry.join(&request, NOW).unwrap();
        keys.store(&joined.answer, &self.authority.own().der, NOW)
            .unwrap();
        self.open(name)
    }

    /// The service itself, reached under this name.
    pub(crate) fn service(&self, name: &str) -> HostIdentity {
        let keys = self.keys(name);
        let enrolment = Enrolment {
            name: name.to_owned(),
            labels: BTreeMap::new(),
            server_names: vec![name.to_owned(), "127.0.0.1".to_owned()],
            tls_key: keys.tls().public(),
            recorder_key: keys.recorder().public(),
        };
        let enrolled = self.registry.enrol(&enrolment, NOW).unwrap();
        keys.store(&enrolled.answer, &self.authority.own().der, NOW)
            .unwrap();
        self.open(name)
    }

    pub(crate) fn open(&self, name: &str) -> HostIdentity {
        HostIdentity::open(&self.directory(name)).unwrap().unwrap()
    }
}

/// The names of all files under a directory, sorted.
pub(crate) fn files_under(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_under(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Name and fields of a fact, as one line.
pub(crate) fn line(body: &Body) -> String {
    let (Body::Auth(fact) | Body::Admin(fact)) = body else {
        panic!("{body:?}")
    };
    let fields = fact.fields.iter().map(|(n, v)| format!(" {n}={v:?}"));
    format!("{}{}", fact.event, fields.collect::<String>())
}

pub(crate) fn reason(denied: &Denied) -> String {
    denied.facts.iter().map(line).collect()
}
