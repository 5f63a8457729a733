//! The capture socket: programs of this machine hand their sessions over, and the daemon records
//! them with the host's key.
//!
//! Anybody may connect. Who they are says the system (peer credentials), never they themselves;
//! what they say of their session is kept as their claim. One thread for each connection, within
//! bounds; one for accepting, which also watches the deadlines of sessions that are being ended.

use std::fmt;
use std::io::{self, PipeReader, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hansard_core::fields::Fields;
use hansard_core::policy::Policy;
use hansard_core::seal::SigningKey;
use hansard_core::{Body, Gate, Locks, Session, SessionId, Sink};
use hansard_record::handoff::FromDaemon;
use hansard_record::open_sessions::{Plan, Survives};
use hansard_record::revive::GoesOn;
use hansard_record::{Environment, OpenSessions, Options, Recorder};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::host::HostEvents;
use crate::limits::{
    ACCEPT_PAUSE, CONNECTIONS_MAX, CONNECTIONS_OF_USER_MAX, END_WAIT_MAX, REFUSED_EVERY,
    STOP_DURABLE_MAX, STOP_LOOK_EVERY, STOP_WAIT_MAX,
};
use crate::registry::{Line, Registry};
use crate::shell::{Found, Logins};

mod closed;
pub(crate) mod connection;
pub(crate) mod header;
mod locked;
pub(crate) mod peer;
pub(crate) mod place;

use peer::Caller;
use place::{Connections, Place};

/// The reason that recordings give which end because the daemon does.
pub const THE_DAEMON_STOPS: &str = "the daemon stops";

/// The reason that a recording gives whose program died or dropped the connection.
pub const THE_CLIENT_WENT_AWAY: &str = "the client went away";

/// Which of its wishes a program is granted. A wish can only add to what is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wishes {
    /// That keys are kept.
    pub keystrokes: bool,
    /// That what is piped in is kept.
    pub stdin: bool,
    /// That nothing is shown before it is durable.
    pub strict: bool,
}

impl Default for Wishes {
    /// All: whoever wishes more of their own session to be kept may have it.
    fn default() -> Self {
        Self {
            keystrokes: true,
            stdin: true,
            strict: true,
        }
    }
}

/// Who decides what is kept of a session.
#[derive(Clone)]
pub struct Decides(pub Arc<dyn Gate>);

impl fmt::Debug for Decides {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Decides")
    }
}

/// Who says who is locked out.
#[derive(Clone)]
pub struct LockedBy(pub Arc<dyn Locks>);

impl fmt::Debug for LockedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LockedBy")
    }
}

/// How the capture socket works.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it is: `/run/hansard/capture.sock`. Its directory is made, for all to enter, if only
    /// that is missing.
    pub socket: PathBuf,
    /// What is kept of every session, and what happens when that cannot be.
    pub policy: Policy,
    /// Who decides that for each session instead, where somebody does.
    pub gate: Option<Decides>,
    /// What the kernel tells of what sessions do, where that is recorded.
    pub host: Option<HostEvents>,
    /// Who says who is locked out, where somebody does: of every kind of session.
    pub locks: Option<LockedBy>,
    /// Which wishes beyond that are granted.
    pub wishes: Wishes,
    /// Connections at a time. One more is refused, with that word.
    pub connections_max: usize,
    /// Connections at a time of one user. One more is refused, with that word.
    pub connections_of_user_max: usize,
    /// How the recorders work.
    pub options: Options,
    /// How long a program may take to close a session that somebody ended. At the bound the
    /// recording is ended without it.
    pub end_wait: Duration,
    /// The same when the daemon stops.
    pub stop_wait: Duration,
}

impl Config {
    /// The defaults, with the socket at this path.
    #[must_use]
    pub fn at(socket: PathBuf) -> Self {
        Self {
            socket,
            policy: Policy::default(),
            gate: None,
            host: None,
            locks: None,
            wishes: Wishes::default(),
            connections_max: CONNECTIONS_MAX,
            connections_of_user_max: CONNECTIONS_OF_USER_MAX,
            options: Options::default(),
            end_wait: END_WAIT_MAX,
            stop_wait: STOP_WAIT_MAX,
        }
    }
}

/// What every recording of this host is made with.
pub struct Means {
    /// The recorder key, which signs.
    pub key: SigningKey,
    /// What the header says of this host, first in its target: `server_id`, `server_hostname`,
    /// labels, the key's certificate.
    pub facts: Fields,
    /// Program and version.
    pub recorder: String,
    /// Makes the sink of each recorder.
    pub sinks: Box<dyn Fn() -> Box<dyn Sink + Send> + Send + Sync>,
    /// Clock, disk, randomness.
    pub env: Environment,
    /// The notes from which the next start knows what was open.
    pub open: OpenSessions,
    /// Told what happens, by the thread it happens in; it should be quick. For the host's diary.
    pub tell: Box<dyn Fn(Happening) + Send + Sync>,
}

