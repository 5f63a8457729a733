//! asciicast, versions 2 and 3: terminal output as lines of JSON.
//!
//! Text only: bytes that are not UTF-8 are written as U+FFFD, and a character is never cut in two
//! by an event. What a cast says that a recording has no place for travels in fields named
//! `asciicast.…` and in `channel` events named `asciicast`, so that a cast that was imported can
//! be exported again without loss.

mod decode;
mod encode;
mod header;

pub use decode::CastDecoder;
pub use encode::CastEncoder;
pub(crate) use encode::{exit_status, gap_label};
pub(crate) use header::command_line;

/// Which asciicast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CastVersion {
    /// Version 2: times count from the beginning.
    V2,
    /// Version 3: times count from the event before.
    V3,
}

impl CastVersion {
    /// The number in the header.
    #[must_use]
    pub fn number(self) -> u64 {
        match self {
            Self::V2 => 2,
            Self::V3 => 3,
        }
    }

    /// The format's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::V2 => "asciicast-v2",
            Self::V3 => "asciicast-v3",
        }
    }
}

/// Name of the `channel` event that holds an event of a cast with an unknown code.
const FOREIGN_EVENT: &str = "asciicast";

/// Its field that holds a comment line, which is no event of a cast and has no time of its own.
const COMMENT: &str = "comment";
