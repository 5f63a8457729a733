//! An opened index: what it says, and whether it belongs to a recording.

use std::fmt;
use std::io;

use hansard_core::SessionId;
use hansard_core::reader::ReadError;

use super::build::bound;
use super::layout::{ENTRY_BYTES, Entry, FOOTER_BYTES, Footer, Point, decode_points, short_digest};
use crate::limits::{
    KEYFRAME_BYTES_MAX, KEYFRAME_STORED_BYTES_MAX, POINT_LABEL_BYTES_MAX, POINTS_MAX,
};
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

pub(super) fn doubtful<T>(why: &str) -> Result<T, IndexError> {
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
