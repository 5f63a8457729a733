//! Ed25519 outside of seals: proofs that somebody holds a recorder's key, and the check of
//! signatures that others made (of X.509 certificates, RFC 8410).

use ed25519_dalek::{Signature, Signer, VerifyingKey};

use crate::seal::{SIGNATURE_BYTES, SigningKey};

/// Stands before everything a proof signs. A seal's statement begins otherwise, and a certificate
/// begins with 0x30, so a proof that somebody asked for is never a seal or a certificate.
const PROOF_DOMAIN: &[u8] = b"hansard proof 1\0";

impl SigningKey {
    /// Signs `message` as a proof that the caller holds this key. The message MUST say what it is
    /// for and to whom, or it proves that elsewhere too.
    #[must_use]
    pub fn prove(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        self.dalek().sign(&of_proof(message)).to_bytes()
    }
}

/// Whether `proof` is this key's proof over `message`.
#[must_use]
pub fn is_proof(key: &[u8; 32], message: &[u8], proof: &[u8]) -> bool {
    is_signature(key, &of_proof(message), proof)
}

/// Whether `signature` is this key's Ed25519 signature over exactly `message`. Weak keys and
/// signatures in more than one form are refused (`verify_strict`), so that nothing is signed by
/// everybody and no signature has a twin.
#[must_use]
pub fn is_signature(key: &[u8; 32], message: &[u8], signature: &[u8]) -> bool {
    let checked = VerifyingKey::from_bytes(key)
        .and_then(|key| key.verify_strict(message, &Signature::from_slice(signature)?));
    checked.is_ok()
}

fn of_proof(message: &[u8]) -> Vec<u8> {
    [PROOF_DOMAIN, message].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::Statement;

    #[test]
    fn a_proof_fits_its_key_and_its_message_only() {
        let key = SigningKey::from_seed([7; 32]);
        let proof = key.prove(b"join cluster a");
        assert!(is_proof(&key.public(), b"join cluster a", &proof));
        assert!(!is_proof(&key.public(), b"join cluster b", &proof));
        assert!(!is_proof(
            &SigningKey::from_seed([8; 32]).public(),
            b"join cluster a",
            &proof
        ));
        assert!(!is_signature(&key.public(), b"join cluster a", &proof));
        for cut in 0..proof.len() {
            assert!(!is_proof(&key.public(), b"join cluster a", &proof[..cut]));
        }
    }

    #[test]
    fn weak_keys_prove_nothing() {
        // The neutral element as key: this signature would fit every message.
        let (mut key, mut signature) = ([0u8; 32], [0u8; 64]);
        (key[0], signature[0]) = (1, 1);
        assert!(!is_signature(&key, b"anything", &signature));
    }

    /// RFC 8032 §7.1, test 2.
    #[test]
    fn a_signature_of_the_standard() {
        let key = [
            0x3d, 0x40, 0x17, 0xc3, 0xe8, 0x43, 0x89, 0x5a, 0x92, 0xb7, 0x0a, 0xa7, 0x4d, 0x1b,
            0x7e, 0xbc, 0x9c, 0x98, 0x2c, 0xcf, 0x2e, 0xc4, 0x96, 0x8c, 0xc0, 0xcd, 0x55, 0xf1,
            0x2a, 0xf4, 0x66, 0x0c,
        ];
        let signature = [
            0x92, 0xa0, 0x09, 0xa9, 0xf0, 0xd4, 0xca, 0xb8, 0x72, 0x0e, 0x82, 0x0b, 0x5f, 0x64,
            0x25, 0x40, 0xa2, 0xb2, 0x7b, 0x54, 0x16, 0x50, 0x3f, 0x8f, 0xb3, 0x76, 0x22, 0x23,
            0xeb, 0xdb, 0x69, 0xda, 0x08, 0x5a, 0xc1, 0xe4, 0x3e, 0x15, 0x99, 0x6e, 0x45, 0x8f,
            0x36, 0x13, 0xd0, 0xf1, 0x1d, 0x8c, 0x38, 0x7b, 0x2e, 0xae, 0xb4, 0x30, 0x2a, 0xee,
            0xb0, 0x0d, 0x29, 0x16, 0x12, 0xbb, 0x0c, 0x00,
        ];
        assert!(is_signature(&key, &[0x72], &signature));
        assert!(!is_signature(&key, &[0x73], &signature));
    }

    #[test]
    fn a_proof_of_a_seals_words_is_no_seal() {
        let key = SigningKey::from_seed([7; 32]);
        let statement = Statement {
            session: crate::SessionId::from_bytes([1; 16]),
            segment: 0,
            frames: 1,
            next_seq: 1,
            at_ns: 1,
            digest: [2; 32],
            key: key.public(),
            is_final: true,
        };
        let sealed = statement.sign(&key);
        let (words, _) = sealed.split_at(sealed.len() - SIGNATURE_BYTES);
        for message in [words.to_vec(), [b"hansard seal 1\0", words].concat()] {
            let forged = [words, &key.prove(&message)].concat();
            assert!(Statement::open(&forged).is_err());
        }
        assert!(Statement::open(&sealed).is_ok());
    }
}
