//! Connections of browsers.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};

use super::Web;
use crate::api::limits::{ARRIVAL_MAX, HEAD_BYTES_MAX, STOP_MAX};

/// Connections at the same time; further ones wait in the kernel's queue. A browser opens six.
pub const CONNECTIONS_MAX: usize = 512;

/// Pause after a connection that could not be taken (too many open files): not to spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Answers until `stop` becomes true. Then streams are cut, and requests get [`STOP_MAX`] to finish.
pub async fn serve(listener: TcpListener, web: Arc<Web>, mut stop: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        tokio::select! {
            () = told(&mut stop) => break,
            (place, accepted) = next => match (place, accepted) {
                (Ok(place), Ok((stream, from))) => {
                    let (web, stop) = (Arc::clone(&web), stop.clone());
                    tokio::spawn(connection(stream, from.ip(), web, stop, place));
                }
                _ => sleep(ACCEPT_PAUSE).await,
            },
        }
    }
    let all = u32::try_from(CONNECTIONS_MAX).unwrap_or(u32::MAX);
    let _ = timeout(STOP_MAX, places.acquire_many(all)).await;
}

async fn connection(
    stream: TcpStream,
    from: IpAddr,
    web: Arc<Web>,
    mut stop: watch::Receiver<bool>,
    place: OwnedSemaphorePermit,
) {
    // Small answers go out at once; where that cannot be had they go out a little later.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let web = Arc::clone(&web);
        async move { Ok::<_, Infallible>(web.answer(request.map(Body::new), from).await) }
    });
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
async fn told(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
