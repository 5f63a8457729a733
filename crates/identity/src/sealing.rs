//! Secrets at rest: enciphered with a key that lies in a file of its own, so that a copy of what is sealed
//! is worth nothing without it, and bound to what they belong to, so that two cannot be swapped.
//!
//! AES-256-GCM-SIV (RFC 8452): also where a machine was cloned and draws the same nonce twice, only that
//! the same was sealed twice is seen.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::base64url;
use crate::failure::{Failure, about};
use crate::files::{self, Files, SECRET};
use crate::hex;
use crate::random::{Random, draw};
use crate::secret::{Secret, wipe};

/// What a line of the key's file begins with.
const FORMAT: &str = "hansard-sealing-1";

/// Bytes of a key.
const KEY_BYTES: usize = 32;

/// Keys in the file: the one that seals, and one that is being given up.
const KEYS_MAX: usize = 2;

/// Bytes of the digest by which a key is known.
const ID_BYTES: usize = 8;

/// Something that is sealed. Worth nothing without its key, and nothing in another's place.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sealed {
    /// By which key: what [`Sealing`] calls it.
    pub key: String,
    nonce: String,
    bytes: String,
}

/// The key that seals. Its file is read whenever it is needed: between two uses the key is on the disk only.
pub struct Sealing {
    path: PathBuf,
    random: Arc<dyn Random>,
    files: Files,
}

/// A key as it is read, for as long as it is used.
struct Key {
    id: String,
    bytes: Secret,
}

impl Key {
    fn new(bytes: Secret) -> Self {
        let digest = Sha256::new()
            .chain_update(FORMAT)
            .chain_update(bytes.bytes())
            .finalize();
        let id = hex::encode(digest.get(..ID_BYTES).unwrap_or_default());
        Self { id, bytes }
    }

    fn cipher(&self) -> Result<LessSafeKey, Failure> {
        let key = UnboundKey::new(&AES_256_GCM_SIV, self.bytes.bytes());
        key.map(LessSafeKey::new)
            .map_err(|_| Failure::Refused("the key that seals has the wrong length".into()))
    }

    fn line(&self) -> Secret {
        let mut text = base64url::encode(self.bytes.bytes()).into_bytes();
        let line = [
            FORMAT.as_bytes(),
            b" ",
            self.id.as_bytes(),
            b" ",
            &text,
            b"\n",
        ]
        .concat();
        wipe(&mut text);
        Secret::new(line)
    }

    fn of_line(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let (format, id, text) = (words.next()?, words.next()?, words.next()?);
        let key = Self::new(Secret::new(base64url::decode(text)?));
        let is_whole = key.bytes.bytes().len() == KEY_BYTES && key.id == id;
        (format == FORMAT && words.next().is_none() && is_whole).then_some(key)
    }
}

impl Sealing {
    /// With the key in this file, which need not be there: [`Self::make_first`] makes it.
    #[must_use]
    pub fn new(path: &Path, random: Arc<dyn Random>) -> Self {
        Self {
            path: path.to_owned(),
            random,
            files: Files::default(),
        }
    }

    /// Makes the first key, if there is none. Only for whoever knows that nothing is sealed yet: a new key in the
    /// place of one that was lost would look as if all were well. One call at a time: drafts have one name.
    ///
    /// # Errors
    /// As [`Self::seal`].
    pub fn make_first(&self) -> Result<(), Failure> {
        if self.keys()?.is_empty() {
            let key = self.draw()?;
            self.files.create(&self.path, key.line().bytes(), SECRET)?;
        }
        Ok(())
    }

    /// Seals a secret that belongs to this, and to nothing else.
    ///
    /// # Errors
    /// `Refused` where there is no key, or for a file that is none or that others may read, `Retry` when the disk
    /// fails or there is no randomness.
    pub fn seal(&self, belongs_to: &[u8], secret: &Secret) -> Result<Sealed, Failure> {
        let key = self.keys()?.into_iter().next();
        let key = key.ok_or_else(|| {
            let shown = self.path.display();
            Failure::Refused(format!(
                "{shown}: the key that seals is gone: put the file back from a backup"
            ))
        })?;
        let nonce: [u8; NONCE_LEN] = draw(&*self.random)?;
        // As large as it becomes: moving to a larger place would leave a copy behind.
        let mut bytes = Vec::with_capacity(secret.bytes().len() + AES_256_GCM_SIV.tag_len());
        bytes.extend_from_slice(secret.bytes());
        let belongs_to = Aad::from(bound(&key.id, belongs_to));
        let nonce_of = Nonce::assume_unique_for_key(nonce);
        let sealed = key
            .cipher()?
            .seal_in_place_append_tag(nonce_of, belongs_to, &mut bytes);
        if sealed.is_err() {
            wipe(&mut bytes);
            return Err(Failure::Refused("it cannot be sealed: too long".into()));
        }
        Ok(Sealed {
            key: key.id.clone(),
            nonce: base64url::encode(&nonce),
            bytes: base64url::encode(&bytes),
        })
    }

