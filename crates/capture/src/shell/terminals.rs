//! The terminals that logins came on: root's while their session lasts, so that nobody writes to
//! them or reads from them beside the recorder; and their users' again on every way out.
//!
//! What a terminal was is noted in a file before it is changed. A daemon that is killed leaves the
//! file, and the next one gives the terminal back, if it still is the one that was taken: the time
//! of its last change says so, for a new terminal with an old number has another.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hansard_shell::terminal_device;
use rustix::fs::{Gid, Mode, OFlags, Stat, Uid, fchmod, fchown, fstat, open};
use rustix::process::geteuid;

/// First and last device major of pseudo-terminals.
const PTS_MAJORS: std::ops::RangeInclusive<u64> = 136..=143;

/// Most notes that are looked at when the daemon starts; more are left where they are, and harm
/// nobody.
const NOTES_MAX: usize = 10_000;

/// What the start found of terminals that the last process had taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Restored {
    /// They are what they were before.
    pub given_back: usize,
    /// They are not there any more, or somebody else's by now.
    pub gone: usize,
}

/// The terminals that are taken now. Clones are the same.
#[derive(Debug, Clone)]
pub struct Terminals(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    notes: PathBuf,
    taken: Mutex<HashMap<Name, Taken>>,
}

/// A terminal's file system and device: device numbers alone are those of one `/dev/pts`.
type Name = (u64, u64);

#[derive(Debug)]
struct Taken {
    /// What gives it back.
    fd: OwnedFd,
    before: Owner,
    /// Sessions on it: several may share one terminal.
    sessions: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Owner {
    uid: u32,
    gid: u32,
    mode: u32,
}

/// A terminal that is taken until this is dropped.
#[derive(Debug)]
pub(super) struct Hold {
    of: Arc<Shared>,
    name: Name,
}

impl Terminals {
    /// Gives back what the last process had taken.
    ///
    /// # Errors
    /// When the directory of notes cannot be made or read.
    pub fn open(notes: &Path) -> io::Result<(Self, Restored)> {
        match fs::DirBuilder::new().mode(0o700).create(notes) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            _ => {}
        }
        let mut restored = Restored::default();
        for entry in fs::read_dir(notes)?.take(NOTES_MAX) {
            let path = entry?.path();
            match give_back(&path) {
                true => restored.given_back += 1,
                false => restored.gone += 1,
            }
            fs::remove_file(&path)?;
        }
        let shared = Shared {
            notes: notes.to_owned(),
            taken: Mutex::new(HashMap::new()),
        };
        Ok((Self(Arc::new(shared)), restored))
    }

    /// Takes the terminal behind this descriptor.
    ///
    /// # Errors
    /// When it cannot be taken: whoever may open it by its name can read and write beside us.
    pub(super) fn take(&self, fd: BorrowedFd<'_>) -> io::Result<Hold> {
        let (fd, stat) = itself(fd)?;
        let name = (stat.st_dev, stat.st_rdev);
        let mut taken = self.0.lock();
        if let Some(taken) = taken.get_mut(&name) {
            taken.sessions += 1;
        } else {
            let before = Owner {
                uid: stat.st_uid,
                gid: stat.st_gid,
                mode: stat.st_mode & 0o7777,
            };
            let note = self.0.note(name);
            let path = path_of(&fd)?;
            // A crash between the two notes leaves the terminal root's: whoever has it open keeps
            // it, and the next login on it is given it by the system.
            fs::write(&note, line(before, name, 0, &path))?;
            let changed = change(&fd);
            match changed {
                Ok(at_ns) => fs::write(&note, line(before, name, at_ns, &path))?,
                Err(e) => {
                    restore(&fd, before);
                    let _ = fs::remove_file(&note);
                    return Err(e);
                }
            }
            let sessions = 1;
            taken.insert(
                name,
                Taken {
                    fd,
                    before,
                    sessions,
                },
            );
        }
        let of = Arc::clone(&self.0);
        Ok(Hold { of, name })
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, HashMap<Name, Taken>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, (dev, rdev): Name) -> PathBuf {
        self.notes.join(format!("{dev}-{rdev}"))
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut all = self.of.lock();
        let Some(taken) = all.get_mut(&self.name) else {
            return;
        };
        taken.sessions = taken.sessions.saturating_sub(1);
        if taken.sessions > 0 {
            return;
        }
        if let Some(taken) = all.remove(&self.name) {
            restore(&taken.fd, taken.before);
            let _ = fs::remove_file(self.of.note(self.name));
        }
    }
}

