//! What the service manager is told: sd_notify(3) without its library, which is a datagram.
//!
//! Nothing listens on most machines, and nothing depends on being heard; so errors are answers, and
//! the caller may log them.

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt};
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Longest `STATUS=`, bytes; the rest is cut.
const STATUS_BYTES_MAX: usize = 512;

/// Where to say it.
pub struct Notify {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Notify {
    /// Who asked for it in this process's environment (`NOTIFY_SOCKET`, `WATCHDOG_USEC`,
    /// `WATCHDOG_PID`), or nobody.
    ///
    /// # Errors
    /// When `NOTIFY_SOCKET` is there and no address.
    pub fn from_environment() -> io::Result<Self> {
        let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
        let is_ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|_| is_ours);
        let name = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty());
        Self::new(
            name.map(OsStringExt::into_vec).as_deref(),
            watchdog.filter(|us| *us > 0).map(Duration::from_micros),
        )
    }

    /// To the socket of this name: a path, or `@` and an abstract name.
    ///
    /// # Errors
    /// `InvalidInput` when it is neither.
    pub fn new(name: Option<&[u8]>, watchdog: Option<Duration>) -> io::Result<Self> {
        let socket = match name {
            None => None,
            Some(name) => {
                let address = address(name)?;
                let socket = UnixDatagram::unbound()?;
                // A manager that does not read must not hold the daemon up.
                socket.set_nonblocking(true)?;
                Some((socket, address))
            }
        };
        Ok(Self { socket, watchdog })
    }

    /// How often [`Notify::alive`] must be called: half of what the manager waits for.
    #[must_use]
    pub fn alive_every(&self) -> Option<Duration> {
        self.watchdog.map(|wait| wait / 2)
    }

    /// Everything is open and answers.
    ///
    /// # Errors
    /// What the system says; the manager did not hear it.
    pub fn ready(&self, status: &str) -> io::Result<()> {
        self.send(&format!("READY=1\nSTATUS={}", plain(status)))
    }

    /// What is being done.
    ///
    /// # Errors
    /// As [`Notify::ready`].
    pub fn status(&self, status: &str) -> io::Result<()> {
        self.send(&format!("STATUS={}", plain(status)))
    }

    /// The configuration is being read again; [`Notify::ready`] ends it. `monotonic_us` is now by
    /// CLOCK_MONOTONIC, which the manager compares with its own.
    ///
    /// # Errors
    /// As [`Notify::ready`].
    pub fn reloading(&self, monotonic_us: u64) -> io::Result<()> {
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={monotonic_us}"))
    }

    /// The daemon is about to end.
    ///
    /// # Errors
    /// As [`Notify::ready`].
    pub fn stopping(&self) -> io::Result<()> {
        self.send("STOPPING=1\nSTATUS=stopping")
    }

    /// The daemon does its work.
    ///
    /// # Errors
    /// As [`Notify::ready`].
    pub fn alive(&self) -> io::Result<()> {
        self.send("WATCHDOG=1")
    }

    fn send(&self, text: &str) -> io::Result<()> {
        match &self.socket {
            Some((socket, address)) => socket.send_to_addr(text.as_bytes(), address).map(|_| ()),
            None => Ok(()),
        }
    }
}

/// The socket of this name.
pub(crate) fn address(name: &[u8]) -> io::Result<SocketAddr> {
    match name {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        [b'/', ..] => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(name)),
        _ => {
            let what = "NOTIFY_SOCKET is neither a path nor an abstract name";
            Err(io::Error::new(io::ErrorKind::InvalidInput, what))
        }
    }
}

/// A status is one line: what follows a line break would be an assignment of its own.
fn plain(status: &str) -> String {
    let escaped = hansard_view::escape_for_humans(status);
    let mut end = escaped.len().min(STATUS_BYTES_MAX);
    while !escaped.is_char_boundary(end) {
        end -= 1;
    }
    escaped.get(..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(socket: &UnixDatagram) -> String {
        let mut bytes = [0u8; 2048];
        let n = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..n].to_vec()).unwrap()
    }

    fn all_of_it(socket: &UnixDatagram, name: &[u8]) {
        socket
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let notify = Notify::new(Some(name), Some(Duration::from_secs(30))).unwrap();
        assert_eq!(notify.alive_every(), Some(Duration::from_secs(15)));
        notify.ready("3 sessions\nMAINPID=1").unwrap();
        assert_eq!(received(socket), "READY=1\nSTATUS=3 sessions\\nMAINPID=1");
        notify.reloading(7).unwrap();
        assert_eq!(received(socket), "RELOADING=1\nMONOTONIC_USEC=7");
        notify.status(&"é".repeat(400)).unwrap();
        assert_eq!(received(socket), format!("STATUS={}", "é".repeat(256)));
        notify.alive().unwrap();
        assert_eq!(received(socket), "WATCHDOG=1");
        notify.stopping().unwrap();
        assert_eq!(received(socket), "STOPPING=1\nSTATUS=stopping");
    }

    #[test]
    fn a_manager_with_an_abstract_name_hears_everything() {
        let name = format!("hansardd-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        all_of_it(&socket, format!("@{name}").as_bytes());
    }

    #[test]
    fn a_manager_with_a_path_hears_everything() {
        let path = std::env::temp_dir().join(format!("hansardd-notify-{}", std::process::id()));
        let socket = UnixDatagram::bind(&path).unwrap();
        all_of_it(&socket, path.as_os_str().as_bytes());
        std::fs::remove_file(&path).unwrap();
        let notify = Notify::new(Some(path.as_os_str().as_bytes()), None).unwrap();
        assert!(notify.alive().is_err(), "nobody is there any more");
    }

    #[test]
    fn a_manager_that_does_not_read_holds_nobody_up() {
        let name = format!("hansardd-notify-deaf-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let _deaf = UnixDatagram::bind_addr(&address).unwrap();
        let notify = Notify::new(Some(format!("@{name}").as_bytes()), None).unwrap();
        let full = (0..100_000).find_map(|_| notify.alive().err()).unwrap();
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn without_a_manager_nothing_is_said() {
        let notify = Notify::new(None, None).unwrap();
        notify.ready("x").unwrap();
        assert_eq!(notify.alive_every(), None);
        for wrong in [&b"relative"[..], b"vsock:2:1"] {
            assert!(Notify::new(Some(wrong), None).is_err());
        }
    }
}
