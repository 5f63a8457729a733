//! Dying before and after every call that writes, and starting again.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use super::Registry;
use crate::authority::Authority;
use crate::failure::Failure;
use crate::files::Files;
use crate::host_identity::{HostIdentity, HostKeys};
use crate::join::JoinRequest;
use crate::key::PrivateKey;
use crate::random::Random;
use crate::token::JoinAs;

const NOW: u64 = 1_795_248_000_000_000_000;
const HOUR: u64 = 3_600_000_000_000;

/// Moments that were died at in each run, so that a test that dies nowhere is no test.
const MOMENTS_MIN: u32 = 10;

struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("hansard-identity-crash-{}-{n}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Bytes that never repeat within a test.
fn random() -> Arc<dyn Random> {
    let count = AtomicU8::new(0);
    Arc::new(move |bytes: &mut [u8]| {
        bytes.fill(count.fetch_add(1, Ordering::Relaxed));
        Ok(())
    })
}

fn open(at: &Path, files: &Files) -> Registry {
    let authority = Arc::new(Authority::open(&at.join("authority")).unwrap());
    let files = files.clone();
    let opened = Registry::open_with(&at.join("registry"), authority, random(), files);
    let (registry, facts) = opened.unwrap();
    assert!(facts.is_empty(), "a crash damages nothing: {facts:?}");
    registry
}

fn request(token: &str) -> JoinRequest {
    let (tls, recorder) = (
        PrivateKey::from_seed([201; 32]),
        PrivateKey::from_seed([202; 32]),
    );
    JoinRequest::new(token, "web-1", BTreeMap::new(), Vec::new(), &tls, &recorder)
}

fn died<T: std::fmt::Debug>(result: Result<T, Failure>) -> bool {
    match result {
        Ok(_) => false,
        Err(Failure::Retry(_)) => true,
        Err(other) => panic!("a dying disk is for a retry: {other:?}"),
    }
}

/// Calls `run` with every moment to die at, until a run lives.
fn at_every_moment(mut run: impl FnMut(u32) -> bool) {
    let mut moment = 1;
    while run(moment) {
        moment += 1;
    }
    assert!(moment > MOMENTS_MIN, "only {moment} moments");
}

#[test]
fn a_join_that_died_is_finished_by_the_same_join() {
    at_every_moment(|moment| {
        let scratch = Scratch::new();
        let at = &scratch.0;
        Authority::create(&at.join("authority"), "prod", NOW, &*random()).unwrap();
        Registry::create(&at.join("registry")).unwrap();
        let files = Files::default();
        let registry = open(at, &files);
        let made = registry.create_token(JoinAs::Host, 1, HOUR, "root", NOW);
        let token = made.unwrap().answer.reveal();
        files.crash.at(moment);
        let joined = registry.join(&request(&token), NOW);
        let dead = died(joined.map_err(|d| d.failure));
        drop(registry);

        let registry = open(at, &Files::default());
        let used = |registry: &Registry| registry.tokens(None, 9).rows[0].uses.clone();
        let promised = used(&registry).first().map(|u| u.host.clone());
        let again = registry.join(&request(&token), NOW + 1).unwrap();
        assert!(
            promised.is_none_or(|id| id == again.answer.id),
            "moment {moment}"
        );
        assert_eq!(used(&registry).len(), 1, "moment {moment}");
        assert_eq!(registry.hosts(None, 9).rows.len(), 1, "moment {moment}");
        dead
    });
}

#[test]
fn a_repeat_without_a_restart_finishes_too() {
    at_every_moment(|moment| {
        let scratch = Scratch::new();
        let at = &scratch.0;
        Authority::create(&at.join("authority"), "prod", NOW, &*random()).unwrap();
        Registry::create(&at.join("registry")).unwrap();
        let files = Files::default();
        let registry = open(at, &files);
        let made = registry.create_token(JoinAs::Host, 1, HOUR, "root", NOW);
        let token = made.unwrap().answer.reveal();
        files.crash.at(moment);
        let dead = died(registry.join(&request(&token), NOW).map_err(|d| d.failure));
        files.crash.at(0);
        let again = registry.join(&request(&token), NOW + 1).unwrap();
        let id = again.answer.id.parse().unwrap();
        let in_memory = (registry.hosts(None, 9), registry.tokens(None, 9));
        assert_eq!(in_memory.0.rows.len(), 1);
        drop(registry);
        let registry = open(at, &Files::default());
        assert_eq!(
            in_memory,
            (registry.hosts(None, 9), registry.tokens(None, 9))
        );
        assert!(!registry.is_locked(id, NOW));
        dead
    });
}

#[test]
fn a_lock_that_died_is_there_or_not_and_repeats() {
    at_every_moment(|moment| {
        let scratch = Scratch::new();
        let at = &scratch.0;
        Authority::create(&at.join("authority"), "prod", NOW, &*random()).unwrap();
        Registry::create(&at.join("registry")).unwrap();
        let files = Files::default();
        let registry = open(at, &files);
        let made = registry.create_token(JoinAs::Host, 1, HOUR, "root", NOW);
        let token = made.unwrap().answer.reveal();
        let joined = registry.join(&request(&token), NOW).unwrap();
        let id = joined.answer.id.parse().unwrap();
        files.crash.at(moment);
        let locked = registry.lock(id, "stolen", None, "ada", NOW);
        let dead = died(locked.map_err(|d| d.failure));
        drop(registry);
        let registry = open(at, &Files::default());
        assert!(dead || registry.is_locked(id, NOW), "what was said holds");
        registry.lock(id, "stolen", None, "ada", NOW).unwrap();
        assert!(registry.is_locked(id, NOW));
        dead
    });
}

#[test]
fn an_authority_that_died_being_made_is_finished_with_its_first_key() {
    at_every_moment(|moment| {
        let scratch = Scratch::new();
        let at = scratch.0.join("authority");
        let files = Files::default();
        files.crash.at(moment);
        let made = Authority::create_with(&at, "prod", NOW, &*random(), &files);
        let dead = died(made);
        let key = PrivateKey::read(&at.join("authority.key")).unwrap();
        match Authority::create(&at, "prod", NOW, &*random()) {
            Ok(authority) => {
                let public = authority.own().certificate.key;
                assert!(key.is_none_or(|key| key.public() == public));
            }
            // It died after the last file: all of it is there.
            Err(Failure::Conflict(_)) => {}
            Err(other) => panic!("moment {moment}: {other:?}"),
        }
        assert_eq!(Authority::open(&at).unwrap().cluster(), "prod");
        dead
    });
}

#[test]
fn keys_and_certificates_of_a_host_that_died_are_finished() {
    let cluster = Scratch::new();
    Authority::create(&cluster.0.join("authority"), "prod", NOW, &*random()).unwrap();
    Registry::create(&cluster.0.join("registry")).unwrap();
    let registry = open(&cluster.0, &Files::default());
    let made = registry.create_token(JoinAs::Host, 1000, HOUR, "root", NOW);
    let token = made.unwrap().answer.reveal();
    let authority = registry.authority().own().der.clone();
    let random = random();
    at_every_moment(|moment| {
        let scratch = Scratch::new();
        let at = scratch.0.join("identity");
        let files = Files::default();
        files.crash.at(moment);
        let keys = HostKeys::create_with(&at, &*random, files.clone());
        let stored = keys.and_then(|keys| {
            let request = keys.join_request(&token, "web-1", BTreeMap::new(), Vec::new());
            let joined = registry.join(&request, NOW).map_err(|d| d.failure)?;
            keys.store(&joined.answer, &authority, NOW)
        });
        let dead = died(stored);
        let first = HostKeys::open(&at)
            .ok()
            .map(|keys| keys.recorder().public());

        let keys = HostKeys::create(&at, &*random).unwrap();
        assert!(first.is_none_or(|first| first == keys.recorder().public()));
        let request = keys.join_request(&token, "web-1", BTreeMap::new(), Vec::new());
        let joined = registry.join(&request, NOW).unwrap();
        keys.store(&joined.answer, &authority, NOW).unwrap();
        let identity = HostIdentity::open(&at).unwrap().unwrap();
        assert_eq!(identity.id().to_string(), joined.answer.id);
        dead
    });
}

#[test]
fn a_renewal_that_died_leaves_an_identity_that_opens() {
    let cluster = Scratch::new();
    Authority::create(&cluster.0.join("authority"), "prod", NOW, &*random()).unwrap();
    Registry::create(&cluster.0.join("registry")).unwrap();
    let registry = open(&cluster.0, &Files::default());
    let made = registry.create_token(JoinAs::Host, 1000, HOUR, "root", NOW);
    let token = made.unwrap().answer.reveal();
    let authority = registry.authority().own().der.clone();
    let random = random();
    at_every_moment(|moment| {
        let scratch = Scratch::new();
        let files = Files::default();
        let keys = HostKeys::create_with(&scratch.0, &*random, files.clone()).unwrap();
        let request = keys.join_request(&token, "web-1", BTreeMap::new(), Vec::new());
        let joined = registry.join(&request, NOW).unwrap();
        keys.store(&joined.answer, &authority, NOW).unwrap();
        // A repeated join brings all three files anew.
        let again = registry.join(&request, NOW + 1).unwrap();
        files.crash.at(moment);
        let dead = died(keys.store(&again.answer, &authority, NOW));
        let identity = HostIdentity::open(&scratch.0).unwrap().unwrap();
        assert_eq!(identity.id().to_string(), joined.answer.id);
        dead
    });
}
