//! The only handle a capture gets: it numbers, times, bounds and seals what the capture hands
//! over, and applies the loss policy.
//!
//! ```text
//! capture ── copy ──▶ queue ── swap ──▶ worker: writer ──▶ sink (fsync)
//!    ▲                  │full: waits
//!    └──────────────────┘
//! ```
//!
//! What a crash can take: the open frame (1 s or 64 KiB, whichever is less) and, while the sink is
//! slower than the capture, what is in the queue and in the one batch that the worker holds.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use hansard_core::event::End;
use hansard_core::seal::SigningKey;
use hansard_core::writer::Bounds;
use hansard_core::{Body, OnLoss, Session, Sink, Stream};

use crate::clock::Clock;
use crate::environment::Environment;
use crate::intake::{CONTINUE_PATIENCE_NS, ENTRY_BYTES_MAX, Ending, Intake, Item, MERGE_NS, Push};
use crate::lost::{Cause, Lost, Summary};
use crate::pump::Pump;
use crate::worker::{Ready, Worker};

/// Default of [`Options::queue_bytes`].
pub const QUEUE_BYTES: usize = 512 * 1024;

/// Default of [`Options::wake_bytes`].
pub const WAKE_BYTES: usize = 32 * 1024;

/// Smallest queue: one entry of data fits with room to spare. A smaller wish is raised to it.
pub const QUEUE_BYTES_MIN: usize = 2 * ENTRY_BYTES_MAX;

/// How long dropping a recorder waits for its tail to become durable. A sink that hangs for longer
/// is left behind with its thread.
const STOP_NS_MAX: u64 = 5_000_000_000;

/// How a recorder trades memory and loss against speed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// When frames are closed and segments sealed.
    pub bounds: Bounds,
    /// Bytes that wait for the worker at most (data and 24 to 100 bytes for each event); when they
    /// are reached, the capture is held back. There are two such queues, one of them being worked
    /// on.
    pub queue_bytes: usize,
    /// Bytes at which the worker begins before any deadline.
    pub wake_bytes: usize,
    /// Data of one stream joins the event before when it follows within this time.
    pub merge_ns: u64,
    /// Whether the recorder itself goes on trying for as long as the sink says "not now". Callers
    /// are held back and told so as the policy says, and what was handed over before stays queued:
    /// for recordings that must not end because a disk is full for a while.
    pub keeps_trying: bool,
}

impl Options {
    /// Most bytes of data that were handed over and are in no durable frame at any moment, and so
    /// what a recorder that is killed can take with it: the open frame, the queue, and the batch
    /// that is being worked on.
    #[must_use]
    pub fn loss_bytes_max(&self) -> u64 {
        let queue_bytes = self.queue_bytes.max(QUEUE_BYTES_MIN) as u64;
        let frame_bytes = self.bounds.frame_bytes as u64;
        frame_bytes.saturating_add(queue_bytes.saturating_mul(2))
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            bounds: Bounds::default(),
            queue_bytes: QUEUE_BYTES,
            wake_bytes: WAKE_BYTES,
            merge_ns: MERGE_NS,
            keeps_trying: false,
        }
    }
}

/// Records one session. Clones are handles of the same recording and may be used from several
/// threads.
///
/// When the last handle is dropped without [`Recorder::close`], what was handed over becomes
/// durable, and the recording is unfinished: it has neither `End` nor a final seal.
#[derive(Clone)]
pub struct Recorder(Arc<Handle>);

struct Handle {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    state: Mutex<Talk>,
    /// The worker waits here.
    work: Condvar,
    /// Captures wait here, for room or for durability.
    done: Condvar,
    clock: Arc<dyn Clock>,
    /// Monotonic time of the session's moment zero.
    zero_ns: u64,
    on_loss: OnLoss,
    hold_ns: u64,
    keeps_trying: bool,
}

struct Talk {
    intake: Intake,
    /// Captures that wait: nobody is notified for nothing.
    waiting: usize,
    /// The worker's thread has ended.
    finished: bool,
}

