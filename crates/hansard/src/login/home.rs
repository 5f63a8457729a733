//! What a login leaves on this machine: a directory of its owner's alone.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
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
pub(crate) const LOGIN: &str = "login.json";
/// Held by whoever writes the others; empty.
const LOCK: &str = ".lock";

/// How long somebody waits for another who writes, which takes a moment; then it is an error.
const HOLD_MAX: Duration = Duration::from_secs(10);

/// How often they look.
const HOLD_AGAIN: Duration = Duration::from_millis(20);

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

    /// Whether there is such a directory.
    pub(crate) fn is_there(&self) -> bool {
        self.0.is_dir()
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

    /// Holds the directory until what is returned is dropped: one login is written, or taken away, at a time, so
    /// that nothing of one stands beside anything of another.
    pub(crate) fn hold(&self) -> Result<File, Failure> {
        let path = self.path(LOCK);
        let mut options = OpenOptions::new();
        let options = options.create(true).truncate(false).write(true);
        let file = options.mode(0o600).open(&path);
        let file = file.map_err(|e| Failure::about(&path, &e))?;
        let began = Instant::now();
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(file),
                Err(Errno::WOULDBLOCK | Errno::INTR) if began.elapsed() < HOLD_MAX => {
                    thread::sleep(HOLD_AGAIN);
                }
                Err(Errno::WOULDBLOCK) => {
                    let shown = crate::failure::shown(&path);
                    let what = format!("{shown}: another `hansard login` or `logout` holds it");
                    let next = "end it, or wait for it, then try again";
                    return Err(Failure::new(STATUS_WRONG_USE, what).hint(next));
                }
                Err(e) => return Err(Failure::about(&path, &e.into())),
            }
        }
    }

    /// Puts a login's files, the last of which says that it is there, in the place of whatever there was. Only for
    /// whoever holds the directory. The disk may be full: then what was there stays. After that the login before
    /// goes as a whole, and then this one comes: whoever reads meanwhile, or after a crash, finds none or a part
    /// of one, and never parts of two. All are readable by their owner alone.
    pub(crate) fn replace(&self, files: &[(&str, String)], _held: &File) -> Result<(), Failure> {
        for (name, text) in files {
            let draft = self.draft(name);
            written(&draft, text).map_err(|e| Failure::about(&draft, &e))?;
        }
        let login = self.path(LOGIN);
        remove(&login).map_err(|e| Failure::about(&login, &e))?;
        self.clear()?;
        for (name, _) in files {
            let path = self.path(name);
            fs::rename(self.draft(name), &path).map_err(|e| Failure::about(&path, &e))?;
        }
        Ok(())
    }

    fn draft(&self, name: &str) -> PathBuf {
        self.path(&format!(".{name}.part"))
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

    /// Takes everything away. Whether there was a login.
    pub(crate) fn clear(&self) -> Result<bool, Failure> {
        let was = self.path(LOGIN).exists();
        for name in ALL {
            let path = self.path(name);
            remove(&path).map_err(|e| Failure::about(&path, &e))?;
        }
        Ok(was)
    }
}

/// Writes a file that nobody knows yet.
fn written(path: &Path, text: &str) -> io::Result<()> {
    // One that a crash left behind.
    remove(path)?;
    let mut options = OpenOptions::new();
    let options = options.write(true).create_new(true).mode(0o600);
    options.open(path)?.write_all(text.as_bytes())
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
        let held = home.hold().unwrap();
        home.replace(&[(KEY, "secret".to_owned())], &held).unwrap();
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

    #[test]
    fn of_two_logins_at_once_nothing_stands_beside_the_others() {
        let directory = std::env::temp_dir().join(format!("hansard-two-{}", std::process::id()));
        let home = || Home::of(directory.clone());
        home().make().unwrap();
        let read = |name: &str| fs::read_to_string(home().path(name)).ok();
        thread::scope(|scope| {
            let writers = ["a", "b", "c"].map(|who| {
                scope.spawn(move || {
                    for n in 0..30 {
                        let held = home().hold().unwrap();
                        let is = format!("{who} {n}");
                        let files = [KEY, PUBLIC, CERTIFICATE, PERSON_KEY, PERSON, LOGIN];
                        let files = files.map(|name| (name, is.clone()));
                        home().replace(&files, &held).unwrap();
                        // Only now may the next one begin.
                        assert!(
                            files
                                .iter()
                                .all(|(name, _)| read(name).as_ref() == Some(&is))
                        );
                        drop(held);
                        // Whoever begins again at once would keep the others waiting for all of its turns, each as
                        // long as a disk takes.
                        thread::sleep(2 * HOLD_AGAIN);
                    }
                })
            });
            // Whoever reads meanwhile waits for nobody, and finds no pair that is none.
            while writers.iter().any(|writer| !writer.is_finished()) {
                for (key, certificate) in [(KEY, CERTIFICATE), (PERSON_KEY, PERSON)] {
                    let before = read(key);
                    let between = read(certificate);
                    if let (Some(between), true) = (between, before == read(key)) {
                        assert!(before.is_none_or(|before| before == between));
                    }
                }
            }
        });
        assert!(read(LOGIN).is_some() && read(KEY) == read(CERTIFICATE));
        fs::remove_dir_all(&directory).unwrap();
    }
}
