//! The terminals behind a terminal: under `sudo` with `use_pty`, `script` and the like, the one that decides whether keys are
//! shown is not the session's own, which only passes them on.
//!
//! Whoever relays is in the foreground of the outer terminal and holds the master of the inner one. That very descriptor is
//! borrowed for as long as it takes to ask (`pidfd_getfd`): no name is looked up, so that no terminal of another `/dev/pts`, a
//! container's say, is taken for it; none is opened, so that none becomes anybody's controlling terminal and none sees its
//! other side come and go. It takes the right to trace that process: root has it, others have it of what they started. Where
//! it is missing, or nobody in the foreground holds a master (`tmux`, `ssh`, `docker exec`), nothing is found.

use std::fs;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::path::Path;
use std::time::Instant;

use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, getpgid, pidfd_getfd, pidfd_open};
use rustix::termios::tcgetpgrp;

use crate::limits::{
    INNER_DEEP_MAX, INNER_FDS_MAX, INNER_KEPT, INNER_PROCESSES_MAX, INNER_TERMINALS_MAX,
};
use crate::terminal::{Echo, echo_of};

/// Looks at a terminal and at those behind it; remembers for a moment where they were.
#[derive(Debug, Default)]
pub(crate) struct Inner {
    /// Who had the outer terminal when it was looked for them, and when that was.
    looked: Option<(Pid, Instant)>,
    found: Vec<Master>,
}

/// The master of a terminal that another process holds: which process, whoever gets its number later, and which descriptor.
#[derive(Debug)]
struct Master {
    process: OwnedFd,
    fd: i32,
}

impl Inner {
    /// What this terminal does with what is typed; `Raw` one behind which another hides it: as that one.
    pub(crate) fn echo(&mut self, terminal: impl AsFd) -> Echo {
        match echo_of(&terminal) {
            // One that shows keys proves nothing: they may not be for it (a shell in an editor's window).
            Echo::Raw if self.hides_behind(terminal) => Echo::Off,
            echo => echo,
        }
    }

    fn hides_behind(&mut self, terminal: impl AsFd) -> bool {
        let Ok(group) = tcgetpgrp(&terminal) else {
            return false;
        };
        let now = Instant::now();
        let is_fresh = |(of, at): (Pid, Instant)| {
            of == group && now.saturating_duration_since(at) < INNER_KEPT
        };
        if !self.looked.is_some_and(is_fresh) {
            self.looked = Some((group, now));
            self.found = behind(group);
        }
        let mut masters = self.found.iter().filter_map(Master::borrow);
        masters.any(|master| echo_of(master) == Echo::Off)
    }
}

impl Master {
    /// The descriptor itself, if it is a terminal's master still. To be let go of at once: as long as it is held, its terminal
    /// is not hung up.
    fn borrow(&self) -> Option<OwnedFd> {
        let fd = pidfd_getfd(&self.process, self.fd, PidfdGetfdFlags::empty()).ok()?;
        if is_master(Path::new("/proc/self"), fd.as_raw_fd()) {
            return Some(fd);
        }
        // Put there since it was found. Whoever did so may have a file for which closing waits, for ever if they like.
        let _ = std::thread::Builder::new().spawn(move || drop(fd));
        None
    }
}

/// The terminals behind one that this group has in the foreground, and behind those.
fn behind(group: Pid) -> Vec<Master> {
    let mut all = Vec::new();
    let mut groups = vec![group];
    for _ in 0..INNER_DEEP_MAX {
        let mut next = Vec::new();
        for master in groups.drain(..).flat_map(masters_of) {
            let Some(fd) = master.borrow() else { continue };
            if echo_of(&fd) == Echo::Raw {
                next.extend(tcgetpgrp(&fd));
            }
            drop(fd);
            all.push(master);
            if all.len() >= INNER_TERMINALS_MAX {
                return all;
            }
        }
        groups = next;
    }
    all
}

/// What the processes of a group hold: of its leader, and of what descends from that and is in the group as well.
fn masters_of(group: Pid) -> Vec<Master> {
    let mut all = Vec::new();
    let mut pids = vec![group];
    let mut at = 0;
    while let Some(pid) = pids.get(at).copied() {
        at += 1;
        // First of all, so that what is read by its number is this one's, or nothing comes of it.
        if let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) {
            let masters = masters_in(pid).into_iter();
            let held = |fd| Some((process.try_clone().ok()?, fd));
            all.extend(
                masters
                    .filter_map(held)
                    .map(|(process, fd)| Master { process, fd }),
            );
        }
        let room = INNER_PROCESSES_MAX.saturating_sub(pids.len());
        let of_group = |pid: &Pid| getpgid(Some(*pid)) == Ok(group);
        pids.extend(children(pid).into_iter().filter(of_group).take(room));
    }
    all
}

/// Those of its first thread: who relays a terminal has no others that matter.
fn children(pid: Pid) -> Vec<Pid> {
    let of = pid.as_raw_nonzero();
    let listed = fs::read_to_string(format!("/proc/{of}/task/{of}/children"));
    let listed = listed.unwrap_or_default();
    let pids = listed.split_ascii_whitespace().map(str::parse);
    pids.filter_map(|pid| Pid::from_raw(pid.ok()?)).collect()
}

