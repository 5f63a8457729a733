//! The terminals that logins came on: root's while their session lasts, so that nobody writes to
//! them or reads from them beside the recorder; and their users' again on every way out.
//!
//! What a terminal was is noted in a file before it is changed. A daemon that is killed leaves the
//! file, and the next one gives the terminal back, if it still is the one that was taken: the time
//! of its last change says so, for a new terminal with an old number has another. What somebody
//! else has changed since is theirs, and is left as it is.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hansard_shell::terminal_device;
use rustix::fs::{Gid, Mode, OFlags, Stat, Uid, fchmod, fchown, fstat, open};
use rustix::process::geteuid;

/// First and last device major of pseudo-terminals.
const PTS_MAJORS: std::ops::RangeInclusive<u64> = 136..=143;

/// The mode of a terminal that is taken.
const TAKEN_MODE: u32 = 0o600;

/// How a terminal is opened: nobody waits for it, and it becomes nobody's controlling terminal.
const OPENED: OFlags = OFlags::RDWR
    .union(OFlags::NOCTTY)
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC);

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

/// A terminal's file system and device: device numbers alone are those of one `/dev/pts`, and
/// everybody can have a `/dev/pts` of their own.
pub(super) type Name = (u64, u64);

/// A terminal that was found, and is not taken yet.
#[derive(Debug)]
pub(super) struct Terminal {
    fd: OwnedFd,
    name: Name,
}

impl Terminal {
    /// What it is known by.
    pub(super) fn name(&self) -> Name {
        self.name
    }
}

#[derive(Debug)]
struct Taken {
    /// What gives it back.
    fd: OwnedFd,
    before: Owner,
    /// When that changed it, in nanoseconds since 1970.
    changed_ns: i64,
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
    /// It is not given back.
    stays: bool,
}

impl Terminals {
    /// Gives back what the last process had taken.
    ///
    /// # Errors
    /// When the directory of notes cannot be made or read.
    pub fn open(notes: &Path) -> io::Result<(Self, Restored)> {
        Self::open_but(notes, &[])
    }

    /// The same but for these, which stay taken: their logins go on.
    ///
    /// # Errors
    /// As [`Terminals::open`].
    pub(super) fn open_but(notes: &Path, kept: &[BorrowedFd<'_>]) -> io::Result<(Self, Restored)> {
        match fs::DirBuilder::new().mode(0o700).create(notes) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            _ => {}
        }
        let mut restored = Restored::default();
        let mut taken = HashMap::new();
        for fd in kept {
            let stat = fstat(fd)?;
            let name = (stat.st_dev, stat.st_rdev);
            if let Some(still) = still_taken(&note_of(notes, name), *fd, &stat) {
                taken.insert(name, still);
            }
        }
        for entry in fs::read_dir(notes)?.take(NOTES_MAX) {
            let path = entry?.path();
            if taken.keys().any(|name| note_of(notes, *name) == path) {
                continue;
            }
            match give_back(&path) {
                true => restored.given_back += 1,
                false => restored.gone += 1,
            }
            fs::remove_file(&path)?;
        }
        let shared = Shared {
            notes: notes.to_owned(),
            taken: Mutex::new(taken),
        };
        Ok((Self(Arc::new(shared)), restored))
    }

