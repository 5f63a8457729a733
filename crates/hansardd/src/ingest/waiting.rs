//! What waits to be said to one host. Bounded by coalescing: of what is stored, only the newest
//! segment of a session counts, and of problems only the first.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::AtomicUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use hansard_core::SessionId;
use hansard_identity::Peer;
use hansard_record::forward::wire::{Down, InForce, Problem, Stored};
use tokio::sync::Notify;

use crate::ingest::limits::CONTROLS_MAX;

/// One connection, as others see it.
pub(super) struct Line {
    pub(super) number: u64,
    pub(super) peer: Peer,
    pub(super) remote: SocketAddr,
    pub(super) since: Instant,
    /// Sessions that the host says are being recorded.
    pub(super) live: AtomicUsize,
    /// Which policy decides there, as the host said; `None` of one that takes none.
    pub(super) in_force: Mutex<Option<InForce>>,
    waiting: Mutex<Waiting>,
    /// Something waits.
    pub(super) wake: Notify,
}

/// What waits.
#[derive(Default)]
pub(super) struct Waiting {
    /// The newest segment that is stored, of sessions of this connection.
    pub(super) stored: HashMap<SessionId, Stored>,
    pub(super) problems: HashMap<SessionId, Problem>,
    pub(super) controls: VecDeque<Down>,
    /// The policy has to be sent: the newest there is when it is.
    pub(super) policy: bool,
    /// The connection is to end, and why.
    pub(super) cut: Option<String>,
}

impl Line {
    pub(super) fn new(number: u64, peer: Peer, remote: SocketAddr) -> Self {
        Self {
            number,
            peer,
            remote,
            since: Instant::now(),
            live: AtomicUsize::new(0),
            in_force: Mutex::default(),
            waiting: Mutex::default(),
            wake: Notify::new(),
        }
    }

    pub(super) fn said_in_force(&self) -> Option<InForce> {
        let said = self.in_force.lock();
        said.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that waits; it does so no longer.
    pub(super) fn take(&self) -> Waiting {
        std::mem::take(&mut self.waiting())
    }

    pub(super) fn stored(&self, stored: Stored) {
        let mut waiting = self.waiting();
        let newest = waiting.stored.entry(stored.session).or_insert(stored);
        newest.raise(stored);
        drop(waiting);
        self.wake.notify_one();
    }

    pub(super) fn problem(&self, problem: Problem) {
        let mut waiting = self.waiting();
        waiting.problems.entry(problem.session).or_insert(problem);
        drop(waiting);
        self.wake.notify_one();
    }

    /// Whether there was room for it.
    pub(super) fn control(&self, control: Down) -> bool {
        let mut waiting = self.waiting();
        if waiting.controls.len() >= CONTROLS_MAX {
            return false;
        }
        waiting.controls.push_back(control);
        drop(waiting);
        self.wake.notify_one();
        true
    }

    /// The policy has to be sent, if the host takes any and has another one.
    pub(super) fn offer_policy(&self, sha256: &[u8; 32]) {
        let said = self.in_force.lock().unwrap_or_else(PoisonError::into_inner);
        let differs = said.as_ref().is_some_and(|said| said.sha256 != *sha256);
        drop(said);
        if differs {
            self.waiting().policy = true;
            self.wake.notify_one();
        }
    }

    pub(super) fn cut(&self, why: &str) {
        self.waiting().cut.get_or_insert_with(|| why.to_owned());
        self.wake.notify_one();
    }
}
