//! The durable spool: parts of many sessions, kept until somebody else has them for good.
//!
//! A frame and a seal are in the spool before they are sent anywhere, and are read from it to be
//! sent, so a repeat after a crash is byte-identical.
//!
//! # Layout
//!
//! A spool is a directory, held by one process:
//!
//! | name | what it is |
//! |---|---|
//! | `lock` | held with flock(2); contains who holds it |
//! | `spool-0000000001`, … | files of entries, appended to, in the order of their numbers |
//!
//! A file begins with 16 bytes: `HNSSPL`, a zero, the layout's version (1), and the file's number
//! as `u64`. Then come entries, one directly after another. Numbers are little-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 4 | `8e` `HSE` |
//! | 4 | length of the part |
//! | 16 | session |
//! | 4 | segment |
//! | 4 | index of the frame; `ffffffff` is the seal |
//! | 8 | how many bytes of this file were durable when the entry was written |
//! | 16 | check: first half of SHA-256 over `hansard spool entry 1` and a zero, file number (8), offset of the entry (8), the 40 bytes above, first half of SHA-256 of the part |
//! | … | the part, exactly as it was put |
//!
//! # What a crash leaves, and how it is opened again
//!
//! Opening is the only recovery there is. Every file is read from its beginning. Where no sound
//! entry stands, the entries found after it decide: if one of them says that this place was durable
//! already, the medium has damaged it, and everything around it is kept; if none does, it is the
//! tail that the crash tore, and the file is cut there. So what is cut was never promised. Files
//! found are not appended to; the next part begins a new one.
//!
//! A sync that fails poisons its file: what was not known to be durable is written to a new file by
//! the very calls that are waiting for it, from the memory of their callers, before any of them
//! returns.
//!
//! Released parts come back if power is lost before their file's removal is durable. They are sent
//! again, which a receiver expects.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};

use hansard_core::frame::Part;
use hansard_core::{Class, Receipt, SessionId, Sink, SinkError};

use crate::disk::{Disk, parent};
use crate::order::Spot;

mod commit;
mod files;
mod index;
mod layout;

use commit::{Failed, Shared, State};
use files::{Files, number_of};
use index::{Index, Position};
use layout::{Digest, Entry, entry_at, fits, part_digest, part_of, scan};

/// Files that may fail in a row before a `put` says "retry".
const POISONED_MAX: u32 = 3;

/// A file in use of which everything is released is removed when it is larger than this.
const SMALL_BYTES: u64 = 1024 * 1024;

/// How a spool is bounded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolOptions {
    /// Bytes of all files together; a part that would exceed them is answered with "retry".
    pub bytes_max: u64,
    /// Bytes at which the next file is begun. A file is removed as a whole, when everything in it
    /// is released.
    pub file_bytes_max: u64,
    /// Who holds the lock, for the message to whoever tries next: `hansardd, process 812`.
    pub holder: String,
}

impl Default for SpoolOptions {
    fn default() -> Self {
        Self {
            bytes_max: 1024 * 1024 * 1024,
            file_bytes_max: 64 * 1024 * 1024,
            holder: format!("process {}", std::process::id()),
        }
    }
}

/// The spool. Clones are the same spool; each may be given to a recorder as its sink, and threads
/// that wait for durability at the same time share one fsync.
#[derive(Clone)]
pub struct Spool(Arc<Shared>);

/// A part that waits to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pending {
    /// The session.
    pub session: SessionId,
    /// The part's place.
    pub spot: Spot,
    position: Position,
}

/// Damage to something that was durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rot {
    /// The file.
    pub path: PathBuf,
    /// Where in it.
    pub offset: u64,
}

/// How full a spool is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of its files.
    pub bytes: u64,
    /// Bytes that they may have.
    pub bytes_max: u64,
    /// Parts that are not released.
    pub parts: usize,
}

