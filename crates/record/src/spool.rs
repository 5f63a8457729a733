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
//! A file begins with a head: `HNSSPL`, a zero, the layout's version (1); the file's number (8
//! bytes); how many claims follow (4); the claims, each the number of another file (8) and how many
//! bytes of it were durable, at least, when this one was begun (8); a check, the first half of
//! SHA-256 over `hansard spool file 1`, a zero and the head so far (16). A head and its name are
//! durable before an entry is written. Then come entries, one directly after another. Numbers are
//! little-endian:
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
//! Opening is the only recovery there is. Every file is read from its beginning. What a later
//! file's head or a later entry says was durable is so, for ever: where no sound entry stands in
//! that, the medium has damaged it, and everything around it is kept. The first spot after it
//! without a sound entry is the tail that the crash tore, and the file is cut there; so what is cut
//! was never promised, but for what the last sync before the crash made durable: no later word says
//! so, and a medium that loses just that cannot be told from a crash. Sound entries between the two can be read, but perhaps only because a failed
//! sync left them in memory: they are put again, by the ordinary way, before anything else happens.
//! Files found are not appended to; the next part begins a new one.
//!
//! A sync that fails poisons its file: what was not known to be durable is written to a new file by
//! the very calls that are waiting for it, from the memory of their callers, before any of them
//! returns.
//!
//! Released parts come back if power is lost before their file's removal is durable. They are sent
//! again, which a receiver expects.
//!
//! A part may have several entries in files of different numbers, with the same bytes: a file that
//! is pinned by a few parts is emptied by writing them again (see `compact`). The last one counts.
//! Wherever they lie, the parts of a session are handed out in the order of the recording.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};

use hansard_core::frame::Part;
use hansard_core::{Class, Receipt, SessionId, Sink, SinkError};

use crate::disk::{Disk, DiskFile, is_lost, parent};
use crate::order::Spot;

mod commit;
mod compact;
mod files;
mod index;
mod layout;

use commit::{Failed, Shared, State};
use compact::Need;
use files::{Files, number_of};
use index::Position;
use layout::{Digest, Entry, entry_at, entry_len, fits, part_digest, part_of, read_head, scan};

/// Files that may fail in a row before a `put` says "retry".
const POISONED_MAX: u32 = 3;

/// A file is at most this share of a spool, whatever it may have: a spool of one file would be full
/// for as long as any part of it is not released.
const FILES_MIN: u64 = 8;

/// How a spool is bounded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolOptions {
    /// Bytes of all files together; a part that would exceed them is answered with "retry", and
    /// one that alone is larger is refused.
    pub bytes_max: u64,
    /// Bytes at which the next file is begun, at most an eighth of `bytes_max`. A file is removed as
    /// a whole, when everything in it is released; where a few parts pin one, they are written again.
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
///
/// The number is what this handle leaves free: see [`Spool::leaving`].
#[derive(Clone)]
pub struct Spool(Arc<Shared>, u64);

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
    /// Bytes of their entries: what is still to be sent or kept elsewhere.
    pub pending_bytes: u64,
    /// Bytes of entries that were written again since it was opened, so that files could go.
    pub moved_bytes: u64,
}

/// Called when parts have become durable.
pub type Listener = Arc<dyn Fn() + Send + Sync>;

impl Pending {
    /// Whether it was written before the other one, whichever sessions they are of.
    #[must_use]
    pub fn is_before(&self, other: &Self) -> bool {
        self.position < other.position
    }
}

