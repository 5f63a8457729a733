//! Descriptors that are waited for.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Waits for this descriptor from now on.
///
/// # Errors
/// What the system says.
pub(super) fn watched(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` has one descriptor, the same one for as long as it lives, and closes it only
    // when it is dropped; the `AsyncFd` has it to itself and drops it after it has taken it out.
    let watched = unsafe { AsyncFd::register_with_interest(fd, interest) };
    watched.map_err(|e| io::Error::other(e.to_string()))
}

/// The same of a copy.
///
/// # Errors
/// What the system says.
pub(super) fn watched_copy(fd: impl AsFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    watched(rustix::io::fcntl_dupfd_cloexec(fd, 3)?, interest)
}
