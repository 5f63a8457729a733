//! What could not be passed on: why, and what the program had written of it by then.
//!
//! A pipe that nobody reads any more is closed, so that the program hears of it as it would without us.
//! What it wrote between the last look and that moment is still in the pipe, and nobody can add to it:
//! held by its writing end it stays there until the program has ended, and is recorded then. Opened for
//! reading earlier it would take from the program what it just heard. A recorder that is killed meanwhile
//! takes it along, as it does with what is in any pipe.

use std::fmt;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use hansard_core::event::Stream;
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::lane::Lane;
use crate::limits::READ_BYTES;
use crate::outlet::opened_again;
use crate::tape::{Tape, TapeLost};

/// A stream that failed for another reason than that its reader left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    stream: Stream,
    errno: Errno,
}

impl Fault {
    pub(crate) fn new(stream: Stream, errno: Errno) -> Self {
        Self { stream, errno }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.stream {
            Stream::Stdin | Stream::Keystrokes => "standard input",
            Stream::Stdout | Stream::Output => "standard output",
            Stream::Stderr => "standard error",
        };
        let why = io::Error::from(self.errno);
        write!(f, "{name}: {why}")
    }
}

/// A closed pipe, by its writing end: that nobody reads what is in it.
pub(crate) struct Refused {
    pipe: OwnedFd,
    stream: Stream,
}

impl Refused {
    /// Closes a pipe. `None` where the system has no other way to what is left in it (no `/proc`).
    pub(crate) fn close(from: OwnedFd, stream: Stream) -> Option<Self> {
        let pipe = opened_again(from.as_fd(), OFlags::WRONLY);
        drop(from);
        pipe.map(|pipe| Self { pipe, stream })
    }

    /// Records what was in it when it was closed.
    fn keep<T: Tape>(self, tape: &T) -> Result<(), TapeLost> {
        // Counted before it is opened: what somebody may write from then on is after the end.
        let inside = rustix::io::ioctl_fionread(&self.pipe).unwrap_or(0);
        let mut left = usize::try_from(inside).unwrap_or(0);
        if left == 0 {
            return Ok(());
        }
        let Some(from) = opened_again(self.pipe.as_fd(), OFlags::RDONLY) else {
            return Ok(());
        };
        let mut buffer = vec![0; left.min(READ_BYTES)];
        while left > 0 {
            let at_most = left.min(buffer.len());
            let Some(room) = buffer.get_mut(..at_most) else {
                return Ok(());
            };
            match rustix::io::read(&from, room) {
                Err(Errno::INTR) => {}
                Ok(0) | Err(_) => return Ok(()),
                Ok(n) => {
                    tape.data(self.stream, buffer.get(..n).unwrap_or_default())?;
                    left = left.saturating_sub(n);
                }
            }
        }
        Ok(())
    }
}

/// What of a session's streams is over before the session is.
#[derive(Default)]
pub(crate) struct Leavings {
    refused: Vec<Refused>,
    faults: Vec<Fault>,
}

impl Leavings {
    /// Takes an output that has ended or that nobody takes any more: what was written to it is
    /// recorded, and it is closed.
    pub(crate) fn take<T: Tape>(&mut self, lane: Lane, tape: &T) -> Result<(), TapeLost> {
        self.note(&lane);
        self.refused.extend(lane.refuse(tape)?);
        Ok(())
    }

    /// Remembers what went wrong with a stream, if anything did.
    pub(crate) fn note(&mut self, lane: &Lane) {
        self.faults.extend(lane.fault());
    }

    /// Records what was still in pipes that were closed, once the program has ended.
    pub(crate) fn keep_rest<T: Tape>(&mut self, tape: &T) -> Result<(), TapeLost> {
        self.refused.drain(..).try_for_each(|pipe| pipe.keep(tape))
    }

    /// Which streams failed, and why; `None` if none did.
    pub(crate) fn fault(&self) -> Option<String> {
        let words: Vec<String> = self.faults.iter().map(Fault::to_string).collect();
        (!words.is_empty()).then(|| words.join("; "))
    }
}
