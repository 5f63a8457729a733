//! What a login leaves on this machine: a directory of its owner's alone.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
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
        made.map_err(|e| Failure::about(&self.0, &e))?;
        self.check()
    }

    /// Whether it is ours alone to write in: what stands there says whom to believe, and what ssh(1) runs.
    fn check(&self) -> Result<(), Failure> {
        let about = match fs::metadata(&self.0) {
            Ok(about) => about,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(Failure::about(&self.0, &e)),
        };
        let is_own = about.uid() == rustix::process::geteuid().as_raw();
        if is_own && about.mode() & 0o022 == 0 {
            return Ok(());
        }
        let shown = crate::failure::shown(&self.0);
        let what = match is_own {
            true => format!(
                "{shown}: others may write in it (mode {:03o})",
                about.mode() & 0o777
            ),
            false => format!("{shown}: it is another account's"),
        };
        let next = match is_own {
            true => format!("see that what is there is yours, then chmod 700 {shown}"),
            false => "name a directory of your own: HANSARD_HOME".to_owned(),
        };
        Err(Failure::new(STATUS_WRONG_USE, what).hint(next))
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
        self.check()?;
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_login_is_kept_where_nobody_else_may_write() {
        let directory = std::env::temp_dir().join(format!("hansard-home-{}", std::process::id()));
        let home = Home::of(directory.clone());
        assert!(home.login().unwrap().is_none(), "it is not there yet");
        home.make().unwrap();
        home.put(KEY, "secret").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&directory), mode(&home.path(KEY))), (0o700, 0o600));
        for (others, is_good) in [(0o755, true), (0o770, false), (0o707, false), (0o700, true)] {
            fs::set_permissions(&directory, fs::Permissions::from_mode(others)).unwrap();
            assert_eq!(home.login().is_ok(), is_good, "{others:o}");
            assert_eq!(home.make().is_ok(), is_good, "{others:o}");
        }
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&directory, Some(65_534), None).unwrap();
            assert!(
                home.login().is_err() && home.make().is_err(),
                "another account's"
            );
        }
        fs::remove_dir_all(&directory).unwrap();
    }
}
