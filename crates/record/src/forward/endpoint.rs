//! Where the service is, and how a connection to it is made: TCP, TLS 1.3, HTTP/2.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Body;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::{Method, Request};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Longest body of a small request and of its answer; a longer one is an error.
pub const POST_BYTES_MAX: usize = 64 * 1024;

/// Bytes that are handed to HTTP/2 before it has sent them.
const SEND_BUFFER_BYTES: usize = 128 * 1024;

/// Window of what the service may send before it is read: it says little.
const WINDOW_BYTES: u32 = 64 * 1024;

/// Addresses that one attempt goes through; further ones are not tried.
const ADDRESSES_MAX: usize = 16;

/// Where the service is, and how the two sides know each other.
#[derive(Clone)]
pub struct Endpoint {
    /// `host:port`, tried in this order.
    pub addresses: Vec<String>,
    /// The name that the service's certificate must have.
    pub server_name: ServerName<'static>,
    /// The authority to trust, this host's certificate and key, and `h2` as the protocol.
    pub tls: Arc<ClientConfig>,
}

/// Answers where to connect; asked before every attempt, so that a renewed certificate is used.
/// The error is for people.
pub type Connect = Arc<dyn Fn() -> Result<Endpoint, String> + Send + Sync>;

/// A connection, which ends when this is dropped.
pub(super) struct Link<B> {
    pub(super) requests: SendRequest<B>,
    /// The name requests are for.
    pub(super) authority: String,
    driver: JoinHandle<()>,
}

impl<B> Drop for Link<B> {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Endpoint {
    /// Connects to the first address that answers; each gets this long.
    pub(super) async fn open<B>(&self, at_most: Duration) -> io::Result<Link<B>>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        let mut last = io::Error::other("no address of a service is configured");
        for address in self.addresses.iter().take(ADDRESSES_MAX) {
            match timeout(at_most, self.open_at(address)).await {
                Ok(Ok(link)) => return Ok(link),
                Ok(Err(e)) => last = io::Error::new(e.kind(), format!("{address}: {e}")),
                Err(_) => {
                    let why = format!("{address}: no answer within {at_most:?}");
                    last = io::Error::new(io::ErrorKind::TimedOut, why);
                }
            }
        }
        Err(last)
    }

    async fn open_at<B>(&self, address: &str) -> io::Result<Link<B>>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        let tcp = TcpStream::connect(address).await?;
        // Receipts of small parts would otherwise wait for one another.
        tcp.set_nodelay(true)?;
        let tls = TlsConnector::from(Arc::clone(&self.tls))
            .connect(self.server_name.clone(), tcp)
            .await?;
        let (requests, connection) = Builder::new(TokioExecutor::new())
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .max_send_buf_size(SEND_BUFFER_BYTES)
            .handshake(TokioIo::new(tls))
            .await
            .map_err(io::Error::other)?;
        let driver = tokio::spawn(async move {
            // What ends the connection is told to whoever waits for an answer on it.
            let _ = connection.await;
        });
        Ok(Link {
            requests,
            authority: self.server_name.to_str().into_owned(),
            driver,
        })
    }
}

/// What a request for this path looks like.
pub(super) fn request<B>(authority: &str, path: &str, body: B) -> io::Result<Request<B>> {
    Request::builder()
        .method(Method::POST)
        .uri(format!("https://{authority}{path}"))
        .body(body)
        .map_err(io::Error::other)
}

/// Sends one small request on a connection of its own, and answers status and body.
///
/// # Errors
/// When it could not be sent, or was not answered in time, or with more than [`POST_BYTES_MAX`].
pub async fn post(
    endpoint: &Endpoint,
    path: &str,
    body: Vec<u8>,
    at_most: Duration,
) -> io::Result<(u16, Vec<u8>)> {
    let exchange = async {
        let mut link = endpoint.open::<Full<Bytes>>(at_most).await?;
        let request = request(&link.authority, path, Full::new(Bytes::from(body)))?;
        let response = link.requests.send_request(request).await;
        let response = response.map_err(io::Error::other)?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), POST_BYTES_MAX);
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        Ok((status, body.to_vec()))
    };
    match timeout(at_most, exchange).await {
        Ok(outcome) => outcome,
        Err(_) => {
            let why = format!("{path}: no answer within {at_most:?}");
            Err(io::Error::new(io::ErrorKind::TimedOut, why))
        }
    }
}
