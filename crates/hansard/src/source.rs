//! Recordings as commands open them: by path or from standard input, in any readable format.

use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use hansard_core::{Body, Event, SessionId};
use hansard_record::Environment;
use hansard_view::limits::NOTICES_MAX;
use hansard_view::segments::SegmentDecoder;
use hansard_view::source::{Cursor, Source as Bytes};
use hansard_view::{DecodeError, Decoder, Format, Import, OpenError};

use crate::cli::ReadArgs;
use crate::failure::{Failure, STATUS_DAMAGED, STATUS_WRONG_USE, shown};
use crate::watched::Watched;
use crate::{alike, journal, session};

/// A recording that is being read.
pub(crate) struct Source {
    path: PathBuf,
    format: Format,
    decoder: Box<dyn Decoder>,
    notices: Vec<String>,
    /// Notices that were not kept: a hostile file can cause one in every line.
    unkept: u64,
    /// Whether anything could be read.
    begun: bool,
}

impl Source {
    /// Opens a recording; `-` is standard input. Its format is guessed unless it is given.
    pub(crate) fn open(path: &Path, read: &ReadArgs, label: &'static str) -> Result<Self, Failure> {
        let import = import(read.rec.clone()).map_err(|e| Failure::about(path, &e))?;
        let inputs = Watched::open(path, read, label)?;
        // Whoever reads the journal looks for tlog there, also where its first entry is something else.
        let in_journal = journal::wanted(path, &read.journal).map(|_| Format::Tlog);
        let opened = hansard_view::open(&inputs, read.from.or(in_journal), import);
        let opened = opened.map_err(|error| match error {
            OpenError::Io(error) => Failure::about(path, &error),
            OpenError::Unknown => not_a_recording(path),
            other => Failure::new(STATUS_WRONG_USE, format!("{}: {other}", shown(path))),
        })?;
        are_for(path, read, opened.format)?;
        Ok(Self::over(path, opened.format, opened.decoder))
    }

    /// One of our recordings that is open already, under the name by which it was asked for.
    pub(crate) fn of_ours(path: &Path, recording: Bytes) -> Self {
        let decoder = SegmentDecoder::new(Cursor::new(recording, 0));
        Self::over(path, Format::Hansard, Box::new(decoder))
    }

    fn over(path: &Path, format: Format, decoder: Box<dyn Decoder>) -> Self {
        Self {
            path: path.to_owned(),
            format,
            decoder,
            notices: Vec::new(),
            unkept: 0,
            begun: false,
        }
    }

    /// In which format it is.
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// The next event; `None` at the end.
    pub(crate) fn next_event(&mut self) -> Result<Option<Event>, Failure> {
        let next = self.read();
        next.map_err(|error| self.failure(&error))
    }

    fn read(&mut self) -> Result<Option<Event>, DecodeError> {
        let next = self.decoder.next_event();
        self.begun |= matches!(next, Ok(Some(_)));
        for notice in self.decoder.take_notices() {
            if self.notices.len() < NOTICES_MAX {
                self.notices.push(notice);
            } else {
                self.unkept += 1;
            }
        }
        if let Ok(Some(event)) = &next
            && let Body::Start(session) = &event.body
            && let Some(what) = crate::session::is_another(&self.path, session.id)
        {
            return Err(io::Error::new(io::ErrorKind::InvalidData, what).into());
        }
        next
    }

    /// Whether there was a recording, whatever came behind its beginning.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun
    }

    /// What was passed over so far, in sentences.
    pub(crate) fn notices(&self) -> &[String] {
        &self.notices
    }

    /// Says on standard error what was passed over; answers the exit status that this means.
    pub(crate) fn finish(self) -> u8 {
        self.passed_over().say()
    }

    /// What was passed over, to be said later. The recording is let go.
    pub(crate) fn passed_over(self) -> PassedOver {
        let more = (self.unkept > 0).then(|| format!("{} more notices like these", self.unkept));
        PassedOver {
            path: self.path,
            notices: self.notices.into_iter().chain(more).collect(),
            damaged: self.decoder.is_damaged(),
        }
    }

    /// Why nothing more can be read: 3 where there was something, or where an answer was cut.
    pub(crate) fn failure(&self, error: &DecodeError) -> Failure {
        // Not one of ours after all, or of another version: there is no place in it to name.
        if let (
            Format::Hansard,
            DecodeError::Malformed {
                offset: 0, what, ..
            },
        ) = (self.format, error)
        {
            return Failure::new(STATUS_WRONG_USE, format!("{}: {what}", shown(&self.path)));
        }
        let status = match error {
            DecodeError::Io(error) => {
                let mut failure = Failure::about(&self.path, error);
                if self.begun {
                    failure.status = STATUS_DAMAGED;
                }
                return failure;
            }
            DecodeError::Malformed { .. } if !self.begun => STATUS_WRONG_USE,
            DecodeError::Malformed { .. } => STATUS_DAMAGED,
        };
        Failure::new(status, format!("{}: {error}", shown(&self.path)))
    }
}

impl Decoder for Source {
    fn next_event(&mut self) -> Result<Option<Event>, DecodeError> {
        self.read()
    }

    fn is_damaged(&self) -> bool {
        self.decoder.is_damaged()
    }
}

/// What was passed over in a recording.
pub(crate) struct PassedOver {
    path: PathBuf,
    notices: Vec<String>,
    damaged: bool,
}

