//! One direction of bytes: read, recorded, written on.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hansard_core::event::Stream;
use rustix::io::Errno;

use crate::limits::{DRAIN_BYTES_MAX, READ_BYTES, READ_SHORT_BYTES, READ_TERMINAL_BYTES};
use crate::outlet::Outlet;
use crate::refused::{Fault, Refused};
use crate::tape::{Tape, TapeLost};

/// What a turn came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// A whole buffer went through: more is probably there.
    Flowing,
    /// Nothing more for now.
    Idle,
    /// The reader of these bytes is not taking them: poll for writing.
    Blocked,
    /// The source has ended, and everything from it is written.
    Ended,
    /// Nobody will ever take these bytes. Said once: whatever comes afterwards is recorded and goes
    /// nowhere.
    Refused,
}

/// Where from, where to, and as which stream it is recorded.
pub(crate) struct Lane {
    from: OwnedFd,
    to: Outlet,
    stream: Stream,
    keep: bool,
    /// A pty hands out less than is there in one read, so reading goes on; anything else hands out
    /// all it has, and asking again would cost a call (or block).
    reads_on: bool,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    ended: bool,
    /// Nobody takes what comes out of it any more.
    refused: bool,
    fault: Option<Fault>,
    /// Where it ends although its source does not: after this many bytes in all.
    last_at: Option<u64>,
    /// Bytes read in all.
    pub(crate) passed: u64,
}

impl Lane {
    /// A lane that records what passes if `keep`.
    pub(crate) fn new(from: OwnedFd, to: Outlet, stream: Stream, keep: bool) -> Self {
        let reads_on = stream == Stream::Output;
        let bytes = if reads_on {
            READ_TERMINAL_BYTES
        } else {
            READ_BYTES
        };
        let buffer = vec![0; bytes].into_boxed_slice();
        Self {
            from,
            to,
            stream,
            keep,
            reads_on,
            buffer,
            start: 0,
            end: 0,
            ended: false,
            refused: false,
            fault: None,
            last_at: None,
            passed: 0,
        }
    }

    /// Has these written on first, which are recorded already; at most a buffer of them.
    pub(crate) fn begin_with(&mut self, bytes: &[u8]) {
        for (to, byte) in self.buffer.iter_mut().zip(bytes) {
            *to = *byte;
        }
        (self.start, self.end) = (0, bytes.len().min(self.buffer.len()));
    }

    /// What is recorded and not written on yet.
    pub(crate) fn rest(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    pub(crate) fn from(&self) -> BorrowedFd<'_> {
        self.from.as_fd()
    }

