//! What a login has of the world outside after it handed its terminal over: enough to put the
//! terminal's modes back if the daemon dies, and to say why it ends.

use std::os::fd::OwnedFd;
#[cfg(test)]
use std::os::fd::{AsFd as _, BorrowedFd};

use rustix::fs::{Mode, OFlags, open};
use rustix::process::Signal;
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout, stderr, stdin, stdout};
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcsetattr};

use crate::sys;

/// A descriptor of our own outside, closed by exec.
pub(super) struct Outside {
    /// The terminal, or else standard error; none where even that is closed.
    voice: Option<OwnedFd>,
    before: Option<Termios>,
}

impl Outside {
    /// What there is before anything is handed over.
    pub(super) fn look() -> Self {
        let of_terminal = [stderr(), stdout(), stdin()]
            .into_iter()
            .find(|fd| isatty(fd));
        let voice = of_terminal.unwrap_or_else(stderr);
        Self {
            before: of_terminal.and_then(|fd| tcgetattr(fd).ok()),
            voice: rustix::io::fcntl_dupfd_cloexec(voice, 3).ok(),
        }
    }

    /// Where we speak to.
    #[cfg(test)]
    pub(super) fn voice(&self) -> BorrowedFd<'_> {
        self.voice.as_ref().map_or(stderr(), |voice| voice.as_fd())
    }

    /// Puts the modes back that were found.
    pub(super) fn restore(&self) {
        if let (Some(voice), Some(before)) = (&self.voice, &self.before) {
            // In the background this would stop us for ever.
            let _quiet = sys::disarm(Signal::TTOU);
            let _ = tcsetattr(voice, OptionalActions::Now, before);
        }
    }

    /// Says a line to whoever logged in; whoever does not listen is told nothing.
    pub(super) fn say(&self, line: &str) {
        let line: String = line.chars().filter(|c| !c.is_control()).collect();
        if let Some(voice) = &self.voice {
            let _ = rustix::io::write(voice, format!("{line}\r\n").as_bytes());
        }
    }

    /// Lets go of standard input, output and error: whoever reads their other ends must see the
    /// end of what the program has, not of what we have.
    pub(super) fn let_go() {
        if let Ok(null) = open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()) {
            let _ = dup2_stdin(&null);
            let _ = dup2_stdout(&null);
            let _ = dup2_stderr(&null);
        }
    }
}