    /// Finds the terminal itself behind a descriptor, which may have been opened as `/dev/tty`:
    /// changing that would change it for everybody.
    ///
    /// All that `/dev/tty` tells is a number, and in a `/dev/pts` of their own anybody can have any
    /// number. The terminal that has it here counts only if it is one of these users'.
    ///
    /// # Errors
    /// When it is none that has a name, or it is somebody else's.
    pub(super) fn find(&self, fd: BorrowedFd<'_>, of_users: &[u32]) -> io::Result<Terminal> {
        let device = terminal_device(fd).ok_or(io::ErrorKind::Unsupported)?;
        let stat = fstat(fd)?;
        if stat.st_rdev == device {
            let (fd, name) = (fd.try_clone_to_owned()?, (stat.st_dev, stat.st_rdev));
            return Ok(Terminal { fd, name });
        }
        let path = pts_path(device).ok_or(io::ErrorKind::Unsupported)?;
        let fd = open(path, OPENED, Mode::empty())?;
        // Locked, so that whose it is now and whose it was before are of one moment.
        let taken = self.0.lock();
        let stat = fstat(&fd)?;
        let name = (stat.st_dev, stat.st_rdev);
        let taken = taken.get(&name).filter(|taken| taken.is_still(&stat));
        let owner = taken.map_or(stat.st_uid, |taken| taken.before.uid);
        match stat.st_rdev == device && of_users.contains(&owner) {
            true => Ok(Terminal { fd, name }),
            false => Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "the terminal with its number is somebody else's",
            )),
        }
    }

    /// Takes a terminal.
    ///
    /// # Errors
    /// When it cannot be taken: whoever may open it by its name can read and write beside us.
    pub(super) fn take(&self, terminal: Terminal) -> io::Result<Hold> {
        let Terminal { fd, name } = terminal;
        let mut taken = self.0.lock();
        // Only now: another login on it may have given it back a moment ago.
        let stat = fstat(&fd)?;
        let mut sessions = 1;
        if let Some(there) = taken.get_mut(&name) {
            sessions += there.sessions;
            if there.is_still(&stat) {
                there.sessions = sessions;
                let of = Arc::clone(&self.0);
                return Ok(Hold {
                    of,
                    name,
                    stays: false,
                });
            }
            // It has a new owner since, or is another one with an old number.
        }
        let before = Owner::of(&stat);
        let note = self.0.note(name);
        let path = match pts_path(name.1) {
            Some(path) => path,
            None => path_of(&fd)?,
        };
        // A crash between the two notes leaves the terminal root's: whoever has it open keeps
        // it, and the next login on it is given it by the system.
        fs::write(&note, line(before, name, 0, &path))?;
        let changed = change(&fd, before).and_then(|at_ns| {
            // A crash before this is one between the two notes; failing is undone.
            let noted = fs::write(&note, line(before, name, at_ns, &path));
            noted
                .map(|()| at_ns)
                .inspect_err(|_| restore(&fd, before, at_ns))
        });
        let changed_ns = match changed {
            Ok(at_ns) => at_ns,
            Err(e) => {
                let _ = fs::remove_file(&note);
                return Err(e);
            }
        };
        let now = Taken {
            fd,
            before,
            changed_ns,
            sessions,
        };
        taken.insert(name, now);
        let of = Arc::clone(&self.0);
        Ok(Hold {
            of,
            name,
            stays: false,
        })
    }
}

impl Taken {
    /// Whether it is as it was taken, by what the system says of it now.
    fn is_still(&self, now: &Stat) -> bool {
        is_ours(now, self.changed_ns)
    }
}

impl Owner {
    fn of(stat: &Stat) -> Self {
        Self {
            uid: stat.st_uid,
            gid: stat.st_gid,
            mode: stat.st_mode & 0o7777,
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, HashMap<Name, Taken>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, name: Name) -> PathBuf {
        note_of(&self.notes, name)
    }
}

impl Hold {
    /// It stays taken, also when this process ends: whoever comes next finds the note.
    pub(super) fn leave(mut self) {
        self.stays = true;
    }
}

fn note_of(notes: &Path, (dev, rdev): Name) -> PathBuf {
    notes.join(format!("{dev}-{rdev}"))
}

/// A terminal that the last process had taken, if it still is as that made it. Nobody is on it yet.
fn still_taken(note: &Path, fd: BorrowedFd<'_>, now: &Stat) -> Option<Taken> {
    let noted = Noted::read(note)?;
    is_ours(now, noted.changed_ns).then_some(())?;
    Some(Taken {
        fd: fd.try_clone_to_owned().ok()?,
        before: noted.before,
        changed_ns: noted.changed_ns,
        sessions: 0,
    })
}

impl Drop for Hold {
    fn drop(&mut self) {
        if self.stays {
            return;
        }
        let mut all = self.of.lock();
        let Some(taken) = all.get_mut(&self.name) else {
            return;
        };
        taken.sessions = taken.sessions.saturating_sub(1);
        if taken.sessions > 0 {
            return;
        }
        if let Some(taken) = all.remove(&self.name) {
            restore(&taken.fd, taken.before, taken.changed_ns);
            let _ = fs::remove_file(self.of.note(self.name));
        }
    }
}

/// What the terminal behind a descriptor of ours is known by.
pub(super) fn name_of(fd: BorrowedFd<'_>) -> Option<Name> {
    let stat = fstat(fd).ok()?;
    Some((stat.st_dev, stat.st_rdev))
}

/// Where a pseudo-terminal with this number is to be found here; whoever has it open may see it
/// under any name, in directories of their own. `None` for other terminals.
fn pts_path(device: u64) -> Option<PathBuf> {
    let major = u64::from(rustix::fs::major(device));
    let number = major.checked_sub(*PTS_MAJORS.start())? * 256;
    let number = number + u64::from(rustix::fs::minor(device));
    let is_pts = PTS_MAJORS.contains(&major);
    is_pts.then(|| PathBuf::from(format!("/dev/pts/{number}")))
}

pub(super) fn path_of(fd: &impl AsFd) -> io::Result<PathBuf> {
    fs::read_link(path_to(fd))
}

/// What leads to the file of a descriptor, whatever its name is by now.
fn path_to(fd: &impl AsFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd()))
}

