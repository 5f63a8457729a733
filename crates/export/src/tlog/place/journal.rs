//! The systemd journal, in its own protocol: a datagram with one field a line.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use super::{Place, send};
use crate::tlog::Labels;

/// The journal. Durable as the journal makes it: what it was given is in its process then, and on the
/// disk when it says so to nobody (`SyncIntervalSec=`, five minutes).
pub struct JournalPlace {
    path: PathBuf,
    socket: Option<UnixDatagram>,
    priority: u8,
    augment: bool,
}

impl JournalPlace {
    /// The journal that listens at this path; `priority` is the number of a word of syslog's, 0 to 7.
    /// With `augment` the fields `TLOG_REC`, `TLOG_USER`, `TLOG_SESSION` and `TLOG_ID` are there.
    #[must_use]
    pub fn new(path: &Path, priority: u8, augment: bool) -> Self {
        Self {
            path: path.to_owned(),
            socket: None,
            priority,
            augment,
        }
    }
}

impl Place for JournalPlace {
    fn put(&mut self, message: &[u8]) -> io::Result<()> {
        let mut entry = Vec::with_capacity(message.len() + 256);
        field(&mut entry, "PRIORITY", self.priority.to_string().as_bytes());
        field(&mut entry, "SYSLOG_IDENTIFIER", b"tlog-rec-session");
        if self.augment
            && let Some(labels) = Labels::of(message)
        {
            field(&mut entry, "TLOG_REC", labels.rec.as_bytes());
            field(&mut entry, "TLOG_USER", labels.user.as_bytes());
            let session = labels.session.to_string();
            field(&mut entry, "TLOG_SESSION", session.as_bytes());
            field(&mut entry, "TLOG_ID", labels.id.to_string().as_bytes());
        }
        field(&mut entry, "MESSAGE", message);
        send(&mut self.socket, &self.path, &entry)
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A field. One that has a line feed is given with its length, so that nobody can make a field of
/// what a user is called.
fn field(entry: &mut Vec<u8>, name: &str, value: &[u8]) {
    entry.extend_from_slice(name.as_bytes());
    if value.contains(&b'\n') {
        entry.push(b'\n');
        let len = u64::try_from(value.len()).unwrap_or(u64::MAX);
        entry.extend_from_slice(&len.to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend_from_slice(value);
    entry.push(b'\n');
}
