//! Why a connection ends.

use std::fmt;

use hansard_record::Lost;

/// Why a connection ends by our doing.
#[derive(Debug)]
pub(super) enum Over {
    /// What happens in it cannot be recorded any more.
    Lost(Lost),
    /// It could not be recorded from the beginning.
    Unrecorded(String),
    /// Something that only somebody who is in may ask for.
    NotInside,
    /// More keys were offered than anybody has.
    TooMany,
    /// More was sent into a channel than waits for a program.
    TooEarly,
    /// The system does not let it be used.
    Unusable(std::io::Error),
    /// The library says why.
    Protocol(russh::Error),
}

impl fmt::Display for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(lost) => write!(f, "it cannot be recorded any more: {lost}"),
            Self::Unrecorded(why) => write!(f, "it cannot be recorded: {why}"),
            Self::NotInside => f.write_str("it asked for something before it had signed in"),
            Self::TooMany => f.write_str("too many attempts to sign in"),
            Self::TooEarly => f.write_str(
                "it sent more into a channel than is kept before anything is asked to run there",
            ),
            Self::Unusable(error) => write!(f, "the connection cannot be used: {error}"),
            Self::Protocol(error) => write!(f, "the connection failed: {error}"),
        }
    }
}

impl std::error::Error for Over {}

impl Over {
    /// Whether the other side is gone without a word, however the system says so: with a socket of this
    /// machine between (`ssh -J`), an end is a reset where something was still to be read.
    pub(super) fn is_early_eof(&self) -> bool {
        use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
        match self {
            Self::Protocol(russh::Error::IO(error)) => matches!(
                error.kind(),
                BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof
            ),
            Self::Protocol(russh::Error::HUP) => true,
            _ => false,
        }
    }

    pub(super) fn unusable(error: std::io::Error) -> Self {
        Self::Unusable(error)
    }
}

impl From<russh::Error> for Over {
    fn from(error: russh::Error) -> Self {
        Self::Protocol(error)
    }
}
