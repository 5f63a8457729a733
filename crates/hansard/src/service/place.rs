//! Where a service is: at a socket of this machine, or at an address that browsers open, too.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper::Response;
use hyper::body::Incoming;
use hyper::header::{COOKIE, HeaderValue, ORIGIN, SET_COOKIE};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::failure::{Failure, STATUS_WRONG_USE, shown};

/// Authorities that the system believes, where Debian keeps them.
const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Longest file of authorities that is read, bytes.
const AUTHORITIES_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What the cookie of whoever is signed in begins with, by HTTP and by HTTPS.
const TICKETS: [&str; 2] = ["hansard_session=", "__Host-hansard_session="];

/// How long a connection and its handshake may take.
const CONNECT_MAX: Duration = Duration::from_secs(20);

/// What goes to a service and comes back.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// Where a service is.
pub(super) enum Place {
    /// A socket of this machine, which says itself who asks.
    Socket(PathBuf),
    /// A web server, with a ticket for whoever is signed in.
    Web(Box<Web>),
}

/// A web server.
pub(super) struct Web {
    /// `https://hansard.example.org`, as browsers show it.
    origin: String,
    host: String,
    port: u16,
    tls: Option<Arc<ClientConfig>>,
    /// The cookie of whoever is signed in.
    ticket: RefCell<Option<String>>,
}

/// The parts of a URL that says where a service is.
struct Url {
    is_https: bool,
    host: String,
    port: u16,
    origin: String,
}

impl Url {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let is_https = match scheme {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let authority = rest.trim_end_matches('/');
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
        if authority.is_empty() || !authority.chars().all(is_plain) {
            return None;
        }
        let usual = if is_https { 443 } else { 80 };
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']')?;
                (
                    host,
                    rest.strip_prefix(':').or(rest.is_empty().then_some("")),
                )
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, Some("")),
            },
        };
        let port = match port? {
            "" => usual,
            port => port.parse().ok().filter(|port| *port != 0)?,
        };
        Some(Self {
            is_https,
            host: host.to_ascii_lowercase(),
            port,
            origin: format!("{scheme}://{}", authority.to_ascii_lowercase()),
        })
    }

    fn is_loopback(&self) -> bool {
        let address = self.host.parse::<IpAddr>();
        self.host == "localhost" || address.is_ok_and(|ip| ip.is_loopback())
    }
}

/// The host of a service's URL.
pub(crate) fn host_of(server: &str) -> Option<String> {
    Url::parse(server).map(|url| url.host)
}

impl Web {
    /// The web server of a URL.
    /// With a certificate and its key, in these two files, the client shows who it is.
    pub(super) fn new(
        server: &str,
        authorities: Option<&Path>,
        own: Option<&[PathBuf; 2]>,
    ) -> Result<Self, Failure> {
        let url = Url::parse(server).ok_or_else(|| {
            let what = format!(
                "{:?} is no address of a service",
                hansard_view::escape_for_humans(server)
            );
            Failure::new(STATUS_WRONG_USE, what).hint("write it as https://hansard.example.org")
        })?;
        if !url.is_https && !url.is_loopback() {
            let what = format!(
                "{}: a password is not sent to another machine without TLS",
                url.origin
            );
            return Err(Failure::new(STATUS_WRONG_USE, what).hint("name the server as https://…"));
        }
        let tls = match url.is_https {
            true => Some(tls(authorities, own)?),
            false => None,
        };
        Ok(Self {
            origin: url.origin,
            host: url.host,
            port: url.port,
            tls,
            ticket: RefCell::default(),
        })
    }

    async fn connect(&self) -> Result<Box<dyn Wire>, Failure> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await;
        let stream = stream.map_err(|e| self.unreachable(&e))?;
        let Some(tls) = &self.tls else {
            return Ok(Box::new(stream));
        };
        let name = ServerName::try_from(self.host.clone());
        let name = name.map_err(|e| self.unreachable(&io::Error::other(e)))?;
        let secured = TlsConnector::from(Arc::clone(tls))
            .connect(name, stream)
            .await;
        let secured = secured.map_err(|e| {
            let what = format!("{}: no secure connection: {e}", self.origin);
            Failure::new(STATUS_WRONG_USE, what)
                .hint("if its authority is your own, name that: --ca FILE")
        })?;
        Ok(Box::new(secured))
    }

    fn unreachable(&self, error: &io::Error) -> Failure {
        let what = format!("{}: it cannot be reached: {error}", self.origin);
        Failure::new(STATUS_WRONG_USE, what).hint("see that the name is right and the service runs")
    }
}

