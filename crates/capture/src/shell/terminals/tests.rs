//! Terminals are taken and given back, and nothing else is.

use std::os::fd::AsFd as _;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};

use super::*;

const ANN: Owner = Owner {
    uid: 64_001,
    gid: 5,
    mode: 0o620,
};
const BOB: Owner = Owner { uid: 64_002, ..ANN };
const TAKEN: (u32, u32) = (0, TAKEN_MODE);

/// A terminal, the directory of notes, and whoever keeps them.
struct World {
    dir: PathBuf,
    _master: OwnedFd,
    slave: OwnedFd,
    terminals: Terminals,
}

/// A new directory.
fn directory() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::SeqCst);
    let name = format!("hansard-terminals-{}-{number}", std::process::id());
    let dir = std::env::temp_dir().join(name);
    fs::create_dir(&dir).unwrap();
    dir
}

impl World {
    /// None where these tests cannot run: only root gives terminals away.
    fn new() -> Option<Self> {
        let ci = std::env::var_os("CI").is_some_and(|v| !v.is_empty() && v != "false");
        let root = geteuid().is_root();
        assert!(root || !ci, "cannot run, and CI skips nothing: not root");
        if !root {
            use std::io::Write as _;
            let _ = writeln!(io::stderr(), "skipped: not root");
            return None;
        }
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
        let master = openpt(flags).unwrap();
        unlockpt(&master).unwrap();
        let slave = ioctl_tiocgptpeer(&master, flags).unwrap();
        let dir = directory();
        let world = Self {
            terminals: Terminals::open(&dir.join("notes")).unwrap().0,
            dir,
            _master: master,
            slave,
        };
        world.becomes(ANN);
        Some(world)
    }

    /// Somebody else gives it this owner and mode.
    fn becomes(&self, owner: Owner) {
        let before = changed_ns(&fstat(&self.slave).unwrap());
        // The clock of files may stand for some milliseconds.
        while changed_ns(&fstat(&self.slave).unwrap()) == before {
            let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
            fchown(&self.slave, Some(uid), Some(gid)).unwrap();
            fchmod(&self.slave, Mode::from_raw_mode(owner.mode)).unwrap();
        }
    }

    fn is(&self) -> Owner {
        Owner::of(&fstat(&self.slave).unwrap())
    }

    fn is_taken(&self) -> bool {
        (self.is().uid, self.is().mode) == TAKEN
    }

    fn find(&self) -> Terminal {
        self.terminals.find(self.slave.as_fd(), &[]).unwrap()
    }

    fn take(&self) -> Hold {
        self.terminals.take(self.find()).unwrap()
    }

    fn notes(&self) -> usize {
        fs::read_dir(self.dir.join("notes")).unwrap().count()
    }

    /// The daemon is killed, and the next one starts.
    fn restart(&self, hold: Hold) -> Restored {
        Box::leak(Box::new(hold));
        Terminals::open(&self.dir.join("notes")).unwrap().1
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

#[test]
fn a_terminal_is_taken_as_long_as_anybody_is_on_it() {
    let Some(world) = World::new() else { return };
    let (one, other) = (world.take(), world.take());
    assert!(world.is_taken());
    drop(one);
    assert!(world.is_taken());
    drop(other);
    assert_eq!((world.is(), world.notes()), (ANN, 0));
}

#[test]
fn a_login_that_comes_as_another_goes_gives_back_what_was_before_both() {
    let Some(world) = World::new() else { return };
    let one = world.take();
    // Found while it is taken, and taken when it is its user's again.
    let found = world.find();
    drop(one);
    let other = world.terminals.take(found).unwrap();
    assert!(world.is_taken());
    drop(other);
    assert_eq!(world.is(), ANN);
}

#[test]
fn what_has_a_new_owner_is_not_given_back() {
    let console = Owner {
        uid: 0,
        mode: TAKEN_MODE,
        ..ANN
    };
    for new in [BOB, console] {
        let Some(world) = World::new() else { return };
        let hold = world.take();
        world.becomes(new);
        drop(hold);
        assert_eq!((world.is(), world.notes()), (new, 0));
        // Nor by the next start.
        world.becomes(ANN);
        let hold = world.take();
        world.becomes(new);
        let (given_back, gone) = (0, 1);
        let expected = Restored { given_back, gone };
        assert_eq!(world.restart(hold), expected);
        assert_eq!(world.is(), new);
    }
}

#[test]
fn a_new_owners_login_takes_it_again() {
    let Some(world) = World::new() else { return };
    let ann = world.take();
    world.becomes(BOB);
    let bob = world.take();
    assert!(world.is_taken());
    drop(ann);
    assert!(world.is_taken());
    drop(bob);
    assert_eq!((world.is(), world.notes()), (BOB, 0));
}

#[test]
fn the_next_start_gives_back_what_a_killed_one_had() {
    let Some(world) = World::new() else { return };
    let hold = world.take();
    let number = rustix::fs::minor(world.find().name().1);
    let note = fs::read_dir(world.dir.join("notes")).unwrap().next();
    let note = fs::read_to_string(note.unwrap().unwrap().path()).unwrap();
    assert!(
        note.ends_with(&format!(" /dev/pts/{number}\n")),
        "{note:?}: not by a name that a user can choose"
    );
    let (given_back, gone) = (1, 0);
    assert_eq!(world.restart(hold), Restored { given_back, gone });
    assert_eq!((world.is(), world.notes()), (ANN, 0));
}

#[test]
fn a_name_comes_of_the_number() {
    let of = |major, minor| pts_path(rustix::fs::makedev(major, minor));
    assert_eq!(of(136, 3), Some(PathBuf::from("/dev/pts/3")));
    assert_eq!(of(136, 300), Some(PathBuf::from("/dev/pts/300")));
    assert_eq!(of(137, 1), Some(PathBuf::from("/dev/pts/257")));
    assert_eq!(of(4, 1), None);
    assert_eq!(of(144, 1), None);
}

#[test]
fn what_was_asked_is_what_is_opened() {
    let dir = directory();
    for name in ["right", "wrong"] {
        fs::create_dir(dir.join(name)).unwrap();
        fs::write(dir.join(name).join("3"), name).unwrap();
    }
    let (link, path) = (dir.join("d"), dir.join("d/3"));
    let point_to = |name: &str| {
        let _ = fs::remove_file(&link);
        symlink(dir.join(name), &link).unwrap();
    };
    let number = |name: &str| fs::metadata(dir.join(name).join("3")).unwrap().ino();
    let right = number("right");
    // Swapped as soon as it was looked at.
    point_to("right");
    let swapped = AtomicBool::new(false);
    let opened = open_if(&path, |found| {
        let is_first = !swapped.swap(true, Ordering::SeqCst);
        if is_first {
            point_to("wrong");
        }
        is_first || found.st_ino == right
    });
    assert_eq!(fstat(opened.unwrap()).unwrap().st_ino, right);
    // What is not it is not opened, nor what a link leads to.
    assert!(open_if(&path, |found| found.st_ino == right).is_none());
    symlink(dir.join("right/3"), dir.join("link")).unwrap();
    assert!(open_if(&dir.join("link"), |found| found.st_ino == right).is_none());
    fs::remove_dir_all(&dir).unwrap();
}
