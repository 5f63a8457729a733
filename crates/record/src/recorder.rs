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
//! slower than the capture, what is in the queue and in the one batch that the worker holds: at most
//! [`Options::loss_bytes_max`], and where that is more than usual, of the last second.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use hansard_core::event::End;
use hansard_core::seal::SigningKey;
use hansard_core::writer::Bounds;
use hansard_core::{Body, OnLoss, Session, Sink, Stream};

use crate::bulk::{Budgeted as _, Bulk, untold_bytes_max};
use crate::environment::Environment;
use crate::intake::{CONTINUE_PATIENCE_NS, ENTRY_BYTES_MAX, Ending, Intake, Item, MERGE_NS};
use crate::lost::{Cause, Lost, Summary};
use crate::pump::Pump;
use crate::revive::GoesOn;
use crate::worker::Worker;

mod shared;

use shared::{Shared, Talk, run};

/// Default of [`Options::queue_bytes`].
pub const QUEUE_BYTES: usize = 512 * 1024;

/// Default of [`Options::wake_bytes`].
pub const WAKE_BYTES: usize = 64 * 1024;

/// Smallest queue: one entry of data fits with room to spare. A smaller wish is raised to it.
pub const QUEUE_BYTES_MIN: usize = 2 * ENTRY_BYTES_MAX;

/// How long dropping a recorder waits for its tail to become durable. A sink that hangs for longer
/// is left behind with its thread.
const STOP_NS_MAX: u64 = 5_000_000_000;

/// How long frames that closed because they were full wait for others, to share one write and one
/// fsync with them. A frame that was closed by its age, or because somebody asked, waits for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    /// Nanoseconds after the first of them, at most.
    pub ns: u64,
    /// Raw bytes at which nothing waits any longer; 0: nothing ever waits.
    pub bytes: u64,
}

impl Default for Group {
    /// 20 ms and 1 MiB: where output pours, fifty fsyncs a second rather than a thousand, and at
    /// most that much more for a crash to take.
    fn default() -> Self {
        Self {
            ns: 20_000_000,
            bytes: 1024 * 1024,
        }
    }
}

