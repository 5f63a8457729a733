//! The keeper's thread.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{Figures, Keeper};
use crate::bell::Bell;
use crate::working::Working;

/// How long it sleeps at most when nothing is due.
const SLEEP_MAX: Duration = Duration::from_secs(10);

/// The running thread; when this is dropped it writes what waits and ends.
pub struct KeeperThread {
    stops: Arc<AtomicBool>,
    bell: Bell,
    figures: Arc<Mutex<Figures>>,
    thread: Working,
}

impl KeeperThread {
    /// Starts it.
    ///
    /// # Errors
    /// When the system has no thread.
    pub fn start(keeper: Keeper) -> io::Result<Self> {
        let stops = Arc::new(AtomicBool::new(false));
        let (bell, figures) = (keeper.live.bell().clone(), keeper.figures());
        let of_thread = Arc::clone(&stops);
        let thread = Working::start("keeper", move || run(keeper, &of_thread))?;
        Ok(Self {
            stops,
            bell,
            figures,
            thread,
        })
    }

    /// What it has done and what waits.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let figures = self.figures.lock();
        figures.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the thread lives. If not, nothing is archived any more, and everything waits in the
    /// spool: the daemon must be restarted.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.thread.is_running()
    }

    /// Works through what is in the spool, writes what waits, and ends. Whatever it leaves undone is
    /// in the spool.
    pub fn stop(&self) {
        self.stops.store(true, Ordering::Release);
        self.bell.ring();
        self.thread.wait();
    }
}

impl Drop for KeeperThread {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(mut keeper: Keeper, stops: &AtomicBool) {
    let bell = keeper.live.bell().clone();
    loop {
        let rung = bell.rung();
        let stopping = stops.load(Ordering::Acquire);
        let step = keeper.step();
        if step.is_busy {
            continue;
        }
        // Asked before the step: what was put before the stop has been worked through.
        if stopping {
            break;
        }
        let now_ns = keeper.clock.monotonic_ns();
        let due = step.due_ns.map(|due_ns| {
            // At least a moment: what is due and was not done is waiting for something else.
            Duration::from_nanos(due_ns.saturating_sub(now_ns).max(1_000_000))
        });
        bell.wait(rung, due.map_or(SLEEP_MAX, |due| due.min(SLEEP_MAX)));
    }
    keeper.finish();
}
