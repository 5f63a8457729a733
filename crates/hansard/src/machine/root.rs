//! The machine whose files are changed: this one, or an image under a directory.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use rustix::process::geteuid;

use crate::cli::RootArgs;
use crate::failure::{Failure, STATUS_WRONG_USE, shown};

/// Largest file that is read; a larger one is none of those that are changed here.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Where hansard-shell is installed.
const PROGRAMS: [&str; 2] = ["/usr/bin/hansard-shell", "/usr/local/bin/hansard-shell"];

/// A machine.
pub(super) struct Root {
    dir: PathBuf,
}

impl Root {
    pub(super) fn new(args: &RootArgs) -> Result<Self, Failure> {
        let dir = fs::canonicalize(&args.root).map_err(|e| Failure::about(&args.root, &e))?;
        Ok(Self { dir })
    }

    /// Whether it is the one that we run on.
    pub(super) fn is_this_machine(&self) -> bool {
        self.dir == Path::new("/")
    }

    /// Its directory.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where a path of the machine is for us.
    pub(super) fn at(&self, path: &str) -> PathBuf {
        self.dir.join(path.trim_start_matches('/'))
    }

    /// Whether there is anything of that name.
    pub(super) fn has(&self, path: &str) -> bool {
        self.at(path).symlink_metadata().is_ok()
    }

    /// A program of the machine, which runs in the machine.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = match self.is_this_machine() {
            true => Command::new(program),
            false => {
                let mut command = Command::new("chroot");
                command.arg(&self.dir).arg(program);
                command
            }
        };
        command.env("LC_ALL", "C").current_dir("/");
        command
    }

    /// The login recorder's path on the machine.
    pub(super) fn program(&self, asked: Option<&Path>) -> Result<String, Failure> {
        let known = PROGRAMS.map(PathBuf::from);
        let tried: &[PathBuf] = match asked {
            Some(path) => &[path.to_owned()],
            None => &known,
        };
        let found = tried.iter().find_map(|path| {
            let text = path.to_str()?;
            let plain = text
                .bytes()
                .all(|b| b.is_ascii_graphic() && b != b':' && b != b'#');
            let absolute =
                path.is_absolute() && !path.components().any(|c| c == Component::ParentDir);
            (plain && absolute && self.is_program(text)).then(|| text.to_owned())
        });
        found.ok_or_else(|| {
            let names: Vec<String> = tried.iter().map(|path| shown(path)).collect();
            let message = format!("hansard-shell is not at {}", names.join(" or "));
            Failure::new(STATUS_WRONG_USE, message)
                .hint("install it there (mode 0711), or say --program with an absolute path")
        })
    }

    fn is_program(&self, path: &str) -> bool {
        let found = self.at(path).metadata();
        found.is_ok_and(|found| found.is_file() && found.mode() & 0o111 == 0o111)
    }

    /// A file's text; `None` where there is none.
    pub(super) fn read(&self, path: &str) -> Result<Option<String>, Failure> {
        let at = self.at(path);
        let read = || -> io::Result<Option<String>> {
            let file = match File::open(&at) {
                Ok(file) => file,
                Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
                Err(e) => return Err(e),
            };
            let mut text = String::new();
            file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
            match u64::try_from(text.len()).is_ok_and(|len| len <= FILE_BYTES_MAX) {
                true => Ok(Some(text)),
                false => Err(io::Error::other("is larger than such a file can be")),
            }
        };
        read().map_err(|e| Failure::about(&at, &e))
    }

    /// Replaces a file whole, or makes it; it keeps owner and mode, a new one has this mode. A crash
    /// leaves it as it was, and perhaps a draft beside it, whose name nothing reads and which the
    /// next call replaces.
    pub(super) fn replace(&self, path: &str, text: &str, mode: u32) -> Result<(), Failure> {
        let at = self.at(path);
        let there = at.symlink_metadata().ok();
        if there.as_ref().is_some_and(|there| !there.is_file()) {
            let message = format!(
                "{} is not a regular file, so it is not replaced",
                shown(&at)
            );
            return Err(Failure::new(STATUS_WRONG_USE, message).hint("change it by hand"));
        }
        let replace = || -> io::Result<()> {
            let draft = draft_of(&at);
            let mode = there.as_ref().map_or(mode, |there| there.mode() & 0o7777);
            write_new(&draft, text, mode)?;
            if let Some(there) = &there {
                std::os::unix::fs::chown(&draft, Some(there.uid()), Some(there.gid()))?;
            }
            fs::rename(&draft, &at)?;
            sync_dir_of(&at)
        };
        replace().map_err(|e| self.about(&at, &e))
    }

    /// Writes a file that is only tried, beside where it would be; it is to be removed.
    pub(super) fn draft(&self, path: &str, text: &str) -> Result<PathBuf, Failure> {
        let draft = draft_of(&self.at(path));
        write_new(&draft, text, 0o600).map_err(|e| self.about(&draft, &e))?;
        Ok(draft)
    }

    /// Removes a file; `false` where there was none.
    pub(super) fn remove(&self, path: &str) -> Result<bool, Failure> {
        let at = self.at(path);
        match fs::remove_file(&at).and_then(|()| sync_dir_of(&at)) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
            Err(e) => Err(self.about(&at, &e)),
        }
    }

    /// Makes a link, where there is none.
    pub(super) fn link(&self, path: &str, to: &str) -> Result<(), Failure> {
        let at = self.at(path);
        let made = std::os::unix::fs::symlink(to, &at).and_then(|()| sync_dir_of(&at));
        made.map_err(|e| self.about(&at, &e))
    }

    /// Makes a directory that everybody may read, where there is none.
    pub(super) fn directory(&self, path: &str) -> Result<(), Failure> {
        let at = self.at(path);
        match fs::create_dir(&at) {
            Ok(()) => {
                let open = fs::Permissions::from_mode(0o755);
                fs::set_permissions(&at, open).map_err(|e| Failure::about(&at, &e))
            }
            Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
            Err(e) => Err(self.about(&at, &e)),
        }
    }

    fn about(&self, at: &Path, e: &io::Error) -> Failure {
        let failure = Failure::about(at, e);
        match e.kind() == ErrorKind::PermissionDenied && !geteuid().is_root() {
            true => failure.hint("this changes the machine's logins: ask root to do it"),
            false => failure,
        }
    }
}

/// The name of a draft: neither sshd nor SSSD reads names that begin with a dot.
fn draft_of(at: &Path) -> PathBuf {
    let name = at.file_name().unwrap_or_default().to_string_lossy();
    at.with_file_name(format!(".{name}.hansard-draft"))
}

fn write_new(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn sync_dir_of(at: &Path) -> io::Result<()> {
    File::open(at.parent().unwrap_or(Path::new("/")))?.sync_all()
}
