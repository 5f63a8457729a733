//! Accepts connections: who may be here, and for how long without saying anything.

use std::collections::HashMap;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hansard_identity::Peer;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::ingest::admission::Admission;
use crate::ingest::connections::Connections;
use crate::ingest::depot::Depot;
use crate::ingest::figures::{Figures, add};
use crate::ingest::gate::Gate;
use crate::ingest::limits::{
    ADMISSION_EVERY, EXPIRY_EVERY, GATHERED_BYTES_MAX, HANDSHAKE_MAX, HEADERS_BYTES_MAX, PUTS_MAX,
    REQUESTS_MAX, SEND_BUFFER_BYTES, SMALL_REQUESTS_MAX, STRANGERS_MAX, STRANGERS_PER_ADDRESS_MAX,
    STREAMLESS_MAX, WINDOW_BYTES, connections_max,
};
use crate::ingest::note::{Note, Witness};
use crate::ingest::requests::{Answer, Connection, answer};
use crate::ingest::sparingly::Sparingly;
use crate::ingest::stream::PERMIT_BYTES;

/// How long to wait after the system could not accept, for want of descriptors or memory.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// How long a connection may take to end after its stream.
const ENDING_MAX: Duration = Duration::from_secs(5);

/// What ingest is made of.
pub struct Parts {
    /// How the service is connected to: TLS 1.3, HTTP/2 as the protocol, client certificates asked
    /// for and not demanded.
    pub tls: Arc<ServerConfig>,
    /// Who may connect.
    pub admission: Arc<dyn Admission>,
    /// Who may write which session.
    pub gate: Arc<dyn Gate>,
    /// Where parts go.
    pub depot: Arc<dyn Depot>,
    /// Who makes events of what happens.
    pub witness: Arc<dyn Witness>,
    /// Answers `POST /v1/join`.
    pub join: Answer,
    /// Answers `POST /v1/renew`.
    pub renew: Answer,
    /// Who is connected; others keep a clone.
    pub connections: Connections,
    /// Most hosts that are connected at a time.
    pub hosts_max: usize,
    /// Program and version, as told to hosts.
    pub software: String,
}

pub(super) struct Shared {
    pub(super) parts: Parts,
    pub(super) figures: Arc<Figures>,
    /// Room to gather parts, in units of [`PERMIT_BYTES`].
    pub(super) room: Arc<Semaphore>,
    pub(super) puts: Arc<Semaphore>,
    pub(super) small: Semaphore,
    strangers: Mutex<Strangers>,
}

/// Connections that have not said who they are.
#[derive(Default)]
struct Strangers {
    addresses: HashMap<IpAddr, usize>,
    count: usize,
    told: Sparingly,
}

/// A place among the strangers, given back when it is dropped.
struct Stranger {
    shared: Arc<Shared>,
    address: IpAddr,
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let mut strangers = self.shared.strangers();
        strangers.count = strangers.count.saturating_sub(1);
        if let Some(count) = strangers.addresses.get_mut(&self.address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                strangers.addresses.remove(&self.address);
            }
        }
    }
}

impl Shared {
    fn strangers(&self) -> MutexGuard<'_, Strangers> {
        self.strangers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn let_in(self: &Arc<Self>, address: IpAddr) -> Option<Stranger> {
        let mut strangers = self.strangers();
        let of_address = strangers.addresses.get(&address).copied().unwrap_or(0);
        if strangers.count >= STRANGERS_MAX || of_address >= STRANGERS_PER_ADDRESS_MAX {
            return None;
        }
        strangers.count = strangers.count.saturating_add(1);
        strangers
            .addresses
            .insert(address, of_address.saturating_add(1));
        drop(strangers);
        Some(Stranger {
            shared: Arc::clone(self),
            address,
        })
    }

    /// Somebody is not let in. Told of a few times a second, else counted.
    pub(super) fn turn_away(&self, peer: Option<Peer>, remote: SocketAddr, why: String) {
        add(&self.figures.turned_away, 1);
        let Some(untold) = self.strangers().told.tell(Instant::now()) else {
            return;
        };
        self.parts.witness.note(Note::TurnedAway {
            peer,
            remote,
            why,
            untold,
        });
    }
}

/// Takes what hosts send.
pub struct Ingest(Arc<Shared>);

