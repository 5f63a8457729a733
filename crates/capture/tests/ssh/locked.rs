//! Whoever is locked has no session, and gets none.

use std::process::Output;
use std::sync::{Arc, Mutex};

use hansard_capture::local::LockedBy;
use hansard_core::lock::{Lockable, Locks, Target};

use crate::debian::{self, Debian};
use crate::proxied::Behind;
use crate::site::{Site, facts, finished};
use crate::support::{end_of, wait_for};

/// Locks that a test makes and lifts.
#[derive(Default)]
struct Held(Mutex<Vec<Target>>);

impl Locks for Held {
    fn locked(&self, who: &Lockable) -> Option<String> {
        let held = self.0.lock().unwrap();
        let hit = held.iter().find(|target| target.hits(who))?;
        Some(format!("{hit} is locked: ask Bob"))
    }
}

fn site() -> (Site, Arc<Held>) {
    let held = Arc::new(Held::default());
    let locks = LockedBy(Arc::clone(&held) as Arc<dyn Locks>);
    let site = Site::with(|_| {}, |local| local.locks = Some(locks));
    (site, held)
}

fn set(held: &Held, target: Option<&str>) {
    let target = target.map(|text| Target::parse(text).unwrap());
    *held.0.lock().unwrap() = target.into_iter().collect();
}

fn said(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

#[test]
fn nobody_who_is_locked_comes_in() {
    let (site, held) = site();
    assert_eq!(site.run("true").status.code(), Some(0));
    let login = format!("login:{}", site.account.name);
    for target in ["user:anna", &login, "host:h1"] {
        set(&held, Some(target));
        let out = site.run("echo in");
        assert!(out.stdout.is_empty(), "{target}: {out:?}");
        let why = format!("{target} is locked: ask Bob");
        assert!(said(&out).contains(&why), "{target}: {out:?}");
        assert_eq!(
            site.refusal(&why).fields.text("login"),
            Some(&*site.account.name)
        );
    }
    for target in [Some("user:bob"), Some("role:ops"), Some("host:h2"), None] {
        set(&held, target);
        assert_eq!(site.run("true").status.code(), Some(0), "{target:?}");
    }
}

#[test]
fn a_lock_ends_what_goes_on_and_says_why() {
    let (site, held) = site();
    let client = site
        .ssh(&[], &["echo begun; exec sleep 600"])
        .spawn()
        .unwrap();
    let exec = site.session("exec");
    let registry = site.daemon.server.registry();
    wait_for("both sessions", || registry.list().len() == 2);
    set(&held, Some("user:bob"));
    assert_eq!(registry.lock_out(), 0);
    set(&held, Some("user:anna"));
    assert_eq!(registry.lock_out(), 2);
    assert_eq!(registry.lock_out(), 0, "those that end are not ended again");
    let out = finished(client);
    assert!(
        said(&out).contains("user:anna is locked: ask Bob"),
        "{out:?}"
    );
    let connection = site.complete("ssh");
    let gone = facts(&connection, "client.disconnect");
    assert_eq!(
        gone[0].fields.text("reason"),
        Some("user:anna is locked: ask Bob")
    );
    let exec = site.daemon.complete(exec);
    assert_eq!(end_of(&exec).reason, "user:anna is locked: ask Bob");
}

#[test]
fn a_target_that_is_locked_is_locked_by_whatever_name_it_is_reached() {
    if !debian::is_there() {
        return;
    }
    let held = Arc::new(Held::default());
    let locks = LockedBy(Arc::clone(&held) as Arc<dyn Locks>);
    let mut behind = Behind::to(
        |keys| Debian::start(keys, "host"),
        |_, _| {},
        |local| local.locks = Some(locks),
    );
    let mut reached = |name: &str, lock: Option<&str>| {
        set(&held, lock);
        behind.site.user = behind.user_to(name);
        let out = behind.ssh(&[], "echo in");
        let is_in = out.stdout == b"in\n";
        let why = lock.map(|lock| format!("{lock} is locked: ask Bob"));
        let is_told = why.is_some_and(|why| said(&out).contains(&why));
        assert_ne!(is_in, is_told, "{name} {lock:?}: {out:?}");
        is_in
    };
    // By its address, of which no line of known hosts says anything yet.
    assert!(!reached("localhost", Some("host:127.0.0.1")));
    // By its host key, once that is known under both names.
    for name in ["localhost", "127.0.0.1"] {
        assert!(reached(name, None));
    }
    for name in ["localhost", "127.0.0.1"] {
        for lock in ["host:localhost", "host:LOCALHOST", "host:127.0.0.1"] {
            let lock = Target::parse(lock).unwrap().to_string();
            assert!(!reached(name, Some(&lock)));
        }
        assert!(reached(name, Some("host:127.0.0.2")));
    }
    // Nor does anybody stay.
    set(&held, None);
    let mut client = behind.client("ssh", &[]);
    let client = client.args(["127.0.0.1", "echo begun; exec sleep 600"]);
    let client = client.spawn().unwrap();
    let registry = behind.site.daemon.server.registry();
    wait_for("both sessions", || registry.list().len() == 2);
    set(&held, Some("host:localhost"));
    assert!(registry.lock_out() > 0);
    let out = finished(client);
    assert!(said(&out).contains("host:localhost is locked"), "{out:?}");
    wait_for("none", || registry.list().is_empty());
}

#[test]
fn a_locked_session_takes_what_is_in_it_along_and_no_other() {
    let (site, held) = site();
    let client = site
        .ssh(&[], &["echo begun; exec sleep 600"])
        .spawn()
        .unwrap();
    let registry = site.daemon.server.registry();
    wait_for("both sessions", || registry.list().len() == 2);
    let connection = site.session("ssh");
    let other = site.ssh(&[], &["cat; exec sleep 600"]).spawn().unwrap();
    wait_for("all sessions", || registry.list().len() == 4);
    set(&held, Some(&format!("session:{connection}")));
    assert_eq!(registry.lock_out(), 2);
    finished(client);
    wait_for("the other ones alone", || registry.list().len() == 2);
    let mut other = other;
    other.kill().unwrap();
    other.wait().unwrap();
}