    /// Opens what was sealed for this.
    ///
    /// # Errors
    /// `Refused` where the key is gone, or what is sealed was changed or is another's; as [`Self::seal`] otherwise.
    pub fn open(&self, belongs_to: &[u8], sealed: &Sealed) -> Result<Secret, Failure> {
        let keys = self.keys()?;
        let key = keys.iter().find(|key| key.id == sealed.key);
        let key = key.ok_or_else(|| {
            Failure::Refused(format!(
                "the key {} that it was sealed with is not in {}: put the file back from a backup, or \
                 remove the credential and add it again",
                sealed.key,
                self.path.display()
            ))
        })?;
        let changed = || {
            Failure::Refused(
                "what is sealed was changed, or belongs to something else: set the secret again"
                    .into(),
            )
        };
        let nonce = base64url::decode(&sealed.nonce).ok_or_else(changed)?;
        let nonce = Nonce::try_assume_unique_for_key(&nonce).map_err(|_| changed())?;
        let mut bytes = Secret::new(base64url::decode(&sealed.bytes).ok_or_else(changed)?);
        let belongs_to = Aad::from(bound(&key.id, belongs_to));
        let opened = key
            .cipher()?
            .open_in_place(nonce, belongs_to, bytes.bytes_mut());
        let len = opened.map_err(|_| changed())?.len();
        bytes.cut(len);
        Ok(bytes)
    }

    /// What the key that seals now is called; `None` before there is one.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn newest(&self) -> Result<Option<String>, Failure> {
        Ok(self.keys()?.into_iter().next().map(|key| key.id.clone()))
    }

    /// Whether a change of keys is under way: the old one is still there.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn is_changing(&self) -> Result<bool, Failure> {
        Ok(self.keys()?.len() > 1)
    }

    /// From now on another key seals; what the one before sealed can be opened until [`Self::finish_change`].
    /// A crash leaves either the old key alone or both. While a change is under way, or before there is a key,
    /// nothing is done.
    ///
    /// # Errors
    /// As [`Self::seal`].
    pub fn begin_change(&self) -> Result<(), Failure> {
        let mut keys = self.keys()?;
        if (1..KEYS_MAX).contains(&keys.len()) {
            keys.insert(0, self.draw()?);
            self.keep(&keys)?;
        }
        Ok(())
    }

    /// Gives up all keys but the one that seals. What only they open is lost: seal it again before.
    ///
    /// # Errors
    /// As [`Self::seal`].
    pub fn finish_change(&self) -> Result<(), Failure> {
        let mut keys = self.keys()?;
        if keys.len() > 1 {
            keys.truncate(1);
            self.keep(&keys)?;
        }
        Ok(())
    }

    fn draw(&self) -> Result<Key, Failure> {
        let bytes: [u8; KEY_BYTES] = draw(&*self.random)?;
        Ok(Key::new(Secret::new(bytes.to_vec())))
    }

    fn keep(&self, keys: &[Key]) -> Result<(), Failure> {
        let lines: Vec<Secret> = keys.iter().map(Key::line).collect();
        let lines: Vec<&[u8]> = lines.iter().map(Secret::bytes).collect();
        let text = Secret::new(lines.concat());
        self.files.replace(&self.path, text.bytes(), SECRET)
    }

    /// The keys of the file, the one that seals first; none if it is not there.
    fn keys(&self) -> Result<Vec<Key>, Failure> {
        let shown = self.path.display();
        let mode = match fs::metadata(&self.path) {
            Ok(metadata) => metadata.permissions().mode(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(about(&self.path, &e)),
        };
        if mode & 0o077 != 0 {
            return Err(Failure::Refused(format!(
                "{shown}: others may read or write it (mode {:03o}): chmod 600, and change the key \
                 (`hansard credential rotate`)",
                mode & 0o777
            )));
        }
        let Some(text) = files::read(&self.path)?.map(Secret::new) else {
            return Ok(Vec::new());
        };
        let lines = std::str::from_utf8(text.bytes()).unwrap_or_default();
        let keys: Option<Vec<Key>> = lines.lines().map(Key::of_line).collect();
        match keys {
            Some(keys) if (1..=KEYS_MAX).contains(&keys.len()) => Ok(keys),
            _ => Err(Failure::Refused(format!(
                "{shown}: not a key that seals: put the file back from a backup"
            ))),
        }
    }
}

/// What is authenticated with it: the key's own name, and whose it is.
fn bound(key: &str, belongs_to: &[u8]) -> Vec<u8> {
    [FORMAT.as_bytes(), b"\0", key.as_bytes(), b"\0", belongs_to].concat()
}

#[cfg(test)]
pub(crate) mod tests;
