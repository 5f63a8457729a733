//! The files that a conversion reads. They are the evidence, and nothing takes their names.

use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use hansard_view::Format;

use crate::cli::ReadArgs;
use crate::failure::{Failure, STATUS_WRONG_USE, shown};
use crate::{journal, session};

/// Where a recording that is read lies.
pub(crate) struct Originals {
    paths: Vec<PathBuf>,
    /// What standard input is, where the recording is read from there.
    input: Option<File>,
}

impl Originals {
    /// The files of the recording at this path, which is read in this format.
    pub(crate) fn new(path: &Path, read: &ReadArgs, format: Format) -> Self {
        let mut paths: Vec<PathBuf> = read.timing.iter().cloned().collect();
        let mut input = None;
        if path.as_os_str() == "-" {
            let taken = io::stdin().as_fd().try_clone_to_owned();
            input = taken.ok().map(File::from);
        } else if journal::wanted(path, &read.journal).is_none() && session::named(path).is_none() {
            paths.push(path.to_owned());
            for extension in format.beside() {
                let mut name = OsString::from(path);
                name.push(format!(".{extension}"));
                paths.push(name.into());
            }
        }
        Self { paths, input }
    }

    /// Refuses a name under which one of them stands, whatever it is called there.
    pub(crate) fn check(&self, target: &Path) -> Result<(), Failure> {
        let Ok(there) = target.metadata() else {
            return Ok(());
        };
        if there.is_file() && self.holds(&there) {
            let message = format!("{}: is what is converted, so never replaced", shown(target));
            return Err(Failure::new(STATUS_WRONG_USE, message)
                .hint("choose another name; a copy does not replace the evidence"));
        }
        Ok(())
    }

    fn holds(&self, file: &Metadata) -> bool {
        let is_it = |other: io::Result<Metadata>| {
            other.is_ok_and(|other| (other.dev(), other.ino()) == (file.dev(), file.ino()))
        };
        let inside = |path: &PathBuf| {
            let entries = fs::read_dir(path).into_iter().flatten().flatten();
            // Behind a link, too: links are not read, but what they lead to is not ours to replace.
            entries.map(|entry| fs::metadata(entry.path())).any(is_it)
        };
        self.input.as_ref().map(File::metadata).is_some_and(is_it)
            || self.paths.iter().map(fs::metadata).any(is_it)
            || self.paths.iter().any(inside)
    }
}
