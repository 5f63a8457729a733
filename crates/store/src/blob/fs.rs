//! Blobs as files of a directory that one process holds.
//!
//! | name | what it is |
//! |---|---|
//! | `.lock` | held with flock(2); contains who holds it |
//! | `.tmp/` | files being written; what a crash left there is removed when the store is opened |
//! | `FAMILY/XX/STEM` | a blob; `XX` are the first two characters of its stem |
//!
//! A blob is written under `.tmp`, synced, linked to its name (which link(2) refuses where the name
//! is taken), and its directory is synced. A crash before the link leaves a file in `.tmp`; after it,
//! a whole blob whose name may or may not outlast a loss of power, which is why a repeat syncs the
//! directory again though the blob is there.
//!
//! Threads that put at the same time share their syncs: one of them does it for all that wait. A
//! group of a few files is synced file by file; a larger one with syncfs(2), once for the bytes and
//! once for the names, so that hundreds of small blobs cost two.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rustix::fs::{FlockOperation, flock, syncfs};

use crate::blob::{BlobError, BlobName, BlobStore, Listed, is_family};
use crate::limits::{BLOB_BYTES_MAX, BLOB_GROUP_MAX, BLOB_LIST_MAX, BLOB_SYNC_EACH_MAX};

#[cfg(test)]
mod crash;
mod step;

use step::{Step, Steps};

/// Longest text read out of somebody else's lock file.
const HOLDER_BYTES_MAX: u64 = 256;

/// The store.
pub struct FsBlobs {
    root: PathBuf,
    root_dir: File,
    steps: Steps,
    next_temp: AtomicU64,
    /// Directories whose own names are known to be durable.
    known_dirs: Mutex<BTreeSet<PathBuf>>,
    group: Mutex<Group>,
    done: Condvar,
    _lock: File,
}

/// Blobs that wait to be made durable together.
#[derive(Default)]
struct Group {
    next_ticket: u64,
    waiting: Vec<(u64, Written)>,
    results: BTreeMap<u64, Result<(), BlobError>>,
    /// A thread is making a group durable.
    led: bool,
}

/// A blob that is written under a temporary name.
struct Written {
    file: File,
    temp: PathBuf,
    to: PathBuf,
    dir: PathBuf,
}

impl FsBlobs {
    /// Opens the store in this directory, which is made if it is not there (its parent must be).
    /// `holder` is who takes the lock, for the message to whoever tries next.
    ///
    /// # Errors
    /// `WouldBlock`, naming the holder, when another process has it; otherwise what the system
    /// says.
    pub fn open(root: &Path, holder: &str) -> io::Result<Self> {
        Self::open_with(root, holder, Steps::default())
    }

    fn open_with(root: &Path, holder: &str, steps: Steps) -> io::Result<Self> {
        make_dir(root)?;
        sync_dir(parent(root))?;
        let lock = lock(&root.join(".lock"), holder)?;
        let temp = root.join(".tmp");
        make_dir(&temp)?;
        // What a crash left half written. Nothing was promised of it.
        for entry in std::fs::read_dir(&temp)? {
            std::fs::remove_file(entry?.path())?;
        }
        Ok(Self {
            root: root.to_owned(),
            root_dir: File::open(root)?,
            steps,
            next_temp: AtomicU64::new(0),
            known_dirs: Mutex::default(),
            group: Mutex::default(),
            done: Condvar::new(),
            _lock: lock,
        })
    }

    fn path(&self, name: &BlobName) -> (PathBuf, PathBuf) {
        let shard: String = name.stem().chars().take(2).collect();
        let dir = self.root.join(name.family()).join(shard);
        let path = dir.join(name.stem());
        (dir, path)
    }

    /// Makes a blob's directory and makes its name durable, once for each process: a directory
    /// that is there may have been made just before a crash.
    fn ensure_dir(&self, dir: &Path) -> io::Result<()> {
        let mut known = lock_of(&self.known_dirs);
        if known.contains(dir) {
            return Ok(());
        }
        let family = parent(dir);
        for (made, within) in [(family, self.root.as_path()), (dir, family)] {
            if !known.contains(made) {
                self.steps.take(Step::MakeDir, made, || make_dir(made))?;
                let sync = || self.steps.sync(|| sync_dir(within));
                self.steps.take(Step::SyncDir, within, sync)?;
                known.insert(made.to_owned());
            }
        }
        Ok(())
    }

