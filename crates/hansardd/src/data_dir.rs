//! The directory of everything durable: what is in it, who holds it, and what says that it was made
//! on purpose.
//!
//! | name | what it is |
//! |---|---|
//! | `hansardd.json` | says that `hansardd init` made this directory, for which host and cluster; written last |
//! | `lock` | held with flock(2) by the process that works here; contains who that is |
//! | `keys/` | the host's keys and certificates; on the first service the cluster's authority |
//! | `spool/` | parts that nobody has for good yet |
//! | `archive/` | packs of segments |
//! | `catalog/` | which segment is newest, and rows |
//! | `log/` | the event log |
//! | `open/` | notes of sessions that are being recorded, so that they can be ended after a kill |
//! | `users/` | who may sign in |
//! | `credentials/` | credentials for targets of the SSH proxy, sealed with a key in `keys/authority/` |
//! | `shares/` | links for people without an account |
//! | `saved/` | searches that users keep |
//! | `player/` | copies of what is being played, without names; empty after a stop |
//! | `keyframes/` | screens and timelines of recordings that are over, for playing; computed |
//! | `diary` | where the chain of own recordings ends |
//! | `quarantine/` | what was no sound recording, kept to be looked at |
//!
//! A crash while it is made leaves it without `hansardd.json` and with `init.unfinished`: nothing
//! works in it, and `hansardd init` goes on where it was.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use hansard_record::disk::Disk as _;
use hansard_record::real_disk::RealDisk;
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, STATUS_FAILED, STATUS_HELD, STATUS_NOT_READY, shown};
use crate::owner;

/// The layout that this program knows.
const LAYOUT: u32 = 1;

/// Longest `hansardd.json`, bytes; a longer one is not ours.
const MARK_BYTES_MAX: u64 = 64 * 1024;

const MARK: &str = "hansardd.json";
const UNFINISHED: &str = "init.unfinished";

/// What `hansardd.json` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The layout of the directory, 1.
    pub layout: u32,
    /// This host's identifier, for good.
    pub id: String,
    /// The cluster that it belongs to.
    pub cluster: String,
    /// When it was made, UTC.
    pub created: String,
}

/// The directory, not yet looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataDir(PathBuf);

/// The directory, found initialised and held by this process until this is dropped.
pub struct Held {
    /// The directory.
    pub dir: DataDir,
    /// What it says of itself.
    pub mark: Mark,
    _lock: Box<dyn Send + Sync>,
}

impl DataDir {
    /// The directory at this path.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Keys and certificates.
    #[must_use]
    pub fn keys(&self) -> PathBuf {
        self.0.join("keys")
    }

    /// Keys of machines that the SSH proxy leads to.
    #[must_use]
    pub fn known_hosts(&self) -> PathBuf {
        self.0.join("known_hosts")
    }

    /// The spool.
    #[must_use]
    pub fn spool(&self) -> PathBuf {
        self.0.join("spool")
    }

    /// Packs.
    #[must_use]
    pub fn archive(&self) -> PathBuf {
        self.0.join("archive")
    }

    /// The catalog.
    #[must_use]
    pub fn catalog(&self) -> PathBuf {
        self.0.join("catalog")
    }

    /// The full-text index.
    #[must_use]
    pub fn index(&self) -> PathBuf {
        self.0.join("index")
    }

    /// The event log.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    /// Notes of sessions that are being recorded.
    #[must_use]
    pub fn open_sessions(&self) -> PathBuf {
        self.0.join("open")
    }

    /// Where the chain of own recordings ends.
    #[must_use]
    pub fn diary_link(&self) -> PathBuf {
        self.0.join("diary")
    }

    /// Versions of the policy.
    #[must_use]
    pub fn policy(&self) -> PathBuf {
        self.0.join("policy")
    }

    /// Copies of recordings that are being played; nothing that is needed after a stop.
    #[must_use]
    pub fn player(&self) -> PathBuf {
        self.0.join("player")
    }

    /// Keyframes of recordings that are over; made anew where they are gone.
    #[must_use]
    pub fn keyframes(&self) -> PathBuf {
        self.0.join("keyframes")
    }

    /// Users who sign in.
    #[must_use]
    pub fn users(&self) -> PathBuf {
        self.0.join("users")
    }

    /// From where users signed in.
    #[must_use]
    pub fn places(&self) -> PathBuf {
        self.0.join("places")
    }

    /// Locks on people, roles, accounts, hosts and sessions.
    #[must_use]
    pub fn locks(&self) -> PathBuf {
        self.0.join("locks")
    }

    /// Credentials for targets of the SSH proxy, sealed.
    #[must_use]
    pub fn credentials(&self) -> PathBuf {
        self.0.join("credentials")
    }

    /// Links to sessions for people without an account.
    #[must_use]
    pub fn shares(&self) -> PathBuf {
        self.0.join("shares")
    }

    /// Searches that users keep.
    #[must_use]
    pub fn saved(&self) -> PathBuf {
        self.0.join("saved")
    }