/// Which descriptors of a process are masters. Only links and what the kernel itself says of descriptors are read: a file
/// behind one could be of a server that does not answer.
fn masters_in(pid: Pid) -> Vec<i32> {
    let process = format!("/proc/{}", pid.as_raw_nonzero());
    let process = Path::new(&process);
    let Ok(fds) = fs::read_dir(process.join("fd")) else {
        return Vec::new();
    };
    let fds = fds.take(INNER_FDS_MAX).flatten().filter_map(|entry| {
        let to = fs::read_link(entry.path()).ok()?;
        let fd = entry.file_name().to_str()?.parse().ok()?;
        to.ends_with("ptmx").then_some(fd)
    });
    fds.filter(|fd| is_master(process, *fd)).collect()
}

/// Of masters alone the kernel says which terminal they are of.
fn is_master(process: &Path, fd: i32) -> bool {
    let said = fs::read_to_string(process.join("fdinfo").join(fd.to_string()));
    said.is_ok_and(|said| said.lines().any(|line| line.starts_with("tty-index:")))
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};
    use std::time::Duration;

    use rustix::process::{Signal, kill_process};
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

    use super::*;
    use crate::pty::Pty;

    /// A terminal that only passes keys on, and a program in its foreground.
    struct Relay {
        outer: Pty,
        child: Child,
    }

    impl Relay {
        fn start(words: &[&str], hold: Option<&Pty>) -> Self {
            let outer = pty();
            set(&outer, &[], &[LocalModes::ECHO, LocalModes::ICANON]);
            let held = hold.map_or_else(Stdio::null, |inner| {
                rustix::io::fcntl_dupfd_cloexec(inner.master(), 3)
                    .unwrap()
                    .into()
            });
            // `setsid --ctty` reads which terminal from its standard input; the master is error.
            let child = Command::new("setsid")
                .args(["--ctty"])
                .args(words)
                .stdin(outer.slave_copy().unwrap())
                .stderr(held)
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            Self { outer, child }
        }

        /// What is seen, once it is this or nothing else has been seen for long.
        fn sees(&self, wanted: Echo) {
            let since = Instant::now();
            let mut inner = Inner::default();
            while inner.echo(self.outer.master()) != wanted {
                assert!(since.elapsed() < Duration::from_secs(30), "{wanted:?}");
                std::thread::yield_now();
            }
        }
    }

    impl Drop for Relay {
        fn drop(&mut self) {
            for child in children(Pid::from_child(&self.child)) {
                let _ = kill_process(child, Signal::KILL);
            }
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    fn pty() -> Pty {
        Pty::open_plain(crate::terminal::NO_SIZE).unwrap()
    }

    fn set(pty: &Pty, on: &[LocalModes], off: &[LocalModes]) {
        let mut modes = tcgetattr(pty.slave()).unwrap();
        on.iter().for_each(|mode| modes.local_modes.insert(*mode));
        off.iter().for_each(|mode| modes.local_modes.remove(*mode));
        tcsetattr(pty.slave(), OptionalActions::Now, &modes).unwrap();
    }

    #[test]
    fn a_terminal_that_the_foreground_relays_to_is_seen_to_hide() {
        let inner = pty();
        let relay = Relay::start(&["sleep", "600"], Some(&inner));
        relay.sees(Echo::Raw);
        set(&inner, &[], &[LocalModes::ECHO]);
        relay.sees(Echo::Off);
        // Found, the modes themselves are of each moment.
        let mut look = Inner::default();
        assert_eq!(look.echo(relay.outer.master()), Echo::Off);
        set(&inner, &[LocalModes::ECHO], &[]);
        assert_eq!(look.echo(relay.outer.master()), Echo::Raw);
        set(&inner, &[], &[LocalModes::ECHO]);
        assert_eq!(look.echo(relay.outer.master()), Echo::Off);
        // Its own modes say it all.
        set(&relay.outer, &[LocalModes::ECHO], &[]);
        assert_eq!(look.echo(relay.outer.master()), Echo::On);
    }

    #[test]
    fn it_may_be_a_child_of_the_leader_that_relays_but_not_one_in_the_background() {
        let inner = pty();
        set(&inner, &[], &[LocalModes::ECHO]);
        let hold = Some(&inner);
        let relay = Relay::start(&["sh", "-c", "sleep 600; :"], hold);
        relay.sees(Echo::Off);
        let script = "exec 3>&2 2>/dev/null; set -m; sleep 600 2>&3 & exec 3>&-; wait";
        let relay = Relay::start(&["sh", "-c", script], hold);
        let is_there = || {
            let pid = Pid::from_child(&relay.child);
            children(pid)
                .first()
                .is_some_and(|child| !masters_in(*child).is_empty())
                && masters_in(pid).is_empty()
        };
        let since = Instant::now();
        while !is_there() {
            assert!(since.elapsed() < Duration::from_secs(30));
            std::thread::yield_now();
        }
        assert_eq!(Inner::default().echo(relay.outer.master()), Echo::Raw);
    }

    #[test]
    fn a_relay_behind_a_relay_is_followed() {
        let inner = pty();
        set(&inner, &[], &[LocalModes::ECHO]);
        let second = Relay::start(&["sleep", "600"], Some(&inner));
        let first = Relay::start(&["sleep", "600"], Some(&second.outer));
        first.sees(Echo::Off);
    }

    #[test]
    fn what_is_no_master_is_given_back() {
        let master = Master {
            process: pidfd_open(rustix::process::getpid(), PidfdFlags::empty()).unwrap(),
            fd: 0,
        };
        assert!(master.borrow().is_none());
        let mut look = Inner::default();
        // Without anybody in its foreground nothing is behind it.
        let lonely = pty();
        set(&lonely, &[], &[LocalModes::ECHO, LocalModes::ICANON]);
        assert_eq!(look.echo(lonely.master()), Echo::Raw);
    }
}
