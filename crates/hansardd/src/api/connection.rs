//! One connection of HTTP/1, whoever is at its other end. Whoever takes nothing of an answer is cut, as is
//! whoever sends nothing: a connection is held by who uses it.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Sleep, sleep, timeout};

use super::limits::{ARRIVAL_MAX, HEAD_BYTES_MAX, SLOW_READER_MAX, STOP_MAX};

/// Pause after a connection that could not be taken (too many open files): not to spin.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Answers until the other end has no more to ask, or takes nothing for [`SLOW_READER_MAX`], or `stop`
/// becomes true; what is being answered then gets [`STOP_MAX`] to finish. `place` is given back at the end.
pub(crate) async fn converse<S>(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    service: S,
    stop: watch::Receiver<bool>,
    place: OwnedSemaphorePermit,
) where
    S: Service<Request<Incoming>, Response = Response<Body>>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
{
    converse_in((stream, SLOW_READER_MAX), service, stop).await;
    drop(place);
}

async fn converse_in<S>(
    (stream, patience): (impl AsyncRead + AsyncWrite + Unpin, Duration),
    service: S,
    mut stop: watch::Receiver<bool>,
) where
    S: Service<Request<Incoming>, Response = Response<Body>>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let stream = Taken {
        stream,
        patience,
        waiting: None,
    };
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(ARRIVAL_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(served);
    tokio::select! {
        _ = served.as_mut() => {}
        () = told(&mut stop) => {
            served.as_mut().graceful_shutdown();
            let _ = timeout(STOP_MAX, served).await;
        }
    }
}

/// Waits until the service stops; whoever would say so being gone says it, too.
pub(crate) async fn told(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// A stream whose other end must take what it is sent: when nothing goes out for so long, writing is an
/// error.
struct Taken<S> {
    stream: S,
    patience: Duration,
    /// Since nothing goes out.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S> Taken<S> {
    fn in_time<T>(
        &mut self,
        done: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if done.is_ready() {
            self.waiting = None;
            return done;
        }
        let patience = self.patience;
        let waiting = self
            .waiting
            .get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(waiting.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Taken<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Taken<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.in_time(done, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.in_time(done, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.stream).poll_flush(context);
        self.in_time(done, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.stream).poll_shutdown(context);
        self.in_time(done, context)
    }
}

#[cfg(test)]
mod tests;
