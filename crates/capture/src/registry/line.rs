//! The connection of a session, for whoever has something to say to its program.

use std::io::{self, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use hansard_record::handoff::FromDaemon;
use rustix::net::{SendFlags, send};

use super::Runs;

/// The daemon's half of a connection. Messages do not run into each other.
pub(crate) struct Line {
    stream: UnixStream,
    /// Held while a message is written, and by nobody who must not wait.
    writing: Mutex<()>,
    /// What whoever writes just now is to send next.
    next: Mutex<Vec<u8>>,
    /// Nothing more is to come of it, also where its program has left and something else keeps the session open.
    is_given_up: AtomicBool,
}

impl Line {
    pub(crate) fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            writing: Mutex::new(()),
            next: Mutex::new(Vec::new()),
            is_given_up: AtomicBool::new(false),
        }
    }

    /// Whether its session's time is over, or its program could not be told something at once.
    pub(crate) fn is_given_up(&self) -> bool {
        self.is_given_up.load(Ordering::SeqCst)
    }

    fn end_connection(&self, how: Shutdown) {
        self.is_given_up.store(true, Ordering::SeqCst);
        let _ = self.stream.shutdown(how);
    }

    /// Says it, and waits for a program that does not read as long as the stream's limit allows.
    ///
    /// # Errors
    /// When it does not read, or is gone.
    pub(crate) fn say(&self, message: &FromDaemon) -> io::Result<()> {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        let writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let said = (&self.stream).write_all(&bytes);
        drop(writing);
        self.send_next();
        said
    }

    /// Says it without waiting: of a program that has left so much unread that nothing more fits,
    /// the connection is ended. Threads that serve everybody say things in this way.
    pub(crate) fn say_at_once(&self, message: &FromDaemon) {
        message.encode(&mut self.next());
        self.send_next();
    }

    /// Sends what is to be sent next, unless somebody writes: who does comes here after it.
    fn send_next(&self) {
        // Looked at before each try: what comes while we hold `writing` finds it held.
        while !self.next().is_empty() {
            let _writing = match self.writing.try_lock() {
                Ok(writing) => writing,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            let bytes = std::mem::take(&mut *self.next());
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            if send(&self.stream, &bytes, flags) != Ok(bytes.len()) {
                // Half a message makes nonsense of the next one, so there is none.
                self.end_connection(Shutdown::Both);
            }
        }
    }

    fn next(&self) -> MutexGuard<'_, Vec<u8>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Runs for Line {
    fn end(&self, reason: &str, by: &str) {
        let (reason, by) = (reason.to_owned(), by.to_owned());
        self.say_at_once(&FromDaemon::End { reason, by });
    }

    /// Nothing more is read from it: what the program has sent already is, and then its end comes.
    fn give_up(&self) {
        self.end_connection(Shutdown::Read);
    }
}

#[cfg(test)]
#[path = "line/tests.rs"]
mod tests;
