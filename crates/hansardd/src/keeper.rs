//! From the spool into the archive: one thread that works through what is durable here, in the
//! order in which it became so.
//!
//! ```text
//! spool ─▶ read once ─▶ taps (event log) ─▶ sealed ─▶ archive ─▶ settled ─▶ forgotten
//!            └─▶ live rows                                └─▶ told: class S
//! ```
//!
//! A start is no special case: whatever is in the spool is worked through from its first part. What
//! is archived already is compared with the archive and forgotten; what is not is told to the taps
//! again from its segment's beginning, and a tap knows what it has seen.
//!
//! What waits for what: archiving for the taps to be durable, forgetting for the archive. What
//! fails is tried again with pauses, and holds up only what must wait for it: while the archive
//! fails, events are told all the same, and parts wait in the spool. A session that must not be
//! archived is put aside, and the others go on.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use hansard_core::{Session, SessionId};
use hansard_record::Spool;
use hansard_record::clock::Clock;
use hansard_record::forward::wire::Stored;
use hansard_record::spool::Pending;
use hansard_store::archive::SegmentId;
use hansard_store::chain::Tip;
use hansard_store::{Archive, Catalog};

use crate::bell::Bell;
use crate::live::Live;
use crate::tee::Source;

mod alarm;
mod aside;
mod backoff;
mod growing;
mod headers;
mod learning;
mod losses;
mod owner;
mod projecting;
mod reading;
mod ready;
mod repeats;
mod setting_aside;
mod split;
mod storing;
mod tap;
mod thread;
mod work;

pub use alarm::{Matter, Raised};
pub use aside::{ASIDE_BYTES_MAX, ASIDE_SESSIONS_MAX, Aside, AsideError};
use backoff::Backoff;
pub use growing::GROWING_BYTES_MAX;
use growing::Growing;
pub use headers::HEADERS_BYTES_MAX;
use headers::Headers;
use losses::Losses;
pub use owner::Owners;
pub use projecting::{OnProjected, Projecting, ProjectingFigures};
use reading::Held;
use ready::ReadyQueue;
pub use ready::{READY_BYTES_MAX, READY_MAX};
use setting_aside::Condemned;
pub(crate) use split::split;
pub use tap::{Tap, TapTrouble, Told};
pub use thread::KeeperThread;
use work::Work;

/// Sessions whose state is remembered; beyond them those of which nothing is in the spool are
/// forgotten, and asked from the catalog when their next part comes.
pub const WORKS_MAX: usize = 65_536;

/// See [`Hooks::alarm`].
pub type OnAlarm = Arc<dyn Fn(&Raised) + Send + Sync>;

/// See [`Hooks::settled`].
pub type OnSettled = Arc<dyn Fn(Stored) + Send + Sync>;

/// See [`Hooks::before_forget`].
pub type BeforeForget = Arc<dyn Fn(SessionId, &Tip) -> Result<(), String> + Send + Sync>;

/// See [`Hooks::trouble`].
pub type OnTrouble = Arc<dyn Fn(Option<&str>) + Send + Sync>;

/// See [`Hooks::source_of`].
pub type SourceOf = Arc<dyn Fn(&Session) -> Option<Source> + Send + Sync>;

/// What the keeper tells others. None of these MUST block: while one lasts, nothing is archived.
#[derive(Clone)]
pub struct Hooks {
    /// Somebody must look at this. Told at least once, after what it is about is durable.
    pub alarm: OnAlarm,
    /// A segment is archived: a receipt of class S, for whoever offered it. At least once.
    pub settled: OnSettled,
    /// A segment, the final one too, is about to be forgotten: from here on only the catalog knows
    /// where the session's chain ends. MUST NOT answer `Ok` before whoever would have to go on with
    /// the session after a crash has noted it. It is asked again after an error.
    pub before_forget: BeforeForget,
    /// Who offers a session, for parts that were in the spool before this start.
    pub source_of: SourceOf,
    /// Something begins to keep it from its work, with the reason; `None`: nothing does any more.
    pub trouble: OnTrouble,
}

impl Default for Hooks {
    /// Nobody listens.
    fn default() -> Self {
        Self {
            alarm: Arc::new(|_| {}),
            settled: Arc::new(|_| {}),
            before_forget: Arc::new(|_, _| Ok(())),
            source_of: Arc::new(|_| None),
            trouble: Arc::new(|_| {}),
        }
    }
}

