//! A disk in memory that fails on purpose and can lose its power.
//!
//! It keeps apart what a program sees and what is durable, and is as mean as POSIX allows: see
//! [`SimDisk::after_power_loss`].

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

use crate::disk::{Disk, DiskFile, parent};
use crate::real_disk::held_by;
use crate::sim::Rng;
use crate::sim::world::{Change, Entry, NameChange, Node, World};

/// How a write fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteFault {
    /// Some of the bytes are written, and the call says so.
    Short,
    /// Some of the bytes are written, and the call says that the disk is full.
    Full,
    /// Some of the bytes are written, and the call says EIO.
    Broken,
}

/// How often things fail by themselves: once in so many calls; 0 is never.
#[derive(Debug, Clone, Copy, Default)]
pub struct Odds {
    /// A write is short.
    pub short_write: u32,
    /// A write finds the disk full.
    pub full: u32,
    /// A write answers EIO.
    pub broken_write: u32,
    /// A sync answers EIO; what it should have made durable is gone, though it can still be read.
    pub failed_sync: u32,
}

/// The disk. Clones are the same disk.
#[derive(Clone)]
pub struct SimDisk(Arc<Mutex<World>>);

impl SimDisk {
    /// An empty disk with a root directory, whose faults come from this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let root = BTreeMap::from([(PathBuf::from("/"), Entry::Dir)]);
        Self::from_world(Rng::new(seed), Vec::new(), root)
    }

    pub(super) fn from_world(rng: Rng, nodes: Vec<Node>, names: BTreeMap<PathBuf, Entry>) -> Self {
        Self(Arc::new(Mutex::new(World::new(rng, nodes, names))))
    }

    /// From now on things fail by themselves with these odds.
    pub fn set_odds(&self, odds: Odds) {
        self.world().odds = odds;
    }

    /// Bytes that all files together may have.
    pub fn set_capacity(&self, bytes: Option<usize>) {
        self.world().capacity = bytes;
    }

    /// The next write fails so.
    pub fn fail_next_write(&self, fault: WriteFault) {
        self.world().next_write_fault = Some(fault);
    }

    /// The next sync of a file fails.
    pub fn fail_next_sync(&self) {
        self.world().next_sync_fails = true;
    }

    /// Calls so far that changed something, or were to.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.world().calls
    }

    /// The power goes at the call with this number (from 1): before it is done, or after it is
    /// done and before anybody hears of it. Every later call fails.
    pub fn cut_power_at(&self, call: u64, after: bool) {
        self.world().cut = Some((call, after));
    }

    /// The program died and the system did not: everything that was written can be read, nothing
    /// more of it is durable than was, and nothing fails by itself any more.
    #[must_use]
    pub fn after_crash(&self) -> Self {
        let (seed, mut world) = {
            let mut world = self.world();
            (world.rng.next_u64(), world.without_users())
        };
        world.rng = Rng::new(seed);
        Self(Arc::new(Mutex::new(world)))
    }

    /// Flips a bit of a file, as a failing medium does.
    pub fn rot(&self, path: &Path, at: usize, bit: u8) {
        let mut world = self.world();
        let Some(Entry::File(id)) = world.seen.get(path).copied() else {
            return;
        };
        if let Some(node) = world.nodes.get_mut(id) {
            for bytes in [&mut node.seen, &mut node.durable] {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << (bit & 7);
                }
            }
        }
    }

    /// What a program reads in a file now.
    #[must_use]
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let world = self.world();
        match world.seen.get(path) {
            Some(Entry::File(id)) => world.nodes.get(*id).map(|node| node.seen.clone()),
            _ => None,
        }
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does a call that changes something, unless the power goes.
    fn call<T>(&self, act: impl FnOnce(&mut World) -> io::Result<T>) -> io::Result<T> {
        let mut world = self.world();
        if world.dark {
            return Err(no_power());
        }
        world.calls = world.calls.saturating_add(1);
        match world.cut {
            Some((call, after)) if call == world.calls => {
                if after {
                    let _ = act(&mut world);
                }
                world.dark = true;
                Err(no_power())
            }
            _ => act(&mut world),
        }
    }

    /// Reads something, if there is power.
    fn look<T>(&self, act: impl FnOnce(&World) -> io::Result<T>) -> io::Result<T> {
        let world = self.world();
        if world.dark {
            Err(no_power())
        } else {
            act(&world)
        }
    }
}

