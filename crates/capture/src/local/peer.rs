//! Who is at the other end of a socket, by the system's word.

use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::MetadataExt as _;

use hansard_core::fields::Fields;
use hansard_shell::{login_uid, subject_of};
use rustix::net::sockopt::socket_peercred;

/// Whoever connected, as they were then.
pub(super) struct Peer {
    pub(super) uid: u32,
    pub(super) pid: Option<i32>,
    /// `user`, `login`, `uid`.
    pub(super) subject: Fields,
}

impl Peer {
    pub(super) fn of(socket: BorrowedFd<'_>) -> io::Result<Self> {
        let credentials = socket_peercred(socket)?;
        let uid = credentials.uid.as_raw();
        // Of another pid namespace there is none: the kernel says 0.
        let pid = Some(credentials.pid.as_raw_nonzero().get()).filter(|pid| *pid > 0);
        let login = pid.and_then(|pid| {
            let process = pid.to_string();
            let login = login_uid(&process);
            // A process that has ended leaves its number to others: one of another user is not it.
            let owner = std::fs::metadata(format!("/proc/{process}")).ok()?.uid();
            login.filter(|_| owner == uid)
        });
        Ok(Self {
            uid,
            pid,
            subject: subject_of(uid, login),
        })
    }
}
