//! Opens an index, checks that it belongs to its recording, and seeks with it.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hansard_core::SessionId;
use hansard_core::reader::ReadError;

use super::build::{OnProgress, bound, build, extend};
use super::layout::{ENTRY_BYTES, Entry, FOOTER_BYTES, Footer, Point, decode_points, short_digest};
use crate::limits::{
    KEYFRAME_BYTES_MAX, KEYFRAME_STORED_BYTES_MAX, POINT_LABEL_BYTES_MAX, POINTS_MAX,
};
use crate::replay::Replay;
use crate::screen::Screen;
use crate::source::{ReadAt, Source, read_exact_at};

/// Why there is no index, or no moment.
#[derive(Debug)]
pub enum IndexError {
    /// The recording cannot be read, or is none.
    Recording(ReadError),
    /// Reading the index, or the recording to make it, failed.
    Read(io::Error),
    /// The index could not be written.
    Write(io::Error),
    /// The index is damaged or of another recording. Make it again.
    Doubtful(String),
    /// Whoever was told about the progress broke it off.
    BrokenOff,
}

impl fmt::Display for IndexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Recording(e) => e.fmt(f),
            Self::Read(e) => write!(f, "cannot read: {e}"),
            Self::Write(e) => write!(f, "cannot write the index: {e}"),
            Self::Doubtful(why) => write!(f, "the index is doubtful: {why}"),
            Self::BrokenOff => f.write_str("broken off"),
        }
    }
}

impl std::error::Error for IndexError {}

impl From<ReadError> for IndexError {
    fn from(e: ReadError) -> Self {
        Self::Recording(e)
    }
}

impl From<io::Error> for IndexError {
    fn from(e: io::Error) -> Self {
        Self::Read(e)
    }
}

fn doubtful<T>(why: &str) -> Result<T, IndexError> {
    Err(IndexError::Doubtful(why.to_owned()))
}

/// An index whose footer is sound. Entries and keyframes are checked when they are read.
pub struct Index {
    source: Source,
    footer: Footer,
}

impl Index {
    /// Opens an index. Any bytes may be given.
    ///
    /// # Errors
    /// When they cannot be read or are no index of this version.
    pub fn open(source: Source) -> Result<Self, IndexError> {
        let len = source.len()?;
        let footer_len = u64::try_from(FOOTER_BYTES).unwrap_or(u64::MAX);
        let Some(footer_offset) = len.checked_sub(footer_len) else {
            return doubtful("it is too short");
        };
        let bytes = read_exact_at(source.as_ref(), footer_offset, FOOTER_BYTES)?;
        let Some(footer) = Footer::decode(&bytes) else {
            return doubtful("its footer is damaged, or of another version");
        };
        let entry_len = u64::try_from(ENTRY_BYTES).unwrap_or(u64::MAX);
        let table_end = footer
            .entries
            .checked_mul(entry_len)
            .and_then(|bytes| bytes.checked_add(footer.table_offset));
        if table_end != Some(footer_offset) || footer.entries == 0 {
            return doubtful("its parts do not fit together");
        }
        Ok(Self { source, footer })
    }

    pub(super) fn footer(&self) -> &Footer {
        &self.footer
    }

    pub(super) fn source(&self) -> &dyn ReadAt {
        self.source.as_ref()
    }

