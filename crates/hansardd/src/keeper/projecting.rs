//! The thread that makes rows of what is archived.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hansard_core::SessionId;
use hansard_store::project::Projector;

use crate::bell::Bell;
use crate::live::Live;
use crate::working::Working;

/// Segments that are projected in one run.
const SEGMENTS_PER_RUN: usize = 256;

/// How long it sleeps at most when nobody wakes it: reindexing or another process may have added
/// segments.
const SLEEP_MAX: Duration = Duration::from_secs(10);

/// First and longest pause after a failure.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// What it has done in its life.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProjectingFigures {
    /// Segments counted.
    pub segments: u64,
    /// Rows of events written.
    pub events: u64,
    /// Segments that could not be read, and are quarantined.
    pub quarantined: u64,
    /// Why nothing is projected just now, if so.
    pub trouble: Option<String>,
}

/// Is told of whose sessions rows were made: what goes through the catalog sees them from here on. MUST
/// NOT block.
pub type OnProjected = Box<dyn Fn(SessionId) + Send>;

/// The running thread; it ends when this is dropped.
pub struct Projecting {
    shared: Arc<Shared>,
    thread: Working,
}

struct Shared {
    stops: AtomicBool,
    bell: Bell,
    live: Live,
    figures: Mutex<ProjectingFigures>,
}

impl Projecting {
    /// Starts it. `settled` is rung when segments were archived; `told` hears of whose rows were made.
    ///
    /// # Errors
    /// When the system has no thread.
    pub fn start(
        projector: Projector,
        live: Live,
        settled: Bell,
        told: OnProjected,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            stops: AtomicBool::new(false),
            bell: settled,
            live,
            figures: Mutex::default(),
        });
        let of_thread = Arc::clone(&shared);
        let thread = Working::start("projector", move || run(&of_thread, projector, &told))?;
        Ok(Self { shared, thread })
    }

    /// What it has done so far.
    #[must_use]
    pub fn figures(&self) -> ProjectingFigures {
        let figures = self.shared.figures.lock();
        figures.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the thread lives.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.thread.is_running()
    }

    /// Projects what is archived, and ends. What it does not finish still waits to be projected.
    pub fn stop(&self) {
        self.shared.stops.store(true, Ordering::Release);
        self.shared.bell.ring();
        self.thread.wait();
    }
}

impl Drop for Projecting {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(shared: &Shared, mut projector: Projector, told: &OnProjected) {
    let mut pause = PAUSE_FIRST;
    loop {
        let rung = shared.bell.rung();
        // Asked before the run: what was archived before the stop is projected.
        let stopping = shared.stops.load(Ordering::Acquire);
        let outcome = projector.run(SEGMENTS_PER_RUN);
        for (session, segment) in projector.done() {
            shared.live.projected(*session, *segment);
            told(*session);
        }
        let mut figures = shared
            .figures
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let sleep = match outcome {
            Ok(progress) => {
                figures.segments = figures.segments.saturating_add(progress.segments);
                figures.events = figures.events.saturating_add(progress.events);
                figures.quarantined = figures.quarantined.saturating_add(progress.quarantined);
                figures.trouble = None;
                pause = PAUSE_FIRST;
                progress.is_idle().then_some((rung, SLEEP_MAX))
            }
            Err(e) => {
                figures.trouble = Some(e.to_string());
                pause = pause.saturating_mul(2).min(PAUSE_MAX);
                Some((shared.bell.rung(), pause))
            }
        };
        drop(figures);
        if stopping && sleep.is_some() {
            return;
        }
        if let Some((since, at_most)) = sleep {
            shared.bell.wait(since, at_most);
        }
    }
}
