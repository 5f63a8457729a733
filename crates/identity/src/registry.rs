//! Who has joined: hosts and services, the tokens that let them in, and who is locked out.
//!
//! A directory with one small file for each host and each token. A file is replaced as a whole, and
//! durable before anybody hears of it; what is in memory follows the files. A crash between two
//! files leaves a token that says which host it let in, and the repeat of the same join finishes.

#[cfg(test)]
mod crash_tests;
mod joining;
mod locks;
mod tokens;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use hansard_core::event::Body;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::authority::Authority;
use crate::fact;
use crate::failure::{Failure, about};
use crate::files::{self, Files, SECRET};
use crate::host_id::HostId;
use crate::host_row::HostRow;
use crate::limits::{HOSTS_MAX, PAGE_ROWS_MAX, TOKENS_MAX};
use crate::peer::Peer;
use crate::random::Random;
use crate::token::{TokenId, TokenRow};

pub use joining::Enrolment;

const HOSTS: &str = "hosts";
const TOKENS: &str = "tokens";
const SUFFIX: &str = ".json";

/// What was done, and what happened thereby: events for the service's own recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done<T> {
    /// The answer.
    pub answer: T,
    /// What happened, in order.
    pub facts: Vec<Body>,
}

/// What was not done, and what happened thereby.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// Why, in words for who asked.
    pub failure: Failure,
    /// What happened, with the true reason.
    pub facts: Vec<Body>,
}

impl From<Failure> for Denied {
    fn from(failure: Failure) -> Self {
        Self {
            failure,
            facts: Vec::new(),
        }
    }
}

/// A part of a listing, in the order of identifiers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T, C> {
    /// The rows.
    pub rows: Vec<T>,
    /// Where the next page begins; none when this was the last.
    pub next: Option<C>,
}

/// Where a host stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It may connect.
    Good,
    /// It is locked out.
    Locked,
    /// It never joined here, or what is known of it cannot be read: it may not connect.
    Unknown,
}

/// Hosts, services and tokens of one cluster.
pub struct Registry {
    directory: PathBuf,
    authority: Arc<Authority>,
    random: Arc<dyn Random>,
    files: Files,
    /// Held while files are written, so that two calls do not lose each other's.
    writing: Mutex<()>,
    known: RwLock<Known>,
    /// Grows whenever somebody's standing may have changed.
    changes: AtomicU64,
    _lock: File,
}

/// What the files say.
#[derive(Default)]
struct Known {
    hosts: BTreeMap<HostId, HostRow>,
    unreadable: BTreeSet<HostId>,
    tokens: BTreeMap<TokenId, TokenRow>,
    by_recorder_key: HashMap<String, HostId>,
}

impl Known {
    fn put_host(&mut self, id: HostId, row: HostRow) {
        self.by_recorder_key.insert(row.recorder.key.clone(), id);
        self.hosts.insert(id, row);
    }
}

impl Registry {
    /// Makes an empty registry in `directory`. Nothing but this makes one; where there is one
    /// already, it stays as it is.
    ///
    /// # Errors
    /// `Retry` when the disk fails; the same call again finishes.
    pub fn create(directory: &Path) -> Result<(), Failure> {
        let files = Files::default();
        files.make_directory(&directory.join(HOSTS))?;
        files.make_directory(&directory.join(TOKENS))
    }

    /// Opens a registry, and answers what about it cannot be read: a file that is damaged shuts out
    /// the host it is about, and nobody else.
    ///
    /// # Errors
    /// `Refused` when there is none, `Conflict` when another daemon has it open or it holds more
    /// than [`HOSTS_MAX`] or [`TOKENS_MAX`] files, `Retry` when the disk fails.
    pub fn open(
        directory: &Path,
        authority: Arc<Authority>,
        random: Arc<dyn Random>,
    ) -> Result<(Self, Vec<Body>), Failure> {
        Self::open_with(directory, authority, random, Files::default())
    }