    /// The session it belongs to.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.footer.session
    }

    /// Bytes of the recording it covers.
    #[must_use]
    pub fn covered_bytes(&self) -> u64 {
        self.footer.covered_bytes
    }

    /// Events it covers.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.footer.events
    }

    /// Time of the last of them, nanoseconds since the session's start.
    #[must_use]
    pub fn last_ns(&self) -> u64 {
        self.footer.last_ns
    }

    /// Bytes that were shown.
    #[must_use]
    pub fn output_bytes(&self) -> u64 {
        self.footer.output_bytes
    }

    /// Characters that were printed concealed (SGR 8).
    #[must_use]
    pub fn concealed_chars(&self) -> u64 {
        self.footer.concealed_chars
    }

    /// Gaps in the recording.
    #[must_use]
    pub fn gaps(&self) -> u64 {
        self.footer.gaps
    }

    /// Damaged places.
    #[must_use]
    pub fn damages(&self) -> u64 {
        self.footer.damages
    }

    /// Whether the recording had come to its end.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.footer.complete
    }

    /// How many keyframes there are.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.footer.entries
    }

    /// How many points there were no room for.
    #[must_use]
    pub fn points_left_out(&self) -> u32 {
        self.footer.points_left_out
    }

    /// Marks, gaps, concealments and resizes, in order.
    ///
    /// # Errors
    /// When they cannot be read or are damaged.
    pub fn points(&self) -> Result<Vec<Point>, IndexError> {
        let footer = &self.footer;
        let raw_max = POINTS_MAX * (POINT_LABEL_BYTES_MAX + 19);
        let raw_len = usize::try_from(footer.points_raw_len).unwrap_or(usize::MAX);
        let count = usize::try_from(footer.points_count).unwrap_or(usize::MAX);
        if raw_len > raw_max || count > POINTS_MAX {
            return doubtful("it has more points than it may have");
        }
        let bytes = self.inflate(
            footer.points_offset,
            footer.points_len,
            raw_len,
            footer.points_digest,
        )?;
        decode_points(&bytes, count)
            .ok_or_else(|| IndexError::Doubtful("its points are damaged".to_owned()))
    }

    /// The entry with this number, from 0.
    ///
    /// # Errors
    /// When it cannot be read or is damaged.
    pub fn entry(&self, number: u64) -> Result<Entry, IndexError> {
        let entry_len = u64::try_from(ENTRY_BYTES).unwrap_or(u64::MAX);
        if number >= self.footer.entries {
            return doubtful("it has fewer entries");
        }
        let offset = self
            .footer
            .table_offset
            .saturating_add(number.saturating_mul(entry_len));
        let bytes = read_exact_at(self.source(), offset, ENTRY_BYTES)?;
        Entry::decode(&bytes, number)
            .ok_or_else(|| IndexError::Doubtful(format!("its entry {number} is damaged")))
    }

    /// The last entry from which this moment can be reached.
    ///
    /// # Errors
    /// As [`Self::entry`].
    pub fn entry_at(&self, at_ns: u64) -> Result<(u64, Entry), IndexError> {
        let (mut low, mut high) = (0, self.footer.entries);
        let mut found = self.entry(0)?;
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            let entry = self.entry(middle)?;
            if entry.at_ns <= at_ns {
                (low, found) = (middle, entry);
            } else {
                high = middle;
            }
        }
        Ok((low, found))
    }

    /// The screen of an entry.
    ///
    /// # Errors
    /// When it cannot be read or is damaged.
    pub fn keyframe(&self, entry: &Entry) -> Result<Screen, IndexError> {
        let raw_len = usize::try_from(entry.keyframe_raw_len).unwrap_or(usize::MAX);
        if entry.keyframe_len > KEYFRAME_STORED_BYTES_MAX || raw_len > KEYFRAME_BYTES_MAX {
            return doubtful("a keyframe is longer than it may be");
        }
        let bytes = self.inflate(
            entry.keyframe_offset,
            entry.keyframe_len,
            raw_len,
            entry.keyframe_digest,
        )?;
        Screen::from_keyframe(&bytes).map_err(|e| IndexError::Doubtful(e.to_string()))
    }

    fn inflate(
        &self,
        offset: u64,
        len: u32,
        raw_len: usize,
        digest: [u8; 8],
    ) -> Result<Vec<u8>, IndexError> {
        let end = offset.checked_add(u64::from(len));
        if end.is_none_or(|end| end > self.footer.table_offset) {
            return doubtful("it points outside itself");
        }
        let stored = read_exact_at(
            self.source(),
            offset,
            usize::try_from(len).unwrap_or(usize::MAX),
        )?;
        if short_digest(&[&stored]) != digest {
            return doubtful("a part of it is damaged");
        }
        let mut raw = Vec::with_capacity(raw_len);
        match zstd_safe::decompress(&mut raw, &stored) {
            Ok(found) if found == raw_len => Ok(raw),
            _ => doubtful("a part of it does not decompress"),
        }
    }

    /// Whether it covers all of this recording (`true`) or only the beginning of it (`false`).
    ///
    /// # Errors
    /// When it is of another recording.
    pub fn covers(&self, recording: &dyn ReadAt) -> Result<bool, IndexError> {
        let len = recording.len()?;
        let covered = self.footer.covered_bytes;
        if len < covered || bound(recording, covered)? != self.footer.bound {
            return doubtful("it is of another recording");
        }
        Ok(len == covered)
    }
}

/// Name of the index beside a recording.
#[must_use]
pub fn index_path(recording: &Path) -> PathBuf {
    let mut name = OsString::from(recording);
    name.push(".idx");
    PathBuf::from(name)
}

/// A recording with its index.
pub struct Indexed {
    recording: Source,
    index: Index,
    /// Why the index is only in memory, if it is.
    unsaved: Option<io::Error>,
}

impl fmt::Debug for Indexed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Indexed")
            .field("session", &self.index.session())
            .finish_non_exhaustive()
    }
}

impl Indexed {
    /// Opens a recording with the index beside it, which is made, gone on with or made again as
    /// needed. Where none can be written, it is made in memory.
    ///
    /// # Errors
    /// When the recording cannot be read or is none, or `on_progress` broke it off.
    pub fn open(path: &Path, on_progress: OnProgress<'_>) -> Result<Self, IndexError> {
        let file = File::open(path)?;
        let mode = file.metadata()?.mode() & 0o666;
        let recording: Source = Arc::new(file);
        let old = match File::open(index_path(path)) {
            Ok(file) => Index::open(Arc::new(file)).ok(),
            Err(_) => None,
        };
        let fits = old.as_ref().map(|index| index.covers(recording.as_ref()));
        let (index, unsaved) = match (old, fits) {
            (Some(index), Some(Ok(true))) => (index, None),
            (Some(old), Some(Ok(false))) => make(path, mode, &recording, Some(&old), on_progress)?,
            _ => make(path, mode, &recording, None, on_progress)?,
        };
        Ok(Self {
            recording,
            index,
            unsaved,
        })
    }

