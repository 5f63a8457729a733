//! Where messages are put: a file, syslog, the journal.

mod file;
mod journal;
mod syslog;

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

pub use file::FilePlace;
pub use journal::JournalPlace;
pub use syslog::{FACILITIES, PRIORITIES, SyslogPlace};

/// Takes messages.
///
/// Contract: `put` MUST take a message whole or not at all, also over a crash, as far as the system
/// lets it. What was put MUST be as durable as the place makes anything when `sync` has returned
/// `Ok`. After an error of either, the caller sends again what was put since the last `Ok` of
/// `sync`, so a place MUST bear repeats.
pub trait Place {
    /// Puts one message, given without a line feed.
    ///
    /// # Errors
    /// When it cannot be taken now.
    fn put(&mut self, message: &[u8]) -> io::Result<()>;

    /// Makes durable what was put.
    ///
    /// # Errors
    /// When that failed.
    fn sync(&mut self) -> io::Result<()>;
}

/// A datagram to whoever listens at this path now; a listener that was restarted is found again.
fn send(socket: &mut Option<UnixDatagram>, path: &Path, datagram: &[u8]) -> io::Result<()> {
    let about = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
    if let Some(connected) = socket {
        match connected.send(datagram) {
            Ok(_) => return Ok(()),
            Err(e) if is_gone(&e) => *socket = None,
            Err(e) => return Err(about(e)),
        }
    }
    let new = UnixDatagram::unbound()?;
    new.connect(path).map_err(about)?;
    new.send(datagram).map_err(about)?;
    *socket = Some(new);
    Ok(())
}

fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::NotConnected
            | io::ErrorKind::BrokenPipe
    )
}

#[cfg(test)]
mod tests;
