//! The configuration: one YAML file, every key of it a field of a struct that says what it is.
//!
//! [`sections`], [`access`], [`web`] and [`exports`] have the keys; [`key`] makes of each its reader and its row of the
//! page, [`value`]
//! reads single values, [`tree`] reads YAML without guessing, [`page`] makes `docs/configuration.md`,
//! [`change`] says what a reload can change, [`policy`] reads a central policy in the same way.
//!
//! Everything that is wrong is found in one go, with its key, line and column and what to do. What a
//! key that nobody knows was given is never shown: it may be a secret in the wrong place.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

pub mod access;
pub mod change;
pub mod exports;
pub mod key;
pub mod page;
pub mod policy;
pub mod sections;
pub mod shells;
mod ssh;
pub mod tree;
pub mod value;
pub mod web;

pub use access::{Access, AccessRole, TargetLabels, TargetSignIn};
pub use exports::{Export, TlogExport, TlogWriter};
pub use sections::{
    Admin, Capture, Config, EventLog, Forward, Host, Ingest, Local, Members, Metrics, Node, Proxy,
    Roles, Rule, Serve, Shell, Ssh, Store,
};
pub use tree::{CONFIG_BYTES_MAX, Place};
pub use value::{HostPort, Labels, Size, Span};
pub use web::{ClaimRule, Oidc, Tls, Web};

use key::{Reading, Value as _};

/// Where the configuration is, if nobody says otherwise.
pub const CONFIG_PATH: &str = "/etc/hansard/hansard.yaml";

/// The configuration of a machine that has none: it records itself, keeps what it records, and
/// answers the people on it.
pub const ALL_IN_ONE: &str = include_str!("config/all_in_one.yaml");

/// Longest text of the file that a message repeats, characters.
const QUOTED_CHARS_MAX: usize = 64;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The daemon does not start with it.
    Error,
    /// It starts, but somebody should look.
    Warning,
}

impl Level {
    /// The word for people and programs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// Something about a configuration that somebody should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// The key, `store.pack_age`; empty for the file as a whole.
    pub key: String,
    /// Where it stands, if it stands in the file.
    pub place: Option<Place>,
    /// What is the matter.
    pub what: String,
    /// What to do about it.
    pub next: String,
}

impl Finding {
    fn new(level: Level, key: String, what: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            level,
            key,
            place: None,
            what: what.into(),
            next: next.into(),
        }
    }

    /// Something that the daemon does not start with.
    pub fn error(key: impl Into<String>, what: impl Into<String>, next: impl Into<String>) -> Self {
        Self::new(Level::Error, key.into(), what, next)
    }

    /// Something that somebody should look at.
    pub fn warning(
        key: impl Into<String>,
        what: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self::new(Level::Warning, key.into(), what, next)
    }

    fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.level.as_str())?;
        if let Some(place) = self.place {
            write!(f, "{place}: ")?;
        }
        if !self.key.is_empty() {
            // Keys of labels and elements come from the file.
            write!(f, "{}: ", hansard_view::escape_for_humans(&self.key))?;
        }
        write!(f, "{}; {}", self.what, self.next)
    }
}

/// Why there is no configuration.
#[derive(Debug)]
pub enum LoadError {
    /// The file cannot be read.
    Unreadable(PathBuf, io::Error),
    /// It can, and this is wrong with it; at least one is an error.
    Wrong(PathBuf, Vec<Finding>),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown =
            |path: &Path| hansard_view::escape_for_humans(&path.to_string_lossy()).into_owned();
        match self {
            Self::Unreadable(path, error) => {
                write!(f, "{}: {}", shown(path), crate::failure::plain(error))
            }
            Self::Wrong(path, findings) => {
                write!(f, "{}:", shown(path))?;
                findings
                    .iter()
                    .try_for_each(|finding| write!(f, "\n  {finding}"))
            }
        }
    }
}

impl std::error::Error for LoadError {}

/// Text of the file in a message: escaped, and cut.
pub(crate) fn quoted(text: &str) -> String {
    let cut: String = text.chars().take(QUOTED_CHARS_MAX).collect();
    let more = if cut.len() < text.len() { "…" } else { "" };
    format!(
        "\"{}{more}\"",
        hansard_view::escape_for_humans(&cut).replace('"', "\\\"")
    )
}