    pub(crate) fn open_with(
        directory: &Path,
        authority: Arc<Authority>,
        random: Arc<dyn Random>,
        files: Files,
    ) -> Result<(Self, Vec<Body>), Failure> {
        let (hosts, tokens) = (directory.join(HOSTS), directory.join(TOKENS));
        if !hosts.is_dir() || !tokens.is_dir() {
            let shown = directory.display();
            return Err(Failure::Refused(format!(
                "{shown}: there is no registry of hosts; `hansardd init` makes one"
            )));
        }
        let lock = files::lock(directory)?;
        let (mut known, mut facts) = (Known::default(), Vec::new());
        for (name, row) in read_all::<HostRow>(&hosts, HOSTS_MAX)? {
            let Ok(id) = name.parse::<HostId>() else {
                facts.push(fact::unreadable(
                    "a stranger's file",
                    "its name is no host's id",
                ));
                continue;
            };
            match row {
                Ok(row) if row.host_id() == Some(id) => known.put_host(id, row),
                Ok(_) => {
                    known.unreadable.insert(id);
                    facts.push(fact::unreadable(&name, "it is about another host"));
                }
                Err(reason) => {
                    known.unreadable.insert(id);
                    facts.push(fact::unreadable(&name, &reason));
                }
            }
        }
        for (name, row) in read_all::<TokenRow>(&tokens, TOKENS_MAX)? {
            match (name.parse::<TokenId>(), row) {
                (Ok(id), Ok(row)) if row.id == name => {
                    known.tokens.insert(id, row);
                }
                (Ok(_), Err(reason)) => facts.push(fact::unreadable(&name, &reason)),
                _ => facts.push(fact::unreadable("a token", "its file's name is another's")),
            }
        }
        let registry = Self {
            directory: directory.to_owned(),
            authority,
            random,
            files,
            writing: Mutex::new(()),
            known: RwLock::new(known),
            changes: AtomicU64::new(0),
            _lock: lock,
        };
        Ok((registry, facts))
    }

    /// The authority it certifies with.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Whether this peer may be connected now. To be asked when a connection begins and, while it
    /// lives, whenever [`Registry::changes`] has grown and when `peer.not_after_ns` is reached.
    ///
    /// # Errors
    /// `Refused`, in words that may be shown to the peer.
    pub fn admit(&self, peer: &Peer, utc_ns: u64) -> Result<(), Failure> {
        let refused = |reason: &str| Err(Failure::Refused(reason.to_owned()));
        if peer.cluster != self.authority.cluster() {
            return refused("of another cluster");
        }
        if utc_ns > peer.not_after_ns {
            return refused("its certificate has expired");
        }
        let known = self.known();
        let Some((id, row)) = peer
            .principal
            .id()
            .and_then(|id| Some((id, known.hosts.get(&id)?)))
        else {
            return refused("it never joined here, or its file cannot be read: let it join again");
        };
        if row.principal(id) != peer.principal {
            return refused("it joined as something else");
        }
        if row.is_locked_at(utc_ns) {
            return refused("it is locked out");
        }
        Ok(())
    }

    /// Where a host stands. Cheap: nothing is read from disk.
    #[must_use]
    pub fn standing(&self, id: HostId, utc_ns: u64) -> Standing {
        match self.known().hosts.get(&id) {
            Some(row) if row.is_locked_at(utc_ns) => Standing::Locked,
            Some(_) => Standing::Good,
            None => Standing::Unknown,
        }
    }

    /// Whether a host may not connect.
    #[must_use]
    pub fn is_locked(&self, id: HostId, utc_ns: u64) -> bool {
        self.standing(id, utc_ns) != Standing::Good
    }

    /// A number that grows whenever somebody's standing may have changed, so that whoever holds
    /// connections need not ask for each of them all the time. A lock that ends by time changes
    /// nothing here: who was shut out comes back by itself.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Whether recordings of this host or service may be signed with this key.
    #[must_use]
    pub fn has_recorder_key(&self, id: HostId, key: &[u8; 32]) -> bool {
        let known = self.known();
        known
            .hosts
            .get(&id)
            .is_some_and(|row| row.has_recorder_key(key))
    }

    /// Whose recordings are signed with this key.
    #[must_use]
    pub fn host_of_recorder_key(&self, key: &[u8; 32]) -> Option<HostId> {
        let known = self.known();
        known.by_recorder_key.get(&crate::hex::encode(key)).copied()
    }

