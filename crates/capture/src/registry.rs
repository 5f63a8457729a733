//! The sessions that are being recorded now.

use std::collections::HashMap;
use std::fmt;
use std::io::{PipeWriter, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hansard_core::limits::{FRAME_CUT_FOLLOWED_NS, FRAME_CUT_NS};
use hansard_core::{Lockable, Session, SessionId};
use hansard_record::Recorder;

use crate::limits::{COMMAND_BYTES_MAX, REASON_BYTES_MAX};
use crate::local::LockedBy;

mod line;
mod locked;

pub(crate) use line::Line;

/// Whoever runs a session, for those who have something to say to it. None of it may wait: threads that
/// serve everybody call this.
pub(crate) trait Runs: Send + Sync {
    /// The session is to end, for this reason and on this person's word.
    fn end(&self, reason: &str, by: &str);

    /// Its time to do so is over: its recording ends with what there is.
    fn give_up(&self);
}

/// A session that is being recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningSession {
    /// Its id.
    pub session: SessionId,
    /// What kind of session.
    pub kind: String,
    /// The user's number, from the system.
    pub uid: u32,
    /// The user's name.
    pub user: String,
    /// The process that handed it over, where the system said.
    pub pid: Option<i32>,
    /// What is run, as that process says; may be cut.
    pub command: String,
    /// UTC time of its moment zero, nanoseconds since 1970.
    pub start_utc_ns: u64,
    /// Whether somebody has ended it, and its program is being waited for.
    pub is_ending: bool,
}

/// How the reason begins that a session gives which the policy ended because nothing happened.
pub const IDLE: &str = "nothing happened for";

/// No such session is being recorded here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotRunning;

impl fmt::Display for NotRunning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such session is being recorded on this machine")
    }
}

impl std::error::Error for NotRunning {}

/// The sessions. Clones are the same registry. As many as there may be connections.
#[derive(Clone)]
pub struct Registry(Arc<Shared>);

struct Shared {
    running: Mutex<HashMap<SessionId, Running>>,
    /// Wakes the thread that watches the deadlines.
    wake: Mutex<PipeWriter>,
    locks: Option<LockedBy>,
    end_wait: Duration,
}

struct Running {
    about: RunningSession,
    /// What locks are held against.
    who: Lockable,
    recorder: Recorder,
    line: Arc<dyn Runs>,
    ended: Option<Ended>,
    deadline: Option<Instant>,
    /// How long nothing may happen in it; the policy ends it then.
    idle_max: Option<Duration>,
    /// It outlives the daemon.
    stays: bool,
}

impl Running {
    fn ends_with_daemon(&self) -> bool {
        !self.stays || self.ended.is_some()
    }
}

/// Who ended a session, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    reason: String,
    by: String,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.by.as_str() {
            "" => f.write_str(&self.reason),
            by => write!(f, "ended by {by}: {}", self.reason),
        }
    }
}

impl Registry {
    pub(crate) fn new(wake: PipeWriter, end_wait: Duration, locks: Option<LockedBy>) -> Self {
        Self(Arc::new(Shared {
            running: Mutex::new(HashMap::new()),
            wake: Mutex::new(wake),
            locks,
            end_wait,
        }))
    }

