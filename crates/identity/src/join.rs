//! What a host and a service say to each other when a host joins, and when it renews: bodies of
//! `POST /v1/join` and `POST /v1/renew`, JSON.
//!
//! Both requests are signed by the two keys they are about, so that nobody gets a certificate for a
//! key of somebody else. A renewal is believed for the recorder key's signature alone: a host whose
//! TLS certificate has expired (a laptop after a holiday, a clock that had jumped) renews without a
//! client certificate. To repeat somebody's renewal brings nothing without the key it is for.

use std::collections::BTreeMap;
use std::fmt;

use hansard_core::proof::is_proof;
use hansard_core::wire::MessageWriter;
use serde::{Deserialize, Serialize};

use crate::authority::{check_server_names, fingerprint};
use crate::failure::Failure;
use crate::hex;
use crate::host_id::HostId;
use crate::key::PrivateKey;
use crate::limits::{BODY_BYTES_MAX, LABEL_NAME_BYTES_MAX, LABEL_VALUE_BYTES_MAX, LABELS_MAX};
use crate::name::check_name;

/// What a host asks for when it joins.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JoinRequest {
    /// The token that lets it in.
    pub token: String,
    /// The name it wants, for people.
    pub name: String,
    /// Labels it wants.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Names it is reached under; of a service only.
    #[serde(default)]
    pub server_names: Vec<String>,
    /// Ed25519 public key for TLS, hexadecimal.
    pub tls_key: String,
    /// Ed25519 public key that signs recordings, hexadecimal.
    pub recorder_key: String,
    /// Proof over all of the above by the TLS key, hexadecimal.
    pub tls_proof: String,
    /// Proof over all of the above by the recorder key, hexadecimal.
    pub recorder_proof: String,
}

impl fmt::Debug for JoinRequest {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinRequest")
            .field("name", &self.name)
            .field("recorder_key", &self.recorder_key)
            .finish_non_exhaustive()
    }
}

/// What a host or service asks for when its TLS certificate ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenewRequest {
    /// Who it is.
    pub id: String,
    /// SHA-256 of the authority's certificate that it believes in, hexadecimal, so that one cluster
    /// cannot pass a request on to another.
    pub authority: String,
    /// Ed25519 public key for TLS, hexadecimal.
    pub tls_key: String,
    /// Ed25519 public key that signs its recordings, hexadecimal.
    pub recorder_key: String,
    /// Proof over all of the above by the TLS key, hexadecimal.
    pub tls_proof: String,
    /// Proof over all of the above by the recorder key, hexadecimal.
    pub recorder_proof: String,
}

/// What a host gets: its identifier and its certificates, in PEM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JoinResponse {
    /// Its identifier.
    pub id: String,
    /// The authority's certificate.
    pub authority: String,
    /// Its TLS certificate.
    pub tls: String,
    /// Its recorder key's certificate; a renewal brings one only where the old one is half over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorder: Option<String>,
}

/// The two public keys of a request whose proofs fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keys {
    pub(crate) tls: [u8; 32],
    pub(crate) recorder: [u8; 32],
}

impl JoinRequest {
    /// A request, signed by both keys.
    #[must_use]
    pub fn new(
        token: &str,
        name: &str,
        labels: BTreeMap<String, String>,
        server_names: Vec<String>,
        tls: &PrivateKey,
        recorder: &PrivateKey,
    ) -> Self {
        let mut request = Self {
            token: token.to_owned(),
            name: name.to_owned(),
            labels,
            server_names,
            tls_key: hex::encode(&tls.public()),
            recorder_key: hex::encode(&recorder.public()),
            tls_proof: String::new(),
            recorder_proof: String::new(),
        };
        let message = request.message();
        request.tls_proof = hex::encode(&tls.signing().prove(&message));
        request.recorder_proof = hex::encode(&recorder.signing().prove(&message));
        request
    }

    /// The request's form and its proofs.
    pub(crate) fn check(&self) -> Result<Keys, Failure> {
        check_name(&self.name)?;
        check_labels(&self.labels)?;
        if !self.server_names.is_empty() {
            check_server_names(&self.server_names)?;
        }
        let proofs = [&self.tls_proof, &self.recorder_proof];
        check_proofs(&self.message(), &self.tls_key, &self.recorder_key, proofs)
    }

