//! Of which sessions something came that is not indexed yet.

use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hansard_core::{Event, SessionId};

use crate::keeper::{Tap, TapTrouble, Told};

/// Sessions that are remembered to have news; with more, the catalog is gone through again.
pub(super) const NEWS_MAX: usize = 65_536;

/// What came.
#[derive(Debug, Default)]
pub struct News {
    inner: Mutex<Inner>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    sessions: BTreeSet<SessionId>,
    overflowed: bool,
    is_stopping: bool,
    /// Since when something is here that was not taken.
    came: Option<Instant>,
    /// When what was taken came, until it is read.
    taken: Option<Instant>,
}

/// What there is to do.
#[derive(Debug, Default)]
pub(super) struct Turn {
    pub(super) sessions: BTreeSet<SessionId>,
    /// More came than could be remembered.
    pub(super) overflowed: bool,
    pub(super) is_stopping: bool,
}

impl News {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something durable came of this session.
    pub fn came(&self, session: SessionId) {
        let mut inner = self.lock();
        inner.came.get_or_insert_with(Instant::now);
        if inner.sessions.len() >= NEWS_MAX {
            inner.overflowed = true;
            return;
        }
        if inner.sessions.insert(session) {
            self.wake.notify_one();
        }
    }

    /// It is time to stop.
    pub(super) fn stop(&self) {
        self.lock().is_stopping = true;
        self.wake.notify_all();
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.lock().is_stopping
    }

    /// What came since the last call; waits for something at most so long.
    pub(super) fn take(&self, at_most: Duration) -> Turn {
        let nothing = |inner: &mut Inner| inner.sessions.is_empty() && !inner.is_stopping;
        let waited = self.wake.wait_timeout_while(self.lock(), at_most, nothing);
        let (mut inner, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let came = inner.came.take();
        inner.taken = inner.taken.or(came);
        Turn {
            sessions: std::mem::take(&mut inner.sessions),
            overflowed: std::mem::take(&mut inner.overflowed),
            is_stopping: inner.is_stopping,
        }
    }

    /// What was taken is read, or is known to be behind.
    pub(super) fn noted(&self) {
        self.lock().taken = None;
    }

    /// For how long something has been here that was not taken, or not noted.
    pub(super) fn waits(&self) -> Option<Duration> {
        let inner = self.lock();
        // What was taken came before what is here.
        inner.taken.or(inner.came).map(|since| since.elapsed())
    }
}

/// Notes what comes.
pub struct NewsTap(pub Arc<News>);

impl NewsTap {
    /// As the keeper takes it.
    #[must_use]
    pub fn of(news: &Arc<News>) -> Box<dyn Tap> {
        Box::new(Self(Arc::clone(news)))
    }
}

impl Tap for NewsTap {
    fn events(&mut self, told: &Told<'_>, _: &[Event]) -> Result<(), TapTrouble> {
        self.0.came(told.session);
        Ok(())
    }

    fn sync(&mut self) -> Result<(), TapTrouble> {
        Ok(())
    }
}