fn no_power() -> io::Error {
    io::Error::other("the power is off")
}

impl Disk for SimDisk {
    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let id = self.call(|world| {
            world.need_dir(parent(path))?;
            if world.seen.contains_key(path) {
                return Err(Errno::EXIST.into());
            }
            let id = world.nodes.len();
            world.nodes.push(Node::default());
            world.put_name(path, Entry::File(id));
            Ok(id)
        })?;
        Ok(Arc::new(SimFile {
            disk: self.clone(),
            id,
        }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let id = self.look(|world| world.file_id(path))?;
        Ok(Arc::new(SimFile {
            disk: self.clone(),
            id,
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call(|world| {
            world.need_dir(parent(to))?;
            let entry = world.seen.remove(from).ok_or(Errno::NOENT)?;
            world.seen.insert(to.to_owned(), entry);
            world
                .changes
                .push(NameChange::Rename(from.to_owned(), to.to_owned()));
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call(|world| {
            world.file_id(path)?;
            world.seen.remove(path);
            world.changes.push(NameChange::Remove(path.to_owned()));
            Ok(())
        })
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.call(|world| {
            world.need_dir(parent(path))?;
            match world.seen.get(path) {
                Some(Entry::Dir) => Ok(()),
                Some(Entry::File(_)) => Err(Errno::EXIST.into()),
                None => {
                    world.put_name(path, Entry::Dir);
                    Ok(())
                }
            }
        })
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        self.look(|world| {
            world.need_dir(dir)?;
            let inside = world.seen.keys().filter(|path| path.parent() == Some(dir));
            Ok(inside
                .filter_map(|path| path.file_name())
                .map(OsString::from)
                .collect())
        })
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.call(|world| {
            world.need_dir(dir)?;
            let (synced, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut world.changes)
                .into_iter()
                .partition(|change| change.dir() == Some(dir));
            world.changes = rest;
            for change in synced {
                change.apply(&mut world.durable);
            }
            Ok(())
        })
    }

    fn lock(&self, path: &Path, who: &str) -> io::Result<Box<dyn Send + Sync>> {
        let mut world = self.world();
        if world.dark {
            return Err(no_power());
        }
        if let Some(holder) = world.locks.get(path) {
            return Err(held_by(path, holder));
        }
        world.locks.insert(path.to_owned(), who.to_owned());
        Ok(Box::new(SimLock {
            disk: self.clone(),
            path: path.to_owned(),
        }))
    }
}

struct SimLock {
    disk: SimDisk,
    path: PathBuf,
}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.disk.world().locks.remove(&self.path);
    }
}

struct SimFile {
    disk: SimDisk,
    id: usize,
}

impl DiskFile for SimFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        self.disk.call(|world| world.write(self.id, offset, bytes))
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.disk.look(|world| {
            let node = world.nodes.get(self.id).ok_or(Errno::BADF)?;
            let offset = usize::try_from(offset).unwrap_or(usize::MAX);
            let rest = node.seen.get(offset..).unwrap_or_default();
            let n = rest.len().min(buf.len());
            if let (Some(to), Some(from)) = (buf.get_mut(..n), rest.get(..n)) {
                to.copy_from_slice(from);
            }
            Ok(n)
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.call(|world| world.sync(self.id))
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(io::Error::other)?;
        self.disk.call(|world| {
            let node = world.nodes.get_mut(self.id).ok_or(Errno::BADF)?;
            node.seen.truncate(len);
            node.changes.push(Change::Truncate(len));
            Ok(())
        })
    }

    fn size(&self) -> io::Result<u64> {
        self.disk
            .look(|world| Ok(world.nodes.get(self.id).ok_or(Errno::BADF)?.seen.len() as u64))
    }
}
