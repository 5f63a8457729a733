//! The terminal that a login came on, held by another process.

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::termios::{OptionalActions, Termios, Winsize, tcgetattr, tcgetwinsize, tcsetattr};

use crate::error::ShellError;

/// What a terminal says that does not know its size.
pub(super) const NO_SIZE: Winsize = Winsize {
    ws_row: 0,
    ws_col: 0,
    ws_xpixel: 0,
    ws_ypixel: 0,
};

/// The outer terminal: raw while the login's program runs, and as it was before when this goes.
/// Whoever holds it from another session is never stopped for changing its modes.
pub(crate) struct Outer {
    fd: OwnedFd,
    before: Termios,
    raw: bool,
}

impl Outer {
    /// The terminal on this descriptor, as it is.
    pub(crate) fn on(fd: BorrowedFd<'_>) -> Result<Self, ShellError> {
        let fd = rustix::io::fcntl_dupfd_cloexec(fd, 3)
            .map_err(ShellError::errno("use the terminal"))?;
        let before = tcgetattr(&fd).map_err(ShellError::errno("read the terminal's modes"))?;
        Ok(Self {
            fd,
            before,
            raw: false,
        })
    }

    /// Its modes before anybody changed them.
    pub(crate) fn modes(&self) -> &Termios {
        &self.before
    }

    /// Its size, or nothing if it has gone.
    pub(crate) fn size(&self) -> Option<Winsize> {
        tcgetwinsize(&self.fd).ok()
    }

    /// Passes every key on as it is and shows every byte as it is. False if it has gone.
    pub(crate) fn make_raw(&mut self) -> bool {
        let mut raw = self.before.clone();
        raw.make_raw();
        self.raw = tcsetattr(&self.fd, OptionalActions::Now, &raw).is_ok();
        self.raw
    }

    /// Puts the modes back.
    pub(crate) fn restore(&mut self) {
        if std::mem::take(&mut self.raw) {
            // Fails only when it has gone.
            let _ = tcsetattr(&self.fd, OptionalActions::Now, &self.before);
        }
    }
}

impl Drop for Outer {
    fn drop(&mut self) {
        self.restore();
    }
}
