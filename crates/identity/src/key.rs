//! Ed25519 private keys: a 32-byte seed, and PKCS#8 in PEM as `openssl genpkey -algorithm ed25519`
//! writes it (RFC 8410).

use std::fmt;
use std::path::Path;

use hansard_core::seal::SigningKey;
use rcgen::{KeyPair, PKCS_ED25519};
use rustls::pki_types::PrivatePkcs8KeyDer;

use crate::failure::Failure;
use crate::files::{self, Files, PUBLIC, SECRET};
use crate::pem;
use crate::random::{Random, draw};
use crate::ssh::{KeyLine, line_of};

/// PKCS#8 of an Ed25519 key before its seed (RFC 8410 §7).
const PKCS8: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// What the file of a public half ends with, where the private one's ends with `key`.
const PUBLIC_HALF: &str = "pub";

/// A key that was there, and is not made anew by itself. `other` says how it is all the same.
pub(crate) fn gone(path: &Path, other: &str) -> Failure {
    let shown = path.display();
    Failure::Refused(format!(
        "{shown}: the key is gone: put the file back from a backup; {other}"
    ))
}

/// A private key. Never printed.
#[derive(Clone)]
pub struct PrivateKey([u8; 32]);

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(…)")
    }
}

impl PrivateKey {
    /// The key with this seed, which the caller drew at random.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(seed)
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        self.signing().public()
    }

    /// The seed itself, for a library that signs with it (an SSH node's own key).
    #[must_use]
    pub fn seed(&self) -> [u8; 32] {
        self.0
    }

    /// The key in this file, made if there never was one. That there was says the file beside it with its
    /// public half (`.pub`, as ssh-keygen writes it), which outlives it: others believe in this key, and a new one
    /// in its place would look to them like an attack, and to us as if all were well. Whoever wants another key
    /// removes that file as well.
    ///
    /// A crash leaves no key, or a whole one without its public half, which the next call writes.
    ///
    /// # Errors
    /// `Refused` for a file that is no key, or that others may read, for a key that is gone, or is not the one of
    /// its public half; `Retry` when the disk fails.
    pub fn kept_in(path: &Path, random: &dyn Random) -> Result<Self, Failure> {
        Self::kept_with(path, &Files::default(), random)
    }

    pub(crate) fn kept_with(
        path: &Path,
        files: &Files,
        random: &dyn Random,
    ) -> Result<Self, Failure> {
        let public = path.with_extension(PUBLIC_HALF);
        let known = files::read(&public)?;
        let key = match (Self::read(path)?, &known) {
            (Some(key), _) => key,
            (None, None) => Self::read_or_create(path, files, random)?,
            (None, Some(_)) => {
                let other = format!(
                    "remove {} as well to have another key made",
                    public.display()
                );
                return Err(gone(path, &other));
            }
        };
        let line = format!("{}\n", line_of(&KeyLine::ed25519(&key.public()).blob()));
        match known {
            None => files.create(&public, line.as_bytes(), PUBLIC)?,
            Some(known) if known == line.as_bytes() => {}
            Some(_) => {
                let (key, public) = (path.display(), public.display());
                return Err(Failure::Refused(format!(
                    "{key}: not the key whose public half is {public}: put the one back that was there, or \
                     remove {public} if it was changed on purpose"
                )));
            }
        }
        Ok(key)
    }

    /// The key as recorders and proofs use it.
    #[must_use]
    pub fn signing(&self) -> SigningKey {
        SigningKey::from_seed(self.0)
    }

    /// PKCS#8 in DER, for TLS.
    #[must_use]
    pub fn pkcs8(&self) -> PrivatePkcs8KeyDer<'static> {
        PrivatePkcs8KeyDer::from([PKCS8.as_slice(), &self.0].concat())
    }

    /// The key as the library that issues certificates has it.
    pub(crate) fn issuing(&self) -> Result<KeyPair, Failure> {
        KeyPair::from_pkcs8_der_and_sign_algo(&self.pkcs8(), &PKCS_ED25519)
            .map_err(|e| Failure::Refused(format!("not an Ed25519 key: {e}")))
    }

    /// Reads a key's file, if it is there.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, Failure> {
        let Some(text) = files::read_key(path)? else {
            return Ok(None);
        };
        let der = pem::decode(&text, "PRIVATE KEY");
        if let Some(seed) = der.as_deref().and_then(|der| der.strip_prefix(&PKCS8))
            && let Ok(seed) = seed.try_into()
        {
            return Ok(Some(Self(seed)));
        }
        Err(Failure::Refused(format!(
            "{}: not an Ed25519 private key in PEM",
            path.display()
        )))
    }

    /// The key in this file; a new one if there is none. An existing key is never replaced. A crash
    /// leaves no key or a whole one, which the next call takes.
    pub(crate) fn read_or_create(
        path: &Path,
        files: &Files,
        random: &dyn Random,
    ) -> Result<Self, Failure> {
        if let Some(key) = Self::read(path)? {
            return Ok(key);
        }
        let key = Self(draw(random)?);
        files.create(path, key.issuing()?.serialize_pem().as_bytes(), SECRET)?;
        Ok(key)
    }
}

#[cfg(test)]
mod tests;
