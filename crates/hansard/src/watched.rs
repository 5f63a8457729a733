//! The files of a recording as commands read them: by path, from a service or from standard input, showing how far
//! that has come.

use std::io::{self, BufRead as _, BufReader, Read};
use std::path::Path;

use hansard_view::parts::{Directory, Inputs, Once, Part, SingleFile};
use hansard_view::source::Source;

use crate::cli::ReadArgs;
use crate::failure::Failure;
use crate::journal::{self, Journal};
use crate::progress::{Meter, Progress};
use crate::session;

/// Files that are read, and one line of progress for all of them.
pub(crate) struct Watched {
    inputs: Box<dyn Inputs>,
    meter: Meter,
}

impl Watched {
    /// The recording at this path; `-` is standard input.
    pub(crate) fn open(path: &Path, read: &ReadArgs, label: &'static str) -> Result<Self, Failure> {
        let failed = |error| Failure::of_recording(path, &error);
        let (inputs, total): (Box<dyn Inputs>, _) =
            if let Some(rec) = journal::wanted(path, &read.journal) {
                let mut entries = BufReader::new(Journal::open(rec, &read.journal, false)?);
                if entries.fill_buf().map_err(failed)?.is_empty() {
                    return Err(journal::nothing(path, rec));
                }
                let entries = Box::new(entries);
                (Box::new(Once::new(entries, None)), None)
            } else if path.as_os_str() == "-" {
                let input = Box::new(io::stdin().lock());
                (Box::new(Once::new(input, read.timing.as_deref())), None)
            } else if let Some(session) = session::named(path) {
                let bytes = Box::new(session::open(session, &read.look)?);
                (Box::new(Once::new(bytes, None)), None)
            } else {
                let metadata = path.metadata().map_err(failed)?;
                if metadata.is_dir() {
                    (Box::new(Directory::open(path).map_err(failed)?), None)
                } else {
                    let file = SingleFile::new(path, read.timing.as_deref());
                    (Box::new(file), Some(metadata.len()))
                }
            };
        let meter = Meter::new(Progress::new(label, total));
        Ok(Self { inputs, meter })
    }
}

impl Inputs for Watched {
    fn names(&self) -> Option<&[String]> {
        self.inputs.names()
    }

    fn open(&self, part: Part<'_>) -> io::Result<Option<Box<dyn Read>>> {
        let Some(file) = self.inputs.open(part)? else {
            return Ok(None);
        };
        // A file of times is small, and its length is not in the total.
        if let Part::Beside(_) = part {
            return Ok(Some(file));
        }
        Ok(Some(Box::new(self.meter.reading(file))))
    }

    fn source(&self) -> io::Result<Option<Source>> {
        self.inputs.source()
    }
}