/// What the keeper works on.
pub struct Stores {
    /// What is to be archived.
    pub spool: Spool,
    /// Where to.
    pub archive: Arc<Archive>,
    /// The archive's catalog.
    pub catalog: Arc<dyn Catalog>,
    /// Where parts go that must not be archived.
    pub aside: Aside,
    /// Sessions that have parts there, as [`Aside::open`] said.
    pub aside_sessions: HashSet<SessionId>,
}

/// What the keeper has done in its life, and what waits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Figures {
    /// Parts read from the spool.
    pub parts: u64,
    /// Events told to the taps.
    pub events: u64,
    /// Bytes of streams in them.
    pub data_bytes: u64,
    /// Segments that were archived, or found archived.
    pub segments: u64,
    /// Segments read again because there was no room to remember them.
    pub rereads: u64,
    /// Sessions put aside.
    pub sessions_aside: u64,
    /// Bytes of parts that are aside.
    pub aside_bytes: u64,
    /// Sessions with a hole that are waited for.
    pub sessions_holed: u64,
    /// Sealed segments that are not settled.
    pub segments_waiting: usize,
    /// When the oldest of them was sealed here, on the keeper's clock.
    pub waiting_since_ns: Option<u64>,
    /// Sessions whose state is remembered, and segments being read.
    pub sessions: usize,
    /// See `sessions`.
    pub growing: usize,
    /// Why nothing is archived just now, if so.
    pub trouble: Option<String>,
}

/// What one step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// There may be more to do at once.
    pub is_busy: bool,
    /// When there is something to do though no part comes, on the keeper's clock.
    pub due_ns: Option<u64>,
}

/// The keeper.
pub struct Keeper {
    stores: Stores,
    live: Live,
    taps: Vec<Box<dyn Tap>>,
    clock: Arc<dyn Clock>,
    hooks: Hooks,
    /// Memory for segments being read, bytes.
    growing_bytes_max: usize,
    /// The last part that was looked at.
    after: Option<Pending>,
    sessions: HashMap<SessionId, Work>,
    works_max: usize,
    growing: Growing,
    headers: Headers,
    /// Events that a tap did not take yet. Nothing else is told before them.
    held: Option<Held>,
    /// Sessions whose hole was filled, to be read on.
    filled: VecDeque<SessionId>,
    losses: Losses,
    /// Parts of segments that were archived before.
    repeats: BTreeMap<SegmentId, Vec<Pending>>,
    repeats_len: usize,
    ready: ReadyQueue,
    /// Segments that are sealed and not settled: where they end, and since when.
    unsettled: BTreeMap<SegmentId, (Tip, u64)>,
    sealed: VecDeque<(u64, SegmentId)>,
    /// Segments that are settled and not forgotten.
    unforgotten: VecDeque<(SegmentId, Option<Tip>)>,
    condemned: BTreeMap<SessionId, Condemned>,
    reading: Backoff,
    storing: Backoff,
    comparing: Backoff,
    forgetting: Backoff,
    putting_aside: Backoff,
    figures: Figures,
    shown: Arc<Mutex<Figures>>,
    told_damaged: bool,
    /// What was said last of [`Hooks::trouble`].
    is_in_trouble: bool,
    settled_bell: Bell,
}

impl Keeper {
    /// A keeper of these stores; nothing is read before its first step.
    #[must_use]
    pub fn new(
        stores: Stores,
        live: Live,
        taps: Vec<Box<dyn Tap>>,
        clock: Arc<dyn Clock>,
        hooks: Hooks,
    ) -> Self {
        live.begins_reading();
        Self {
            stores,
            live,
            taps,
            clock,
            hooks,
            growing_bytes_max: GROWING_BYTES_MAX,
            after: None,
            sessions: HashMap::new(),
            works_max: WORKS_MAX,
            growing: Growing::default(),
            headers: Headers::default(),
            held: None,
            filled: VecDeque::new(),
            losses: Losses::default(),
            repeats: BTreeMap::new(),
            repeats_len: 0,
            ready: ReadyQueue::default(),
            unsettled: BTreeMap::new(),
            sealed: VecDeque::new(),
            unforgotten: VecDeque::new(),
            condemned: BTreeMap::new(),
            reading: Backoff::default(),
            storing: Backoff::default(),
            comparing: Backoff::default(),
            forgetting: Backoff::default(),
            putting_aside: Backoff::default(),
            figures: Figures::default(),
            shown: Arc::default(),
            told_damaged: false,
            is_in_trouble: false,
            settled_bell: Bell::default(),
        }
    }

