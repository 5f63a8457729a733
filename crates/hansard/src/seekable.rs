//! Recordings as commands seek in them: with keyframes, whatever the format.
//!
//! A `.hansard` file gets its index beside it. A session of a service is fetched into a file without
//! a name, so that a crash leaves nothing. Anything else is turned into a recording in a file
//! without a name first, so that there is one way to seek, and it holds nothing in memory.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::ops::ControlFlow;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hansard_core::SessionId;
use hansard_core::reader::ReadError;
use hansard_view::index::IndexError;
use hansard_view::segments::SegmentEncoder;
use hansard_view::source::reading;
use hansard_view::{CopyError, Format, Indexed, copy};

use crate::cli::ReadArgs;
use crate::failure::{Failure, STATUS_DAMAGED, STATUS_WRONG_USE, shown};
use crate::journal;
use crate::key;
use crate::progress::{Meter, Progress};
use crate::session;
use crate::source::{PassedOver, Source, are_for, not_a_recording, open_file, say};

/// Attempts to find a name for a temporary file that nobody has.
const NAMES_MAX: u32 = 100;

/// What is to be said of a recording once it was shown, as `cat` does it: what was passed over,
/// and what is missing.
pub(crate) struct Remains {
    path: PathBuf,
    /// What reading it as another format passed over; `None` for one of ours, which is asked itself.
    passed: Option<PassedOver>,
    /// Why there is no more of it than was shown.
    failure: Option<Failure>,
}

impl Remains {
    /// Nothing is known yet of a recording of ours but what its index says.
    pub(crate) fn of_ours(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            passed: None,
            failure: None,
        }
    }

    /// Says on standard error what is damaged and that the end is missing; answers the exit status
    /// that this means. `met_damage`: whoever went through it came upon damage, which an index does
    /// not know that was made before.
    ///
    /// # Errors
    /// Why it could be read no further than it was shown.
    pub(crate) fn finish(mut self, indexed: &Indexed, met_damage: bool) -> Result<u8, Failure> {
        let failure = self.failure.take();
        let is_cut = failure.is_some();
        let status = self.say(indexed, met_damage, is_cut);
        failure.map_or(Ok(status), Err)
    }

    fn say(self, indexed: &Indexed, met_damage: bool, is_cut: bool) -> u8 {
        let index = indexed.index();
        if let Some(passed) = self.passed {
            return passed.say();
        }
        if index.damages() > 0 || met_damage {
            // An index only counts the places. Where it cannot be read on, nothing more is known.
            let mut source = Source::of_ours(&self.path, indexed.recording().clone());
            while let Ok(Some(_)) = source.next_event() {}
            return source.finish();
        }
        if !index.is_complete() && !is_cut {
            let what = "the recording has no end: it goes on, or was cut off";
            say(&self.path, what);
        }
        0
    }
}

/// Opens a recording of any readable format for seeking; and what is to be said of it once it was
/// shown.
pub(crate) fn open(path: &Path, read: &ReadArgs) -> Result<(Indexed, Remains), Failure> {
    let in_journal = journal::wanted(path, &read.journal).is_some();
    let named = !in_journal && session::named(path).is_some();
    let plain = !named
        && !in_journal
        && path.as_os_str() != "-"
        && path.metadata().is_ok_and(|m| m.is_file());
    let may_be_ours = read.from.is_none_or(|format| format == Format::Hansard);
    if plain && may_be_ours && begins_like_ours(path)? {
        are_for(path, read, Format::Hansard)?;
        let mut progress = Progress::new("indexing", None);
        let indexed = Indexed::open(path, &mut |done| {
            progress.of(done.bytes, done.total);
            ControlFlow::Continue(())
        });
        let indexed = indexed.map_err(|error| failure(path, &error))?;
        return Ok((indexed, Remains::of_ours(path)));
    }
    let (file, remains) = match session::named(path) {
        Some(session) if named => fetch(path, session, read)?,
        _ => convert(path, read)?,
    };
    let mut progress = Progress::new("indexing", None);
    let indexed = Indexed::in_memory(Arc::new(file), &mut |done| {
        progress.of(done.bytes, done.total);
        ControlFlow::Continue(())
    });
    match (indexed, remains.failure) {
        (Ok(indexed), failure) => {
            if let Some(what) = session::is_another(path, indexed.index().session()) {
                return Err(Failure::new(
                    STATUS_DAMAGED,
                    format!("{}: {what}", shown(path)),
                ));
            }
            Ok((indexed, Remains { failure, ..remains }))
        }
        // Too little came for there to be anything to show.
        (Err(_), Some(failure)) => Err(failure),
        (Err(error), None) => Err(failure(path, &error)),
    }
}