    /// Writes the bytes under a temporary name, durable or not.
    fn write_temp(&self, name: &BlobName, bytes: &[u8]) -> io::Result<Written> {
        let (dir, to) = self.path(name);
        self.ensure_dir(&dir)?;
        let number = self.next_temp.fetch_add(1, Ordering::Relaxed);
        let temp = self.root.join(".tmp").join(number.to_string());
        let written = self.steps.take(Step::Write, &temp, || {
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&temp)?;
            file.write_all(bytes)?;
            Ok(file)
        });
        match written {
            Ok(file) => Ok(Written {
                file,
                temp,
                to,
                dir,
            }),
            Err(e) => {
                // Half a file, on a disk that may be full: it must not stay until the next start.
                let _ = std::fs::remove_file(&temp);
                Err(e)
            }
        }
    }

    /// Waits until the blob is durable; leads a group if nobody does.
    fn join_group(&self, written: Written) -> Result<(), BlobError> {
        let mut group = lock_of(&self.group);
        let ticket = group.next_ticket;
        group.next_ticket = ticket.wrapping_add(1);
        group.waiting.push((ticket, written));
        loop {
            if let Some(result) = group.results.remove(&ticket) {
                return result;
            }
            if group.led {
                group = self
                    .done
                    .wait(group)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            group.led = true;
            let count = group.waiting.len().min(BLOB_GROUP_MAX);
            let (tickets, blobs): (Vec<u64>, Vec<Written>) = group.waiting.drain(..count).unzip();
            drop(group);
            let results = self.commit(&blobs);
            group = lock_of(&self.group);
            group.led = false;
            group.results.extend(tickets.into_iter().zip(results));
            self.done.notify_all();
        }
    }

    /// Makes a group durable under its names. A failed sync is never repeated as if it had worked:
    /// what it was for is removed, and written anew when the caller repeats.
    fn commit(&self, blobs: &[Written]) -> Vec<Result<(), BlobError>> {
        let mut results = self.sync_files(blobs);
        let mut linked = vec![false; blobs.len()];
        for ((blob, result), linked) in blobs.iter().zip(&mut results).zip(&mut linked) {
            if result.is_ok() {
                *result = self.link(blob).map(|new| *linked = new);
            }
        }
        let dirs: BTreeSet<&Path> = blobs
            .iter()
            .zip(&results)
            .filter(|(_, result)| result.is_ok())
            .map(|(blob, _)| blob.dir.as_path())
            .collect();
        if let Err(e) = self.sync_dirs(&dirs) {
            let waiting = blobs.iter().zip(&mut results).zip(&linked);
            for ((blob, result), linked) in waiting.filter(|((_, r), _)| r.is_ok()) {
                // Its name may be durable or not, and no later sync would tell.
                if *linked {
                    let _ = std::fs::remove_file(&blob.to);
                }
                *result = Err(self.retry("sync", &blob.dir, &e));
            }
        }
        for blob in blobs {
            let _ = self.steps.take(Step::Unlink, &blob.temp, || {
                std::fs::remove_file(&blob.temp)
            });
        }
        results
    }

    fn sync_files(&self, blobs: &[Written]) -> Vec<Result<(), BlobError>> {
        if blobs.len() <= BLOB_SYNC_EACH_MAX {
            let sync = |blob: &Written| {
                self.steps
                    .take(Step::SyncFile, &blob.temp, || {
                        self.steps.sync(|| blob.file.sync_data())
                    })
                    .map_err(|e| self.retry("sync", &blob.temp, &e))
            };
            return blobs.iter().map(sync).collect();
        }
        let all = self
            .sync_all()
            .map_err(|e| self.retry("sync", &self.root, &e));
        vec![all; blobs.len()]
    }

    fn sync_dirs(&self, dirs: &BTreeSet<&Path>) -> io::Result<()> {
        if dirs.len() > BLOB_SYNC_EACH_MAX {
            return self.sync_all();
        }
        for dir in dirs {
            self.steps
                .take(Step::SyncDir, dir, || self.steps.sync(|| sync_dir(dir)))?;
        }
        Ok(())
    }

    /// The whole file system: errors of it are reported here since Linux 5.8.
    fn sync_all(&self) -> io::Result<()> {
        self.steps.take(Step::SyncAll, &self.root, || {
            self.steps.sync(|| Ok(syncfs(&self.root_dir)?))
        })
    }

    /// Gives a synced file its name; says whether it is new under it.
    fn link(&self, blob: &Written) -> Result<bool, BlobError> {
        let linked = self.steps.take(Step::Link, &blob.to, || {
            std::fs::hard_link(&blob.temp, &blob.to)
        });
        match linked {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                let same = same_bytes(&blob.temp, &blob.to)
                    .map_err(|e| self.retry("read", &blob.to, &e))?;
                if same {
                    return Ok(false);
                }
                let name = blob.to.display();
                Err(BlobError::Conflict(format!("{name} has other bytes")))
            }
            Err(e) => Err(self.retry("link", &blob.to, &e)),
        }
    }

    fn retry(&self, verb: &str, path: &Path, error: &io::Error) -> BlobError {
        BlobError::Retry(format!("{}: cannot {verb}: {error}", path.display()))
    }

    /// Why something of a blob was not read.
    fn unread(&self, path: &Path, error: &io::Error) -> BlobError {
        match is_lost(error) {
            true => BlobError::Unreadable(format!("{}: cannot read: {error}", path.display())),
            false => self.retry("read", path, error),
        }
    }

    fn open_blob(&self, name: &BlobName) -> Result<File, BlobError> {
        let (_, path) = self.path(name);
        File::open(&path).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => BlobError::NotFound(name.to_string()),
            _ if is_lost(&e) => self.unread(&path, &e),
            _ => self.retry("open", &path, &e),
        })
    }

    /// Names of a directory, sorted; none where there is no such directory.
    fn names(&self, dir: &Path) -> Result<Vec<String>, BlobError> {
        let read = || -> io::Result<Vec<String>> {
            let mut names = Vec::new();
            for entry in std::fs::read_dir(dir)? {
                // A name that is not UTF-8 is none of ours.
                names.extend(entry?.file_name().into_string().ok());
            }
            names.sort();
            Ok(names)
        };
        match read() {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            done => done.map_err(|e| self.retry("list", dir, &e)),
        }
    }
}

