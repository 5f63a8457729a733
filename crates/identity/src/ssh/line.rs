//! A public key as OpenSSH writes it in one line: `ssh-ed25519 AAAA… comment`.

use std::fmt;
use std::str::FromStr;

use super::wire::take_string;
use crate::failure::Failure;
use crate::limits::SSH_KEY_BYTES_MAX;
use crate::pem::{base64, encode_base64};

/// Keys that people may have, what their certificates are called, and of how many fields they are.
/// RSA and DSA are not among them: a node takes neither.
const TYPES: [(&str, &str, usize); 6] = [
    ("ssh-ed25519", "ssh-ed25519-cert-v01@openssh.com", 1),
    (
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp256-cert-v01@openssh.com",
        2,
    ),
    (
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp384-cert-v01@openssh.com",
        2,
    ),
    (
        "ecdsa-sha2-nistp521",
        "ecdsa-sha2-nistp521-cert-v01@openssh.com",
        2,
    ),
    (
        "sk-ssh-ed25519@openssh.com",
        "sk-ssh-ed25519-cert-v01@openssh.com",
        2,
    ),
    (
        "sk-ecdsa-sha2-nistp256@openssh.com",
        "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
        3,
    ),
];

/// A public key, checked as far as a certificate needs it: its type is known and its fields are as
/// many as the type has. Whether they are a point of the curve is for whoever verifies with it.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct KeyLine {
    which: usize,
    blob: Vec<u8>,
}

impl fmt::Debug for KeyLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&line_of(&self.blob))
    }
}

impl KeyLine {
    /// An Ed25519 key.
    #[must_use]
    pub fn ed25519(key: &[u8; 32]) -> Self {
        Self {
            which: 0,
            blob: super::wire::public_blob(key),
        }
    }

    /// As it goes over the wire.
    #[must_use]
    pub fn blob(&self) -> Vec<u8> {
        self.blob.clone()
    }

    /// What a certificate of such a key is called.
    pub(super) fn certificate_type(&self) -> &'static str {
        TYPES.get(self.which).map_or("", |known| known.1)
    }

    /// The fields after the type's name.
    pub(super) fn fields(&self) -> &[u8] {
        let mut rest = self.blob.as_slice();
        let _ = take_string(&mut rest);
        rest
    }
}

impl FromStr for KeyLine {
    type Err = Failure;

    fn from_str(line: &str) -> Result<Self, Failure> {
        let wrong = |why: &str| Failure::Malformed(format!("not a public key of SSH: {why}"));
        let mut words = line.split_ascii_whitespace();
        let (name, text) = (words.next(), words.next());
        let (Some(name), Some(text)) = (name, text) else {
            return Err(wrong("a line of a .pub file has a type and a key"));
        };
        let which = TYPES.iter().position(|known| known.0 == name);
        let Some(which) = which else {
            let known = TYPES.map(|known| known.0).join(", ");
            return Err(wrong(&format!("its type must be one of {known}")));
        };
        let fields = TYPES.get(which).map_or(0, |known| known.2);
        if text.len() > SSH_KEY_BYTES_MAX {
            return Err(wrong("it is too long"));
        }
        let blob = base64(text).ok_or_else(|| wrong("its key is not base64"))?;
        let mut rest = blob.as_slice();
        let is_type = take_string(&mut rest) == Some(name.as_bytes());
        let has_fields = (0..fields).all(|_| take_string(&mut rest).is_some_and(|f| !f.is_empty()));
        if !is_type || !has_fields || !rest.is_empty() {
            return Err(wrong("its key is not of its type"));
        }
        Ok(Self { which, blob })
    }
}

/// A key or certificate as a line of a `.pub` file, without its end.
#[must_use]
pub fn line_of(blob: &[u8]) -> String {
    let mut rest = blob;
    let name = take_string(&mut rest).unwrap_or_default();
    format!("{} {}", String::from_utf8_lossy(name), encode_base64(blob))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_key_of_its_type_or_refused() {
        let line = line_of(&super::super::wire::public_blob(&[7; 32]));
        let key: KeyLine = format!("{line} me@here").parse().unwrap();
        assert_eq!(key, KeyLine::ed25519(&[7; 32]));
        let (_, text) = line.split_once(' ').unwrap();
        for wrong in [
            String::new(),
            "ssh-ed25519".into(),
            format!("ssh-rsa {text}"),
            format!("ecdsa-sha2-nistp256 {text}"),
            format!("ssh-ed25519-cert-v01@openssh.com {text}"),
            format!("ssh-ed25519 {text}AAAA"),
            "ssh-ed25519 ?".into(),
            format!("ssh-ed25519 {}", "A".repeat(SSH_KEY_BYTES_MAX + 4)),
        ] {
            assert!(wrong.parse::<KeyLine>().is_err(), "{wrong}");
        }
    }
}