impl Spool {
    /// Opens the spool in this directory, which is made if it is not there (its parent must be).
    ///
    /// # Errors
    /// `WouldBlock`, naming the holder, when another process has it; otherwise what the system
    /// says.
    pub fn open(dir: &Path, disk: Arc<dyn Disk>, mut options: SpoolOptions) -> io::Result<Self> {
        options.file_bytes_max = options.file_bytes_max.min(options.bytes_max / FILES_MIN);
        disk.create_dir(dir)?;
        disk.sync_dir(parent(dir))?;
        let lock = disk.lock(&dir.join("lock"), &options.holder)?;
        let mut state = State::new(Files::new(dir, Arc::clone(&disk)), options.file_bytes_max);
        let (mut damage, mut unproven) = (Vec::new(), Vec::new());
        let mut whole = Vec::new();
        let (found, claims) = find_files(dir, &*disk, &mut state)?;
        for (number, path, file) in found {
            let found = scan(&*file, number, claims.get(&number).copied())?;
            damage.extend(found.damaged.iter().map(|&offset| Rot {
                path: path.clone(),
                offset,
            }));
            if found.entries.is_empty() && found.damaged.is_empty() {
                disk.remove(&path)?;
                continue;
            }
            if found.damaged.is_empty() {
                whole.push(number);
            }
            if found.end < file.size()? {
                file.truncate(found.end)?;
            }
            state
                .files
                .adopt(number, file, path, (found.end, found.proven));
            for entry in found.entries {
                if entry.end() <= found.proven {
                    state.index.add(number, &entry);
                } else {
                    unproven.push((number, entry));
                }
            }
        }
        let dir = dir.to_owned();
        let (state, synced) = (Mutex::new(state), Condvar::new());
        let shared = Shared {
            dir,
            options,
            state,
            synced,
            damage,
            listeners: Mutex::default(),
            compacting: Mutex::default(),
            _lock: lock,
        };
        let spool = Self(Arc::new(shared), 0);
        spool.prove(&unproven)?;
        let mut state = spool.0.lock();
        state.index.opens();
        // What was written again has no need of the file it was copied from.
        whole.iter().for_each(|n| state.remove_if_empty(*n));
        drop(state);
        Ok(spool)
    }

    /// Sees to it that entries which can be read, but which nobody is known to have synced, are
    /// durable: they are put again, by the ordinary way, and cut off where they were found. (To
    /// sync their file would prove nothing if a sync of it had failed before.) A crash in here
    /// leaves them twice, which is as good as once.
    fn prove(&self, unproven: &[(u64, Entry)]) -> io::Result<()> {
        for batch in unproven.chunk_by(|(a, _), (b, _)| a == b) {
            let Some((number, _)) = batch.first() else {
                continue;
            };
            let mut state = self.0.lock();
            let Some(file) = state.files.get(*number).map(|file| Arc::clone(&file.file)) else {
                continue;
            };
            let mut parts = Vec::with_capacity(batch.len());
            for (_, entry) in batch {
                if let Some((entry, bytes)) = entry_at(&*file, *number, entry.offset)? {
                    parts.push(part_of(&entry, bytes));
                }
            }
            drop(state);
            let outcome = self.put_all(&parts, u64::MAX);
            state = self.0.lock();
            match outcome {
                Ok(_) => state.files.cut(*number),
                // No room to write them again: they stay where they are, and the disk's word that
                // they are durable is taken.
                Err(_) => {
                    state.files.trust(*number)?;
                    batch
                        .iter()
                        .for_each(|(_, entry)| state.index.add(*number, entry));
                }
            }
            state.remove_if_empty(*number);
        }
        Ok(())
    }

