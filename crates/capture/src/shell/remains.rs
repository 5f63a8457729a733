//! What a session runs, and leaves running.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

use super::process::{Process, Stat, all, stat};

/// How often what is left is looked for: a process that forks all the time is followed that far.
const ROUNDS_MAX: usize = 20;

/// `PIDFD_THREAD` of Linux 6.9: the descriptor is a thread's.
const OF_THREAD: PidfdFlags = PidfdFlags::from_bits_retain(0o200);

impl Process {
    /// Kills everything that descends from this process, which itself goes on. Those whose parents are
    /// gone are still its descendants as long as it is there, whatever session or group they made
    /// (`setsid`): it is their subreaper. Answers how many were found.
    pub(crate) fn kill_below(self) -> usize {
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

    /// Kills it, and none that has its number by now.
    pub(crate) fn kill(self) {
        kill(self.pid, self.started);
    }

    /// Whether it is there and has not ended.
    pub(crate) fn goes_on(self) -> bool {
        self.stat().is_some_and(|stat| !stat.is_over)
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

    /// Who descends from it and has not ended.
    pub(crate) fn descendants(self) -> Vec<Self> {
        let below = self.below().into_iter().filter(|(_, stat)| !stat.is_over);
        let processes = below.map(|(pid, Stat { started, .. })| Self { pid, started });
        processes.collect()
    }

    /// What descends from it. One that has ended may have threads that have not.
    fn below(self) -> Vec<(i32, Stat)> {
        if !self.is_there() {
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

/// The session that a process leads or led, and those in it that are known: the number of a session may be
/// another's once all of them are gone, and not before.
#[derive(Debug)]
pub(crate) struct Led {
    leader: Process,
    /// Whose it is.
    uid: u32,
    known: HashSet<Process>,
}

impl Led {
    /// Of a session that this process leads, if it is this user's.
    pub(crate) fn by(pid: i32, uid: u32) -> Option<Self> {
        let leader = Process::of_user(pid, uid)?;
        (leader.stat()?.session == pid).then(|| Self {
            leader,
            uid,
            known: HashSet::new(),
        })
    }

    /// The same, if that process is a child of this one.
    pub(super) fn by_child(pid: i32, parent: Process, uid: u32) -> Option<Self> {
        let led = Self::by(pid, uid)?;
        let is_child = led.leader.stat()?.parent == parent.pid && parent.is_there();
        is_child.then_some(led)
    }

    /// Notes who is in it, as long as that is certain: by them it is known again when its leader is gone.
    pub(crate) fn look(&mut self) {
        if self.is_certain() {
            self.known.extend(self.members());
        }
    }

    /// Who is in it and has not ended. Where its number may be another's by now, those of its user, and of
    /// root none.
    pub(crate) fn left(&self) -> Vec<Process> {
        let is_certain = self.is_certain();
        let is_ours = |one: &Process| {
            is_certain || self.uid != 0 && Process::of_user(one.pid, self.uid) == Some(*one)
        };
        if !is_certain && stat(self.leader.pid).is_some() {
            // Somebody else has its number, which they cannot before all are gone.
            return Vec::new();
        }
        let members = self.members().into_iter();
        members
            .filter(|one| one.goes_on() && is_ours(one))
            .collect()
    }

    /// Kills every process of it: what can still be found when the login's process is gone. Answers how many
    /// were found.
    pub(crate) fn kill(&mut self) -> usize {
        let mut found = HashSet::new();
        for _ in 0..ROUNDS_MAX {
            self.look();
            let left = self.left();
            if left.is_empty() {
                break;
            }
            for process in left {
                found.insert(process);
                process.kill();
            }
        }
        found.len()
    }

    /// One that ended and was not waited for keeps the number, too.
    fn is_certain(&self) -> bool {
        let is_member = |one: &Process| {
            let stat = one.stat();
            stat.is_some_and(|stat| stat.session == self.leader.pid)
        };
        self.leader.is_there() || self.known.iter().any(is_member)
    }

    /// Whoever is in a session of this number.
    fn members(&self) -> Vec<Process> {
        let is_in = |stat: &Stat| stat.session == self.leader.pid;
        let found = all().into_iter().filter_map(|pid| {
            let Stat { started, .. } = stat(pid).filter(is_in)?;
            Some(Process { pid, started })
        });
        found.collect()
    }
}

#[cfg(test)]
#[path = "remains/tests.rs"]
mod tests;
