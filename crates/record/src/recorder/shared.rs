//! What the captures' threads and the worker's thread of one recording share, and how they wait for
//! one another.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hansard_core::{Body, OnLoss};

use crate::bulk::{Budgeted, Bulk};
use crate::clock::Clock;
use crate::intake::{CONTINUE_PATIENCE_NS, Ending, Intake, Item, Push};
use crate::lost::{Cause, Lost};
use crate::worker::{Ready, Worker};

/// Both sides' state.
pub(super) struct Shared {
    pub(super) state: Mutex<Talk>,
    /// The worker waits here.
    pub(super) work: Condvar,
    /// Captures wait here, for room or for durability.
    pub(super) done: Condvar,
    pub(super) clock: Arc<dyn Clock>,
    /// Monotonic time of the session's moment zero.
    pub(super) zero_ns: u64,
    pub(super) on_loss: OnLoss,
    pub(super) hold_ns: u64,
    pub(super) keeps_trying: bool,
    /// Budgets of the streams, where the policy has some.
    pub(super) bulk: Option<Mutex<Bulk>>,
    /// When the capture last handed something over.
    pub(super) touched_ns: AtomicU64,
}

/// What is said between them, under one lock.
pub(super) struct Talk {
    pub(super) intake: Intake,
    /// Captures that wait: nobody is notified for nothing.
    pub(super) waiting: usize,
    /// The worker's thread has ended.
    pub(super) finished: bool,
}

impl Shared {
    pub(super) fn now_ns(&self) -> u64 {
        self.clock.monotonic_ns().saturating_sub(self.zero_ns)
    }

    /// What the budgets have left out and the recording does not say yet. Asked at its end: the queue has room
    /// for that, however full it is.
    pub(super) fn last_words(&self) -> Vec<Body> {
        let mut shared = self;
        let rest = shared.with_bulk(|bulk, _| bulk.rest());
        rest.unwrap_or_default()
    }

    /// Something happened in the session.
    pub(super) fn touch(&self) {
        self.touched_ns.fetch_max(self.now_ns(), Ordering::Relaxed);
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Talk> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues an item, when there is room; `false`: it was dropped and counted.
    pub(super) fn push(&self, mut item: Item<'_>) -> Result<bool, Lost> {
        let mut talk = self.lock();
        let mut full_since_ns = None;
        loop {
            let now_ns = self.now_ns();
            item = match talk.intake.push(now_ns, item) {
                Push::Taken { wake } => {
                    drop(talk);
                    if wake {
                        self.work.notify_one();
                    }
                    return Ok(true);
                }
                Push::Dropped => return Ok(false),
                Push::Lost(lost) => return Err(lost),
                Push::Full(item) => item,
            };
            self.work.notify_one();
            let since_ns = *full_since_ns.get_or_insert(now_ns);
            let waited_ns = now_ns.saturating_sub(since_ns);
            if !talk
                .intake
                .gives_up_waiting(self.on_loss, waited_ns, self.hold_ns)
            {
                talk = self.wait_or_lose(talk, since_ns)?;
            }
        }
    }

    /// Waits for word from the worker. One that says nothing for as long as the policy holds a
    /// session back (a disk that hangs without an error) is a loss as well. One that keeps trying is
    /// none: only who waits is told.
    pub(super) fn wait_or_lose<'a>(
        &'a self,
        talk: MutexGuard<'a, Talk>,
        since_ns: u64,
    ) -> Result<MutexGuard<'a, Talk>, Lost> {
        // While the worker gets answers from the sink, it keeps count of the time itself; this is
        // for the case that it does not, so it comes a little later.
        let bound_ns = self.hold_ns.saturating_add(CONTINUE_PATIENCE_NS);
        let waited_ns = self.now_ns().saturating_sub(since_ns);
        match bound_ns.checked_sub(waited_ns).filter(|rest| *rest > 0) {
            Some(rest_ns) if self.on_loss == OnLoss::Continue => {
                Ok(self.wait(talk, rest_ns.min(CONTINUE_PATIENCE_NS)))
            }
            Some(rest_ns) => Ok(self.wait(talk, rest_ns)),
            None if self.keeps_trying => {
                let why = talk.intake.trouble.as_deref();
                let why = why.unwrap_or("the sink gives no answer");
                let ms = waited_ns / 1_000_000;
                let what = format!("{why} (for {ms} ms; it is still being tried)");
                Err(Lost::new(Cause::HeldTooLong, what))
            }
            None => {
                let mut talk = talk;
                let ms = waited_ns / 1_000_000;
                let mut lost = Lost::new(
                    Cause::HeldTooLong,
                    format!("the sink gave no answer for {ms} ms"),
                );
                lost.missing = talk.intake.produced.minus(talk.intake.recorded);
                talk.intake.lose(lost);
                Ok(talk)
            }
        }
    }

    pub(super) fn wait<'a>(
        &self,
        mut talk: MutexGuard<'a, Talk>,
        at_most_ns: u64,
    ) -> MutexGuard<'a, Talk> {
        talk.waiting = talk.waiting.saturating_add(1);
        let (mut talk, _) = self
            .done
            .wait_timeout(talk, Duration::from_nanos(at_most_ns))
            .unwrap_or_else(PoisonError::into_inner);
        talk.waiting = talk.waiting.saturating_sub(1);
        talk
    }

    pub(super) fn tell_captures(&self, talk: &Talk) {
        if talk.waiting > 0 {
            self.done.notify_all();
        }
    }
}

