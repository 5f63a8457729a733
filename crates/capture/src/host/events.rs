//! Sessions whose processes are watched, and the thread that reads what the kernel tells of them.

use std::fmt;
use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use libbpf_rs::{MapCore as _, MapFlags, RingBuffer, RingBufferBuilder};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::time::{ClockId, clock_gettime};

use super::afterwards::{Over, Tell};
use super::doors;
use super::facts;
use super::kernel::{self, Loaded, Support};
use super::sessions::{Entry, Lost, Session, Sessions, lock};
use super::{Config, Unsupported};

/// Records that are read at a time; between two such turns others may have the ring.
const TURN_RECORDS: usize = 4096;

/// How long the reader lets records gather after it was woken: while some wait, no program that makes
/// more has to wake it.
const GATHER: Duration = Duration::from_millis(5);

/// How often losses are looked at, and repeats told, when nothing happens.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Records that may be read at most when a session ends until what it did before has been. At the
/// bound the recording has a gap that says so.
const DRAINED_MAX: usize = 4_000_000;

/// How far apart the kernel may count moments and hand them over in another order, nanoseconds.
const DISORDER_NS: u64 = 2_000_000;

/// Bytes of `struct lost` of `ebpf/record.h`.
pub(super) const LOST_BYTES: usize = 32;

/// `IS_OVER` of `ebpf/record.h`.
const IS_OVER: u32 = 1 << 31;

/// Why a gap is there.
const OVERFLOWED: &str = "host events came faster than they could be taken";
const UNTAGGED: &str =
    "the kernel had no memory to follow a process, whose host events are missing";
const UNFINISHED: &str = "the last host events were not read in time";

/// What happened since the start, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    /// Records that the kernel handed over.
    pub records: u64,
    /// Records that it could not.
    pub lost: u64,
    /// Records that nobody could read; there should be none.
    pub malformed: u64,
    /// Sessions that are watched now.
    pub sessions: u64,
    /// Sessions that have ended and may have left something running, which is watched.
    pub ended: u64,
}

/// Host events. Clones are the same. When the last is dropped, the kernel's programs are gone if they are not
/// pinned.
#[derive(Clone)]
pub struct HostEvents(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) shared: Arc<Shared>,
    reading: Option<JoinHandle<()>>,
    /// Dropped first thing, it ends the reader.
    stop: Option<PipeWriter>,
}

pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) loaded: Loaded,
    ring: Mutex<RingBuffer<'static>>,
    pub(super) watched: Arc<Sessions>,
    pub(super) next_tag: AtomicU64,
    /// Logins that the kernel could not follow, of which was told.
    turned_away: AtomicU64,
    /// When it was asked which ended sessions left anything running.
    pub(super) asked_ns: AtomicU64,
}

/// A session that is watched, until this is dropped.
pub struct Watched {
    pub(super) shared: Arc<Shared>,
    pub(super) tag: u64,
    pub(super) session: Arc<Mutex<Session>>,
    /// Another daemon goes on with it.
    pub(super) stays: bool,
}

impl fmt::Debug for HostEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HostEvents")
    }
}

impl HostEvents {
    /// Loads the programs and reads what they tell. What sessions leave running is told to `tell`
    /// after their end, under their name (`recording`), at most [`super::AFTERWARDS_MAX`] events of
    /// each.
    ///
    /// # Errors
    /// Why this kernel, or this process, cannot.
    pub fn start(config: Config, tell: Tell) -> Result<Self, Unsupported> {
        let loaded = kernel::load(&config)?;
        let watched = Arc::new(Sessions::telling(tell, loaded.knows_who_lives()));
        let unusable = |e: &dyn fmt::Display| Unsupported {
            what: format!("what the kernel tells cannot be read: {e}"),
            next: "see whether descriptors and memory are left".to_owned(),
        };
        watched.find_left(&loaded.maps);
        let told = Arc::clone(&watched);
        let mut builder = RingBufferBuilder::new();
        builder
            .add(&loaded.maps.records, move |bytes| {
                told.take(bytes);
                0
            })
            .map_err(|e| unusable(&e))?;
        let ring = builder.build().map_err(|e| unusable(&e))?;
        let shared = Arc::new(Shared {
            config,
            loaded,
            ring: Mutex::new(ring),
            watched,
            // Beyond all that another daemon gave since the machine started.
            next_tag: AtomicU64::new(monotonic_ns()),
            turned_away: AtomicU64::new(0),
            asked_ns: AtomicU64::new(0),
        });
        let (stopped, stop) = io::pipe().map_err(|e| unusable(&e))?;
        let of_thread = Arc::clone(&shared);
        let reading = std::thread::Builder::new()
            .name("host-events".to_owned())
            .spawn(move || read(&of_thread, &stopped))
            .map_err(|e| unusable(&e))?;
        Ok(Self(Arc::new(Inner {
            shared,
            reading: Some(reading),
            stop: Some(stop),
        })))
    }

