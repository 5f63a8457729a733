//! The calls this crate makes that no safe wrapper offers: asking the kernel whether its clock is
//! synchronised, and telling it what kind of thread this is.

#![allow(unsafe_code)] // adjtimex(2) and sched_setscheduler(2) have no wrapper in rustix.

use std::ffi::c_int;

/// What adjtimex(2) answers when the clock is not synchronised (`TIME_ERROR`).
const TIME_ERROR: c_int = 5;

/// `struct timex` is 208 bytes on 64-bit Linux and 128 on 32-bit; this is larger than either, and
/// zeroed. Its first field, `modes`, being zero means: change nothing, only tell.
#[repr(C, align(8))]
struct TimexRoom([u8; 512]);

/// `SCHED_OTHER` of sched(7), which every thread has that nobody gave another.
const SCHED_OTHER: c_int = 0;

/// `SCHED_BATCH`.
const SCHED_BATCH: c_int = 3;

/// `struct sched_param`: priorities are for real-time threads, any other has 0.
#[repr(C)]
struct SchedParam {
    sched_priority: c_int,
}

unsafe extern "C" {
    fn adjtimex(timex: *mut TimexRoom) -> c_int;
    fn sched_getscheduler(pid: c_int) -> c_int;
    fn sched_setscheduler(pid: c_int, policy: c_int, param: *const SchedParam) -> c_int;
}

/// Whether the kernel calls its clock synchronised; `None` where it does not say (a sandbox that
/// forbids the call).
pub(crate) fn kernel_clock_is_synchronised() -> Option<bool> {
    let mut room = TimexRoom([0; 512]);
    // SAFETY: `room` is writable, aligned as `struct timex` asks and larger than it; the kernel
    // writes nothing beyond that struct and keeps no pointer to it. `modes` is zero, so nothing
    // is changed.
    let state = unsafe { adjtimex(&raw mut room) };
    match state {
        TIME_ERROR => Some(false),
        0..=4 => Some(true),
        _ => None,
    }
}

/// The thread that calls this has its fair share of the processors from now on, but does not take one from
/// another thread by being woken (`SCHED_BATCH`). Where that is refused (a sandbox), or where somebody chose how this program
/// is scheduled, it stays as it was.
pub(crate) fn work_in_batches() {
    // SAFETY: no memory is given. Thread 0 is the one that calls.
    if unsafe { sched_getscheduler(0) } != SCHED_OTHER {
        return;
    }
    let param = SchedParam { sched_priority: 0 };
    // SAFETY: `param` is laid out as `struct sched_param` and only read, during the call. Thread 0 is the
    // one that calls.
    let _refused = unsafe { sched_setscheduler(0, SCHED_BATCH, &raw const param) };
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests may panic")]

    /// The policy of this thread: field 41 of proc_pid_stat(5), the 39th after the name in parentheses.
    fn policy() -> String {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let after_name = stat.rsplit_once(')').unwrap().1;
        after_name.split_whitespace().nth(38).unwrap().to_owned()
    }

    #[test]
    fn a_thread_that_works_in_batches_does_so_alone() {
        let before = policy();
        let of_thread = std::thread::spawn(|| {
            super::work_in_batches();
            policy()
        });
        assert_eq!(of_thread.join().unwrap(), super::SCHED_BATCH.to_string());
        assert_eq!(policy(), before);
    }
}
