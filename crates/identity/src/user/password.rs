//! Passwords, of which only an Argon2id digest is kept (RFC 9106).

use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::hex;
use crate::limits::{PASSWORD_BYTES_MAX, PASSWORD_CHARS_MIN};
use crate::random::{Random, draw};

/// Memory that one check takes, KiB (19 MiB): what OWASP's page on storing passwords asks at least.
const MEMORY_KIB: u32 = 19 * 1024;

/// Passes over that memory.
const PASSES: u32 = 2;

/// Bytes of a digest.
const DIGEST_BYTES: usize = 32;

/// What a password is checked against. The costs stand beside it, so that they can be raised and what
/// was kept before still holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Password {
    /// `argon2id`.
    algorithm: String,
    memory_kib: u32,
    passes: u32,
    /// Hexadecimal.
    salt: String,
    /// Hexadecimal.
    digest: String,
}

/// Whether a password may be set.
///
/// # Errors
/// `Malformed` when it is too short or too long.
pub fn check(password: &str) -> Result<(), Failure> {
    if password.chars().count() < PASSWORD_CHARS_MIN {
        let words = format!("a password has at least {PASSWORD_CHARS_MIN} characters");
        return Err(Failure::Malformed(words));
    }
    if password.len() > PASSWORD_BYTES_MAX {
        let words = format!("a password has at most {PASSWORD_BYTES_MAX} bytes");
        return Err(Failure::Malformed(words));
    }
    Ok(())
}

impl Password {
    /// What is kept of this password.
    ///
    /// # Errors
    /// `Malformed` when it is too short or too long, `Retry` without randomness.
    pub fn new(password: &str, random: &dyn Random) -> Result<Self, Failure> {
        check(password)?;
        let salt: [u8; 16] = draw(random)?;
        let failed = || Failure::Retry("a password's digest cannot be made".to_owned());
        let digest = digest(password, &salt, MEMORY_KIB, PASSES).ok_or_else(failed)?;
        Ok(Self {
            algorithm: "argon2id".to_owned(),
            memory_kib: MEMORY_KIB,
            passes: PASSES,
            salt: hex::encode(&salt),
            digest: hex::encode(&digest),
        })
    }

    /// One that no password fits, as costly to check as any: whoever tries names cannot tell from the
    /// time which there are.
    #[must_use]
    pub fn nobody() -> Self {
        Self {
            algorithm: "argon2id".to_owned(),
            memory_kib: MEMORY_KIB,
            passes: PASSES,
            salt: hex::encode(&[0; 16]),
            digest: String::new(),
        }
    }

    /// Whether it is this password. Takes some hundredths of a second of one processor, on purpose.
    #[must_use]
    pub fn fits(&self, password: &str) -> bool {
        if self.algorithm != "argon2id" || password.len() > PASSWORD_BYTES_MAX {
            return false;
        }
        let Some(salt) = hex::decode::<16>(&self.salt) else {
            return false;
        };
        // Costs come from a file: nothing beyond what this program would ever write is paid.
        let (memory, passes) = (self.memory_kib.min(1 << 20), self.passes.min(64));
        let kept = hex::decode::<DIGEST_BYTES>(&self.digest);
        let made = digest(password, &salt, memory, passes);
        match (kept, made) {
            (Some(kept), Some(made)) => same(&kept, &made),
            _ => false,
        }
    }
}

fn digest(password: &str, salt: &[u8], memory_kib: u32, passes: u32) -> Option<[u8; DIGEST_BYTES]> {
    let params = Params::new(memory_kib, passes, 1, Some(DIGEST_BYTES)).ok()?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut memory = vec![argon2::Block::new(); argon2.params().block_count()];
    let mut out = [0; DIGEST_BYTES];
    argon2
        .hash_password_into_with_memory(password.as_bytes(), salt, &mut out, &mut memory)
        .ok()?;
    Some(out)
}

/// Whether two digests are the same, in a time that does not tell where they differ.
pub(super) fn same(a: &[u8], b: &[u8]) -> bool {
    let differences = a.iter().zip(b).fold(0u8, |sum, (a, b)| sum | (a ^ b));
    a.len() == b.len() && std::hint::black_box(differences) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixed(bytes: &mut [u8]) -> std::io::Result<()> {
        bytes.fill(7);
        Ok(())
    }

    #[test]
    fn a_password_fits_itself_and_nothing_else() {
        let kept = Password::new("correct horse", &fixed).unwrap();
        assert!(kept.fits("correct horse"));
        for other in ["correct hors", "correct horse ", "Correct horse", ""] {
            assert!(!kept.fits(other), "{other}");
        }
        let text = serde_json::to_string(&kept).unwrap();
        assert!(!text.contains("horse"));
        assert_eq!(serde_json::from_str::<Password>(&text).unwrap(), kept);
        assert!(!Password::nobody().fits(""));
        assert!(!Password::nobody().fits("correct horse"));
    }

    #[test]
    fn lengths_are_bounded() {
        assert!(Password::new("eleven char", &fixed).is_err());
        assert!(Password::new("twelve chars", &fixed).is_ok());
        let long = "x".repeat(PASSWORD_BYTES_MAX + 1);
        assert!(Password::new(&long, &fixed).is_err());
        assert!(!Password::nobody().fits(&long));
    }

    /// RFC 9106 §5.3 has associated data and a secret, which ours never has: the reference program
    /// `argon2` (Debian) with `-id -v 13 -k 64 -t 2 -p 1 -l 32` and the salt `somesaltsomesalt`.
    #[test]
    fn the_digest_is_that_of_the_reference_program() {
        let made = digest("password", b"somesaltsomesalt", 64, 2).unwrap();
        assert_eq!(
            hex::encode(&made),
            "1a98fba8e6394425c9bdc333a9c750aaf811df070f5fb4a5788e1cf4db5793a1"
        );
    }
}
