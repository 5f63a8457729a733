//! Small files that are there whole or not at all, and durable when the call returns.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with};

use crate::failure::{Failure, about};
use crate::limits::FILE_BYTES_MAX;

/// What begins the name of a file that is not finished. A crash leaves at most one of these for
/// each name, which means nothing and which the next write of that name replaces.
const DRAFT: &str = ".draft-";

/// Mode of files that hold a secret.
pub(crate) const SECRET: u32 = 0o600;

/// Mode of files that everybody may read.
pub(crate) const PUBLIC: u32 = 0o644;

/// The calls that write. In tests each can be the last one before a crash.
#[derive(Debug, Clone, Default)]
pub(crate) struct Files {
    #[cfg(test)]
    pub(crate) crash: crash::Plan,
}

impl Files {
    /// Makes a file that MUST NOT be there yet.
    pub(crate) fn create(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
        let draft = self.draft(path, bytes, mode)?;
        let named = self.step(|| {
            renameat_with(CWD, &draft, CWD, path, RenameFlags::NOREPLACE).map_err(io::Error::from)
        });
        match named {
            Ok(()) => self.sync_directory_of(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // What is there stays as it is; the draft means nothing, whether or not it goes.
                let _ = fs::remove_file(&draft);
                let shown = path.display();
                Err(Failure::Conflict(format!("{shown}: exists already")))
            }
            Err(error) => Err(about(path, &error)),
        }
    }

    /// Puts a file in the place of what is there under that name, if anything: readers and a crash
    /// see the old bytes or the new ones.
    pub(crate) fn replace(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
        let draft = self.draft(path, bytes, mode)?;
        self.step(|| fs::rename(&draft, path))
            .map_err(|e| about(path, &e))?;
        self.sync_directory_of(path)
    }

    /// Removes a file, if it is there.
    pub(crate) fn remove(&self, path: &Path) -> Result<(), Failure> {
        match self.step(|| fs::remove_file(path)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(about(path, &error)),
            _ => self.sync_directory_of(path),
        }
    }

    /// Makes a directory for its owner only, and what leads to it, if they are not there.
    pub(crate) fn make_directory(&self, path: &Path) -> Result<(), Failure> {
        if path.is_dir() {
            return Ok(());
        }
        let made = self.step(|| {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path)
        });
        made.map_err(|e| about(path, &e))?;
        self.sync_directory_of(path)
    }

    /// The file's bytes, written and synced under a name that means nothing.
    fn draft(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<PathBuf, Failure> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let draft = path.with_file_name(format!("{DRAFT}{name}"));
        // A draft that a crash left may have another mode: it is made anew.
        let _ = fs::remove_file(&draft);
        let written = (|| {
            let mut file = self.step(|| {
                OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(mode)
                    .open(&draft)
            })?;
            self.step(|| file.write_all(bytes))?;
            self.step(|| sync(&file))
        })();
        match written {
            Ok(()) => Ok(draft),
            Err(error) => Err(about(&draft, &error)),
        }
    }

    fn sync_directory_of(&self, path: &Path) -> Result<(), Failure> {
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        self.step(|| sync(&File::open(directory)?))
            .map_err(|e| about(directory, &e))
    }

    #[cfg(not(test))]
    fn step<T>(&self, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        act()
    }

    #[cfg(test)]
    fn step<T>(&self, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.crash.before()?;
        let done = act()?;
        self.crash.after()?;
        Ok(done)
    }
}

/// Makes a file or directory durable. Tests of this crate decide themselves where a crash falls, and
/// need not ask the disk.
fn sync(file: &File) -> io::Result<()> {
    if cfg!(test) { Ok(()) } else { file.sync_all() }
}

/// The bytes of a file of at most [`FILE_BYTES_MAX`], or none if it is not there.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    let Some(file) = open(path)? else {
        return Ok(None);
    };
    whole(path, file).map(Some)
}

/// The same of a private key: one that others than its owner can reach is refused, as ssh does.
pub(crate) fn read_key(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    let Some(file) = open(path)? else {
        return Ok(None);
    };
    // Of what is open, and not of what has the name by now.
    let mode = file.metadata().map_err(|e| about(path, &e))?.mode() & 0o777;
    if mode & 0o077 != 0 {
        let shown = path.display();
        return Err(Failure::Refused(format!(
            "{shown}: a private key that others than its owner may read or write (mode {mode:04o}): chmod 0600, \
             after finding out who could"
        )));
    }
    whole(path, file).map(Some)
}

fn open(path: &Path) -> Result<Option<File>, Failure> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(about(path, &error)),
    }
}

fn whole(path: &Path, file: File) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| about(path, &e))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let shown = path.display();
        return Err(Failure::Refused(format!(
            "{shown}: longer than {FILE_BYTES_MAX} bytes, which no file of ours is"
        )));
    }
    Ok(bytes)
}

/// Holds a directory for this process: two that write the same files lose each other's.
pub(crate) fn lock(directory: &Path) -> Result<File, Failure> {
    let path = directory.join("lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(SECRET)
        .open(&path)
        .map_err(|e| about(&path, &e))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Failure::Conflict(format!(
            "{}: another hansardd uses it",
            directory.display()
        ))),
        Err(error) => Err(about(&path, &error.into())),
    }
}

/// Dying at a chosen call.
#[cfg(test)]
pub(crate) mod crash {
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// Clones are the same plan. Moments are counted: before and after each call.
    #[derive(Debug, Clone, Default)]
    pub(crate) struct Plan(Arc<(AtomicU32, AtomicU32)>);

    impl Plan {
        /// From this moment on (from 1, counted from now) every call fails; 0 is never.
        pub(crate) fn at(&self, moment: u32) {
            self.0.0.store(0, Ordering::Relaxed);
            self.0.1.store(moment, Ordering::Relaxed);
        }

        pub(super) fn before(&self) -> io::Result<()> {
            let now = self.0.0.fetch_add(1, Ordering::Relaxed) + 1;
            match self.0.1.load(Ordering::Relaxed) {
                0 => Ok(()),
                at if now < at => Ok(()),
                _ => Err(io::Error::other("died here")),
            }
        }

        pub(super) fn after(&self) -> io::Result<()> {
            self.before()
        }
    }
}
