//! What the tests of this crate share: a daemon in this process, over a real spool.

#![allow(dead_code, unreachable_pub)] // each test binary uses a part of it

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hansard_capture::local::{Config, Happening, Means, Server};
use hansard_capture::shell::Logins;
use hansard_core::event::{Body, End, Event, Gap, Stream};
use hansard_core::policy::Policy;
use hansard_core::reader::{Item, Reader};
use hansard_core::seal::SigningKey;
use hansard_core::session::ClockQuality;
use hansard_core::verify::{Verdict, verify};
use hansard_core::{Fields, Session, SessionId};
use hansard_record::handoff::HandoffTape;
use hansard_record::open_sessions::this_boot;
use hansard_record::revive::{Revival, revive};
use hansard_record::{Environment, OpenSessions, Spool, SpoolOptions};

pub fn key() -> SigningKey {
    SigningKey::from_seed([7; 32])
}

/// A directory of this test's own, removed when it is dropped.
pub struct TempDir(PathBuf);

impl TempDir {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("hansard-capture-{}-{number}", std::process::id());
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

/// What a program claims.
pub fn claims() -> Session {
    Session {
        id: SessionId::from_bytes([0xee; 16]),
        parent: None,
        kind: "terminal".into(),
        subject: Fields::new()
            .with("user", "somebody-else")
            .with("uid", 4711u64),
        origin: Fields::new()
            .with("term", "xterm")
            .with("addr.remote", "192.0.2.1"),
        target: Fields::new().with("command", "top").with("server_id", "h2"),
        start_utc_ns: 1,
        clock: ClockQuality::Synchronised,
        policy: Policy::default(),
        recorder_key: [0xee; 32],
        recorder: "claimed".into(),
    }
}

/// A daemon's capture side, in this process.
pub struct Daemon {
    pub dir: TempDir,
    pub spool: Spool,
    pub open: OpenSessions,
    pub revival: Revival,
    pub server: Server,
    pub happened: Arc<Mutex<Vec<Happening>>>,
}

impl Daemon {
    pub fn new() -> Self {
        Self::with(TempDir::new(), SpoolOptions::default(), |_| {})
    }

    pub fn with(dir: TempDir, spool: SpoolOptions, change: impl FnOnce(&mut Config)) -> Self {
        Self::with_logins(dir, spool, change, None)
    }

    pub fn with_logins(
        dir: TempDir,
        spool: SpoolOptions,
        change: impl FnOnce(&mut Config),
        logins: Option<Logins>,
    ) -> Self {
        let env = Environment::real();
        let disk = Arc::clone(&env.disk);
        // A recorder that was lost is not waited for: its thread may hold the lock a moment longer.
        let mut opened = None;
        wait_for("the lock", || {
            let at = dir.path().join("spool");
            opened = Spool::open(&at, Arc::clone(&disk), spool.clone()).ok();
            opened.is_some()
        });
        let spool = opened.unwrap();
        let boot = this_boot(&env).unwrap();
        let open = OpenSessions::open(&dir.path().join("open"), disk, boot).unwrap();
        let revival = revive(&spool, &mut spool.clone(), &key(), &open).unwrap();
        revival.done(&open).unwrap();
        let happened = Arc::new(Mutex::new(Vec::new()));
        let (given, told) = (spool.clone(), Arc::clone(&happened));
        let means = Means {
            key: key(),
            facts: Fields::new()
                .with("server_id", "h1")
                .with("label.env", "test"),
            recorder: "hansardd test".into(),
            sinks: Box::new(move || Box::new(given.clone())),
            env,
            open: open.clone(),
            tell: Box::new(move |what| told.lock().unwrap().push(what)),
        };
        let mut config = Config::at(dir.path().join("capture.sock"));
        change(&mut config);
        let server = Server::start_with(config, means, logins).unwrap();
        Self {
            dir,
            spool,
            open,
            revival,
            server,
            happened,
        }
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("capture.sock")
    }

    pub fn tape(&self) -> HandoffTape {
        HandoffTape::open(&self.socket(), claims()).unwrap()
    }

    pub fn recording(&self, session: SessionId) -> Vec<u8> {
        recordings(&self.spool).remove(&session).unwrap_or_default()
    }

    /// The events of a recording, once it is complete.
    pub fn complete(&self, session: SessionId) -> Vec<Event> {
        wait_for("the recording's end", || {
            verify(self.recording(session).as_slice())
                .is_ok_and(|report| report.verdict == Verdict::Complete)
        });
        events(&self.recording(session))
    }

    pub fn has_told(&self, what: impl Fn(&Happening) -> bool) -> bool {
        self.happened.lock().unwrap().iter().any(what)
    }

    pub fn notes(&self) -> usize {
        std::fs::read_dir(self.dir.path().join("open"))
            .unwrap()
            .count()
    }
}

pub fn recordings(spool: &Spool) -> BTreeMap<SessionId, Vec<u8>> {
    let mut all = BTreeMap::<SessionId, Vec<u8>>::new();
    for pending in spool.pending(None, usize::MAX) {
        let part = spool.read(&pending).unwrap();
        all.entry(pending.session).or_default().extend(part.bytes());
    }
    all
}

pub fn events(bytes: &[u8]) -> Vec<Event> {
    let mut reader = Reader::new(bytes);
    let mut events = Vec::new();
    loop {
        match reader.next_item().unwrap() {
            Item::Frame(frame) => events.extend(frame.events),
            Item::Seal(_) => {}
            Item::Damage(damage) => panic!("{damage}"),
            Item::End(_) => return events,
        }
    }
}

pub fn header(events: &[Event]) -> &Session {
    match &events[0].body {
        Body::Start(session) => session,
        other => panic!("{other:?}"),
    }
}

pub fn end_of(events: &[Event]) -> &End {
    match &events.last().unwrap().body {
        Body::End(end) => end,
        other => panic!("{other:?}"),
    }
}

pub fn gaps(events: &[Event]) -> Vec<&Gap> {
    let gaps = events.iter().filter_map(|event| match &event.body {
        Body::Gap(gap) => Some(gap),
        _ => None,
    });
    gaps.collect()
}

pub fn shown(events: &[Event]) -> Vec<u8> {
    stream(events, Stream::Output)
}

pub fn stream(events: &[Event], wanted: Stream) -> Vec<u8> {
    let mut all = Vec::new();
    for event in events {
        match &event.body {
            Body::Data { stream, bytes } if *stream == wanted => all.extend_from_slice(bytes),
            _ => {}
        }
    }
    all
}

pub fn wait_for(what: &str, mut so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !so() {
        assert!(
            since.elapsed() < Duration::from_secs(20),
            "waited for {what}"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}
