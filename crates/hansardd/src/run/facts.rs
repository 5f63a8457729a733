//! What the daemon has to say about itself, on its way into its own recording.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use hansard_core::Body;

/// Most facts that wait to be written into the diary; who has one more to tell, waits, and who only
/// mentions one leaves it out, which is counted.
pub const FACTS_WAITING_MAX: usize = 1024;

/// How long the main loop waits for room.
const SOON: Duration = Duration::from_secs(1);

/// How often it looks for some.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// What the thread that writes the diary is handed.
pub(super) enum Said {
    /// Something to be recorded.
    Fact(Box<Body>),
    /// Nothing more comes.
    Done,
}

/// Where facts are handed over. Clones hand over to the same thread.
#[derive(Clone)]
pub(super) struct Facts {
    to: SyncSender<Said>,
    left_out: Arc<AtomicU64>,
    is_done: Arc<AtomicBool>,
}

/// Both ends.
pub(super) fn facts() -> (Facts, Receiver<Said>) {
    let (to, told) = sync_channel(FACTS_WAITING_MAX);
    let (left_out, is_done) = (Arc::default(), Arc::default());
    let facts = Facts {
        to,
        left_out,
        is_done,
    };
    (facts, told)
}

impl Facts {
    /// Hands a fact over to be recorded; waits while too many wait. With an error nobody writes any
    /// more, and the daemon is ending.
    pub(super) fn tell(&self, body: Body) -> io::Result<()> {
        let said = Said::Fact(Box::new(body));
        self.to
            .send(said)
            .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }

    /// The same for the main loop, which must go on: waits [`SOON`] at most, while too many wait. One
    /// that finds no room until then is left out and counted.
    pub(super) fn tell_soon(&self, body: Body) {
        let until = Instant::now() + SOON;
        let mut said = Said::Fact(Box::new(body));
        while let Err(TrySendError::Full(again)) = self.to.try_send(said) {
            if Instant::now() >= until {
                self.left_out.fetch_add(1, Ordering::Relaxed);
                return;
            }
            said = again;
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// The same for those who must not wait: what works through the spool, without which there may
    /// be no room to write the fact. One that finds no room is left out and counted; what it is
    /// about is kept elsewhere (parts in quarantine, files, the log).
    pub(super) fn mention(&self, body: Body) {
        if let Err(TrySendError::Full(_)) = self.to.try_send(Said::Fact(Box::new(body))) {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Nothing more comes: what was handed over before is recorded, if that is possible now, and the
    /// thread ends. Does not wait for room: a disk that is full must not keep the daemon from ending.
    pub(super) fn done(&self) {
        self.is_done.store(true, Ordering::Release);
        let _ = self.to.try_send(Said::Done);
    }

    /// Whether that was said.
    pub(super) fn is_done(&self) -> bool {
        self.is_done.load(Ordering::Acquire)
    }

    /// How many were left out.
    pub(super) fn left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }
}
