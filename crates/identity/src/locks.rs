//! Locks on people, roles, accounts, hosts and sessions: one small file for each, replaced whole and durable
//! before anybody hears of it. One that cannot be read is no lock that could be ignored: nothing is opened then.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use hansard_core::Lockable;
use hansard_core::lock::Target;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::files::{Files, SECRET};
use crate::hex;
use crate::limits::{
    LOCK_FILES_MAX, LOCK_MESSAGE_BYTES_MAX, LOCKS_KEPT, LOCKS_MAX, LOCKS_OF_ONE_MAX,
    LOCKS_OVER_AT_ONCE, PAGE_ROWS_MAX,
};
use crate::moment::iso;
use crate::random::{Random, draw};
use crate::registry::read_all;

/// A lock, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockRow {
    /// Its name: 16 digits, hexadecimal.
    pub id: String,
    /// Who or what is locked, as `user:anna`.
    pub target: String,
    /// What they are told; may be empty.
    pub message: String,
    /// When it was made, UTC nanoseconds since 1970.
    pub created_ns: u64,
    /// By whom.
    pub created_by: String,
    /// Until when it holds, UTC nanoseconds since 1970; `None`: until it is lifted.
    pub until_ns: Option<u64>,
}

impl LockRow {
    fn holds_at(&self, utc_ns: u64) -> bool {
        self.until_ns.is_none_or(|until| utc_ns < until)
    }

    /// What whoever is locked is told.
    #[must_use]
    pub fn words(&self) -> String {
        let until = self.until_ns.map(|ns| format!(" until {}", iso(ns)));
        let until = until.unwrap_or_default();
        match self.message.as_str() {
            "" => format!("{} is locked{until}", self.target),
            message => format!("{} is locked{until}: {message}", self.target),
        }
    }
}

/// Who makes a lock, and when.
#[derive(Debug, Clone, Copy)]
pub struct Maker<'a> {
    /// By which name.
    pub name: &'a str,
    /// Whether it is root at the service's own machine, who is bound by nothing but [`LOCKS_MAX`].
    pub is_root: bool,
    /// Now, UTC nanoseconds since 1970.
    pub utc_ns: u64,
}

/// The locks of one service.
pub struct Locks {
    directory: PathBuf,
    random: Arc<dyn Random>,
    files: Files,
    /// Held while files are written, so that two calls do not lose each other's.
    writing: Mutex<()>,
    known: RwLock<BTreeMap<String, (Target, LockRow)>>,
    changes: AtomicU64,
}

impl Locks {
    /// Opens the locks in `directory`, which is made if it is not there. Those that are over stay where they are:
    /// a clock that is ahead while a machine starts must lift none for good.
    ///
    /// # Errors
    /// `Refused` for a file that is no lock: whoever it locked would be let in. `Conflict` with more than
    /// [`LOCK_FILES_MAX`], `Retry` when the disk fails.
    pub fn open(directory: &Path, random: Arc<dyn Random>) -> Result<Self, Failure> {
        let files = Files::default();
        files.make_directory(directory)?;
        let mut known = BTreeMap::new();
        for (name, row) in read_all::<LockRow>(directory, LOCK_FILES_MAX)? {
            let target = row.and_then(|row| match row.id == name {
                true => Ok((Target::parse(&row.target)?, row)),
                false => Err("its name is another's".to_owned()),
            });
            let target = target.map_err(|why| {
                let file = directory.join(format!("{name}{SUFFIX}"));
                let file = file.display();
                Failure::Refused(format!("{file} is a lock that cannot be read: {why}"))
            })?;
            known.insert(name, target);
        }
        Ok(Self {
            directory: directory.to_owned(),
            random,
            files,
            writing: Mutex::new(()),
            known: RwLock::new(known),
            changes: AtomicU64::new(0),
        })
    }

    /// Makes a lock that does not hold yet, so that it can be put on record first.
    ///
    /// # Errors
    /// `Malformed` for a message too long or a time that is over, `Conflict` at [`LOCKS_MAX`], before that for
    /// whoever is not root ([`LOCKS_KEPT`], [`LOCKS_OF_ONE_MAX`]), `Retry` without randomness.
    pub fn prepare(
        &self,
        target: &Target,
        message: &str,
        until_ns: Option<u64>,
        maker: Maker<'_>,
    ) -> Result<LockRow, Failure> {
        if message.len() > LOCK_MESSAGE_BYTES_MAX || message.contains(char::is_control) {
            return Err(Failure::Malformed(format!(
                "a lock's message is one line of at most {LOCK_MESSAGE_BYTES_MAX} bytes"
            )));
        }
        if until_ns.is_some_and(|until| until <= maker.utc_ns) {
            return Err(Failure::Malformed("a lock that is over already".into()));
        }
        self.room(maker)?;
        let id: [u8; 8] = draw(&*self.random)?;
        Ok(LockRow {
            id: hex::encode(&id),
            target: target.to_string(),
            message: message.to_owned(),
            created_ns: maker.utc_ns,
            created_by: maker.name.to_owned(),
            until_ns,
        })
    }

