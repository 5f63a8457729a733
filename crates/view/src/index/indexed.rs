//! A recording together with its index: seeking, and the file beside the recording.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::build::{OnProgress, build, extend};
use super::layout::Entry;
use super::open::{Index, IndexError, doubtful};
use crate::replay::Replay;
use crate::source::Source;

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
        let beside = index_path(path);
        // Nothing but a file: opening a pipe would wait for its writer.
        let is_file = fs::metadata(&beside).is_ok_and(|metadata| metadata.is_file());
        let old = is_file
            .then(|| File::open(&beside).ok())
            .flatten()
            .and_then(|file| Index::open(Arc::new(file)).ok());
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

    /// The same, but an index that turns out to be doubtful is an error.
    ///
    /// # Errors
    /// `Doubtful`; and when the recording cannot be read.
    pub fn seek_once(&self, at_ns: u64) -> Result<Replay, IndexError> {
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
