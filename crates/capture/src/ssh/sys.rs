//! Descriptors that are waited for, and threads that wait for little else.
#![allow(unsafe_code)]

use std::io;
use std::mem::size_of;
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

/// How long a thread that relays works at a time before others may come first, nanoseconds: the least that the kernel takes.
/// A key and its echo take half of it.
const SLICE_NS: u64 = 100_000;

/// The thread that calls this works for little at a time from now on. It has its fair share of the processors and no more, but
/// the kernel (Linux 6.12 and later: `sched_runtime` in sched_setattr(2)) lets whoever wants little go before whoever is in the
/// midst of much. Threads and programs that it begins are as any other. An older kernel does nothing of the kind; where
/// it is refused (the packaged unit's filter), or where somebody chose how this program is scheduled, it stays as it was.
pub(super) fn answers_soon() {
    let Some(mut attr) = scheduled() else {
        return;
    };
    let is_as_any = attr.sched_policy == 0 && attr.sched_flags == 0 && attr.sched_nice >= 0;
    if !is_as_any {
        return;
    }
    // SCHED_FLAG_RESET_ON_FORK: a program that slices itself so would be in the way of others.
    attr.sched_flags = 1;
    attr.sched_runtime = SLICE_NS;
    // SAFETY: `attr` is only read, during the call, and says how long it is. Thread 0 is the one that calls.
    let _refused = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attr, 0) };
}

/// How the thread that calls this is scheduled; `None` where the system does not tell.
fn scheduled() -> Option<libc::sched_attr> {
    let size = u32::try_from(size_of::<libc::sched_attr>()).ok()?;
    let mut attr = libc::sched_attr {
        size,
        sched_policy: 0,
        sched_flags: 0,
        sched_nice: 0,
        sched_priority: 0,
        sched_runtime: 0,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: `attr` is writable and as long as is said. Thread 0 is the one that calls.
    let told = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attr, size, 0) };
    (told == 0).then_some(attr)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests may panic")]

    use super::*;

    /// Policy, nice value and slice.
    fn told() -> (u32, i32, u64) {
        let attr = scheduled().unwrap();
        (attr.sched_policy, attr.sched_nice, attr.sched_runtime)
    }

    #[test]
    fn a_thread_that_answers_soon_does_so_alone() {
        let before = told();
        let of_thread = std::thread::spawn(|| {
            answers_soon();
            (told(), std::thread::spawn(told).join().unwrap())
        });
        let (own, begun) = of_thread.join().unwrap();
        // A kernel before 6.12 tells of no slice.
        let slice = if before.2 == 0 { 0 } else { SLICE_NS };
        assert_eq!(own, (before.0, before.1, slice));
        assert_eq!(begun, before);
        assert_eq!(told(), before);
    }
}