    /// Whether there is room for one more. Those that are over take none.
    fn room(&self, maker: Maker<'_>) -> Result<(), Failure> {
        let known = self.known();
        let rows = known.values().map(|(_, row)| row);
        let (mut all, mut own) = (0usize, 0usize);
        for row in rows.filter(|row| row.holds_at(maker.utc_ns)) {
            all = all.saturating_add(1);
            own = own.saturating_add(usize::from(row.created_by == maker.name));
        }
        drop(known);
        let full = Failure::Conflict;
        if all >= LOCKS_MAX {
            let words = format!("there are {LOCKS_MAX} locks: lift one first");
            return Err(full(words));
        }
        if maker.is_root {
            return Ok(());
        }
        if all >= LOCKS_MAX.saturating_sub(LOCKS_KEPT) {
            let words = "there are {} locks, and the rest is for root: lift one first";
            return Err(full(words.replace("{}", &all.to_string())));
        }
        if own >= LOCKS_OF_ONE_MAX {
            let words = format!("{} has made {own} locks: lift one first", maker.name);
            return Err(full(words));
        }
        Ok(())
    }

    /// Keeps a lock: it holds from now on, also if the disk fails. Some of those that are over go.
    ///
    /// # Errors
    /// `Retry` when the disk fails: it holds until a restart then.
    pub fn keep(&self, row: &LockRow) -> Result<(), Failure> {
        let target = Target::parse(&row.target).map_err(Failure::Malformed)?;
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.put(row.id.clone(), Some((target, row.clone())));
        let bytes = serde_json::to_vec(row)
            .map_err(|e| Failure::Retry(format!("a lock cannot be written: {e}")))?;
        self.files.replace(&self.path(&row.id), &bytes, SECRET)?;
        let known = self.known();
        let over = known
            .values()
            .filter(|(_, old)| !old.holds_at(row.created_ns));
        let over = over.take(LOCKS_OVER_AT_ONCE);
        let over: Vec<String> = over.map(|(_, old)| old.id.clone()).collect();
        drop(known);
        for id in over {
            // One that cannot be removed is over all the same; the next lock tries again.
            if self.files.remove(&self.path(&id)).is_err() {
                break;
            }
            self.put(id, None);
        }
        Ok(())
    }

    /// Lifts a lock; `None` if there is none of that name.
    ///
    /// # Errors
    /// `Retry` when the disk fails: it holds as before.
    pub fn remove(&self, id: &str) -> Result<Option<LockRow>, Failure> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(row) = self.get(id) else {
            return Ok(None);
        };
        self.files.remove(&self.path(id))?;
        self.put(id.to_owned(), None);
        Ok(Some(row))
    }

    /// The lock of this name.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<LockRow> {
        self.known().get(id).map(|(_, row)| row.clone())
    }

    /// Locks that hold, by name, at most `limit` (and [`PAGE_ROWS_MAX`] and one more), after this one.
    #[must_use]
    pub fn list(&self, after: Option<&str>, limit: usize, utc_ns: u64) -> Vec<LockRow> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = after.map_or(Unbounded, Excluded);
        let known = self.known();
        let rest = known
            .range::<str, _>((from, Unbounded))
            .map(|(_, (_, row))| row);
        rest.filter(|row| row.holds_at(utc_ns))
            .take(limit.min(PAGE_ROWS_MAX.saturating_add(1)))
            .cloned()
            .collect()
    }

    /// The lock that holds somebody or something now. Cheap: nothing is read from disk.
    #[must_use]
    pub fn of(&self, who: &Lockable, utc_ns: u64) -> Option<LockRow> {
        let known = self.known();
        let mut all = known.values();
        let hit = all.find(|(target, row)| row.holds_at(utc_ns) && target.hits(who));
        hit.map(|(_, row)| row.clone())
    }

    /// A number that grows with every lock that is made or lifted.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Whether there is none at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known().is_empty()
    }

    fn path(&self, id: &str) -> PathBuf {
        self.directory.join(format!("{id}{SUFFIX}"))
    }

    fn known(&self) -> RwLockReadGuard<'_, BTreeMap<String, (Target, LockRow)>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, id: String, row: Option<(Target, LockRow)>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        match row {
            Some(row) => drop(known.insert(id, row)),
            None => drop(known.remove(&id)),
        }
        drop(known);
        self.changes.fetch_add(1, Ordering::Release);
    }
}

const SUFFIX: &str = ".json";

#[cfg(test)]
mod tests;
