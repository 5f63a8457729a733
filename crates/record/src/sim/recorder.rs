//! A recorder without a thread: the same queue, steps and policy, driven by simulated time.

use std::sync::Arc;

use hansard_core::event::End;
use hansard_core::seal::SigningKey;
use hansard_core::{Body, OnLoss, Session, Sink, Stream};

use crate::bulk::{Budgeted, Bulk};
use crate::clock::Clock;
use crate::intake::{Ending, Intake, Item, Push};
use crate::lost::{Cause, Count, Lost, Summary};
use crate::pump::Pump;
use crate::recorder::Options;
use crate::sim::SimClock;
use crate::worker::{Ready, Worker};

/// How far time is moved when nobody says what is waited for.
const STEP_NS: u64 = 1_000_000;

/// Like [`crate::Recorder`], but time passes only in [`SimRecorder::advance`] and where a capture
/// would have waited.
pub struct SimRecorder {
    intake: Intake,
    worker: Worker,
    clock: SimClock,
    zero_ns: u64,
    on_loss: OnLoss,
    hold_ns: u64,
    bulk: Option<Bulk>,
    finished: bool,
}

impl Budgeted for SimRecorder {
    fn with_bulk<T>(&mut self, work: impl FnOnce(&mut Bulk, u64) -> T) -> Option<T> {
        let now_ns = self.now_ns();
        self.bulk.as_mut().map(|bulk| work(bulk, now_ns))
    }

    fn push(&mut self, item: Item<'_>) -> Result<bool, Lost> {
        self.queue(item)
    }
}

impl SimRecorder {
    /// See [`crate::Recorder::open`].
    ///
    /// # Errors
    /// As there.
    pub fn open(
        session: Session,
        key: SigningKey,
        sink: Box<dyn Sink + Send>,
        clock: &SimClock,
        options: Options,
    ) -> Result<Self, Lost> {
        let (on_loss, hold_ms) = (session.policy.on_loss, session.policy.hold_ms_max);
        let bulk = Bulk::of(&session);
        let mut pump = Pump::new(session, key, options.bounds, sink, Arc::new(clock.clone()))?;
        pump.groups(options.group);
        let mut recorder = Self {
            intake: Intake::new(options.queue_bytes, options.wake_bytes, options.merge_ns),
            worker: Worker::new(pump),
            clock: clock.clone(),
            zero_ns: clock.monotonic_ns(),
            on_loss,
            hold_ns: hold_ms.saturating_mul(1_000_000),
            bulk,
            finished: false,
        };
        recorder.flush()?;
        Ok(recorder)
    }

    /// Nanoseconds since the session's moment zero.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        self.clock.monotonic_ns().saturating_sub(self.zero_ns)
    }

    /// See [`crate::Recorder::data`].
    ///
    /// # Errors
    /// As there.
    pub fn data(&mut self, stream: Stream, bytes: &[u8]) -> Result<(), Lost> {
        self.hand_over(stream, bytes)
    }

    /// See [`crate::Recorder::event`].
    ///
    /// # Errors
    /// As there.
    pub fn event(&mut self, body: Body) -> Result<(), Lost> {
        self.push(Item::Event(body)).map(drop)
    }

    fn queue(&mut self, mut item: Item<'_>) -> Result<bool, Lost> {
        let since_ns = self.now_ns();
        loop {
            let now_ns = self.now_ns();
            item = match self.intake.push(now_ns, item) {
                Push::Taken { wake } => {
                    if wake {
                        self.run();
                    }
                    return Ok(true);
                }
                Push::Dropped => return Ok(false),
                Push::Lost(lost) => return Err(lost),
                Push::Full(item) => item,
            };
            let waited_ns = now_ns.saturating_sub(since_ns);
            if !self
                .intake
                .gives_up_waiting(self.on_loss, waited_ns, self.hold_ns)
            {
                self.wait();
            }
        }
    }

    /// See [`crate::Recorder::flush`].
    ///
    /// # Errors
    /// As there.
    pub fn flush(&mut self) -> Result<(), Lost> {
        let ticket = self.intake.ticket;
        self.intake.flush_ticket = self.intake.flush_ticket.max(Some(ticket));
        loop {
            self.wait();
            if self.intake.durable_ticket >= Some(ticket) {
                return Ok(());
            }
            if let Some(lost) = &self.intake.lost {
                return Err(lost.clone());
            }
            if self.on_loss == OnLoss::Continue && (self.intake.troubled || self.intake.abandoned) {
                return Ok(());
            }
        }
    }

    /// See [`crate::Recorder::close`].
    ///
    /// # Errors
    /// As there.
    pub fn close(&mut self, end: End) -> Result<Summary, Lost> {
        if self.intake.ending.is_some() {
            return Err(Lost::new(Cause::Closed, "it was closed before"));
        }
        let last = self.with_bulk(|bulk, _| bulk.rest());
        self.intake.say_last(last.unwrap_or_default());
        self.intake.ending = Some(Ending::Close(end));
        loop {
            self.wait();
            if let Some(summary) = self.intake.summary {
                return Ok(summary);
            }
            if let Some(lost) = &self.intake.lost {
                return Err(lost.clone());
            }
        }
    }

    /// What dropping the last handle does.
    pub fn stop(mut self) {
        self.intake.ending.get_or_insert(Ending::Stop);
        self.run();
    }

    /// Lets time pass, and the worker do what is due meanwhile.
    pub fn advance(&mut self, ns: u64) {
        let until_ns = self.now_ns().saturating_add(ns);
        loop {
            let due_ns = self.run().filter(|due_ns| *due_ns < until_ns);
            let next_ns = due_ns.unwrap_or(until_ns);
            self.clock.advance(next_ns.saturating_sub(self.now_ns()));
            if due_ns.is_none() {
                return;
            }
        }
    }

    /// All that was handed over, and what of it is durable at least.
    #[must_use]
    pub fn produced_and_recorded(&self) -> (Count, Count) {
        (self.intake.produced, self.intake.recorded)
    }

    /// Why it ended, if it did by a loss.
    #[must_use]
    pub fn lost(&self) -> Option<&Lost> {
        self.intake.lost.as_ref()
    }

    /// Runs the worker, and if there is nothing for it to do, lets time pass until there is.
    fn wait(&mut self) {
        let due_ns = self.run();
        let now_ns = self.now_ns();
        if self.finished || !self.intake.is_quiet() {
            return;
        }
        let rest_ns = due_ns.map_or(STEP_NS, |due_ns| due_ns.saturating_sub(now_ns));
        self.clock.advance(rest_ns.max(1));
    }

    /// Everything there is to do now; answers when there is more.
    fn run(&mut self) -> Option<u64> {
        while !self.finished {
            let now_ns = self.now_ns();
            match self.worker.ready(&mut self.intake, now_ns) {
                Ready::Sleep(due_ns) => return due_ns,
                Ready::Work(work) => {
                    self.worker.work(&work, now_ns);
                    self.finished = self.worker.publish(&work, &mut self.intake);
                }
            }
        }
        None
    }
}
