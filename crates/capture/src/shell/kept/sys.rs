//! The one thing here that no safe wrapper offers: descriptors that a process is born with.

#![allow(unsafe_code)] // Nothing but the environment says that they are ours.

use std::ffi::c_int;
use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};

/// The first that a manager hands over (`SD_LISTEN_FDS_START`).
const FIRST: RawFd = 3;

/// `fcntl(2)`: sets a descriptor's flags, and the one that closes it in children.
const F_SETFD: c_int = 2;
const FD_CLOEXEC: c_int = 1;

unsafe extern "C" {
    fn fcntl(fd: c_int, command: c_int, ...) -> c_int;
}

/// Takes this many from the first that a manager hands over on, those that are open; children get
/// none of them. Call it once, in a process that was told that they are its own and has opened nothing
/// yet.
#[must_use]
pub fn inherited(count: usize) -> Vec<OwnedFd> {
    let numbers = (FIRST..).take(count);
    numbers
        .map_while(|number| {
            // SAFETY: nothing is dereferenced; a number that is not open is an error.
            let flags = unsafe { fcntl(number, F_SETFD, FD_CLOEXEC) };
            // SAFETY: it is open, and whoever started this process gave it to us by its number
            // (LISTEN_PID, LISTEN_FDS): nothing in this process, which has opened nothing yet, owns it.
            (flags == 0).then(|| unsafe { OwnedFd::from_raw_fd(number) })
        })
        .collect()
}
