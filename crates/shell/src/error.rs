//! Why a run failed, sorted by what the caller says and with which status it ends.

use std::{fmt, io};

use crate::tape::TapeLost;

/// Why a program was not run, or not to its end.
#[derive(Debug)]
pub enum ShellError {
    /// There is no program in the command.
    NoProgram,
    /// The program could not be started.
    NotStarted {
        /// Its name.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// A terminal or pipe could not be set up or used.
    Io {
        /// What was being done.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The system's modules do not let the account be used; why, in words for the user.
    Refused(String),
    /// The record could not be kept, so the session was ended.
    Lost(TapeLost),
    /// Another run is going on in this process: signals belong to one.
    Busy,
}

impl ShellError {
    /// What a shell would return: 127 for a program that does not exist, 126 for one that cannot
    /// be run, 125 when the recorder itself failed (as `env`, `nice` and `timeout` do).
    #[must_use]
    pub fn status(&self) -> u8 {
        match self {
            Self::NotStarted { source, .. } if source.kind() == io::ErrorKind::NotFound => 127,
            Self::NotStarted { .. } => 126,
            _ => 125,
        }
    }

    pub(crate) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what, source }
    }

    pub(crate) fn errno(what: &'static str) -> impl FnOnce(rustix::io::Errno) -> Self {
        move |errno| Self::Io {
            what,
            source: errno.into(),
        }
    }
}

impl fmt::Display for ShellError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoProgram => f.write_str("no program to run"),
            Self::NotStarted { program, source } => {
                // In the words of the C library, without Rust's number.
                let why = source.to_string();
                let why = why.split(" (os error").next().unwrap_or_default();
                write!(f, "cannot run {program}: {why}")
            }
            Self::Io { what, source } => write!(f, "cannot {what}: {source}"),
            Self::Refused(why) => f.write_str(why),
            Self::Lost(lost) => write!(f, "session ended because it cannot be recorded: {lost}"),
            Self::Busy => f.write_str("another program is being recorded in this process"),
        }
    }
}

impl std::error::Error for ShellError {}

impl From<TapeLost> for ShellError {
    fn from(lost: TapeLost) -> Self {
        Self::Lost(lost)
    }
}
