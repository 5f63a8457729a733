//! What a command says when it cannot do its work: one sentence, the next step, an exit status.

use std::fmt;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::process::geteuid;

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
        let failure = Self::new(
            STATUS_WRONG_USE,
            format!("{}: {}", shown(path), plain(error)),
        );
        let next = match error.kind() {
            ErrorKind::NotFound => no_directory(path),
            ErrorKind::PermissionDenied => denied(path),
            _ => None,
        };
        Self {
            hint: next,
            ..failure
        }
    }

    /// The same of a recording that is to be read.
    pub(crate) fn of_recording(path: &Path, error: &std::io::Error) -> Self {
        let failure = Self::about(path, error);
        match error.kind() {
            ErrorKind::NotFound if failure.hint.is_none() => failure.hint(
                "see how the name is written; `hansard ls` lists the service's sessions, each named by \
                 its UUID",
            ),
            _ => failure,
        }
    }
}

/// Which directory is not there, where something was to be found or made in it.
fn no_directory(path: &Path) -> Option<String> {
    let parent = path.parent().filter(|parent| *parent != Path::new(""))?;
    let is_gone = parent.symlink_metadata().is_err();
    is_gone.then(|| format!("there is no directory {}", shown(parent)))
}

/// Who has what is in the way.
fn denied(path: &Path) -> Option<String> {
    let relative = path.is_relative().then_some(Path::new("."));
    let existing = path.ancestors().filter(|at| *at != Path::new(""));
    let (at, metadata) = existing
        .chain(relative)
        .find_map(|at| Some((at, at.symlink_metadata().ok()?)))?;
    let us = geteuid().as_raw();
    let (at, mode) = (shown(at), metadata.mode() & 0o7777);
    Some(match metadata.uid() == us {
        true => format!("{at} is yours, and its mode {mode:o} keeps you out: chmod changes it"),
        false => {
            let (owner, us) = (called(metadata.uid()), called(us));
            let whom = match metadata.uid() {
                0 => "root".to_owned(),
                _ => format!("{owner}, or root"),
            };
            format!("{at} belongs to {owner} (mode {mode:o}), and this is {us}: ask {whom}")
        }
    })
}

/// An account as people call it: by its name, else by its number.
fn called(uid: u32) -> String {
    let account = hansard_shell::account_of(uid);
    account.map_or_else(
        || uid.to_string(),
        |account| hansard_view::escape_for_humans(&account.name).into_owned(),
    )
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
