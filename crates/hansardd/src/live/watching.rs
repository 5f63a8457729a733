//! Who follows which session, how they are woken, and the word to the recorder that somebody does.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hansard_core::SessionId;

use super::{LIVE_SESSIONS_MAX, Live};
use crate::bell::Bell;

/// Followers at the same time; one more is told to come again later.
pub const FOLLOWERS_MAX: usize = 1024;

/// Told that a session got its first follower (`true`) or lost its last (`false`), in that order.
/// It MUST NOT block, and MUST NOT call the registry.
pub type Control = Arc<dyn Fn(SessionId, bool) + Send + Sync>;

pub(super) struct Watchers {
    /// How many sessions are followed, so that nobody looks for nothing.
    followed: AtomicUsize,
    inner: Mutex<Inner>,
    control: Control,
}

#[derive(Default)]
struct Inner {
    sessions: HashMap<SessionId, Followed>,
    followers: usize,
    aside: HashMap<SessionId, String>,
}

struct Followed {
    bell: Bell,
    followers: usize,
}

impl Watchers {
    pub(super) fn new(control: Control) -> Self {
        Self {
            followed: AtomicUsize::new(0),
            inner: Mutex::default(),
            control,
        }
    }

    /// Wakes those that follow a session.
    pub(super) fn ring(&self, session: SessionId) {
        if self.followed.load(Ordering::Acquire) == 0 {
            return;
        }
        if let Some(followed) = self.lock().sessions.get(&session) {
            followed.bell.ring();
        }
    }

    pub(super) fn set_aside(&self, session: SessionId, why: &str) {
        let mut inner = self.lock();
        if inner.aside.len() < LIVE_SESSIONS_MAX {
            inner.aside.insert(session, why.to_owned());
        }
        if let Some(followed) = inner.sessions.get(&session) {
            followed.bell.ring();
        }
    }

    pub(super) fn count(&self, session: SessionId) -> usize {
        let inner = self.lock();
        inner
            .sessions
            .get(&session)
            .map_or(0, |followed| followed.followers)
    }

    fn join(&self, session: SessionId) -> Option<Bell> {
        let mut inner = self.lock();
        if inner.followers >= FOLLOWERS_MAX {
            return None;
        }
        inner.followers = inner.followers.saturating_add(1);
        let followed = inner.sessions.entry(session).or_insert_with(|| Followed {
            bell: Bell::default(),
            followers: 0,
        });
        followed.followers = followed.followers.saturating_add(1);
        let bell = followed.bell.clone();
        if followed.followers == 1 {
            self.followed.store(inner.sessions.len(), Ordering::Release);
            // Under the lock, so that a last one that goes cannot be told before.
            (self.control)(session, true);
        }
        Some(bell)
    }

    fn leave(&self, session: SessionId) {
        let mut inner = self.lock();
        inner.followers = inner.followers.saturating_sub(1);
        let Some(followed) = inner.sessions.get_mut(&session) else {
            return;
        };
        followed.followers = followed.followers.saturating_sub(1);
        if followed.followers == 0 {
            inner.sessions.remove(&session);
            self.followed.store(inner.sessions.len(), Ordering::Release);
            (self.control)(session, false);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who follows a session; no longer when it is dropped.
pub struct Watching {
    live: Live,
    session: SessionId,
    bell: Bell,
}

impl Watching {
    pub(super) fn new(live: Live, session: SessionId) -> Option<Self> {
        let bell = live.watchers().join(session)?;
        Some(Self {
            live,
            session,
            bell,
        })
    }

    /// Rung when there may be more of the session.
    #[must_use]
    pub fn bell(&self) -> &Bell {
        &self.bell
    }

    /// Why the session goes no further, if it was put aside.
    #[must_use]
    pub fn is_aside(&self) -> Option<String> {
        self.live
            .watchers()
            .lock()
            .aside
            .get(&self.session)
            .cloned()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.live.watchers().leave(self.session);
    }
}
