//! What comes from a connection, read in large pieces while it pours. The library asks for four bytes of each packet and
//! then for the rest of it: of a hundred thousand packets that would be a call of the system for each half.

use std::future::Future as _;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::BufMut as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, ReadBuf};

use super::limits::GATHERED_BYTES;

/// What is read at once of a connection that says little.
const LITTLE: usize = 1024;

/// Whoever asks for as much is given it without a detour.
const MUCH: usize = 16 * 1024;

/// What comes from a connection, read ahead. It holds no memory while there is nothing to be read.
pub(super) struct Gathered<S> {
    stream: S,
    /// What was read and not asked for yet, from `at` on.
    came: Vec<u8>,
    at: usize,
    /// How much is read at once.
    bytes: usize,
}

impl<S> Gathered<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            came: Vec::new(),
            at: 0,
            bytes: LITTLE,
        }
    }
}

impl<S: AsyncRead + Unpin> Gathered<S> {
    /// Reads what there is, once there is something; nothing is there at the end of all.
    fn gather(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.came.clear();
        self.at = 0;
        self.came.reserve_exact(self.bytes);
        let mut room = (&mut self.came).limit(self.bytes);
        let read = pin!(self.stream.read_buf(&mut room)).poll(context);
        match &read {
            // As much as was asked for: there is more where that came from.
            Poll::Ready(Ok(len)) if *len >= self.bytes => self.bytes = GATHERED_BYTES,
            Poll::Ready(Ok(len)) if *len >= LITTLE => {}
            _ => self.bytes = LITTLE,
        }
        if !matches!(read, Poll::Ready(Ok(1..))) {
            self.came = Vec::new();
        }
        read.map_ok(drop)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gathered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.at == this.came.len() {
            if buffer.remaining() >= MUCH {
                return Pin::new(&mut this.stream).poll_read(context, buffer);
            }
            ready!(this.gather(context))?;
        }
        let rest = this.came.get(this.at..).unwrap_or_default();
        let (now, later) = rest.split_at(rest.len().min(buffer.remaining()));
        buffer.put_slice(now);
        let is_all = later.is_empty();
        this.at = this.at.saturating_add(now.len());
        if is_all && this.bytes == LITTLE {
            (this.came, this.at) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[test]
    fn what_comes_is_what_is_read_in_whatever_pieces() {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(async {
            let sent: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
            let (mut far, near) = tokio::io::duplex(300_000);
            let mut near = Gathered::new(near);
            let all = sent.clone();
            let sending = async move {
                for (turn, piece) in all.chunks(40_000).enumerate() {
                    let (little, rest) = piece.split_at(turn % 7);
                    far.write_all(little).await.unwrap();
                    tokio::task::yield_now().await;
                    far.write_all(rest).await.unwrap();
                }
            };
            let reading = async {
                let mut came = Vec::new();
                for turn in 0.. {
                    let mut piece = vec![0; [4, 33_000, 1, 900, 17_000][turn % 5]];
                    match near.read(&mut piece).await.unwrap() {
                        0 => break,
                        len => came.extend_from_slice(&piece[..len]),
                    }
                }
                (came, near)
            };
            let ((came, near), ()) = tokio::join!(reading, sending);
            assert!(came == sent, "{} of {}", came.len(), sent.len());
            assert_eq!((near.came.capacity(), near.bytes), (0, LITTLE));
        });
    }
}
