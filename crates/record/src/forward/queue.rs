//! What is sent next: everything in the spool, in its order, but for sessions that the service told
//! to wait, and those it does not take, which are put aside.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hansard_core::SessionId;
use hansard_core::frame::{Part, Sound};

use crate::forward::backoff::jittered;
use crate::forward::status::Status;
use crate::forward::wire::{Problem, ProblemKind, Stored};
use crate::order::Spot;
use crate::quarantine::Quarantine;
use crate::random::Random;
use crate::spool::{Pending, Spool};

/// Parts that are looked up at once.
const LOOK_PARTS: usize = 64;

/// Bytes of parts that are read at once, and one part more.
pub(super) const BATCH_BYTES: usize = 256 * 1024;

/// Sessions that are told to wait; with more, the connection is begun anew, which offers all.
const HELD_MAX: usize = 4096;

/// Sessions that are known not to be taken; beyond them the oldest are offered and refused again.
const ASIDE_MAX: usize = 4096;

/// First and longest wait of a session that is to be offered again.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);

/// What is wrong with a session that is not sent any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlarmKind {
    /// The service has something else in the place of one of its parts.
    Conflict,
    /// The service does not take it.
    Refused,
    /// A part of it that was durable here cannot be read any more.
    Damaged,
}

impl AlarmKind {
    /// The word in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::Refused => "refused",
            Self::Damaged => "spool_damaged",
        }
    }
}

/// A session is not sent any more. The caller MUST make an event of it: this is evidence that will
/// not reach the archive without hands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// The session.
    pub session: SessionId,
    /// What is wrong.
    pub kind: AlarmKind,
    /// Why, in the words of the service or the system.
    pub why: String,
    /// Where its parts are put aside.
    pub aside: PathBuf,
    /// Parts that were put aside so far.
    pub parts: u64,
    /// Why they could not all be put aside, if so; what could not stays in the spool, and is tried
    /// again.
    pub failed: Option<String>,
}

/// A session that the service wants later.
struct Held {
    failures: u32,
    phase: Phase,
}

enum Phase {
    /// Nothing of it is sent before this moment.
    Waiting(Instant),
    /// It is sent by itself, behind this spot, until it has caught up with the others.
    CatchingUp(Option<Spot>),
    /// It is sent with the others. Remembered until some of it is stored, so that the next wait is
    /// longer.
    Flowing,
}

/// What to send, and what to do next.
pub(super) struct Batch {
    pub(super) parts: Vec<(Pending, Part)>,
    /// When to ask again, though nothing new came.
    pub(super) again_at: Option<Instant>,
}

/// See [`super::Hooks::before_forget`].
type BeforeForget = Arc<dyn Fn(SessionId, u32) -> io::Result<()> + Send + Sync>;

/// The queue over a spool.
pub(super) struct Queue {
    spool: Spool,
    quarantine: Quarantine,
    random: Arc<dyn Random>,
    status: Arc<Status>,
    alarm: Arc<dyn Fn(Alarm) + Send + Sync>,
    before_forget: BeforeForget,
    cursor: Option<Pending>,
    held: BTreeMap<SessionId, Held>,
    aside: BTreeSet<SessionId>,
    aside_order: VecDeque<SessionId>,
    /// Sessions that could not be put aside, and when to try again.
    stuck: BTreeMap<SessionId, Instant>,
}

impl Queue {
    pub(super) fn new(
        spool: Spool,
        quarantine: Quarantine,
        random: Arc<dyn Random>,
        status: Arc<Status>,
        (alarm, before_forget): (Arc<dyn Fn(Alarm) + Send + Sync>, BeforeForget),
    ) -> Self {
        Self {
            spool,
            quarantine,
            random,
            status,
            alarm,
            before_forget,
            cursor: None,
            held: BTreeMap::new(),
            aside: BTreeSet::new(),
            aside_order: VecDeque::new(),
            stuck: BTreeMap::new(),
        }
    }

    /// Begins a connection: all that is not stored is offered again, in its order.
    pub(super) fn rewind(&mut self) {
        self.cursor = None;
        self.held.retain(|_, held| match held.phase {
            Phase::Waiting(_) => true,
            Phase::CatchingUp(_) | Phase::Flowing => {
                held.phase = Phase::Flowing;
                held.failures > 0
            }
        });
    }

