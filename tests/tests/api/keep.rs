//! What the service under test keeps: sessions in an archive, events as they come, tokens and hosts.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use hansard_core::event::{End, Fact};
use hansard_core::seal::SigningKey;
use hansard_core::session::{ClockQuality, Session};
use hansard_core::writer::{Bounds, SegmentWriter};
use hansard_core::{Body, Event, Fields, Part, Policy, SessionId, Stream};
use hansard_identity::users::Standing;
use hansard_store::blob::memory::MemoryBlobs;
use hansard_store::catalog::memory::MemoryCatalog;
use hansard_store::catalog::{Catalog as _, Retention as _};
use hansard_store::index::{Found, Lines, MemoryIndex, Wish, lines, search};
use hansard_store::project::Projector;
use hansard_store::{Archive, ArchiveOptions, SealedSegment};
use hansard_view::Screen;
use hansard_view::source::Source;
use hansardd::api::certificates::{OwnMade, OwnWish, Reached};
use hansardd::api::person::{People, PersonMade};
use hansardd::api::problem::Trouble;
use hansardd::api::role::Caller;
use hansardd::api::seams::{
    Asked, Batch, CertificateMade, CertificateWish, Certificates, Ending, EventLog, Following,
    Holds, HostRow, Hosts, Recordings, Searching, Seen, Since, TokenMade, TokenRow, TokenWish,
    Tokens, Verified, Watch,
};

pub const SECOND_NS: u64 = 1_000_000_000;
/// 2026-11-21T08:00:00Z.
pub const BASE_NS: u64 = 1_795_248_000 * SECOND_NS;

pub fn id(number: u64) -> SessionId {
    let mut random = [0; 10];
    random[..8].copy_from_slice(&number.to_le_bytes());
    SessionId::new_v7(BASE_NS / 1_000_000 + number, random)
}

pub fn header(number: u64, user: &str, title: &str) -> Session {
    Session {
        id: id(number),
        parent: None,
        kind: "terminal".to_owned(),
        subject: Fields::new().with("user", user).with("login", user),
        origin: Fields::new(),
        target: Fields::new()
            .with("server_hostname", format!("web-{}", number % 2))
            .with("title", title),
        start_utc_ns: BASE_NS + number * SECOND_NS,
        clock: ClockQuality::Synchronised,
        policy: Policy::default(),
        recorder_key: SigningKey::from_seed([7; 32]).public(),
        recorder: "test".to_owned(),
    }
}

/// The parts of a whole recording that shows this.
pub fn parts(session: Session, shows: &str, ends: bool) -> Vec<Part> {
    let mut writer = begun(session);
    writer
        .push(0, &Body::Resize { cols: 80, rows: 24 })
        .unwrap();
    writer
        .push_data(SECOND_NS, Stream::Output, shows.as_bytes())
        .unwrap();
    if ends {
        writer.finish(2 * SECOND_NS, &exited()).unwrap();
    } else {
        writer.cut().unwrap();
    }
    writer.parts()
}

/// The parts of a whole recording of these events.
pub fn recording(session: Session, bodies: &[(u64, Body)]) -> Vec<Part> {
    let mut writer = begun(session);
    for (at_ns, body) in bodies {
        writer.push(*at_ns, body).unwrap();
    }
    let last_ns = bodies.last().map_or(0, |(at_ns, _)| *at_ns);
    writer.finish(last_ns, &exited()).unwrap();
    writer.parts()
}

fn begun(session: Session) -> SegmentWriter {
    let key = SigningKey::from_seed([7; 32]);
    // However long it is, it is one segment.
    let bounds = Bounds {
        segment_ns: u64::MAX,
        ..Bounds::default()
    };
    SegmentWriter::new(session, key, bounds).unwrap()
}

fn exited() -> End {
    End {
        reason: "exited".to_owned(),
        exit_status: Some(0),
        signal: None,
    }
}

