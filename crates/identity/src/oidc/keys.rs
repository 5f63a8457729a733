//! A provider's public keys (RFC 7517). Keys that both sides would have to keep secret are none here,
//! so that a public key is never taken for one (RFC 8725 §2.1).

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use serde::Deserialize;

use super::provider::shortly;
use crate::base64url;
use crate::failure::Failure;
use crate::limits::{OIDC_DOCUMENT_BYTES_MAX, OIDC_KEYS_MAX};

/// The ways of signing that are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    Rs256,
    Es256,
    EdDsa,
}

impl Algorithm {
    /// By its name in a token's head; `none`, and everything with a shared secret, is no algorithm.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "ES256" => Some(Self::Es256),
            "EdDSA" => Some(Self::EdDsa),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    Point([u8; 65]),
    Ed25519([u8; 32]),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    material: Material,
}

/// The keys of one provider.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Keys {
    keys: Vec<Key>,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<serde_json::Value>,
}

/// One key, with the fields that are looked at.
#[derive(Deserialize)]
struct Row {
    kty: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    alg: Option<String>,
    #[serde(default, rename = "use")]
    purpose: Option<String>,
    #[serde(default)]
    key_ops: Option<Vec<String>>,
    #[serde(default)]
    crv: Option<String>,
    #[serde(default)]
    n: Option<String>,
    #[serde(default)]
    e: Option<String>,
    #[serde(default)]
    x: Option<String>,
    #[serde(default)]
    y: Option<String>,
}

impl Keys {
    /// The keys of a document. Those of kinds that are not taken are passed over: a provider may have
    /// keys for others.
    ///
    /// # Errors
    /// `Refused` for a document that is none, is too long, or has no key that is taken.
    pub fn read(document: &[u8]) -> Result<Self, Failure> {
        let refused = |what: String| Failure::Refused(format!("the provider's keys: {what}"));
        if document.len() > OIDC_DOCUMENT_BYTES_MAX {
            let most = OIDC_DOCUMENT_BYTES_MAX;
            return Err(refused(format!("longer than {most} bytes")));
        }
        let document: Document =
            serde_json::from_slice(document).map_err(|e| refused(shortly(&e)))?;
        if document.keys.len() > OIDC_KEYS_MAX {
            return Err(refused(format!("more than {OIDC_KEYS_MAX}")));
        }
        let rows = document.keys.into_iter();
        let rows = rows.filter_map(|row| serde_json::from_value::<Row>(row).ok());
        let keys: Vec<Key> = rows.filter_map(|row| row.key()).collect();
        if keys.is_empty() {
            return Err(refused(
                "none that is taken (RS256, ES256, EdDSA)".to_owned(),
            ));
        }
        Ok(Self { keys })
    }

    /// Whether there is a key of this name: one that is not known may be new.
    #[must_use]
    pub fn has(&self, id: &str) -> bool {
        self.keys.iter().any(|key| key.id.as_deref() == Some(id))
    }

    /// Whether one of the keys signed this; `None` where it is not known which would have, and it may be a new
    /// one. A token that names a key is of that one; one that names none is of the only one of its kind, and so
    /// is one that names some where that has no name itself.
    pub(super) fn signed(
        &self,
        (algorithm, id): (Algorithm, Option<&str>),
        message: &[u8],
        signature: &[u8],
    ) -> Option<bool> {
        let of_kind = || {
            let keys = self.keys.iter();
            keys.filter(move |key| key.algorithm == algorithm)
        };
        let is_named = |key: &&Key| id.is_none_or(|id| key.id.as_deref() == Some(id));
        let named = || of_kind().filter(is_named);
        // Which of two is meant is not tried out.
        let key = only(named()).or_else(|| only(of_kind()).filter(|key| key.id.is_none()))?;
        let is_signed = key.material.signed(message, signature);
        // One without a name is known by what it signs alone: its provider may have another since.
        (is_signed || key.id.is_some()).then_some(is_signed)
    }
}

/// The one there is; none of several.
fn only<'a>(mut keys: impl Iterator<Item = &'a Key>) -> Option<&'a Key> {
    let key = keys.next()?;
    keys.next().is_none().then_some(key)
}

impl Row {
    fn key(self) -> Option<Key> {
        let bytes = |text: &Option<String>| base64url::decode(text.as_deref()?);
        let field = |text: &Option<String>| <[u8; 32]>::try_from(bytes(text)?).ok();
        let (algorithm, material) = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => {
                let (n, e) = (bytes(&self.n)?, bytes(&self.e)?);
                // Shorter ones than 2048 bits are refused, longer ones than 8192 cost too much.
                let is_sound = (256..=1024).contains(&n.len()) && (1..=8).contains(&e.len());
                let is_sound = is_sound && n.first() != Some(&0);
                (
                    Algorithm::Rs256,
                    is_sound.then_some(Material::Rsa { n, e })?,
                )
            }
            ("EC", Some("P-256")) => {
                let mut point = [4; 65];
                let (_, coordinates) = point.split_first_mut()?;
                let (x, y) = coordinates.split_at_mut_checked(32)?;
                x.copy_from_slice(&field(&self.x)?);
                y.copy_from_slice(&field(&self.y)?);
                (Algorithm::Es256, Material::Point(point))
            }
            ("OKP", Some("Ed25519")) => (Algorithm::EdDsa, Material::Ed25519(field(&self.x)?)),
            _ => return None,
        };
        let signs = self.purpose.as_deref().is_none_or(|word| word == "sig");
        let verifies = |list: Vec<String>| list.iter().any(|word| word == "verify");
        let is_for_us = signs && self.key_ops.is_none_or(verifies);
        let is_its = |name: String| Algorithm::named(&name) == Some(algorithm);
        (is_for_us && self.alg.is_none_or(is_its)).then_some(Key {
            id: self.kid,
            algorithm,
            material,
        })
    }
}

impl Material {
    fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let checked = match self {
            Self::Rsa { n, e } => RsaPublicKeyComponents { n, e }.verify(
                &RSA_PKCS1_2048_8192_SHA256,
                message,
                signature,
            ),
            Self::Point(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            Self::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key).verify(message, signature),
        };
        checked.is_ok()
    }
}
