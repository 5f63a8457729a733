//! Files that are written before they have their names.

use std::cell::RefCell;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::iter;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use hansard_view::parts::{Outputs, Part};
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::failure::{Failure, STATUS_WRONG_USE, shown};
use crate::originals::Originals;

/// Bytes gathered before a file is written to.
pub(crate) const OUT_BYTES: usize = 64 * 1024;

/// The output of a conversion: one file, a file and others beside it, or a directory. A crash
/// leaves names that end in `.part`, never half a recording under the name that was asked for.
pub(crate) struct Draft {
    target: PathBuf,
    /// What may stand beside it, whether or not this conversion makes it.
    beside: Vec<PathBuf>,
    force: bool,
    made: Rc<RefCell<Made>>,
}

/// What there is so far.
#[derive(Default)]
struct Made {
    /// Each file under its draft's name and its own, in the order they were made.
    files: Vec<(File, PathBuf, PathBuf)>,
    /// The directory they are in, under its draft's name.
    directory: Option<PathBuf>,
    kept: bool,
}

impl Draft {
    /// Nothing is created yet. What stands at the target, or beside it under one of these
    /// extensions, stays there unless `force`; the originals always do.
    pub(crate) fn new(
        target: &Path,
        beside: &[&str],
        force: bool,
        originals: &Originals,
    ) -> Result<Self, Failure> {
        // `OUT/` is the same directory as `OUT`, but nothing can be added to that name.
        let target: &Path = &target.components().collect::<PathBuf>();
        let beside = beside
            .iter()
            .map(|name| with_suffix(target, &format!(".{name}")));
        let beside: Vec<_> = beside.collect();
        for name in iter::once(target).chain(beside.iter().map(PathBuf::as_path)) {
            originals.check(name)?;
            check_free(name, force)?;
        }
        Ok(Self {
            target: target.to_owned(),
            beside,
            force,
            made: Rc::default(),
        })
    }

    /// Where an encoder writes.
    pub(crate) fn outputs(&self) -> DraftOutputs {
        DraftOutputs {
            target: self.target.clone(),
            force: self.force,
            made: Rc::clone(&self.made),
        }
    }

    /// Makes what was written durable, and gives it its names: the main file last, so that where
    /// it stands the others do, too.
    pub(crate) fn keep(self) -> Result<(), Failure> {
        let mut made = self.made.borrow_mut();
        for (file, _, target) in &made.files {
            file.sync_all().map_err(|e| Failure::about(target, &e))?;
        }
        if let Some(draft) = &made.directory {
            // What appeared under that name meanwhile stays.
            renameat_with(CWD, draft, CWD, &self.target, RenameFlags::NOREPLACE)
                .map_err(|e| Failure::about(&self.target, &e.into()))?;
        } else {
            // What stood beside a recording that is replaced would be read as part of this one.
            for old in self.beside.iter().filter(|_| self.force) {
                if made.files.iter().all(|(_, _, target)| target != old) {
                    match fs::remove_file(old) {
                        Err(e) if e.kind() != io::ErrorKind::NotFound => {
                            return Err(Failure::about(old, &e));
                        }
                        _ => {}
                    }
                }
            }
            for (_, draft, target) in made.files.iter().rev() {
                named(draft, target, self.force).map_err(|e| Failure::about(target, &e))?;
            }
        }
        made.kept = true;
        Ok(())
    }
}

fn check_free(target: &Path, force: bool) -> Result<(), Failure> {
    match target.symlink_metadata() {
        Err(_) => Ok(()),
        Ok(there) if there.is_dir() => {
            let message = format!("{}: is a directory that exists already", shown(target));
            Err(Failure::new(STATUS_WRONG_USE, message).hint("remove it, or choose another name"))
        }
        // A device or a pipe, also behind a link: its name would be given to a file.
        Ok(_) if target.metadata().is_ok_and(|there| !there.is_file()) => {
            let message = format!(
                "{}: is not a regular file, so never replaced",
                shown(target)
            );
            Err(Failure::new(STATUS_WRONG_USE, message)
                .hint("`-` is standard output, which can be led there"))
        }
        Ok(_) if force => Ok(()),
        Ok(_) => {
            let message = format!("{}: exists already", shown(target));
            Err(Failure::new(STATUS_WRONG_USE, message).hint("--force replaces it"))
        }
    }
}

fn named(draft: &Path, target: &Path, force: bool) -> io::Result<()> {
    if force {
        return fs::rename(draft, target);
    }
    // A hard link never replaces: what appeared under that name meanwhile stays.
    fs::hard_link(draft, target).and_then(|()| fs::remove_file(draft))
}

impl Drop for Draft {
    fn drop(&mut self) {
        let made = self.made.borrow();
        if made.kept {
            return;
        }
        // Nothing else can be done about what cannot be removed; its name says what it is.
        for (_, draft, _) in &made.files {
            let _ = fs::remove_file(draft);
        }
        if let Some(directory) = &made.directory {
            let _ = fs::remove_dir(directory);
        }
    }
}

/// Creates the files of a draft.
pub(crate) struct DraftOutputs {
    target: PathBuf,
    force: bool,
    made: Rc<RefCell<Made>>,
}

impl Outputs for DraftOutputs {
    fn create(&mut self, part: Part<'_>) -> io::Result<Box<dyn Write>> {
        let mut made = self.made.borrow_mut();
        let (draft, target) = match part {
            Part::Main => (drafted(&self.target), self.target.clone()),
            Part::Beside(extension) => {
                let target = with_suffix(&self.target, &format!(".{extension}"));
                if !self.force && target.symlink_metadata().is_ok() {
                    let shown = shown(&target);
                    return Err(io::Error::other(format!("{shown} exists already")));
                }
                (drafted(&target), target)
            }
            Part::Inside(name) => {
                let directory = match &made.directory {
                    Some(directory) => directory.clone(),
                    None => {
                        let directory = drafted(&self.target);
                        DirBuilder::new().mode(0o700).create(&directory)?;
                        made.directory.insert(directory).clone()
                    }
                };
                (directory.join(name), self.target.join(name))
            }
        };
        // A copy shows what the recording shows: whoever may read it is for its owner to say.
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft)?;
        let writer = file.try_clone()?;
        made.files.push((file, draft, target));
        Ok(Box::new(BufWriter::with_capacity(OUT_BYTES, writer)))
    }
}

fn drafted(target: &Path) -> PathBuf {
    with_suffix(target, &format!(".{}.part", std::process::id()))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}
