//! The requests of one connection: the long stream, and the small ones of hosts that join or renew.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use hansard_identity::Peer;
use hansard_record::forward::{Outgoing, outgoing};
use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::ingest::accept::{Parts, Shared};
use crate::ingest::figures::add;
use crate::ingest::limits::{SMALL_BODY_BYTES_MAX, SMALL_BODY_MAX};
use crate::ingest::note::Note;
use crate::ingest::stream::Stream;

/// Answers a small request, with who asks (as far as it showed a certificate), from where, and the body: status
/// and body. Called on a thread that may block.
pub type Answer = Arc<dyn Fn((Option<Peer>, SocketAddr), Vec<u8>) -> (u16, Vec<u8>) + Send + Sync>;

pub(super) type Reply = Response<Either<Full<Bytes>, Outgoing>>;

/// One connection, for its requests.
pub(super) struct Connection {
    pub(super) shared: Arc<Shared>,
    pub(super) peer: Option<Peer>,
    pub(super) remote: SocketAddr,
    /// A stream has begun.
    pub(super) has_stream: AtomicBool,
    /// The stream has ended.
    pub(super) over: Notify,
    /// The connection itself has ended.
    pub(super) gone: Arc<Notify>,
}

fn text(status: u16, body: impl Into<Bytes>) -> Reply {
    let mut response = Response::new(Either::Left(Full::new(body.into())));
    let status = hyper::StatusCode::from_u16(status);
    *response.status_mut() = status.unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    response
}

/// Answers one request.
pub(super) async fn answer(
    connection: Arc<Connection>,
    request: Request<Incoming>,
) -> Result<Reply, Infallible> {
    let shared = Arc::clone(&connection.shared);
    let is_post = request.method() == Method::POST;
    let path = request.uri().path().to_owned();
    Ok(match path.as_str() {
        _ if !is_post => text(405, "only POST is known here"),
        "/v1/stream" => stream(connection, request.into_body()),
        "/v1/join" => small(&connection, &shared.parts.join, request.into_body()).await,
        "/v1/renew" => small(&connection, &shared.parts.renew, request.into_body()).await,
        _ => text(404, "not known here: is the service older than this host?"),
    })
}

async fn small(connection: &Connection, answer: &Answer, body: Incoming) -> Reply {
    let limited = Limited::new(body, SMALL_BODY_BYTES_MAX).collect();
    let body = match timeout(SMALL_BODY_MAX, limited).await {
        Ok(Ok(body)) => body.to_bytes().to_vec(),
        Ok(Err(e)) if e.is::<http_body_util::LengthLimitError>() => {
            return text(413, "the request is too long");
        }
        Ok(Err(_)) => return text(400, "the request cannot be read"),
        Err(_) => return text(408, "the request took too long"),
    };
    let Ok(_turn) = connection.shared.small.acquire().await else {
        return text(503, "the service is stopping");
    };
    let (answer, who) = (
        Arc::clone(answer),
        (connection.peer.clone(), connection.remote),
    );
    match tokio::task::spawn_blocking(move || answer(who, body)).await {
        Ok((status, body)) => text(status, body),
        Err(_) => text(500, "the service could not answer"),
    }
}

fn stream(connection: Arc<Connection>, body: Incoming) -> Reply {
    let Some(peer) = connection.peer.clone() else {
        return text(401, "only hosts with a certificate may send: join first");
    };
    if connection.has_stream.swap(true, Ordering::SeqCst) {
        return text(409, "there is a stream on this connection already");
    }
    let shared = Arc::clone(&connection.shared);
    let Parts {
        connections,
        hosts_max,
        ..
    } = &shared.parts;
    let place = connections.enter(peer.clone(), connection.remote, *hosts_max);
    let Some(place) = place else {
        let why = format!("{hosts_max} hosts are connected already (serve.ingest.hosts_max)");
        shared.turn_away(Some(peer), connection.remote, why.clone());
        connection.has_stream.store(false, Ordering::SeqCst);
        return text(503, why);
    };
    let (down, reply) = outgoing(2);
    tokio::spawn(async move {
        add(&shared.figures.connected, 1);
        let gone = Arc::clone(&connection.gone);
        let stream = Stream::new(Arc::clone(&shared), Arc::new(place), down);
        let why = tokio::select! {
            biased;
            why = stream.run(body) => why,
            () = gone.notified() => "the connection was lost".to_owned(),
        };
        shared.figures.connected.fetch_sub(1, Ordering::Relaxed);
        shared.parts.witness.note(Note::Gone {
            peer,
            remote: connection.remote,
            why,
        });
        connection.over.notify_one();
    });
    Response::new(Either::Right(reply))
}
