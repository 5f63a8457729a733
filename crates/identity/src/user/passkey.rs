//! A passkey of a user: what is kept of it.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::base64url;
use crate::failure::Failure;
use crate::hex;
use crate::limits::PASSKEY_NAME_BYTES_MAX;
use crate::webauthn::{Made, PublicKey};

/// What is kept of a passkey.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PasskeyRow {
    /// Its identifier, as the authenticator chose it, in base 64 for addresses.
    pub(crate) credential: String,
    /// What its signatures are checked with.
    pub(crate) key: PublicKey,
    /// The host that it is for.
    host: String,
    /// How often it was used, as it said last.
    pub(crate) counter: u32,
    /// What its user calls it.
    pub(crate) label: String,
    created_ns: u64,
    pub(crate) used_ns: Option<u64>,
}

/// A passkey as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passkey {
    /// Its name, made from its identifier: 16 hexadecimal digits.
    pub id: String,
    /// What its user calls it.
    pub label: String,
    /// The host that it is for.
    pub host: String,
    /// When it was made, UTC nanoseconds since 1970.
    pub created_ns: u64,
    /// When somebody last signed in with it.
    pub used_ns: Option<u64>,
}

impl PasskeyRow {
    pub(crate) fn new(made: &Made, host: &str, label: &str, utc_ns: u64) -> Self {
        Self {
            credential: base64url::encode(&made.credential),
            key: made.key.clone(),
            host: host.to_owned(),
            counter: made.counter,
            label: label.to_owned(),
            created_ns: utc_ns,
            used_ns: None,
        }
    }

    /// Its name, which stands in paths and events.
    pub(crate) fn id(&self) -> String {
        let digest: [u8; 32] = Sha256::digest(self.credential.as_bytes()).into();
        let mut id = hex::encode(&digest);
        id.truncate(16);
        id
    }

    pub(crate) fn passkey(&self) -> Passkey {
        Passkey {
            id: self.id(),
            label: self.label.clone(),
            host: self.host.clone(),
            created_ns: self.created_ns,
            used_ns: self.used_ns,
        }
    }
}

/// Whether a passkey may be called this.
///
/// # Errors
/// `Malformed`, in words for who chose it.
pub fn check_label(label: &str) -> Result<(), Failure> {
    let is_bounded = (1..=PASSKEY_NAME_BYTES_MAX).contains(&label.len());
    if is_bounded && label.trim() == label && !label.chars().any(char::is_control) {
        return Ok(());
    }
    Err(Failure::Malformed(format!(
        "what a passkey is called: 1 to {PASSKEY_NAME_BYTES_MAX} bytes of words"
    )))
}