/// The terminal itself behind a descriptor, which may have been opened as `/dev/tty`: changing
/// that would change it for everybody.
fn itself(fd: BorrowedFd<'_>) -> io::Result<(OwnedFd, Stat)> {
    let device = terminal_device(fd).ok_or(io::ErrorKind::Unsupported)?;
    let stat = fstat(fd)?;
    if stat.st_rdev == device {
        return Ok((fd.try_clone_to_owned()?, stat));
    }
    let major = u64::from(rustix::fs::major(device));
    if !PTS_MAJORS.contains(&major) {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let number = (major - PTS_MAJORS.start()) * 256 + u64::from(rustix::fs::minor(device));
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = open(format!("/dev/pts/{number}"), flags, Mode::empty())?;
    let stat = fstat(&fd)?;
    match stat.st_rdev == device {
        true => Ok((fd, stat)),
        false => Err(io::ErrorKind::Unsupported.into()),
    }
}

pub(super) fn path_of(fd: &impl AsFd) -> io::Result<PathBuf> {
    use std::os::fd::AsRawFd as _;
    fs::read_link(format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd()))
}

/// Makes it ours alone; answers when it was last changed by that.
fn change(fd: &OwnedFd) -> io::Result<i64> {
    // The mode first: in between nobody has more than before.
    fchmod(fd, Mode::from_raw_mode(0o600))?;
    fchown(fd, Some(geteuid()), None)?;
    let stat = fstat(fd)?;
    Ok(changed_ns(
        stat.st_ctime,
        i64::try_from(stat.st_ctime_nsec).unwrap_or(0),
    ))
}

fn changed_ns(seconds: i64, ns: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(ns)
}

/// Fails only when it is gone.
fn restore(fd: impl AsFd, before: Owner) {
    let (uid, gid) = (Uid::from_raw(before.uid), Gid::from_raw(before.gid));
    let _ = fchown(&fd, Some(uid), Some(gid));
    let _ = fchmod(&fd, Mode::from_raw_mode(before.mode));
}

fn line(before: Owner, (dev, rdev): Name, changed_ns: i64, path: &Path) -> String {
    let Owner { uid, gid, mode } = before;
    let path = path.display();
    format!("{uid} {gid} {mode} {dev} {rdev} {changed_ns} {path}\n")
}

/// Gives back the terminal of a note, if it still is the one that was taken.
fn give_back(note: &Path) -> bool {
    let text = fs::read_to_string(note).unwrap_or_default();
    let mut words = text.trim_end().splitn(7, ' ');
    let mut number = || words.next()?.parse::<i64>().ok();
    let numbers = [(); 6].map(|()| number());
    let [
        Some(uid),
        Some(gid),
        Some(mode),
        Some(dev),
        Some(rdev),
        Some(changed),
    ] = numbers
    else {
        return false;
    };
    let Some(path) = words.next() else {
        return false;
    };
    let (Ok(uid), Ok(gid), Ok(mode)) = (uid.try_into(), gid.try_into(), mode.try_into()) else {
        return false;
    };
    let is_it = fs::symlink_metadata(path).is_ok_and(|found| {
        let name = (i64::try_from(found.dev()), i64::try_from(found.rdev()));
        name == (Ok(dev), Ok(rdev))
            && found.uid() == geteuid().as_raw()
            && changed_ns(found.ctime(), found.ctime_nsec()) == changed
    });
    if !is_it {
        return false;
    }
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(fd) = open(path, flags, Mode::empty()) else {
        return false;
    };
    restore(&fd, Owner { uid, gid, mode });
    true
}