    /// How far what is sent on to others has come.
    #[must_use]
    pub fn export(&self) -> PathBuf {
        self.0.join("export")
    }

    /// What was no sound recording.
    #[must_use]
    pub fn quarantine(&self) -> PathBuf {
        self.0.join("quarantine")
    }

    /// What it says of itself.
    ///
    /// # Errors
    /// [`STATUS_NOT_READY`] when it is not initialised, or of a layout that this program does not
    /// know.
    pub fn mark(&self) -> Result<Mark, Failure> {
        let path = self.0.join(MARK);
        let mut text = String::new();
        match File::open(&path) {
            Ok(file) => file
                .take(MARK_BYTES_MAX)
                .read_to_string(&mut text)
                .map_err(|e| Failure::about(&path, &e))?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(self.not_initialised()),
            Err(e) => return Err(Failure::about(&path, &e)),
        };
        let unknown = |what: String| {
            let next = "this directory was made by another version of hansardd, or damaged; \
                        install that version, or bring the file back from a backup";
            Failure::new(STATUS_NOT_READY, format!("{}: {what}", shown(&path)), next)
        };
        let mark: Mark = serde_json::from_str(&text).map_err(|_| unknown("not readable".into()))?;
        match mark.layout {
            LAYOUT => Ok(mark),
            other => Err(unknown(format!(
                "layout {other}, and this program knows {LAYOUT}"
            ))),
        }
    }

    /// Takes the directory for this process.
    ///
    /// # Errors
    /// [`STATUS_NOT_READY`] as [`DataDir::mark`]; [`STATUS_HELD`], naming the holder, when another
    /// process works here; [`STATUS_NOT_READY`] when it is another account's.
    pub fn hold(&self, who: &str) -> Result<Held, Failure> {
        let mark = self.mark()?;
        owner::is_ours(&self.0)?;
        let lock = self.lock(who)?;
        Ok(Held {
            dir: self.clone(),
            mark,
            _lock: lock,
        })
    }

    fn lock(&self, who: &str) -> Result<Box<dyn Send + Sync>, Failure> {
        let path = self.0.join("lock");
        RealDisk.lock(&path, who).map_err(|e| match e.kind() {
            io::ErrorKind::WouldBlock => Failure::new(
                STATUS_HELD,
                hansard_view::escape_for_humans(&e.to_string()).into_owned(),
                "one process works in a data directory; stop that one first",
            ),
            _ => Failure::about(&path, &e),
        })
    }

    /// Makes the directory and what is in it, but for keys and stores, which `fill` makes; it
    /// answers what the mark is to say. Every step can be repeated: after a crash the same call
    /// goes on.
    ///
    /// # Errors
    /// [`STATUS_NOT_READY`] when it is initialised already, or has something else in it;
    /// [`STATUS_HELD`] when another process is at it; what `fill` says; otherwise what the system
    /// says.
    pub fn make(
        &self,
        who: &str,
        fill: impl FnOnce(&Self) -> Result<Mark, Failure>,
    ) -> Result<Mark, Failure> {
        let about = |path: &Path| {
            let path = path.to_owned();
            move |e: io::Error| Failure::about(&path, &e)
        };
        let above = self.0.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(above).map_err(about(above))?;
        make_dir(&self.0).map_err(|e| owner::not_made(&self.0, &e, 0o700))?;
        owner::is_ours(&self.0)?;
        self.is_free()?;
        // One that was there, empty, may be such that others can look into it.
        fs::set_permissions(&self.0, fs::Permissions::from_mode(0o700)).map_err(about(&self.0))?;
        let unfinished = self.0.join(UNFINISHED);
        write_new(&unfinished, b"").map_err(about(&unfinished))?;
        let _lock = self.lock(who)?;
        let all = [
            self.keys(),
            self.spool(),
            self.archive(),
            self.catalog(),
            self.log(),
            self.open_sessions(),
            self.quarantine(),
        ];
        for dir in &all {
            make_dir(dir).map_err(about(dir))?;
        }
        let mark = fill(self)?;
        for dir in &all {
            RealDisk.sync_dir(dir).map_err(about(dir))?;
        }
        // A crash before the rename leaves a directory that is not initialised; after it, one that
        // is whole.
        let draft = self.0.join(format!("{MARK}.draft"));
        let text = serde_json::to_string_pretty(&mark)
            .map_err(|e| Failure::new(STATUS_FAILED, e.to_string(), ""))?;
        let _ = fs::remove_file(&draft);
        write_new(&draft, format!("{text}\n").as_bytes()).map_err(about(&draft))?;
        let path = self.0.join(MARK);
        fs::rename(&draft, &path).map_err(about(&path))?;
        fs::remove_file(&unfinished).map_err(about(&unfinished))?;
        RealDisk.sync_dir(&self.0).map_err(about(&self.0))?;
        RealDisk.sync_dir(above).map_err(about(above))?;
        Ok(mark)
    }

