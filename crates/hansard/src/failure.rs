//! What a command says when it cannot do its work: one sentence, the next step, an exit status.

use std::fmt;
use std::path::Path;

/// Not a recording, or wrong use.
pub(crate) const STATUS_WRONG_USE: u8 = 2;
/// The recording is intact but unfinished.
pub(crate) const STATUS_UNFINISHED: u8 = 1;
/// The recording is damaged.
pub(crate) const STATUS_DAMAGED: u8 = 3;
/// The recorder itself failed, as `env` and `timeout` say it.
pub(crate) const STATUS_RECORDER: u8 = 125;

/// Nobody reads the answer any more: 128 and SIGPIPE's number.
pub(crate) const STATUS_BROKEN_PIPE: u8 = 141;

/// Somebody pressed the key for it: 128 and SIGINT's number.
pub(crate) const STATUS_INTERRUPTED: u8 = 130;

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Exit status.
    pub(crate) status: u8,
    /// One sentence, without a full stop.
    message: String,
    /// What to do next.
    hint: Option<String>,
}

impl Failure {
    /// A failure with this exit status.
    pub(crate) fn new(status: u8, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            hint: None,
        }
    }

    /// The same, with what to do next.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same, with what else there is to know, before what to do next.
    pub(crate) fn also(mut self, what: &str) -> Self {
        self.hint = Some(match self.hint {
            Some(next) => format!("{what}; {next}"),
            None => what.to_owned(),
        });
        self
    }

    /// Nobody reads standard output any more.
    pub(crate) fn broken_pipe() -> Self {
        Self::new(STATUS_BROKEN_PIPE, "standard output is closed")
    }

    /// Whether nobody reads standard output any more.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        self.status == STATUS_BROKEN_PIPE
    }

    /// An answer of the service ended before the service had ended it.
    pub(crate) fn cut(why: &dyn fmt::Display) -> Self {
        Self::new(
            STATUS_DAMAGED,
            format!("the service's answer was cut: {why}"),
        )
        .hint("the service stopped, or this program was too slow for it; ask again")
    }

    /// An error of reading or writing what is at this path, which also names a session of a service.
    pub(crate) fn about(path: &Path, error: &std::io::Error) -> Self {
        if let Some(cut) = error.get_ref().and_then(|e| e.downcast_ref::<Cut>()) {
            let mut failure = Self::cut(cut);
            failure.message = format!("{}: {}", shown(path), failure.message);
            return failure;
        }
        Self::new(
            STATUS_WRONG_USE,
            format!("{}: {}", shown(path), plain(error)),
        )
    }
}

/// Why an answer of the service is not whole, as an error of reading it: whoever reads a recording
/// does not know where it comes from.
#[derive(Debug)]
pub(crate) struct Cut(pub(crate) String);

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Cut {}

/// A path as it may be shown on a terminal.
pub(crate) fn shown(path: &Path) -> String {
    hansard_view::escape_for_humans(&path.to_string_lossy()).into_owned()
}

/// A path as one word that a shell takes for it, as it may be shown on a terminal.
pub(crate) fn word(path: &Path) -> String {
    let shown = shown(path);
    let plain = |c: char| c.is_alphanumeric() || "/._-+,:@%=".contains(c);
    match shown.chars().all(plain) && !shown.is_empty() {
        true => shown,
        false => format!("'{}'", shown.replace('\'', r"'\''")),
    }
}

/// The error in the words of the C library, without Rust's "(os error N)".
fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hansard: {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl From<std::io::Error> for Failure {
    /// An error of standard output: all others name their file.
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::broken_pipe();
        }
        Self::new(
            STATUS_WRONG_USE,
            format!("cannot write the answer: {}", plain(&error)),
        )
    }
}