    fn message(&self) -> Vec<u8> {
        let mut m = MessageWriter::new();
        m.bytes(1, b"hansard join")
            .bytes(2, self.token.as_bytes())
            .bytes(3, self.name.as_bytes());
        for (name, value) in &self.labels {
            m.bytes(4, name.as_bytes()).bytes(5, value.as_bytes());
        }
        for name in &self.server_names {
            m.bytes(6, name.as_bytes());
        }
        m.bytes(7, self.tls_key.as_bytes())
            .bytes(8, self.recorder_key.as_bytes());
        m.finish()
    }
}

impl RenewRequest {
    /// A request, signed by both keys. `authority` is the fingerprint of the authority's
    /// certificate.
    #[must_use]
    pub fn new(id: HostId, authority: [u8; 32], tls: &PrivateKey, recorder: &PrivateKey) -> Self {
        let mut request = Self {
            id: id.to_string(),
            authority: hex::encode(&authority),
            tls_key: hex::encode(&tls.public()),
            recorder_key: hex::encode(&recorder.public()),
            tls_proof: String::new(),
            recorder_proof: String::new(),
        };
        let message = request.message();
        request.tls_proof = hex::encode(&tls.signing().prove(&message));
        request.recorder_proof = hex::encode(&recorder.signing().prove(&message));
        request
    }

    /// The request's form and its proofs; whether the keys are that host's is not known yet.
    pub(crate) fn check(&self, authority_der: &[u8]) -> Result<(HostId, Keys), Failure> {
        let Ok(id) = self.id.parse() else {
            return Err(Failure::Malformed("id: not a host id".into()));
        };
        if self.authority != hex::encode(&fingerprint(authority_der)) {
            return Err(Failure::Refused(
                "a renewal meant for another cluster".into(),
            ));
        }
        let proofs = [&self.tls_proof, &self.recorder_proof];
        let keys = check_proofs(&self.message(), &self.tls_key, &self.recorder_key, proofs)?;
        Ok((id, keys))
    }

    fn message(&self) -> Vec<u8> {
        let mut m = MessageWriter::new();
        m.bytes(1, b"hansard renew")
            .bytes(2, self.id.as_bytes())
            .bytes(3, self.authority.as_bytes())
            .bytes(7, self.tls_key.as_bytes())
            .bytes(8, self.recorder_key.as_bytes());
        m.finish()
    }
}

/// Reads a body, never more than [`BODY_BYTES_MAX`] of it.
///
/// # Errors
/// `Malformed`, with the place but without anything of the body itself.
pub fn read_body<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Failure> {
    if body.len() > BODY_BYTES_MAX {
        let reason = format!("the body is longer than {BODY_BYTES_MAX} bytes");
        return Err(Failure::Malformed(reason));
    }
    serde_json::from_slice(body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        Failure::Malformed(format!(
            "the body is not what is asked for here (line {line}, column {column})"
        ))
    })
}

fn check_labels(labels: &BTreeMap<String, String>) -> Result<(), Failure> {
    if labels.len() > LABELS_MAX {
        return Err(Failure::Malformed(format!("more than {LABELS_MAX} labels")));
    }
    for (name, value) in labels {
        if name.len() > LABEL_NAME_BYTES_MAX || check_name(name).is_err() {
            return Err(Failure::Malformed(format!(
                "a label's name must be 1 to {LABEL_NAME_BYTES_MAX} letters, digits, '.', '_', '-'"
            )));
        }
        if value.len() > LABEL_VALUE_BYTES_MAX || value.chars().any(char::is_control) {
            return Err(Failure::Malformed(format!(
                "a label's value must have at most {LABEL_VALUE_BYTES_MAX} bytes and no control \
                 characters"
            )));
        }
    }
    Ok(())
}

fn check_proofs(
    message: &[u8],
    tls: &str,
    recorder: &str,
    [tls_proof, recorder_proof]: [&String; 2],
) -> Result<Keys, Failure> {
    let (Some(tls), Some(recorder)) = (hex::decode(tls), hex::decode(recorder)) else {
        return Err(Failure::Malformed(
            "a key is not 64 lower-case hexadecimal digits".into(),
        ));
    };
    // A key in two uses could be led to sign for the one what is meant for the other.
    if tls == recorder {
        return Err(Failure::Malformed("one key for two uses".into()));
    }
    let proves = |key: &[u8; 32], proof: &str| {
        hex::decode::<64>(proof).is_some_and(|proof| is_proof(key, message, &proof))
    };
    if proves(&tls, tls_proof) && proves(&recorder, recorder_proof) {
        return Ok(Keys { tls, recorder });
    }
    Err(Failure::Malformed(
        "the sender does not prove that it has the keys".into(),
    ))
}
