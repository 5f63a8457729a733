//! Whether a client still reads what a program says. Closing a channel is the end of both directions, so SSH
//! itself cannot say that only this one is over; OpenSSH's clients say it with a request of their own
//! (`eow@openssh.com`), where the server's name tells them that it is understood.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Told once that nobody reads any more.
#[derive(Default)]
pub(in crate::ssh) struct Unread {
    is: AtomicBool,
    has_spoken: AtomicBool,
    bell: Notify,
}

impl Unread {
    pub(in crate::ssh) fn tell(&self) {
        self.is.store(true, Ordering::SeqCst);
        self.bell.notify_waiters();
    }

    pub(in crate::ssh) fn is(&self) -> bool {
        self.is.load(Ordering::SeqCst)
    }

    /// The program has said something, which a client may have failed to hand on.
    pub(in crate::ssh) fn spoke(&self) {
        self.has_spoken.store(true, Ordering::SeqCst);
    }

    /// Whether it may be what a client means.
    pub(in crate::ssh) fn may_be(&self) -> bool {
        !self.is() && self.has_spoken.load(Ordering::SeqCst)
    }

    /// Returns when it was told.
    pub(in crate::ssh) async fn heard(&self) {
        let told = self.bell.notified();
        // The bell rings for those who listen already: this looks after it has begun to.
        if !self.is() {
            told.await;
        }
    }
}
