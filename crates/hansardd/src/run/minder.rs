//! The thread that does what comes round: looks at capacities, turns the diary's page, gives memory back, and writes
//! into it what the main thread has to say, which must not wait for a disk itself.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hansard_core::Body;
use hansard_record::Lost;
use hansard_record::diary::Diary;

use super::facts::{Facts, Said};
use super::{Wake, fact};
use crate::capacity::{Crossing, Disk, Fullness, Watch};
use crate::journal::Journal;

/// How often capacities are looked at.
pub const LOOK_EVERY: Duration = Duration::from_secs(10);

/// How often what the allocator has free is given back to the system: sessions begin and end, and are busy and idle, and
/// the most that they ever had at once is much more than they have.
const GIVE_BACK_EVERY: Duration = Duration::from_secs(60);

/// How often the diary's day is looked at, at least.
const TURN: Duration = Duration::from_secs(1);

/// What the last look saw, for metrics.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// What is free, by disk.
    pub(super) free: Vec<(String, Disk)>,
    /// What is fuller than it should be.
    pub(super) fullness: Vec<(String, Fullness)>,
}

/// What it works with.
pub(super) struct Minder {
    pub(super) diary: Diary,
    pub(super) watch: Watch,
    pub(super) journal: Journal,
    pub(super) wake: Sender<Wake>,
    pub(super) seen: Arc<Mutex<Seen>>,
    /// The own recording had no room the last time.
    pub(super) is_held_back: bool,
}

/// The running thread.
pub(super) struct Minding {
    facts: Facts,
    thread: JoinHandle<()>,
}

impl Minder {
    /// Starts the thread, which records what it is told.
    pub(super) fn start(self, facts: Facts, told: Receiver<Said>) -> io::Result<Minding> {
        let of_thread = facts.clone();
        let thread = std::thread::Builder::new()
            .name("minder".to_owned())
            .spawn(move || self.run(&of_thread, &told))?;
        Ok(Minding { facts, thread })
    }

    fn run(mut self, facts: &Facts, told: &Receiver<Said>) {
        let mut next_look = Instant::now();
        let mut give_back_at = next_look + GIVE_BACK_EVERY;
        loop {
            if Instant::now() >= next_look {
                self.look();
                next_look = Instant::now() + LOOK_EVERY;
            }
            if Instant::now() >= give_back_at {
                hansard_record::memory::give_back();
                give_back_at = Instant::now() + GIVE_BACK_EVERY;
            }
            let goes_on = match told.recv_timeout(TURN) {
                Ok(Said::Fact(body)) => self.record(*body, facts),
                Err(RecvTimeoutError::Timeout) if facts.is_done() => return,
                Err(RecvTimeoutError::Timeout) => {
                    let outcome = self.diary.tick();
                    self.is_fine(outcome)
                }
                Ok(Said::Done) | Err(RecvTimeoutError::Disconnected) => return,
            };
            if !goes_on {
                return;
            }
        }
    }

    /// Records a fact. A disk that is full is waited for: others are told to wait meanwhile, by
    /// [`Facts::tell`], and what they do is not done unrecorded. Answers whether to go on.
    fn record(&mut self, body: Body, facts: &Facts) -> bool {
        loop {
            let outcome = self.diary.event(body.clone());
            let is_recorded = outcome.is_ok();
            if !self.is_fine(outcome) {
                return false;
            }
            if is_recorded {
                return true;
            }
            if facts.is_done() {
                self.journal.error(
                    "a fact is left out of the own recording, which has no room",
                    &[],
                );
                return false;
            }
            std::thread::sleep(TURN);
        }
    }

    /// Answers whether the own recording can still be written, now or when there is room; it says so
    /// when that changes.
    fn is_fine(&mut self, outcome: Result<(), Lost>) -> bool {
        match outcome {
            Ok(()) if self.is_held_back => {
                self.is_held_back = false;
                self.journal.notice("the own recording goes on", &[]);
            }
            Ok(()) => {}
            Err(lost) if !self.diary.is_lost() => {
                if !self.is_held_back {
                    self.journal
                        .error("the own recording is held back", &[("error", &lost)]);
                }
                self.is_held_back = true;
            }
            Err(lost) => {
                // What cannot be recorded must not go on as if it were.
                let why = format!("the daemon's own recording cannot be written: {lost}");
                self.journal.error("no own recording", &[("error", &lost)]);
                let _ = self.wake.send(Wake::Fatal(why));
                return false;
            }
        }
        true
    }

    fn look(&mut self) {
        let look = self.watch.look();
        for crossing in &look.crossings {
            self.say(crossing);
            let outcome = self.diary.event(fact::capacity(crossing));
            // What is wrong for good is found again by the next turn, which ends the thread.
            let _ = self.is_fine(outcome);
        }
        for (what, error) in &look.failures {
            let values: [(&str, &dyn std::fmt::Display); 2] = [("what", what), ("error", error)];
            self.journal
                .warning("its capacity cannot be asked", &values);
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.free = look.free;
        for crossing in look.crossings {
            match seen
                .fullness
                .iter_mut()
                .find(|(what, _)| *what == crossing.what)
            {
                Some((_, fullness)) => *fullness = crossing.now,
                None => seen.fullness.push((crossing.what, crossing.now)),
            }
        }
    }

    fn say(&self, crossing: &Crossing) {
        let percent = crossing.filling.percent();
        let values: [(&str, &dyn std::fmt::Display); 3] = [
            ("what", &crossing.what),
            ("level", &crossing.now.as_str()),
            ("used_percent", &percent),
        ];
        match (crossing.is_worse(), crossing.now) {
            (true, Fullness::Full | Fullness::Critical) => {
                self.journal.error("it fills up", &values)
            }
            (true, _) => self.journal.warning("it fills up", &values),
            (false, _) => self.journal.notice("it is less full", &values),
        }
    }
}

impl Minding {
    /// Ends the thread; what it was told before is recorded.
    pub(super) fn stop(self) {
        self.facts.done();
        let _ = self.thread.join();
    }
}
