//! An authenticator in software, which also does what none may.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use sha2::{Digest as _, Sha256};

use super::{HAS_KEY, PRESENT, VERIFIED};
use crate::base64url;

pub(crate) const ORIGIN: &str = "http://localhost:3080";

enum Pair {
    Es256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// One passkey in it.
pub(crate) struct Authenticator {
    pair: Pair,
    pub(crate) credential: Vec<u8>,
    pub(crate) counter: u32,
    pub(crate) flags: u8,
    pub(crate) host: &'static str,
    pub(crate) format: &'static str,
}

impl Authenticator {
    pub(crate) fn es256(credential: &[u8]) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        Self::new(Pair::Es256(pair), credential)
    }

    pub(crate) fn ed25519(credential: &[u8]) -> Self {
        Self::new(
            Pair::Ed25519(Ed25519KeyPair::generate().unwrap()),
            credential,
        )
    }

    fn new(pair: Pair, credential: &[u8]) -> Self {
        Self {
            pair,
            credential: credential.to_owned(),
            counter: 0,
            flags: PRESENT | VERIFIED,
            host: "localhost",
            format: "none",
        }
    }

    /// Its public key, as COSE has it.
    fn key(&self) -> Vec<u8> {
        match &self.pair {
            Pair::Es256(pair) => {
                let point = pair.public_key().as_ref();
                let head = [0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32];
                [&head[..], &point[1..33], &[0x22, 0x58, 32], &point[33..]].concat()
            }
            Pair::Ed25519(pair) => {
                let head = [0xa4, 1, 1, 3, 0x27, 0x20, 6, 0x21, 0x58, 32];
                [&head[..], pair.public_key().as_ref()].concat()
            }
        }
    }

    pub(crate) fn data(&self, flags: u8, behind: &[u8]) -> Vec<u8> {
        let host: [u8; 32] = Sha256::digest(self.host).into();
        let counter = self.counter.to_be_bytes();
        [&host[..], &[flags], &counter, behind].concat()
    }

    /// What a browser gives when one is made: its own part, and the authenticator's.
    pub(crate) fn make(&self, challenge: &[u8], origin: &str) -> (Vec<u8>, Vec<u8>) {
        let length = u16::try_from(self.credential.len()).unwrap().to_be_bytes();
        let behind = [&[0; 16][..], &length, &self.credential, &self.key()].concat();
        let data = self.data(self.flags | HAS_KEY, &behind);
        let format = self.format.as_bytes();
        let mut object = vec![0xa3, 0x63];
        object.extend(b"fmt");
        object.push(0x60 | u8::try_from(format.len()).unwrap());
        object.extend(format);
        object.push(0x67);
        object.extend(b"attStmt");
        let client_data = client_data("webauthn.create", challenge, origin);
        object.extend(self.statement(&client_data, &data));
        object.push(0x68);
        object.extend(b"authData");
        object.push(0x59);
        object.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        object.extend(data);
        (client_data, object)
    }

    /// Nothing; or, where the format has it, the key's own signature.
    fn statement(&self, client_data: &[u8], data: &[u8]) -> Vec<u8> {
        if self.format != "packed" {
            return vec![0xa0];
        }
        let number = match self.pair {
            Pair::Es256(_) => 0x26,
            Pair::Ed25519(_) => 0x27,
        };
        let signature = self.sign(client_data, data);
        let length = u8::try_from(signature.len()).unwrap();
        let head = [&b"\xa2\x63alg"[..], &[number], b"\x63sig\x58", &[length]].concat();
        [head, signature].concat()
    }

    /// What a browser gives when it is used: its own part, the authenticator's, and the signature.
    pub(crate) fn say(&self, challenge: &[u8], origin: &str) -> [Vec<u8>; 3] {
        let client_data = client_data("webauthn.get", challenge, origin);
        let data = self.data(self.flags, &[]);
        let signature = self.sign(&client_data, &data);
        [client_data, data, signature]
    }

    pub(crate) fn sign(&self, client_data: &[u8], data: &[u8]) -> Vec<u8> {
        let message = [data, &Sha256::digest(client_data)].concat();
        match &self.pair {
            Pair::Es256(pair) => {
                let signed = pair.sign(&SystemRandom::new(), &message).unwrap();
                signed.as_ref().to_vec()
            }
            Pair::Ed25519(pair) => pair.sign(&message).as_ref().to_vec(),
        }
    }
}

pub(crate) fn client_data(purpose: &str, challenge: &[u8], origin: &str) -> Vec<u8> {
    let document = serde_json::json!({
        "type": purpose,
        "challenge": base64url::encode(challenge),
        "origin": origin,
        "crossOrigin": false,
        "other_keys_can_be_added_here": "by browsers, so that nobody compares the whole",
    });
    document.to_string().into_bytes()
}
