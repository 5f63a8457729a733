//! What a command of the daemon says when it cannot do its work: one sentence, the next step, an
//! exit status.

use std::fmt;
use std::io;
use std::path::Path;

use crate::owner;

/// The command did its work; for `check` and `doctor`: nothing is wrong, there may be warnings.
pub const STATUS_DONE: u8 = 0;
/// Something that may pass: a store, a disk, a network failed. Starting again may help, and a
/// service manager should.
pub const STATUS_FAILED: u8 = 1;
/// Wrong use, or a configuration with errors. Starting again does not help.
pub const STATUS_WRONG_USE: u8 = 2;
/// The data directory is not what the command needs: not initialised, initialised already, or of
/// another layout. Starting again does not help.
pub const STATUS_NOT_READY: u8 = 3;
/// Another process holds the data directory.
pub const STATUS_HELD: u8 = 4;
/// The daemon stopped, and not everything was done in the time it had; what was not waits in the
/// spool.
pub const STATUS_CUT_SHORT: u8 = 5;
/// Nobody reads the answer any more: 128 and SIGPIPE's number.
pub const STATUS_BROKEN_PIPE: u8 = 141;

/// Why a command failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Exit status.
    pub status: u8,
    /// One sentence, without a full stop.
    pub what: String,
    /// What to do next; may be empty.
    pub next: String,
}

impl Failure {
    /// A failure with this exit status.
    pub fn new(status: u8, what: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            status,
            what: what.into(),
            next: next.into(),
        }
    }

    /// An operating system's error about a file.
    #[must_use]
    pub fn about(path: &Path, error: &io::Error) -> Self {
        let next = match error.kind() {
            io::ErrorKind::PermissionDenied => owner::denied(path),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                "make room and try again".to_owned()
            }
            _ => String::new(),
        };
        let status = match error.kind() {
            io::ErrorKind::WouldBlock => STATUS_HELD,
            _ => STATUS_FAILED,
        };
        Self::new(status, format!("{}: {}", shown(path), plain(error)), next)
    }
}

/// A path as it may be shown on a terminal.
#[must_use]
pub fn shown(path: &Path) -> String {
    hansard_view::escape_for_humans(&path.to_string_lossy()).into_owned()
}

/// The error in the words of the C library, without Rust's "(os error N)".
pub(crate) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hansardd: {}", self.what)?;
        match self.next.as_str() {
            "" => Ok(()),
            next => write!(f, "\nhint: {next}"),
        }
    }
}

impl std::error::Error for Failure {}

impl From<io::Error> for Failure {
    /// An error of standard output: all others name their file.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => {
                Self::new(STATUS_BROKEN_PIPE, "standard output is closed", "")
            }
            _ => Self::new(
                STATUS_FAILED,
                format!("cannot write the answer: {}", plain(&error)),
                "",
            ),
        }
    }
}
