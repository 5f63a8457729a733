//! Connections of browsers.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

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

/// Connections at the same time; further ones wait in the kernel's queue. A browser opens six.
pub const CONNECTIONS_MAX: usize = 512;

/// Connections of one address, so that nobody has all of them; a further one is closed at once. Behind a
/// proxy, on this machine or one that is trusted, there are many people, and the bound is the one above.
pub const PER_ADDRESS_MAX: usize = 64;

/// How many connections each address has.
type Counted = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// One of them, until it ends.
struct Place(Counted, IpAddr);

impl Place {
    fn take(counted: &Counted, address: IpAddr) -> Option<Self> {
        let address = network(address);
        let mut here = counted.lock().unwrap_or_else(PoisonError::into_inner);
        let count = here.entry(address).or_default();
        if *count >= PER_ADDRESS_MAX {
            return None;
        }
        *count = count.saturating_add(1);
        Some(Self(Arc::clone(counted), address))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut here = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = here.get(&self.1).map_or(0, |count| count.saturating_sub(1));
        match left {
            0 => drop(here.remove(&self.1)),
            left => drop(here.insert(self.1, left)),
        }
    }
}

/// Answers until `stop` becomes true, by TLS if there is an acceptor. Then streams are cut, and requests get
/// [`STOP_MAX`] to finish.
pub async fn serve(
    (listener, tls): (TcpListener, Option<TlsAcceptor>),
    web: Arc<Web>,
    mut stop: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let counted = Counted::default();
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
                    let own = Place::take(&counted, address);
                    if own.is_none() && !is_shared {
                        continue;
                    }
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
    (place, _own): (OwnedSemaphorePermit, Option<Place>),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_has_so_many_places_and_gives_them_back() {
        let counted = Counted::default();
        let take = |address: &str| Place::take(&counted, address.parse().unwrap());
        let mut held: Vec<Place> = (0..PER_ADDRESS_MAX)
            .filter_map(|_| take("192.0.2.1"))
            .collect();
        assert_eq!(held.len(), PER_ADDRESS_MAX);
        assert!(take("192.0.2.1").is_none());
        assert!(take("192.0.2.2").is_some());
        held.pop();
        assert!(take("192.0.2.1").is_some());
        held.clear();
        assert!(counted.lock().unwrap().is_empty());
    }
}