    /// The same spool, for somebody who takes no more when only so many bytes are left of its room:
    /// they are for those who must be able to go on when others are held back.
    #[must_use]
    pub fn leaving(&self, bytes: u64) -> Self {
        Self(Arc::clone(&self.0), bytes)
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
            pending_bytes: state.index.pending_bytes(),
            moved_bytes: state.moved_bytes,
        }
    }

    /// Bytes of what is not released, by session. Costs a look at each session that is in it.
    #[must_use]
    pub fn bytes_of_sessions(&self) -> Vec<(SessionId, u64)> {
        self.0.lock().index.bytes_of_sessions()
    }

    /// From now on `listener` is called each time that parts have become durable, by the thread
    /// that put them, before its `put` returns. It MUST be quick and MUST NOT put. There is no way
    /// to take it back: it is for the one or two readers that a spool has.
    pub fn listen(&self, listener: Listener) {
        self.0.listeners().push(listener);
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
            .filter(|(_, session, spot)| {
                let at = state.index.at(*session, *spot);
                at.is_some_and(|at| state.files.is_durable(at.place.file, at.end))
            })
            .take(max)
            .map(|(position, session, spot)| Pending {
                session,
                spot,
                position,
            })
            .collect()
    }

    /// Parts of one session that are durable and not released, in the order of the recording, after
    /// this spot; at most `max`. One that stands before others of its session may have been put
    /// after them, where the medium had lost it.
    #[must_use]
    pub fn pending_of(&self, session: SessionId, after: Option<Spot>, max: usize) -> Vec<Pending> {
        let state = self.0.lock();
        state
            .index
            .pending_of(session, after)
            .filter(|(at, _)| state.files.is_durable(at.place.file, at.end))
            .take(max)
            .map(|(at, spot)| Pending {
                session,
                spot,
                position: at.turn,
            })
            .collect()
    }

    /// Parts of one segment that are durable and not released, in their order. (A segment's parts
    /// are bounded by its writer and by `SEGMENT_FRAMES_MAX`.)
    #[must_use]
    pub fn pending_in(&self, session: SessionId, segment: u32) -> Vec<Pending> {
        let state = self.0.lock();
        let of_segment = state.index.pending_in(session, segment);
        of_segment
            .filter(|(at, _)| state.files.is_durable(at.place.file, at.end))
            .map(|(at, spot)| Pending {
                session,
                spot,
                position: at.turn,
            })
            .collect()
    }

    /// The part that was written last, unless everything is released.
    #[must_use]
    pub fn newest(&self) -> Option<Pending> {
        let state = self.0.lock();
        let (position, session, spot) = state.index.newest()?;
        Some(Pending {
            session,
            spot,
            position,
        })
    }

    /// Reads a part, byte for byte as it was put.
    ///
    /// # Errors
    /// `InvalidData` when the medium has damaged it; `NotFound` when it was released; otherwise
    /// what the system says.
    pub fn read(&self, pending: &Pending) -> io::Result<Part> {
        let state = self.0.lock();
        let Some(at) = state.index.at(pending.session, pending.spot) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let Position {
            file: number,
            offset,
        } = at.place;
        // Held until it is read: the file may go meanwhile, when it was copied elsewhere.
        let (file, path) = match state.files.get(number) {
            Some(file) => (Arc::clone(&file.file), file.path.clone()),
            None => return Err(io::ErrorKind::NotFound.into()),
        };
        drop(state);
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
    /// more is removed. One that a few parts pin is worked on, a bounded step each time, where the
    /// spool is not mostly empty anyway.
    pub fn forget(&self, parts: &[(SessionId, Spot)]) {
        let mut state = self.0.lock();
        let State { files, index, .. } = &mut *state;
        for (session, spot) in parts {
            index.release(*session, *spot, |number, end| files.is_durable(number, end));
        }
        for number in state.files.numbers() {
            state.remove_if_empty(number);
        }
        drop(state);
        self.0.compact(Need::Soon);
    }

    /// Puts parts while the files have room below `bytes_max`.
    fn put_all(&self, parts: &[Part], bytes_max: u64) -> Result<Receipt, SinkError> {
        if let Some(part) = parts.iter().find(|part| !fits(part)) {
            return Err(SinkError::Refused(format!(
                "{} is too long",
                Spot::of(part)
            )));
        }
        let largest = parts.iter().map(|part| entry_len(part.bytes().len())).max();
        if largest.is_some_and(|bytes| bytes > bytes_max) {
            return Err(SinkError::Refused(format!(
                "a part is larger than the spool, which may have {bytes_max} bytes"
            )));
        }
        let digests: Vec<Digest> = parts.iter().map(|part| part_digest(part.bytes())).collect();
        let mut why = String::new();
        for _ in 0..POISONED_MAX {
            match self.0.attempt(parts, &digests, bytes_max) {
                Ok(()) => return Ok(Receipt { class: Class::L }),
                Err(Failed::Poisoned(cause)) => why = cause,
                Err(Failed::Busy) => {}
                Err(Failed::Full(cause)) if self.0.make_room() => why = cause,
                Err(Failed::Full(cause)) => return Err(SinkError::Retry(cause)),
                Err(Failed::Told(error)) => return Err(error),
            }
        }
        Err(SinkError::Retry(why))
    }
}

impl Sink for Spool {
    fn put(&mut self, parts: &[Part]) -> Result<Receipt, SinkError> {
        let bytes_max = self.0.options.bytes_max.saturating_sub(self.1);
        let receipt = self.put_all(parts, bytes_max)?;
        self.0.tell_listeners();
        Ok(receipt)
    }
}

/// Files by their numbers and paths, and how far each is proven by what later ones claim.
type FilesFound = (Vec<(u64, PathBuf, Arc<dyn DiskFile>)>, BTreeMap<u64, u64>);

/// The files that are there when the spool is opened.
fn find_files(dir: &Path, disk: &dyn Disk, state: &mut State) -> io::Result<FilesFound> {
    let (mut found, mut claims) = (Vec::new(), BTreeMap::new());
    for name in disk.list(dir)? {
        let Some(number) = name.to_str().and_then(number_of) else {
            continue;
        };
        let path = dir.join(&name);
        let file = disk.open(&path)?;
        state.files.reserve(number);
        match read_head(&*file, number) {
            Ok(Some((_, claimed))) => claims.extend(claimed),
            Ok(None) => {}
            Err(e) if is_lost(&e) => {}
            Err(e) => return Err(e),
        }
        found.push((number, path, file));
    }
    Ok((found, claims))
}
