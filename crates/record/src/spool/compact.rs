//! Makes room in a spool whose files are pinned: a few parts that nobody may forget yet keep a file
//! that is otherwise not needed.
//!
//! Such parts are written again, to the file in use and byte for byte, and once the copies are
//! durable they stand for the old entries, and the old file is removed. What a crash leaves:
//!
//! | a crash | leaves |
//! |---|---|
//! | before the copies are durable | the old file, and perhaps copies, which opening takes for repeats |
//! | after it | both, likewise |
//! | after the removal | the copies; or both, as long as the removal is not durable |
//!
//! A copy has the identity of its part (session, segment, place), so opening the spool needs to know
//! nothing of this. Readers notice nothing either: a part keeps its turn (see `index`).

use std::sync::{Arc, TryLockError};

use hansard_core::frame::Part;

use crate::disk::DiskFile;
use crate::spool::commit::{Failed, Shared, State};
use crate::spool::index::{At, Position};
use crate::spool::layout::{Digest, entry_at, entry_len, part_of};

/// Bytes of entries that are written again in one step; a larger spool's steps are no larger, so
/// that whoever makes room is not held up for long. A step is at least one part.
const STEP_BYTES_MAX: u64 = 1024 * 1024;

/// A step is also at most this share of the spool: by so much its bound may be exceeded, for a
/// moment, when it is full.
const STEP_SHARE: u64 = 16;

/// Nothing is written again while the files take up less than this share of the bound: most parts are
/// released soon, and their files go without any work.
const IDLE_SHARE: u64 = 4;

/// Steps that one `put` does to get room; with more to do it says "retry".
const STEPS_PER_PUT: u32 = 16;

/// How badly room is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// There is room still. Only what is cheap is done: at least four fifths of what is gained is
    /// dead.
    Soon,
    /// Somebody is about to be told that there is none.
    Now,
}

/// Why a step could not be done, for now.
enum Hindered {
    /// A file cannot be read, and is left alone.
    Unreadable(u64),
    /// The copies could not be written.
    Put,
}

impl Shared {
    /// Does steps until there is something to be had for a `put`, or nothing to be done. Answers
    /// whether files have gone.
    pub(super) fn make_room(&self) -> bool {
        let before = self.lock().files.bytes();
        for _ in 0..STEPS_PER_PUT {
            if !self.compact(Need::Now) {
                break;
            }
            if self.lock().files.bytes() < before {
                return true;
            }
        }
        false
    }

    /// Does one step, if one is worth it and nobody else is at it. Answers whether it was done.
    pub(super) fn compact(&self, need: Need) -> bool {
        let _alone = match self.compacting.try_lock() {
            Ok(alone) => alone,
            Err(TryLockError::Poisoned(e)) => e.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        let state = self.lock();
        let Some(victim) = self.victim(&state, need) else {
            return false;
        };
        let Some(file) = state.files.get(victim).map(|file| Arc::clone(&file.file)) else {
            return false;
        };
        let entries = self.first_of(&state, victim);
        drop(state);
        let outcome = read(&*file, victim, &entries).and_then(|copies| self.copy(&copies));
        let mut state = self.lock();
        match outcome {
            Ok(bytes) => {
                state.moved_bytes = state.moved_bytes.saturating_add(bytes);
                state.remove_if_empty(victim);
                true
            }
            // It is left to whoever reads the part to say what is damaged.
            Err(Hindered::Unreadable(number)) => {
                if let Some(file) = state.files.get_mut(number) {
                    file.is_unreadable = true;
                }
                false
            }
            // The next release, or the next `put` that finds no room, tries again.
            Err(Hindered::Put) => false,
        }
    }

    /// The file from which the most is to be had for the least work.
    fn victim(&self, state: &State, need: Need) -> Option<u64> {
        let (used, max) = (state.files.bytes(), self.options.bytes_max);
        let is_tight = need == Need::Now || used > max / 4 * 3;
        if used <= max / IDLE_SHARE && !is_tight {
            return None;
        }
        // Where there is little room left, a quarter of a file is worth it.
        let (live_share, of) = if is_tight { (3, 4) } else { (1, 5) };
        let step = self.step_bytes();
        let worth = state.files.settled().filter_map(|(number, len)| {
            let live = state.index.live_in(number).bytes;
            let is_worth = live > 0 && live.saturating_mul(of) <= len.saturating_mul(live_share);
            let has_room = live <= step || used.saturating_add(live) <= max;
            let share = live.saturating_mul(1024).checked_div(len).unwrap_or(1024);
            (is_worth && has_room).then_some((share, number))
        });
        worth.min().map(|(_, number)| number)
    }

    fn step_bytes(&self) -> u64 {
        STEP_BYTES_MAX.min(self.options.bytes_max / STEP_SHARE)
    }

    /// The first parts of a file that are not released, as many as a step takes.
    fn first_of(&self, state: &State, number: u64) -> Vec<At> {
        let mut bytes = 0u64;
        let mut first = Vec::new();
        for (_, _, at) in state.index.lying_in(number, 0) {
            bytes = bytes.saturating_add(at.end.saturating_sub(at.place.offset));
            if bytes > self.step_bytes() && !first.is_empty() {
                break;
            }
            first.push(at);
        }
        first
    }

    /// Writes copies and waits until they are durable; only then they stand for the old entries.
    /// Answers how many bytes they are. A copy whose part was released meanwhile stands for nothing.
    fn copy(&self, copies: &[(Position, Part, Digest)]) -> Result<u64, Hindered> {
        let new: Vec<(&Part, &Digest)> = copies
            .iter()
            .map(|(_, part, digest)| (part, digest))
            .collect();
        let bytes = new
            .iter()
            .map(|(part, _)| entry_len(part.bytes().len()))
            .sum();
        let mut state = self.lock();
        let (number, entries) = loop {
            match self.append(&mut state, &new, bytes) {
                Ok(appended) => break appended,
                Err(Failed::Busy) => state = self.wait(state),
                Err(Failed::Poisoned(_) | Failed::Full(_) | Failed::Told(_)) => {
                    return Err(Hindered::Put);
                }
            }
        };
        let end = entries.last().map_or(0, |entry| entry.end());
        pin(&mut state, number, true);
        let outcome = self.wait_durable(state, &[(number, end)].into());
        let mut state = self.lock();
        pin(&mut state, number, false);
        if outcome.is_ok() {
            for ((from, _, _), copy) in copies.iter().zip(&entries) {
                state.index.moved(*from, number, copy);
            }
        }
        // All of it may have been released meanwhile.
        state.remove_if_empty(number);
        outcome.map(|()| bytes).map_err(|_| Hindered::Put)
    }
}

/// Keeps a file in which nothing is needed yet, or lets go of it.
fn pin(state: &mut State, number: u64, is_pinned: bool) {
    if let Some(file) = state.files.get_mut(number) {
        file.is_pinned = is_pinned;
    }
}

/// Reads entries of a file, each where it is known to lie.
fn read(
    file: &dyn DiskFile,
    number: u64,
    entries: &[At],
) -> Result<Vec<(Position, Part, Digest)>, Hindered> {
    let mut copies = Vec::with_capacity(entries.len());
    for at in entries {
        match entry_at(file, number, at.place.offset) {
            Ok(Some((entry, bytes))) => {
                let digest = entry.digest;
                copies.push((at.place, part_of(&entry, bytes), digest));
            }
            Ok(None) | Err(_) => return Err(Hindered::Unreadable(number)),
        }
    }
    Ok(copies)
}