    /// A recording and an index that was opened already.
    ///
    /// # Errors
    /// When the index is of another recording, or of less than all of this one.
    pub fn new(recording: Source, index: Index) -> Result<Self, IndexError> {
        if !index.covers(recording.as_ref())? {
            return doubtful("the recording has grown");
        }
        Ok(Self {
            recording,
            index,
            unsaved: None,
        })
    }

    /// Makes the index of a recording in memory.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn in_memory(recording: Source, on_progress: OnProgress<'_>) -> Result<Self, IndexError> {
        let mut bytes = Vec::new();
        build(&recording, &mut bytes, on_progress)?;
        let index = Index::open(Arc::new(bytes))?;
        Ok(Self {
            recording,
            index,
            unsaved: None,
        })
    }

    /// The index.
    #[must_use]
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// The recording.
    #[must_use]
    pub fn recording(&self) -> &Source {
        &self.recording
    }

    /// Why the index could not be written beside the recording, if it could not.
    #[must_use]
    pub fn unsaved(&self) -> Option<&io::Error> {
        self.unsaved.as_ref()
    }

    /// The recording exactly at a moment: every event up to and including it has been applied.
    /// An index that turns out to be doubtful is made again, in memory.
    ///
    /// # Errors
    /// When the recording cannot be read.
    pub fn seek(&mut self, at_ns: u64) -> Result<Replay, IndexError> {
        match self.seek_once(at_ns) {
            Err(IndexError::Doubtful(_)) => {
                let recording = self.recording.clone();
                *self = Self::in_memory(recording, &mut |_| ControlFlow::Continue(()))?;
                self.seek_once(at_ns)
            }
            other => other,
        }
    }

    fn seek_once(&self, at_ns: u64) -> Result<Replay, IndexError> {
        let (_, entry) = self.index.entry_at(at_ns)?;
        let mut replay = self.from_entry(&entry)?;
        replay.advance_to(at_ns)?;
        Ok(replay)
    }

    /// The recording where an entry stands.
    ///
    /// # Errors
    /// When the entry's keyframe is doubtful.
    pub fn from_entry(&self, entry: &Entry) -> Result<Replay, IndexError> {
        let screen = self.index.keyframe(entry)?;
        let source = self.recording.clone();
        let (offset, seq) = (entry.segment_offset, entry.next_seq);
        Ok(Replay::resume(source, offset, screen, seq, entry.at_ns))
    }
}

/// Makes an index beside the recording, under a temporary name that is renamed when it is whole:
/// a crash leaves the temporary file, never half an index. With an older index it goes on from
/// there if it can.
fn make(
    path: &Path,
    mode: u32,
    recording: &Source,
    old: Option<&Index>,
    on_progress: OnProgress<'_>,
) -> Result<(Index, Option<io::Error>), IndexError> {
    let final_path = index_path(path);
    let mut temporary = final_path.clone().into_os_string();
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = PathBuf::from(temporary);
    // As readable as the recording itself: a keyframe shows what the recording shows.
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&temporary);
    let made = match file {
        Ok(file) => write_index(&file, recording, old, on_progress).and_then(|()| {
            fs::rename(&temporary, &final_path).map_err(IndexError::Write)?;
            Index::open(Arc::new(file))
        }),
        Err(e) => Err(IndexError::Write(e)),
    };
    match made {
        Ok(index) => Ok((index, None)),
        Err(IndexError::Write(e)) => {
            let _ = fs::remove_file(&temporary);
            let mut bytes = Vec::new();
            build(recording, &mut bytes, on_progress)?;
            Ok((Index::open(Arc::new(bytes))?, Some(e)))
        }
        Err(e) => {
            let _ = fs::remove_file(&temporary);
            Err(e)
        }
    }
}

fn write_index(
    file: &File,
    recording: &Source,
    old: Option<&Index>,
    on_progress: OnProgress<'_>,
) -> Result<(), IndexError> {
    let mut out = BufWriter::with_capacity(256 * 1024, file);
    if let Some(old) = old {
        match extend(recording, old, &mut out, on_progress) {
            Err(IndexError::Doubtful(_)) => {
                // What was written of it is written over: nothing of an older index is kept.
                drop(out);
                file.set_len(0).map_err(IndexError::Write)?;
                io::Seek::rewind(&mut &*file).map_err(IndexError::Write)?;
                out = BufWriter::with_capacity(256 * 1024, file);
            }
            other => {
                other?;
                return out.flush().map_err(IndexError::Write);
            }
        }
    }
    build(recording, &mut out, on_progress)?;
    out.flush().map_err(IndexError::Write)
}