impl PassedOver {
    /// Says it on standard error; answers the exit status that it means.
    pub(crate) fn say(self) -> u8 {
        for notice in &self.notices {
            say(&self.path, notice);
        }
        match self.damaged {
            true => STATUS_DAMAGED,
            false => 0,
        }
    }
}

/// Says something about a recording on standard error.
pub(crate) fn say(path: &Path, what: &str) {
    // A closed standard error has nobody to tell.
    let _ = io::Write::write_fmt(
        &mut io::stderr(),
        format_args!("hansard: {}: {what}\n", shown(path)),
    );
}

/// Refuses options that are for other formats: what they name would be passed over without a word.
pub(crate) fn are_for(path: &Path, read: &ReadArgs, format: Format) -> Result<(), Failure> {
    let has_several = matches!(format, Format::Tlog | Format::Teleport);
    let wrong = [
        (
            "--timing is for a typescript",
            read.timing.is_some() && format != Format::Typescript,
        ),
        (
            "--rec is for files that hold several recordings (tlog, teleport)",
            read.rec.is_some() && !has_several,
        ),
    ];
    match wrong.iter().find(|(_, is_wrong)| *is_wrong) {
        None => Ok(()),
        Some((what, _)) => {
            let what = format!("{}: {what}, and this is {format}", shown(path));
            Err(Failure::new(STATUS_WRONG_USE, what)
                .hint("leave the option out, or say with --from what it is"))
        }
    }
}

/// A regular file (or a pipe), never a directory; and its length.
pub(crate) fn open_file(path: &Path) -> Result<(File, u64), Failure> {
    opened(path, Failure::about)
}

/// The same of a recording, which may have been meant to be the service's.
pub(crate) fn open_recording(path: &Path) -> Result<(File, u64), Failure> {
    opened(path, Failure::of_recording)
}

fn opened(path: &Path, about: fn(&Path, &io::Error) -> Failure) -> Result<(File, u64), Failure> {
    let file = File::open(path).map_err(|e| about(path, &e))?;
    let metadata = file.metadata().map_err(|e| about(path, &e))?;
    if metadata.is_dir() {
        let what = format!("{}: is a directory", shown(path));
        let hint = alike::directory_hint(path).unwrap_or_else(|| "name a file in it".to_owned());
        return Err(Failure::new(STATUS_WRONG_USE, what).hint(hint));
    }
    Ok((file, metadata.len()))
}

/// The sentence for bytes that are nothing we know.
pub(crate) fn not_a_recording(path: &Path) -> Failure {
    let there = path
        .metadata()
        .ok()
        .filter(|_| session::named(path).is_none());
    if there.as_ref().is_some_and(Metadata::is_dir) {
        let what = "is a directory, and no recording of sudo or Teleport, which are directories";
        return Failure::new(STATUS_WRONG_USE, format!("{}: {what}", shown(path)))
            .hint(alike::directory_hint(path).unwrap_or_else(|| "name a file in it".to_owned()));
    }
    if there.is_some_and(|there| there.is_file() && there.len() == 0) {
        return Failure::new(STATUS_WRONG_USE, format!("{}: is empty", shown(path)))
            .hint("nothing was written into it: see how it was made, or copied here");
    }
    let what = format!("{}: not a recording of a known format", shown(path));
    if let Some(hint) = alike::directory_hint(path) {
        return Failure::new(STATUS_WRONG_USE, what).hint(hint);
    }
    let seen = alike::of_file(path).filter(|_| session::named(path).is_none());
    if let Some(alike) = seen {
        let what = format!("{what}; it looks like {}", alike.what);
        return Failure::new(STATUS_WRONG_USE, what).hint(alike.hint);
    }
    Failure::new(STATUS_WRONG_USE, what).hint(format!(
        "say which one it is with --from FORMAT ({})",
        readable_formats().join(", ")
    ))
}

fn readable_formats() -> Vec<&'static str> {
    let readable = Format::ALL.iter().filter(|format| format.is_readable());
    readable.map(|format| format.as_str()).collect()
}

/// What a recording in a foreign format does not say about itself.
pub(crate) fn import(rec: Option<String>) -> io::Result<Import> {
    let env = Environment::real();
    let utc_ns = env.clock.utc_ns();
    let mut random = [0u8; 10];
    env.random.fill(&mut random)?;
    Ok(Import {
        id: SessionId::new_v7(utc_ns / 1_000_000, random),
        start_utc_ns: utc_ns,
        recorder: recorder_name(),
        rec,
    })
}

/// Program and version, as they stand in a header.
pub(crate) fn recorder_name() -> String {
    format!("hansard {}", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    struct Telling(bool);

    impl Decoder for Telling {
        fn next_event(&mut self) -> Result<Option<Event>, DecodeError> {
            Ok(None)
        }

        fn take_notices(&mut self) -> Vec<String> {
            vec!["the file \u{201c}damaged.log\u{201d} has no end".to_owned()]
        }

        fn is_damaged(&self) -> bool {
            self.0
        }
    }

    #[test]
    fn the_status_is_by_what_was_found_and_not_by_words() {
        for (damaged, status) in [(false, 0), (true, STATUS_DAMAGED)] {
            let telling = Box::new(Telling(damaged));
            let mut source = Source::over(Path::new("x"), Format::Sudo, telling);
            assert_eq!(source.next_event().unwrap(), None);
            assert_eq!(source.notices().len(), 1);
            assert_eq!(source.finish(), status);
        }
    }
}
