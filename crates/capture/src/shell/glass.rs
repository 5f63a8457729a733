//! Which accounts may log in while no daemon is there: noted where `hansard-shell` looks, which then
//! has nobody else to ask.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Most recordings that are reported at a time; more are reported when these are gone.
const LEFT_MAX: usize = 100;

/// A directory of notes: a file for each account, named by its number.
#[derive(Debug)]
pub(super) struct Glass(PathBuf);

impl Glass {
    /// Everybody may see whether a note is there, and only we make one.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        match fs::create_dir(dir) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            _ => {}
        }
        fs::set_permissions(dir, fs::Permissions::from_mode(0o755))?;
        Ok(Self(dir.to_owned()))
    }

    /// What was decided last. A note that cannot be made keeps the account out, and one that cannot
    /// be removed is removed by its next login.
    pub(super) fn note(&self, uid: u32, may: bool) {
        let note = self.0.join(uid.to_string());
        let _ = match may {
            true => fs::write(note, b""),
            false => fs::remove_file(note),
        };
    }
}

/// The recordings of logins without a daemon that wait for somebody to look at them.
#[must_use]
pub fn broken_glass(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let is_recording = |path: &PathBuf| path.extension().is_some_and(|end| end == "hansard");
    let mut left: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(is_recording)
        .take(LEFT_MAX)
        .collect();
    left.sort();
    left
}
