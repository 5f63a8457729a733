//! One day's file: lines are appended, and kept in memory until they are durable.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hansard_record::disk::{Disk, DiskFile, read_full_at, write_all_at};
use hansard_view::document::Document;

/// A file that is appended to. What a crash leaves behind its last sync is looked at by
/// [`super::recover`]; what a failed write or sync leaves is written again, in the same place, by the
/// next one.
pub(super) struct LogFile {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    /// Length of what is durable.
    synced: u64,
    /// Whole lines behind that.
    lines: String,
    /// How many bytes of these the system has been given since the last sync that failed.
    written: usize,
    /// Whether something before `synced` was found after a crash, so that nobody synced it.
    found: bool,
}

impl LogFile {
    /// Opens a day's file to go on behind its last whole line; one that is not there is made, and
    /// its name is durable.
    pub(super) fn open(disk: &dyn Disk, dir: &Path, name: &str) -> io::Result<Self> {
        let path = dir.join(name);
        let file = match disk.open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => disk.create_new(&path)?,
            Err(e) => return Err(e),
        };
        // The name may have been made before a crash and not be durable yet.
        disk.sync_dir(dir)?;
        let end = end_of_lines(&*file)?;
        Ok(Self {
            file,
            path,
            synced: end,
            lines: String::new(),
            written: 0,
            found: true,
        })
    }

    /// Adds a line.
    pub(super) fn push(&mut self, document: &Document) {
        // Into a string, so it cannot fail.
        let _ = writeln!(self.lines, "{document}");
    }

    /// Bytes that are not durable yet.
    pub(super) fn waiting(&self) -> usize {
        self.lines.len()
    }

    /// Length of what is durable.
    pub(super) fn synced(&self) -> u64 {
        self.synced
    }

    /// Gives the system what it has not been given: from here on `tail -f` shows it.
    pub(super) fn write(&mut self) -> io::Result<()> {
        let Some(rest) = self.lines.as_bytes().get(self.written..) else {
            return Ok(());
        };
        // A crash in the middle leaves part of a line at the end, which the next start cuts off.
        let at = self.synced.saturating_add(self.written as u64);
        write_all_at(&*self.file, at, rest).map_err(|e| named(&self.path, "write", &e))?;
        self.written = self.lines.len();
        Ok(())
    }

    /// Makes all lines durable.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if self.lines.is_empty() && !self.found {
            return Ok(());
        }
        self.write()?;
        if let Err(e) = self.file.sync_data() {
            // A later sync would say nothing about what was written before this one, so all of it
            // is written again.
            self.written = 0;
            return Err(named(&self.path, "sync", &e));
        }
        self.synced = self.synced.saturating_add(self.lines.len() as u64);
        self.lines.clear();
        self.written = 0;
        self.found = false;
        Ok(())
    }
}

/// Where the last whole line ends. What is behind it is cut off: a line of which nobody was told.
fn end_of_lines(file: &dyn DiskFile) -> io::Result<u64> {
    let size = file.size()?;
    let mut end = size;
    let mut buf = [0u8; 4096];
    while end > 0 {
        let begin = end.saturating_sub(buf.len() as u64);
        let length = usize::try_from(end - begin).unwrap_or(buf.len());
        let part = buf.get_mut(..length).unwrap_or_default();
        let read = read_full_at(file, begin, part)?;
        let found = part.get(..read).unwrap_or_default();
        if let Some(newline) = found.iter().rposition(|b| *b == b'\n') {
            end = begin.saturating_add(newline as u64).saturating_add(1);
            break;
        }
        end = begin;
    }
    if end < size {
        file.truncate(end)?;
    }
    Ok(end)
}

/// An error that says which file it is about.
pub(super) fn named(path: &Path, what: &str, error: &io::Error) -> io::Error {
    io::Error::new(
        error.kind(),
        format!("cannot {what} {}: {error}", path.display()),
    )
}
