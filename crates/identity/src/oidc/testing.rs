//! A provider's keys, and tokens that they signed, good ones and others.

use std::sync::LazyLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use serde_json::{Value as Json, json};

use super::Keys;
use crate::base64url;

/// One that signs.
pub(crate) enum Signer {
    Rsa(RsaKeyPair),
    Es256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// Making one of RSA takes its time.
pub(crate) static RSA: LazyLock<Signer> =
    LazyLock::new(|| Signer::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()));

impl Signer {
    pub(crate) fn es256() -> Self {
        Self::Es256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    pub(crate) fn ed25519() -> Self {
        Self::Ed25519(Ed25519KeyPair::generate().unwrap())
    }

    pub(crate) fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::Es256(_) => "ES256",
            Self::Ed25519(_) => "EdDSA",
        }
    }

    /// Its public key, as a provider publishes it.
    pub(crate) fn row(&self, id: &str) -> Json {
        let text = base64url::encode;
        match self {
            Self::Rsa(pair) => {
                // A sequence of two numbers (RFC 8017, appendix A.1.1), of 2048 bits and of 65537.
                let der = pair.public_key().as_ref();
                let (n, e) = (&der[9..265], &der[267..]);
                json!({ "kty": "RSA", "kid": id, "use": "sig", "n": text(n), "e": text(e) })
            }
            Self::Es256(pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = (text(&point[1..33]), text(&point[33..]));
                json!({ "kty": "EC", "kid": id, "crv": "P-256", "alg": "ES256", "x": x, "y": y })
            }
            Self::Ed25519(pair) => {
                let x = text(pair.public_key().as_ref());
                json!({ "kty": "OKP", "kid": id, "crv": "Ed25519", "x": x })
            }
        }
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .unwrap();
                signature
            }
            Self::Es256(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// A token with this head and body.
    pub(crate) fn token(&self, head: &Json, body: &Json) -> String {
        let text = |json: &Json| base64url::encode(json.to_string().as_bytes());
        let signed = format!("{}.{}", text(head), text(body));
        let signature = base64url::encode(&self.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    pub(crate) fn head(&self, id: &str) -> Json {
        json!({ "alg": self.algorithm(), "kid": id, "typ": "JWT" })
    }
}

pub(crate) fn keys(rows: &[Json]) -> Keys {
    Keys::read(json!({ "keys": rows }).to_string().as_bytes()).unwrap()
}
