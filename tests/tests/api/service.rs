//! The service under test: the real API on a unix socket of its own.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hansard_core::event::Fact;
use hansard_core::policy::decide::Host;
use hansard_core::{Body, Value};
use hansard_identity::{Credentials, Locks, SavedSearches, Shares, Users};
use hansard_record::clock::RealClock;
use hansard_record::real_disk::RealDisk;
use hansard_tests::{Scratch, hansard};
use hansardd::api::problem::Trouble;
use hansardd::api::refusals::Refusals;
use hansardd::api::role::{Known, Peer, Role};
use hansardd::api::sign_ins::{SignIn, SignIns};
use hansardd::api::{Api, Parts, socket};
use hansardd::behind::{Definitions, Keyed, Linked, Locked, LockingOut, People, Stored};
use hansardd::config::{Config, Local};
use hansardd::ingest::Connections;
use hansardd::live::Live;
use hansardd::player::Player;
use hansardd::policy::{Central, InForce, PolicyFiles};
use hansardd::web::challenges::Challenges;
use serde_json::{Value as Json, json};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::keep::{Keeper, Kept};

/// The number of the user who runs the tests, as the kernel says it.
pub fn own_uid() -> u32 {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").unwrap().uid()
}

pub struct Service {
    pub scratch: Scratch,
    pub socket: PathBuf,
    pub kept: Arc<Kept>,
    /// Roles by uid.
    pub roles: Arc<Mutex<BTreeMap<u32, Role>>>,
    /// What was put on record, and whether that works.
    pub record: Arc<Mutex<Vec<Fact>>>,
    pub record_fails: Arc<AtomicBool>,
    pub peers: Arc<Mutex<Vec<Peer>>>,
    pub said: Arc<Mutex<Vec<String>>>,
    stop: watch::Sender<bool>,
    runtime: Option<Runtime>,
}

impl Service {
    pub fn start(name: &str) -> Self {
        Self::counting(name, Duration::from_secs(3600)).0
    }

