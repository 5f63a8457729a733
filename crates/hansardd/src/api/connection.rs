//! One connection of HTTP/1, whoever is at its other end.

use std::error::Error;
use std::time::Duration;

use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::timeout;

use super::limits::{ARRIVAL_MAX, HEAD_BYTES_MAX, STOP_MAX};

/// Pause after a connection that could not be taken (too many open files): not to spin.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Answers until the other end has no more to ask, or `stop` becomes true; what is being answered
/// then gets [`STOP_MAX`] to finish. `place` is given back at the end.
pub(crate) async fn converse<S>(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    service: S,
    mut stop: watch::Receiver<bool>,
    place: OwnedSemaphorePermit,
) where
    S: Service<Request<Incoming>, Response = Response<Body>>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
{
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
    drop(place);
}

/// Waits until the service stops; whoever would say so being gone says it, too.
pub(crate) async fn told(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
