//! What a session runs, and leaves running.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

use super::process::{Stat, all, stat};

/// How often what is left is looked for: a process that forks all the time is followed that far.
const ROUNDS_MAX: usize = 20;

/// `PIDFD_THREAD` of Linux 6.9: the descriptor is a thread's.
const OF_THREAD: PidfdFlags = PidfdFlags::from_bits_retain(0o200);

/// A process, which no later one is taken for: a number is given again, the same start is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Root {
    pid: i32,
    started: u64,
}

impl Root {
    /// `None` when it is gone.
    pub(super) fn of(pid: i32) -> Option<Self> {
        let started = stat(pid)?.started;
        Some(Self { pid, started })
    }

    /// Kills everything that descends from this process, which itself goes on. Those whose parents are
    /// gone are still its descendants as long as it is there, whatever session or group they made
    /// (`setsid`): it is their subreaper. Answers how many were found.
    pub(super) fn kill_below(self) -> usize {
        let mut found = HashSet::new();
        for _ in 0..ROUNDS_MAX {
            let left: Vec<_> = self
                .below()
                .into_iter()
                .filter(|(_, s)| !s.is_over)
                .collect();
            if left.is_empty() {
                break;
            }
            for (pid, Stat { started, .. }) in left {
                found.insert((pid, started));
                kill(pid, started);
            }
        }
        found.len()
    }

    /// Hands over each thread of what descends from this process, once: its number, and what keeps
    /// that its own, where the kernel has such a thing. Looks for those that were started meanwhile until
    /// there are none. Answers of how many threads it could not be done, or `take` could not; one too
    /// many where new ones came all the time.
    pub(super) fn each_thread_below(
        self,
        take: &mut dyn FnMut(i32, Option<&OwnedFd>) -> bool,
    ) -> usize {
        let mut known = HashSet::new();
        let mut missed = 0;
        for _ in 0..ROUNDS_MAX {
            let before = known.len();
            for (pid, Stat { started, .. }) in self.below() {
                for thread in threads(pid) {
                    if known.insert((pid, started, thread))
                        && !hand_over(pid, started, thread, take)
                    {
                        missed += 1;
                    }
                }
            }
            if known.len() == before {
                return missed;
            }
        }
        missed + 1
    }

    /// What descends from it. One that has ended may have threads that have not.
    fn below(self) -> Vec<(i32, Stat)> {
        if Self::of(self.pid) != Some(self) {
            return Vec::new();
        }
        let known: HashMap<i32, Stat> = all()
            .into_iter()
            .filter_map(|pid| Some((pid, stat(pid)?)))
            .collect();
        let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
        for (pid, stat) in &known {
            children.entry(stat.parent).or_default().push(*pid);
        }
        let mut next = vec![self.pid];
        let mut below = Vec::new();
        while let Some(parent) = next.pop() {
            // Each process has one parent, so each is met once, but for a tree that changed meanwhile.
            for pid in children.remove(&parent).unwrap_or_default() {
                next.push(pid);
                if let Some(stat) = known.get(&pid) {
                    below.push((pid, *stat));
                }
            }
        }
        below
    }
}

/// The threads of a process; none when it is gone.
fn threads(pid: i32) -> Vec<i32> {
    let names = fs::read_dir(format!("/proc/{pid}/task"));
    let names = names.into_iter().flatten().flatten();
    names
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// Whether nothing is missing: a thread that is gone needs nothing.
fn hand_over(
    pid: i32,
    started: u64,
    thread: i32,
    take: &mut dyn FnMut(i32, Option<&OwnedFd>) -> bool,
) -> bool {
    let Some(named) = Pid::from_raw(thread) else {
        return true;
    };
    let flags = match thread == pid {
        true => PidfdFlags::empty(),
        false => OF_THREAD,
    };
    let held = match pidfd_open(named, flags) {
        Ok(held) => Some(held),
        Err(Errno::SRCH) => return true,
        // An older kernel has none for threads.
        Err(_) => None,
    };
    // Looked at again now that it is held: by its number alone it could be another's.
    let is_there = || {
        stat(pid).is_some_and(|stat| stat.started == started)
            && fs::exists(format!("/proc/{pid}/task/{thread}")).unwrap_or(false)
    };
    !is_there() || take(thread, held.as_ref()) || !is_there()
}

/// Kills this process, and none that has its number by now.
fn kill(pid: i32, started: u64) {
    let Some(named) = Pid::from_raw(pid) else {
        return;
    };
    // Held before it is looked at again: what this leads to stays the same process.
    let held = pidfd_open(named, PidfdFlags::empty());
    if stat(pid).is_none_or(|stat| stat.started != started) {
        return;
    }
    // Fails only when it is gone already.
    let _ = match held {
        Ok(held) => pidfd_send_signal(held, Signal::KILL),
        Err(_) => kill_process(named, Signal::KILL),
    };
}

/// Kills every process of the session that this process leads or led: what can still be found when
/// the login's process is gone. Answers how many were found.
///
/// Until all are gone the number belongs to nobody else: the kernel does not reuse one that names a
/// session.
pub(super) fn kill_session(leader: i32) -> usize {
    let mut found = 0;
    for _ in 0..ROUNDS_MAX {
        let left: Vec<i32> = all()
            .into_iter()
            .filter(|pid| stat(*pid).is_some_and(|stat| stat.session == leader && !stat.is_over))
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