    /// What is being recorded now, the oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<RunningSession> {
        let running = self.lock();
        let mut all: Vec<_> = running.values().map(|r| r.about.clone()).collect();
        all.sort_by_key(|about| about.session);
        all
    }

    /// Ends a session: its program is told to end it, and the recording's `End` says who did and
    /// why. Answers at once. A program that has not closed within the bound
    /// ([`crate::local::Config::end_wait`]) is not waited for, and its recording ends without it.
    ///
    /// # Errors
    /// [`NotRunning`].
    pub fn end(&self, session: SessionId, reason: &str, by: &str) -> Result<(), NotRunning> {
        let ended = Ended {
            reason: cut(reason, REASON_BYTES_MAX),
            by: cut(by, REASON_BYTES_MAX),
        };
        let line = self.mark(session, &ended, self.0.end_wait)?;
        self.wake();
        line.end(&ended.reason, &ended.by);
        Ok(())
    }

    /// Says whether somebody follows a session: its frames are closed more often then.
    ///
    /// # Errors
    /// [`NotRunning`].
    pub fn set_followed(&self, session: SessionId, on: bool) -> Result<(), NotRunning> {
        let recorder = match self.lock().get(&session) {
            Some(running) => running.recorder.clone(),
            None => return Err(NotRunning),
        };
        recorder.set_frame_ns(if on {
            FRAME_CUT_FOLLOWED_NS
        } else {
            FRAME_CUT_NS
        });
        Ok(())
    }

    /// The host of a session has these names and addresses besides those in its header: locks on them are about it
    /// from now on.
    pub(crate) fn is_also(&self, session: SessionId, hosts: &[String]) {
        if let Some(running) = self.lock().get_mut(&session) {
            let known = &mut running.who.hosts;
            let new = hosts.iter().filter(|host| !known.contains(host));
            let new: Vec<String> = new.cloned().collect();
            known.extend(new);
        }
    }

    /// A session outlives the daemon: [`Registry::end_all`] leaves it out, unless somebody has ended it.
    pub(crate) fn stays(&self, session: SessionId) {
        if let Some(running) = self.lock().get_mut(&session) {
            running.stays = true;
        }
    }

    /// Ends all, because the daemon stops.
    pub(crate) fn end_all(&self, reason: &str, wait: Duration) {
        let running = self.lock();
        let ends = running
            .iter()
            .filter(|(_, running)| running.ends_with_daemon());
        let all: Vec<SessionId> = ends.map(|(session, _)| *session).collect();
        drop(running);
        let ended = Ended {
            reason: reason.to_owned(),
            by: String::new(),
        };
        for session in all {
            if let Ok(line) = self.mark(session, &ended, wait) {
                line.end(&ended.reason, &ended.by);
            }
        }
    }

    fn mark(
        &self,
        session: SessionId,
        ended: &Ended,
        wait: Duration,
    ) -> Result<Arc<dyn Runs>, NotRunning> {
        let mut running = self.lock();
        let running = running.get_mut(&session).ok_or(NotRunning)?;
        // The first reason stays, and the earliest deadline.
        running.ended.get_or_insert_with(|| ended.clone());
        running.about.is_ending = true;
        let deadline = Instant::now() + wait;
        let earlier = running.deadline.is_none_or(|at| deadline < at);
        if earlier {
            running.deadline = Some(deadline);
        }
        Ok(Arc::clone(&running.line))
    }

    /// Ends those in which nothing happened for too long, and stops reading from those whose time
    /// is over; answers when the next one's is.
    pub(crate) fn enforce(&self, now: Instant) -> Option<Instant> {
        let idle = self.end_idle(now);
        let mut late = Vec::new();
        let mut next: Option<Instant> = None;
        for running in self.lock().values_mut() {
            match running.deadline {
                Some(at) if at <= now => {
                    running.deadline = None;
                    late.push(Arc::clone(&running.line));
                }
                Some(at) => next = Some(next.map_or(at, |next| next.min(at))),
                None => {}
            }
        }
        late.iter().for_each(|line| line.give_up());
        [idle, next].into_iter().flatten().min()
    }

    /// Ends those in which nothing happened for as long as their policy allows; answers when the
    /// next one's time may be over.
    fn end_idle(&self, now: Instant) -> Option<Instant> {
        let (mut over, mut next) = (Vec::new(), None::<Instant>);
        for (session, running) in &*self.lock() {
            let Some(idle_max) = running.idle_max.filter(|_| running.ended.is_none()) else {
                continue;
            };
            let idle = Duration::from_nanos(running.recorder.idle_ns());
            match idle_max.checked_sub(idle).filter(|rest| !rest.is_zero()) {
                Some(rest) => {
                    let at = now + rest;
                    next = Some(next.map_or(at, |next| next.min(at)));
                }
                None => over.push((*session, idle_max)),
            }
        }
        for (session, idle_max) in over {
            let reason = format!("{IDLE} {} s", idle_max.as_secs_f64());
            // One that has ended meanwhile needs nothing any more.
            let _ = self.end(session, &reason, "");
        }
        next
    }

    pub(crate) fn begin(
        &self,
        header: &Session,
        (uid, pid): (u32, Option<i32>),
        recorder: Recorder,
        line: Arc<dyn Runs>,
    ) {
        let about = RunningSession {
            session: header.id,
            kind: header.kind.clone(),
            uid,
            user: header.subject.text("user").unwrap_or_default().to_owned(),
            pid,
            command: cut(
                header.target.text("command").unwrap_or_default(),
                COMMAND_BYTES_MAX,
            ),
            start_utc_ns: header.start_utc_ns,
            is_ending: false,
        };
        let running = Running {
            about,
            who: Lockable::of(header),
            recorder,
            line,
            ended: None,
            deadline: None,
            idle_max: idle_max(header),
            stays: false,
        };
        let has_limit = running.idle_max.is_some();
        self.lock().insert(header.id, running);
        if has_limit {
            self.wake();
        }
        // Somebody may have been locked between being let in and standing here: whoever made that lock has
        // not seen this session, or sees it now.
        self.end_locked(Some(header.id));
    }

    /// Takes a session off the list for the next daemon to go on with, and answers so; not one that somebody has ended.
    /// Whoever wants to end it from now on hears that it is not here.
    pub(crate) fn leave(&self, session: SessionId) -> bool {
        let mut running = self.lock();
        let may = running
            .get(&session)
            .is_some_and(|running| running.ended.is_none());
        if may {
            running.remove(&session);
        }
        may
    }

    /// Takes a session off the list; answers who ended it, if somebody did.
    pub(crate) fn finish(&self, session: SessionId) -> Option<Ended> {
        self.lock().remove(&session)?.ended
    }

    pub(crate) fn wake(&self) {
        let mut wake = self.0.wake.lock().unwrap_or_else(PoisonError::into_inner);
        // A full pipe has woken it already, and one without a reader wakes nobody.
        let _ = wake.write(&[0]);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Running>> {
        self.0
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long nothing may happen in a session.
fn idle_max(header: &Session) -> Option<Duration> {
    let idle_ms_max = header.policy.idle_ms_max;
    (idle_ms_max > 0).then(|| Duration::from_millis(idle_ms_max))
}

/// At most so many bytes of a text, in whole characters.
pub(crate) fn cut(text: &str, bytes_max: usize) -> String {
    let whole = (0..=bytes_max).rev().find_map(|end| text.get(..end));
    match text.len() <= bytes_max {
        true => text.to_owned(),
        false => whole.unwrap_or_default().to_owned(),
    }
}
