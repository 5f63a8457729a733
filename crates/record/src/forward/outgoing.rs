//! The body of a request or an answer that is made while it is being sent: pieces through a bounded
//! queue, every one of them delivered.
//!
//! Written here because the channel of `http-body-util` (0.1.5) loses what is put into it just before
//! its sender goes: it looks whether there is a piece, then whether the sender has gone, and between
//! the two a whole recording fits, whose reader then sees a sound end. Here the queue alone says that
//! the end is reached, which it does when it is empty and no sender is left.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::sync::mpsc;

/// The reader has gone, and with it whatever is still in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReaderGone;

impl std::fmt::Display for ReaderGone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("nobody reads this any more")
    }
}

impl std::error::Error for ReaderGone {}

impl From<ReaderGone> for io::Error {
    fn from(gone: ReaderGone) -> Self {
        Self::new(io::ErrorKind::BrokenPipe, gone)
    }
}

/// The half that is sent. `E` is how it may end early; with [`Infallible`] it cannot.
#[derive(Debug)]
pub struct Outgoing<E = Infallible> {
    pieces: mpsc::Receiver<Bytes>,
    cut: Arc<Mutex<Option<E>>>,
}

/// The half that pieces are put into. When it is dropped, the body ends after the last piece.
#[derive(Debug)]
pub struct Pieces<E = Infallible> {
    pieces: mpsc::Sender<Bytes>,
    cut: Arc<Mutex<Option<E>>>,
}

/// A body, and where its pieces are put; at most `queued_max` of them (at least 1) wait in it.
#[must_use]
pub fn outgoing<E>(queued_max: usize) -> (Pieces<E>, Outgoing<E>) {
    let (sender, receiver) = mpsc::channel(queued_max.max(1));
    let cut = Arc::default();
    let pieces = Pieces {
        pieces: sender,
        cut: Arc::clone(&cut),
    };
    let body = Outgoing {
        pieces: receiver,
        cut,
    };
    (pieces, body)
}

impl<E> Pieces<E> {
    /// Puts a piece behind the others; waits while the queue is full. An empty one is left out: it
    /// would end a body in chunks.
    ///
    /// # Errors
    /// When the reader has gone.
    pub async fn put(&mut self, piece: Bytes) -> Result<(), ReaderGone> {
        if piece.is_empty() {
            return Ok(());
        }
        self.pieces.send(piece).await.map_err(|_| ReaderGone)
    }

    /// Ends the body with an error behind the pieces that are in it, so that its reader sees that it
    /// is not whole.
    pub fn cut(self, why: E) {
        *self.cut.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }
}

impl<E: std::error::Error + Send + Sync + 'static> Body for Outgoing<E> {
    type Data = Bytes;
    type Error = E;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, E>>> {
        let this = self.get_mut();
        match this.pieces.poll_recv(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(piece)) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            // The sender went: what it left as the reason was there before.
            Poll::Ready(None) => {
                let mut cut = this.cut.lock().unwrap_or_else(PoisonError::into_inner);
                Poll::Ready(cut.take().map(Err))
            }
        }
    }
}

impl<E> Unpin for Outgoing<E> {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests may panic")]

    use http_body_util::BodyExt;
    use tokio::runtime::Builder;

    use super::*;

    #[test]
    fn what_is_put_just_before_the_end_arrives() {
        let here = || Builder::new_current_thread().build().unwrap();
        let (given, taken) = std::sync::mpsc::sync_channel::<Outgoing>(1);
        let reads = std::thread::spawn(move || {
            let runtime = here();
            let mut got = Vec::new();
            for body in taken {
                let body = runtime.block_on(body.collect()).unwrap();
                got.push(body.to_bytes());
            }
            got
        });
        let runtime = here();
        for n in 0..20_000u32 {
            let (mut pieces, body) = outgoing(2);
            given.send(body).unwrap();
            let piece = Bytes::from(n.to_string());
            runtime.block_on(pieces.put(piece)).unwrap();
        }
        drop(given);
        let got = reads.join().unwrap();
        assert_eq!(got.len(), 20_000);
        for (n, got) in got.iter().enumerate() {
            assert_eq!(got, n.to_string().as_bytes());
        }
    }

    #[test]
    fn a_cut_comes_behind_what_was_put_and_is_no_end() {
        let runtime = Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (mut pieces, mut body) = outgoing::<io::Error>(4);
            pieces.put(Bytes::from_static(b"some")).await.unwrap();
            pieces.cut(io::ErrorKind::TimedOut.into());
            let first = body.frame().await.unwrap().unwrap();
            assert_eq!(first.into_data().unwrap(), "some");
            let cut = body.frame().await.unwrap().unwrap_err();
            assert_eq!(cut.kind(), io::ErrorKind::TimedOut);
            assert!(body.frame().await.is_none());
            let (mut pieces, body) = outgoing::<io::Error>(1);
            drop(body);
            assert_eq!(pieces.put(Bytes::from_static(b"x")).await, Err(ReaderGone));
        });
    }
}
