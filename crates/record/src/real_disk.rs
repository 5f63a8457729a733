//! The file layer on the operating system's own files.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::disk::{Disk, DiskFile};

/// Longest text read out of somebody else's lock file.
const HOLDER_BYTES_MAX: u64 = 256;

/// Real files. Made readable by their owner only: a recording holds what was on somebody's screen.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

struct RealFile(File);

impl Disk for RealDisk {
    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        Ok(Arc::new(RealFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(RealFile(
            OpenOptions::new().read(true).write(true).open(path)?,
        )))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            done => done,
        }
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            names.push(entry?.file_name());
        }
        names.sort();
        Ok(names)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        match File::open(dir)?.sync_all() {
            // A file system that cannot sync a directory (some network and FUSE ones) says so with
            // EINVAL; its names are durable by its own rule or not at all.
            Err(e) if e.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => Ok(()),
            done => done,
        }
    }

    fn lock(&self, path: &Path, who: &str) -> io::Result<Box<dyn Send + Sync>> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        if let Err(e) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            if e != Errno::WOULDBLOCK {
                return Err(e.into());
            }
            let mut holder = Vec::new();
            Read::by_ref(&mut file)
                .take(HOLDER_BYTES_MAX)
                .read_to_end(&mut holder)?;
            return Err(held_by(path, &String::from_utf8_lossy(&holder)));
        }
        // A crash here leaves the name of the holder before; only a holder of the lock is ever
        // named, so nobody reads it.
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(who.as_bytes())?;
        Ok(Box::new(file))
    }
}

/// The error of a lock that another holds.
pub(crate) fn held_by(path: &Path, holder: &str) -> io::Error {
    let holder = holder.trim();
    let holder = if holder.is_empty() {
        "another process"
    } else {
        holder
    };
    io::Error::new(
        io::ErrorKind::WouldBlock,
        format!("{} is held by {holder}", path.display()),
    )
}

impl DiskFile for RealFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        FileExt::write_at(&self.0, bytes, offset)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        FileExt::read_at(&self.0, buf, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}
