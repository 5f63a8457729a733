//! A small file system that can be filled, in bytes or in files.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Mounted where a daemon keeps its data; taken away when dropped.
pub(crate) struct Volume(PathBuf);

impl Volume {
    /// Mounts one of this size and with so many files at most; `None` where that is not allowed.
    pub(crate) fn new(at: &Path, bytes: &str, files: u32) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let options = format!("size={bytes},nr_inodes={files},mode=700");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "hansard-test"])
            .arg(at)
            .output()
            .ok()?;
        mounted.status.success().then(|| Self(at.to_owned()))
    }

    /// Takes all its bytes but this many.
    pub(crate) fn fill(&self, but: u64) {
        let mut file = File::create(self.filler()).unwrap();
        let block = [0x55; 4096];
        while file.write_all(&block).is_ok() {}
        let size = file.metadata().unwrap().len();
        file.set_len(size.saturating_sub(but)).unwrap();
    }

    /// Takes all its files but this many.
    pub(crate) fn fill_files(&self, but: usize) {
        let dir = self.filler();
        fs::create_dir_all(&dir).unwrap();
        let made = (0..).take_while(|n| File::create(dir.join(n.to_string())).is_ok());
        let made: u32 = made.last().map_or(0, |n| n + 1);
        assert!(made as usize > but, "{made} files made it full");
        (0..but).for_each(|n| fs::remove_file(dir.join(n.to_string())).unwrap());
    }

    /// Takes what became free since, as whoever else writes there would: a daemon's own files go when
    /// they were sent, and make room.
    pub(crate) fn fill_again(&self) {
        let filler = self.filler();
        if filler.is_dir() {
            let there = fs::read_dir(&filler).unwrap().count();
            let _ = (there..)
                .take_while(|n| File::create(filler.join(n.to_string())).is_ok())
                .last();
            return;
        }
        let mut file = File::options().append(true).open(filler).unwrap();
        let block = [0x55; 4096];
        while file.write_all(&block).is_ok() {}
    }

    /// Gives everything back.
    pub(crate) fn empty(&self) {
        let filler = self.filler();
        match filler.is_dir() {
            true => fs::remove_dir_all(filler).unwrap(),
            false => fs::remove_file(filler).unwrap(),
        }
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // Lazily: a process that still has a file of it open keeps it until it ends.
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}
