//! A certificate that somebody else issued, for people's browsers: read, and held against its key and
//! the time, before anybody is shown it.

use std::fmt;
use std::sync::Arc;

use rustls::client::verify_server_name;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys, RootCertStore, ServerConfig, version};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{provider, unusable};
use crate::failure::Failure;
use crate::limits::WEB_CHAIN_MAX;
use crate::moment::iso;

/// HTTP/1.1, and nothing else.
const ALPN: &[u8] = b"http/1.1";

/// A certificate, what leads to its authority, and its key.
#[derive(Clone)]
pub struct WebCertificate {
    certified: Arc<CertifiedKey>,
    /// Until when it holds, seconds since 1970.
    pub until_s: u64,
}

impl fmt::Debug for WebCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebCertificate until {}", self.until_s)
    }
}

/// Why it is of no use, by the file that somebody has to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfit {
    /// The certificate.
    Certificate(String),
    /// The key.
    Key(String),
}

impl WebCertificate {
    /// Reads both files, as of this time.
    ///
    /// # Errors
    /// Which of the two is of no use, and why.
    pub fn read(certificates: &[u8], key: &[u8], utc_s: u64) -> Result<Self, Unfit> {
        let chain = chain(certificates).map_err(Unfit::Certificate)?;
        let first = chain.first().map(AsRef::as_ref).unwrap_or_default();
        let until_s = holds(first, utc_s).map_err(Unfit::Certificate)?;
        let key = PrivateKeyDer::from_pem_slice(key);
        let key = key.map_err(|_| Unfit::Key("there is no private key in PEM in it".to_owned()))?;
        let certified = CertifiedKey::from_der(chain, key, &provider()).map_err(|e| match e {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                Unfit::Key("it is not the key of the certificate".to_owned())
            }
            Error::InvalidCertificate(_) => Unfit::Certificate(e.to_string()),
            other => Unfit::Key(other.to_string()),
        })?;
        Ok(Self {
            certified: Arc::new(certified),
            until_s,
        })
    }

    /// Whether browsers believe that it is of this host: a name, or an address.
    #[must_use]
    pub fn is_of(&self, host: &str) -> bool {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let first = self.certified.end_entity_cert().ok();
        let parsed = first.and_then(|der| ParsedCertificate::try_from(der).ok());
        let name = ServerName::try_from(host).ok();
        match (parsed, name) {
            (Some(parsed), Some(name)) => verify_server_name(&parsed, &name).is_ok(),
            _ => false,
        }
    }
}

/// How browsers connect: TLS 1.2 or 1.3, HTTP/1.1. `shown` says which certificate at each connection. A client that
/// has a certificate of the authority for people, here in DER, may show it; whose it is, and whether it counts, is to
/// be asked at each request ([`crate::people`]). One that has none is not asked for any other.
///
/// # Errors
/// `Refused` when TLS cannot be set up.
pub fn web_config(
    shown: Arc<dyn Fn() -> Arc<WebCertificate> + Send + Sync>,
    people: &[u8],
) -> Result<ServerConfig, Failure> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(people)).map_err(unusable)?;
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
        .allow_unauthenticated()
        .build()
        .map_err(unusable)?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])
        .map_err(unusable)?
        .with_client_cert_verifier(clients)
        .with_cert_resolver(Arc::new(Shown(shown)));
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(config)
}

struct Shown(Arc<dyn Fn() -> Arc<WebCertificate> + Send + Sync>);

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shown")
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&(self.0)().certified))
    }
}

fn chain(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    let chain = read.map_err(|e| format!("it is no text in PEM: {e}"))?;
    match chain.len() {
        0 => Err("there is no certificate in PEM in it".to_owned()),
        1..=WEB_CHAIN_MAX => Ok(chain),
        _ => Err(format!(
            "there are more than {WEB_CHAIN_MAX} certificates in it"
        )),
    }
}

/// Until when a certificate holds, if it does now.
fn holds(der: &[u8], utc_s: u64) -> Result<u64, String> {
    let unreadable = |_| "its first certificate cannot be read".to_owned();
    let (_, read) = X509Certificate::from_der(der).map_err(unreadable)?;
    let second = |time: x509_parser::time::ASN1Time| u64::try_from(time.timestamp()).unwrap_or(0);
    let validity = read.validity();
    let (from_s, until_s) = (second(validity.not_before), second(validity.not_after));
    let text = |second: u64| iso(second.saturating_mul(1_000_000_000));
    if utc_s > until_s {
        return Err(format!("the certificate expired at {}", text(until_s)));
    }
    if utc_s < from_s {
        let from = text(from_s);
        return Err(format!(
            "the certificate does not hold before {from}; is the clock right?"
        ));
    }
    Ok(until_s)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    /// 2026-06-01.
    const NOW_S: u64 = 1_780_272_000;

    fn made(from: i32, until: i32) -> (String, String) {
        let names = [
            "audit.example".to_owned(),
            "127.0.0.1".to_owned(),
            "::1".to_owned(),
        ];
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    fn read(certificate: &str, key: &str) -> Result<WebCertificate, Unfit> {
        WebCertificate::read(certificate.as_bytes(), key.as_bytes(), NOW_S)
    }

    #[test]
    fn a_certificate_with_its_key_is_taken_for_the_names_in_it() {
        let (certificate, key) = made(2026, 2027);
        let both = format!("of somebody\n{certificate}\n{}", made(2026, 2027).0);
        let taken = read(&both, &key).unwrap();
        assert_eq!(taken.until_s, 1_798_761_600);
        assert_eq!(taken.certified.cert.len(), 2);
        for name in ["audit.example", "127.0.0.1", "[::1]", "AUDIT.example"] {
            assert!(taken.is_of(name), "{name}");
        }
        for name in ["example", "x.audit.example", "127.0.0.2", "", "a b"] {
            assert!(!taken.is_of(name), "{name}");
        }
        let shown = move || Arc::new(taken.clone());
        let directory = std::env::temp_dir().join(format!("hansard-web-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let random = |bytes: &mut [u8]| {
            bytes.fill(7);
            Ok(())
        };
        let now_ns = NOW_S * 1_000_000_000;
        let people = crate::PeopleAuthority::open(&directory, "test", now_ns, &random).unwrap();
        assert!(web_config(Arc::new(shown.clone()), people.der()).is_ok());
        assert!(web_config(Arc::new(shown), b"junk").is_err());
        std::fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn what_is_of_no_use_says_which_file_and_why() {
        let (certificate, key) = made(2026, 2027);
        let of_certificate = |text: &str| match read(text, &key) {
            Err(Unfit::Certificate(why)) => why,
            other => panic!("{other:?}"),
        };
        let of_key = |text: &str| match read(&certificate, text) {
            Err(Unfit::Key(why)) => why,
            other => panic!("{other:?}"),
        };
        assert!(of_certificate(&made(2020, 2021).0).contains("expired at 2021-01-01"));
        assert!(of_certificate(&made(2030, 2031).0).contains("not hold before 2030-01-01"));
        assert!(of_certificate("").contains("no certificate"));
        assert!(of_certificate(&key).contains("no certificate"));
        assert!(of_certificate(&certificate.repeat(WEB_CHAIN_MAX + 1)).contains("more than"));
        let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(of_certificate(junk).contains("cannot be read"));
        assert!(of_key(&made(2026, 2027).1).contains("not the key of the certificate"));
        assert!(of_key(&certificate).contains("no private key"));
        assert!(of_key("").contains("no private key"));
    }
}
