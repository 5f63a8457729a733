//! The terminal we were started on: raw while a program runs on its own, restored whatever happens.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::process::Signal;
use rustix::termios::{
    LocalModes, OptionalActions, Termios, Winsize, tcgetattr, tcgetpgrp, tcgetwinsize, tcsetattr,
};

use crate::error::ShellError;
use crate::sys;

/// What a terminal says that does not know its size.
pub(crate) const NO_SIZE: Winsize = Winsize {
    ws_row: 0,
    ws_col: 0,
    ws_xpixel: 0,
    ws_ypixel: 0,
};

/// The outer terminal.
pub(crate) struct Terminal {
    keys: OwnedFd,
    before: Termios,
    raw: bool,
    faults: Vec<sys::Handled>,
}

impl Terminal {
    /// The terminal on this descriptor, as it is.
    pub(crate) fn on(keys: BorrowedFd<'_>) -> Result<Self, ShellError> {
        let keys = rustix::io::fcntl_dupfd_cloexec(keys, 3)
            .map_err(ShellError::errno("use the terminal"))?;
        let before = tcgetattr(&keys).map_err(ShellError::errno("read the terminal's modes"))?;
        Ok(Self {
            keys,
            before,
            raw: false,
            faults: Vec::new(),
        })
    }

    /// Its modes before anybody changed them.
    pub(crate) fn modes(&self) -> &Termios {
        &self.before
    }

    /// Its size, or nothing if it has gone.
    pub(crate) fn size(&self) -> Option<Winsize> {
        tcgetwinsize(&self.keys).ok()
    }

    /// Passes every key on as it is and shows every byte as it is, until [`Terminal::restore`] or
    /// the end of this value.
    pub(crate) fn make_raw(&mut self) -> Result<(), ShellError> {
        if self.faults.is_empty() {
            self.faults = sys::restore_on_fault(&self.keys)
                .map_err(ShellError::io("guard the terminal's modes"))?;
        }
        let mut raw = self.before.clone();
        raw.make_raw();
        tcsetattr(&self.keys, OptionalActions::Now, &raw)
            .map_err(ShellError::errno("set the terminal's modes"))?;
        self.raw = true;
        Ok(())
    }

    /// Puts the modes back. Not when another job has the terminal: its modes are that job's now.
    pub(crate) fn restore(&mut self) {
        if !self.raw {
            return;
        }
        self.raw = false;
        // Whether the terminal is ours is decided first; between that and the change another job
        // may take it, and then the change must fail rather than stop us for ever.
        let _quiet = sys::disarm(Signal::TTOU);
        let ours = match tcgetpgrp(&self.keys) {
            Ok(group) => Some(group) == sys::process_group(),
            // Not our controlling terminal: nobody else manages its modes. Or it belongs to a group
            // outside of our pid namespace, which in a container is the one we were started in.
            Err(_) => true,
        };
        if ours {
            let _ = tcsetattr(&self.keys, OptionalActions::Now, &self.before);
        }
    }
}

impl AsFd for Terminal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.keys.as_fd()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.restore();
        sys::forget_fault_terminal();
        self.faults.clear();
    }
}

/// What a terminal does with what is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Echo {
    /// It shows it.
    On,
    /// It collects lines and shows nothing of them: what is typed is secret. Also where that cannot be told.
    Off,
    /// It passes each key on. Whoever reads it decides what is shown: a program that edits its line, or one that relays to a
    /// terminal elsewhere, which may show it or hide it.
    Raw,
}

/// What this terminal, or the one whose master this is, does with what is typed at this moment.
pub(crate) fn echo_of(terminal: impl AsFd) -> Echo {
    let Ok(modes) = tcgetattr(terminal) else {
        return Echo::Off;
    };
    let has = |mode| modes.local_modes.contains(mode);
    match (has(LocalModes::ECHO), has(LocalModes::ICANON)) {
        (true, _) => Echo::On,
        (false, true) => Echo::Off,
        (false, false) => Echo::Raw,
    }
}
