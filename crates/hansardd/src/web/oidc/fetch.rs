//! Asking a provider: one request on a connection of its own, bounded in time and in size, to addresses
//! that may be connected to, and without following it elsewhere.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{Method, Request, Uri, header};
use hansard_identity::limits::OIDC_DOCUMENT_BYTES_MAX;
use hansard_identity::oidc::addresses::may_connect;
use hansard_identity::tls::provider;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, version};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::settings::is_loopback_issuer;
use crate::config::Oidc;
use crate::failure::{plain, shown};
use crate::web::files;

/// How long one request may take, from its name's resolution to the last byte of its answer; then the
/// provider is as good as away.
pub const REQUEST_MAX: Duration = Duration::from_secs(10);

/// Addresses of one name that are tried, one after the other.
const ADDRESSES_MAX: usize = 4;

/// Bytes of an answer's head; with a longer one it is refused.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Where systems keep the authorities that they believe in.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// What a request came to: a status, and a body.
pub type Answer = (u16, Vec<u8>);

/// Whose certificates are believed, as it is configured.
///
/// # Errors
/// In words, when that is nobody's.
pub fn trusted(oidc: &Oidc) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let configured = oidc.ca_file.as_path();
    if configured == Path::new("") && is_loopback_issuer(&oidc.issuer_url) {
        return Ok(roots);
    }
    let mut bundles = BUNDLES.iter().map(Path::new);
    let path = match configured == Path::new("") {
        true => bundles.find(|path| path.exists()),
        false => Some(configured),
    };
    let Some(path) = path else {
        let what = "this machine has no certificates of authorities (Debian: ca-certificates)";
        return Err(what.to_owned());
    };
    let text = files::read(path)?;
    // Of a system's hundred, one that cannot be read shuts out nobody else.
    let (_, _) = roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&text).flatten());
    match roots.is_empty() {
        false => Ok(roots),
        true => Err(format!(
            "{}: there is no certificate in PEM in it",
            shown(path)
        )),
    }
}

/// Asks one provider.
pub struct Fetch {
    tls: TlsConnector,
    named: Vec<IpAddr>,
}

impl Fetch {
    /// For a provider that is configured so.
    ///
    /// # Errors
    /// In words.
    pub fn new(oidc: &Oidc) -> Result<Self, String> {
        let config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .map_err(|e| e.to_string())?;
        let mut config = config
            .with_root_certificates(trusted(oidc)?)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let mut named = oidc.addresses.clone();
        // Who writes this machine as the issuer names it.
        if is_loopback_issuer(&oidc.issuer_url) {
            named.extend([
                IpAddr::V4(Ipv4Addr::LOCALHOST),
                IpAddr::V6(Ipv6Addr::LOCALHOST),
            ]);
        }
        Ok(Self {
            tls: TlsConnector::from(Arc::new(config)),
            named,
        })
    }

    /// Gets a document.
    ///
    /// # Errors
    /// In words, for the event and the log: also for every status but 200.
    pub async fn get(&self, address: &str) -> Result<Vec<u8>, String> {
        let request = Request::builder().header(header::ACCEPT, "application/json");
        match self.send(address, request, String::new()).await? {
            (200, body) => Ok(body),
            (status, _) => Err(format!("{address}: it answered {status}")),
        }
    }

    /// Sends a form, and answers status and body.
    ///
    /// # Errors
    /// In words, for the event and the log.
    pub async fn post(
        &self,
        address: &str,
        form: String,
        authorization: Option<String>,
    ) -> Result<Answer, String> {
        let mut request = Request::builder()
            .method(Method::POST)
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(authorization) = authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        self.send(address, request, form).await
    }

    async fn send(
        &self,
        address: &str,
        request: axum::http::request::Builder,
        body: String,
    ) -> Result<Answer, String> {
        let about = |why: String| format!("{address}: {why}");
        let uri: Uri = address
            .parse()
            .map_err(|_| about("it is no address".to_owned()))?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let request = request.uri(path).header(header::HOST, authority);
        let request = request.body(Full::new(Bytes::from(body)));
        let request = request.map_err(|_| about("it is no address".to_owned()))?;
        match timeout(REQUEST_MAX, self.exchange(&uri, request)).await {
            Ok(exchanged) => exchanged.map_err(about),
            Err(_) => Err(about(format!(
                "no answer within {} s",
                REQUEST_MAX.as_secs()
            ))),
        }
    }

    async fn exchange(&self, uri: &Uri, request: Request<Full<Bytes>>) -> Result<Answer, String> {
        let host = uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let is_https = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        let (tcp, ip) = self.connect(host, port).await?;
        if !is_https {
            // Whatever a provider's document says: in the open nothing leaves this machine.
            return match ip.to_canonical().is_loopback() {
                true => converse(tcp, request).await,
                false => Err("without TLS it is asked on this machine only".to_owned()),
            };
        }
        let name = ServerName::try_from(host.to_owned()).map_err(|e| e.to_string())?;
        let tls = self.tls.connect(name, tcp).await;
        let tls = tls.map_err(|e| format!("TLS: {}", plain(&e)))?;
        converse(tls, request).await
    }

    /// Connects to the first address that may be connected to and answers. The name is resolved once, and
    /// what is judged is what is connected to.
    async fn connect(&self, host: &str, port: u16) -> Result<(TcpStream, IpAddr), String> {
        let found = lookup_host((host, port)).await;
        let found: Vec<SocketAddr> = found.map_err(|e| plain(&e))?.collect();
        let allowed = |at: &&SocketAddr| may_connect(at.ip(), &self.named);
        let mut last = match found.first() {
            Some(at) => format!("it is at {}, inside; `addresses` names such ones", at.ip()),
            None => "its name has no address".to_owned(),
        };
        for at in found.iter().filter(allowed).take(ADDRESSES_MAX) {
            match TcpStream::connect(at).await {
                Ok(tcp) => return Ok((tcp, at.ip())),
                Err(e) => last = plain(&e),
            }
        }
        Err(last)
    }
}

/// The connection's own work; it ends with whoever waits for it.
struct Driver(tokio::task::JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn converse<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Answer, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let said = |e: hyper::Error| format!("HTTP: {e}");
    let (mut requests, connection) = http1::Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(said)?;
    let _driver = Driver(tokio::spawn(async move {
        // What ends it is told to whoever waits for the answer.
        let _ = connection.await;
    }));
    let response = requests.send_request(request).await.map_err(said)?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), OIDC_DOCUMENT_BYTES_MAX);
    let body = body.collect().await.map_err(|e| {
        let is_long = e.is::<http_body_util::LengthLimitError>();
        match is_long {
            true => format!("its answer is longer than {OIDC_DOCUMENT_BYTES_MAX} bytes"),
            false => io::Error::other(e).to_string(),
        }
    })?;
    Ok((status, body.to_bytes().to_vec()))
}
