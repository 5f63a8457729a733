//! For programs that take over the terminal they were started on to show something: the terminal,
//! raw and restored whatever happens, its keys, and the signals that concern it.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::Signal;

use crate::error::ShellError;
use crate::outlet::{Outlet, inlet};
use crate::signals::{Came, Signals};
use crate::sys;
use crate::terminal::Terminal;

/// Longest that a terminal which takes no bytes may keep us from ending.
const FAREWELL_MAX: Duration = Duration::from_millis(500);

/// A terminal that is ours while this lives. One at a time in a process.
///
/// On drop it is sent the farewell bytes and its modes are put back. The same happens when this
/// process dies of a fault (abort, bad memory access). Nothing can be done about SIGKILL.
pub struct Viewer {
    // In this order: the modes are put back while signals are still noted.
    terminal: Terminal,
    keys: OwnedFd,
    screen: Outlet,
    signals: Signals,
    farewell: &'static [u8],
    entered: bool,
}

/// Why [`Viewer::wait`] returned.
#[derive(Debug, Default)]
pub struct Woken {
    /// There may be keys to read.
    pub keys: bool,
    /// The terminal has gone: nobody looks on any more.
    pub gone: bool,
    /// It has, or may have, another size.
    pub resized: bool,
    /// The process was asked to stop (SIGTSTP).
    pub stop: bool,
    /// The process was stopped, and goes on: somebody else used the terminal meanwhile.
    pub continued: bool,
    /// The signal that asks the process to end.
    pub ending: Option<Signal>,
}

impl Viewer {
    /// Takes over the terminal with these keys and this screen, leaving its modes as they are.
    /// The farewell undoes on the screen what the caller will do there.
    ///
    /// # Errors
    /// When one of them is no terminal, or the process's signals are taken.
    pub fn take(
        keys: BorrowedFd<'_>,
        screen: BorrowedFd<'_>,
        farewell: &'static [u8],
    ) -> Result<Self, ShellError> {
        let signals = Signals::take(true)?;
        Ok(Self {
            terminal: Terminal::on(keys)?,
            keys: inlet(keys)?,
            screen: Outlet::shared(screen)?,
            signals,
            farewell,
            entered: false,
        })
    }

    /// Makes the terminal raw.
    ///
    /// # Errors
    /// When its modes cannot be set.
    pub fn enter(&mut self) -> Result<(), ShellError> {
        self.terminal.make_raw()?;
        sys::send_on_fault(self.farewell);
        self.entered = true;
        Ok(())
    }

    /// Sends the farewell and puts the modes back. Does nothing the second time.
    pub fn leave(&mut self) {
        if !std::mem::take(&mut self.entered) {
            return;
        }
        let began = Instant::now();
        let mut rest = self.farewell;
        while !rest.is_empty() && began.elapsed() < FAREWELL_MAX {
            match self.screen.write(rest) {
                Ok(0) => {
                    let mut fds = [PollFd::new(&self.screen, PollFlags::OUT)];
                    let _ = poll(&mut fds, Some(&timespec(FAREWELL_MAX)));
                }
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(_) => break, // nobody looks on: there is nothing to clean up for
            }
        }
        self.terminal.restore();
    }

    /// Columns and rows, or nothing if the terminal has gone or does not say.
    #[must_use]
    pub fn size(&self) -> Option<(u16, u16)> {
        let size = self.terminal.size()?;
        (size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col, size.ws_row))
    }

    /// Reads what was typed. 0 bytes: nothing now.
    ///
    /// # Errors
    /// When the terminal has gone.
    pub fn read_keys(&self, buffer: &mut [u8]) -> Result<usize, ShellError> {
        match rustix::io::read(&self.keys, buffer) {
            Ok(0) => Err(ShellError::errno("read keys")(Errno::IO)),
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
            other => other.map_err(ShellError::errno("read keys")),
        }
    }

    /// Shows as many of these bytes as fit now and answers how many. 0: later.
    ///
    /// # Errors
    /// When the terminal has gone.
    pub fn show(&self, bytes: &[u8]) -> Result<usize, ShellError> {
        self.screen
            .write(bytes)
            .map_err(ShellError::errno("write to the terminal"))
    }

    /// Waits for keys, signals, room for bytes (if `to_show`), or this long.
    ///
    /// # Errors
    /// When waiting is impossible.
    pub fn wait(&self, to_show: bool, at_most: Option<Duration>) -> Result<Woken, ShellError> {
        let mut fds = vec![
            PollFd::new(&self.keys, PollFlags::IN),
            PollFd::new(&self.signals, PollFlags::IN),
        ];
        if to_show {
            fds.push(PollFd::new(&self.screen, PollFlags::OUT));
        }
        let timeout = at_most.map(timespec);
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(ShellError::errno("wait")(errno)),
        }
        let keys = fds.first().map_or(PollFlags::empty(), PollFd::revents);
        let came = self.signals.came();
        Ok(Woken {
            keys: keys.intersects(PollFlags::IN),
            gone: keys.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL),
            ..woken(came)
        })
    }

    /// Leaves the terminal, stops this process as an unhandled SIGTSTP would, and enters it again
    /// when continued.
    ///
    /// # Errors
    /// As [`Self::enter`].
    pub fn stop(&mut self) -> Result<(), ShellError> {
        self.leave();
        self.signals.stop_here()?;
        self.enter()
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.leave();
    }
}

fn woken(came: Came) -> Woken {
    Woken {
        resized: came.has(Signal::WINCH),
        stop: came.has(Signal::TSTP),
        continued: came.has(Signal::CONT),
        ending: came.ending(),
        ..Woken::default()
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}
