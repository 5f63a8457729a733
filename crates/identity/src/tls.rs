//! How hosts and services connect: TLS 1.3 only, both sides authenticated, HTTP/2; and how browsers do (`web`).
//!
//! No session is resumed: a resumed one would not show the certificate again, and a host that was
//! locked out or has expired meanwhile would be let in.

mod believed;
mod joining;
mod web;

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SignatureScheme, version};

use crate::certificate::{BadCertificate, Certificate, Purpose, bad};
use crate::failure::Failure;
use crate::key::PrivateKey;
use crate::peer::Peer;

pub use believed::BelievedAuthority;
pub use joining::{CaPin, Trusted, joining_config};
pub use web::{Unfit, WebCertificate, web_config};

/// HTTP/2, and nothing else.
const ALPN: &[u8] = b"h2";

/// Which clients a service lets begin to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clients {
    /// Only with a certificate.
    Certified,
    /// Also without one: they may join and renew, nothing else. Whoever answers MUST ask
    /// [`peer_of`] before anything else is done.
    OrAnonymous,
}

/// A certificate and its key that can be exchanged while connections are made: new ones use the
/// new, those that are there keep what they began with.
pub struct LiveCertificate(RwLock<Arc<CertifiedKey>>);

impl fmt::Debug for LiveCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LiveCertificate(…)")
    }
}

impl LiveCertificate {
    /// A certificate in DER, its key, and the authority's certificate, which is sent along so that
    /// somebody who knows only its fingerprint can join.
    ///
    /// # Errors
    /// `Refused` when key and certificate do not fit.
    pub fn new(
        certificate_der: &[u8],
        authority_der: &[u8],
        key: &PrivateKey,
    ) -> Result<Self, Failure> {
        let certified = certified(certificate_der, authority_der, key)?;
        Ok(Self(RwLock::new(Arc::new(certified))))
    }

    /// Uses another from now on.
    ///
    /// # Errors
    /// `Refused` when key and certificate do not fit; the old one stays.
    pub fn replace(
        &self,
        certificate_der: &[u8],
        authority_der: &[u8],
        key: &PrivateKey,
    ) -> Result<(), Failure> {
        let certified = certified(certificate_der, authority_der, key)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(certified);
        Ok(())
    }

    fn current(&self) -> Arc<CertifiedKey> {
        let current = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&current)
    }
}

impl ResolvesServerCert for LiveCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

impl ResolvesClientCert for LiveCertificate {
    fn resolve(
        &self,
        _issuers: &[&[u8]],
        schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        schemes
            .contains(&SignatureScheme::ED25519)
            .then(|| self.current())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// The cryptography that everything here uses, named and not installed for the whole process.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// How a service is connected to. `time` is what certificates are checked against.
///
/// # Errors
/// `Refused` when the authority's certificate is not one.
pub fn server_config(
    authority_der: &[u8],
    own: Arc<LiveCertificate>,
    clients: Clients,
    time: Arc<dyn TimeProvider>,
) -> Result<ServerConfig, Failure> {
    let roots = Arc::new(roots(authority_der)?);
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
    let verifier = match clients {
        Clients::Certified => verifier,
        Clients::OrAnonymous => verifier.allow_unauthenticated(),
    };
    let verifier = verifier.build().map_err(unusable)?;
    let mut config = ServerConfig::builder_with_details(provider(), time)
        .with_protocol_versions(&[&version::TLS13])
        .map_err(unusable)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(own);
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// How a host that has joined connects to a service; without `own`, how one does whose certificate
/// has expired, and who may only renew.
///
/// # Errors
/// `Refused` when the authority's certificate is not one.
pub fn client_config(
    authority_der: &[u8],
    own: Option<Arc<LiveCertificate>>,
    time: Arc<dyn TimeProvider>,
) -> Result<ClientConfig, Failure> {
    roots(authority_der)?;
    client(Arc::new(BelievedAuthority::known(authority_der)), own, time)
}

/// A client that believes in this authority's services, and shows `own`, if there is one.
fn client(
    believed: Arc<BelievedAuthority>,
    own: Option<Arc<LiveCertificate>>,
    time: Arc<dyn TimeProvider>,
) -> Result<ClientConfig, Failure> {
    let config = ClientConfig::builder_with_details(provider(), time)
        .with_protocol_versions(&[&version::TLS13])
        .map_err(unusable)?
        .dangerous()
        .with_custom_certificate_verifier(believed);
    let mut config = match own {
        Some(own) => config.with_client_cert_resolver(own),
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Who is at the other end of a service's connection, from the certificates that it showed
/// (`ServerConnection::peer_certificates`); none if it showed none. The handshake has checked them
/// before; here they are checked again by our own, stricter reading, so that neither of the two has
/// to be right alone.
///
/// # Errors
/// When the certificate is not one that `authority` issued for connecting, or does not hold now.
pub fn peer_of(
    shown: Option<&[CertificateDer<'_>]>,
    authority: &Certificate,
    utc_ns: u64,
) -> Result<Option<Peer>, BadCertificate> {
    let Some(shown) = shown else {
        return Ok(None);
    };
    let Some(first) = shown.first() else {
        return bad("an empty list of certificates");
    };
    let certificate = Certificate::read(first)?;
    certificate.is_issued_by(authority)?;
    if certificate.purpose != Purpose::Client {
        return bad("not one for connecting to a service");
    }
    certificate.is_valid_at(utc_ns)?;
    Ok(Some(certificate.peer()))
}

fn certified(
    certificate_der: &[u8],
    authority_der: &[u8],
    key: &PrivateKey,
) -> Result<CertifiedKey, Failure> {
    let chain = [certificate_der, authority_der].map(|der| CertificateDer::from(der.to_vec()));
    let key = PrivateKeyDer::Pkcs8(key.pkcs8());
    CertifiedKey::from_der(chain.to_vec(), key, &provider()).map_err(unusable)
}

/// The one root: our own authority, read strictly. No root of the machine is believed.
fn roots(authority_der: &[u8]) -> Result<RootCertStore, Failure> {
    Certificate::read(authority_der)?.is_authority()?;
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from(authority_der))
        .map_err(unusable)?;
    Ok(roots)
}

fn unusable(error: impl fmt::Display) -> Failure {
    Failure::Refused(format!("TLS cannot be set up so: {error}"))
}
