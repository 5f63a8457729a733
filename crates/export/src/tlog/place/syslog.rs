//! syslog, as the C library's `syslog` speaks it to the socket of this machine, under the name `tlog`.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use super::{Place, send};

/// Names of facilities, in the order of their numbers, as far as syslog(3) has them.
pub const FACILITIES: [(&str, u8); 20] = [
    ("kern", 0),
    ("user", 1),
    ("mail", 2),
    ("daemon", 3),
    ("auth", 4),
    ("syslog", 5),
    ("lpr", 6),
    ("news", 7),
    ("uucp", 8),
    ("cron", 9),
    ("authpriv", 10),
    ("ftp", 11),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
];

/// Names of priorities; the position is the number.
pub const PRIORITIES: [&str; 8] = [
    "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug",
];

/// The syslog of this machine. It takes messages and says nothing about what becomes of them.
pub struct SyslogPlace {
    path: PathBuf,
    socket: Option<UnixDatagram>,
    head: String,
}

impl SyslogPlace {
    /// The syslog that listens at this path, with numbers of facility and priority.
    #[must_use]
    pub fn new(path: &Path, facility: u8, priority: u8) -> Self {
        // Without a time: it would be in the zone of whoever reads it, and the receiver has one.
        let head = format!("<{}>tlog: ", u16::from(facility) * 8 + u16::from(priority));
        Self {
            path: path.to_owned(),
            socket: None,
            head,
        }
    }
}

impl Place for SyslogPlace {
    fn put(&mut self, message: &[u8]) -> io::Result<()> {
        let mut datagram = self.head.clone().into_bytes();
        datagram.extend_from_slice(message);
        send(&mut self.socket, &self.path, &datagram)
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}
