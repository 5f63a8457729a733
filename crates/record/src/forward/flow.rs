//! What one connection has under way: sent and not received, said by the service and not acted on.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hansard_core::SessionId;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::forward::wire::{Problem, Stored};
use crate::spool::Pending;

/// Parts that are sent and not received, whatever their size; at it, nothing is sent.
const SENT_PARTS_MAX: usize = 16 * 1024;

/// Things said by the service that wait to be acted on; at it, nothing more is heard.
const INBOX_MAX: usize = 4096;

/// The state of a connection, shared by its loops.
#[derive(Default)]
pub(super) struct Flow {
    inner: Mutex<Inner>,
    /// Something was received, or the service changed its mind.
    pub(super) eased: Notify,
    /// Something was said that is to be acted on.
    pub(super) said: Notify,
    /// All that was said has been acted on.
    pub(super) done: Notify,
}

#[derive(Default)]
struct Inner {
    is_welcome: bool,
    next_ordinal: u64,
    sent: VecDeque<(u64, usize, Pending)>,
    unreceived_bytes: u64,
    paused_until: Option<Instant>,
    inbox: Inbox,
}

/// What the service said and is still to be acted on.
#[derive(Default)]
pub(super) struct Inbox {
    /// Segments that are stored: the newest of each session.
    pub(super) stored: BTreeMap<SessionId, Stored>,
    pub(super) problems: Vec<Problem>,
}

impl Inbox {
    /// Of a session only the newest segment counts.
    pub(super) fn note(&mut self, stored: Stored) {
        let newest = self.stored.entry(stored.session).or_insert(stored);
        newest.raise(stored);
    }
}

impl Flow {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn welcome(&self) {
        self.lock().is_welcome = true;
        self.eased.notify_one();
    }

    pub(super) fn is_welcome(&self) -> bool {
        self.lock().is_welcome
    }

    /// Notes a part that is about to be sent.
    pub(super) fn sends(&self, pending: Pending, bytes: usize) {
        let mut inner = self.lock();
        inner.next_ordinal = inner.next_ordinal.saturating_add(1);
        let ordinal = inner.next_ordinal;
        inner.sent.push_back((ordinal, bytes, pending));
        inner.unreceived_bytes = inner.unreceived_bytes.saturating_add(bytes as u64);
    }

    /// Whether more may be sent.
    pub(super) fn has_room(&self, window_bytes: u64) -> bool {
        let inner = self.lock();
        inner.unreceived_bytes < window_bytes && inner.sent.len() < SENT_PARTS_MAX
    }

    /// Until when the service asked for silence.
    pub(super) fn paused_until(&self) -> Option<Instant> {
        self.lock().paused_until
    }

    pub(super) fn pause(&self, until: Instant) {
        self.lock().paused_until = Some(until);
    }

    /// The service has received everything up to this ordinal; answers the last part of it. `None`
    /// when there is no such part, `Err` when it was never sent.
    pub(super) fn received(&self, ordinal: u64) -> Result<Option<Pending>, String> {
        let mut inner = self.lock();
        if ordinal > inner.next_ordinal {
            let sent = inner.next_ordinal;
            return Err(format!(
                "the service received part {ordinal}, where {sent} were sent"
            ));
        }
        let mut last = None;
        while let Some((sent, bytes, pending)) = inner.sent.front().copied() {
            if sent > ordinal {
                break;
            }
            inner.sent.pop_front();
            inner.unreceived_bytes = inner.unreceived_bytes.saturating_sub(bytes as u64);
            last = Some(pending);
        }
        inner.paused_until = None;
        drop(inner);
        self.eased.notify_one();
        Ok(last)
    }

    /// Notes what is to be acted on. Answers whether more may be heard.
    pub(super) fn say(&self, change: impl FnOnce(&mut Inbox)) -> bool {
        let mut inner = self.lock();
        change(&mut inner.inbox);
        let is_full =
            inner.inbox.stored.len() >= INBOX_MAX || inner.inbox.problems.len() >= INBOX_MAX;
        drop(inner);
        self.said.notify_one();
        !is_full
    }

    pub(super) fn is_inbox_empty(&self) -> bool {
        let inner = self.lock();
        inner.inbox.stored.is_empty() && inner.inbox.problems.is_empty()
    }

    pub(super) fn take_inbox(&self) -> Inbox {
        std::mem::take(&mut self.lock().inbox)
    }
}
