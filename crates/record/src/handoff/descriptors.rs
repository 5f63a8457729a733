//! Descriptors that travel beside messages: those of a login's terminal, those it is given, those of a program that
//! another process is to start.

use std::io::{self, IoSlice, IoSliceMut, Read, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// Descriptors beside one message at most; more are closed unseen.
pub const DESCRIPTORS_MAX: usize = 4;

/// Writes a whole message, and with its first byte these descriptors, at most [`DESCRIPTORS_MAX`].
///
/// # Errors
/// What the socket says; the message may have been written in part.
pub fn send_with(
    socket: &UnixStream,
    message: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    if !beside.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    let sent = loop {
        let slice = [IoSlice::new(message)];
        match sendmsg(socket, &slice, &mut beside, SendFlags::NOSIGNAL) {
            Err(rustix::io::Errno::INTR) => {}
            sent => break sent?,
        }
    };
    let mut socket = socket;
    socket.write_all(message.get(sent..).unwrap_or_default())
}

/// The reading side of a socket on which descriptors may come.
#[derive(Debug)]
pub struct Incoming {
    socket: UnixStream,
    came: Vec<OwnedFd>,
    /// Whether any are still expected; later ones are closed as they come.
    open: bool,
}

impl Incoming {
    /// Reads from this socket from now on.
    #[must_use]
    pub fn new(socket: UnixStream) -> Self {
        Self {
            socket,
            came: Vec::new(),
            open: true,
        }
    }

    /// The socket itself.
    #[must_use]
    pub fn socket(&self) -> &UnixStream {
        &self.socket
    }

    /// The descriptors that came until now, if they are exactly so many. Others, and all that come
    /// later, are closed.
    pub fn take<const COUNT: usize>(&mut self) -> Option<[OwnedFd; COUNT]> {
        self.open = false;
        self.take_next()
    }

    /// The same, and those that come later are for the next message.
    pub fn take_next<const COUNT: usize>(&mut self) -> Option<[OwnedFd; COUNT]> {
        std::mem::take(&mut self.came).try_into().ok()
    }
}

impl Read for Incoming {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut beside = RecvAncillaryBuffer::new(&mut space);
        let mut slices = [IoSliceMut::new(into)];
        let flags = RecvFlags::CMSG_CLOEXEC;
        let got = recvmsg(&self.socket, &mut slices, &mut beside, flags)?;
        for message in beside.drain() {
            let RecvAncillaryMessage::ScmRights(descriptors) = message else {
                continue;
            };
            // What nobody keeps is closed here.
            for descriptor in descriptors {
                if self.open && self.came.len() < DESCRIPTORS_MAX {
                    self.came.push(descriptor);
                }
            }
        }
        Ok(got.bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn descriptors_come_with_their_message_and_later_ones_are_closed() {
        let (here, there) = UnixStream::pair().unwrap();
        let (mut reader, writer) = io::pipe().unwrap();
        let all = [writer.as_fd(), writer.as_fd(), writer.as_fd()];
        let long = vec![7; 100_000];
        let sent = long.clone();
        let mut incoming = Incoming::new(there);
        let mut got = vec![0; long.len()];
        std::thread::scope(|scope| {
            scope.spawn(|| send_with(&here, &sent, &all).unwrap());
            incoming.read_exact(&mut got).unwrap();
        });
        assert_eq!(got, long);
        let [first, _, _] = Incoming::take(&mut incoming).unwrap();
        rustix::io::write(&first, b"x").unwrap();
        drop(first);

        send_with(&here, b"again", &all).unwrap();
        incoming.read_exact(&mut [0; 5]).unwrap();
        assert!(Incoming::take::<3>(&mut incoming).is_none());
        drop(writer);
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"x", "nobody else holds the writing end");
    }
}
