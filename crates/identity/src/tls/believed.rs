//! Whether the other end is a service of the cluster that is believed in.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

use super::joining::Trusted;
use super::{provider, roots};
use crate::authority::fingerprint;
use crate::certificate::{BadCertificate, Certificate, Purpose, bad};

/// The authority whose services are believed: one that is known, or one that the service sends
/// along when a host joins.
#[derive(Debug)]
pub struct BelievedAuthority {
    believed: Believed,
    seen: Mutex<Option<Vec<u8>>>,
}

#[derive(Debug)]
enum Believed {
    Known(Vec<u8>),
    Told(Trusted),
}

impl BelievedAuthority {
    /// This one.
    pub(super) fn known(der: &[u8]) -> Self {
        Self {
            believed: Believed::Known(der.to_vec()),
            seen: Mutex::new(None),
        }
    }

    /// Whichever the service shows, if it is to be trusted.
    pub(super) fn told_by(trusted: Trusted) -> Self {
        Self {
            believed: Believed::Told(trusted),
            seen: Mutex::new(None),
        }
    }

    /// Its certificate in DER; none before a handshake succeeded.
    #[must_use]
    pub fn der(&self) -> Option<Vec<u8>> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.clone()
    }

    fn find<'a>(&'a self, sent: &'a [CertificateDer<'_>]) -> Option<&'a [u8]> {
        let mut sent = sent.iter().map(AsRef::as_ref);
        match &self.believed {
            Believed::Known(der) => Some(der),
            Believed::Told(Trusted::Pinned(pin)) => {
                sent.find(|der: &&[u8]| fingerprint(der) == pin.0)
            }
            Believed::Told(Trusted::Anybody) => sent.next(),
        }
    }
}

/// Whether this is a service's certificate by our own, stricter reading, which knows of nothing
/// between the authority and those whom it certifies.
fn is_service(der: &[u8], authority_der: &[u8]) -> Result<(), BadCertificate> {
    let certificate = Certificate::read(der)?;
    certificate.is_issued_by(&Certificate::read(authority_der)?)?;
    if certificate.purpose != Purpose::Server {
        return bad("not one of a service");
    }
    Ok(())
}

impl ServerCertVerifier for BelievedAuthority {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let unknown = Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let Some(authority) = self.find(intermediates) else {
            return Err(unknown);
        };
        // That authority is the only root; no root of the machine is believed.
        let Ok(roots) = roots(authority) else {
            return Err(unknown);
        };
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .map_err(|e| Error::General(e.to_string()))?;
        let verified =
            verifier.verify_server_cert(end_entity, &[], server_name, ocsp_response, now)?;
        is_service(end_entity, authority).map_err(|e| Error::General(e.to_string()))?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        *seen = Some(authority.to_vec());
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken here".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}
