//! How others end a session that runs in a connection's thread: somebody with `hansard kill`, a policy's
//! idle limit, a daemon that stops, the end of a certificate.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use crate::registry::Runs;

/// Told to end, or not yet.
#[derive(Default)]
pub(super) struct Ender {
    said: Mutex<Option<String>>,
    gave_up: AtomicBool,
    bell: Notify,
}

impl Runs for Ender {
    fn end(&self, reason: &str, by: &str) {
        let words = match by {
            "" => reason.to_owned(),
            by => format!("ended by {by}: {reason}"),
        };
        // The first reason stays.
        self.said
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(words);
        self.bell.notify_one();
    }

    fn give_up(&self) {
        self.gave_up.store(true, Ordering::SeqCst);
        self.bell.notify_one();
    }
}

impl Ender {
    /// Why it is to end, if it is.
    pub(super) fn said(&self) -> Option<String> {
        self.said
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Has whoever listens look again, with nothing to hear.
    pub(super) fn wake(&self) {
        self.bell.notify_one();
    }

    /// Whether nothing more is waited for.
    pub(super) fn gave_up(&self) -> bool {
        self.gave_up.load(Ordering::SeqCst)
    }

    /// Returns when something was said that the caller has not heard yet. One caller at a time.
    pub(super) async fn heard(&self) {
        self.bell.notified().await;
    }
}
