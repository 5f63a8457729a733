//! Links to sessions for people without an account: one small file for each, replaced whole and
//! durable before anybody hears of it. A file that is damaged opens nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use hansard_core::SessionId;

use crate::failure::{Failure, about};
use crate::files::{self, Files, SECRET};
use crate::hex;
use crate::limits::{PAGE_ROWS_MAX, SHARE_KEPT_NS, SHARES_MAX};
use crate::random::Random;
use crate::share::{Secret, Share, ShareRow, Wish};

const SUFFIX: &str = ".json";

/// The links of one service.
pub struct Shares {
    directory: PathBuf,
    random: Arc<dyn Random>,
    files: Files,
    /// Held while files are written, so that two calls do not lose each other's.
    writing: Mutex<()>,
    known: RwLock<BTreeMap<String, ShareRow>>,
}

/// A link that is ready to be kept: until it is, it opens nothing.
#[derive(Debug)]
pub struct Prepared {
    /// The link.
    pub share: Share,
    /// What opens it. Said once.
    pub secret: Secret,
    row: ShareRow,
}

impl Shares {
    /// Opens the links in `directory`, which is made if it is not there; and what about it cannot be
    /// read, as names and reasons.
    ///
    /// # Errors
    /// `Conflict` with more than [`SHARES_MAX`], `Retry` when the disk fails.
    pub fn open(
        directory: &Path,
        random: Arc<dyn Random>,
    ) -> Result<(Self, Vec<(String, String)>), Failure> {
        let files = Files::default();
        files.make_directory(directory)?;
        let (mut known, mut unreadable) = (BTreeMap::new(), Vec::new());
        for entry in fs::read_dir(directory).map_err(|e| about(directory, &e))? {
            let entry = entry.map_err(|e| about(directory, &e))?;
            let file = entry.file_name();
            let Some(name) = file.to_str().and_then(|n| n.strip_suffix(SUFFIX)) else {
                continue;
            };
            if name.starts_with('.') {
                continue;
            }
            if known.len() == SHARES_MAX {
                let shown = directory.display();
                let words = format!("{shown}: more than {SHARES_MAX} links");
                return Err(Failure::Conflict(words));
            }
            match row_of(&entry.path(), name)? {
                Ok(row) => drop(known.insert(name.to_owned(), row)),
                Err(why) => unreadable.push((name.to_owned(), why)),
            }
        }
        let shares = Self {
            directory: directory.to_owned(),
            random,
            files,
            writing: Mutex::new(()),
            known: RwLock::new(known),
        };
        Ok((shares, unreadable))
    }

    /// Makes a link that opens nothing yet, so that it can be put on record first.
    ///
    /// # Errors
    /// `Malformed` as [`Wish::check`], `Conflict` at [`SHARES_MAX`], `Retry` without randomness.
    pub fn prepare(&self, wish: &Wish, by: &str, utc_ns: u64) -> Result<Prepared, Failure> {
        wish.check()?;
        let is_old = |row: &ShareRow| is_old(row, utc_ns);
        let known = self.known();
        let kept = known.values().filter(|row| !is_old(row)).count();
        drop(known);
        if kept >= SHARES_MAX {
            let words = format!(
                "there are {SHARES_MAX} links; those that expired {} days ago make room",
                SHARE_KEPT_NS / (24 * 3600 * 1_000_000_000)
            );
            return Err(Failure::Conflict(words));
        }
        let secret = Secret::new(&*self.random)?;
        let row = ShareRow::new(wish, &secret, by, utc_ns);
        let share = row
            .share()
            .ok_or_else(|| Failure::Malformed("a link leads to a session".to_owned()))?;
        Ok(Prepared { share, secret, row })
    }

    /// Keeps a link: it opens its session from now on. Links that are over for long make room.
    ///
    /// # Errors
    /// `Conflict` at [`SHARES_MAX`], `Retry` when the disk fails.
    pub fn keep(&self, prepared: &Prepared) -> Result<(), Failure> {
        let _writing = self.writing();
        let utc_ns = prepared.share.created_ns;
        let known = self.known();
        let old = known.values().filter(|row| is_old(row, utc_ns));
        let old: Vec<String> = old.map(|row| row.id.clone()).collect();
        drop(known);
        for id in old {
            self.files.remove(&self.path(&id))?;
            self.known_mut().remove(&id);
        }
        if self.known().len() >= SHARES_MAX {
            let words = format!("there are {SHARES_MAX} links: others came first");
            return Err(Failure::Conflict(words));
        }
        self.put(prepared.row.clone())
    }

