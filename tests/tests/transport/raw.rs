//! A host that says exactly what a test wants it to say.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hansard_core::Part;
use hansard_record::forward::wire::{Decoder, Down, Hello, Up};
use hansard_record::forward::{Outgoing, Pieces, outgoing};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

type Body = Outgoing<io::Error>;

/// A connection on which anything may be asked.
pub(crate) struct Raw {
    runtime: Arc<Runtime>,
    requests: SendRequest<Body>,
}

/// A stream of it.
pub(crate) struct RawStream {
    runtime: Arc<Runtime>,
    up: Pieces<io::Error>,
    down: Incoming,
    decoder: Decoder<Down>,
    _raw: Raw,
}

impl Raw {
    pub(crate) fn connect(
        runtime: &Arc<Runtime>,
        at: SocketAddr,
        tls: Arc<ClientConfig>,
    ) -> Option<Self> {
        let requests = runtime.block_on(async {
            let tcp = TcpStream::connect(at).await.ok()?;
            let name = "localhost".try_into().unwrap();
            let tls = TlsConnector::from(tls).connect(name, tcp).await.ok()?;
            let made = handshake(TokioExecutor::new(), TokioIo::new(tls)).await;
            let (requests, connection) = made.ok()?;
            tokio::spawn(connection);
            Some(requests)
        });
        Some(Self {
            runtime: Arc::clone(runtime),
            requests: requests?,
        })
    }

    /// Asks, with a body that the answered sender writes.
    pub(crate) fn ask(
        &mut self,
        method: &str,
        path: &str,
    ) -> (
        Pieces<io::Error>,
        impl Future<Output = Option<Response<Incoming>>> + use<>,
    ) {
        let (up, body) = outgoing(1);
        let request = Request::builder()
            .method(method)
            .uri(format!("https://localhost{path}"));
        let answer = self.requests.send_request(request.body(body).unwrap());
        let answer = async { timeout(Duration::from_secs(10), answer).await.ok()?.ok() };
        (up, answer)
    }

    /// Asks with this body; status and body of the answer.
    pub(crate) fn post(&mut self, method: &str, path: &str, body: &[u8]) -> (u16, String) {
        let (mut up, answer) = self.ask(method, path);
        let body = Bytes::copy_from_slice(body);
        self.runtime.block_on(async {
            let sending = async move {
                // Who refuses need not read.
                let _ = up.put(body).await;
            };
            let (answer, ()) = tokio::join!(answer, sending);
            let answer = answer.expect("an answer");
            let status = answer.status().as_u16();
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            (status, String::from_utf8(body.to_vec()).unwrap())
        })
    }

    /// Begins the stream.
    pub(crate) fn stream(mut self) -> RawStream {
        let (up, answer) = self.ask("POST", "/v1/stream");
        let answer = self.runtime.block_on(answer).expect("an answer");
        assert_eq!(answer.status(), 200);
        RawStream {
            runtime: Arc::clone(&self.runtime),
            up,
            down: answer.into_body(),
            decoder: Decoder::new(),
            _raw: self,
        }
    }
}

impl RawStream {
    pub(crate) fn hello(&mut self) {
        self.say(&Up::Hello(Hello::new("raw", Vec::new())));
        assert!(matches!(self.hear(), Some(Down::Welcome { .. })));
    }

    pub(crate) fn say(&mut self, message: &Up) {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        self.send(&bytes);
    }

    pub(crate) fn part(&mut self, part: &Part) {
        self.say(&Up::Part(part.clone()));
    }

    /// Sends bytes, whatever they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(10_000) {
            let piece = Bytes::copy_from_slice(piece);
            let sent = self.runtime.block_on(self.up.put(piece));
            if sent.is_err() {
                return;
            }
        }
    }

    /// What the service says next; `None` when the stream is over.
    pub(crate) fn hear(&mut self) -> Option<Down> {
        let (decoder, down) = (&mut self.decoder, &mut self.down);
        self.runtime.block_on(async {
            loop {
                if let Some(message) = decoder.next_message().unwrap() {
                    return Some(message);
                }
                let frame = timeout(Duration::from_secs(10), down.frame()).await;
                let frame = frame.expect("the service says something")?.ok()?;
                decoder.push(&frame.into_data().ok()?);
            }
        })
    }

    /// Why the service ends the stream, after whatever else it says.
    pub(crate) fn bye(&mut self) -> String {
        loop {
            match self.hear() {
                Some(Down::Bye { why }) => return why,
                Some(_) => {}
                None => return "no word".to_owned(),
            }
        }
    }

    /// What is said up to the receipt of this part.
    pub(crate) fn until_received(&mut self, ordinal: u64) -> Vec<Down> {
        let mut said = Vec::new();
        loop {
            let message = self.hear().expect("a receipt");
            let is_it = matches!(message, Down::Received { ordinal: n } if n >= ordinal);
            said.push(message);
            if is_it {
                return said;
            }
        }
    }
}
