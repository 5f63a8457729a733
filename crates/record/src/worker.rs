//! What the recorder's thread does, as steps that a simulation can take just as well: look at the
//! queue (under its lock), work (without it), say what came of it (under it again).

use crate::intake::{Batch, Ending, Intake};
use crate::lost::Lost;
use crate::pump::Pump;

/// What there is to do now.
#[derive(Debug)]
pub(crate) enum Ready {
    /// Call [`Worker::work`] without the lock, then [`Worker::publish`] with it.
    Work(Work),
    /// Nothing before this time, or before somebody wakes the worker.
    Sleep(Option<u64>),
}

/// One round of work.
#[derive(Debug)]
pub(crate) struct Work {
    /// The batch was taken from the queue and must be written.
    took: bool,
    /// Somebody waits until everything so far is durable.
    flush: bool,
    ending: Option<Ending>,
}

pub(crate) struct Worker {
    pump: Pump,
    batch: Batch,
    /// The last ticket in what was taken.
    taken_ticket: u64,
}

impl Worker {
    pub(crate) fn new(pump: Pump) -> Self {
        Self {
            pump,
            batch: Batch::default(),
            taken_ticket: 0,
        }
    }

    /// Decides whether there is something to do, and takes the queue if it is its turn.
    pub(crate) fn ready(&mut self, intake: &mut Intake, now_ns: u64) -> Ready {
        if let Some(Ending::Close(_)) = intake.ending {
            self.pump.begins_to_close(now_ns);
        }
        if let Some(frame_ns) = intake.frame_ns.take() {
            self.pump.set_frame_ns(frame_ns);
        }
        if self.pump.is_abandoned() && intake.ending.is_none() {
            intake.worker_is_deaf();
            return Ready::Sleep(None);
        }
        if !self.pump.is_open() {
            return self.ready_in_trouble(intake, now_ns);
        }
        let entry_due = intake
            .oldest_ns()
            .map(|at_ns| at_ns.saturating_add(self.pump.frame_ns()));
        let due_ns = entry_due.into_iter().chain(self.pump.due_ns()).min();
        let flush = intake.flush_is_due();
        let is_due = due_ns.is_some_and(|due_ns| due_ns <= now_ns);
        if !(intake.is_worthwhile() || flush || is_due || intake.ending.is_some()) {
            intake.worker_sleeps(due_ns, self.pump.frame_ns());
            if self.pump.is_level() {
                // Of many sessions most do nothing: what the last one that did has grown is given back.
                self.batch = Batch::default();
                intake.rests();
            }
            return Ready::Sleep(due_ns);
        }
        let late_ns = entry_due.into_iter().chain(self.pump.late_ns()).min();
        intake.take(&mut self.batch, late_ns);
        self.taken_ticket = intake.ticket;
        Ready::Work(Work {
            took: true,
            flush,
            ending: intake.ending.clone(),
        })
    }

    /// Older parts wait for the sink: the queue fills up meanwhile and holds the capture back.
    fn ready_in_trouble(&mut self, intake: &mut Intake, now_ns: u64) -> Ready {
        let ending = intake.ending.clone();
        let stops = ending == Some(Ending::Stop);
        match self.pump.due_ns() {
            Some(due_ns) if due_ns > now_ns && !stops && !self.pump.is_abandoned() => {
                intake.worker_is_deaf();
                Ready::Sleep(Some(due_ns))
            }
            _ => {
                intake.worker_wakes();
                let ending = if self.pump.is_troubled() && !stops {
                    None
                } else {
                    ending
                };
                Ready::Work(Work {
                    took: false,
                    flush: false,
                    ending,
                })
            }
        }
    }

    /// Does it. May take as long as the sink does.
    pub(crate) fn work(&mut self, work: &Work, now_ns: u64) {
        if work.took {
            self.pump.feed(&self.batch, now_ns);
            self.batch.clear();
        }
        match &work.ending {
            Some(Ending::Close(end)) => self.pump.finish(now_ns, end),
            Some(Ending::Stop) => self.pump.cut(),
            None if work.flush => self.pump.cut(),
            None => {}
        }
        self.pump.drive(now_ns);
    }

    /// Says what came of it. Answers whether the worker is done for ever.
    pub(crate) fn publish(&mut self, work: &Work, intake: &mut Intake) -> bool {
        intake.troubled = self.pump.is_troubled();
        intake.trouble = self.pump.trouble().map(str::to_owned);
        intake.abandoned = self.pump.is_abandoned();
        if self.pump.is_level() && !intake.abandoned {
            intake.durable_ticket = Some(self.taken_ticket);
        }
        intake.is_late(self.pump.late_ns());
        let summary = self.pump.summary(intake.produced);
        intake.recorded = summary.recorded;
        if let Some(lost) = self.pump.lost() {
            intake.lose(Lost {
                missing: summary.missing,
                ..lost.clone()
            });
            return true;
        }
        if self.pump.is_complete() {
            intake.summary = Some(summary);
            return true;
        }
        work.ending == Some(Ending::Stop)
    }
}