impl Config {
    /// What a file says, and everything that is wrong with it. Keys that are wrong have their
    /// defaults. Contradictions between keys are another matter ([`crate::check`]).
    #[must_use]
    pub fn parse(text: &str) -> (Self, Vec<Finding>) {
        let tree = match tree::parse(text) {
            Ok(tree) => tree,
            Err(malformed) => {
                let finding = Finding::error("", malformed.what, malformed.next);
                return (Self::default(), vec![finding.at(malformed.place)]);
            }
        };
        let mut reading = Reading::default();
        let config = Self::read(&tree, &mut reading).unwrap_or_default();
        (config, reading.findings)
    }

    /// The configuration of a machine that has no file.
    #[must_use]
    pub fn all_in_one() -> Self {
        Self::parse(ALL_IN_ONE).0
    }

    /// Reads a file. With no path, the usual one; and if that is not there, [`ALL_IN_ONE`].
    ///
    /// # Errors
    /// When the file cannot be read, is longer than [`CONFIG_BYTES_MAX`], is not UTF-8, or has
    /// something wrong in it.
    pub fn load(path: Option<&Path>) -> Result<Self, LoadError> {
        let usual = Path::new(CONFIG_PATH);
        let file = path.unwrap_or(usual);
        let text = match read(file) {
            Ok(text) => text,
            Err(e) if path.is_none() && e.kind() == io::ErrorKind::NotFound => {
                return Ok(Self::all_in_one());
            }
            Err(e) => return Err(LoadError::Unreadable(file.to_owned(), e)),
        };
        let (config, findings) = Self::parse(&text);
        match findings.iter().any(|f| f.level == Level::Error) {
            true => Err(LoadError::Wrong(file.to_owned(), findings)),
            false => Ok(config),
        }
    }

    /// The name of this machine: the configured one, or the system's.
    #[must_use]
    pub fn node_name(&self) -> String {
        match self.node.name.as_str() {
            "" => rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .into_owned(),
            name => name.to_owned(),
        }
    }

    /// The roles that are switched on, by their keys.
    #[must_use]
    pub fn roles(&self) -> Vec<&'static str> {
        let roles = [
            ("capture.local", self.capture.local.is_some()),
            ("capture.shell", self.capture.shell.is_some()),
            ("capture.ssh", self.capture.ssh.is_some()),
            ("capture.proxy", self.capture.proxy.is_some()),
            (
                "capture.host",
                self.capture.host.as_ref().is_some_and(|host| host.enabled),
            ),
            ("forward", self.forward.is_some()),
            ("store", self.store.is_some()),
            ("serve.ingest", self.serve.ingest.is_some()),
            ("serve.admin", self.serve.admin.is_some()),
            ("serve.web", self.serve.web.is_some()),
            ("serve.metrics", self.serve.metrics.is_some()),
            ("export.tlog", self.export.tlog.is_some()),
        ];
        let on = roles.into_iter().filter(|(_, is_on)| *is_on);
        on.map(|(name, _)| name).collect()
    }

    /// The names that stand in this service's certificate.
    #[must_use]
    pub fn server_names(&self) -> Vec<String> {
        let named = self.serve.ingest.as_ref().map(|ingest| &ingest.names);
        match named {
            Some(names) if !names.is_empty() => names.clone(),
            _ => {
                let own = self.node_name().to_lowercase();
                let usual = [own.as_str(), "localhost", "127.0.0.1", "::1"];
                let mut names: Vec<String> = usual.map(ToOwned::to_owned).to_vec();
                // A machine may have a name that DNS does not allow; it is reached under another.
                names.retain(|name| hansard_identity::name::check_server_name(name).is_ok());
                names.dedup();
                names
            }
        }
    }
}

/// The text of a file, if it is short enough to be a configuration.
fn read(path: &Path) -> io::Result<String> {
    let mut text = Vec::new();
    // One byte more than allowed tells a file that is too long, whatever its size claims to be.
    let limit = CONFIG_BYTES_MAX.saturating_add(1);
    File::open(path)?.take(limit).read_to_end(&mut text)?;
    if text.len() as u64 > CONFIG_BYTES_MAX {
        let what = format!("longer than {CONFIG_BYTES_MAX} bytes, which no configuration is");
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    String::from_utf8(text).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let what = format!("not UTF-8 at byte {at}");
        io::Error::new(io::ErrorKind::InvalidData, what)
    })
}