#[derive(Default)]
pub struct Kept {
    pub blobs: MemoryBlobs,
    pub catalog: MemoryCatalog,
    /// Parts that are not archived yet.
    pub pending: Mutex<BTreeMap<SessionId, Vec<u8>>>,
    live: Mutex<BTreeMap<SessionId, Happening>>,
    came: Condvar,
    /// How often somebody began to follow a session.
    pub follows: AtomicUsize,
    log: Mutex<Vec<String>>,
    logged: Condvar,
    pub tokens: Mutex<BTreeMap<String, TokenRow>>,
    pub hosts: Mutex<BTreeMap<String, HostRow>>,
    pub ended: Mutex<Vec<(SessionId, String, String)>>,
    pub index: MemoryIndex,
    /// Whether holds cannot be written.
    pub holds_fail: AtomicBool,
    /// Whether there is more than is in the index.
    pub index_is_behind: AtomicBool,
}

#[derive(Clone, Default)]
struct Happening {
    events: Vec<Event>,
    over: bool,
}

impl Kept {
    pub fn archive(&self) -> Archive {
        Archive::new(
            Arc::new(self.blobs.clone()),
            Arc::new(self.catalog.clone()),
            ArchiveOptions::default(),
        )
    }

    /// Archives whole recordings and makes their rows.
    pub fn store(&self, recordings: &[Vec<Part>]) {
        let segments: Vec<SealedSegment> = recordings
            .iter()
            .map(|parts| SealedSegment::from_parts(parts).unwrap())
            .collect();
        let archive = self.archive();
        let put = archive.put(&segments, 0);
        assert!(put.receipts.iter().all(Result::is_ok));
        assert!(archive.flush().trouble.is_none());
        let (blobs, catalog) = (Arc::new(self.blobs.clone()), Arc::new(self.catalog.clone()));
        Projector::new(blobs, catalog).run_all().unwrap();
    }

    /// Something happens in a session.
    pub fn happen(&self, session: SessionId, at_ns: u64, body: Body) {
        let mut live = self.live.lock().unwrap();
        let happening = live.entry(session).or_default();
        let seq = happening.events.len() as u64;
        happening.over |= matches!(body, Body::End(_));
        happening.events.push(Event { seq, at_ns, body });
        self.came.notify_all();
    }

    /// A document is written to the event log.
    pub fn log(&self, document: serde_json::Value) {
        self.log.lock().unwrap().push(document.to_string());
        self.logged.notify_all();
    }
}

/// What is kept, as the API asks for it.
#[derive(Clone)]
pub struct Keeper(pub Arc<Kept>);

impl Recordings for Keeper {
    fn open(&self, session: SessionId) -> Result<Option<Box<dyn Read + Send>>, Trouble> {
        let mut bytes = Vec::new();
        let archive = self.0.archive();
        if let Some(mut reader) = archive.open_session(session).unwrap() {
            reader.read_to_end(&mut bytes).unwrap();
        }
        if let Some(pending) = self.0.pending.lock().unwrap().get(&session) {
            bytes.extend_from_slice(pending);
        }
        let some = !bytes.is_empty();
        Ok(some.then(|| Box::new(Cursor::new(bytes)) as Box<dyn Read + Send>))
    }

    fn whole(&self, session: SessionId) -> Result<Option<Source>, Trouble> {
        if self.0.pending.lock().unwrap().contains_key(&session) {
            return Ok(None);
        }
        let source = Arc::new(self.0.archive()).source(session).unwrap();
        Ok(source.map(|source| Arc::new(source) as Source))
    }

    fn verify(&self, session: SessionId) -> Result<Option<Verified>, Trouble> {
        let found = self.0.archive().verify_session(session);
        Ok(found.unwrap().map(Verified::from))
    }
}

impl Following for Keeper {
    fn follow(&self, session: SessionId) -> Result<Option<Box<dyn Watch>>, Trouble> {
        self.0.follows.fetch_add(1, Ordering::SeqCst);
        if !self.0.live.lock().unwrap().contains_key(&session) {
            return Ok(None);
        }
        Ok(Some(Box::new(Watcher {
            kept: Arc::clone(&self.0),
            session,
            next: 0,
            late: true,
        })))
    }
}

