//! Recordings that are made ready to be played before anybody asks: a thread that hears which sessions
//! ended, waits until they are archived as a whole, and has the player keep their keyframes. Long ones
//! alone: a short one is ready as soon as it is wanted.
//!
//! What it misses (a crash, more endings than it remembers) is made ready for who plays it first. It also
//! goes through what is kept from time to time, and takes away what is of no session any more.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hansard_core::{Body, Event, SessionId};

use super::Player;
use crate::api::problem::Trouble;
use crate::keeper::{Tap, TapTrouble, Told};
use crate::standing_back::{Behind, stand_back};
use crate::working::Working;

/// Sessions that are remembered to have ended; further ones are made ready when they are wanted.
const ENDED_MAX: usize = 16_384;

/// How long an ended session is waited for to be archived.
const ARCHIVED_WITHIN: Duration = Duration::from_secs(600);

/// How often what is waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often what is kept is gone through.
const SWEEP_EVERY: Duration = Duration::from_secs(600);

/// Which sessions ended, and which were deleted.
#[derive(Debug, Default)]
pub struct Endings {
    inner: Mutex<Inner>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    ended: BTreeMap<SessionId, Instant>,
    deleted: Vec<SessionId>,
    is_stopping: bool,
}

impl Endings {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self, session: SessionId) {
        let mut inner = self.lock();
        if inner.ended.len() < ENDED_MAX {
            inner.ended.insert(session, Instant::now());
            self.wake.notify_all();
        }
    }

    fn deleted(&self, session: SessionId) {
        let mut inner = self.lock();
        // Of more, what is kept goes when all of it is gone through.
        if inner.deleted.len() < ENDED_MAX {
            inner.deleted.push(session);
            self.wake.notify_all();
        }
    }

    fn is_stopping(&self) -> bool {
        self.lock().is_stopping
    }
}

/// Hears of endings and deletions.
pub struct EndingsTap(pub Arc<Endings>);

impl Tap for EndingsTap {
    fn events(&mut self, told: &Told<'_>, events: &[Event]) -> Result<(), TapTrouble> {
        for event in events {
            match &event.body {
                Body::End(_) => self.0.ended(told.session),
                // Whoever says so falsely makes us throw away what is made again.
                Body::Admin(fact) if fact.event == "recording.deleted" => {
                    let session = fact.fields.text("recording").and_then(|id| id.parse().ok());
                    if let Some(session) = session {
                        self.0.deleted(session);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), TapTrouble> {
        Ok(())
    }
}

/// The thread.
pub struct Running {
    endings: Arc<Endings>,
    thread: Working,
}

impl Running {
    /// Ends it; what it makes just now is made when somebody wants it.
    pub fn stop(&self) {
        self.endings.lock().is_stopping = true;
        self.endings.wake.notify_all();
        self.thread.wait();
    }
}

/// Begins to make recordings ready.
///
/// # Errors
/// When the system has no thread.
pub fn start(player: Arc<Player>, endings: Arc<Endings>) -> io::Result<Running> {
    let heard = Arc::clone(&endings);
    let thread = Working::start("player", move || run(&player, &heard))?;
    Ok(Running { endings, thread })
}

fn run(player: &Player, endings: &Endings) {
    stand_back(Behind::Painters);
    let mut swept: Option<Instant> = None;
    loop {
        if swept.is_none_or(|at| at.elapsed() >= SWEEP_EVERY) {
            player.sweep(&|| endings.is_stopping());
            swept = Some(Instant::now());
        }
        let (ended, deleted) = {
            let idle = |inner: &mut Inner| inner.deleted.is_empty() && !inner.is_stopping;
            let waited = endings
                .wake
                .wait_timeout_while(endings.lock(), LOOK_EVERY, idle);
            let (mut inner, _) = waited.unwrap_or_else(PoisonError::into_inner);
            if inner.is_stopping {
                return;
            }
            inner
                .ended
                .retain(|_, since| since.elapsed() < ARCHIVED_WITHIN);
            let deleted = std::mem::take(&mut inner.deleted);
            inner.ended.retain(|session, _| !deleted.contains(session));
            (inner.ended.keys().copied().collect::<Vec<_>>(), deleted)
        };
        for session in deleted {
            player.forget(session);
        }
        for session in ended {
            match player.prepare(session, &|| endings.is_stopping()) {
                // Archived later, or others are being made ready.
                Ok(false) | Err(Trouble::Retry(_) | Trouble::Busy(_)) => {}
                Ok(true) | Err(_) => {
                    endings.lock().ended.remove(&session);
                }
            }
            if endings.is_stopping() {
                return;
            }
        }
    }
}
