//! Connections of browsers.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use hyper::service::service_fn;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};

use super::Web;
use crate::api::connection::{ACCEPT_PAUSE, converse, told};
use crate::api::limits::STOP_MAX;

/// Connections at the same time; further ones wait in the kernel's queue. A browser opens six.
pub const CONNECTIONS_MAX: usize = 512;

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
    stop: watch::Receiver<bool>,
    place: OwnedSemaphorePermit,
) {
    // Small answers go out at once; where that cannot be had they go out a little later.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let web = Arc::clone(&web);
        async move { Ok::<_, Infallible>(web.answer(request.map(Body::new), from).await) }
    });
    converse(stream, service, stop, place).await;
}