    /// The same; refusals are counted together for so long.
    pub fn counting(name: &str, window: Duration) -> (Self, Arc<Refusals>) {
        let refusals = Arc::new(Refusals::new(window));
        let scratch = Scratch::new(name);
        let socket = scratch.join("admin.sock");
        let kept = Arc::new(Kept::default());
        let roles = Arc::new(Mutex::new(BTreeMap::from([(own_uid(), Role::Admin)])));
        let record: Arc<Mutex<Vec<Fact>>> = Arc::default();
        let record_fails: Arc<AtomicBool> = Arc::default();
        let peers: Arc<Mutex<Vec<Peer>>> = Arc::default();
        let said: Arc<Mutex<Vec<String>>> = Arc::default();
        let keeper = Arc::new(Keeper(Arc::clone(&kept)));
        let locking = locking(&scratch);
        let parts = Parts {
            admit: {
                let (roles, peers) = (Arc::clone(&roles), Arc::clone(&peers));
                Arc::new(move |peer| {
                    peers.lock().unwrap().push(*peer);
                    Known {
                        user: Some(format!("user{}", peer.uid)),
                        role: roles.lock().unwrap().get(&peer.uid).copied(),
                    }
                })
            },
            audit: {
                let (record, fails) = (Arc::clone(&record), Arc::clone(&record_fails));
                Arc::new(move |body| {
                    let Body::Admin(fact) = body else {
                        panic!("{body:?}");
                    };
                    if fails.load(Ordering::SeqCst) {
                        return Err("/var/lib/secret: disk full".to_owned());
                    }
                    record.lock().unwrap().push(fact);
                    Ok(())
                })
            },
            log: {
                let said = Arc::clone(&said);
                Arc::new(move |line| said.lock().unwrap().push(line.to_owned()))
            },
            status: Arc::new(|| {
                let status = json!({ "name": "test\u{1b}[2J", "roles": ["store", "serve"] });
                status.as_object().unwrap().clone()
            }),
            listings: Arc::new(kept.catalog.clone()),
            recordings: keeper.clone(),
            following: keeper.clone(),
            event_log: keeper.clone(),
            tokens: keeper.clone(),
            certificates: keeper.clone(),
            people: keeper.clone(),
            hosts: keeper.clone(),
            ending: keeper.clone(),
            holds: keeper.clone(),
            policies: Arc::new(policies(&scratch)),
            searching: keeper.clone(),
            users: Arc::new(people(&scratch)),
            passkeys: Arc::new(keyed(&scratch)),
            shares: Arc::new(linked(&scratch)),
            locked: Arc::new(locking.locked.clone()),
            locks: Arc::new(locking),
            credentials: Arc::new(stored(&scratch)),
            saved: Arc::new(SavedSearches::open(&scratch.join("saved")).unwrap()),
            sign_ins: Arc::new(Somebody),
            playing: Arc::new(player(keeper.clone(), &scratch)),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let (stop, stopped) = watch::channel(false);
        let guard = runtime.enter();
        let listener = socket::listen(&socket).unwrap();
        let api = Api::counting(parts, "boot".to_owned(), Arc::clone(&refusals));
        runtime.spawn(socket::serve(listener, api, stopped));
        drop(guard);
        let service = Self {
            scratch,
            socket,
            kept,
            roles,
            record,
            record_fails,
            peers,
            said,
            stop,
            runtime: Some(runtime),
        };
        (service, refusals)
    }

    /// The asker has this role from now on.
    pub fn role(&self, role: Option<Role>) {
        let mut roles = self.roles.lock().unwrap();
        roles.remove(&own_uid());
        roles.extend(role.map(|role| (own_uid(), role)));
    }

    /// Stops as a service does.
    pub fn stop(&self) {
        self.stop.send(true).unwrap();
    }

    /// The client, towards this service.
    pub fn client(&self, args: &[&str]) -> Command {
        let mut command = Command::new(hansard());
        command
            .args(args)
            .env("HANSARD_RUNTIME_DIR", self.scratch.path())
            .env("LC_ALL", "C.UTF-8");
        command
    }

    pub fn run(&self, args: &[&str]) -> Output {
        self.client(args).output().unwrap()
    }

    /// What the client says on standard output; it must succeed.
    pub fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{args:?}: {} {said}",
            output.status
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Exit status and what the client says on standard error; it must fail.
    pub fn fails(&self, args: &[&str]) -> (i32, String) {
        let output = self.run(args);
        assert!(!output.status.success(), "{args:?}: {output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap(), said)
    }

    /// Whether all that is on record was refused.
    pub fn did_nothing(&self) -> bool {
        let record = self.record.lock().unwrap();
        let is_refused = |fact: &Fact| fact.fields.get("success") == Some(&Value::Bool(false));
        record.iter().all(is_refused)
    }

    /// Names of the events on record, with the session or name that they are about.
    pub fn recorded(&self) -> Vec<(String, Option<String>)> {
        let record = self.record.lock().unwrap();
        let about = |fact: &Fact| {
            let named = ["recording", "target", "name"];
            let found = named.iter().find_map(|name| fact.fields.text(name));
            found.map(str::to_owned)
        };
        record.iter().map(|f| (f.event.clone(), about(f))).collect()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(10));
        }
    }
}

/// A policy of its own, on disk; of hosts one is known, `web-0`.
fn policies(scratch: &Scratch) -> Central {
    let dir = scratch.join("policy");
    let (files, found) = PolicyFiles::open(&dir, Arc::new(RealDisk), 100).unwrap();
    let host = Host {
        name: "service".to_owned(),
        ..Host::default()
    };
    let in_force = InForce::configured(host, &Local::default());
    if let Some(newest) = found.newest {
        in_force.put(newest).unwrap();
    }
    let labels = |name: &str| {
        let labels = BTreeMap::from([("env".to_owned(), "prod".to_owned())]);
        (name == "web-0").then_some(labels)
    };
    let clock = Arc::new(RealClock);
    Central::new(files, in_force, Connections::new(), clock, Arc::new(labels))
}