impl Means {
    /// Begins a recording of this daemon's own, which ends with it.
    ///
    /// # Errors
    /// Why it cannot begin, for whoever asked.
    pub(crate) fn record(&self, session: &Session, options: Options) -> Result<Recorder, String> {
        let plan = Plan {
            survives: Survives::Kill,
            loss_bytes_max: options.loss_bytes_max(session),
        };
        let (key, sink) = (self.key.clone(), (self.sinks)());
        let (session, with) = (session.clone(), (options, plan));
        let recorder = self.open.record(session, key, sink, &self.env, with);
        recorder.map_err(|lost| lost.to_string())
    }
}

/// Something that happened at the capture socket and belongs into the host's diary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// A session began.
    Began {
        /// Its id.
        session: SessionId,
        /// Whose.
        uid: u32,
    },
    /// A session ended, and its recording is complete and durable.
    Ended {
        /// Its id.
        session: SessionId,
        /// Why, as its `End` says.
        reason: String,
    },
    /// The daemon stops, and the session goes on: its recording is left to the next start.
    Paused {
        /// Its id.
        session: SessionId,
    },
    /// Its recording failed: it has no end before the next start.
    Lost {
        /// Its id.
        session: SessionId,
        /// Why, in words.
        why: String,
    },
    /// Sessions were not recorded, and so not begun. Told at most once a second.
    Refused {
        /// Whose the last one was; `None` where the system did not say.
        uid: Option<u32>,
        /// Why, in words.
        why: String,
        /// How many there were since the last time this was told.
        times: u64,
    },
    /// Something of no session: an attempt to get in, a connection that came to nothing.
    Said(Body),
}

/// The capture socket, while it is served. Dropping it stops it, as [`Server::stop`] does.
pub struct Server {
    pub(crate) shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) means: Arc<Means>,
    pub(crate) registry: Registry,
    /// Records logins, where that is switched on.
    pub(crate) logins: Option<Logins>,
    pub(crate) stopping: AtomicBool,
    connections: Mutex<Connections>,
    refusals: Mutex<Refusals>,
    /// Told when a connection ends.
    fewer: Condvar,
}

/// Refusals that were not told yet, and when one last was.
#[derive(Default)]
struct Refusals {
    untold: u64,
    told_at: Option<Instant>,
}

impl Server {
    /// Binds the socket and serves it.
    ///
    /// # Errors
    /// `AddrInUse` when somebody answers there already; otherwise what the system says.
    pub fn start(config: Config, means: Means) -> io::Result<Self> {
        Self::start_with(config, means, None)
    }

    /// The same, and logins are recorded as well.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_with(config: Config, means: Means, logins: Option<Logins>) -> io::Result<Self> {
        let listener = bind(&config.socket)?;
        listener.set_nonblocking(true)?;
        let (woken, wake) = io::pipe()?;
        rustix::io::ioctl_fionbio(&woken, true)?;
        rustix::io::ioctl_fionbio(&wake, true)?;
        let registry = Registry::new(wake, config.end_wait, config.locks.clone());
        let shared = Arc::new(Shared {
            config,
            means: Arc::new(means),
            registry,
            logins,
            stopping: AtomicBool::new(false),
            connections: Mutex::new(Connections::default()),
            refusals: Mutex::new(Refusals::default()),
            fewer: Condvar::new(),
        });
        let of_thread = Arc::clone(&shared);
        let accepting = std::thread::Builder::new()
            .name("capture".to_owned())
            .spawn(move || accept(&of_thread, listener, woken))?;
        crate::host_login::listen(&shared);
        Ok(Self {
            shared,
            accepting: Some(accepting),
        })
    }

    /// Goes on with a login that the last daemon held, in its recording.
    ///
    /// # Errors
    /// When there is no thread for it: the session is over then, and the next start ends its recording.
    pub fn go_on(&self, found: Found, goes_on: GoesOn) -> io::Result<()> {
        let place = Place::of(&self.shared, found.uid());
        let of_thread = Arc::clone(&self.shared);
        std::thread::Builder::new()
            .name("capture-session".to_owned())
            .spawn(move || {
                let _place = place;
                crate::shell::go_on(&of_thread, found, goes_on);
            })
            .map(drop)
    }

    /// The sessions that are being recorded now.
    #[must_use]
    pub fn registry(&self) -> Registry {
        self.shared.registry.clone()
    }

    /// Takes no more sessions, ends all there are ("the daemon stops"), and waits until their
    /// recordings are complete and durable. Answers how many are not: the next start revives them.
    pub fn stop(mut self) -> usize {
        self.shut_down()
    }

    fn shut_down(&mut self) -> usize {
        let Some(accepting) = self.accepting.take() else {
            return 0;
        };
        self.shared.stopping.store(true, Ordering::SeqCst);
        self.shared.registry.wake();
        let _ = accepting.join();
        self.shared.wait_for_all()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shut_down();
    }
}

/// Binds the socket. One that nobody answers at was left by a daemon that was killed.
fn bind(path: &Path) -> io::Result<UnixListener> {
    let about = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        match std::fs::DirBuilder::new().mode(0o755).create(dir) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(about(e)),
            _ => {}
        }
    }
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(about(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "there is something that is no socket",
            )));
        }
        Ok(_) => match UnixStream::connect(path) {
            Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {
                std::fs::remove_file(path).map_err(about)?;
            }
            // Whoever answers, or is too busy to, is there.
            _ => {
                return Err(about(io::Error::new(
                    io::ErrorKind::AddrInUse,
                    "another daemon answers there",
                )));
            }
        },
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(about(e)),
    }
    let listener = UnixListener::bind(path).map_err(about)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666)).map_err(about)?;
    Ok(listener)
}