    /// What is sent next.
    pub(super) fn next(&mut self, now: Instant) -> Batch {
        self.free_stuck(now);
        let mut batch = Vec::new();
        let mut bytes = 0;
        self.catch_up(now, &mut batch, &mut bytes);
        while bytes < BATCH_BYTES {
            let found = self.spool.pending(self.cursor.as_ref(), LOOK_PARTS);
            if found.is_empty() {
                break;
            }
            for pending in found {
                if bytes >= BATCH_BYTES {
                    break;
                }
                self.cursor = Some(pending);
                if self.aside.contains(&pending.session) {
                    self.put_aside(pending.session, now);
                } else if self.is_with_the_others(pending.session) {
                    self.take(pending, &mut batch, &mut bytes, now);
                }
            }
        }
        let waits = self.held.values().filter_map(|held| match held.phase {
            Phase::Waiting(until) => Some(until),
            Phase::CatchingUp(_) => Some(now),
            Phase::Flowing => None,
        });
        let again_at = waits.chain(self.stuck.values().copied()).min();
        Batch {
            parts: batch,
            again_at,
        }
    }

    fn is_with_the_others(&self, session: SessionId) -> bool {
        self.held
            .get(&session)
            .is_none_or(|held| matches!(held.phase, Phase::Flowing))
    }

    /// Sends sessions whose wait is over, each by itself until it is where the others are.
    fn catch_up(&mut self, now: Instant, batch: &mut Vec<(Pending, Part)>, bytes: &mut usize) {
        let due: Vec<(SessionId, Option<Spot>)> = self
            .held
            .iter()
            .filter_map(|(session, held)| match held.phase {
                Phase::Waiting(until) if until <= now => Some((*session, None)),
                Phase::CatchingUp(after) => Some((*session, after)),
                _ => None,
            })
            .collect();
        for (session, mut after) in due {
            loop {
                if *bytes >= BATCH_BYTES {
                    self.set_phase(session, Phase::CatchingUp(after));
                    return;
                }
                let next = self.spool.pending_of(session, after, 1).into_iter().next();
                let behind =
                    next.filter(|next| self.cursor.is_some_and(|cursor| !cursor.is_before(next)));
                let Some(pending) = behind else {
                    self.set_phase(session, Phase::Flowing);
                    break;
                };
                after = Some(pending.spot);
                self.take(pending, batch, bytes, now);
                if self.aside.contains(&session) {
                    break;
                }
            }
        }
    }

    fn set_phase(&mut self, session: SessionId, phase: Phase) {
        if let Some(held) = self.held.get_mut(&session) {
            held.phase = phase;
        }
    }

