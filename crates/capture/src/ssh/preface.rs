//! The first bytes of a connection: a client that does not begin with `SSH-` speaks something else, and is not
//! waited for. (Only a server may send lines before that, RFC 4253 §4.2; the library waits for one from either.)

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};

/// What every client of SSH says first.
const FIRST: &[u8] = b"SSH-";

/// What comes from a connection, of which the first bytes are looked at as they come.
pub(super) struct Prefaced<S> {
    stream: S,
    /// How many of them were right.
    seen: usize,
}

impl<S> Prefaced<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, seen: 0 }
    }

    /// Looks at what came.
    fn look(&mut self, came: &[u8]) -> io::Result<()> {
        let awaited = FIRST.get(self.seen..).unwrap_or_default();
        let is_right = awaited.iter().zip(came).all(|(one, other)| one == other);
        self.seen = self.seen.saturating_add(came.len()).min(FIRST.len());
        match is_right {
            true => Ok(()),
            false => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "what came first is not SSH",
            )),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Prefaced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if self.seen == FIRST.len() || !matches!(polled, Poll::Ready(Ok(()))) {
            return polled;
        }
        let came = buffer.filled().get(before..).unwrap_or_default();
        Poll::Ready(self.look(came))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_beginning_is_looked_at_however_it_comes() {
        let tried = |pieces: &[&[u8]]| {
            let mut prefaced = Prefaced::new(());
            pieces.iter().try_for_each(|piece| prefaced.look(piece))
        };
        for right in [
            &[&b"SSH-2.0-x\r\n"[..]][..],
            &[b"S", b"SH", b"-", b"nothing else is looked at"],
            &[b"SSH", b""],
            &[],
        ] {
            assert!(tried(right).is_ok(), "{right:?}");
        }
        for wrong in [
            &[&b"GET / HTTP/1.1\r\n"[..]][..],
            &[b"SS", b"L-"],
            &[b"\r\nSSH-2.0-x"],
            &[b"ssh-2.0-x"],
            &[&[0x16, 3, 1]],
        ] {
            assert!(tried(wrong).is_err(), "{wrong:?}");
        }
    }
}
