//! Logins that nobody hands over: the kernel finds them when a program that lets people in starts
//! something for somebody (`ebpf/logins.h`), and here they wait until somebody has opened a recording.
//!
//! What they do meanwhile is kept, so that of what they do nothing is missed. One whose shell is a recorder is
//! left to that.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use hansard_core::SessionId;
use hansard_core::policy::Watch;
use hansard_record::Recorder;
use libbpf_rs::{MapCore as _, MapFlags};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::os::fd::{AsRawFd as _, OwnedFd};

pub(crate) use first::First;
use first::is_recorder;

use super::Switches;
use super::doors::not_followed;
use super::events::{HostEvents, Shared, Watched, monotonic_ns};
use super::facts;
use super::record::{Kind, Record};
use super::sessions::{Entry, Leader, Session, Sessions, lock};

mod first;

/// Logins that were found before anybody wanted to hear of them. At the bound they are not followed, which
/// an alarm says.
const EARLY_MAX: usize = 64;

/// Bytes of records that wait until a recording is open. At the bound those that follow are counted, and the
/// recording has a gap.
const WAITING_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How long is waited for what a login begins with. It comes behind the news of it; at the bound it was lost.
const FIRST_WAIT: Duration = Duration::from_secs(5);

/// How often a login that waits looks whether the daemon stops.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Why a gap is there.
const NO_ROOM: &str = "the recording was not open in time for all that was done";

/// Told of a login.
type Hears = Box<dyn Fn(Found) + Send + Sync>;

/// Whoever wants to hear of logins, or those that wait for that.
#[derive(Default)]
pub(super) struct Arrivals(Mutex<Hearing>);

#[derive(Default)]
struct Hearing {
    hears: Option<Arc<Hears>>,
    early: Vec<(Arrival, Arc<Waiting>)>,
    turned_away: u64,
}

/// What the kernel says of a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arrival {
    tag: u64,
    pub(crate) pid: u32,
    pub(crate) uid: u32,
    /// Who logged in, where the system says.
    pub(crate) login_uid: Option<u32>,
    pub(crate) audit_session: Option<u32>,
    /// The session that it happened inside.
    pub(crate) outer: Option<SessionId>,
    /// The program that let them in.
    pub(crate) door: String,
    /// Name of the terminal, `pts3`, where there is one.
    pub(crate) terminal: Option<String>,
    /// What sshd says of the connection.
    pub(crate) connection: Option<String>,
}

impl Arrival {
    fn of(record: &Record, outer: Option<SessionId>) -> Self {
        let known = |number: u32| (number != u32::MAX).then_some(number);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let terminal = text(&record.text(1));
        Self {
            tag: record.tag,
            pid: record.pid,
            uid: record.uid,
            login_uid: known(record.login_uid),
            audit_session: known(record.audit_session),
            outer,
            door: text(&record.text(0)),
            terminal: (!terminal.is_empty()).then_some(terminal),
            connection: variable(variables(record), "SSH_CONNECTION="),
        }
    }
}

/// The whole variables of a login. Of more than is handed over these are the last, and what stands first may
/// be the rest of one, which says what whoever logs in wants.
fn variables<'a>(record: &'a Record<'_>) -> &'a [u8] {
    let (all, [.., length, _]) = (record.bytes(3), record.args);
    let is_part = usize::try_from(length).is_ok_and(|length| length > all.len());
    if !is_part {
        return all;
    }
    let rest = all.iter().position(|byte| *byte == 0);
    rest.and_then(|rest| all.get(rest..)).unwrap_or_default()
}

/// A variable of an environment; the last one counts, as for the programs that look at it.
fn variable(environment: &[u8], name: &str) -> Option<String> {
    let all = environment.split(|byte| *byte == 0);
    let mut found = all.filter_map(|one| one.strip_prefix(name.as_bytes()));
    found
        .next_back()
        .map(|value| String::from_utf8_lossy(value).into_owned())
}

/// A login from the moment in which it was found.
pub(super) struct Waiting {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    leader: u32,
    records: Vec<Vec<u8>>,
    bytes: usize,
    missed: u64,
    /// Programs that it ran, and whether the first one is a recorder.
    programs: u32,
    is_of_recorder: bool,
    first: Option<First>,
    is_over: bool,
    /// A recorder has it, or nobody wants it.
    is_elsewhere: bool,
    open: Option<Arc<Mutex<Session>>>,
}

