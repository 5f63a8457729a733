//! Signals to the recorder, as things a poll loop reads.
//!
//! One run at a time in a process: signals are the process's, not a thread's.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Signal;

use crate::error::ShellError;
use crate::sys;

/// Signals that came since the last look.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Came {
    all: u64,
    from_kernel: u64,
}

impl Came {
    pub(crate) fn has(self, signal: Signal) -> bool {
        self.all & bit(signal) != 0
    }

    /// Those of the signals that end a process which somebody sent here on purpose: not by a key,
    /// which the whole foreground already got.
    pub(crate) fn ending(self) -> Option<Signal> {
        [Signal::TERM, Signal::HUP, Signal::INT, Signal::QUIT]
            .into_iter()
            .find(|s| self.has(*s) && (self.from_kernel & bit(*s) == 0 || *s == Signal::HUP))
    }
}

fn bit(signal: Signal) -> u64 {
    1 << (signal.as_raw().unsigned_abs() & 63)
}

/// The process's signals, noted until this is dropped.
pub(crate) struct Signals {
    wakes: OwnedFd,
    // Dropped after `Drop::drop` below has run: no handler writes to a closed descriptor.
    handled: Vec<sys::Handled>,
    mask: sys::Mask,
    _wake: OwnedFd,
}

impl Signals {
    /// Takes the process's signals. With `stops`, also those that stop and continue it.
    pub(crate) fn take(stops: bool) -> Result<Self, ShellError> {
        let (wakes, wake) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)
            .map_err(ShellError::errno("make a pipe"))?;
        if !sys::listen(wake.as_raw_fd()) {
            return Err(ShellError::Busy);
        }
        let mut noted = vec![
            Signal::CHILD,
            Signal::TERM,
            Signal::HUP,
            Signal::INT,
            Signal::QUIT,
        ];
        if stops {
            noted.extend([Signal::WINCH, Signal::TSTP, Signal::CONT]);
        }
        let mask = sys::let_through(&noted).map_err(ShellError::io("handle signals"))?;
        let mut signals = Self {
            wakes,
            handled: Vec::new(),
            mask,
            _wake: wake,
        };
        for signal in noted {
            let handled = sys::note(signal).map_err(ShellError::io("handle signals"))?;
            signals.handled.extend(handled);
        }
        // A file size limit must become an error of the write, which the loss policy handles, not
        // the end of the recorder.
        let disarmed = sys::disarm(Signal::XFSZ).map_err(ShellError::io("handle signals"))?;
        signals.handled.push(disarmed);
        Ok(signals)
    }

    /// Which signals were held back before, for the program.
    pub(crate) fn mask_before(&self) -> sys::Mask {
        self.mask
    }

    /// What came since the last call.
    pub(crate) fn came(&self) -> Came {
        let mut bytes = [0_u8; 64];
        while matches!(rustix::io::read(&self.wakes, &mut bytes), Ok(n) if n == bytes.len()) {}
        let (all, from_kernel) = sys::came();
        Came { all, from_kernel }
    }

    /// Stops this process as an unhandled SIGTSTP would, and returns when it is continued.
    pub(crate) fn stop_here(&self) -> Result<(), ShellError> {
        let _default =
            sys::default_action(Signal::TSTP).map_err(ShellError::io("handle signals"))?;
        sys::raise(Signal::TSTP);
        Ok(())
    }
}

impl AsFd for Signals {
    /// Readable when a signal came.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wakes.as_fd()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.handled.clear();
        self.mask.restore();
        sys::listen(-1);
        let _ = sys::came();
    }
}