    /// What this kernel can do.
    #[must_use]
    pub fn support(&self) -> &Support {
        &self.0.shared.loaded.support
    }

    /// Whether the last daemon's programs stayed, and are these.
    #[must_use]
    pub fn took_up(&self) -> bool {
        self.0.shared.loaded.has_stayed()
    }

    /// Paths and programs that were to be left out and were not there when this was started: nothing
    /// of them is left out.
    #[must_use]
    pub fn absent(&self) -> &[PathBuf] {
        &self.0.shared.loaded.absent
    }

    /// What was counted.
    #[must_use]
    pub fn counted(&self) -> Counted {
        let watched = &self.0.shared.watched;
        Counted {
            records: watched.records.load(Ordering::Relaxed),
            lost: watched.lost.load(Ordering::Relaxed),
            malformed: watched.malformed.load(Ordering::Relaxed),
            sessions: watched.open() as u64,
            ended: watched.ended().len() as u64,
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop = None;
        let this = std::thread::current().id();
        // Whoever was told of a login may be the last who has this, in the reader's own thread.
        if let Some(reading) = self
            .reading
            .take_if(|reading| reading.thread().id() != this)
        {
            // It has nothing to say, and one that panicked has lost nothing that is not counted.
            let _ = reading.join();
        }
    }
}

impl Watched {
    /// Ends it: what was done until now is in the recording when this returns, or a gap is.
    pub fn end(self) {}

    /// The same of one that another daemon goes on with: its processes keep their marks.
    pub(crate) fn stay(mut self) {
        self.stays = true;
    }

    /// The same of a login that was found; how what was started for it ended, if it did.
    pub(crate) fn ended(self) -> Option<i64> {
        let session = Arc::clone(&self.session);
        drop(self);
        let leader = lock(&session).leader;
        leader.and_then(|leader| leader.exit)
    }

    /// What is left running goes on in the session that this one began in, if that goes on. Nothing is
    /// where this one is to be gone on with by another daemon.
    fn lets_go(&self) {
        let (maps, key) = (&self.shared.loaded.maps, self.tag.to_ne_bytes());
        let found = maps.sessions.lookup(&key, MapFlags::ANY).ok().flatten();
        let switches = found.and_then(|bytes| bytes.first_chunk().copied());
        if let Some(switches) = switches.map(u32::from_ne_bytes) {
            let over = (switches | IS_OVER).to_ne_bytes();
            // Failing means that it was there no more.
            let _ = maps.sessions.update(&key, &over, MapFlags::EXIST);
        }
    }

