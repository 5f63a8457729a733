//! Time-based one-time passwords, as authenticator programs make them (RFC 6238 over RFC 4226):
//! SHA-1, six digits, 30 seconds, because that is what all of them can do. Each code counts once.

use aws_lc_rs::hmac;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::hex;
use crate::random::{Random, draw};
use crate::user::password::same;

/// Seconds of one step.
const STEP_S: u64 = 30;

/// Steps by which a clock may be wrong, earlier and later.
const STEPS_OFF: u64 = 1;

/// Bytes of a secret, as many as SHA-1 has (RFC 4226 §4 R6).
const SECRET_BYTES: usize = 20;

/// What a code is checked against.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Totp {
    /// Hexadecimal. It must be known to be checked, so it stands here in the open: the file is for
    /// the daemon's user only.
    secret: String,
    /// The last step whose code was used: neither it nor an earlier one counts again (RFC 6238 §5.2).
    used_step: u64,
}

/// What came of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    /// It is the code of this step, which is used up by it.
    Good(u64),
    /// It was right, and was used before.
    Used,
    /// It is not right.
    Wrong,
}

impl Totp {
    /// A new secret.
    ///
    /// # Errors
    /// `Retry` without randomness.
    pub fn new(random: &dyn Random) -> Result<Self, Failure> {
        let secret: [u8; SECRET_BYTES] = draw(random)?;
        Ok(Self {
            secret: hex::encode(&secret),
            used_step: 0,
        })
    }

    /// The secret as people type it into their authenticator: base 32 (RFC 4648 §6), no padding.
    #[must_use]
    pub fn reveal(&self) -> String {
        base32(&self.bytes())
    }

    fn bytes(&self) -> [u8; SECRET_BYTES] {
        hex::decode(&self.secret).unwrap_or_default()
    }

    /// Whether this is the code of now, or of a step beside it.
    #[must_use]
    pub fn check(&self, code: &str, utc_ns: u64) -> Checked {
        let Some(secret) = hex::decode::<SECRET_BYTES>(&self.secret) else {
            return Checked::Wrong;
        };
        let step = utc_ns / 1_000_000_000 / STEP_S;
        let steps = step.saturating_sub(STEPS_OFF)..=step.saturating_add(STEPS_OFF);
        let typed: String = code.chars().filter(|c| !c.is_whitespace()).collect();
        let mut found = Checked::Wrong;
        for step in steps {
            if same(code_of(&secret, step).as_bytes(), typed.as_bytes()) {
                found = match step > self.used_step {
                    true => Checked::Good(step),
                    false => Checked::Used,
                };
            }
        }
        found
    }

    /// The same secret, with the code of this step used up.
    #[must_use]
    pub fn used(mut self, step: u64) -> Self {
        self.used_step = self.used_step.max(step);
        self
    }

    /// The code of a moment, as an authenticator shows it: for tests and for who sets one up.
    #[must_use]
    pub fn code_at(&self, utc_ns: u64) -> String {
        code_of(&self.bytes(), utc_ns / 1_000_000_000 / STEP_S)
    }
}

/// The code of a step (RFC 4226 §5.3).
fn code_of(secret: &[u8], step: u64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let tag = tag.as_ref();
    let at = usize::from(tag.last().copied().unwrap_or_default() & 0x0f);
    let word = tag.get(at..).and_then(|rest| rest.first_chunk::<4>());
    let number = word.map_or(0, |word| u32::from_be_bytes(*word)) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

fn base32(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut text = String::new();
    for group in bytes.chunks(5) {
        let mut word = [0u8; 8];
        word.iter_mut()
            .skip(3)
            .zip(group)
            .for_each(|(to, from)| *to = *from);
        let word = u64::from_be_bytes(word);
        let chars = (group.len() * 8).div_ceil(5);
        for n in 0..chars {
            let index = usize::try_from(word >> (35 - 5 * n) & 31).unwrap_or_default();
            text.extend(ALPHABET.get(index).copied().map(char::from));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    fn of_rfc() -> Totp {
        Totp {
            secret: hex::encode(b"12345678901234567890"),
            used_step: 0,
        }
    }

    /// RFC 6238, appendix B, SHA-1: the last six of its eight digits.
    #[test]
    fn codes_are_those_of_the_rfc() {
        for (second, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            let step = second / STEP_S;
            assert_eq!(code_of(b"12345678901234567890", step), code, "{second}");
        }
        assert_eq!(of_rfc().code_at(59 * SECOND_NS), "287082");
    }

    #[test]
    fn a_code_counts_once_and_near_its_time() {
        let totp = of_rfc();
        let at = |s: u64| s * SECOND_NS;
        for good in [30, 59, 89] {
            assert_eq!(totp.check("287082", at(good)), Checked::Good(1), "{good}");
        }
        assert_eq!(totp.check("287 082", at(59)), Checked::Good(1));
        for wrong in [90, 1000] {
            assert_eq!(totp.check("287082", at(wrong)), Checked::Wrong, "{wrong}");
        }
        for wrong in ["", "287083", "28708", "2870822", "x"] {
            assert_eq!(totp.check(wrong, at(59)), Checked::Wrong, "{wrong}");
        }
        let used = totp.used(1);
        assert_eq!(used.check("287082", at(59)), Checked::Used);
        assert!(matches!(
            used.check(&of_rfc().code_at(at(60)), at(60)),
            Checked::Good(2)
        ));
    }

    /// RFC 4648 §10, without padding.
    #[test]
    fn base32_is_that_of_the_rfc() {
        for (bytes, text) in [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI"),
        ] {
            assert_eq!(base32(bytes.as_bytes()), text);
        }
        assert_eq!(of_rfc().reveal(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    }
}