impl Place {
    /// Its name for people.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Socket(path) => shown(path),
            Self::Web(web) => web.origin.clone(),
        }
    }

    /// A connection.
    pub(super) async fn connect(&self) -> Result<Box<dyn Wire>, Failure> {
        match self {
            Self::Socket(path) => match UnixStream::connect(path).await {
                Ok(stream) => Ok(Box::new(stream)),
                Err(e) => Err(super::unreachable(path, &e)),
            },
            Self::Web(web) => match timeout(CONNECT_MAX, web.connect()).await {
                Ok(connected) => connected,
                Err(_) => Err(web.unreachable(&io::ErrorKind::TimedOut.into())),
            },
        }
    }

    /// What a request says of who asks, and whom.
    pub(super) fn introduce<T>(&self, request: &mut hyper::Request<T>) {
        let Self::Web(web) = self else { return };
        let headers = request.headers_mut();
        let host = web.origin.split("://").nth(1).unwrap_or_default();
        for (name, text) in [(hyper::header::HOST, host), (ORIGIN, &web.origin)] {
            if let Ok(value) = HeaderValue::from_str(text) {
                headers.insert(name, value);
            }
        }
        let ticket = web.ticket.borrow();
        let ticket = ticket.as_deref().map(HeaderValue::from_str);
        if let Some(Ok(mut ticket)) = ticket {
            ticket.set_sensitive(true);
            headers.insert(COOKIE, ticket);
        }
    }

    /// Keeps the ticket that an answer gives.
    pub(super) fn hear(&self, answer: &Response<Incoming>) {
        let Self::Web(web) = self else { return };
        for cookie in answer.headers().get_all(SET_COOKIE) {
            let text = cookie.to_str().unwrap_or_default();
            let pair = text.split(';').next().unwrap_or_default().trim();
            // There are others, which are for browsers.
            if !TICKETS.iter().any(|name| pair.starts_with(name)) {
                continue;
            }
            *web.ticket.borrow_mut() = Some(pair.to_owned()).filter(|pair| !pair.ends_with('='));
        }
    }
}

/// Whom to believe: these authorities, or those of the system.
fn tls(
    authorities: Option<&Path>,
    own: Option<&[PathBuf; 2]>,
) -> Result<Arc<ClientConfig>, Failure> {
    let path = authorities.unwrap_or(Path::new(SYSTEM_AUTHORITIES));
    let mut text = Vec::new();
    let file = File::open(path).map_err(|e| Failure::about(path, &e))?;
    let read = file.take(AUTHORITIES_BYTES_MAX).read_to_end(&mut text);
    read.map_err(|e| Failure::about(path, &e))?;
    let mut roots = RootCertStore::empty();
    let found = CertificateDer::pem_slice_iter(&text).filter_map(Result::ok);
    // Some of a system's are of kinds that nobody uses for this.
    let (taken, _) = roots.add_parsable_certificates(found);
    if taken == 0 {
        let what = format!("{}: no certificate of an authority in it", shown(path));
        return Err(Failure::new(STATUS_WRONG_USE, what)
            .hint("name a file of certificates in PEM: --ca FILE"));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|e| Failure::new(STATUS_WRONG_USE, format!("no TLS: {e}")))?
        .with_root_certificates(roots);
    Ok(Arc::new(match own {
        None => config.with_no_client_auth(),
        Some(files) => {
            let (chain, key) = identity(files)?;
            let config = config.with_client_auth_cert(chain, key);
            config.map_err(|e| Failure::new(STATUS_WRONG_USE, format!("no TLS: {e}")))?
        }
    }))
}

/// A certificate and its key.
fn identity(
    [certificate, key]: &[PathBuf; 2],
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Failure> {
    let unusable = |path: &Path, e: rustls::pki_types::pem::Error| {
        let what = format!("{}: {e}", shown(path));
        Failure::new(STATUS_WRONG_USE, what).hint("sign in again: `hansard login`")
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(|all| all.collect::<Result<Vec<_>, _>>())
        .map_err(|e| unusable(certificate, e))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|e| unusable(key, e))?;
    Ok((chain, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_scheme_a_host_and_a_port_and_nothing_else() {
        let host = |text: &str| Url::parse(text).map(|url| (url.host, url.port, url.origin));
        let some = |h: &str, p, o: &str| Some((h.to_owned(), p, o.to_owned()));
        assert_eq!(
            host("https://A.example/"),
            some("a.example", 443, "https://a.example")
        );
        assert_eq!(
            host("http://127.0.0.1:3080"),
            some("127.0.0.1", 3080, "http://127.0.0.1:3080")
        );
        assert_eq!(
            host("https://[::1]:8443"),
            some("::1", 8443, "https://[::1]:8443")
        );
        for wrong in [
            "",
            "a.example",
            "ftp://a",
            "https://",
            "https://a/b",
            "https://u@a",
            "https://a:0",
            "https://a:x",
            "https://[::1",
            "https://a b",
            "https://a\r\nb",
        ] {
            assert!(host(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn no_password_goes_to_another_machine_in_the_clear() {
        for local in ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1"] {
            assert!(Web::new(local, None, None).is_ok(), "{local}");
        }
        for other in [
            "http://192.0.2.1:1",
            "http://localhost.example",
            "http://127.0.0.1.example",
        ] {
            let refused = Web::new(other, None, None).err().unwrap();
            assert!(refused.to_string().contains("without TLS"), "{refused}");
        }
    }
}