    /// The same with so much memory for segments being read, in bytes, instead of
    /// [`GROWING_BYTES_MAX`].
    #[must_use]
    pub fn with_growing_bytes(mut self, bytes_max: usize) -> Self {
        self.growing_bytes_max = bytes_max;
        self
    }

    /// What it has done and what waits, for whoever asks while it works.
    #[must_use]
    pub fn figures(&self) -> Arc<Mutex<Figures>> {
        Arc::clone(&self.shown)
    }

    /// Rung when segments were archived: the projector sleeps on it.
    #[must_use]
    pub fn settled_bell(&self) -> Bell {
        self.settled_bell.clone()
    }

    /// Does what there is to do, up to a bound, and says whether there is more.
    pub fn step(&mut self) -> Step {
        let now_ns = self.clock.monotonic_ns();
        let took = self.read_on(now_ns);
        if !took || self.ready.is_due(now_ns) {
            self.offer(now_ns);
        }
        self.write_packs(now_ns);
        self.compare_repeats(now_ns);
        self.forget_settled(now_ns);
        self.put_condemned_aside(now_ns);
        self.forget_idle();
        self.show();
        let more = took || (!self.ready.is_empty() && self.storing.may_try(now_ns));
        Step {
            is_busy: more,
            due_ns: self.due_ns(),
        }
    }

    /// Writes what waits in packs, and forgets what is settled: the end of an orderly life. What
    /// fails now is done by the next one.
    pub fn finish(&mut self) {
        let now_ns = self.clock.monotonic_ns();
        self.offer(now_ns);
        let flushed = self.stores.archive.flush();
        self.settle(flushed, now_ns);
        self.forget_settled(now_ns);
        self.put_condemned_aside(now_ns);
        self.show();
    }

    fn due_ns(&self) -> Option<u64> {
        let pauses = self.pauses().into_iter().filter_map(Backoff::due_ns);
        let pack = self
            .stores
            .archive
            .due_ns()
            .filter(|_| !self.storing.is_failing());
        pauses.chain(pack).min()
    }

    fn pauses(&self) -> [&Backoff; 5] {
        [
            &self.reading,
            &self.storing,
            &self.comparing,
            &self.forgetting,
            &self.putting_aside,
        ]
    }

    /// Forgets sessions of which nothing is in the spool, if there are too many.
    fn forget_idle(&mut self) {
        if self.sessions.len() > self.works_max {
            self.sessions.retain(|_, work| !work.is_idle());
            // Where most are in use, they are not gone through again for each one more.
            self.works_max = self.sessions.len().saturating_mul(2).max(WORKS_MAX);
        }
    }

    fn show(&mut self) {
        while let Some((_, segment)) = self.sealed.front() {
            if self.unsettled.contains_key(segment) {
                break;
            }
            self.sealed.pop_front();
        }
        self.tell_trouble();
        self.figures.segments_waiting = self.unsettled.len();
        self.figures.waiting_since_ns = self.sealed.front().map(|(since_ns, _)| *since_ns);
        self.figures.aside_bytes = self.stores.aside.bytes();
        self.figures.sessions = self.sessions.len();
        self.figures.growing = self.growing.len();
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.clone_from(&self.figures);
    }

    /// Says when trouble begins and when it is over.
    fn tell_trouble(&mut self) {
        let is_failing = self.pauses().into_iter().any(Backoff::is_failing);
        if !is_failing {
            self.figures.trouble = None;
        }
        let trouble = self.figures.trouble.as_deref();
        if trouble.is_some() != self.is_in_trouble {
            self.is_in_trouble = trouble.is_some();
            (self.hooks.trouble)(trouble);
        }
    }

    fn raise(&self, raised: &Raised) {
        (self.hooks.alarm)(raised);
    }
}