    /// Whether nothing is in the way of making it.
    fn is_free(&self) -> Result<(), Failure> {
        if let Ok(mark) = self.mark() {
            let what = format!(
                "{} was initialised already, for {} in cluster {}",
                shown(&self.0),
                hansard_view::escape_for_humans(&mark.id),
                hansard_view::escape_for_humans(&mark.cluster)
            );
            let next = "nothing was changed; `hansardd run` works in it";
            return Err(Failure::new(STATUS_NOT_READY, what, next));
        }
        if self.0.join(UNFINISHED).exists() && !self.0.join(MARK).exists() {
            return Ok(());
        }
        let mut names = fs::read_dir(&self.0).map_err(|e| Failure::about(&self.0, &e))?;
        match names.next() {
            None => Ok(()),
            Some(_) => {
                let what = format!("{} is not empty, and not ours", shown(&self.0));
                let next = "choose an empty directory as node.data_dir";
                Err(Failure::new(STATUS_NOT_READY, what, next))
            }
        }
    }

    fn not_initialised(&self) -> Failure {
        let what = match self.0.join(UNFINISHED).exists() {
            true => format!("{}: an init was interrupted here", shown(&self.0)),
            false => format!("{} is not initialised", shown(&self.0)),
        };
        Failure::new(STATUS_NOT_READY, what, "run `hansardd init` first")
    }
}

/// Makes a directory for this user only; one that is there is as good.
fn make_dir(path: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        done => done,
    }
}

/// Writes a file that is not there; an empty one that is, is as good.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match file {
        Ok(mut file) => {
            file.write_all(bytes)?;
            file.sync_all()
        }
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && bytes.is_empty() => Ok(()),
        Err(e) => Err(e),
    }
}

impl Mark {
    /// What a new directory says of itself.
    #[must_use]
    pub fn new(id: String, cluster: String, utc_ns: u64) -> Self {
        Self {
            layout: LAYOUT,
            id,
            cluster,
            created: crate::journal::rfc3339(utc_ns),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    struct Temp(PathBuf);

    impl Temp {
        fn new(name: &str) -> Self {
            let name = format!("hansardd-data-dir-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Temp {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn mark() -> Mark {
        Mark::new("an-id".into(), "example".into(), 0)
    }

    #[test]
    fn it_is_made_once_and_held_by_one() {
        let temp = Temp::new("made");
        let dir = DataDir::new(&temp.0.join("deep/data"));
        let said = dir.hold("a test").err().unwrap();
        assert_eq!(said.status, STATUS_NOT_READY);
        assert_eq!(said.next, "run `hansardd init` first");
        dir.make("a test", |_| Ok(mark())).unwrap();
        let said = dir
            .make("a test", |_| panic!("nothing is made twice"))
            .unwrap_err();
        assert_eq!(said.status, STATUS_NOT_READY);
        assert!(said.what.contains("an-id in cluster example"), "{said}");
        let held = dir.hold("process 1 of the test").unwrap();
        assert_eq!(held.mark, mark());
        let said = dir.hold("process 2").err().unwrap();
        assert_eq!(said.status, STATUS_HELD);
        assert!(said.what.contains("process 1 of the test"), "{said}");
        drop(held);
        dir.hold("process 2").unwrap();
        for path in [
            dir.path().to_owned(),
            dir.keys(),
            dir.spool(),
            dir.quarantine(),
        ] {
            assert_eq!(
                fs::metadata(&path).unwrap().mode() & 0o777,
                0o700,
                "{path:?}"
            );
        }
    }

    #[test]
    fn an_interrupted_init_goes_on() {
        let temp = Temp::new("interrupted");
        let dir = DataDir::new(&temp.0.join("data"));
        let broken = Failure::new(STATUS_FAILED, "the disk failed", "");
        let said = dir.make("a test", |_| Err(broken.clone())).unwrap_err();
        assert_eq!(said, broken);
        let said = dir.hold("a test").err().unwrap();
        assert!(said.what.contains("interrupted"), "{said}");
        dir.make("a test", |_| Ok(mark())).unwrap();
        dir.hold("a test").unwrap();
        assert!(!dir.path().join(UNFINISHED).exists());
    }

    #[test]
    fn what_others_have_there_is_left_alone() {
        let temp = Temp::new("others");
        fs::write(temp.0.join("photo.jpg"), "x").unwrap();
        let said = DataDir::new(&temp.0)
            .make("a test", |_| panic!())
            .unwrap_err();
        assert!(said.what.contains("not empty"), "{said}");
        let dir = DataDir::new(&temp.0.join("later"));
        dir.make("a test", |_| {
            Ok(Mark {
                layout: 2,
                ..mark()
            })
        })
        .unwrap();
        let said = dir.hold("a test").err().unwrap();
        assert!(said.what.contains("layout 2"), "{said}");
        fs::write(dir.path().join(MARK), "{").unwrap();
        let said = dir.mark().unwrap_err();
        assert_eq!(said.status, STATUS_NOT_READY);
        let said = dir.make("a test", |_| panic!()).unwrap_err();
        assert!(said.what.contains("not empty"), "{said}");
    }
}
