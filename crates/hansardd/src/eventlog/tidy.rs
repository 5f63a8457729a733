//! Old files are compressed, and older ones removed. Beside the thread that writes the log: a day's
//! file may be large.
//!
//! gzip, because that is what `zgrep` and `zcat` read everywhere. The original goes when the
//! compressed file is durable; a crash between leaves both, and the next run sees that they hold the
//! same. A day that comes back because the clock was set gets a second compressed file.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use hansard_record::clock::Clock;
use hansard_record::disk::{Disk, DiskFile, read_full_at, write_all_at};

use super::Current;
use super::day::{DAY_NS, Day};
use super::file::named;
use super::notice::Notice;
use crate::steady::{Jump, Steady};

/// Compressed files of one day; with more, the day's file stays as it is.
const TURNS_MAX: u32 = 1000;

/// Bytes that are read at once.
const READ_BYTES: usize = 256 * 1024;

/// The end of the name of a file that is not whole yet.
const NEW: &str = ".new";

/// How long files stay after their day has ended, nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ages {
    /// Older files are compressed; `None`: never.
    pub compress_after_ns: Option<u64>,
    /// Older files are removed; `None`: never.
    pub keep_ns: Option<u64>,
}

/// What one run did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tidied {
    /// Files that were compressed.
    pub compressed: u64,
    /// Files that were removed, being old.
    pub removed: u64,
    /// The clock jumped since the last run: nothing is removed for a while.
    pub jump: Option<Jump>,
}

/// Compresses and removes the files of one log.
pub struct Tidy {
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    dir: PathBuf,
    current: Current,
    ages: Ages,
    steady: Option<Steady>,
}

impl Tidy {
    /// For the log whose files are in `dir`, of which `current` are being written.
    #[must_use]
    pub fn new(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        dir: &Path,
        current: Current,
        ages: Ages,
    ) -> Self {
        Self {
            disk,
            clock,
            dir: dir.to_owned(),
            current,
            ages,
            steady: None,
        }
    }

    /// One run; to be done every few minutes. `notify` hears of a removal before it is done.
    ///
    /// # Errors
    /// What the system says. What is done is done, and the next run does the rest.
    pub fn run(&mut self, notify: &mut dyn FnMut(Notice)) -> io::Result<Tidied> {
        let mut tidied = Tidied::default();
        let (monotonic, utc) = (self.clock.monotonic_ns(), self.clock.utc_ns());
        let today = Day::of(utc);
        let mut names = self.names()?;
        names
            .iter()
            .try_for_each(|name| self.remove_unfinished(name))?;
        let steady = self
            .steady
            .get_or_insert_with(|| Steady::new(newest(&names, today)));
        tidied.jump = steady.look(monotonic, utc);
        let may_delete = steady.may_delete(monotonic);
        for name in names.clone() {
            let Some(day) = Day::of_file(&name).filter(|_| !self.is_current(&name)) else {
                continue;
            };
            let age_ns = utc.saturating_sub(day.end_ns());
            let has_ended = day < today;
            let older = |most: Option<u64>| has_ended && most.is_some_and(|most| age_ns >= most);
            if may_delete && older(self.ages.keep_ns) {
                self.remove_old(&name, notify)?;
                tidied.removed += 1;
            } else if day.file_name() == name && older(self.ages.compress_after_ns) {
                tidied.compressed += u64::from(self.compress(&name, day, &mut names)?);
            }
        }
        Ok(tidied)
    }

    fn names(&self) -> io::Result<BTreeSet<String>> {
        let names = self.disk.list(&self.dir)?;
        Ok(names
            .into_iter()
            .map(OsString::into_string)
            .filter_map(Result::ok)
            .collect())
    }

    fn is_current(&self, name: &str) -> bool {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.iter().any(|open| open == name)
    }

    /// What a crash left of compressing.
    fn remove_unfinished(&self, name: &str) -> io::Result<()> {
        let of = name.strip_suffix(NEW).and_then(Day::of_file);
        match of {
            Some(_) => self.disk.remove(&self.dir.join(name)),
            None => Ok(()),
        }
    }

    fn remove_old(&self, name: &str, notify: &mut dyn FnMut(Notice)) -> io::Result<()> {
        let path = self.dir.join(name);
        notify(Notice::Removed {
            name: name.to_owned(),
            bytes: self.disk.open(&path)?.size()?,
            reason: format!(
                "older than {} days",
                self.ages.keep_ns.unwrap_or(0) / DAY_NS
            ),
        });
        self.disk.remove(&path)?;
        self.disk.sync_dir(&self.dir)
    }

