//! Sessions by their tags: those that go on, and those that have ended and left something running.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hansard_core::SessionId;
use hansard_core::event::{Body, Gap};
use hansard_record::Recorder;

use super::afterwards::{OVER_MAX, Over, Tell};
use super::arrivals::{Arrivals, Waiting};
use super::facts;
use super::fold::Fold;
use super::left::Left;
use super::record::{Kind, Record};

/// A tag's session.
#[derive(Clone)]
pub(super) enum Entry {
    /// A login was found, and its recording is not open yet.
    Waiting(Arc<Waiting>),
    /// It goes on.
    Open(Arc<Mutex<Session>>),
    /// Its recording has ended; what it left running may go on.
    Over(Arc<Mutex<Over>>),
}

/// What the ring's callback works with.
pub(super) struct Sessions {
    pub(super) by_tag: Mutex<BTreeMap<u64, Entry>>,
    /// Of sessions that have ended.
    pub(super) tell: Tell,
    /// Told of logins that are found.
    pub(super) arrivals: Arrivals,
    /// What the last daemon watched.
    pub(super) left: Left,
    /// Whether those that have left nothing running are forgotten.
    pub(super) knows_who_lives: bool,
    /// Ended ones whose processes are not to be watched any more.
    pub(super) done: Mutex<Vec<u64>>,
    /// The latest moment that was read of.
    pub(super) seen_ns: AtomicU64,
    pub(super) records: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) malformed: AtomicU64,
}

pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) recorder: Recorder,
    pub(super) fold: Fold,
    /// What the kernel had counted when it was last told, and the session's moment then.
    pub(super) lost: Lost,
    pub(super) looked_ns: u64,
    /// Of a login that was found: what was started for it.
    pub(super) leader: Option<Leader>,
}

/// The process with which a login begins, and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Leader {
    pub(super) pid: u32,
    /// How it ended, as wait(2) says it.
    pub(super) exit: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Lost {
    pub(super) records: u64,
    pub(super) untagged: u64,
    /// Not lost: nobody wanted to know.
    pub(super) left_out: u64,
}

impl Lost {
    /// From `struct lost` of `ebpf/record.h`.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (_, rest) = bytes.split_first_chunk::<8>()?;
        let (records, rest) = rest.split_first_chunk()?;
        let (untagged, rest) = rest.split_first_chunk()?;
        let (left_out, _) = rest.split_first_chunk()?;
        Some(Self {
            records: u64::from_ne_bytes(*records),
            untagged: u64::from_ne_bytes(*untagged),
            left_out: u64::from_ne_bytes(*left_out),
        })
    }
}

impl Session {
    /// One that begins to be watched now.
    pub(super) fn begun(id: SessionId, recorder: Recorder) -> Self {
        Self {
            id,
            looked_ns: recorder.now_ns(),
            recorder,
            fold: Fold::default(),
            lost: Lost::default(),
            leader: None,
        }
    }

    /// Takes one record.
    pub(super) fn take(&mut self, record: &Record) {
        for body in self.bodies(record) {
            self.tell(body);
        }
    }

    /// What is to be told now.
    fn bodies(&mut self, record: &Record) -> Vec<Body> {
        if let Some(leader) = &mut self.leader
            && record.kind == Kind::Exit
            && record.pid == leader.pid
        {
            leader.exit = Some(record.ret);
        }
        self.fold.take(record)
    }

    /// Takes one record that has waited, now.
    pub(super) fn take_late(&mut self, record: &Record, now_ns: u64) {
        let late_ns = now_ns.saturating_sub(record.time_ns);
        for mut body in self.bodies(record) {
            facts::delayed(&mut body, late_ns);
            self.tell(body);
        }
    }

    /// A recording that failed ends its session by itself: its capture is told the same.
    pub(super) fn tell(&self, body: Body) {
        let _ = self.recorder.witness(body);
    }

    pub(super) fn gap(&self, cause: &str, events: Option<u64>) -> Body {
        Body::Gap(Gap {
            cause: cause.to_owned(),
            from_ns: self.looked_ns,
            events,
            ..Gap::default()
        })
    }
}

impl Sessions {
    /// None yet; what ended ones do is told here.
    pub(super) fn telling(tell: Tell, knows_who_lives: bool) -> Self {
        Self {
            by_tag: Mutex::default(),
            tell,
            knows_who_lives,
            arrivals: Arrivals::default(),
            left: Left::default(),
            done: Mutex::default(),
            seen_ns: AtomicU64::new(0),
            records: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            malformed: AtomicU64::new(0),
        }
    }

    /// One record, in the order in which the kernel handed them over.
    pub(super) fn take(&self, bytes: &[u8]) {
        self.records.fetch_add(1, Ordering::Relaxed);
        let Some(record) = Record::parse(bytes) else {
            self.malformed.fetch_add(1, Ordering::Relaxed);
            return;
        };
        self.seen_ns.fetch_max(record.time_ns, Ordering::Relaxed);
        let entry = lock(&self.by_tag).get(&record.tag).cloned();
        match entry {
            Some(Entry::Open(session)) => lock(&session).take(&record),
            Some(Entry::Waiting(waiting)) => waiting.take(bytes, &record),
            Some(Entry::Over(over)) => {
                let is_more_told = lock(&over).take(&record, &self.tell);
                if !is_more_told {
                    lock(&self.done).push(record.tag);
                }
            }
            None if record.kind == Kind::Login => self.arrived(&record),
            None => {}
        }
    }

    /// Sessions that go on.
    pub(super) fn open(&self) -> usize {
        let all = lock(&self.by_tag);
        let open = all
            .values()
            .filter(|entry| !matches!(entry, Entry::Over(_)));
        open.count()
    }

    /// Those that have ended and are watched still, the oldest of its kind first: tags grow.
    pub(super) fn ended(&self) -> Vec<(u64, Arc<Mutex<Over>>)> {
        let all = lock(&self.by_tag);
        let over = all.iter().filter_map(|(tag, entry)| match entry {
            Entry::Over(over) => Some((*tag, Arc::clone(over))),
            Entry::Open(_) | Entry::Waiting(_) => None,
        });
        over.collect()
    }

    /// A session has ended. Of those that have, the oldest makes room.
    pub(super) fn is_over(&self, tag: u64, over: Over) {
        let over = Arc::new(Mutex::new(over));
        lock(&self.by_tag).insert(tag, Entry::Over(over));
        let ended = self.ended();
        if let Some((oldest, first)) = ended.first()
            && ended.len() > OVER_MAX
        {
            lock(first).given_up(self.knows_who_lives, &self.tell);
            lock(&self.done).push(*oldest);
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
