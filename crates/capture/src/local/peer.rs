//! Who is at the other end of a socket, by the system's word.

use std::io;
use std::os::fd::BorrowedFd;

use crate::shell::{Process, groups};
use hansard_core::Login;
use hansard_core::fields::Fields;
use hansard_shell::{account_of, group_of, groups_of, login_uid, subject_of};
use rustix::net::sockopt::socket_peercred;

/// Whoever connected, by number, as they were then.
pub(crate) struct Caller {
    pub(crate) uid: u32,
    pid: Option<i32>,
    process: Option<Process>,
    /// Who logged in.
    login: Option<u32>,
}

/// Whoever connected.
pub(crate) struct Peer {
    pub(crate) uid: u32,
    /// The number of the process that connected, which may have been another's already when it was asked for.
    pub(crate) pid: Option<i32>,
    /// That process, if it was there and its user's.
    pub(crate) process: Option<Process>,
    /// The user who logged in, which `su` and `sudo` do not change; where the system says.
    pub(crate) login: Option<u32>,
    /// `user`, `login`, `uid`.
    pub(crate) subject: Fields,
}

impl Caller {
    pub(super) fn of(socket: BorrowedFd<'_>) -> io::Result<Self> {
        let credentials = socket_peercred(socket)?;
        let uid = credentials.uid.as_raw();
        // Of another pid namespace there is none: the kernel says 0.
        let pid = Some(credentials.pid.as_raw_nonzero().get()).filter(|pid| *pid > 0);
        // A process that has ended leaves its number to others: one of another user is not it. From here on
        // one of the same user is not, either.
        let process = pid.and_then(|pid| {
            let found = Process::of(pid)?;
            (found.asked(|pid| effective_uid(&pid.to_string()))? == Some(uid)).then_some(found)
        });
        let login = process.and_then(|of| of.asked(|pid| login_uid(&pid.to_string()))?);
        Ok(Self {
            uid,
            pid,
            process,
            login,
        })
    }

    /// The same with names. A directory service may be asked, for as long as it takes: in the
    /// connection's own thread, so that it is this one alone that waits.
    pub(super) fn named(self) -> Peer {
        Peer {
            uid: self.uid,
            pid: self.pid,
            process: self.process,
            login: self.login,
            subject: subject_of(self.uid, self.login),
        }
    }
}

impl Peer {
    /// The same as whoever wants a session of this kind.
    pub(crate) fn login(&self, kind: &str) -> Login {
        let mut groups = self
            .process
            .and_then(|of| of.asked(groups))
            .unwrap_or_default();
        // A process may have fewer groups than its user: what it gave up decides all the same.
        let account = account_of(self.uid);
        let all = account.as_ref().map(groups_of).unwrap_or_default();
        for gid in all {
            let group = group_of(gid).unwrap_or_else(|| gid.to_string());
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        Login {
            user: self.subject.text("user").unwrap_or_default().to_owned(),
            uid: self.uid,
            groups,
            kind: kind.to_owned(),
        }
    }
}

/// Whose a process is. Not its directory's owner: that is root's where the process may not be looked
/// into.
pub(crate) fn effective_uid(process: &str) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}
