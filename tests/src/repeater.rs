//! A session that says what it is told to.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};

use crate::{Daemon, hansard};

/// `hansard rec -- cat`, handed over to a daemon: what it is told is its input and its output. Killed
/// when it is dropped.
pub struct Repeater(Child);

impl Repeater {
    /// Begins a session at this daemon.
    ///
    /// # Panics
    /// If the client does not start.
    #[must_use]
    pub fn begin(daemon: &Daemon) -> Self {
        let child = Command::new(hansard())
            .args(["rec", "--quiet", "--", "cat"])
            .env("HANSARD_RUNTIME_DIR", daemon.runtime())
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the client starts");
        Self(child)
    }

    /// Tells it something.
    ///
    /// # Panics
    /// If it does not take it.
    pub fn say(&mut self, text: &str) {
        let stdin = self.0.stdin.as_mut().expect("an input");
        stdin.write_all(text.as_bytes()).expect("it listens");
    }

    /// Ends it, and waits until its recording is closed.
    ///
    /// # Panics
    /// If the client does not end well.
    pub fn end(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().expect("its end").success());
    }
}

impl Drop for Repeater {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