impl Ingest {
    /// Of these parts; nothing happens before [`Ingest::run`].
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(Shared {
            parts,
            figures: Arc::default(),
            room: Arc::new(Semaphore::new(GATHERED_BYTES_MAX / PERMIT_BYTES)),
            puts: Arc::new(Semaphore::new(PUTS_MAX)),
            small: Semaphore::new(SMALL_REQUESTS_MAX),
            strangers: Mutex::default(),
        }))
    }

    /// What it counts.
    #[must_use]
    pub fn figures(&self) -> Arc<Figures> {
        Arc::clone(&self.0.figures)
    }

    /// Accepts connections until `shutdown` is ready; then hosts are told, and what they sent and
    /// was not answered is sent again to whoever they connect to next.
    pub async fn run(self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let connections_max = connections_max(self.0.parts.hosts_max);
        let places = Arc::new(Semaphore::new(connections_max));
        tokio::select! {
            () = shutdown => {}
            () = self.accept(&listener, &places) => {}
            () = self.watch() => {}
        }
        drop(listener);
        self.0.parts.connections.end_all("the service is stopping");
        let all = u32::try_from(connections_max).unwrap_or(u32::MAX);
        // Those that do not listen end with the runtime.
        let _ = timeout(ENDING_MAX, places.acquire_many(all)).await;
    }

    async fn accept(&self, listener: &TcpListener, places: &Arc<Semaphore>) {
        loop {
            let (tcp, remote) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(_) => {
                    sleep(ACCEPT_AGAIN).await;
                    continue;
                }
            };
            add(&self.0.figures.accepted, 1);
            let Ok(place) = Arc::clone(places).try_acquire_owned() else {
                let max = connections_max(self.0.parts.hosts_max);
                let why = format!("there are {max} connections already");
                self.0.turn_away(None, remote, why);
                continue;
            };
            let Some(stranger) = self.0.let_in(remote.ip()) else {
                let why = "too many connections are shaking hands".to_owned();
                self.0.turn_away(None, remote, why);
                continue;
            };
            let shared = Arc::clone(&self.0);
            tokio::spawn(serve(shared, tcp, remote, stranger, place));
        }
    }

    /// Ends the connections of hosts that are locked out, or whose certificate has ended.
    async fn watch(&self) {
        let parts = &self.0.parts;
        let mut seen = parts.admission.changes();
        let mut looked = Instant::now();
        loop {
            sleep(ADMISSION_EVERY).await;
            let now = parts.admission.changes();
            if now == seen && looked.elapsed() < EXPIRY_EVERY {
                continue;
            }
            (seen, looked) = (now, Instant::now());
            for line in parts.connections.all() {
                if let Err(why) = parts.admission.admit(&line.peer) {
                    line.cut(&why);
                }
            }
        }
    }
}

/// One connection, from TLS to its end.
async fn serve(
    shared: Arc<Shared>,
    tcp: TcpStream,
    remote: SocketAddr,
    stranger: Stranger,
    _place: OwnedSemaphorePermit,
) {
    // Receipts of small parts would otherwise wait for one another.
    let _ = tcp.set_nodelay(true);
    let handshake = TlsAcceptor::from(Arc::clone(&shared.parts.tls)).accept(tcp);
    let tls = match timeout(HANDSHAKE_MAX, handshake).await {
        Ok(Ok(tls)) => tls,
        Ok(Err(e)) => return shared.turn_away(None, remote, format!("TLS: {e}")),
        Err(_) => {
            let why = format!("TLS took longer than {HANDSHAKE_MAX:?}");
            return shared.turn_away(None, remote, why);
        }
    };
    let shown = tls.get_ref().1.peer_certificates();
    let peer = match shared.parts.admission.peer_of(shown) {
        Ok(peer) => peer,
        Err(why) => return shared.turn_away(None, remote, why),
    };
    // Who showed a certificate is told why it may not send, so that it can be fixed there.
    if let Some(peer) = &peer
        && let Err(why) = shared.parts.admission.admit(peer)
    {
        shared.turn_away(Some(peer.clone()), remote, why.clone());
        return refuse(tls, why).await;
    }
    // A stranger stays one until it has shown who it is.
    let _stranger = peer.is_none().then_some(stranger);
    let connection = Arc::new(Connection {
        shared,
        peer,
        remote,
        has_stream: AtomicBool::new(false),
        over: Notify::new(),
        gone: Arc::new(Notify::new()),
    });
    speak(tls, connection).await;
}

fn builder() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_concurrent_streams(REQUESTS_MAX)
        .max_header_list_size(HEADERS_BYTES_MAX)
        .max_send_buf_size(SEND_BUFFER_BYTES);
    builder
}

/// Serves the requests of a connection until it ends, or nothing has been said on it for too long.
async fn speak(tls: TlsStream<TcpStream>, connection: Arc<Connection>) {
    let requests = Arc::clone(&connection);
    let service = service_fn(move |request| answer(Arc::clone(&requests), request));
    let served = builder().serve_connection(TokioIo::new(tls), service);
    let mut served = std::pin::pin!(served);
    let streamless = async {
        sleep(STREAMLESS_MAX).await;
        if connection.has_stream.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        _ = served.as_mut() => {}
        () = connection.over.notified() => {
            served.as_mut().graceful_shutdown();
            let _ = timeout(ENDING_MAX, served).await;
        }
        () = streamless => {}
    }
    connection.gone.notify_one();
}

/// Answers every request with why the host may not be here.
async fn refuse(tls: TlsStream<TcpStream>, why: String) {
    let service = service_fn(move |_| {
        let body = http_body_util::Full::new(bytes::Bytes::from(why.clone()));
        let mut response = hyper::Response::new(body);
        *response.status_mut() = hyper::StatusCode::FORBIDDEN;
        std::future::ready(Ok::<_, std::convert::Infallible>(response))
    });
    let served = builder().serve_connection(TokioIo::new(tls), service);
    let _ = timeout(ENDING_MAX, served).await;
}
