//! The calls this crate makes that no safe wrapper offers: asking the kernel whether its clock is
//! synchronised, telling it what kind of thread this is, and giving it memory back.

#![allow(unsafe_code)] // adjtimex(2), sched_setscheduler(2), madvise(2) of a stack have no safe wrapper.

use std::ffi::{c_int, c_void};

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

/// `pthread_attr_t` is 56 bytes on 64-bit Linux and 36 on 32-bit; this is larger than either.
#[repr(C, align(8))]
struct AttrRoom([u8; 256]);

/// `MADV_DONTNEED` of madvise(2): what is there reads as zeros when it is touched again.
const MADV_DONTNEED: c_int = 4;

/// Left alone below the frame that gives the rest back: what the calls in it need, and what an interrupt of the
/// thread may have written there.
const STACK_KEPT_BYTES: usize = 16 * 1024;

unsafe extern "C" {
    fn adjtimex(timex: *mut TimexRoom) -> c_int;
    fn pthread_self() -> usize;
    fn pthread_getattr_np(thread: usize, attr: *mut AttrRoom) -> c_int;
    fn pthread_attr_getstack(
        attr: *const AttrRoom,
        lowest: *mut *mut c_void,
        bytes: *mut usize,
    ) -> c_int;
    fn pthread_attr_destroy(attr: *mut AttrRoom) -> c_int;
    fn madvise(from: *mut c_void, bytes: usize, advice: c_int) -> c_int;
    #[cfg(target_env = "gnu")]
    fn malloc_trim(pad: usize) -> c_int;
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

/// See [`crate::memory::give_back`].
pub(crate) fn trim_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes a number only, and may be called by any thread at any time (malloc_trim(3)).
    unsafe {
        malloc_trim(0);
    }
}

/// The lowest address of the stack of the thread that calls, which it grows towards.
pub(crate) fn stack_begins_at() -> Option<usize> {
    let mut room = AttrRoom([0; 256]);
    let (mut lowest, mut bytes) = (std::ptr::null_mut(), 0);
    // SAFETY: `room` is writable, aligned as `pthread_attr_t` asks and larger than it; the thread is this one, so it
    // runs.
    if unsafe { pthread_getattr_np(pthread_self(), &raw mut room) } != 0 {
        return None;
    }
    // SAFETY: `room` was filled by the call above; both others are written during the call only.
    let told = unsafe { pthread_attr_getstack(&raw const room, &raw mut lowest, &raw mut bytes) };
    // SAFETY: filled above, and not used after this.
    unsafe { pthread_attr_destroy(&raw mut room) };
    (told == 0 && !lowest.is_null()).then(|| lowest.addr())
}

/// Gives back what of the stack of the thread that calls lies well below this call's own frame, down to `begins_at`,
/// which [`stack_begins_at`] answered in this same thread.
#[inline(never)]
pub(crate) fn trim_stack(begins_at: usize) {
    let here = 0_u8;
    let page = rustix::param::page_size();
    let until = (&raw const here).addr().saturating_sub(STACK_KEPT_BYTES) / page * page;
    let from = begins_at.next_multiple_of(page);
    let Some(bytes) = until.checked_sub(from).filter(|bytes| *bytes > 0) else {
        return;
    };
    let from = std::ptr::with_exposed_provenance_mut(from);
    // SAFETY: the range is of this thread's own stack and ends more than a page below the frame that is being run:
    // stacks grow downwards on all machines that this is built for, so nothing in it is in use, and whatever is
    // called next writes there before it reads. A signal is handled before or after the call.
    let _refused = unsafe { madvise(from, bytes, MADV_DONTNEED) };
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