    /// One host or service.
    #[must_use]
    pub fn host(&self, id: HostId) -> Option<HostRow> {
        self.known().hosts.get(&id).cloned()
    }

    /// Hosts and services, at most `limit` (and [`PAGE_ROWS_MAX`]), after the one with the
    /// identifier `after`.
    #[must_use]
    pub fn hosts(&self, after: Option<HostId>, limit: usize) -> Page<HostRow, HostId> {
        page(&self.known().hosts, after, limit)
    }

    /// Tokens, without their secrets, likewise.
    #[must_use]
    pub fn tokens(&self, after: Option<TokenId>, limit: usize) -> Page<TokenRow, TokenId> {
        page(&self.known().tokens, after, limit)
    }

    /// Hosts whose file cannot be read: they are shut out until it is repaired or removed.
    #[must_use]
    pub fn unreadable(&self) -> Vec<HostId> {
        self.known().unreadable.iter().copied().collect()
    }

    fn put_host(&self, id: HostId, row: HostRow) -> Result<(), Failure> {
        let path = self.directory.join(HOSTS).join(format!("{id}{SUFFIX}"));
        self.files.replace(&path, &json(&row)?, SECRET)?;
        self.known_mut().put_host(id, row);
        self.changes.fetch_add(1, Ordering::Release);
        Ok(())
    }

    fn put_token(&self, id: TokenId, row: TokenRow) -> Result<(), Failure> {
        self.files
            .replace(&self.token_path(id), &json(&row)?, SECRET)?;
        self.known_mut().tokens.insert(id, row);
        Ok(())
    }

    fn drop_token(&self, id: TokenId) -> Result<(), Failure> {
        self.files.remove(&self.token_path(id))?;
        self.known_mut().tokens.remove(&id);
        Ok(())
    }

    fn token_path(&self, id: TokenId) -> PathBuf {
        self.directory.join(TOKENS).join(format!("{id}{SUFFIX}"))
    }

    fn writing(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn known_mut(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn page<K: Copy + Ord, V: Clone>(
    all: &BTreeMap<K, V>,
    after: Option<K>,
    limit: usize,
) -> Page<V, K> {
    use std::ops::Bound::{Excluded, Unbounded};
    let limit = limit.clamp(1, PAGE_ROWS_MAX);
    let mut rest = all.range((after.map_or(Unbounded, Excluded), Unbounded));
    let taken: Vec<_> = rest.by_ref().take(limit).collect();
    let last = taken.last().map(|(id, _)| **id);
    Page {
        next: rest.next().and(last),
        rows: taken.into_iter().map(|(_, row)| row.clone()).collect(),
    }
}

fn json<T: Serialize>(row: &T) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(row).map_err(|e| Failure::Retry(format!("a row cannot be written: {e}")))
}

/// The rows of a directory under their names, each with what is wrong with it. Drafts that a crash
/// left are no rows, and are replaced when that row is next written.
#[expect(clippy::type_complexity, reason = "a list of names with their rows")]
pub(crate) fn read_all<T: DeserializeOwned>(
    directory: &Path,
    most: usize,
) -> Result<Vec<(String, Result<T, String>)>, Failure> {
    let mut rows = Vec::new();
    for entry in fs::read_dir(directory).map_err(|e| about(directory, &e))? {
        let entry = entry.map_err(|e| about(directory, &e))?;
        let name = entry.file_name();
        let Some(name) = name.to_str().and_then(|n| n.strip_suffix(SUFFIX)) else {
            continue;
        };
        if name.starts_with('.') {
            continue;
        }
        if rows.len() == most {
            let shown = directory.display();
            return Err(Failure::Conflict(format!(
                "{shown}: more than {most} files"
            )));
        }
        let row = match files::read(&entry.path()) {
            Ok(Some(bytes)) => serde_json::from_slice(&bytes).map_err(|e| e.to_string()),
            Ok(None) => continue,
            Err(Failure::Retry(error)) => return Err(Failure::Retry(error)),
            Err(failure) => Err(failure.to_string()),
        };
        rows.push((name.to_owned(), row));
    }
    Ok(rows)
}
