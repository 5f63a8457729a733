//! A terminal for the program.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::process::Pid;
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{OptionalActions, Termios, Winsize, tcsetattr, tcsetwinsize};

use crate::error::ShellError;

/// Both ends of a pseudo-terminal.
///
/// The slave stays open here as well. So the master never reports an end while the program has
/// closed its terminal for a moment, and the modes stay readable; the session's end is the
/// program's end. Both ends close with this process, whatever ends it, and the kernel then hangs
/// up the program.
pub(crate) struct Pty {
    master: OwnedFd,
    slave: OwnedFd,
}

impl Pty {
    /// A new terminal with these modes and this size.
    pub(crate) fn open(modes: &Termios, size: Winsize) -> Result<Self, ShellError> {
        Self::made(Some(modes), size)
    }

    /// A new terminal with the system's own modes.
    pub(crate) fn open_plain(size: Winsize) -> Result<Self, ShellError> {
        Self::made(None, size)
    }

    fn made(modes: Option<&Termios>, size: Winsize) -> Result<Self, ShellError> {
        let made = || -> rustix::io::Result<Self> {
            let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
            let master = openpt(flags)?;
            grantpt(&master)?;
            unlockpt(&master)?;
            let slave = ioctl_tiocgptpeer(&master, flags)?;
            if let Some(modes) = modes {
                tcsetattr(&slave, OptionalActions::Now, modes)?;
            }
            tcsetwinsize(&slave, size)?;
            rustix::io::ioctl_fionbio(&master, true)?;
            Ok(Self { master, slave })
        };
        made().map_err(ShellError::errno("open a pseudo-terminal"))
    }

    /// The master alone; this side of the slave is closed, so that the master tells when the last
    /// program has closed the other.
    pub(crate) fn into_master(self) -> OwnedFd {
        self.master
    }

    /// One whose master somebody kept.
    pub(crate) fn again(master: OwnedFd) -> Result<Self, ShellError> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let slave = ioctl_tiocgptpeer(&master, flags)
            .map_err(ShellError::errno("open the pseudo-terminal again"))?;
        rustix::io::ioctl_fionbio(&master, true)
            .map_err(ShellError::errno("use the pseudo-terminal"))?;
        Ok(Self { master, slave })
    }

    pub(crate) fn master(&self) -> BorrowedFd<'_> {
        self.master.as_fd()
    }

    pub(crate) fn slave(&self) -> BorrowedFd<'_> {
        self.slave.as_fd()
    }

    /// Another descriptor of the slave, for a child.
    pub(crate) fn slave_copy(&self) -> Result<OwnedFd, ShellError> {
        rustix::io::fcntl_dupfd_cloexec(&self.slave, 3)
            .map_err(ShellError::errno("use the pseudo-terminal"))
    }

    /// Changes the size; the kernel tells the foreground program.
    pub(crate) fn resize(&self, size: Winsize) {
        // Fails only when the terminal is gone, which reading from it will say.
        let _ = tcsetwinsize(&self.master, size);
    }

    /// Whose terminal it is at the moment.
    pub(crate) fn foreground(&self) -> Option<Pid> {
        rustix::termios::tcgetpgrp(&self.master).ok()
    }
}