    pub(crate) fn to(&self) -> BorrowedFd<'_> {
        self.to.as_fd()
    }

    /// Writes words of our own to where the bytes go, as far as it takes them now.
    pub(crate) fn show(&self, words: &[u8]) {
        let _ = self.to.write(words);
    }

    /// Ends it with what is in its pipe at this moment, and no byte later: what was written at once stays
    /// whole. Only the first call counts.
    pub(crate) fn end_with_what_is_there(&mut self) {
        let inside = rustix::io::ioctl_fionread(&self.from).unwrap_or(0);
        self.last_at
            .get_or_insert(self.passed.saturating_add(inside));
    }

    /// Why it came to its end before its bytes did: something failed, and not only that its reader left.
    pub(crate) fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Nobody takes these bytes any more: what has been written by now is recorded, and goes nowhere.
    ///
    /// Whoever goes on writing ends this as well: a pipe or terminal never holds [`DRAIN_BYTES_MAX`].
    pub(crate) fn keep_what_is_there<T: Tape>(&mut self, tape: &T) -> Result<(), TapeLost> {
        self.refused = true;
        (self.start, self.end) = (0, 0);
        let at_most = self.passed.saturating_add(DRAIN_BYTES_MAX as u64);
        while self.keep && !self.ended && self.passed < at_most {
            let before = self.passed;
            self.turn(tape, false, |_| {})?;
            if self.passed == before {
                break;
            }
        }
        Ok(())
    }

    /// The same, and the pipe is closed, which gives whoever writes to it their SIGPIPE. Answers where
    /// what was written meanwhile is found once they have ended; `None` where there is nothing.
    pub(crate) fn refuse<T: Tape>(mut self, tape: &T) -> Result<Option<Refused>, TapeLost> {
        self.keep_what_is_there(tape)?;
        if self.ended || !self.keep {
            return Ok(None);
        }
        Ok(Refused::close(self.from, self.stream))
    }

    /// Whether bytes wait for their reader.
    pub(crate) fn is_blocked(&self) -> bool {
        self.start < self.end
    }

    /// Moves bytes once. `seen` is shown them before they go on.
    ///
    /// Reading comes before writing, and the recorder before the reader, so nothing is ever shown
    /// that it was not given.
    pub(crate) fn turn<T: Tape>(
        &mut self,
        tape: &T,
        strict: bool,
        mut seen: impl FnMut(&[u8]),
    ) -> Result<Turn, TapeLost> {
        if self.is_blocked() {
            // Nothing was read in this turn, so nothing is known about more.
            return Ok(match self.write_on() {
                Turn::Idle => Turn::Flowing,
                other => other,
            });
        }
        self.read();
        let bytes = self.buffer.get(..self.end).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(if self.ended { Turn::Ended } else { Turn::Idle });
        }
        if self.keep {
            tape.data(self.stream, bytes)?;
            if strict {
                tape.flush()?;
            }
        }
        seen(bytes);
        Ok(self.write_on())
    }

    /// Reads and throws away: for a session whose record is lost, so that its program can end.
    pub(crate) fn discard(&mut self) -> Turn {
        self.read();
        (self.start, self.end) = (0, 0);
        if self.ended { Turn::Ended } else { Turn::Idle }
    }

    fn read(&mut self) {
        (self.start, self.end) = (0, 0);
        while !self.ended {
            let left = self.last_at.map(|at| at.saturating_sub(self.passed));
            if left == Some(0) {
                self.ended = true;
                return;
            }
            let left = left.and_then(|left| usize::try_from(left).ok());
            let to = left.map_or(self.buffer.len(), |left| {
                self.buffer.len().min(self.end.saturating_add(left))
            });
            let Some(room) = self.buffer.get_mut(self.end..to) else {
                return;
            };
            if room.is_empty() {
                return;
            }
            match rustix::io::read(&self.from, room) {
                Ok(0) => self.ended = true,
                Ok(n) => {
                    self.end += n;
                    self.passed += n as u64;
                    self.ended = self.last_at == Some(self.passed);
                    if n < READ_SHORT_BYTES || !self.reads_on {
                        return;
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                // EIO is how a pty ends, and a terminal that is hung up.
                Err(Errno::IO) if matches!(self.stream, Stream::Output | Stream::Keystrokes) => {
                    self.ended = true;
                }
                // It ends for the program, which must not be taken for the end of what there was.
                Err(errno) => {
                    self.ended = true;
                    self.fault = Some(Fault::new(self.stream, errno));
                }
            }
        }
    }

    fn write_on(&mut self) -> Turn {
        let full = self.end == self.buffer.len();
        if self.refused {
            (self.start, self.end) = (0, 0);
        }
        while let Some(bytes) = self
            .buffer
            .get(self.start..self.end)
            .filter(|b| !b.is_empty())
        {
            match self.to.write(bytes) {
                Ok(0) => return Turn::Blocked,
                Ok(n) => self.start += n,
                Err(errno) => {
                    (self.start, self.end) = (0, 0);
                    self.refused = true;
                    // A reader that leaves is no fault: whoever writes hears of it by SIGPIPE.
                    if !matches!(errno, Errno::PIPE | Errno::CONNRESET) {
                        self.fault = Some(Fault::new(self.stream, errno));
                    }
                    return Turn::Refused;
                }
            }
        }
        match (self.ended, full) {
            (true, _) => Turn::Ended,
            (false, true) => Turn::Flowing,
            (false, false) => Turn::Idle,
        }
    }
}
