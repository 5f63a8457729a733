//! Who goes first where the processors are busy: sessions, whose people wait, before what is done with their
//! recordings afterwards. Each number is a thread's nice value; threads that it starts have it as well.

use rustix::process::setpriority_process;

/// What archives. It has to keep up, or the spool fills and sessions are held back, but a spool is there so that it
/// may be late.
pub(crate) const ARCHIVING: i32 = 5;

/// What makes rows of what is archived.
pub(crate) const PROJECTING: i32 = 10;

/// What makes full text of it.
pub(crate) const INDEXING: i32 = 19;

/// Has this thread step back behind those that have not.
pub(crate) fn step_back(nice: i32) {
    // Of a process's number 0, Linux takes the thread that calls. It never fails to be nicer, and if it did the
    // thread would do its work all the same.
    let _ = setpriority_process(None, nice);
}