/// Accepts until the server stops, and ends what is late to end.
fn accept(shared: &Arc<Shared>, listener: UnixListener, mut woken: PipeReader) {
    let mut pause_until: Option<Instant> = None;
    while !shared.stopping.load(Ordering::SeqCst) {
        let now = Instant::now();
        pause_until = pause_until.filter(|until| *until > now);
        let next = [shared.registry.enforce(now), pause_until];
        wait(&woken, pause_until.is_none().then_some(&listener), next);
        let mut drained = [0; 64];
        while matches!(woken.read(&mut drained), Ok(n) if n > 0) {}
        if pause_until.is_some() {
            continue;
        }
        match listener.accept() {
            Ok((stream, _)) => {
                if take(shared, stream).is_err() {
                    pause_until = Some(Instant::now() + ACCEPT_PAUSE);
                }
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            // No descriptors left, or the like: those who connect wait meanwhile.
            Err(_) => pause_until = Some(Instant::now() + ACCEPT_PAUSE),
        }
    }
    // The name goes first: who comes now finds no daemon rather than one that does not answer.
    let _ = std::fs::remove_file(&shared.config.socket);
    drop(listener);
    let wait = shared.config.stop_wait;
    shared.registry.end_all(THE_DAEMON_STOPS, wait);
}

/// Waits for a connection, a wake-up, or the earliest of these moments.
fn wait(woken: &PipeReader, listener: Option<&UnixListener>, until: [Option<Instant>; 2]) {
    let now = Instant::now();
    let until = until.into_iter().flatten().min();
    let timeout = until.map(|at| at.saturating_duration_since(now) + Duration::from_millis(1));
    let timeout = timeout.and_then(|pause| Timespec::try_from(pause).ok());
    let mut fds = vec![PollFd::new(woken, PollFlags::IN)];
    fds.extend(listener.map(|listener| PollFd::new(listener, PollFlags::IN)));
    // Failing (a signal came, no memory) is as good as being woken: the loop looks again.
    let _ = poll(&mut fds, timeout.as_ref());
}

/// Gives a connection its thread, or refuses it. An error is the system's: no thread to be had.
fn take(shared: &Arc<Shared>, stream: UnixStream) -> io::Result<()> {
    // On Linux an accepted socket does not take over the listener's mode; asked for all the same.
    stream.set_nonblocking(false)?;
    let caller = match Caller::of(stream.as_fd()) {
        Ok(caller) => caller,
        Err(e) => {
            shared.refuse(
                &stream,
                None,
                &format!("the system does not say who asks: {e}"),
            );
            return Ok(());
        }
    };
    let place = match Place::take(shared, caller.uid) {
        Ok(place) => place,
        Err(why) => {
            shared.refuse(&stream, Some(caller.uid), &why);
            return Ok(());
        }
    };
    let of_thread = Arc::clone(shared);
    std::thread::Builder::new()
        .name("capture-session".to_owned())
        .spawn(move || {
            let _place = place;
            connection::serve(&of_thread, stream, &caller.named());
        })
        .map(drop)
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Connections> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Says why not; a fresh socket has room for that, so nobody is waited for.
    fn refuse(&self, stream: &UnixStream, uid: Option<u32>, why: &str) {
        if let Ok(stream) = stream.try_clone() {
            Line::new(stream).say_at_once(&FromDaemon::Refused(why.to_owned()));
        }
        self.tell_refused(uid, why);
    }

    pub(crate) fn tell_refused(&self, uid: Option<u32>, why: &str) {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        refusals.untold = refusals.untold.saturating_add(1);
        let told_at = refusals.told_at;
        if told_at.is_some_and(|at| at.elapsed() < REFUSED_EVERY) {
            return;
        }
        refusals.told_at = Some(Instant::now());
        let times = std::mem::take(&mut refusals.untold);
        drop(refusals);
        (self.means.tell)(Happening::Refused {
            uid,
            why: why.to_owned(),
            times,
        });
    }

    /// Waits until no connection is left; answers how many are after the bound.
    fn wait_for_all(&self) -> usize {
        let held = Duration::from_millis(self.config.policy.hold_ms_max);
        let until = Instant::now() + held + STOP_DURABLE_MAX;
        let mut connections = self.lock();
        while connections.all > 0 {
            let now = Instant::now();
            if now >= until {
                break;
            }
            let next = self.registry.enforce(now).map_or(until, |at| at.min(until));
            // A session that begins just now brings its deadline later: it is looked for.
            let rest = next.saturating_duration_since(now).min(STOP_LOOK_EVERY);
            (connections, _) = self
                .fewer
                .wait_timeout(connections, rest)
                .unwrap_or_else(PoisonError::into_inner);
        }
        connections.all
    }
}
