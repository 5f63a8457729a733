//! The kernel's programs and what they know, pinned in a bpf file system (bpf(2), `BPF_OBJ_PIN`): they stay
//! when the daemon ends, however it ends, and the next one takes them up.
//!
//! `DIR/KEY/` has a file for each program that is attached and for each map that the reader needs. KEY is a
//! digest of the programs and of all that they were told when they were loaded: a daemon that would load
//! others does that, and removes these. The map `owners` is pinned last. Where it is not there, a crash cut a
//! start short: what is there is removed, too.

use std::fmt;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use libbpf_rs::{Link, MapHandle};
use sha2::{Digest as _, Sha256};

use super::Unsupported;
use super::kernel::Maps;
use super::living;

/// What `statfs` answers of a bpf file system: `BPF_FS_MAGIC` of the kernel.
const BPF_FS: u64 = 0xcafe_4a11;

/// Bytes of a key's digest that its name shows.
const KEY_BYTES: usize = 8;

/// The map that says that the rest is whole.
const LAST: &str = "owners";

/// Where one way of loading the programs is pinned.
pub(super) struct Place {
    all: PathBuf,
    here: PathBuf,
}

impl Place {
    /// Below this directory, for programs that were told this.
    pub(super) fn new(all: &Path, told: &[&[u8]]) -> Self {
        let mut digest = Sha256::new();
        for part in told {
            // Lengths between them: no two ways of saying different things look alike.
            digest.update(part.len().to_ne_bytes());
            digest.update(part);
        }
        let digest = digest.finalize();
        let key: String = digest
            .iter()
            .take(KEY_BYTES)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Self {
            all: all.to_owned(),
            here: all.join(key),
        }
    }

    /// What the last daemon left here, if that is whole.
    pub(super) fn left(&self, tags: &'static str) -> Option<Maps> {
        Maps::find(tags, |name| {
            MapHandle::from_pinned_path(self.here.join(name))
        })
        .ok()
    }

    /// What the last daemon asked whose tasks there are.
    pub(super) fn left_living(&self) -> Option<Link> {
        Link::open(self.here.join(living::PROGRAM)).ok()
    }

    /// Pins all of this, and removes what was loaded otherwise. A crash in here leaves what the next start
    /// removes.
    pub(super) fn keep(
        &self,
        (links, living): (&mut [Link], Option<&mut Link>),
        maps: &mut Maps,
    ) -> Result<(), Unsupported> {
        let _ = fs::remove_dir_all(&self.here);
        let mut dirs = DirBuilder::new();
        dirs.recursive(true).mode(0o700);
        dirs.create(&self.here)
            .map_err(|e| unusable(&self.here, &e))?;
        let numbered = (0..)
            .zip(links)
            .map(|(n, link)| (format!("program-{n}"), link));
        let living = living.map(|link| (living::PROGRAM.to_owned(), link));
        for (name, link) in numbered.chain(living) {
            let path = self.here.join(name);
            link.pin(&path).map_err(|e| unusable(&path, &e))?;
        }
        let (last, first): (Vec<_>, Vec<_>) = maps
            .named()
            .into_iter()
            .partition(|(name, _)| *name == LAST);
        for (name, map) in first.into_iter().chain(last) {
            let path = self.here.join(name);
            map.pin(&path).map_err(|e| unusable(&path, &e))?;
        }
        self.remove_others();
        Ok(())
    }

    /// Ends the programs that a daemon with another object or configuration left.
    fn remove_others(&self) {
        let all = fs::read_dir(&self.all).into_iter().flatten().flatten();
        for other in all.filter(|entry| entry.path() != self.here) {
            // What cannot be removed tells a ring that nobody reads: it costs something, and does no harm.
            let _ = fs::remove_dir_all(other.path());
        }
    }
}

/// Whether programs may be pinned below this directory.
pub(super) fn is_possible(dir: &Path) -> Result<(), Unsupported> {
    // It need not be there yet.
    let there = dir.ancestors().find(|dir| dir.exists());
    let there = there.unwrap_or(Path::new("/"));
    let about = rustix::fs::statfs(there).map_err(|e| unusable(dir, &e))?;
    if u64::try_from(about.f_type).ok() == Some(BPF_FS) {
        return Ok(());
    }
    Err(Unsupported {
        what: format!("{} is in no bpf file system", dir.display()),
        next: "mount one (mount -t bpf bpf /sys/fs/bpf), or switch capture.host.pinned off"
            .to_owned(),
    })
}

fn unusable(path: &Path, why: &dyn fmt::Display) -> Unsupported {
    Unsupported {
        what: format!("programs cannot be pinned at {}: {why}", path.display()),
        next: "give the daemon's account that directory (the unit does it with ExecStartPre), or switch \
               capture.host.pinned off"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_says_all_that_the_programs_were_told() {
        let key = |told: &[&[u8]]| Place::new(Path::new("/x"), told).here;
        assert_eq!(key(&[b"a", b"b"]), key(&[b"a", b"b"]));
        assert_ne!(key(&[b"a", b"b"]), key(&[b"ab", b""]));
        assert_eq!(key(&[]).to_str().unwrap().len(), "/x/".len() + 16);
    }

    #[test]
    fn another_file_system_is_refused_with_what_to_do() {
        let why = is_possible(Path::new("/proc/none/such")).unwrap_err();
        assert!(why.what.contains("/proc/none/such"), "{why}");
        assert!(why.next.contains("mount -t bpf"), "{}", why.next);
    }
}