impl Recorder {
    /// Begins a recording; the session's moment zero is now. Returns when its header is durable.
    ///
    /// # Errors
    /// When it could not be made so within what the session's policy allows. With
    /// `on_loss: continue` a sink that is merely not ready is no error.
    pub fn open(
        session: Session,
        key: SigningKey,
        sink: Box<dyn Sink + Send>,
        env: &Environment,
        options: Options,
    ) -> Result<Self, Lost> {
        let zero_ns = env.clock.monotonic_ns();
        let (on_loss, hold_ms) = (session.policy.on_loss, session.policy.hold_ms_max);
        let mut pump = Pump::new(session, key, options.bounds, sink, Arc::clone(&env.clock))?;
        if options.keeps_trying {
            pump.keeps_trying();
        }
        let queue_bytes = options.queue_bytes.max(QUEUE_BYTES_MIN);
        let intake = Intake::new(queue_bytes, options.wake_bytes, options.merge_ns);
        let shared = Arc::new(Shared {
            state: Mutex::new(Talk {
                intake,
                waiting: 0,
                finished: false,
            }),
            work: Condvar::new(),
            done: Condvar::new(),
            clock: Arc::clone(&env.clock),
            zero_ns,
            on_loss,
            hold_ns: hold_ms.saturating_mul(1_000_000),
            keeps_trying: options.keeps_trying,
        });
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("recorder".to_owned())
            .spawn(move || run(&of_thread, Worker::new(pump)))
            .map_err(|e| Lost::new(Cause::Broken, format!("no thread to record with: {e}")))?;
        let recorder = Self(Arc::new(Handle {
            shared,
            thread: Mutex::new(Some(thread)),
        }));
        recorder.flush()?;
        Ok(recorder)
    }

    /// Nanoseconds since the session's moment zero.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        self.0.shared.now_ns()
    }

    /// Hands over bytes of a stream: a copy, and rarely a wake-up. Waits only when the queue is
    /// full, for as long as the policy says.
    ///
    /// # Errors
    /// When this or something before it will not be recorded: the capture must end its session.
    pub fn data(&self, stream: Stream, bytes: &[u8]) -> Result<(), Lost> {
        for piece in bytes.chunks(ENTRY_BYTES_MAX) {
            self.0.shared.push(Item::Data(stream, piece))?;
        }
        Ok(())
    }

    /// Hands over an event that happens now. A body longer than an event may be
    /// ([`hansard_core::limits::BODY_BYTES_MAX`]) becomes a `Gap` that says so.
    ///
    /// # Errors
    /// As [`Recorder::data`].
    pub fn event(&self, body: Body) -> Result<(), Lost> {
        match body {
            Body::Data { stream, bytes } => self.data(stream, &bytes),
            Body::End(end) => self.close(end).map(drop),
            body => self.0.shared.push(Item::Event(body)),
        }
    }

    /// Waits until everything handed over so far is durable (strict mode). With
    /// `on_loss: continue` it does not wait for a sink in trouble.
    ///
    /// # Errors
    /// As [`Recorder::data`].
    pub fn flush(&self) -> Result<(), Lost> {
        let shared = &*self.0.shared;
        let mut talk = shared.lock();
        let ticket = talk.intake.ticket;
        talk.intake.flush_ticket = talk.intake.flush_ticket.max(Some(ticket));
        talk.intake.worker_wakes();
        shared.work.notify_one();
        let since_ns = shared.now_ns();
        loop {
            let intake = &mut talk.intake;
            if intake.durable_ticket >= Some(ticket) {
                return Ok(());
            }
            if let Some(lost) = &intake.lost {
                return Err(lost.clone());
            }
            let waited_ns = shared.now_ns().saturating_sub(since_ns);
            if shared.on_loss == OnLoss::Continue
                && (intake.troubled || intake.abandoned || waited_ns >= CONTINUE_PATIENCE_NS)
            {
                return Ok(());
            }
            if talk.finished {
                return Err(Lost::new(Cause::Closed, "it ended before this was durable"));
            }
            talk = shared.wait_or_lose(talk, since_ns)?;
        }
    }

    /// Whether the sink says "not now", and what was handed over waits.
    #[must_use]
    pub fn is_held_back(&self) -> bool {
        self.0.shared.lock().intake.troubled
    }

    /// Whether it failed: nothing more is recorded.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        let talk = self.0.shared.lock();
        talk.intake.lost.is_some() || talk.finished
    }

    /// Says whether somebody follows the recording while it is made: frames close after 100 ms
    /// then, rather than after the bound of [`Options::bounds`].
    pub fn set_frame_ns(&self, frame_ns: u64) {
        let mut talk = self.0.shared.lock();
        talk.intake.frame_ns = Some(frame_ns);
        talk.intake.worker_wakes();
        self.0.shared.work.notify_one();
    }

    /// Ends the recording: `End`, final seal, everything durable. Nothing may follow.
    ///
    /// # Errors
    /// When part of it is not recorded, or its end is not; or when it was closed before.
    pub fn close(&self, end: End) -> Result<Summary, Lost> {
        let shared = &*self.0.shared;
        let mut talk = shared.lock();
        if talk.intake.ending.is_some() {
            return Err(Lost::new(Cause::Closed, "it was closed before"));
        }
        talk.intake.ending = Some(Ending::Close(end));
        talk.intake.worker_wakes();
        shared.work.notify_one();
        let since_ns = shared.now_ns();
        let outcome = loop {
            if let Some(summary) = talk.intake.summary {
                break Ok(summary);
            }
            if let Some(lost) = &talk.intake.lost {
                break Err(lost.clone());
            }
            talk = shared.wait_or_lose(talk, since_ns)?;
        };
        let finished = talk.finished;
        drop(talk);
        // A thread that is stuck in its sink is not waited for: the loss is known already.
        if finished || outcome.is_ok() {
            self.0.join();
        }
        outcome
    }
}

