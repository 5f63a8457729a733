//! A disk that says how long its syncs take. Wrapped around the real one under the spool, whose
//! syncs decide how long everybody waits.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hansard_record::disk::{Disk, DiskFile};

/// Told how long a sync took, whether or not it succeeded. MUST NOT block.
pub type OnSync = Arc<dyn Fn(Duration) + Send + Sync>;

/// The disk.
pub struct TimedDisk {
    inner: Arc<dyn Disk>,
    on_sync: OnSync,
}

struct TimedFile {
    inner: Arc<dyn DiskFile>,
    on_sync: OnSync,
}

impl TimedDisk {
    /// `inner`, with its syncs told to `on_sync`.
    pub fn new(inner: Arc<dyn Disk>, on_sync: OnSync) -> Self {
        Self { inner, on_sync }
    }

    fn file(&self, inner: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(TimedFile {
            inner,
            on_sync: Arc::clone(&self.on_sync),
        })
    }
}

fn timed<T>(on_sync: &OnSync, sync: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let done = sync();
    on_sync(begun.elapsed());
    done
}

impl Disk for TimedDisk {
    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.inner.create_new(path).map(|file| self.file(file))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.inner.open(path).map(|file| self.file(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.inner.create_dir(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        self.inner.list(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        timed(&self.on_sync, || self.inner.sync_dir(dir))
    }

    fn lock(&self, path: &Path, who: &str) -> io::Result<Box<dyn Send + Sync>> {
        self.inner.lock(path, who)
    }
}

impl DiskFile for TimedFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        self.inner.write_at(offset, bytes)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.inner.read_at(offset, buf)
    }

    fn sync_data(&self) -> io::Result<()> {
        timed(&self.on_sync, || self.inner.sync_data())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.inner.truncate(len)
    }

    fn size(&self) -> io::Result<u64> {
        self.inner.size()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use hansard_record::real_disk::RealDisk;

    use super::*;

    #[test]
    fn every_sync_is_told_and_nothing_else_changes() {
        let dir = std::env::temp_dir().join(format!("hansardd-timed-{}", std::process::id()));
        let told = Arc::new(Mutex::new(Vec::new()));
        let syncs = told.clone();
        let disk = TimedDisk::new(
            Arc::new(RealDisk),
            Arc::new(move |took| syncs.lock().unwrap().push(took)),
        );
        disk.create_dir(&dir).unwrap();
        let file = disk.create_new(&dir.join("a")).unwrap();
        assert_eq!(file.write_at(0, b"abc").unwrap(), 3);
        file.sync_data().unwrap();
        disk.sync_dir(&dir).unwrap();
        assert_eq!(told.lock().unwrap().len(), 2);
        assert!(disk.sync_dir(&dir.join("none")).is_err());
        assert_eq!(
            told.lock().unwrap().len(),
            3,
            "a failure took its time, too"
        );
        disk.rename(&dir.join("a"), &dir.join("b")).unwrap();
        let mut read = [0u8; 4];
        assert_eq!(
            disk.open(&dir.join("b"))
                .unwrap()
                .read_at(0, &mut read)
                .unwrap(),
            3
        );
        file.truncate(1).unwrap();
        assert_eq!(file.size().unwrap(), 1);
        assert_eq!(disk.list(&dir).unwrap(), ["b"]);
        disk.remove(&dir.join("b")).unwrap();
        std::fs::remove_dir(&dir).unwrap();
    }
}
