//! `ssh -J PROXY LOGIN@TARGET`: the client opens a connection to the target through this one and speaks SSH
//! inside it, where nobody could record anything. So the proxy itself answers inside, under the target's
//! name, as to somebody who had connected to it directly, and leads on from there.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use super::destination::Destination;
use crate::ssh::connection::{self, Connection, Wire};
use crate::ssh::door::Place;

/// Answers inside of a forward; the descriptor is its other end.
///
/// # Errors
/// No more connections are taken, or the system has no thread for it.
pub(in crate::ssh) fn jump(connection: &Connection, to: &Destination) -> io::Result<OwnedFd> {
    let node = &connection.node;
    let place = Place::take(node, connection.remote.ip()).map_err(io::Error::other)?;
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let wire = Wire::Inside {
        stream: theirs,
        of: (connection.remote, connection.local),
        to: to.clone(),
    };
    let of_thread = Arc::clone(node);
    std::thread::Builder::new()
        .name("ssh-jump".to_owned())
        .spawn(move || connection::serve(&of_thread, wire, place))?;
    Ok(ours.into())
}
