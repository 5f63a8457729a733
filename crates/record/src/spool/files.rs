//! The files of a spool: which one is written, how far each is durable, and what they take up.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Disk, DiskFile, write_all_at};
use crate::spool::layout::{Claims, file_head};

/// One file.
pub(super) struct SpoolFile {
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) path: PathBuf,
    /// Bytes before the first entry.
    head_len: u64,
    /// Bytes written.
    pub(super) len: u64,
    /// Bytes that are durable.
    pub(super) synced: u64,
    /// Whether a thread is syncing it for everybody.
    pub(super) has_leader: bool,
    /// Set once a sync failed: what lay between `synced` and `len` is written again elsewhere, and
    /// this file is never written again.
    pub(super) poisoned: Option<String>,
    /// Something in it could not be read; it is not worked on any more.
    pub(super) is_unreadable: bool,
    /// Copies are being written to it that nothing points to yet: it must not be removed.
    pub(super) is_pinned: bool,
}

/// All files, by number.
pub(super) struct Files {
    dir: PathBuf,
    disk: Arc<dyn Disk>,
    all: BTreeMap<u64, SpoolFile>,
    active: Option<u64>,
    next_number: u64,
    /// How far poisoned files that were removed are durable: who waited for one may look only after that.
    /// At most [`POISONED_GONE_MAX`], the youngest.
    poisoned_gone: BTreeMap<u64, u64>,
}

/// Poisoned files that are remembered after they were removed. Whoever waits looks again long before as many came and
/// went.
const POISONED_GONE_MAX: usize = 4096;

/// The name of the file with this number.
fn name_of(number: u64) -> String {
    format!("spool-{number:010}")
}

/// The number of the file with this name.
pub(super) fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("spool-")?;
    digits
        .parse()
        .ok()
        .filter(|number| name_of(*number) == name)
}

impl Files {
    pub(super) fn new(dir: &Path, disk: Arc<dyn Disk>) -> Self {
        Self {
            dir: dir.to_owned(),
            disk,
            all: BTreeMap::new(),
            active: None,
            next_number: 1,
            poisoned_gone: BTreeMap::new(),
        }
    }

    /// Takes in a file of `len` bytes, of which so many are known to be durable. One that was found
    /// is never appended to: what a crash left behind its end cannot get between entries.
    pub(super) fn adopt(
        &mut self,
        number: u64,
        file: Arc<dyn DiskFile>,
        path: PathBuf,
        (len, synced): (u64, u64),
    ) {
        let file = SpoolFile {
            file,
            path,
            head_len: len,
            len,
            synced,
            has_leader: false,
            poisoned: None,
            is_unreadable: false,
            is_pinned: false,
        };
        self.all.insert(number, file);
        self.reserve(number);
    }

    /// Sees to it that no new file gets this number.
    pub(super) fn reserve(&mut self, number: u64) {
        self.next_number = self.next_number.max(number.saturating_add(1));
    }

