//! Programs that hand their sessions over to a daemon, as fast as it takes them, while it is killed
//! under them; and what must be found of those sessions afterwards.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use hansard_core::event::{Body, End, Stream};
use hansard_core::policy::Policy;
use hansard_core::session::{ClockQuality, Session};
use hansard_core::{Fields, SessionId};
use hansard_record::handoff::{HandoffTape, NotOpened};

/// What became of a session.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    /// Which.
    pub(crate) session: SessionId,
    /// Number of it, which its bytes are made from.
    pub(crate) number: u64,
    /// Bytes that the program handed over.
    pub(crate) produced: u64,
    /// Bytes of them that it was told are durable.
    pub(crate) acknowledged: u64,
    /// Marks that it handed over, and how many of them were durable for sure.
    pub(crate) marks: (u64, u64),
    /// Whether its end was acknowledged.
    pub(crate) closed: bool,
}

/// The bytes of a session: lines that say which they are, so that nothing can be moved or repeated
/// unnoticed.
pub(crate) fn bytes_of(session: u64, length: u64) -> Vec<u8> {
    let mut text = String::new();
    let mut line = 0u64;
    while (text.len() as u64) < length {
        let filler = "abcdefghijklmnopqrstuvwxyz0123456789"
            .get(..(line.wrapping_mul(7) % 36) as usize)
            .unwrap_or_default();
        text.push_str(&format!("{session:08}:{line:08} {filler}\n"));
        line += 1;
    }
    text.truncate(length as usize);
    text.into_bytes()
}

/// Keeps several programs busy until told to stop; every session that was opened has an outcome.
pub(crate) struct Load {
    stop: AtomicBool,
    number: AtomicU64,
    outcomes: Mutex<Vec<Outcome>>,
    /// Sessions that did not begin.
    refused: AtomicU64,
    /// Between two sessions of a program.
    pause: Duration,
}

impl Load {
    pub(crate) fn new() -> Self {
        Self {
            stop: AtomicBool::new(false),
            number: AtomicU64::new(0),
            outcomes: Mutex::new(Vec::new()),
            refused: AtomicU64::new(0),
            pause: Duration::ZERO,
        }
    }

    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    pub(crate) fn outcomes(&self) -> Vec<Outcome> {
        self.outcomes.lock().unwrap().clone()
    }

    /// How many sessions did not begin, because a daemon said no.
    #[allow(dead_code, reason = "not every test fills a disk")]
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// The same with a pause between two sessions of a program.
    #[allow(dead_code, reason = "not every test has time to lose")]
    pub(crate) fn with_pauses(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }

    /// Tells everybody to stop when it is dropped, also by a panic.
    #[allow(dead_code, reason = "not every test asserts while it runs")]
    pub(crate) fn stop_when_dropped(&self) -> impl Drop + '_ {
        struct Stop<'a>(&'a Load);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.stop();
            }
        }
        Stop(self)
    }

    /// One program after another at this socket, until told to stop.
    pub(crate) fn run(&self, socket: &Path) {
        while !self.stop.load(Ordering::Relaxed) {
            let number = self.number.fetch_add(1, Ordering::Relaxed);
            let tape = match HandoffTape::open(socket, claims(number)) {
                Ok(tape) => tape,
                // It was killed, or is just starting.
                Err(NotOpened::NoDaemon(_) | NotOpened::Broken(_)) => {
                    thread::sleep(Duration::from_millis(5));
                    continue;
                }
                Err(NotOpened::Refused(why)) => {
                    // A daemon that stops, or whose spool is full, says so; it is not a loss.
                    self.refused.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(20));
                    eprintln!("session {number} was refused: {why}");
                    continue;
                }
            };
            let outcome = self.session(number, &tape);
            let closed = outcome.1 && tape.close(exited()).is_ok_and(|closed| closed.gaps == 0);
            let mut outcome = outcome.0;
            outcome.closed = closed;
            self.outcomes.lock().unwrap().push(outcome);
            thread::sleep(self.pause);
        }
    }

    /// One session: chunks of odd sizes, marks between them, and often the question whether all of
    /// it is durable. Answers whether it went to its end.
    fn session(&self, number: u64, tape: &HandoffTape) -> (Outcome, bool) {
        let mut outcome = Outcome {
            session: tape.session().id,
            number,
            produced: 0,
            acknowledged: 0,
            marks: (0, 0),
            closed: false,
        };
        // Short ones, long ones, and some that say little.
        let chunks = [3, 40, 400, 12][(number % 4) as usize];
        let chunk = [97, 1500, 20_011, 5][(number / 4 % 4) as usize];
        let all = bytes_of(number, chunks * chunk);
        for (n, piece) in all.chunks(chunk as usize).enumerate() {
            if tape.data(Stream::Stdout, piece).is_err() {
                return (outcome, false);
            }
            outcome.produced += piece.len() as u64;
            if n % 7 == 3 {
                let label = format!("{number}:{}", outcome.marks.0);
                if tape.event(Body::Mark { label }).is_err() {
                    return (outcome, false);
                }
                outcome.marks.0 += 1;
            }
            if n % 5 == 4 {
                if tape.flush().is_err() {
                    return (outcome, false);
                }
                outcome.acknowledged = outcome.produced;
                outcome.marks.1 = outcome.marks.0;
            }
            if number % 4 == 3 {
                thread::sleep(Duration::from_millis(3));
            }
        }
        (outcome, true)
    }
}

fn exited() -> End {
    End {
        reason: "exited".to_owned(),
        exit_status: Some(0),
        signal: None,
    }
}

/// What a program says of its session. The daemon makes the header.
pub(crate) fn claims(number: u64) -> Session {
    Session {
        id: SessionId::new_v7(0, [0; 10]),
        parent: None,
        kind: "exec".to_owned(),
        subject: Fields::new(),
        origin: Fields::new(),
        target: Fields::new().with("command", format!("load {number}")),
        start_utc_ns: 0,
        clock: ClockQuality::Unknown,
        policy: Policy::default(),
        recorder_key: [0; 32],
        recorder: "load".to_owned(),
    }
}

/// Where a daemon takes sessions.
pub(crate) fn capture_socket(runtime: &Path) -> PathBuf {
    runtime.join("capture.sock")
}
