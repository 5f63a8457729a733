//! A disk that has lost a sector under the spool: what stood there is damage, and all the rest goes on.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

use std::ffi::OsString;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex};

use hansard_core::{Part, Sink};
use hansard_record::conformance::sample_parts;
use hansard_record::disk::{Disk, DiskFile};
use hansard_record::sim::SimDisk;
use hansard_record::{Spool, SpoolOptions};

/// What of the spool's first file cannot be read.
type Bad = Arc<Mutex<Range<u64>>>;

#[derive(Clone)]
struct Worn {
    disk: SimDisk,
    bad: Bad,
}

struct WornFile {
    file: Arc<dyn DiskFile>,
    bad: Bad,
}

impl Worn {
    fn over(&self, path: &Path, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        let bad = match path.ends_with("spool-0000000001") {
            true => Arc::clone(&self.bad),
            false => Bad::default(),
        };
        Arc::new(WornFile { file, bad })
    }
}

impl Disk for Worn {
    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.over(path, self.disk.create_new(path)?))
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.over(path, self.disk.open(path)?))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir(path)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        self.disk.list(dir)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }
    fn lock(&self, path: &Path, who: &str) -> io::Result<Box<dyn Send + Sync>> {
        self.disk.lock(path, who)
    }
}

impl DiskFile for WornFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_at(offset, bytes)
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let (bad, end) = (self.bad.lock().unwrap(), offset + buf.len() as u64);
        // Beyond the file there is no sector.
        if offset < bad.end && bad.start < end.min(self.file.size()?) {
            return Err(rustix::io::Errno::IO.into());
        }
        self.file.read_at(offset, buf)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }
    fn truncate(&self, len: u64) -> io::Result<()> {
        self.file.truncate(len)
    }
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }
}

fn open(worn: &Worn) -> Spool {
    let options = SpoolOptions {
        bytes_max: 1 << 30,
        file_bytes_max: 1 << 20,
        holder: "the test".to_owned(),
    };
    Spool::open(Path::new("/spool"), Arc::new(worn.clone()), options).unwrap()
}

/// Which parts can be read, and how many cannot.
fn read(spool: &Spool) -> (Vec<Part>, usize) {
    let (mut parts, mut damaged) = (Vec::new(), 0);
    for pending in spool.pending(None, usize::MAX) {
        match spool.read(&pending) {
            Ok(part) => parts.push(part),
            Err(e) => {
                assert_eq!(e.kind(), io::ErrorKind::InvalidData, "{e}");
                damaged += 1;
            }
        }
    }
    (parts, damaged)
}

#[test]
fn wherever_a_sector_goes_the_rest_is_there_now_and_after_a_restart() {
    let parts = sample_parts(1).unwrap();
    let length = |path: &Path, disk: &SimDisk| disk.open(path).unwrap().size().unwrap();
    for at in 0.. {
        let worn = Worn {
            disk: SimDisk::new(1),
            bad: Arc::default(),
        };
        let mut spool = open(&worn);
        for batch in parts.chunks(3) {
            spool.put(batch).unwrap();
        }
        let files = worn.list(Path::new("/spool")).unwrap();
        let file = files
            .iter()
            .find(|f| f.to_str().unwrap().starts_with("spool-"));
        let size = length(&Path::new("/spool").join(file.unwrap()), &worn.disk);
        let sector = at * 512..(at + 1) * 512;
        if sector.start >= size {
            assert!(at > 10, "{size} bytes");
            return;
        }
        *worn.bad.lock().unwrap() = sector.clone();

        let (now, damaged) = read(&spool);
        assert!(at == 0 || damaged > 0, "{sector:?}");
        assert_eq!(now.len() + damaged, parts.len(), "{sector:?}");
        assert!(now.iter().all(|part| parts.contains(part)));
        drop(spool);

        // A start is refused for nobody's sake, and drops nothing that can be read.
        let spool = open(&worn);
        assert_eq!(spool.damage().len(), 1, "{sector:?}");
        let (again, _) = read(&spool);
        assert_eq!(again.len(), now.len(), "{sector:?}");
        assert!(now.iter().all(|part| again.contains(part)), "{sector:?}");
    }
}