impl Spool {
    /// Opens the spool in this directory, which is made if it is not there (its parent must be).
    ///
    /// # Errors
    /// `WouldBlock`, naming the holder, when another process has it; otherwise what the system
    /// says.
    pub fn open(dir: &Path, disk: Arc<dyn Disk>, options: SpoolOptions) -> io::Result<Self> {
        disk.create_dir(dir)?;
        disk.sync_dir(parent(dir))?;
        let lock = disk.lock(&dir.join("lock"), &options.holder)?;
        let mut files = Files::new(dir, Arc::clone(&disk));
        let (mut index, mut damage) = (Index::default(), Vec::new());
        for name in disk.list(dir)? {
            let Some(number) = name.to_str().and_then(number_of) else {
                continue;
            };
            let path = dir.join(&name);
            let file = disk.open(&path)?;
            let found = scan(&*file, number)?;
            damage.extend(found.damaged.iter().map(|&offset| Rot {
                path: path.clone(),
                offset,
            }));
            files.reserve(number);
            if found.entries.is_empty() && found.damaged.is_empty() {
                disk.remove(&path)?;
                continue;
            }
            if found.end < file.size()? {
                file.truncate(found.end)?;
            }
            // What is found was perhaps never synced, and is about to be sent and counted on.
            file.sync_data()?;
            for entry in &found.entries {
                index.add(number, entry, true);
            }
            files.adopt(number, file, path, found.end);
        }
        // The name of a file that was found may not be durable either.
        disk.sync_dir(dir)?;
        let state = Mutex::new(State {
            files,
            index,
            buffer: Vec::new(),
        });
        let dir = dir.to_owned();
        let synced = Condvar::new();
        Ok(Self(Arc::new(Shared {
            dir,
            options,
            state,
            synced,
            damage,
            _lock: lock,
        })))
    }

    /// What was found damaged when it was opened, besides torn tails.
    #[must_use]
    pub fn damage(&self) -> &[Rot] {
        &self.0.damage
    }

    /// How full it is.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let state = self.0.lock();
        Usage {
            bytes: state.files.bytes(),
            bytes_max: self.0.options.bytes_max,
            parts: state.index.pending_len(),
        }
    }

    /// Parts that are durable and not released, oldest first, after the one given; at most `max`.
    /// Parts of one session come in their order.
    #[must_use]
    pub fn pending(&self, after: Option<&Pending>, max: usize) -> Vec<Pending> {
        let state = self.0.lock();
        let after = after.map(|pending| pending.position);
        state
            .index
            .pending_after(after)
            .filter(|(position, session, spot)| {
                let end = state.index.end_of(*session, *spot).unwrap_or(u64::MAX);
                state.is_durable(position.file, end)
            })
            .take(max)
            .map(|(position, session, spot)| Pending {
                session,
                spot,
                position,
            })
            .collect()
    }

    /// Reads a part, byte for byte as it was put.
    ///
    /// # Errors
    /// `InvalidData` when the medium has damaged it; `NotFound` when it was released; otherwise
    /// what the system says.
    pub fn read(&self, pending: &Pending) -> io::Result<Part> {
        let Position {
            file: number,
            offset,
        } = pending.position;
        let (file, path) = match self.0.lock().files.get(number) {
            Some(file) => (Arc::clone(&file.file), file.path.clone()),
            None => return Err(io::ErrorKind::NotFound.into()),
        };
        let is_wanted =
            |entry: &Entry| entry.session == pending.session && entry.spot == pending.spot;
        match entry_at(&*file, number, offset)? {
            Some((entry, bytes)) if is_wanted(&entry) => Ok(part_of(&entry, bytes)),
            _ => {
                let what = format!("{}: the entry at {offset} is damaged", path.display());
                Err(io::Error::new(io::ErrorKind::InvalidData, what))
            }
        }
    }

    /// Forgets parts for which a receipt of class S has come. A file of which nothing is needed any
    /// more is removed.
    pub fn forget(&self, parts: &[(SessionId, Spot)]) {
        let mut state = self.0.lock();
        let State { files, index, .. } = &mut *state;
        for (session, spot) in parts {
            let is_durable = |number, end| files.get(number).is_none_or(|file| file.synced >= end);
            index.release(*session, *spot, is_durable);
        }
        for number in files.numbers() {
            if !index.live_in(number) && !files.is_worth_keeping(number, SMALL_BYTES) {
                files.remove(number);
            }
        }
    }

    fn put_all(&self, parts: &[Part]) -> Result<Receipt, SinkError> {
        if let Some(part) = parts.iter().find(|part| !fits(part)) {
            return Err(SinkError::Refused(format!(
                "{} is too long",
                Spot::of(part)
            )));
        }
        let digests: Vec<Digest> = parts.iter().map(|part| part_digest(part.bytes())).collect();
        let mut why = String::new();
        for _ in 0..POISONED_MAX {
            let mut state = self.0.lock();
            let attempt = self
                .0
                .write(&mut state, parts, &digests)
                .and_then(|waits| self.0.wait_durable(state, &waits));
            match attempt {
                Ok(()) => return Ok(Receipt { class: Class::L }),
                Err(Failed::Poisoned(cause)) => why = cause,
                Err(Failed::Told(error)) => return Err(error),
            }
        }
        Err(SinkError::Retry(why))
    }
}

impl Sink for Spool {
    fn put(&mut self, parts: &[Part]) -> Result<Receipt, SinkError> {
        self.put_all(parts)
    }
}
