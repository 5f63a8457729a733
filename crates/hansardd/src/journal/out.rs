//! Where lines go: a queue with a bound, and a thread that writes what is in it.
//!
//! Whoever says something must never wait for whoever reads standard error: that is the main loop, what
//! takes connections, what sends recordings. Lines that find no room are counted, and the count is a line
//! as soon as there is room again.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Bytes of lines that wait to be written, at most.
pub const WAITING_BYTES_MAX: usize = 1024 * 1024;

/// The end of a queue that lines are put into. When it is dropped, what waits is written still, if
/// somebody reads.
pub(super) struct Out(Arc<Shared>);

struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    /// Held while a line is written, and never together with what waits.
    out: Mutex<Box<dyn Write + Send>>,
}

#[derive(Default)]
struct Waiting {
    lines: VecDeque<String>,
    bytes: usize,
    /// One was taken and is not written yet.
    is_writing: bool,
    /// Nothing more comes.
    is_over: bool,
    /// Lines that found no room, of which nothing was said yet.
    left_out: u64,
    /// Lines that found no room or could not be written.
    unwritten: u64,
}

impl Out {
    pub(super) fn new(out: Box<dyn Write + Send>) -> Self {
        let shared = Arc::new(Shared {
            waiting: Mutex::default(),
            changed: Condvar::new(),
            out: Mutex::new(out),
        });
        let writer = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || writer.write_all_lines());
        if thread.is_err() {
            // Without a thread to spare whoever speaks writes it.
            shared.waiting().is_over = true;
        }
        Self(shared)
    }

    /// Puts a line into the queue, if there is room.
    pub(super) fn put(&self, line: String) {
        let mut waiting = self.0.waiting();
        if waiting.is_over {
            drop(waiting);
            return self.0.write(&line);
        }
        let bytes = waiting.bytes.saturating_add(line.len());
        if bytes > WAITING_BYTES_MAX {
            waiting.left_out = waiting.left_out.saturating_add(1);
            waiting.unwritten = waiting.unwritten.saturating_add(1);
            return;
        }
        waiting.bytes = bytes;
        waiting.lines.push_back(line);
        self.0.changed.notify_all();
    }

    /// How many lines found no room, once there is some again: each is answered once.
    pub(super) fn left_out(&self) -> Option<u64> {
        let mut waiting = self.0.waiting();
        let has_room = waiting.bytes < WAITING_BYTES_MAX / 2;
        (has_room && waiting.left_out > 0).then(|| std::mem::take(&mut waiting.left_out))
    }

    pub(super) fn unwritten(&self) -> u64 {
        self.0.waiting().unwritten
    }

    /// Waits until all lines are written, so long at most; answers whether they are.
    pub(super) fn flush(&self, within: Duration) -> bool {
        let until = Instant::now() + within;
        let mut waiting = self.0.waiting();
        while !waiting.lines.is_empty() || waiting.is_writing {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let woken = self.0.changed.wait_timeout(waiting, left);
            (waiting, _) = woken.unwrap_or_else(PoisonError::into_inner);
        }
        true
    }
}

impl Drop for Out {
    fn drop(&mut self) {
        self.0.waiting().is_over = true;
        self.0.changed.notify_all();
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_all_lines(&self) {
        let mut waiting = self.waiting();
        loop {
            if let Some(line) = waiting.lines.pop_front() {
                waiting.is_writing = true;
                drop(waiting);
                self.write(&line);
                waiting = self.waiting();
                // Not before it is written: what a write is stuck in takes room, too.
                waiting.bytes = waiting.bytes.saturating_sub(line.len());
                waiting.is_writing = false;
                self.changed.notify_all();
                continue;
            }
            if waiting.is_over {
                return;
            }
            let woken = self.changed.wait(waiting);
            waiting = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// One write for a line: lines of several processes do not mix.
    fn write(&self, line: &str) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let written = out.write_all(line.as_bytes());
        drop(out);
        if written.is_err() {
            let mut waiting = self.waiting();
            waiting.unwritten = waiting.unwritten.saturating_add(1);
        }
    }
}
