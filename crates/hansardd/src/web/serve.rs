//! Connections of browsers.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use hyper::service::service_fn;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::Web;
use super::attempts::network;
use super::certified::ShownByClient;
use crate::api::connection::{ACCEPT_PAUSE, converse, told};
use crate::api::limits::{ARRIVAL_MAX, STOP_MAX};
use crate::api::places::{Bounds, Place, Places};

/// Connections at the same time; further ones wait in the kernel's queue. A browser opens six.
pub const CONNECTIONS_MAX: usize = 512;

/// Connections of one address, so that nobody has all of them; a further one is closed at once. Behind a
/// proxy, on this machine or one that is trusted, there are many people, and the bound is the one above.
pub const PER_ADDRESS_MAX: usize = 64;

/// Connections, by address.
const BY_ADDRESS: Bounds = Bounds {
    all: CONNECTIONS_MAX,
    kept: 0,
    own: PER_ADDRESS_MAX,
    own_first: CONNECTIONS_MAX,
};

/// Answers until `stop` becomes true, by TLS if there is an acceptor. Then streams are cut, and requests get
/// [`STOP_MAX`] to finish.
pub async fn serve(
    (listener, tls): (TcpListener, Option<TlsAcceptor>),
    web: Arc<Web>,
    mut stop: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let by_address = Places::new(BY_ADDRESS);
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        tokio::select! {
            () = told(&mut stop) => break,
            (place, accepted) = next => match (place, accepted) {
                (Ok(place), Ok((stream, from))) => {
                    let address = from.ip().to_canonical();
                    let is_shared = address.is_loopback() || web.trusts(address);
                    let Ok(own) = by_address.take(network(address), is_shared) else {
                        continue;
                    };
                    let (web, stop, tls) = (Arc::clone(&web), stop.clone(), tls.clone());
                    tokio::spawn(connection((stream, tls), from.ip(), web, stop, (place, own)));
                }
                _ => sleep(ACCEPT_PAUSE).await,
            },
        }
    }
    let all = u32::try_from(CONNECTIONS_MAX).unwrap_or(u32::MAX);
    let _ = timeout(STOP_MAX, places.acquire_many(all)).await;
}

async fn connection(
    (stream, tls): (TcpStream, Option<TlsAcceptor>),
    from: IpAddr,
    web: Arc<Web>,
    stop: watch::Receiver<bool>,
    (place, _own): (OwnedSemaphorePermit, Place<IpAddr>),
) {
    // Small answers go out at once; where that cannot be had they go out a little later.
    let _ = stream.set_nodelay(true);
    let service = |shown: Option<ShownByClient>| {
        service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let (web, mut request) = (Arc::clone(&web), request.map(Body::new));
            if let Some(shown) = &shown {
                request.extensions_mut().insert(shown.clone());
            }
            async move { Ok::<_, Infallible>(web.answer(request, from).await) }
        })
    };
    let Some(tls) = tls else {
        return converse(stream, service(None), stop, place).await;
    };
    // Whoever does not get as far as that in time is not told: the place is given back.
    if let Ok(Ok(stream)) = timeout(ARRIVAL_MAX, tls.accept(stream)).await {
        let shown = stream.get_ref().1.peer_certificates();
        let shown = shown.and_then(<[_]>::first);
        let shown = shown.map(|first| ShownByClient(first.as_ref().into()));
        converse(stream, service(shown), stop, place).await;
    }
}