/// One who follows: header, the screen of all before if that is much, then each event.
struct Watcher {
    kept: Arc<Kept>,
    session: SessionId,
    next: usize,
    late: bool,
}

impl Watch for Watcher {
    fn next(&mut self, wait: Duration) -> Result<Seen, Trouble> {
        let live = self.kept.live.lock().unwrap();
        let session = self.session;
        let none_yet = |live: &mut BTreeMap<SessionId, Happening>| {
            let happening = &live[&session];
            happening.events.len() <= self.next && !happening.over
        };
        let waited = self.kept.came.wait_timeout_while(live, wait, none_yet);
        let (live, _) = waited.unwrap();
        let happening = &live[&session];
        if self.next == 1 && std::mem::take(&mut self.late) && happening.events.len() > 3 {
            let mut screen = Screen::default();
            happening.events.iter().for_each(|e| screen.apply(&e.body));
            let last = happening.events.last().unwrap();
            // The end is told apart from the screen before it.
            if !happening.over {
                self.next = happening.events.len();
                return Ok(Seen::Screen {
                    seq: last.seq,
                    at_ns: last.at_ns,
                    size: screen.size(),
                    dump: screen.dump(),
                });
            }
        }
        match happening.events.get(self.next) {
            Some(event) => {
                self.next += 1;
                Ok(Seen::Event(event.clone()))
            }
            None if happening.over => Ok(Seen::Over(None)),
            None => Ok(Seen::Nothing),
        }
    }
}

impl EventLog for Keeper {
    fn read(&self, since: Since<'_>, most: usize, wait: Duration) -> Result<Batch, Trouble> {
        let log = self.0.log.lock().unwrap();
        let from = match since {
            Since::Now => log.len(),
            Since::Time(_) => 0,
            Since::Cursor(place) => place
                .parse()
                .ok()
                .filter(|n| *n <= log.len())
                .ok_or_else(|| Trouble::Refused("cursor: not a place in the log".to_owned()))?,
        };
        let nothing = |log: &mut Vec<String>| log.len() <= from;
        let waited = self.0.logged.wait_timeout_while(log, wait, nothing);
        let (log, _) = waited.unwrap();
        let documents: Vec<String> = log[from..].iter().take(most).cloned().collect();
        Ok(Batch {
            cursor: (from + documents.len()).to_string(),
            documents,
        })
    }
}

impl Searching for Keeper {
    fn now_ns(&self) -> u64 {
        BASE_NS
    }

    fn is_whole(&self) -> bool {
        !self.0.index_is_behind.load(Ordering::SeqCst)
    }

    fn search(&self, asked: &Asked<'_>) -> Result<Found, Trouble> {
        let place = (asked.after, asked.limits);
        search(&self.0.index, asked.question, asked.owner, place, &|| false)
            .map_err(|e| Trouble::Retry(e.to_string()))
    }

    fn lines(&self, wish: &Wish) -> Result<Lines, Trouble> {
        lines(&self.0.index, wish).map_err(|e| Trouble::Retry(e.to_string()))
    }
}

impl Certificates for Keeper {
    fn make(&self, wish: &CertificateWish) -> Result<CertificateMade, Trouble> {
        if wish.logins.is_empty() {
            return Err(Trouble::Refused("no login".to_owned()));
        }
        Ok(CertificateMade {
            certificate: format!("ssh-ed25519-cert-v01@openssh.com of-{}", wish.user),
            serial: "00000000000000ff".to_owned(),
            expires_ns: BASE_NS + wish.ttl_s * SECOND_NS,
            fact: Body::Admin(Fact {
                event: "cert.create".to_owned(),
                fields: Fields::new().with("name", wish.user.as_str()),
            }),
        })
    }

    fn make_own(&self, (user, _): (&str, &Standing), _: &OwnWish) -> Result<OwnMade, Trouble> {
        Err(Trouble::Refused(format!("{user} has no role")))
    }

    fn reached(&self) -> [Option<Reached>; 2] {
        [None, None]
    }

    fn authorities(&self) -> [String; 2] {
        ["ssh-ed25519 user".to_owned(), "ssh-ed25519 host".to_owned()]
    }
}