    /// Compresses a day's file; answers whether it did.
    fn compress(&self, name: &str, day: Day, names: &mut BTreeSet<String>) -> io::Result<bool> {
        let path = self.dir.join(name);
        let original = self.disk.open(&path)?;
        let size = original.size()?;
        let mut turn = 0;
        while names.contains(&day.compressed_name(turn)) {
            let there = self.disk.open(&self.dir.join(day.compressed_name(turn)))?;
            if is_compressed(&*there, &*original)? {
                // A crash came before the original was removed.
                return self.remove_original(name, size).map(|()| true);
            }
            turn += 1;
            if turn > TURNS_MAX {
                return Ok(false);
            }
        }
        let compressed = day.compressed_name(turn);
        let new = self.dir.join(format!("{compressed}{NEW}"));
        match self.disk.remove(&new) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(named(&new, "remove", &e)),
            _ => {}
        }
        let file = self.disk.create_new(&new)?;
        deflate(&*original, &*file).map_err(|e| named(&new, "write", &e))?;
        file.sync_data().map_err(|e| named(&new, "sync", &e))?;
        // A crash before this leaves an unfinished file, which the next run removes; after it the
        // original and its like.
        self.disk.rename(&new, &self.dir.join(&compressed))?;
        self.disk.sync_dir(&self.dir)?;
        names.insert(compressed);
        self.remove_original(name, size)?;
        Ok(true)
    }

    /// Removes a file of which there is a durable compressed one, unless it has been opened or has
    /// grown meanwhile: then it stays, and the next run compresses it under another name.
    fn remove_original(&self, name: &str, size: u64) -> io::Result<()> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.dir.join(name);
        if current.iter().any(|open| open == name) || self.disk.open(&path)?.size()? != size {
            return Ok(());
        }
        self.disk.remove(&path)?;
        self.disk.sync_dir(&self.dir)
    }
}

/// When the newest file that is not in the future ended, so that a start can tell whether the clock
/// jumped; where all are in the future, the newest of them.
fn newest(names: &BTreeSet<String>, today: Day) -> Option<u64> {
    let days: Vec<Day> = names.iter().filter_map(|name| Day::of_file(name)).collect();
    let past = days.iter().copied().filter(|day| *day < today).max();
    // Today's own file was made by this start.
    past.or_else(|| days.iter().copied().filter(|day| *day > today).min())
        .map(Day::end_ns)
}

fn deflate(from: &dyn DiskFile, to: &dyn DiskFile) -> io::Result<()> {
    let sink = At { file: to, at: 0 };
    let mut encoder = GzEncoder::new(sink, Compression::default());
    io::copy(
        &mut io::BufReader::with_capacity(READ_BYTES, From { file: from, at: 0 }),
        &mut encoder,
    )?;
    encoder.finish()?.flush()
}

/// Whether the one is the other, compressed.
fn is_compressed(compressed: &dyn DiskFile, original: &dyn DiskFile) -> io::Result<bool> {
    let from = From {
        file: compressed,
        at: 0,
    };
    let mut inflated = MultiGzDecoder::new(io::BufReader::with_capacity(READ_BYTES, from));
    let mut at = 0u64;
    let (mut a, mut b) = (vec![0; READ_BYTES], vec![0; READ_BYTES]);
    loop {
        let read = match inflated.read(&mut a) {
            Ok(read) => read,
            // It is damaged, so the original is all there is.
            Err(_) => return Ok(false),
        };
        let part = b.get_mut(..read.max(1)).unwrap_or_default();
        let there = read_full_at(original, at, part)?;
        if there != read || part.get(..read) != a.get(..read) {
            return Ok(false);
        }
        if read == 0 {
            return Ok(true);
        }
        at = at.saturating_add(read as u64);
    }
}

/// A file that is read from its beginning.
struct From<'a> {
    file: &'a dyn DiskFile,
    at: u64,
}

impl Read for From<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(self.at, buf)?;
        self.at = self.at.saturating_add(read as u64);
        Ok(read)
    }
}

/// A file that is written from its beginning.
struct At<'a> {
    file: &'a dyn DiskFile,
    at: u64,
}

impl Write for At<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        write_all_at(self.file, self.at, buf)?;
        self.at = self.at.saturating_add(buf.len() as u64);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