impl Waiting {
    /// Of a login that begins with this process; 0: of something that has begun before.
    pub(super) fn new(leader: u32) -> Self {
        let state = State {
            leader,
            ..State::default()
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    /// Takes one record: keeps it, or hands it on to the recording.
    pub(super) fn take(&self, bytes: &[u8], record: &Record) {
        let mut state = lock(&self.state);
        if let Some(session) = state.open.clone() {
            drop(state);
            return lock(&session).take(record);
        }
        match record.kind {
            Kind::Exec => {
                state.programs = state.programs.saturating_add(1);
                if state.first.is_none() {
                    state.is_of_recorder = is_recorder(record);
                    state.first = Some(First::of(record));
                }
                self.changed.notify_all();
            }
            Kind::Exit if record.pid == state.leader => {
                state.is_over = true;
                self.changed.notify_all();
            }
            _ => {}
        }
        if state.is_elsewhere {
            return;
        }
        if state.bytes.saturating_add(bytes.len()) > WAITING_BYTES_MAX {
            state.missed = state.missed.saturating_add(1);
            return;
        }
        state.bytes = state.bytes.saturating_add(bytes.len());
        state.records.push(bytes.to_vec());
    }

    /// The recording, once it is open.
    pub(super) fn opened(&self) -> Option<Arc<Mutex<Session>>> {
        lock(&self.state).open.clone()
    }

    /// What was kept, for somebody else than a recording of its own.
    pub(super) fn rest(&self) -> Vec<Vec<u8>> {
        let mut state = lock(&self.state);
        state.is_elsewhere = true;
        std::mem::take(&mut state.records)
    }

    fn is_elsewhere(&self) {
        let mut state = lock(&self.state);
        state.is_elsewhere = true;
        state.records = Vec::new();
        self.changed.notify_all();
    }
}

impl Sessions {
    /// A login was found.
    pub(super) fn arrived(&self, record: &Record) {
        let [old, ..] = record.args;
        let arrival = Arrival::of(record, self.id_of(old));
        let waiting = Arc::new(Waiting::new(record.pid));
        let entry = Entry::Waiting(Arc::clone(&waiting));
        lock(&self.by_tag).insert(record.tag, entry);
        self.arrivals.take(self, (arrival, waiting));
    }

    /// Whether this tag is that of a login that was found, waits, and began with a recorder.
    pub(super) fn is_of_recorder(&self, tag: u64) -> bool {
        let waiting = self.waiting(tag);
        waiting.is_some_and(|waiting| lock(&waiting.state).is_of_recorder)
    }

    /// The recorder with which this login began has it: it is left to that.
    pub(super) fn has_recorder(&self, tag: u64) {
        if let Some(waiting) = self.waiting(tag) {
            waiting.is_elsewhere();
        }
    }

    fn waiting(&self, tag: u64) -> Option<Arc<Waiting>> {
        // Nothing is waited for while nobody else can look.
        match lock(&self.by_tag).get(&tag)? {
            Entry::Waiting(waiting) => Some(Arc::clone(waiting)),
            Entry::Open(_) | Entry::Over(_) => None,
        }
    }

    fn id_of(&self, tag: u64) -> Option<SessionId> {
        let entry = lock(&self.by_tag).get(&tag).cloned();
        match entry? {
            Entry::Open(session) => Some(lock(&session).id),
            Entry::Waiting(waiting) => waiting.opened().map(|session| lock(&session).id),
            Entry::Over(_) => None,
        }
    }
}

impl Arrivals {
    fn take(&self, sessions: &Sessions, (arrival, waiting): (Arrival, Arc<Waiting>)) {
        let mut hearing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if hearing.early.len() >= EARLY_MAX && hearing.hears.is_none() {
            hearing.turned_away = hearing.turned_away.saturating_add(1);
            lock(&sessions.done).push(arrival.tag);
            return;
        }
        hearing.early.push((arrival, waiting));
    }
}

/// A login that was found, for whoever records it. Dropped, it is followed no more.
pub(crate) struct Found {
    pub(crate) arrival: Arrival,
    waiting: Arc<Waiting>,
    shared: Arc<Shared>,
    is_followed: bool,
}

impl HostEvents {
    /// Told of each login that is found from now on, and of those that were found before. It should be
    /// quick: whoever reads what the kernel tells calls it.
    pub(crate) fn on_login(&self, hears: Hears) {
        let shared = &self.0.shared;
        lock(&shared.watched.arrivals.0).hears = Some(Arc::new(hears));
        shared.tell_arrivals();
    }
}

impl Shared {
    /// What has waited goes into this session, and all that comes from here on.
    pub(super) fn hand_on(
        self: &Arc<Self>,
        (tag, waiting): (u64, &Waiting),
        mut session: Session,
        switches: Switches,
    ) -> Watched {
        let mut state = lock(&waiting.state);
        for bytes in std::mem::take(&mut state.records) {
            if let Some(record) = Record::parse(&bytes).filter(|record| switches.tell(record)) {
                session.take_late(&record, monotonic_ns());
            }
        }
        if state.missed > 0 {
            let gap = session.gap(NO_ROOM, Some(state.missed));
            session.tell(gap);
        }
        let session = Arc::new(Mutex::new(session));
        state.open = Some(Arc::clone(&session));
        drop(state);
        let entry = Entry::Open(Arc::clone(&session));
        lock(&self.watched.by_tag).insert(tag, entry);
        Watched {
            shared: Arc::clone(self),
            tag,
            session,
            stays: false,
        }
    }

    /// Tells whoever wants to hear it of logins that were found.
    pub(super) fn tell_arrivals(self: &Arc<Self>) {
        let mut hearing = lock(&self.watched.arrivals.0);
        let missed = std::mem::take(&mut hearing.turned_away);
        let Some(hears) = hearing.hears.clone() else {
            hearing.turned_away = missed;
            return;
        };
        let all = std::mem::take(&mut hearing.early);
        drop(hearing);
        if missed > 0 {
            (self.watched.tell)(not_followed(missed));
        }
        for (arrival, waiting) in all {
            hears(Found {
                arrival,
                waiting,
                shared: Arc::clone(self),
                is_followed: false,
            });
        }
    }
}

impl Found {
    /// Waits until it is known whether it is to be recorded here: not if a recorder has it, or it was one
    /// and nothing came of it. `None` also once this says that the daemon stops.
    pub(crate) fn settles(&self, is_stopping: impl Fn() -> bool) -> Option<First> {
        let mut waited = Duration::ZERO;
        let mut state = lock(&self.waiting.state);
        loop {
            if state.is_elsewhere || is_stopping() {
                return None;
            }
            let is_alone = match &state.first {
                Some(_) if !state.is_of_recorder => true,
                // What a recorder runs that hands nothing over is recorded by nobody else.
                Some(_) => state.programs > 1 || state.missed > 0,
                None => waited >= FIRST_WAIT,
            };
            if is_alone {
                return Some(state.first.clone().unwrap_or_default());
            }
            if state.is_over {
                return None;
            }
            if state.first.is_some() && self.is_gone() {
                // A recorder took its process before the news of it was read, so its end has that one's
                // tag. Another program of the login's own may be on its way.
                drop(state);
                let is_read = self.shared.drain();
                state = lock(&self.waiting.state);
                if is_read && state.programs <= 1 && state.missed == 0 {
                    return None;
                }
            }
            let slept = self.waiting.changed.wait_timeout(state, LOOK_EVERY);
            state = slept.unwrap_or_else(PoisonError::into_inner).0;
            waited += LOOK_EVERY;
        }
    }

    /// Its process, if that has not ended and no recorder has it.
    pub(crate) fn process(&self) -> Option<OwnedFd> {
        self.look().ok().flatten()
    }

    /// Whether its process has ended, or a recorder has it. What cannot be looked at is there.
    fn is_gone(&self) -> bool {
        matches!(self.look(), Ok(None))
    }

    fn look(&self) -> Result<Option<OwnedFd>, Errno> {
        let pid = i32::try_from(self.arrival.pid).ok();
        let Some(pid) = pid.and_then(Pid::from_raw) else {
            return Ok(None);
        };
        let process = match pidfd_open(pid, PidfdFlags::empty()) {
            Err(Errno::SRCH) => return Ok(None),
            process => process?,
        };
        let loaded = &self.shared.loaded;
        let key = match loaded.by_number {
            true => pid.as_raw_nonzero().get().to_ne_bytes(),
            false => process.as_raw_fd().to_ne_bytes(),
        };
        // Held before it is looked at: whoever has the number later carries another tag.
        let found = loaded.maps.tags.lookup(&key, MapFlags::ANY);
        let tag = found.map_err(|_| Errno::IO)?.and_then(|bytes| {
            let first = bytes.first_chunk();
            first.map(|bytes| u64::from_ne_bytes(*bytes))
        });
        Ok((tag == Some(self.arrival.tag)).then_some(process))
    }

    /// From here on what it does goes into this recording, and first what it has done. What the policy does
    /// not say of what is told, the configuration does.
    pub(crate) fn follow(
        mut self,
        (id, recorder): (SessionId, Recorder),
        policy: Watch,
    ) -> Watched {
        let shared = Arc::clone(&self.shared);
        let switches = shared.config.of(policy);
        let (support, left_out) = (&shared.loaded.support, &shared.config.left_out);
        // A recording that failed ends its session by itself.
        let _ = recorder.witness(facts::watched(support, switches, left_out));
        let key = self.arrival.tag.to_ne_bytes();
        let bits = switches.bits().to_ne_bytes();
        // Failing means that it was there no more.
        let _ = shared
            .loaded
            .maps
            .sessions
            .update(&key, &bits, MapFlags::EXIST);
        let mut session = Session::begun(id, recorder);
        session.leader = Some(Leader {
            pid: self.arrival.pid,
            exit: None,
        });
        shared.note(self.arrival.tag, id, session.lost);
        self.is_followed = true;
        shared.hand_on((self.arrival.tag, &self.waiting), session, switches)
    }
}

impl Drop for Found {
    fn drop(&mut self) {
        if !self.is_followed {
            self.waiting.is_elsewhere();
            lock(&self.shared.watched.done).push(self.arrival.tag);
        }
    }
}

impl Switches {
    /// Whether a record is told: before the kernel knew the policy it handed over what the configuration
    /// says.
    fn tell(self, record: &Record) -> bool {
        match record.kind {
            Kind::Open | Kind::Path | Kind::Descriptor | Kind::Resolved => self.disk,
            Kind::Connect | Kind::Accept | Kind::Send => self.network,
            _ => self.command,
        }
    }
}

#[cfg(test)]
mod tests;
