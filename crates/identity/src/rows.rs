//! Small tables: a file for each row, replaced whole and durable before anybody hears of it. One that is
//! damaged is no row, and harms no other.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::failure::{Failure, about};
use crate::files::{self, Files, SECRET};

const SUFFIX: &str = ".json";

/// What a table is of.
pub(crate) trait Row: Serialize + DeserializeOwned {
    /// One of it and several, in messages.
    const CALLED: (&'static str, &'static str);
    /// Most of them.
    const MAX: usize;

    /// By what it is known: its file's name.
    fn name(&self) -> &str;

    /// What is wrong with it, read from a file.
    fn check(&self) -> Result<(), &'static str>;
}

/// A table, in memory and on disk.
pub(crate) struct Rows<R> {
    directory: PathBuf,
    files: Files,
    /// Held while files are written, so that two calls do not lose each other's.
    writing: Mutex<()>,
    known: RwLock<BTreeMap<String, R>>,
}

impl<R: Row> Rows<R> {
    /// Opens those in `directory`, which is made if it is not there; and what cannot be read, as names and
    /// reasons.
    ///
    /// # Errors
    /// `Conflict` with more than [`Row::MAX`], `Retry` when the disk fails.
    pub(crate) fn open(directory: &Path) -> Result<(Self, Vec<(String, String)>), Failure> {
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
            if known.len() == R::MAX {
                let (shown, max, (_, many)) = (directory.display(), R::MAX, R::CALLED);
                let words = format!("{shown}: more than {max} {many}");
                return Err(Failure::Conflict(words));
            }
            match row_of::<R>(&entry.path(), name)? {
                Ok(row) => drop(known.insert(name.to_owned(), row)),
                Err(why) => unreadable.push((name.to_owned(), why)),
            }
        }
        let rows = Self {
            directory: directory.to_owned(),
            files,
            writing: Mutex::new(()),
            known: RwLock::new(known),
        };
        Ok((rows, unreadable))
    }

    /// Writes a row, in the place of one of its name; whoever calls it holds [`Self::writing`].
    ///
    /// # Errors
    /// `Retry` when the disk fails.
    pub(crate) fn put(&self, row: R) -> Result<(), Failure> {
        let bytes = serde_json::to_vec(&row).map_err(|e| {
            let (one, _) = R::CALLED;
            Failure::Retry(format!("a {one} cannot be written: {e}"))
        })?;
        let name = row.name().to_owned();
        self.files.replace(&self.path(&name), &bytes, SECRET)?;
        self.known_mut().insert(name, row);
        Ok(())
    }

    /// Removes a row, if it is there; whoever calls it holds [`Self::writing`].
    ///
    /// # Errors
    /// `Retry` when the disk fails.
    pub(crate) fn remove(&self, name: &str) -> Result<(), Failure> {
        self.files.remove(&self.path(name))?;
        self.known_mut().remove(name);
        Ok(())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}{SUFFIX}"))
    }

    pub(crate) fn writing(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn known(&self) -> RwLockReadGuard<'_, BTreeMap<String, R>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn known_mut(&self) -> RwLockWriteGuard<'_, BTreeMap<String, R>> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The row of a file, or what is wrong with it.
fn row_of<R: Row>(path: &Path, name: &str) -> Result<Result<R, String>, Failure> {
    let bytes = match files::read(path) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(Err("it is gone".to_owned())),
        Err(Failure::Retry(why)) => return Err(Failure::Retry(why)),
        Err(other) => return Ok(Err(other.to_string())),
    };
    let row: R = match serde_json::from_slice(&bytes) {
        Ok(row) => row,
        Err(error) => return Ok(Err(error.to_string())),
    };
    if row.name() != name {
        let (one, _) = R::CALLED;
        return Ok(Err(format!("it is about another {one}")));
    }
    Ok(match row.check() {
        Ok(()) => Ok(row),
        Err(why) => Err(why.to_owned()),
    })
}