/// Makes it ours alone; answers when it was last changed by that. It is as it was when this fails.
fn change(fd: &OwnedFd, before: Owner) -> io::Result<i64> {
    // The mode first: in between nobody has more than before.
    fchmod(fd, Mode::from_raw_mode(TAKEN_MODE))?;
    let owned = fchown(fd, Some(geteuid()), None);
    if let Err(e) = owned {
        let _ = fchmod(fd, Mode::from_raw_mode(before.mode));
        return Err(e.into());
    }
    Ok(changed_ns(&fstat(fd)?))
}

fn changed_ns(stat: &Stat) -> i64 {
    let ns = i64::try_from(stat.st_ctime_nsec).unwrap_or(0);
    stat.st_ctime
        .saturating_mul(1_000_000_000)
        .saturating_add(ns)
}

/// Whether a terminal is as we made it then. Everybody who gives it a new owner or mode changes the
/// time as well, also where both are the same as ours (a console between two logins is).
fn is_ours(now: &Stat, since_ns: i64) -> bool {
    let ours = (geteuid().as_raw(), TAKEN_MODE);
    (now.st_uid, now.st_mode & 0o7777) == ours && changed_ns(now) == since_ns
}

/// Leaves it as it is when it is gone, or not as we made it any more.
fn restore(fd: &OwnedFd, before: Owner, since_ns: i64) {
    if !fstat(fd).is_ok_and(|now| is_ours(&now, since_ns)) {
        return;
    }
    let (uid, gid) = (Uid::from_raw(before.uid), Gid::from_raw(before.gid));
    let _ = fchown(fd, Some(uid), Some(gid));
    let _ = fchmod(fd, Mode::from_raw_mode(before.mode));
}

fn line(before: Owner, (dev, rdev): Name, changed_ns: i64, path: &Path) -> String {
    let Owner { uid, gid, mode } = before;
    let path = path.display();
    format!("{uid} {gid} {mode} {dev} {rdev} {changed_ns} {path}\n")
}

/// What a note says.
struct Noted {
    before: Owner,
    dev: i64,
    rdev: i64,
    changed_ns: i64,
    path: PathBuf,
}

impl Noted {
    fn read(note: &Path) -> Option<Self> {
        let text = fs::read_to_string(note).ok()?;
        let mut words = text.trim_end().splitn(7, ' ');
        let mut number = || words.next()?.parse::<i64>().ok();
        let (uid, gid, mode) = (number()?, number()?, number()?);
        let (dev, rdev, changed_ns) = (number()?, number()?, number()?);
        let before = Owner {
            uid: uid.try_into().ok()?,
            gid: gid.try_into().ok()?,
            mode: mode.try_into().ok()?,
        };
        let path = PathBuf::from(words.next()?);
        Some(Self {
            before,
            dev,
            rdev,
            changed_ns,
            path,
        })
    }
}

/// Gives back the terminal of a note, if it still is the one that was taken.
fn give_back(note: &Path) -> bool {
    let Some(noted) = Noted::read(note) else {
        return false;
    };
    let is_it = |found: &Stat| {
        let name = (i64::try_from(found.st_dev), i64::try_from(found.st_rdev));
        name == (Ok(noted.dev), Ok(noted.rdev)) && is_ours(found, noted.changed_ns)
    };
    let Some(fd) = open_if(&noted.path, is_it) else {
        return false;
    };
    restore(&fd, noted.before, noted.changed_ns);
    true
}

/// Opens a file that is what it should be. Whoever has a directory on the way can put another there
/// at any moment: what is asked and what is opened is one file, found once, and one that is not
/// asked for is not opened.
fn open_if(path: &Path, is_it: impl Fn(&Stat) -> bool) -> Option<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let found = open(path, flags, Mode::empty()).ok()?;
    let right = |fd: &OwnedFd| fstat(fd).is_ok_and(|stat| is_it(&stat));
    if !right(&found) {
        return None;
    }
    let fd = open(path_to(&found), OPENED, Mode::empty()).ok()?;
    right(&fd).then_some(fd)
}

#[cfg(test)]
#[path = "terminals/tests.rs"]
mod tests;
