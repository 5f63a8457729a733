//! What a simulated disk holds: what a program sees, what is durable, and what lies between.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::sim::disk::{Odds, WriteFault};
use crate::sim::{Rng, power};

/// What happens to a file between two syncs.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate(usize),
}

/// What happens to names between two syncs of their directory.
#[derive(Debug, Clone)]
pub(super) enum NameChange {
    Put(PathBuf, Entry),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    Dir,
    File(usize),
}

#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    /// What a program reads.
    pub(super) seen: Vec<u8>,
    /// What survives in any case.
    pub(super) durable: Vec<u8>,
    /// What may survive, in order.
    pub(super) changes: Vec<Change>,
}

pub(super) struct World {
    pub(super) rng: Rng,
    pub(super) nodes: Vec<Node>,
    pub(super) seen: BTreeMap<PathBuf, Entry>,
    pub(super) durable: BTreeMap<PathBuf, Entry>,
    pub(super) changes: Vec<NameChange>,
    pub(super) locks: BTreeMap<PathBuf, String>,
    pub(super) odds: Odds,
    pub(super) capacity: Option<usize>,
    pub(super) next_write_fault: Option<WriteFault>,
    pub(super) next_sync_fails: bool,
    /// Calls so far that change something.
    pub(super) calls: u64,
    pub(super) cut: Option<(u64, bool)>,
    pub(super) dark: bool,
}

impl World {
    /// The same names and bytes, durable or not, without locks and faults.
    pub(super) fn without_users(&self) -> Self {
        let mut world = Self::new(self.rng.clone(), self.nodes.clone(), self.durable.clone());
        world.seen = self.seen.clone();
        world.changes = self.changes.clone();
        world
    }

    pub(super) fn new(rng: Rng, nodes: Vec<Node>, names: BTreeMap<PathBuf, Entry>) -> Self {
        Self {
            rng,
            nodes,
            seen: names.clone(),
            durable: names,
            changes: Vec::new(),
            locks: BTreeMap::new(),
            odds: Odds::default(),
            capacity: None,
            next_write_fault: None,
            next_sync_fails: false,
            calls: 0,
            cut: None,
            dark: false,
        }
    }

    pub(super) fn file_id(&self, path: &Path) -> io::Result<usize> {
        match self.seen.get(path) {
            Some(Entry::File(id)) => Ok(*id),
            Some(Entry::Dir) => Err(Errno::ISDIR.into()),
            None => Err(Errno::NOENT.into()),
        }
    }

    pub(super) fn need_dir(&self, path: &Path) -> io::Result<()> {
        match self.seen.get(path) {
            Some(Entry::Dir) => Ok(()),
            Some(Entry::File(_)) => Err(Errno::NOTDIR.into()),
            None => Err(Errno::NOENT.into()),
        }
    }

    pub(super) fn put_name(&mut self, path: &Path, entry: Entry) {
        self.seen.insert(path.to_owned(), entry);
        self.changes.push(NameChange::Put(path.to_owned(), entry));
    }

    pub(super) fn room(&self) -> usize {
        let used: usize = self.seen.values().map(|entry| self.len_of(entry)).sum();
        self.capacity
            .map_or(usize::MAX, |capacity| capacity.saturating_sub(used))
    }

    pub(super) fn len_of(&self, entry: &Entry) -> usize {
        match entry {
            Entry::File(id) => self.nodes.get(*id).map_or(0, |node| node.seen.len()),
            Entry::Dir => 0,
        }
    }

    /// The fault of this write, if it is to have one.
    pub(super) fn write_fault(&mut self) -> Option<WriteFault> {
        if let Some(fault) = self.next_write_fault.take() {
            return Some(fault);
        }
        let odds = self.odds;
        let mut drawn = |n, fault| self.rng.one_in(n).then_some(fault);
        drawn(odds.short_write, WriteFault::Short)
            .or_else(|| drawn(odds.full, WriteFault::Full))
            .or_else(|| drawn(odds.broken_write, WriteFault::Broken))
    }

    pub(super) fn write(&mut self, id: usize, offset: usize, bytes: &[u8]) -> io::Result<usize> {
        let fault = self.write_fault();
        let room = self.room();
        let node = self.nodes.get_mut(id).ok_or(Errno::BADF)?;
        let grows = offset
            .saturating_add(bytes.len())
            .saturating_sub(node.seen.len());
        let fits = bytes.len().saturating_sub(grows.saturating_sub(room));
        let taken = match fault {
            Some(_) => fits.min(self.rng.up_to(bytes.len())),
            None => fits,
        };
        let written = bytes.get(..taken).unwrap_or_default();
        if !written.is_empty() {
            node.changes.push(Change::Write {
                offset,
                bytes: written.to_vec(),
            });
            apply_write(&mut node.seen, offset, written);
        }
        match fault {
            Some(WriteFault::Full) => Err(Errno::NOSPC.into()),
            Some(WriteFault::Broken) => Err(Errno::IO.into()),
            _ if taken == 0 && !bytes.is_empty() => Err(Errno::NOSPC.into()),
            _ => Ok(taken),
        }
    }

    pub(super) fn sync(&mut self, id: usize) -> io::Result<()> {
        let fails =
            std::mem::take(&mut self.next_sync_fails) || self.rng.one_in(self.odds.failed_sync);
        if fails {
            // What Linux does: some pages made it, the others are marked clean all the same. They
            // can still be read, and no later sync will write them.
            let rng = &mut self.rng;
            if let Some(node) = self.nodes.get_mut(id) {
                node.durable = power::survivors(node, rng);
                node.changes.clear();
            }
            return Err(Errno::IO.into());
        }
        let node = self.nodes.get_mut(id).ok_or(Errno::BADF)?;
        // Not `durable = seen`: what a failed sync lost stays lost.
        for change in node.changes.drain(..) {
            match change {
                Change::Write { offset, bytes } => apply_write(&mut node.durable, offset, &bytes),
                Change::Truncate(len) => node.durable.truncate(len),
            }
        }
        Ok(())
    }
}

pub(super) fn apply_write(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset.saturating_add(bytes.len());
    if content.len() < end {
        content.resize(end, 0);
    }
    if let Some(place) = content.get_mut(offset..end) {
        place.copy_from_slice(bytes);
    }
}

impl NameChange {
    pub(super) fn dir(&self) -> Option<&Path> {
        match self {
            Self::Put(path, _) | Self::Remove(path) | Self::Rename(_, path) => path.parent(),
        }
    }

    pub(super) fn apply(self, names: &mut BTreeMap<PathBuf, Entry>) {
        match self {
            Self::Put(path, entry) => drop(names.insert(path, entry)),
            Self::Remove(path) => drop(names.remove(&path)),
            Self::Rename(from, to) => {
                if let Some(entry) = names.remove(&from) {
                    names.insert(to, entry);
                }
            }
        }
    }
}
