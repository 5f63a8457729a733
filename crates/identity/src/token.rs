//! Join tokens: a public name and a secret, of which only a digest is kept.

use std::fmt;
use std::str::FromStr;

use hansard_core::seal::Digest;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::failure::Failure;
use crate::hex;
use crate::host_id::HostId;
use crate::limits::CLOCK_SKEW_S;
use crate::random::{Random, draw};

/// What a token's text begins with, for programs that look for secrets where none should be.
const PREFIX: &str = "hansard-join-";

/// What somebody joins as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JoinAs {
    /// A host that records.
    Host,
    /// A service that keeps recordings.
    Service,
}

impl JoinAs {
    /// The word in files, messages and events.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Service => "service",
        }
    }
}

impl FromStr for JoinAs {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        match text {
            "host" => Ok(Self::Host),
            "service" => Ok(Self::Service),
            _ => Err(Failure::Malformed("one joins as host or as service".into())),
        }
    }
}

/// A token's public name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenId([u8; 8]);

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for TokenId {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let bytes = hex::decode(text);
        bytes
            .map(Self)
            .ok_or_else(|| Failure::Malformed("a token's name is 16 hexadecimal digits".into()))
    }
}

/// A token as it is given to who may join. Never kept, never printed by accident.
pub struct Token {
    /// Its public name.
    pub id: TokenId,
    secret: [u8; 32],
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({})", self.id)
    }
}

impl Token {
    pub(crate) fn new(random: &dyn Random) -> Result<Self, Failure> {
        Ok(Self {
            id: TokenId(draw(random)?),
            secret: draw(random)?,
        })
    }

    /// The text that is handed over, once.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("{PREFIX}{}-{}", self.id, hex::encode(&self.secret))
    }

    /// The token of such a text.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (id, secret) = text.strip_prefix(PREFIX)?.split_once('-')?;
        Some(Self {
            id: TokenId(hex::decode(id)?),
            secret: hex::decode(secret)?,
        })
    }

    /// What is kept of the secret. It has 256 random bits, so there is nothing to try out, and a
    /// slow digest would only slow down the service.
    pub(crate) fn digest(&self) -> Digest {
        Sha256::digest(self.secret).into()
    }
}

/// What a registry knows of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRow {
    /// Its public name.
    pub id: String,
    /// What one joins as with it.
    pub role: JoinAs,
    /// SHA-256 of its secret, hexadecimal.
    pub secret_sha256: String,
    /// How many may join with it.
    pub uses_max: u32,
    /// Who did.
    pub uses: Vec<TokenUse>,
    /// When it was made, UTC nanoseconds since 1970.
    pub created_ns: u64,
    /// Until when it lets in, UTC nanoseconds since 1970.
    pub expires_ns: u64,
    /// Who made it.
    pub created_by: String,
}

/// One who joined with a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenUse {
    /// Recorder key, hexadecimal.
    pub recorder_key: String,
    /// The identifier that was given.
    pub host: String,
}

/// Why a token does not let in. For the event only: outside all are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenFault {
    NotAToken,
    Unknown,
    WrongSecret,
    Expired,
    UsedUp,
    FromTheFuture,
    OtherRole,
}

impl TokenFault {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NotAToken => "not a token",
            Self::Unknown => "the token is unknown",
            Self::WrongSecret => "the token's secret is wrong",
            Self::Expired => "the token has expired",
            Self::UsedUp => "the token is used up",
            Self::FromTheFuture => "the clock is before the token's making",
            Self::OtherRole => "the token is for another role",
        }
    }
}

impl TokenRow {
    /// Whether the token lets in who has this recorder key, and the identifier it was given before,
    /// if it did so before.
    pub(crate) fn admits(
        &self,
        token: &Token,
        recorder_key: &str,
        utc_ns: u64,
    ) -> Result<Option<HostId>, TokenFault> {
        let kept: Option<Digest> = hex::decode(&self.secret_sha256);
        if !kept.is_some_and(|kept| same(&kept, &token.digest())) {
            return Err(TokenFault::WrongSecret);
        }
        if utc_ns >= self.expires_ns {
            return Err(TokenFault::Expired);
        }
        // A clock that was set back would bring expired tokens to life again.
        if utc_ns.saturating_add(CLOCK_SKEW_S * 1_000_000_000) < self.created_ns {
            return Err(TokenFault::FromTheFuture);
        }
        if let Some(before) = self.uses.iter().find(|u| u.recorder_key == recorder_key) {
            return Ok(before.host.parse().ok());
        }
        if self.uses.len() as u64 >= u64::from(self.uses_max) {
            return Err(TokenFault::UsedUp);
        }
        Ok(None)
    }
}

/// Whether two digests are the same, in a time that does not tell where they differ.
fn same(a: &Digest, b: &Digest) -> bool {
    let differences = a.iter().zip(b).fold(0u8, |sum, (a, b)| sum | (a ^ b));
    std::hint::black_box(differences) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_of_a_secret_counts() {
        let token = Token {
            id: TokenId([1; 8]),
            secret: [2; 32],
        };
        let row = TokenRow {
            id: token.id.to_string(),
            role: JoinAs::Host,
            secret_sha256: hex::encode(&token.digest()),
            uses_max: 1,
            uses: Vec::new(),
            created_ns: 0,
            expires_ns: 10,
            created_by: "root".into(),
        };
        let text = token.reveal();
        let again = Token::parse(&text).unwrap();
        assert_eq!(row.admits(&again, "k", 9), Ok(None));
        assert_eq!(row.admits(&again, "k", 10), Err(TokenFault::Expired));
        for bit in 0..256 {
            let mut other = Token::parse(&text).unwrap();
            other.secret[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(row.admits(&other, "k", 9), Err(TokenFault::WrongSecret));
        }
        for bad in [
            "",
            "hansard-join-",
            &text[1..],
            &text[..text.len() - 1],
            &text.to_uppercase(),
        ] {
            assert!(Token::parse(bad).is_none(), "{bad}");
        }
        assert!(!format!("{token:?}").contains("0202"));
        for bit in 0..256 {
            let mut other = [7u8; 32];
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!same(&[7; 32], &other) && same(&other, &other.clone()));
        }
    }
}
