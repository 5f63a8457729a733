//! Versions of the policy on disk: a file for each, there whole or not at all, durable when written.
//!
//! What a crash leaves: a draft, which means nothing and is replaced by the next one; or the new
//! version, whole. The newest sound file is the policy; one that is damaged is passed over and told.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hansard_identity::hex;
use hansard_record::disk::{Disk, read_full_at, write_all_at};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::config::policy::POLICY_BYTES_MAX;

/// Versions that a service keeps; beyond them the oldest file goes. The events that name them stay.
pub const VERSIONS_KEPT: usize = 1000;

/// Versions that a host keeps: the one in force, and the one before it.
pub const VERSIONS_KEPT_BY_HOST: usize = 2;

/// Longest file that is read; a text with every byte escaped is shorter.
const FILE_BYTES_MAX: u64 = POLICY_BYTES_MAX as u64 * 6 + 16 * 1024;

/// How a name of a version ends.
const ENDING: &str = ".json";

/// The name of what is not finished.
const DRAFT: &str = ".draft";

/// One version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Its number, from 1.
    pub version: u64,
    /// When it was set (at a host: when it came), UTC nanoseconds since 1970.
    pub utc_ns: u64,
    /// Who set it; empty at a host.
    pub by: String,
    /// Why; empty where nobody said.
    pub reason: String,
    /// SHA-256 of the text, in hexadecimal.
    pub sha256: String,
    /// The text.
    pub text: String,
}

impl Stored {
    /// The digest as bytes.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.text.as_bytes()).into()
    }

    fn is_sound(&self, version: u64) -> bool {
        self.version == version && self.sha256 == sha256_of(&self.text)
    }
}

/// SHA-256 of a text, in hexadecimal.
#[must_use]
pub fn sha256_of(text: &str) -> String {
    hex::encode(&Sha256::digest(text.as_bytes()))
}

/// The directory of versions. One process works in it: the data directory is locked.
pub struct PolicyFiles {
    dir: PathBuf,
    disk: Arc<dyn Disk>,
    kept: usize,
}

/// What was found at a start.
#[derive(Debug, Default)]
pub struct Found {
    /// The newest sound version.
    pub newest: Option<Stored>,
    /// Files that are newer and damaged, with what is the matter. Somebody has to be told.
    pub damaged: Vec<String>,
}

impl PolicyFiles {
    /// Opens the directory, which is made if it is not there, and keeps this many versions in it.
    ///
    /// # Errors
    /// When the directory cannot be made or listed.
    pub fn open(dir: &Path, disk: Arc<dyn Disk>, kept: usize) -> io::Result<(Self, Found)> {
        disk.create_dir(dir)?;
        if let Some(above) = dir.parent() {
            disk.sync_dir(above)?;
        }
        let files = Self {
            dir: dir.to_owned(),
            disk,
            kept,
        };
        let mut found = Found::default();
        for version in files.versions()?.into_iter().rev() {
            match files.get(version) {
                Ok(Some(stored)) => {
                    found.newest = Some(stored);
                    break;
                }
                Ok(None) => {}
                Err(e) => found.damaged.push(format!("version {version}: {e}")),
            }
        }
        Ok((files, found))
    }

    fn path(&self, version: u64) -> PathBuf {
        self.dir.join(format!("{version:020}{ENDING}"))
    }

    /// Numbers of the versions there are files of, in their order.
    ///
    /// # Errors
    /// What the system says.
    pub fn versions(&self) -> io::Result<Vec<u64>> {
        let names = self.disk.list(&self.dir)?;
        let number = |name: &std::ffi::OsString| -> Option<u64> {
            name.to_str()?.strip_suffix(ENDING)?.parse().ok()
        };
        let mut versions: Vec<u64> = names.iter().filter_map(number).collect();
        versions.sort_unstable();
        Ok(versions)
    }

    /// One version, if there is a file of it.
    ///
    /// # Errors
    /// What the system says, and `InvalidData` when it is not what was written.
    pub fn get(&self, version: u64) -> io::Result<Option<Stored>> {
        let file = match self.disk.open(&self.path(version)) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        let damaged = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        let bytes = file.size()?;
        if bytes > FILE_BYTES_MAX {
            return Err(damaged("longer than a policy can be"));
        }
        let mut text = vec![0; usize::try_from(bytes).unwrap_or(0)];
        let there = read_full_at(&*file, 0, &mut text)?;
        text.truncate(there);
        let stored: Stored =
            serde_json::from_slice(&text).map_err(|_| damaged("damaged: not as it was written"))?;
        match stored.is_sound(version) {
            true => Ok(Some(stored)),
            false => Err(damaged("damaged: its text is not what its digest says")),
        }
    }

    /// Makes a version durable. With an error the newest one is what it was, or this one: which of
    /// them, the next start finds.
    ///
    /// # Errors
    /// What the system says.
    pub fn put(&self, stored: &Stored) -> io::Result<()> {
        let bytes = serde_json::to_vec(stored).map_err(io::Error::other)?;
        let draft = self.dir.join(DRAFT);
        match self.disk.remove(&draft) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let file = self.disk.create_new(&draft)?;
        write_all_at(&*file, 0, &bytes)?;
        file.sync_data()?;
        drop(file);
        self.disk.rename(&draft, &self.path(stored.version))?;
        self.disk.sync_dir(&self.dir)?;
        // What stays here too long is removed after the next version.
        let _ = self.prune(stored.version);
        Ok(())
    }

    fn prune(&self, newest: u64) -> io::Result<()> {
        let versions = self.versions()?;
        let surplus = versions.len().saturating_sub(self.kept);
        for version in versions.into_iter().filter(|v| *v != newest).take(surplus) {
            self.disk.remove(&self.path(version))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