impl BlobStore for FsBlobs {
    fn put(&self, name: &BlobName, bytes: &[u8]) -> Result<(), BlobError> {
        if bytes.len() > BLOB_BYTES_MAX {
            let why = format!("{name}: {} bytes, at most {BLOB_BYTES_MAX}", bytes.len());
            return Err(BlobError::Refused(why));
        }
        let written = self
            .write_temp(name, bytes)
            .map_err(|e| self.retry("write", &self.root.join(name.as_str()), &e))?;
        self.join_group(written)
    }

    fn read(&self, name: &BlobName, range: Range<u64>) -> Result<Vec<u8>, BlobError> {
        let wanted = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
        if wanted > BLOB_BYTES_MAX {
            return Err(BlobError::Refused(format!("{name}: the range is too long")));
        }
        let file = self.open_blob(name)?;
        let (_, path) = self.path(name);
        let there = file.metadata().map(|m| m.len());
        let there = there.map_err(|e| self.unread(&path, &e))?;
        let there = usize::try_from(there.saturating_sub(range.start)).unwrap_or(usize::MAX);
        let mut bytes = vec![0u8; wanted.min(there)];
        match file.read_exact_at(&mut bytes, range.start) {
            Ok(()) => Ok(bytes),
            // Disks that are about to go sometimes give at the second time what they did not at the first.
            Err(e) if is_lost(&e) => match file.read_exact_at(&mut bytes, range.start) {
                Ok(()) => Ok(bytes),
                Err(e) => Err(self.unread(&path, &e)),
            },
            Err(e) => Err(self.retry("read", &path, &e)),
        }
    }