impl People for Keeper {
    fn make(
        &self,
        (user, _): (&str, &Standing),
        _: [u8; 32],
        _: u64,
    ) -> Result<PersonMade, Trouble> {
        Err(Trouble::Refused(format!("{user} signs in elsewhere")))
    }
}

impl Tokens for Keeper {
    fn make(&self, wish: &TokenWish, by: &Caller) -> Result<TokenMade, Trouble> {
        let mut tokens = self.0.tokens.lock().unwrap();
        let row = TokenRow {
            name: format!("t{:04}", tokens.len()),
            role: wish.role.clone(),
            expires_ns: BASE_NS + wish.ttl_s * SECOND_NS,
            uses_left: wish.uses,
        };
        tokens.insert(row.name.clone(), row.clone());
        let token = format!("secret-of-{}", by.user);
        Ok(TokenMade { row, token })
    }

    fn list(&self, after: Option<&str>, most: usize) -> Result<Vec<TokenRow>, Trouble> {
        let tokens = self.0.tokens.lock().unwrap();
        let behind = tokens
            .iter()
            .filter(|(n, _)| after.is_none_or(|a| n.as_str() > a));
        Ok(behind.take(most).map(|(_, row)| row.clone()).collect())
    }

    fn knows(&self, name: &str) -> Result<bool, Trouble> {
        Ok(self.0.tokens.lock().unwrap().contains_key(name))
    }

    fn remove(&self, name: &str, _: &Caller) -> Result<bool, Trouble> {
        Ok(self.0.tokens.lock().unwrap().remove(name).is_some())
    }
}

impl Hosts for Keeper {
    fn list(&self, after: Option<&str>, most: usize) -> Result<Vec<HostRow>, Trouble> {
        let hosts = self.0.hosts.lock().unwrap();
        let behind = hosts
            .iter()
            .filter(|(n, _)| after.is_none_or(|a| n.as_str() > a));
        Ok(behind.take(most).map(|(_, row)| row.clone()).collect())
    }

    fn check(&self, id: &str) -> Result<bool, Trouble> {
        Ok(self.0.hosts.lock().unwrap().contains_key(id))
    }

    fn lock(&self, id: &str, reason: Option<&str>, _: &Caller) -> Result<bool, Trouble> {
        let mut hosts = self.0.hosts.lock().unwrap();
        let Some(host) = hosts.get_mut(id) else {
            return Ok(false);
        };
        if host.locked.is_none() && reason.is_none() {
            return Err(Trouble::Conflict("this host is not locked".to_owned()));
        }
        host.locked = reason.map(str::to_owned);
        Ok(true)
    }
}

impl Holds for Keeper {
    fn check(&self, session: SessionId) -> Result<bool, Trouble> {
        Ok(self.0.catalog.heads(&[session])? != [None])
    }

    fn hold(&self, session: SessionId, held: bool) -> Result<bool, Trouble> {
        if self.0.holds_fail.load(Ordering::SeqCst) {
            return Err(Trouble::Retry("/var/lib/secret: disk full".to_owned()));
        }
        if !Holds::check(self, session)? {
            return Ok(false);
        }
        self.0.catalog.hold(session, held)?;
        Ok(true)
    }

    fn list(&self, after: Option<SessionId>, most: usize) -> Result<Vec<SessionId>, Trouble> {
        Ok(self.0.catalog.holds(after, most)?)
    }
}

impl Ending for Keeper {
    fn goes_on(&self, session: SessionId) -> Result<bool, Trouble> {
        Ok(self.0.live.lock().unwrap().contains_key(&session))
    }

    fn end(&self, session: SessionId, reason: &str, by: &Caller) -> Result<bool, Trouble> {
        if !self.0.live.lock().unwrap().contains_key(&session) {
            return Ok(false);
        }
        let ended = (session, reason.to_owned(), by.user.clone());
        self.0.ended.lock().unwrap().push(ended);
        let end = End {
            reason: "killed".to_owned(),
            ..End::default()
        };
        self.0.happen(session, 60 * SECOND_NS, Body::End(end));
        Ok(true)
    }
}
