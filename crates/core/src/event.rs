//! What happened in a session: numbered, timed, of one of a closed set of families.

use crate::fields::Fields;
use crate::session::{ClockQuality, Session};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Number in the session, from 0, without holes.
    pub seq: u64,
    /// Monotonic nanoseconds since the session's start; never less than the event before.
    pub at_ns: u64,
    /// What it was.
    pub body: Body,
}

/// Which stream bytes belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// What a terminal was sent (standard output and error are one there).
    Output,
    /// Standard output of a program without a terminal.
    Stdout,
    /// Standard error of a program without a terminal.
    Stderr,
    /// What was piped into a program without a terminal.
    Stdin,
    /// What was typed at a terminal.
    Keystrokes,
}

impl Stream {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Output,
        Self::Stdout,
        Self::Stderr,
        Self::Stdin,
        Self::Keystrokes,
    ];

    /// The word in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Output => "output",
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::Stdin => "stdin",
            Self::Keystrokes => "keystrokes",
        }
    }

    /// The stream with that word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == word)
    }

    /// Whether a viewer sees these bytes (as opposed to what went in).
    #[must_use]
    pub fn is_shown(self) -> bool {
        matches!(self, Self::Output | Self::Stdout | Self::Stderr)
    }
}

/// A fact of one of the families that are described by flat fields rather than by a shape of
/// their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// Event name, Teleport's where it has one: `auth`, `session.command`, `sftp`, …
    pub event: String,
    /// Flat fields under Teleport's names where it has one.
    pub fields: Fields,
}

/// Part of a recording that is missing, and what is known about it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Gap {
    /// Why, in words for people.
    pub cause: String,
    /// When the loss began, nanoseconds since the session's start. The event's own `at_ns` is
    /// when it ended.
    pub from_ns: u64,
    /// Events lost, if counted.
    pub events: Option<u64>,
    /// Bytes lost, if counted.
    pub bytes: Option<u64>,
    /// Most bytes that can have been lost, where they were not counted.
    pub bytes_max: Option<u64>,
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct End {
    /// Why, in words: `exited`, `signalled`, `hangup`, `recording failed: …`.
    pub reason: String,
    /// Exit status of the program (0 to 255), if it exited.
    pub exit_status: Option<u8>,
    /// Name of the signal that ended it, without `SIG`, if one did.
    pub signal: Option<String>,
}

/// What happened. Closed: an unknown kind from a later version is carried as [`Body::Unknown`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// The header; always event 0 of a recording, and only there.
    Start(Box<Session>),
    /// Sign-in attempts and their outcome.
    Auth(Fact),
    /// Channels and forwards opened, refused, closed.
    Channel(Fact),
    /// Commands run.
    Command(Fact),
    /// Files opened, changed, removed.
    File(Fact),
    /// Connections made, accepted, refused.
    Network(Fact),
    /// Processes started and ended.
    Process(Fact),
    /// File transfers.
    Transfer(Fact),
    /// Requests to an API or web application.
    Request(Fact),
    /// Administration, and looks at recordings.
    Admin(Fact),
    /// Bytes of a stream.
    Data {
        /// Which stream.
        stream: Stream,
        /// The bytes, exactly.
        bytes: Vec<u8>,
    },
    /// The terminal has this size from now on.
    Resize {
        /// Columns.
        cols: u16,
        /// Rows.
        rows: u16,
    },
    /// The wall clock was read again, or jumped.
    Clock {
        /// UTC nanoseconds since 1970 at this event's `at_ns`.
        utc_ns: u64,
        /// How good the clock was.
        quality: ClockQuality,
        /// Why it was read: `periodic`, `jump`.
        reason: String,
    },
    /// A place somebody wanted to find again.
    Mark {
        /// Its label; may be empty.
        label: String,
    },
    /// Something is missing here.
    Gap(Gap),
    /// The session ended; the last event of a recording.
    End(End),
    /// A kind that this version does not know, kept as it was.
    Unknown {
        /// Its kind byte.
        kind: u8,
        /// Its encoded body.
        bytes: Vec<u8>,
    },
}

impl Body {
    /// Family name in lower case, as in JSON.
    #[must_use]
    pub fn family(&self) -> &'static str {
        match self {
            Self::Start(_) => "start",
            Self::Auth(_) => "auth",
            Self::Channel(_) => "channel",
            Self::Command(_) => "command",
            Self::File(_) => "file",
            Self::Network(_) => "network",
            Self::Process(_) => "process",
            Self::Transfer(_) => "transfer",
            Self::Request(_) => "request",
            Self::Admin(_) => "admin",
            Self::Data { .. } => "data",
            Self::Resize { .. } => "resize",
            Self::Clock { .. } => "clock",
            Self::Mark { .. } => "mark",
            Self::Gap(_) => "gap",
            Self::End(_) => "end",
            Self::Unknown { .. } => "unknown",
        }
    }
}
