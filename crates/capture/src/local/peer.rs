//! Who is at the other end of a socket, by the system's word.

use std::io;
use std::os::fd::BorrowedFd;

use crate::shell::groups;
use hansard_core::Login;
use hansard_core::fields::Fields;
use hansard_shell::{account_of, group_of, groups_of, login_uid, subject_of};
use rustix::net::sockopt::socket_peercred;

/// Whoever connected, by number, as they were then.
pub(crate) struct Caller {
    pub(crate) uid: u32,
    pid: Option<i32>,
    /// Who logged in.
    login: Option<u32>,
}

/// Whoever connected.
pub(crate) struct Peer {
    pub(crate) uid: u32,
    pub(crate) pid: Option<i32>,
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
        let login = pid.and_then(|pid| {
            let process = pid.to_string();
            let login = login_uid(&process);
            // A process that has ended leaves its number to others: one of another user is not it.
            login.filter(|_| effective_uid(&process) == Some(uid))
        });
        Ok(Self { uid, pid, login })
    }

    /// The same with names. A directory service may be asked, for as long as it takes: in the
    /// connection's own thread, so that it is this one alone that waits.
    pub(super) fn named(self) -> Peer {
        Peer {
            uid: self.uid,
            pid: self.pid,
            login: self.login,
            subject: subject_of(self.uid, self.login),
        }
    }
}

impl Peer {
    /// The same as whoever wants a session of this kind.
    pub(crate) fn login(&self, kind: &str) -> Login {
        let mut groups = self.pid.map(groups).unwrap_or_default();
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
