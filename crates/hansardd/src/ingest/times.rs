//! When something happened on a stream last, and when something is due.

use tokio::time::Instant;

use crate::ingest::limits::{BUSY_EVERY, LARGE_MESSAGE_MAX, LOOK_EVERY, SILENCE_MAX};

/// The moments.
pub(super) struct Times {
    /// The host said something.
    pub(super) heard: Instant,
    /// The host was told that it is not read from.
    pub(super) busy: Instant,
    /// It was looked what is stored.
    pub(super) look: Instant,
    /// Since when it has not been read from.
    pub(super) unread: Option<Instant>,
    /// Since when a long message has been coming in.
    pub(super) large: Option<Instant>,
}

impl Times {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self {
            heard: now,
            busy: now,
            look: now,
            unread: None,
            large: None,
        }
    }

    /// Notes whether the host is read from now, and whether a long message is coming in.
    pub(super) fn note(&mut self, may_read: bool, is_large: bool) {
        let now = Instant::now();
        self.unread = match may_read {
            true => None,
            false => self.unread.or(Some(now)),
        };
        self.large = match is_large {
            true => self.large.or(Some(now)),
            false => None,
        };
    }

    /// When something is due.
    pub(super) fn next(&self) -> Instant {
        let mut next = self.look + LOOK_EVERY;
        if let Some(unread) = self.unread {
            next = next.min(self.busy.max(unread) + BUSY_EVERY);
        } else {
            next = next.min(self.heard + SILENCE_MAX);
        }
        if let Some(large) = self.large {
            next = next.min(large + LARGE_MESSAGE_MAX);
        }
        next
    }
}