impl Handle {
    fn join(&self) {
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            // A panic in it was told to the capture as a loss by its guard.
            let _ = thread.join();
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let shared = &*self.shared;
        let mut talk = shared.lock();
        talk.intake.ending.get_or_insert(Ending::Stop);
        talk.intake.worker_wakes();
        shared.work.notify_one();
        let since_ns = shared.now_ns();
        // After a loss there is nothing left to wait for; the thread may be stuck in its sink.
        while !talk.finished {
            if talk.intake.lost.is_some() {
                return;
            }
            let waited_ns = shared.now_ns().saturating_sub(since_ns);
            let Some(rest_ns) = STOP_NS_MAX.checked_sub(waited_ns).filter(|rest| *rest > 0) else {
                return;
            };
            talk = shared.wait(talk, rest_ns);
        }
        drop(talk);
        self.join();
    }
}

impl Shared {
    fn now_ns(&self) -> u64 {
        self.clock.monotonic_ns().saturating_sub(self.zero_ns)
    }

    fn lock(&self) -> MutexGuard<'_, Talk> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, mut item: Item<'_>) -> Result<(), Lost> {
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
                    return Ok(());
                }
                Push::Dropped => return Ok(()),
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
    fn wait_or_lose<'a>(
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

    fn wait<'a>(&self, mut talk: MutexGuard<'a, Talk>, at_most_ns: u64) -> MutexGuard<'a, Talk> {
        talk.waiting = talk.waiting.saturating_add(1);
        let (mut talk, _) = self
            .done
            .wait_timeout(talk, Duration::from_nanos(at_most_ns))
            .unwrap_or_else(PoisonError::into_inner);
        talk.waiting = talk.waiting.saturating_sub(1);
        talk
    }

    fn tell_captures(&self, talk: &Talk) {
        if talk.waiting > 0 {
            self.done.notify_all();
        }
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

/// The worker's thread.
fn run(shared: &Shared, mut worker: Worker) {
    let _farewell = Farewell(shared);
    let mut talk = shared.lock();
    loop {
        let now_ns = shared.now_ns();
        match worker.ready(&mut talk.intake, now_ns) {
            Ready::Sleep(None) => {
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