    fn finish(&self) {
        if !self.stays {
            self.lets_go();
        }
        let is_read = self.shared.drain();
        // While nobody reads: what comes after this is not the recording's any more.
        let reading = lock(&self.shared.ring);
        let mut session = lock(&self.session);
        let lost = self.shared.lost(self.tag).unwrap_or(session.lost);
        let over = Over::new(session.id, lost.records);
        self.shared.watched.is_over(self.tag, over);
        drop(reading);
        for body in session.fold.due(u64::MAX) {
            session.tell(body);
        }
        self.shared.look(self.tag, &mut session);
        if lost.left_out > 0 {
            session.tell(facts::left_out(lost.left_out));
        }
        if !is_read {
            let gap = session.gap(UNFINISHED, None);
            session.tell(gap);
        }
        drop(session);
        self.shared.forget_done();
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Shared {
    /// Reads everything that was handed over until now; whether it got so far.
    pub(super) fn drain(&self) -> bool {
        let until = monotonic_ns().saturating_add(DISORDER_NS);
        let mut rest = DRAINED_MAX;
        loop {
            let got = lock(&self.ring).consume_raw_n(TURN_RECORDS);
            let got = usize::try_from(got).unwrap_or(0);
            rest = rest.saturating_sub(got);
            if got < TURN_RECORDS || self.watched.seen_ns.load(Ordering::Relaxed) > until {
                return true;
            }
            if rest == 0 {
                return false;
            }
        }
    }

    /// What the kernel has counted of this session's losses.
    fn lost(&self, tag: u64) -> Option<Lost> {
        let key = tag.to_ne_bytes();
        let found = self.loaded.maps.losses.lookup(&key, MapFlags::ANY);
        found.ok().flatten().and_then(|bytes| Lost::parse(&bytes))
    }

    /// Watches no more what these left running.
    fn forget_done(&self) {
        for tag in std::mem::take(&mut *lock(&self.watched.done)) {
            let key = tag.to_ne_bytes();
            // Failing means that it was not there: no program finds it from here on.
            let maps = &self.loaded.maps;
            let _ = maps.sessions.delete(&key);
            let _ = maps.losses.delete(&key);
            let _ = maps.owners.delete(&key);
            lock(&self.watched.by_tag).remove(&tag);
        }
    }

    /// Tells a session what it has lost since the last time.
    fn look(&self, tag: u64, session: &mut Session) {
        let lost = self.lost(tag).unwrap_or(session.lost);
        let before = std::mem::replace(&mut session.lost, lost);
        let records = lost.records.saturating_sub(before.records);
        let tasks = lost.untagged.saturating_sub(before.untagged);
        for (cause, count) in [(OVERFLOWED, records), (UNTAGGED, tasks)] {
            if count > 0 {
                self.watched.lost.fetch_add(count, Ordering::Relaxed);
                // Of a process that is not followed, nobody knows what it did.
                let gap = session.gap(cause, (cause == OVERFLOWED).then_some(count));
                session.tell(gap);
                self.note(tag, session.id, lost);
            }
        }
        session.looked_ns = session.recorder.now_ns();
    }

    /// Tells every session what it lost and what repeated.
    fn look_at_all(&self) {
        let all: Vec<(u64, Entry)> = lock(&self.watched.by_tag)
            .iter()
            .map(|(tag, entry)| (*tag, entry.clone()))
            .collect();
        let now_ns = monotonic_ns();
        for (tag, entry) in all {
            let entry = match entry {
                Entry::Waiting(waiting) => match waiting.opened() {
                    Some(session) => Entry::Open(session),
                    None => continue,
                },
                entry => entry,
            };
            match entry {
                Entry::Waiting(_) => {}
                Entry::Open(session) => {
                    let mut session = lock(&session);
                    for body in session.fold.due(now_ns) {
                        session.tell(body);
                    }
                    self.look(tag, &mut session);
                }
                Entry::Over(over) => self.look_after(tag, &mut lock(&over), now_ns),
            }
        }
        self.watched.give_up_left();
        self.look_who_lives();
        self.forget_done();
        self.look_at_doors();
    }

    /// Says how many logins the kernel found and could not follow, if it did since the last time.
    fn look_at_doors(&self) {
        let now = doors::turned_away(&self.loaded.maps.arrivals).unwrap_or(0);
        let before = self.turned_away.swap(now, Ordering::Relaxed);
        if now > before {
            (self.watched.tell)(doors::not_followed(now - before));
        }
    }

    /// The same for a session that has ended; nearly none has left anything running.
    pub(super) fn look_after(&self, tag: u64, over: &mut Over, now_ns: u64) {
        if over.is_quiet() {
            return;
        }
        let tell = &self.watched.tell;
        if !over.due(now_ns, tell) {
            lock(&self.watched.done).push(tag);
        }
        if let Some(lost) = self.lost(tag) {
            over.lost(lost.records, tell);
        }
    }
}

/// Reads until the daemon stops.
fn read(shared: &Arc<Shared>, stopped: &PipeReader) {
    let timeout = Timespec::try_from(LOOK_EVERY).ok();
    let mut looked_ns = 0;
    loop {
        let got = lock(&shared.ring).consume_raw_n(TURN_RECORDS);
        shared.tell_arrivals();
        let now_ns = monotonic_ns();
        if now_ns.saturating_sub(looked_ns) >= nanos(LOOK_EVERY) {
            looked_ns = now_ns;
            shared.look_at_all();
        }
        if usize::try_from(got).is_ok_and(|got| got >= TURN_RECORDS) {
            continue;
        }
        let records = shared.loaded.maps.records.as_fd();
        let mut fds = [
            PollFd::from_borrowed_fd(records, PollFlags::IN),
            PollFd::new(stopped, PollFlags::IN),
        ];
        // Failing (a signal came, no memory) is as good as being woken: the loop looks again.
        let _ = poll(&mut fds, timeout.as_ref());
        let [_, end] = &fds;
        if !end.revents().is_empty() {
            return;
        }
        std::thread::sleep(GATHER);
    }
}

pub(super) fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let rest = u64::try_from(now.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(rest)
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