    /// Revokes a link: it opens nothing from now on. Doing it twice is doing it once. `false` if there
    /// is none of that name.
    ///
    /// # Errors
    /// `Retry` when the disk fails; it opens nothing then either, until a restart.
    pub fn revoke(&self, id: &str, by: &str, utc_ns: u64) -> Result<bool, Failure> {
        let _writing = self.writing();
        let Some(mut row) = self.known().get(id).cloned() else {
            return Ok(false);
        };
        // One that was revoked is written again: a disk may have failed the first time.
        if row.revoked_ns.is_none() {
            row.revoked_ns = Some(utc_ns);
            row.revoked_by = Some(by.to_owned());
        }
        // Closed first: who revokes wants it closed, whatever the disk does. A crash here leaves it
        // open, and whoever revoked it without an answer.
        self.known_mut().insert(id.to_owned(), row.clone());
        self.put(row)?;
        Ok(true)
    }

    /// The link that this secret is of, whether or not it still holds. Cheap: nothing is read from
    /// disk.
    #[must_use]
    pub fn of(&self, secret: &Secret) -> Option<Share> {
        let known = self.known();
        let row = known.get(&secret.id())?;
        (row.secret_sha256 == hex::encode(&secret.digest()))
            .then(|| row.share())
            .flatten()
    }

    /// A link by its name.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Share> {
        self.known().get(id).and_then(ShareRow::share)
    }

    /// Links by name, at most `limit` (and [`PAGE_ROWS_MAX`] and one more), after this one; those to
    /// this session, where one is named.
    #[must_use]
    pub fn list(
        &self,
        session: Option<SessionId>,
        after: Option<&str>,
        limit: usize,
    ) -> Vec<Share> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = after.map_or(Unbounded, Excluded);
        let known = self.known();
        let rest = known.range::<str, _>((from, Unbounded));
        rest.filter_map(|(_, row)| row.share())
            .filter(|share| session.is_none_or(|session| share.session == session))
            .take(limit.min(PAGE_ROWS_MAX.saturating_add(1)))
            .collect()
    }

    fn put(&self, row: ShareRow) -> Result<(), Failure> {
        let bytes = serde_json::to_vec(&row)
            .map_err(|e| Failure::Retry(format!("a link cannot be written: {e}")))?;
        self.files.replace(&self.path(&row.id), &bytes, SECRET)?;
        self.known_mut().insert(row.id.clone(), row);
        Ok(())
    }

    fn path(&self, id: &str) -> PathBuf {
        self.directory.join(format!("{id}{SUFFIX}"))
    }

    fn writing(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> RwLockReadGuard<'_, BTreeMap<String, ShareRow>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn known_mut(&self) -> RwLockWriteGuard<'_, BTreeMap<String, ShareRow>> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_old(row: &ShareRow, utc_ns: u64) -> bool {
    row.expires_ns.saturating_add(SHARE_KEPT_NS) <= utc_ns
}

/// The row of a file, or what is wrong with it.
fn row_of(path: &Path, name: &str) -> Result<Result<ShareRow, String>, Failure> {
    let bytes = match files::read(path) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(Err("it is gone".to_owned())),
        Err(Failure::Retry(why)) => return Err(Failure::Retry(why)),
        Err(other) => return Ok(Err(other.to_string())),
    };
    let row: ShareRow = match serde_json::from_slice(&bytes) {
        Ok(row) => row,
        Err(error) => return Ok(Err(error.to_string())),
    };
    Ok(match (row.id == name, row.share().is_some()) {
        (true, true) => Ok(row),
        (false, _) => Err("it is about another link".to_owned()),
        (true, false) => Err("it names no session".to_owned()),
    })
}

#[cfg(test)]
mod tests;
