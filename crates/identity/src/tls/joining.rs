//! The first connection, when a host knows nothing of its cluster but a fingerprint.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::time_provider::TimeProvider;

use super::believed::BelievedAuthority;
use super::client;
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
                "a pin is sha256: and 64 lower-case hexadecimal digits, as `hansardd init` showed it"
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
    let believed = Arc::new(BelievedAuthority::told_by(trusted));
    let config = client(Arc::clone(&believed), None, time)?;
    Ok((config, believed))
}
