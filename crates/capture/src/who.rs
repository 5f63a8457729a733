//! The list of who is logged in (utmp(5)): a login's new terminal stands in it too, as `who am i`
//! and `write` expect, until the session is over.
//!
//! The list is shared by all programs of the machine, and everybody may hold its lock: one thread
//! writes to it, and no login waits for that longer than [`WRITTEN_WAIT_MAX`]. What is in the list by
//! our doing is noted in files, so that the start after a kill takes it out.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::limits::{LISTED_WAITING_MAX, WRITTEN_WAIT_MAX};

pub(crate) mod last;
mod sys;

/// Most notes that are looked at when the daemon starts; more are left where they are, and harm
/// nobody.
const NOTES_MAX: usize = 10_000;

/// A terminal in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Without `/dev/`.
    pub(crate) line: String,
    pub(crate) user: String,
    /// The login's process.
    pub(crate) pid: i32,
    /// The line that the login came on: what the list says of where from is taken from there.
    pub(crate) outer: Option<String>,
    /// Where from, where that is known.
    pub(crate) from: Option<IpAddr>,
}

/// What the writing thread is told, and where it says that it is done.
struct Told {
    entry: Entry,
    is_here: bool,
    done: SyncSender<()>,
}

/// The list, for writing.
#[derive(Debug)]
pub(crate) struct Who(SyncSender<Told>);

/// A terminal that is in the list until this is dropped.
#[derive(Debug)]
pub(crate) struct Listed {
    entry: Entry,
    to: SyncSender<Told>,
}

impl Who {
    /// Takes out of the list in this file what the last process left, and is ready to write to it, and to the
    /// list of all logins that ever were, `wtmp`, where somebody else does not. A list that is not there is not
    /// made.
    ///
    /// # Errors
    /// When the directory of notes cannot be made or read, or there is no thread to be had.
    pub(crate) fn open(list: &Path, wtmp: Option<&Path>, notes: &Path) -> io::Result<Self> {
        match fs::DirBuilder::new().mode(0o700).create(notes) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            _ => {}
        }
        let left: Result<Vec<_>, _> = fs::read_dir(notes)?.take(NOTES_MAX).collect();
        let left: Vec<PathBuf> = left?.into_iter().map(|entry| entry.path()).collect();
        let (to, told) = sync_channel(LISTED_WAITING_MAX);
        let lists = (list.to_owned(), wtmp.map(Path::to_owned));
        let notes = notes.to_owned();
        // Ends when the last sender is gone.
        std::thread::Builder::new()
            .name("capture-who".to_owned())
            .spawn(move || write(&lists, &notes, &left, &told))?;
        Ok(Self(to))
    }

    /// Puts a terminal into the list.
    pub(crate) fn list(&self, entry: Entry) -> Listed {
        let to = self.0.clone();
        tell(&to, entry.clone(), true);
        Listed { entry, to }
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        tell(&self.to, self.entry.clone(), false);
    }
}

/// Has it written, and waits for that, but not for ever: the list is no record.
fn tell(to: &SyncSender<Told>, entry: Entry, is_here: bool) {
    let (done, is_done) = sync_channel(1);
    let told = Told {
        entry,
        is_here,
        done,
    };
    if to.try_send(told).is_ok() {
        let _ = is_done.recv_timeout(WRITTEN_WAIT_MAX);
    }
}

fn write(
    (list, wtmp): &(PathBuf, Option<PathBuf>),
    notes: &Path,
    left: &[PathBuf],
    told: &Receiver<Told>,
) {
    for note in left {
        if let Some((line, pid)) = read(note) {
            sys::gone(list, &line, pid);
        }
        // What stays is looked at by the next start.
        let _ = fs::remove_file(note);
    }
    for told in told {
        let Told { entry, is_here, .. } = &told;
        let note = notes.join(entry.line.replace('/', "-"));
        if *is_here {
            // The note first: a crash in between leaves one of which nothing is found in the list.
            let _ = fs::write(&note, format!("{} {}\n", entry.pid, entry.line));
            sys::here(list, entry);
        } else {
            sys::gone(list, &entry.line, entry.pid);
            let _ = fs::remove_file(&note);
        }
        if let Some(wtmp) = wtmp {
            sys::ever(wtmp, entry, *is_here);
        }
        // Nobody waits any more where this fails.
        let _ = told.done.try_send(());
    }
}

/// The line and the process of a note.
fn read(note: &Path) -> Option<(String, i32)> {
    let text = fs::read_to_string(note).ok()?;
    let (pid, line) = text.trim_end().split_once(' ')?;
    Some((line.to_owned(), pid.parse().ok()?))
}
