//! The first connection, when a host knows nothing of its cluster but a fingerprint.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme, version,
};

use super::{finish_client, provider, roots, unusable};
use crate::authority::fingerprint;
use crate::failure::Failure;
use crate::hex;

/// SHA-256 of an authority's certificate, as `--ca-pin sha256:…` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CaPin(pub [u8; 32]);

impl fmt::Display for CaPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", hex::encode(&self.0))
    }
}

impl FromStr for CaPin {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let digits = text.strip_prefix("sha256:").and_then(hex::decode);
        digits.map(Self).ok_or_else(|| {
            Failure::Malformed(
                "a pin is sha256: and 64 lower-case hexadecimal digits, as `hansardd ca` shows it"
                    .into(),
            )
        })
    }
}

/// Whom a host that joins believes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trusted {
    /// The authority with this fingerprint.
    Pinned(CaPin),
    /// Whoever answers. Somebody in between could be the cluster from then on: the person who joins
    /// MUST have said so in a word of its own.
    Anybody,
}

/// How a host connects to join. The second answer has, after the handshake, the authority's
/// certificate in DER that was believed: what [`crate::host_identity::HostKeys::store`] is to be
/// given.
///
/// # Errors
/// `Refused` when TLS cannot be set up.
pub fn joining_config(
    trusted: Trusted,
    time: Arc<dyn TimeProvider>,
) -> Result<(ClientConfig, Arc<BelievedAuthority>), Failure> {
    let believed = Arc::new(BelievedAuthority {
        trusted,
        seen: Mutex::new(None),
    });
    let verifier: Arc<dyn ServerCertVerifier> = believed.clone();
    let mut config = ClientConfig::builder_with_details(provider(), time)
        .with_protocol_versions(&[&version::TLS13])
        .map_err(unusable)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    finish_client(&mut config);
    Ok((config, believed))
}

/// The authority that a joining host came to believe in.
#[derive(Debug)]
pub struct BelievedAuthority {
    trusted: Trusted,
    seen: Mutex<Option<Vec<u8>>>,
}

impl BelievedAuthority {
    /// Its certificate in DER; none before a handshake succeeded.
    #[must_use]
    pub fn der(&self) -> Option<Vec<u8>> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.clone()
    }

    /// The authority among what the server sent along, if it is the one that is believed.
    fn find<'a>(&self, sent: &'a [CertificateDer<'_>]) -> Option<&'a [u8]> {
        let mut sent = sent.iter().map(AsRef::as_ref);
        match self.trusted {
            Trusted::Pinned(pin) => sent.find(|der: &&[u8]| fingerprint(der) == pin.0),
            Trusted::Anybody => sent.next(),
        }
    }
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
        // From here on as for everybody else, with that authority as the only root.
        let Ok(roots) = roots(authority) else {
            return Err(unknown);
        };
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .map_err(|e| Error::General(e.to_string()))?;
        let verified = verifier.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        )?;
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
