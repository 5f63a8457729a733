//! Which accounts may log in while no daemon is there: noted where `hansard-shell` looks, which then
//! has nobody else to ask. And what such logins left.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use hansard_core::{Gate, Login, SessionId};
use hansard_shell::{account_of, may_break_glass};

/// Most recordings of one account that are named; how many more there are is said.
const LEFT_OF_USER_MAX: usize = 20;

/// Most files that are looked at; that there are more is said.
const ENTRIES_MAX: u64 = 1_000_000;

/// Most owners of files of whom it is asked whether they may; those of others count as of nobody who may.
const OWNERS_MAX: usize = 65_536;

/// Most notes that are looked through when the policy changes; the rest is looked at by its next login.
const NOTES_MAX: usize = 100_000;

/// Longest note, in bytes; of a longer one the account is asked for.
const NOTE_BYTES_MAX: usize = 64 * 1024;

/// A directory of notes: a file for each account, named by its number. In it stand the name and the
/// groups by which it was decided.
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
    /// be removed is removed when the policy is looked through, or by its next login.
    pub(super) fn note(&self, who: &Login, may: bool) {
        let note = self.0.join(who.uid.to_string());
        let names = std::iter::once(&who.user).chain(&who.groups);
        let text: String = names.flat_map(|name| [name.as_str(), "\n"]).collect();
        let _ = match may {
            true if text.len() <= NOTE_BYTES_MAX => fs::write(note, text),
            true => fs::write(note, ""),
            false => fs::remove_file(note),
        };
    }
}

/// Removes the notes of accounts that the policy does not let break the glass any more; answers how
/// many. One of whom nothing is known (its directory does not answer) keeps its note.
pub fn review_break_glass(notes: &Path, gate: &dyn Gate) -> usize {
    let entries = fs::read_dir(notes).into_iter().flatten().flatten();
    let mut removed = 0;
    for entry in entries.take(NOTES_MAX) {
        let uid = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        let who = uid.and_then(|uid| noted(&entry.path(), uid));
        if who.is_some_and(|who| !gate.admit(&who).break_glass)
            && fs::remove_file(entry.path()).is_ok()
        {
            removed += 1;
        }
    }
    removed
}

/// By whom it was decided.
fn noted(note: &Path, uid: u32) -> Option<Login> {
    let text = fs::read_to_string(note).ok()?;
    let mut lines = text.lines().map(str::to_owned);
    let (user, groups) = match lines.next() {
        Some(user) => (user, lines.collect()),
        // A crash while it was written left nothing in it.
        None => (account_of(uid)?.name, Vec::new()),
    };
    Some(Login {
        user,
        uid,
        groups,
        kind: "terminal".to_owned(),
    })
}

/// A recording of a login without a daemon.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Broken {
    /// Where it is.
    pub file: PathBuf,
    /// Whose: the file's owner, which only root changes.
    pub uid: u32,
}

/// What logins without a daemon left, until somebody moves it away.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BrokenGlass {
    /// The recordings, the oldest first, of accounts that may break the glass; of each at most 20.
    pub left: Vec<Broken>,
    /// How many more there are, of whom.
    pub more: BTreeMap<u32, u64>,
    /// Files of others, and what is no such recording: everybody may put files there.
    pub others: u64,
    /// There are more files than were looked at.
    pub is_cut: bool,
}

/// The recordings in this directory, which everybody may write to. Whose they are decides whether
/// they count: who may break the glass, by what is noted in `notes` and by the machine's own list.
#[must_use]
pub fn broken_glass(dir: &Path, notes: &Path) -> BrokenGlass {
    broken(dir, |uid| may_break_glass(notes, uid))
}

fn broken(dir: &Path, may: impl Fn(u32) -> bool) -> BrokenGlass {
    let mut found = BrokenGlass::default();
    let mut of_user: BTreeMap<u32, BTreeSet<PathBuf>> = BTreeMap::new();
    let mut known: BTreeMap<u32, bool> = BTreeMap::new();
    let mut seen = 0;
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        seen += 1;
        if seen > ENTRIES_MAX {
            found.is_cut = true;
            break;
        }
        let path = entry.path();
        let owner = owner_of(&path).filter(|uid| match known.get(uid) {
            Some(may) => *may,
            None if known.len() >= OWNERS_MAX => false,
            None => *known.entry(*uid).or_insert_with(|| may(*uid)),
        });
        let Some(uid) = owner else {
            found.others += 1;
            continue;
        };
        // Names begin with the time: the oldest stay.
        let left = of_user.entry(uid).or_default();
        left.insert(path);
        if left.len() > LEFT_OF_USER_MAX {
            let _ = left.pop_last();
            *found.more.entry(uid).or_default() += 1;
        }
    }
    let left = of_user
        .into_iter()
        .flat_map(|(uid, files)| files.into_iter().map(move |file| Broken { file, uid }));
    found.left = left.collect();
    found.left.sort();
    found
}

/// Whose recording it is, if it is one: a file with one name, which is a session's.
fn owner_of(path: &Path) -> Option<u32> {
    let is_named = path.extension().is_some_and(|end| end == "hansard")
        && path.file_stem()?.to_str()?.parse::<SessionId>().is_ok();
    let found = fs::symlink_metadata(path).ok().filter(|_| is_named)?;
    (found.is_file() && found.nlink() == 1).then_some(found.uid())
}

#[cfg(test)]
#[path = "glass/tests.rs"]
mod tests;
