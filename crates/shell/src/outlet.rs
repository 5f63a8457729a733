//! Where bytes leave us: a standard output that others share, so its flags must not be changed.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::net::{SendFlags, send};

use crate::error::ShellError;

/// How a write is kept from blocking the loop.
enum Way {
    /// It has its own open file description that does not block, or it never blocks.
    Plain,
    /// A socket: the flag goes with each call.
    Socket,
}

/// A descriptor to write to without blocking, where the kernel allows that.
pub(crate) struct Outlet {
    fd: OwnedFd,
    way: Way,
}

impl Outlet {
    /// Somebody else's descriptor. `O_NONBLOCK` belongs to the open file, which the shell and the
    /// programs after us use too; so a pipe or terminal is opened a second time. Where that is
    /// refused (another user's terminal), writes block, which only delays what is typed.
    pub(crate) fn shared(fd: BorrowedFd<'_>) -> Result<Self, ShellError> {
        let way = match kind(fd) {
            Some(FileType::Socket) => Way::Socket,
            _ => Way::Plain,
        };
        let fd = reopen(fd, OFlags::WRONLY)?;
        Ok(Self { fd, way })
    }

    /// Our own end of a pipe.
    pub(crate) fn own(fd: OwnedFd) -> Result<Self, ShellError> {
        rustix::io::ioctl_fionbio(&fd, true).map_err(ShellError::errno("set up a pipe"))?;
        Ok(Self {
            fd,
            way: Way::Plain,
        })
    }

    /// Writes as much as fits now. 0 means: later.
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<usize, Errno> {
        loop {
            let written = match self.way {
                Way::Plain => rustix::io::write(&self.fd, bytes),
                Way::Socket => send(&self.fd, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL),
            };
            match written {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(0),
                other => return other,
            }
        }
    }
}

impl AsFd for Outlet {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Somebody else's descriptor to read from, not blocking where the kernel allows that.
pub(crate) fn inlet(fd: BorrowedFd<'_>) -> Result<OwnedFd, ShellError> {
    reopen(fd, OFlags::RDONLY)
}

/// Whether reading from it can only fail, as from a directory. A program that is given it as it is hears
/// that for itself, and there is nothing to record.
pub(crate) fn never_reads(fd: BorrowedFd<'_>) -> bool {
    kind(fd) == Some(FileType::Directory) || !allows(fd, OFlags::RDONLY)
}

fn kind(fd: BorrowedFd<'_>) -> Option<FileType> {
    fstat(fd)
        .ok()
        .map(|stat| FileType::from_raw_mode(stat.st_mode))
}

/// Whether a descriptor was opened for this.
pub(crate) fn allows(fd: BorrowedFd<'_>, access: OFlags) -> bool {
    rustix::fs::fcntl_getfl(fd).is_ok_and(|flags| {
        let mode = flags & OFlags::RWMODE;
        !flags.contains(OFlags::PATH) && (mode == OFlags::RDWR || mode == access)
    })
}

/// What is behind a descriptor, opened a second time and not blocking; `None` where the system refuses.
pub(crate) fn opened_again(fd: BorrowedFd<'_>, access: OFlags) -> Option<OwnedFd> {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let flags = access | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    open(path, flags, Mode::empty()).ok()
}

fn reopen(fd: BorrowedFd<'_>, access: OFlags) -> Result<OwnedFd, ShellError> {
    // A master of a pseudo-terminal would open as a new one; a file would start at its beginning.
    let reopens = match kind(fd) {
        Some(FileType::Fifo) => true,
        Some(FileType::CharacterDevice) => {
            rustix::termios::isatty(fd) && rustix::pty::ptsname(fd, Vec::new()).is_err()
        }
        _ => false,
    };
    // Whoever gave it to us may do no more with it than they could: a daemon opens what they cannot.
    if reopens
        && allows(fd, access)
        && let Some(own) = opened_again(fd, access)
    {
        return Ok(own);
    }
    fcntl_dupfd_cloexec(fd, 3).map_err(ShellError::errno("use standard input and output"))
}
