//! A file that messages are appended to.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::Place;

/// How far the end of a file is looked through for the beginning of its last line. No message is as
/// long; a longer tail is left as it is.
const TAIL_BYTES_MAX: u64 = 1024 * 1024;

/// A file, one message a line, for its owner only. It may be moved away (`logrotate`): the next batch
/// goes into a new one.
pub struct FilePlace {
    path: PathBuf,
    open: Option<File>,
    /// Why a file that was let go could not be made durable; the next [`Place::sync`] fails with it.
    unsynced: Option<io::Error>,
}

impl FilePlace {
    /// The file at this path; it is created when something is put.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            open: None,
            unsynced: None,
        }
    }

    fn about(&self, e: &io::Error) -> io::Error {
        io::Error::new(e.kind(), format!("{}: {e}", self.path.display()))
    }

    /// The file, as long as it is still the one of that name.
    fn file(&mut self) -> io::Result<&mut File> {
        let same = match (&self.open, std::fs::symlink_metadata(&self.path)) {
            (Some(file), Ok(there)) => {
                let ours = file.metadata()?;
                (ours.dev(), ours.ino()) == (there.dev(), there.ino())
            }
            _ => false,
        };
        if !same {
            self.let_go();
        }
        if self.open.is_none() {
            self.open = Some(open(&self.path)?);
        }
        self.open.as_mut().ok_or(io::ErrorKind::NotFound.into())
    }

    fn append(&mut self, message: &[u8]) -> io::Result<()> {
        let file = self.file()?;
        let before = file.metadata()?.len();
        let mut line = Vec::with_capacity(message.len() + 1);
        line.extend_from_slice(message);
        line.push(b'\n');
        let written = file.write_all(&line);
        if written.is_err() {
            // A full disk takes half a line. If that cannot be taken back now, it is when the file
            // is opened again, which happens before anything else is put.
            let _ = file.set_len(before);
            self.let_go();
        }
        written
    }

    /// Closes the file. What the batch put into it before is made durable first: nobody can do it
    /// later, and the batch's end would be believed.
    fn let_go(&mut self) {
        if let Some(Err(e)) = self.open.take().map(|file| file.sync_data()) {
            self.unsynced = Some(e);
        }
    }
}

impl Place for FilePlace {
    fn put(&mut self, message: &[u8]) -> io::Result<()> {
        self.append(message).map_err(|e| self.about(&e))
    }

    fn sync(&mut self) -> io::Result<()> {
        let before = self.unsynced.take().map_or(Ok(()), Err);
        let now = self.open.as_ref().map_or(Ok(()), File::sync_data);
        before.and(now).map_err(|e| self.about(&e))
    }
}

/// Opens it for appending. A line that a crash left unfinished is cut off: it comes again whole.
fn open(path: &Path) -> io::Result<File> {
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0))
        .open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Ok(file);
    }
    let len = metadata.len();
    let from = len.saturating_sub(TAIL_BYTES_MAX);
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(from))?;
    (&mut file).take(TAIL_BYTES_MAX).read_to_end(&mut tail)?;
    let whole = tail.iter().rposition(|byte| *byte == b'\n');
    let whole = match whole {
        Some(last) => from + u64::try_from(last).unwrap_or(0) + 1,
        None if from == 0 => 0,
        None => len,
    };
    if whole < len {
        file.set_len(whole)?;
    }
    Ok(file)
}
