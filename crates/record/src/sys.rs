//! The one call this crate makes that no safe wrapper offers: asking the kernel whether its clock
//! is synchronised.

#![allow(unsafe_code)] // adjtimex(2) has no wrapper in rustix.

use std::ffi::c_int;

/// What adjtimex(2) answers when the clock is not synchronised (`TIME_ERROR`).
const TIME_ERROR: c_int = 5;

/// `struct timex` is 208 bytes on 64-bit Linux and 128 on 32-bit; this is larger than either, and
/// zeroed. Its first field, `modes`, being zero means: change nothing, only tell.
#[repr(C, align(8))]
struct TimexRoom([u8; 512]);

unsafe extern "C" {
    fn adjtimex(timex: *mut TimexRoom) -> c_int;
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
