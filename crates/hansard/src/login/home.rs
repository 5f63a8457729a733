//! What a login leaves on this machine: a directory of its owner's alone.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use crate::failure::{Failure, STATUS_WRONG_USE};

/// The private key, where no agent has it.
pub(crate) const KEY: &str = "key";
/// Its public half.
pub(crate) const PUBLIC: &str = "key.pub";
/// Its certificate.
pub(crate) const CERTIFICATE: &str = "key-cert.pub";
/// The private key of the X.509 certificate.
pub(crate) const PERSON_KEY: &str = "x509.key";
/// That certificate, with which the service's web server knows who asks.
pub(crate) const PERSON: &str = "x509.pem";
/// Who hosts are.
pub(crate) const KNOWN_HOSTS: &str = "known_hosts";
/// For ssh(1).
pub(crate) const SSH_CONFIG: &str = "ssh_config";
/// What the service said.
const LOGIN: &str = "login.json";

/// All of them, what is secret first.
const ALL: [&str; 8] = [
    KEY,
    PERSON_KEY,
    PERSON,
    CERTIFICATE,
    PUBLIC,
    KNOWN_HOSTS,
    SSH_CONFIG,
    LOGIN,
];

/// The directory: `$HANSARD_HOME`, or `.hansard` in the home.
pub(crate) struct Home(PathBuf);

impl Home {
    pub(crate) fn find() -> Result<Self, Failure> {
        let named = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let own = named("HANSARD_HOME").map(PathBuf::from);
        let usual = || named("HOME").map(|home| PathBuf::from(home).join(".hansard"));
        let directory = own.or_else(usual).filter(|path| path.is_absolute());
        directory.map(Self).ok_or_else(|| {
            let what = "there is no directory to keep a login in";
            Failure::new(STATUS_WRONG_USE, what).hint("set HOME, or HANSARD_HOME, to a whole path")
        })
    }

    #[cfg(test)]
    pub(crate) fn of(directory: PathBuf) -> Self {
        Self(directory)
    }

    /// A file in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Makes the directory, for its owner alone.
    pub(crate) fn make(&self) -> Result<(), Failure> {
        let made = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.0);
        made.map_err(|e| Failure::about(&self.0, &e))
    }

    /// Puts a file in the place of what is there under that name, if anything; whole, or not at all. It is
    /// readable by its owner alone.
    pub(crate) fn put(&self, name: &str, text: &str) -> Result<(), Failure> {
        let (path, draft) = (self.path(name), self.path(&format!(".{name}.part")));
        let written = || {
            // One that a crash left behind.
            remove(&draft)?;
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&draft)?;
            file.write_all(text.as_bytes())?;
            fs::rename(&draft, &path)
        };
        written().map_err(|e| Failure::about(&path, &e))
    }

    /// What the service said at the last login; `None` without one.
    pub(crate) fn login(&self) -> Result<Option<Json>, Failure> {
        let path = self.path(LOGIN);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Failure::about(&path, &e)),
        };
        let login = serde_json::from_str(&text).map_err(|e| {
            let what = format!("{}: {e}", crate::failure::shown(&path));
            Failure::new(STATUS_WRONG_USE, what).hint("sign in again: `hansard login`")
        });
        login.map(Some)
    }

    /// Keeps what the service said, last: where it is, the others are, too.
    pub(crate) fn keep(&self, login: &Json) -> Result<(), Failure> {
        self.put(LOGIN, &format!("{login}\n"))
    }

    /// Takes everything away. Whether there was a login.
    pub(crate) fn clear(&self) -> Result<bool, Failure> {
        let was = self.path(LOGIN).exists();
        for name in ALL {
            let path = self.path(name);
            remove(&path).map_err(|e| Failure::about(&path, &e))?;
        }
        Ok(was)
    }

    /// Takes one file away, if it is there.
    pub(crate) fn remove(&self, name: &str) -> Result<(), Failure> {
        let path = self.path(name);
        remove(&path).map_err(|e| Failure::about(&path, &e))
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}
