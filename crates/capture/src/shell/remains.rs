//! What a session leaves running.

use rustix::process::{Pid, Signal, kill_process};

use super::process::{all, stat};

/// How often what is left is looked for: a process that forks all the time is followed that far.
const ROUNDS_MAX: usize = 5;

/// Kills every process of the session that this process leads or led. Answers how many were found.
///
/// Until all are gone the number belongs to nobody else: the kernel does not reuse one that names a
/// session.
pub(super) fn kill(leader: i32) -> usize {
    let mut found = 0;
    for _ in 0..ROUNDS_MAX {
        let left: Vec<i32> = all()
            .into_iter()
            .filter(|pid| stat(*pid).is_some_and(|stat| stat.session == leader))
            .collect();
        if left.is_empty() {
            break;
        }
        found += left.len();
        for pid in left.into_iter().filter_map(Pid::from_raw) {
            // Fails only when it is gone already.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    found
}
