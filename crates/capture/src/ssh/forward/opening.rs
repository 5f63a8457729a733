//! Sockets of forwards, opened with the account's rights and not with the daemon's.
//!
//! Each is opened in a thread of its own that becomes the account for as long as it lives. Its real and
//! saved ids stay the daemon's, so that the account can neither signal nor trace it, and the thread ends
//! with the one thing it did: there is no way back that could be forgotten.

use std::fs::DirBuilder;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use hansard_shell::{Account, groups_of};
use rustix::fs::{Gid, Mode, Uid};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, socket_with};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use tokio::sync::oneshot;

use super::rules::Places;
use crate::ssh::limits::FORWARD_CONNECT_MAX;

/// Connections that wait at a forwarded socket; the system lets one more wait outside.
const BACKLOG: i32 = 16;

/// Does something as the account.
pub(super) async fn as_account<T: Send + 'static>(
    account: &Account,
    what: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (tell, told) = oneshot::channel();
    let account = account.clone();
    std::thread::Builder::new()
        .name("ssh-forward".to_owned())
        .spawn(move || {
            let done = become_account(&account).and_then(|()| what());
            // Whoever asked may be gone; what was opened is closed then.
            let _ = tell.send(done);
        })?;
    told.await
        .unwrap_or_else(|_| Err(io::Error::other("its thread is gone")))
}

/// Does something that may take its time, as what the daemon is.
pub(in crate::ssh) async fn aside<T: Send + 'static>(
    what: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (tell, told) = oneshot::channel();
    std::thread::Builder::new()
        .name("ssh-aside".to_owned())
        .spawn(move || {
            let _ = tell.send(what());
        })?;
    told.await
        .unwrap_or_else(|_| Err(io::Error::other("its thread is gone")))
}

/// The same when nobody waits for it.
pub(super) fn later(account: Account, what: impl FnOnce() -> io::Result<()> + Send + 'static) {
    // Without a thread to be had, a socket stays that nobody answers at.
    let _ = std::thread::Builder::new()
        .name("ssh-forward".to_owned())
        .spawn(move || {
            let _ = become_account(&account).and_then(|()| what());
        });
}

/// This thread is the account from here on.
fn become_account(account: &Account) -> io::Result<()> {
    if rustix::process::geteuid().is_root() {
        let groups: Vec<Gid> = groups_of(account).into_iter().map(Gid::from_raw).collect();
        set_thread_groups(&groups)?;
        set_thread_res_gid(None, Gid::from_raw(account.gid), None)?;
        set_thread_res_uid(None, Uid::from_raw(account.uid), None)?;
    }
    match rustix::process::geteuid().as_raw() == account.uid {
        true => Ok(()),
        false => Err(io::ErrorKind::PermissionDenied.into()),
    }
}

/// Connects to the first address of a host that is allowed and answers.
pub(super) fn tcp(host: &str, port: u16, places: &Places) -> io::Result<TcpStream> {
    let found: Vec<SocketAddr> = (host, port).to_socket_addrs()?.collect();
    let mut failed = not_allowed();
    for at in places.keep(host, found) {
        match TcpStream::connect_timeout(&at, FORWARD_CONNECT_MAX) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_nonblocking(true)?;
                return Ok(stream);
            }
            Err(e) => failed = e,
        }
    }
    Err(failed)
}

fn not_allowed() -> io::Error {
    io::Error::new(
        io::ErrorKind::PermissionDenied,
        "no rule allows its address",
    )
}

/// Connects to a socket.
pub(super) fn unix(path: &Path) -> io::Result<UnixStream> {
    let stream = UnixStream::connect(path)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// Listens at every address of a host that is allowed, at the same port at each.
pub(super) fn listen(host: &str, port: u16, places: &Places) -> io::Result<Vec<TcpListener>> {
    // What clients send who mean all addresses (RFC 4254 §7.1).
    let found: Vec<SocketAddr> = match host {
        "" | "*" => ("0.0.0.0", port).to_socket_addrs()?.collect(),
        host => (host, port).to_socket_addrs()?.collect(),
    };
    let mut listeners: Vec<TcpListener> = Vec::new();
    let mut failed = not_allowed();
    let mut port = port;
    for mut at in places.keep(host, found) {
        at.set_port(port);
        match TcpListener::bind(at) {
            Ok(listener) => {
                listener.set_nonblocking(true)?;
                port = listener.local_addr()?.port();
                listeners.push(listener);
            }
            Err(e) => failed = e,
        }
    }
    match listeners.is_empty() {
        true => Err(failed),
        false => Ok(listeners),
    }
}

/// Listens at the ports of the first display that nobody has, from 10 on as sshd(8) does, for this machine
/// alone; answers its number.
pub(super) fn listen_as_display() -> io::Result<(Vec<TcpListener>, u16)> {
    const FIRST: u16 = 10;
    const LAST: u16 = 999;
    const PORT_OF_0: u16 = 6000;
    for number in FIRST..=LAST {
        let port = PORT_OF_0 + number;
        let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) else {
            continue;
        };
        let mut listeners = vec![listener];
        match TcpListener::bind((Ipv6Addr::LOCALHOST, port)) {
            Ok(listener) => listeners.push(listener),
            // Somebody else's display, by its other address.
            Err(e) if e.kind() == io::ErrorKind::AddrInUse => continue,
            // There is no IPv6.
            Err(_) => {}
        }
        for listener in &listeners {
            listener.set_nonblocking(true)?;
        }
        return Ok((listeners, number));
    }
    Err(io::ErrorKind::AddrInUse.into())
}

/// Listens at a socket that is not there yet, for its account alone.
pub(super) fn listen_unix(path: &Path) -> io::Result<UnixListener> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    // Before it has a name: at no moment can anybody else connect (the kernel takes the mode along).
    rustix::fs::fchmod(&socket, Mode::from_raw_mode(0o600))?;
    bind(&socket, &SocketAddrUnix::new(path)?)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

/// Listens at a socket in a new directory that nobody else can enter, as sshd(8) does for agents.
pub(super) fn listen_for_agent(word: &str) -> io::Result<(UnixListener, PathBuf)> {
    let dir = std::env::temp_dir().join(format!("ssh-{word}"));
    // Fails if it is there already, whatever it is.
    DirBuilder::new().mode(0o700).create(&dir)?;
    let path = dir.join("agent");
    let listening = listen_unix(&path);
    if listening.is_err() {
        // It is empty, and nobody else's.
        let _ = std::fs::remove_dir(&dir);
    }
    listening.map(|listener| (listener, path))
}
