//! `/metrics`, `/healthz` and `/readyz` over HTTP/1.1, for monitoring on the same machine.
//!
//! `healthz`: the daemon's main loop turned a moment ago. `readyz`: everything that was switched on
//! is open and takes work. Both answer 200 and `ok`, or 503 and what is the matter.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::Exposition;
use hansard_record::clock::Clock;

/// Most connections at a time; another one waits in the kernel's queue.
pub const CONNECTIONS_MAX: usize = 32;

/// Longest life of a connection, whatever it does; then it is closed.
pub const CONNECTION_LIFE: Duration = Duration::from_secs(30);

/// Longest time until a request's head is there.
const HEAD_TIME: Duration = Duration::from_secs(5);

/// Longest head of a request, bytes; a longer one is refused. The least that hyper takes.
const HEAD_BYTES_MAX: usize = 8192;

/// Silence of the main loop after which the daemon counts as stuck, nanoseconds.
pub const STUCK_NS: u64 = 30_000_000_000;

/// What the daemon says of itself.
pub struct Health {
    clock: Arc<dyn Clock>,
    turned_ns: AtomicU64,
    /// Why it is not ready; empty when it is.
    waits_for: Mutex<Vec<String>>,
}

impl Health {
    /// Alive, and not ready yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let now = clock.monotonic_ns();
        Self {
            clock,
            turned_ns: AtomicU64::new(now),
            waits_for: Mutex::new(vec!["starting".to_owned()]),
        }
    }

    /// The main loop turned.
    pub fn turned(&self) {
        let now = self.clock.monotonic_ns();
        self.turned_ns.store(now, Ordering::Relaxed);
    }

    /// What it waits for; nothing when it is ready.
    pub fn waits_for(&self, what: Vec<String>) {
        *self
            .waits_for
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = what;
    }

    /// What is the matter with the process, if anything.
    fn alive(&self) -> Vec<String> {
        let now = self.clock.monotonic_ns();
        let silent = now.saturating_sub(self.turned_ns.load(Ordering::Relaxed));
        match silent >= STUCK_NS {
            true => vec![format!(
                "the main loop has not turned for {} s",
                silent / 1_000_000_000
            )],
            false => Vec::new(),
        }
    }

    /// What it waits for, if anything.
    fn ready(&self) -> Vec<String> {
        let waits = self
            .waits_for
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        waits.clone()
    }
}

/// Answers until it is dropped.
pub async fn serve(listener: TcpListener, exposition: Arc<Exposition>, health: Arc<Health>) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(permit) = connections.clone().acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            // Out of descriptors, or a client that is gone already: neither passes by spinning.
            Err(_) => {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (exposition, health) = (Arc::clone(&exposition), Arc::clone(&health));
        tokio::spawn(async move {
            let answering = service_fn(|request| {
                let response = answer(&request, &exposition, &health);
                async { Ok::<_, Infallible>(response) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIME)
                .max_buf_size(HEAD_BYTES_MAX)
                .serve_connection(TokioIo::new(stream), answering);
            // Whoever asked is gone, or was too slow: there is nobody to tell.
            let _ = tokio::time::timeout(CONNECTION_LIFE, connection).await;
            drop(permit);
        });
    }
}

fn answer(
    request: &Request<Incoming>,
    exposition: &Exposition,
    health: &Health,
) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return text(
            StatusCode::METHOD_NOT_ALLOWED,
            "only GET and HEAD\n".to_owned(),
        );
    }
    match request.uri().path() {
        "/metrics" => match exposition.text() {
            Ok(metrics) => {
                let mut response = text(StatusCode::OK, metrics);
                let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                let kind = HeaderValue::from_static(kind);
                response.headers_mut().insert(CONTENT_TYPE, kind);
                response
            }
            Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, String::new()),
        },
        "/healthz" => state(&health.alive()),
        "/readyz" => state(&[health.alive(), health.ready()].concat()),
        _ => text(
            StatusCode::NOT_FOUND,
            "/metrics, /healthz, /readyz\n".to_owned(),
        ),
    }
}

fn state(matters: &[String]) -> Response<Full<Bytes>> {
    match matters.is_empty() {
        true => text(StatusCode::OK, "ok\n".to_owned()),
        false => text(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("{}\n", matters.join("\n")),
        ),
    }
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    let fresh = HeaderValue::from_static("no-store");
    response.headers_mut().insert(CACHE_CONTROL, fresh);
    response
}