impl Budgeted for &Shared {
    fn with_bulk<T>(&mut self, work: impl FnOnce(&mut Bulk, u64) -> T) -> Option<T> {
        let bulk = self.bulk.as_ref()?;
        let now_ns = self.now_ns();
        let mut bulk = bulk.lock().unwrap_or_else(PoisonError::into_inner);
        Some(work(&mut bulk, now_ns))
    }

    fn push(&mut self, item: Item<'_>) -> Result<bool, Lost> {
        Shared::push(self, item)
    }
}

/// Tells the captures that wait, even when the thread ends by a panic.
struct Farewell<'a>(&'a Shared);

impl Drop for Farewell<'_> {
    fn drop(&mut self) {
        let mut talk = self.0.lock();
        talk.finished = true;
        let stopped = talk.intake.ending == Some(Ending::Stop);
        if talk.intake.summary.is_none() && !stopped {
            talk.intake
                .lose(Lost::new(Cause::Broken, "the recorder's thread ended"));
        }
        self.0.done.notify_all();
    }
}

/// The worker's thread. It is woken by who passes output on, and is not to take the processor from them for
/// that: of output that pours, a recording took 5 to 10 % longer.
pub(super) fn run(shared: &Shared, mut worker: Worker) {
    crate::sys::work_in_batches();
    let _farewell = Farewell(shared);
    let mut talk = shared.lock();
    loop {
        let now_ns = shared.now_ns();
        match worker.ready(&mut talk.intake, now_ns) {
            Ready::Sleep(None) => {
                crate::memory::give_back_stack();
                talk = shared
                    .work
                    .wait(talk)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            Ready::Sleep(Some(due_ns)) => {
                let pause = Duration::from_nanos(due_ns.saturating_sub(now_ns).max(1));
                (talk, _) = shared
                    .work
                    .wait_timeout(talk, pause)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            Ready::Work(work) => {
                // The queue is empty now: whoever waits for room has it before the disk is asked.
                shared.tell_captures(&talk);
                drop(talk);
                worker.work(&work, now_ns);
                talk = shared.lock();
                let is_done = worker.publish(&work, &mut talk.intake);
                shared.tell_captures(&talk);
                if is_done {
                    return;
                }
            }
        }
    }
}