    /// Reads a part for sending.
    fn take(
        &mut self,
        pending: Pending,
        batch: &mut Vec<(Pending, Part)>,
        bytes: &mut usize,
        now: Instant,
    ) {
        match self.spool.read(&pending) {
            Ok(part) => {
                *bytes = bytes.saturating_add(part.bytes().len());
                batch.push((pending, part));
            }
            // Stored meanwhile.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => {
                self.status
                    .count(|c| c.damaged = c.damaged.saturating_add(1));
                self.give_up(pending.session, AlarmKind::Damaged, &e.to_string(), now);
            }
        }
    }

    /// The service has a segment, and all before it, in its archive. They are forgotten if that is what is
    /// here: two machines that are copies of one may go on with the same session, each in its own way.
    pub(super) fn stored(&mut self, stored: &Stored, now: Instant) {
        let Stored {
            session, segment, ..
        } = *stored;
        match self.is_what_is_here(stored) {
            Ok(Some(true)) => self.forget_up_to(session, segment),
            // Forgotten before, or not got that far: nothing here is proven.
            Ok(None) => {}
            Ok(Some(false)) => {
                self.status
                    .count(|c| c.conflicts = c.conflicts.saturating_add(1));
                let why = format!("the archive has another segment {segment} than is here");
                self.give_up(session, AlarmKind::Conflict, &why, now);
            }
            // Offered again on the next connection, and put aside if it cannot be read then.
            Err(e) => self.status.note_error(&format!("session {session}: {e}")),
        }
    }

    /// Whether a receipt is for what is here; `None` where nothing is.
    fn is_what_is_here(&self, stored: &Stored) -> io::Result<Option<bool>> {
        let Some(digest) = stored.digest else {
            return Ok(Some(true));
        };
        let pending = self.spool.pending_in(stored.session, stored.segment);
        let Some(last) = pending.last() else {
            return Ok(None);
        };
        let part = match self.spool.read(last) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read?,
        };
        let is_it = matches!(part.check(), Ok(Sound::Seal(seal)) if seal.digest == digest);
        Ok(Some(is_it))
    }

    fn forget_up_to(&mut self, session: SessionId, segment: u32) {
        self.held
            .remove(&session)
            .filter(|held| !matches!(held.phase, Phase::Flowing))
            .map(|held| {
                self.held.insert(
                    session,
                    Held {
                        failures: 0,
                        ..held
                    },
                )
            });
        loop {
            let pending = self.spool.pending_of(session, None, LOOK_PARTS);
            let stored: Vec<(SessionId, Spot)> = pending
                .iter()
                .filter(|pending| pending.spot.segment <= segment)
                .map(|pending| (session, pending.spot))
                .collect();
            let Some((_, last)) = stored.last() else {
                return;
            };
            // A crash after this leaves parts that are offered again, and found in the archive.
            if let Err(e) = (self.before_forget)(session, last.segment) {
                self.status.note_error(&format!("session {session}: {e}"));
                return;
            }
            self.spool.forget(&stored);
        }
    }

    /// The service does not take a session, now or ever. Answers whether the connection can go on.
    pub(super) fn problem(&mut self, problem: &Problem, now: Instant) -> bool {
        let kind = match problem.kind {
            ProblemKind::Retry => return self.hold(problem.session, now),
            ProblemKind::Conflict => {
                self.status
                    .count(|c| c.conflicts = c.conflicts.saturating_add(1));
                AlarmKind::Conflict
            }
            ProblemKind::Refused => {
                self.status
                    .count(|c| c.refusals = c.refusals.saturating_add(1));
                AlarmKind::Refused
            }
        };
        let why = format!("at {}: {}", problem.at, problem.why);
        self.give_up(problem.session, kind, &why, now);
        true
    }

    fn hold(&mut self, session: SessionId, now: Instant) -> bool {
        self.status
            .count(|c| c.retries = c.retries.saturating_add(1));
        if self.held.len() >= HELD_MAX && !self.held.contains_key(&session) {
            self.held.clear();
            return false;
        }
        let failures = self.held.get(&session).map_or(0, |held| held.failures);
        let wait = jittered(&*self.random, RETRY_FIRST, RETRY_MAX, failures);
        let held = Held {
            failures: failures.saturating_add(1),
            phase: Phase::Waiting(now.checked_add(wait).unwrap_or(now)),
        };
        self.held.insert(session, held);
        true
    }

    /// Sends no more of a session, puts what there is of it aside, and says so once.
    fn give_up(&mut self, session: SessionId, kind: AlarmKind, why: &str, now: Instant) {
        self.held.remove(&session);
        if !self.aside.insert(session) {
            return;
        }
        self.aside_order.push_back(session);
        if self.aside_order.len() > ASIDE_MAX
            && let Some(oldest) = self.aside_order.pop_front()
        {
            self.aside.remove(&oldest);
        }
        let (parts, failed) = self.put_aside(session, now);
        (self.alarm)(Alarm {
            session,
            kind,
            why: why.to_owned(),
            aside: self.quarantine.of(session),
            parts,
            failed,
        });
    }

    /// Puts aside what there is of a session. A crash in here leaves parts in both places, and the
    /// next attempt changes nothing about that but the spool's copy.
    fn put_aside(&mut self, session: SessionId, now: Instant) -> (u64, Option<String>) {
        let (mut after, mut count, mut failed) = (None, 0u64, None);
        loop {
            let found = self.spool.pending_of(session, after, LOOK_PARTS);
            let Some(last) = found.last() else { break };
            after = Some(last.spot);
            let mut parts = Vec::with_capacity(found.len());
            for pending in &found {
                match self.spool.read(pending) {
                    Ok(part) => parts.push(part),
                    Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                    // What cannot be read stays where it is.
                    Err(e) => failed = Some(e.to_string()),
                }
            }
            if let Err(e) = self.quarantine.put(&parts) {
                failed = Some(format!("{}: {e}", self.quarantine.of(session).display()));
                // With too many that are stuck, the next connection or the next part tries again.
                if self.stuck.len() < ASIDE_MAX {
                    let again = now.checked_add(RETRY_MAX).unwrap_or(now);
                    self.stuck.insert(session, again);
                }
                break;
            }
            let names: Vec<_> = parts.iter().map(|p| (p.session(), Spot::of(p))).collect();
            self.spool.forget(&names);
            count = count.saturating_add(names.len() as u64);
        }
        self.status
            .count(|c| c.parts_aside = c.parts_aside.saturating_add(count));
        (count, failed)
    }

    fn free_stuck(&mut self, now: Instant) {
        let due: Vec<SessionId> = self
            .stuck
            .iter()
            .filter(|(_, at)| **at <= now)
            .map(|(session, _)| *session)
            .collect();
        for session in due {
            self.stuck.remove(&session);
            self.put_aside(session, now);
        }
    }
}

#[cfg(test)]
mod tests;
