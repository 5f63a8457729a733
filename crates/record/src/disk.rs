//! The file layer, passed in: few operations, each with what it promises after a loss of power.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// A directory tree. What the operations promise is what POSIX does, and no more:
///
/// - A name that was created, renamed or removed is durable only after [`Disk::sync_dir`] of its
///   directory.
/// - Bytes and length of a file are durable only after [`DiskFile::sync_data`] returned `Ok`.
/// - After a failed [`DiskFile::sync_data`] nothing is known of what was written since the last
///   one that succeeded, and a later success says nothing about it.
pub trait Disk: Send + Sync {
    /// Creates a file for this user only, for reading and writing.
    ///
    /// # Errors
    /// `AlreadyExists` when the name is taken, by anything.
    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens an existing file for reading and writing.
    ///
    /// # Errors
    /// `NotFound`, or what the system says.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Moves a name, replacing what was under the new one.
    ///
    /// # Errors
    /// What the system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file's name.
    ///
    /// # Errors
    /// What the system says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes one directory for this user only; one that is already there is as good.
    ///
    /// # Errors
    /// What the system says.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// The names of the files in a directory, sorted.
    ///
    /// # Errors
    /// What the system says.
    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>>;

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// What the system says.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Takes the lock at `path` until the answer is dropped or the process ends, and leaves `who`
    /// there to be named to the next one that tries.
    ///
    /// # Errors
    /// `WouldBlock`, naming the holder, when another has it.
    fn lock(&self, path: &Path, who: &str) -> io::Result<Box<dyn Send + Sync>>;
}

/// An open file. Shared between threads: one may sync while another appends.
pub trait DiskFile: Send + Sync {
    /// Writes some of `bytes` at `offset`; says how many.
    ///
    /// # Errors
    /// What the system says; any part of `bytes` may have been written then.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize>;

    /// Reads some bytes at `offset`; 0 at the end.
    ///
    /// # Errors
    /// What the system says.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;

    /// Makes everything written before the call durable, with the length.
    ///
    /// # Errors
    /// What the system says. See [`Disk`] for what it means.
    fn sync_data(&self) -> io::Result<()>;

    /// Cuts the file to `len` bytes.
    ///
    /// # Errors
    /// What the system says.
    fn truncate(&self, len: u64) -> io::Result<()>;

    /// Length in bytes.
    ///
    /// # Errors
    /// What the system says.
    fn size(&self) -> io::Result<u64>;
}

/// Writes all of `bytes` at `offset`. A device that takes nothing counts as full.
///
/// # Errors
/// What the system says; any part may be written then.
pub fn write_all_at(file: &dyn DiskFile, offset: u64, bytes: &[u8]) -> io::Result<()> {
    let mut done = 0usize;
    while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
        match file.write_at(offset.saturating_add(done as u64), rest) {
            Ok(0) => return Err(io::ErrorKind::StorageFull.into()),
            Ok(n) => done = done.saturating_add(n),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Whether what could not be read is lost there, whoever asks again: a bad sector, or a file system that is
/// damaged at this place. It says nothing of other places.
#[must_use]
pub fn is_lost(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let lost = [Errno::IO, Errno::UCLEAN, Errno::BADMSG];
    Errno::from_io_error(error).is_some_and(|errno| lost.contains(&errno))
}

/// Reads until `buf` is full or the file ends; says how many bytes.
///
/// # Errors
/// What the system says.
pub fn read_full_at(file: &dyn DiskFile, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
    let mut done = 0usize;
    while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(offset.saturating_add(done as u64), rest) {
            Ok(0) => break,
            Ok(n) => done = done.saturating_add(n),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(done)
}

/// Whether waiting may help: the disk is full, a quota is reached, or the system is short of
/// something. Anything else a write says is about the file itself.
pub(crate) fn may_pass(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::Interrupted
            | io::ErrorKind::WouldBlock
            | io::ErrorKind::TimedOut
            | io::ErrorKind::OutOfMemory
    )
}

/// The directory a path is in.
pub(crate) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}