/// How a recorder trades memory and loss against speed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// When frames are closed and segments sealed.
    pub bounds: Bounds,
    /// How long closed frames wait for others.
    pub group: Group,
    /// Bytes that wait for the worker at most (data and 24 to 100 bytes for each event); when they
    /// are reached, the capture is held back. There are two such queues, one of them being worked
    /// on. Beyond [`QUEUE_BYTES`] only while nothing waits for longer than a frame stays open: a
    /// disk that does not keep up holds the capture back as with the default.
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
    /// what a recorder that is killed can take with it: the open frame, closed frames that wait for
    /// others, the queue, and the batch that is being worked on; and what the session's budgets leave
    /// out and the recording does not say yet ([`crate::bulk`]). `None`: nobody knows. A session that goes on
    /// while nothing can be stored has what that drops counted in memory alone.
    #[must_use]
    pub fn loss_bytes_max(&self, session: &Session) -> Option<u64> {
        if session.policy.on_loss == OnLoss::Continue {
            return None;
        }
        let queue_bytes = self.queue_bytes.max(QUEUE_BYTES_MIN) as u64;
        let frame_bytes = self.bounds.frame_bytes as u64;
        let all = frame_bytes
            .saturating_add(self.group.bytes)
            .saturating_add(queue_bytes.saturating_mul(2))
            .saturating_add(untold_bytes_max(session));
        Some(all)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            bounds: Bounds::default(),
            group: Group::default(),
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
        let about = session.clone();
        let pump = Pump::new(session, key, options.bounds, sink, Arc::clone(&env.clock))?;
        Self::with(pump, &about, env.clock.monotonic_ns(), env, options)
    }

    /// Goes on with the recording of this session, whose moment zero was then, by the same clock
    /// ([`Recorder::zero_ns`]). What its last recorder left open is sealed. Budgets of streams begin
    /// anew.
    ///
    /// # Errors
    /// As [`Recorder::open`].
    pub fn go_on(
        session: &Session,
        goes_on: GoesOn,
        zero_ns: u64,
        sink: Box<dyn Sink + Send>,
        env: &Environment,
        options: Options,
    ) -> Result<Self, Lost> {
        let clock = Arc::clone(&env.clock);
        let frame_ns = Bounds::default().frame_ns;
        let pump = Pump::after(goes_on.writer, session, frame_ns, sink, clock);
        Self::with(pump, session, zero_ns, env, options)
    }

    fn with(
        mut pump: Pump,
        session: &Session,
        zero_ns: u64,
        env: &Environment,
        options: Options,
    ) -> Result<Self, Lost> {
        let (on_loss, hold_ms) = (session.policy.on_loss, session.policy.hold_ms_max);
        let bulk = Bulk::of(session).map(Mutex::new);
        pump.groups(options.group);
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
            bulk,
            touched_ns: AtomicU64::new(0),
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

    /// The session's moment zero, by the clock that it was opened with.
    #[must_use]
    pub fn zero_ns(&self) -> u64 {
        self.0.shared.zero_ns
    }

    /// Nanoseconds since the session's moment zero.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        self.0.shared.now_ns()
    }

    /// Nanoseconds since the capture last handed something over: what an idle limit looks at.
    #[must_use]
    pub fn idle_ns(&self) -> u64 {
        let shared = &self.0.shared;
        let touched_ns = shared.touched_ns.load(Ordering::Relaxed);
        shared.now_ns().saturating_sub(touched_ns)
    }

    /// Hands over bytes of a stream: a copy, and rarely a wake-up. Waits only when the queue is
    /// full, for as long as the policy says. What pours over the policy's budget of the stream is
    /// counted and hashed, and not kept ([`crate::bulk`]).
    ///
    /// # Errors
    /// When this or something before it will not be recorded: the capture must end its session.
    pub fn data(&self, stream: Stream, bytes: &[u8]) -> Result<(), Lost> {
        let mut shared = &*self.0.shared;
        shared.touch();
        shared.hand_over(stream, bytes)
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
            body => {
                self.0.shared.touch();
                self.0.shared.push(Item::Event(body)).map(drop)
            }
        }
    }

    /// Hands over an event that happens now and that nobody of the session did at its terminal: an
    /// idle limit takes no notice of it. What is longer than an event may be becomes a `Gap`.
    ///
    /// # Errors
    /// As [`Recorder::data`].
    pub fn witness(&self, body: Body) -> Result<(), Lost> {
        self.0.shared.push(Item::Event(body)).map(drop)
    }

    /// Waits until everything handed over so far is durable (strict mode). With
    /// `on_loss: continue` it does not wait for a sink in trouble.
    ///
    /// # Errors
    /// As [`Recorder::data`].
    pub fn flush(&self) -> Result<(), Lost> {
        self.is_durable().map(drop)
    }

    /// Says what its budgets have left out, and waits as [`Recorder::flush`] does: for who will go on with the
    /// recording. `false`: something is not durable, and is gone when the recorder is.
    ///
    /// # Errors
    /// As [`Recorder::data`].
    pub fn settle(&self) -> Result<bool, Lost> {
        let mut shared = &*self.0.shared;
        let last = shared.last_words();
        Ok(shared.say(last)? & self.is_durable()?)
    }

    /// Waits until everything so far is durable, and answers whether it is.
    fn is_durable(&self) -> Result<bool, Lost> {
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
                return Ok(true);
            }
            if let Some(lost) = &intake.lost {
                return Err(lost.clone());
            }
            let waited_ns = shared.now_ns().saturating_sub(since_ns);
            if shared.on_loss == OnLoss::Continue
                && (intake.troubled || intake.abandoned || waited_ns >= CONTINUE_PATIENCE_NS)
            {
                return Ok(false);
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
        let last = shared.last_words();
        let mut talk = shared.lock();
        if talk.intake.ending.is_some() {
            return Err(Lost::new(Cause::Closed, "it was closed before"));
        }
        talk.intake.say_last(last);
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
        let last = shared.last_words();
        let mut talk = shared.lock();
        if talk.intake.ending.is_none() {
            talk.intake.say_last(last);
            talk.intake.ending = Some(Ending::Stop);
        }
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