    pub(super) fn get(&self, number: u64) -> Option<&SpoolFile> {
        self.all.get(&number)
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut SpoolFile> {
        self.all.get_mut(&number)
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.all
            .values()
            .map(|file| file.len)
            .fold(0, u64::saturating_add)
    }

    pub(super) fn numbers(&self) -> Vec<u64> {
        self.all.keys().copied().collect()
    }

    /// Files that nobody writes or syncs any more and that can be read, with their lengths.
    pub(super) fn settled(&self) -> impl Iterator<Item = (u64, u64)> {
        let is_settled = |number: u64, file: &SpoolFile| {
            self.active != Some(number)
                && !file.has_leader
                && !file.is_unreadable
                && file.synced >= file.len
        };
        let files = self.all.iter();
        files
            .filter(move |(number, file)| is_settled(**number, file))
            .map(|(number, file)| (*number, file.len))
    }

    /// The file in use, and whether these bytes may be written to it; an empty one takes anything.
    pub(super) fn active_for(&self, bytes: u64, file_bytes_max: u64) -> Option<(u64, bool)> {
        let number = self.active?;
        let file = self.all.get(&number)?;
        let fits = file.len.saturating_add(bytes) <= file_bytes_max || file.len <= file.head_len;
        Some((number, fits))
    }

    /// Begins the next file; its head says how much of the others is durable. The one in use so
    /// far is not written any more, and MUST be wholly durable or poisoned: what comes next in a
    /// session would otherwise be known to be durable before what precedes it.
    pub(super) fn create(&mut self) -> io::Result<u64> {
        let number = self.next_number;
        self.active = None;
        self.reserve(number);
        let path = self.dir.join(name_of(number));
        let file = self.disk.create_new(&path)?;
        let claims: Claims = self.all.iter().map(|(n, file)| (*n, file.synced)).collect();
        let head = file_head(number, &claims);
        // A crash in here leaves a file without entries, which the next start removes. Nothing is
        // written to it before its name is durable.
        let made = write_all_at(&*file, 0, &head)
            .and_then(|()| file.sync_data())
            .and_then(|()| self.disk.sync_dir(&self.dir));
        if let Err(e) = made {
            let _ = self.disk.remove(&path);
            return Err(e);
        }
        let len = head.len() as u64;
        self.adopt(number, file, path, (len, len));
        self.active = Some(number);
        Ok(number)
    }

    /// Takes a file out of use for ever, and cuts off what is not known to be durable in it.
    pub(super) fn poison(&mut self, number: u64, why: String) {
        if self.active == Some(number) {
            self.active = None;
        }
        if let Some(file) = self.all.get_mut(&number) {
            // Cutting is tidiness, not safety: its outcome is not needed.
            if file.file.truncate(file.synced).is_ok() {
                file.len = file.synced;
            }
            file.poisoned.get_or_insert(why);
        }
    }

    /// Cuts a file that was found to what is known to be durable, after the rest is so elsewhere.
    pub(super) fn cut(&mut self, number: u64) {
        if let Some(file) = self.all.get_mut(&number) {
            // If it cannot be cut, the next start finds the same parts twice.
            let _ = file
                .file
                .truncate(file.synced)
                .and_then(|()| file.file.sync_data());
            file.len = file.synced;
        }
    }

    /// Trusts a file that was found up to its end.
    pub(super) fn trust(&mut self, number: u64) -> io::Result<()> {
        if let Some(file) = self.all.get_mut(&number) {
            file.file.sync_data()?;
            file.synced = file.len;
        }
        Ok(())
    }

    /// Removes a file of which nothing is needed any more. Answers whether it is gone; one that
    /// cannot be removed is tried again later.
    pub(super) fn remove(&mut self, number: u64) -> bool {
        let Some(file) = self.all.get(&number) else {
            return true;
        };
        if file.has_leader || file.is_pinned || file.synced < file.len {
            return false;
        }
        // The directory is not synced: a crash may bring the file back, and then what is in it is
        // sent once more, which its receiver expects.
        if self.disk.remove(&file.path).is_err() {
            return false;
        }
        if file.poisoned.is_some() {
            self.poisoned_gone.insert(number, file.synced);
            if self.poisoned_gone.len() > POISONED_GONE_MAX {
                self.poisoned_gone.pop_first();
            }
        }
        self.all.remove(&number);
        if self.active == Some(number) {
            self.active = None;
        }
        true
    }

    /// Whether what was written to a file is durable up to here. A file that is gone was released as a whole, which
    /// only what is durable can be; unless it was poisoned, then what came behind was taken back.
    pub(super) fn is_durable(&self, number: u64, end: u64) -> bool {
        let gone = || self.poisoned_gone.get(&number).copied();
        let synced = self.all.get(&number).map(|file| file.synced);
        synced.or_else(gone).is_none_or(|synced| synced >= end)
    }

    /// Whether this is the file in use, and still small.
    pub(super) fn is_worth_keeping(&self, number: u64, small_bytes: u64) -> bool {
        self.active == Some(number) && self.all.get(&number).is_some_and(|f| f.len <= small_bytes)
    }
}