/// The JSON objects of these lines.
pub fn lines(text: &str) -> Vec<Json> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Users over real files.
fn people(scratch: &Scratch) -> People {
    let random = |bytes: &mut [u8]| {
        bytes.fill(7);
        Ok(())
    };
    let opened = Users::open(&scratch.join("users"), Arc::new(random));
    People {
        users: Arc::new(opened.unwrap().0),
        clock: Arc::new(RealClock),
        cluster: "test".to_owned(),
        definitions: definitions(),
    }
}

/// The roles that there are besides the four.
fn definitions() -> Definitions {
    Arc::new(|| {
        let config = Config::parse("access: {roles: [{name: ops}, {name: oncall}]}");
        config.0.access.definitions()
    })
}

/// Links over real files.
fn player(from: Arc<Keeper>, scratch: &Scratch) -> Player {
    let (copies, keyframes) = (scratch.join("player"), scratch.join("keyframes"));
    Player::new(from, &copies, &keyframes).unwrap()
}

fn locking(scratch: &Scratch) -> LockingOut {
    let random = |bytes: &mut [u8]| {
        bytes.fill(7);
        Ok(())
    };
    let locks = Locks::open(&scratch.join("locks"), Arc::new(random)).unwrap();
    let clock = Arc::new(RealClock);
    LockingOut {
        locked: Locked {
            locks: Arc::new(locks),
            clock: clock.clone(),
        },
        here: None,
        live: Live::new(clock, Arc::new(|_, _| {})),
        there: Arc::new(|_, _, _, _| false),
        definitions: definitions(),
    }
}

fn stored(scratch: &Scratch) -> Stored {
    let random = |bytes: &mut [u8]| {
        bytes.fill(7);
        Ok(())
    };
    let (directory, key) = (scratch.join("credentials"), scratch.join("seal.key"));
    let (kept, _) = Credentials::open(&directory, &key, Arc::new(random)).unwrap();
    Stored {
        kept: Arc::new(kept),
        clock: Arc::new(RealClock),
    }
}

fn linked(scratch: &Scratch) -> Linked {
    let count = AtomicU8::new(0);
    let random = move |bytes: &mut [u8]| {
        bytes.fill(count.fetch_add(1, Ordering::SeqCst));
        Ok(())
    };
    let opened = Shares::open(&scratch.join("shares"), Arc::new(random));
    Linked {
        shares: Arc::new(opened.unwrap().0),
        clock: Arc::new(RealClock),
        origin: Some("http://127.0.0.1:3080".to_owned()),
    }
}

/// Passkeys of the same users.
fn keyed(scratch: &Scratch) -> Keyed {
    let people = people(scratch);
    let random = |bytes: &mut [u8]| {
        bytes.fill(9);
        Ok(())
    };
    Keyed {
        users: people.users,
        challenges: Arc::new(Challenges::new(Arc::new(random))),
        clock: Arc::new(RealClock),
    }
}

/// Somebody is signed in, whatever it is called.
struct Somebody;

impl SignIns for Somebody {
    fn list(&self, _: Option<&str>, _: usize) -> Result<Vec<SignIn>, Trouble> {
        Ok(Vec::new())
    }

    fn get(&self, id: &str) -> Result<Option<SignIn>, Trouble> {
        Ok(Some(SignIn {
            id: id.to_owned(),
            user: "ada".to_owned(),
            method: "local",
            address: [127, 0, 0, 1].into(),
            began_ns: 0,
            idle: std::time::Duration::ZERO,
            outside: None,
            passkey: None,
        }))
    }

    fn by_passkey(&self, _: &str, _: &str) -> Result<Vec<SignIn>, Trouble> {
        Ok(Vec::new())
    }

    fn end(&self, _: &str) -> Result<bool, Trouble> {
        Ok(true)
    }
}