    fn size(&self, name: &BlobName) -> Result<u64, BlobError> {
        let (_, path) = self.path(name);
        match std::fs::metadata(&path) {
            Ok(metadata) => Ok(metadata.len()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                Err(BlobError::NotFound(name.to_string()))
            }
            Err(e) => Err(self.unread(&path, &e)),
        }
    }

    fn list(
        &self,
        family: &str,
        after: Option<&BlobName>,
        limit: usize,
    ) -> Result<Vec<Listed>, BlobError> {
        if !is_family(family) {
            return Err(BlobError::Refused(format!("{family:?} is no family")));
        }
        let limit = limit.min(BLOB_LIST_MAX);
        let dir = self.root.join(family);
        let first = after.map_or("", |a| a.stem().get(..2).unwrap_or_default());
        let mut found = Vec::new();
        for shard in self.names(&dir)? {
            if shard.as_str() < first {
                continue;
            }
            for stem in self.names(&dir.join(&shard))? {
                let Ok(name) = BlobName::parse(&format!("{family}/{stem}")) else {
                    continue;
                };
                if !stem.starts_with(&shard) || after.is_some_and(|a| name <= *a) {
                    continue;
                }
                if found.len() >= limit {
                    return Ok(found);
                }
                // One that is deleted while we list is not there.
                match self.size(&name) {
                    Ok(bytes) => found.push(Listed { name, bytes }),
                    Err(BlobError::NotFound(_)) => {}
                    Err(BlobError::Unreadable(_)) => found.push(Listed { name, bytes: 0 }),
                    Err(e) => return Err(e),
                }
            }
        }
        Ok(found)
    }

    fn delete(&self, name: &BlobName) -> Result<(), BlobError> {
        let (dir, path) = self.path(name);
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(self.retry("remove", &path, &e)),
            Ok(()) => sync_dir(&dir).map_err(|e| self.retry("sync", &dir, &e)),
        }
    }
}

/// Whether what could not be read is lost there, whoever asks again: a bad sector, a file system that is
/// damaged at this place, or something else in the file's place.
fn is_lost(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let lost = [Errno::IO, Errno::UCLEAN, Errno::BADMSG, Errno::ISDIR];
    Errno::from_io_error(error).is_some_and(|errno| lost.contains(&errno))
}

fn lock_of<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes a directory for this user only; one that is there is as good.
fn make_dir(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        done => done,
    }
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// The directory a path is in.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}

/// Whether two files have the same bytes.
fn same_bytes(a: &Path, b: &Path) -> io::Result<bool> {
    let (mut a, mut b) = (File::open(a)?, File::open(b)?);
    if a.metadata()?.len() != b.metadata()?.len() {
        return Ok(false);
    }
    let (mut left, mut right) = (vec![0u8; 64 * 1024], vec![0u8; 64 * 1024]);
    loop {
        let n = a.read(&mut left)?;
        if n == 0 {
            return Ok(true);
        }
        let (Some(left), Some(right)) = (left.get(..n), right.get_mut(..n)) else {
            return Ok(false);
        };
        b.read_exact(right)?;
        if left != right {
            return Ok(false);
        }
    }
}

/// Takes the lock at `path` until the answer is dropped or the process ends.
pub(crate) fn lock(path: &Path, holder: &str) -> io::Result<File> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    if let Err(e) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
        if e != rustix::io::Errno::WOULDBLOCK {
            return Err(e.into());
        }
        let mut text = Vec::new();
        Read::by_ref(&mut file)
            .take(HOLDER_BYTES_MAX)
            .read_to_end(&mut text)?;
        let text = String::from_utf8_lossy(&text);
        let why = format!("{} is held by {}", path.display(), text.trim());
        return Err(io::Error::new(io::ErrorKind::WouldBlock, why));
    }
    // Only a holder of the lock is ever named, so a name that a crash left here is read by nobody.
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(holder.as_bytes())?;
    Ok(file)
}
