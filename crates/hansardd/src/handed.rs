//! Descriptors that the service manager keeps for the next start: its descriptor store, and what it hands
//! over of it (sd_notify(3), sd_listen_fds(3)), without their library.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use hansard_capture::shell::{Keeps, inherited};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use crate::notify::address;

/// How long a login waits for a manager that does not read. At the bound the login is not kept, and
/// ends with the daemon.
const TELL_WAIT_MAX: Duration = Duration::from_secs(1);

/// Most descriptors that are taken at a start; more are not looked at, and their sessions end.
const HANDED_MAX: usize = 65_536;

/// The manager's store.
#[derive(Debug)]
pub struct Store {
    socket: UnixDatagram,
    descriptors_max: usize,
}

impl Store {
    /// As this process's environment says: `NOTIFY_SOCKET`, and `FDSTORE`, how many it takes (which the
    /// unit sets where systemd is older than 254). `None` where one is missing.
    ///
    /// # Errors
    /// When the socket cannot be reached.
    pub fn from_environment() -> io::Result<Option<Self>> {
        let number = std::env::var("FDSTORE").ok().and_then(|n| n.parse().ok());
        let name = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty());
        match (name, number.filter(|n| *n > 0)) {
            (Some(name), Some(descriptors_max)) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect_addr(&address(name.as_encoded_bytes())?)?;
                socket.set_write_timeout(Some(TELL_WAIT_MAX))?;
                Ok(Some(Self {
                    socket,
                    descriptors_max,
                }))
            }
            _ => Ok(None),
        }
    }
}

impl Keeps for Store {
    fn descriptors_max(&self) -> usize {
        self.descriptors_max
    }

    fn keep(&self, name: &str, fd: BorrowedFd<'_>) -> io::Result<()> {
        // Unpolled: the manager would let go of a terminal whose program has just ended, and nobody
        // could deliver and record what it wrote last.
        let text = format!("FDSTORE=1\nFDPOLL=0\nFDNAME={name}");
        let fds = [fd];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut beside = SendAncillaryBuffer::new(&mut space);
        if !beside.push(SendAncillaryMessage::ScmRights(&fds)) {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        let slice = [IoSlice::new(text.as_bytes())];
        sendmsg(&self.socket, &slice, &mut beside, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    fn forget(&self, name: &str) {
        let _ = self
            .socket
            .send(format!("FDSTOREREMOVE=1\nFDNAME={name}").as_bytes());
    }
}

/// The descriptors that this process was started with, by their names. Call it once, before anything
/// is opened.
#[must_use]
pub fn handed_over() -> Vec<(String, OwnedFd)> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<usize>().ok();
    let is_ours = number("LISTEN_PID") == usize::try_from(std::process::id()).ok();
    let count = number("LISTEN_FDS").filter(|_| is_ours).unwrap_or(0);
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let names = names.split(':').map(str::to_owned);
    let fds = inherited(count.min(HANDED_MAX));
    names.zip(fds).collect()
}