/// An index's error about this recording.
pub(crate) fn failure(path: &Path, error: &IndexError) -> Failure {
    match error {
        IndexError::Recording(ReadError::Io(error)) | IndexError::Read(error) => {
            Failure::about(path, error)
        }
        IndexError::Recording(ReadError::NotARecording) => not_a_recording(path),
        IndexError::Recording(error) => {
            Failure::new(STATUS_WRONG_USE, format!("{}: {error}", shown(path)))
        }
        other => Failure::new(STATUS_DAMAGED, format!("{}: {other}", shown(path))),
    }
}

fn begins_like_ours(path: &Path) -> Result<bool, Failure> {
    use std::io::Read as _;
    let mut beginning = Vec::new();
    let (file, _) = open_file(path)?;
    let taken = reading(file).and_then(|file| file.take(16).read_to_end(&mut beginning));
    taken.map_err(|e| Failure::about(path, &e))?;
    Ok(Format::guess(&beginning) == Some(Format::Hansard))
}

/// The recording as one of ours, in a file that nobody else can open; and what is to be said of it.
/// What was sound before an error is in the file.
fn convert(path: &Path, read: &ReadArgs) -> Result<(File, Remains), Failure> {
    let mut source = Source::open(path, read, "reading")?;
    let file = nameless()?;
    let mut out = BufWriter::with_capacity(64 * 1024, &file);
    let key = key::signing_key(None)?;
    let copied = copy(&mut source, &mut SegmentEncoder::new(&mut out, key));
    out.flush()?;
    drop(out);
    let failure = match copied {
        Ok(0) => return Err(not_a_recording(path)),
        Ok(_) => None,
        Err(CopyError::Read(error)) if source.has_begun() => Some(source.failure(&error)),
        Err(CopyError::Read(error)) => return Err(source.failure(&error)),
        Err(CopyError::Write(error)) => {
            let message = format!("{}: {error}", shown(path));
            return Err(Failure::new(STATUS_DAMAGED, message));
        }
    };
    let remains = Remains {
        path: path.to_owned(),
        passed: Some(source.passed_over()),
        failure,
    };
    Ok((file, remains))
}

/// A session's recording, as the service sends it, in a file that nobody else can open; and what is
/// to be said of it. What came before the answer was cut is in the file.
fn fetch(path: &Path, session: SessionId, read: &ReadArgs) -> Result<(File, Remains), Failure> {
    let mut file = nameless()?;
    let meter = Meter::new(Progress::new("fetching", None));
    let bytes = session::open(session, &read.look)?;
    let fetched = io::copy(&mut meter.reading(bytes), &mut file);
    let failure = fetched.err().map(|e| Failure::about(path, &e));
    Ok((
        file,
        Remains {
            failure,
            ..Remains::of_ours(path)
        },
    ))
}

/// A temporary file whose name is gone before anything is written into it: a crash leaves nothing.
pub(crate) fn nameless() -> Result<File, Failure> {
    let directory = std::env::temp_dir();
    let mut last = None;
    for n in 0..NAMES_MAX {
        let path = directory.join(format!(".hansard-{}-{n}", std::process::id()));
        match OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
        {
            Ok(file) => {
                fs::remove_file(&path).map_err(|e| Failure::about(&path, &e))?;
                return Ok(file);
            }
            Err(error) => last = Some(error),
        }
    }
    let error = last.unwrap_or_else(|| std::io::ErrorKind::AlreadyExists.into());
    Err(Failure::about(&directory, &error).hint("TMPDIR names the directory for temporary files"))
}
