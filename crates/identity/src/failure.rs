//! What can go wrong at an authority or registry, sorted by what the caller does.

use std::fmt;
use std::io;
use std::path::Path;

use crate::certificate::BadCertificate;
use crate::name::BadName;

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Nothing, or only a part, was done; the same again is right and safe (a disk's error).
    Retry(String),
    /// What was asked for is not of the right form. The same again fails again.
    Malformed(String),
    /// The token is not one that lets in. The words are the same whatever is wrong with it.
    Token,
    /// Not allowed: locked, revoked, unknown, another's.
    Refused(String),
    /// Something else is there already, or a bound is reached.
    Conflict(String),
}

/// What somebody hears whose token is unknown, wrong, expired, used up or for another role: no
/// difference that could be tried out.
pub const TOKEN_REFUSED: &str = "the token is not valid (any more): ask for another";

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry(text)
            | Self::Malformed(text)
            | Self::Refused(text)
            | Self::Conflict(text) => f.write_str(text),
            Self::Token => f.write_str(TOKEN_REFUSED),
        }
    }
}

impl std::error::Error for Failure {}

impl From<BadName> for Failure {
    fn from(bad: BadName) -> Self {
        Self::Malformed(bad.to_string())
    }
}

impl From<BadCertificate> for Failure {
    fn from(bad: BadCertificate) -> Self {
        Self::Refused(bad.to_string())
    }
}

/// An error of the operating system about a file: the next try may succeed.
pub(crate) fn about(path: &Path, error: &io::Error) -> Failure {
    Failure::Retry(format!("{}: {error}", path.display()))
}
