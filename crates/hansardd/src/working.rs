//! A thread that works until it is told to stop, and is waited for then.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

/// The thread. Dropping this neither stops it nor waits for it: who has it does both.
pub(crate) struct Working(Mutex<Option<JoinHandle<()>>>);

impl Working {
    /// Starts it; `name` is how it is listed, 15 bytes at most.
    ///
    /// # Errors
    /// When the system has no thread.
    pub(crate) fn start(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let thread = Builder::new().name(name.to_owned()).spawn(work)?;
        Ok(Self(Mutex::new(Some(thread))))
    }

    /// Whether it lives.
    pub(crate) fn is_running(&self) -> bool {
        let thread = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Waits until it has ended, which it MUST have been told to do. Of a panic in it `is_running` tells.
    pub(crate) fn wait(&self) {
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let thread = place.take();
        // Who asks meanwhile whether it runs is answered.
        drop(place);
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}
