//! What a poll loop waits for, without counting places by hand.

use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::error::ShellError;

/// That a descriptor will never do anything again.
pub(crate) const GONE: PollFlags = PollFlags::HUP.union(PollFlags::ERR).union(PollFlags::NVAL);

/// Descriptors to wait for.
pub(crate) struct Fds<'fd>(Vec<PollFd<'fd>>);

impl<'fd> Fds<'fd> {
    pub(crate) fn new() -> Self {
        Self(Vec::with_capacity(6))
    }

    /// Waits for this as well. Returns its place.
    pub(crate) fn add(&mut self, fd: BorrowedFd<'fd>, events: PollFlags) -> Option<usize> {
        self.0.push(PollFd::from_borrowed_fd(fd, events));
        Some(self.0.len() - 1)
    }

    /// Waits; a signal ends that as well.
    pub(crate) fn poll(&mut self, timeout: Option<&Timespec>) -> Result<(), ShellError> {
        match poll(&mut self.0, timeout) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(ShellError::errno("wait for the program")(errno)),
        }
    }

    /// What came at a place; nothing where nothing was waited for.
    pub(crate) fn came(&self, place: Option<usize>) -> PollFlags {
        let fd = place.and_then(|place| self.0.get(place));
        fd.map_or(PollFlags::empty(), PollFd::revents)
    }
}
