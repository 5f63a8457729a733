//! How parts become durable: appended under a lock, synced without it, one fsync for all threads
//! that wait at the same time.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use hansard_core::frame::Part;
use hansard_core::{SessionId, SinkError};

use crate::disk::{may_pass, write_all_at};
use crate::order::Spot;
use crate::spool::files::Files;
use crate::spool::index::{Index, Standing};
use crate::spool::layout::{self, Digest, Entry, entry_len};
use crate::spool::{Listener, Rot, SpoolOptions};

pub(super) struct Shared {
    pub(super) dir: PathBuf,
    pub(super) options: SpoolOptions,
    pub(super) state: Mutex<State>,
    pub(super) synced: Condvar,
    pub(super) damage: Vec<Rot>,
    pub(super) listeners: Mutex<Vec<Listener>>,
    /// Held by who makes room.
    pub(super) compacting: Mutex<()>,
    pub(super) _lock: Box<dyn Send + Sync>,
}

pub(super) struct State {
    pub(super) files: Files,
    pub(super) index: Index,
    pub(super) buffer: Vec<u8>,
    /// Bytes of entries that were written again to make room.
    pub(super) moved_bytes: u64,
    /// A file in use of which everything is released is removed when it is larger than this.
    small_bytes: u64,
}

/// What a `put` waits for: how far which file must be durable.
pub(super) type Waits = BTreeMap<u64, u64>;

/// A file in use of which everything is released is removed when it is larger than this, or than half
/// of what it may be: it would otherwise be made and removed over and over.
const SMALL_BYTES: u64 = 1024 * 1024;

/// Parts that are to be written, with their digests.
type New<'a> = Vec<(&'a Part, &'a Digest)>;

/// Why an attempt failed.
pub(super) enum Failed {
    /// The file it went to is no longer to be trusted: write the same to another.
    Poisoned(String),
    /// The file in use is full and being synced: the next is begun after that. Two syncs at once
    /// would not do: if one fails, the kernel may tell the other that all is well.
    Busy,
    /// There is no room below the bound.
    Full(String),
    /// The caller is to be told.
    Told(SinkError),
}

impl State {
    pub(super) fn new(files: Files, file_bytes_max: u64) -> Self {
        Self {
            files,
            index: Index::default(),
            buffer: Vec::new(),
            moved_bytes: 0,
            small_bytes: SMALL_BYTES.min(file_bytes_max / 2),
        }
    }

    /// Removes a file of which nothing is needed any more.
    pub(super) fn remove_if_empty(&mut self, number: u64) {
        let is_needed = self.index.live_in(number).parts > 0;
        if !is_needed && !self.files.is_worth_keeping(number, self.small_bytes) {
            self.files.remove(number);
        }
    }

    /// Nothing beyond what is durable counts in this file any more.
    fn poison(&mut self, number: u64, why: &str) {
        let Some(synced) = self.files.get(number).map(|file| file.synced) else {
            return;
        };
        for (session, spot, _) in self.index.lying_in(number, synced) {
            self.index.retract(session, spot);
        }
        self.files.poison(number, why.to_owned());
    }
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn listeners(&self) -> MutexGuard<'_, Vec<Listener>> {
        self.listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tell_listeners(&self) {
        self.listeners().iter().for_each(|listener| listener());
    }

    /// Sorts out which parts are new, and what the others wait for.
    fn sort<'a>(
        &self,
        state: &State,
        parts: &'a [Part],
        digests: &'a [Digest],
    ) -> Result<(New<'a>, Waits), SinkError> {
        let (mut new, mut waits) = (Vec::new(), Waits::new());
        let mut newest: HashMap<SessionId, Spot> = HashMap::new();
        for (part, digest) in parts.iter().zip(digests) {
            let (session, spot) = (part.session(), Spot::of(part));
            let before = newest.get(&session).copied();
            let say =
                |what: &str| format!("spool {}: {spot} of {session} {what}", self.dir.display());
            match state.index.standing(session, spot, digest, before) {
                Standing::New => {
                    newest.insert(session, spot);
                    new.push((part, digest));
                }
                Standing::Pending { file, end } => {
                    let wait = waits.entry(file).or_default();
                    *wait = end.max(*wait);
                }
                Standing::Released => {}
                Standing::Conflict => {
                    return Err(SinkError::Conflict(say("is there with other bytes")));
                }
                Standing::TooEarly => {
                    return Err(SinkError::Refused(say("came before what precedes it")));
                }
                Standing::Forgotten => {
                    return Err(SinkError::Refused(say(
                        "was released too long ago to be compared",
                    )));
                }
            }
        }
        Ok((new, waits))
    }

    /// Appends what is new and waits until everything is durable.
    pub(super) fn attempt(
        &self,
        parts: &[Part],
        digests: &[Digest],
        bytes_max: u64,
    ) -> Result<(), Failed> {
        let mut state = self.lock();
        let waits = loop {
            match self.write(&mut state, parts, digests, bytes_max) {
                Err(Failed::Busy) => state = self.wait(state),
                outcome => break outcome?,
            }
        };
        self.wait_durable(state, &waits)
    }

    /// Waits until something was synced.
    pub(super) fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.synced
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends what is new. It is durable only when the waits that are answered are over.
    fn write(
        &self,
        state: &mut State,
        parts: &[Part],
        digests: &[Digest],
        bytes_max: u64,
    ) -> Result<Waits, Failed> {
        let (new, mut waits) = self.sort(state, parts, digests).map_err(Failed::Told)?;
        if new.is_empty() {
            return Ok(waits);
        }
        let bytes = new
            .iter()
            .map(|(part, _)| entry_len(part.bytes().len()))
            .sum::<u64>();
        self.check_room(state, bytes, bytes_max)?;
        let (number, entries) = self.append(state, &new, bytes)?;
        let end = entries.last().map_or(0, Entry::end);
        waits.insert(number, end);
        for entry in &entries {
            state.index.add(number, entry);
        }
        Ok(waits)
    }

    /// Appends entries to the file in use, or to the next one; answers which, and where they lie. The
    /// index does not know of them yet.
    pub(super) fn append(
        &self,
        state: &mut State,
        new: &[(&Part, &Digest)],
        bytes: u64,
    ) -> Result<(u64, Vec<Entry>), Failed> {
        let retry = |e: &io::Error| {
            Failed::Told(SinkError::Retry(format!(
                "spool {}: {e}",
                self.dir.display()
            )))
        };
        let number = match state.files.active_for(bytes, self.options.file_bytes_max) {
            Some((number, true)) => number,
            Some((number, false)) if state.files.get(number).is_some_and(|f| f.has_leader) => {
                return Err(Failed::Busy);
            }
            Some((number, false)) => {
                self.retire(state, number);
                state.files.create().map_err(|e| retry(&e))?
            }
            None => state.files.create().map_err(|e| retry(&e))?,
        };
        let State { files, buffer, .. } = state;
        let Some(file) = files.get_mut(number) else {
            return Err(Failed::Poisoned("the file in use is gone".to_owned()));
        };
        buffer.clear();
        let begin = file.len;
        let to = (number, begin, file.synced);
        let entries: Vec<Entry> = new
            .iter()
            .map(|(part, digest)| layout::encode(buffer, to, part, digest))
            .collect();
        if let Err(e) = write_all_at(&*file.file, begin, buffer) {
            // Others may be waiting for what lies before; the cut leaves that alone.
            if file.file.truncate(begin).is_ok() && may_pass(&e) {
                return Err(retry(&e));
            }
            let why = format!("{}: cannot write: {e}", file.path.display());
            state.poison(number, &why);
            self.synced.notify_all();
            return Err(Failed::Poisoned(why));
        }
        file.len = begin.saturating_add(buffer.len() as u64);
        Ok((number, entries))
    }

    /// Makes all of a file durable before the next one is begun, whose head will say so. Nobody
    /// else MUST be syncing it.
    fn retire(&self, state: &mut State, number: u64) {
        let Some(file) = state.files.get_mut(number) else {
            return;
        };
        match file.file.sync_data() {
            Ok(()) => file.synced = file.len,
            Err(e) => {
                let why = format!("{}: cannot sync: {e}", file.path.display());
                state.poison(number, &why);
            }
        }
        self.synced.notify_all();
    }

    fn check_room(&self, state: &State, bytes: u64, max: u64) -> Result<(), Failed> {
        let used = state.files.bytes();
        if used.saturating_add(bytes) <= max {
            return Ok(());
        }
        let dir = self.dir.display();
        Err(Failed::Full(format!(
            "spool {dir} is full: {used} of {max} bytes are in use"
        )))
    }

    /// Waits until it is so. The first that waits syncs for all that were written by then.
    pub(super) fn wait_durable<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        waits: &Waits,
    ) -> Result<(), Failed> {
        for (&number, &end) in waits {
            while !state.files.is_durable(number, end) {
                let Some(file) = state.files.get_mut(number) else {
                    return Err(Failed::Poisoned("it could not be synced".to_owned()));
                };
                if let Some(why) = &file.poisoned {
                    return Err(Failed::Poisoned(why.clone()));
                }
                state = if file.has_leader {
                    self.synced
                        .wait(state)
                        .unwrap_or_else(PoisonError::into_inner)
                } else {
                    self.lead(state, number)
                };
            }
        }
        Ok(())
    }

    /// Syncs a file for everybody, without holding the others up meanwhile.
    fn lead<'a>(&'a self, mut state: MutexGuard<'a, State>, number: u64) -> MutexGuard<'a, State> {
        let Some(file) = state.files.get_mut(number) else {
            return state;
        };
        file.has_leader = true;
        let (handle, written) = (Arc::clone(&file.file), file.len);
        drop(state);
        let outcome = handle.sync_data();
        let mut state = self.lock();
        if let Some(file) = state.files.get_mut(number) {
            file.has_leader = false;
            let already_poisoned = file.poisoned.is_some();
            match outcome {
                Ok(()) if already_poisoned => {}
                Ok(()) => file.synced = file.synced.max(written),
                Err(e) => {
                    let why = format!("{}: cannot sync: {e}", file.path.display());
                    state.poison(number, &why);
                }
            }
        }
        self.synced.notify_all();
        state
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::conformance::sample_parts;
    use crate::sim::SimDisk;
    use crate::spool::Spool;
    use crate::spool::layout::part_digest;

    /// One of two threads that wait for the same sync may be the later one to look, when the file is poisoned, empty and
    /// removed already.
    #[test]
    fn what_a_failed_sync_took_back_is_durable_for_nobody_who_waited() {
        let disk = SimDisk::new(1);
        let options = SpoolOptions::default();
        let spool = Spool::open(Path::new("/spool"), Arc::new(disk.clone()), options).unwrap();
        let parts = sample_parts(1).unwrap();
        let digests: Vec<Digest> = parts.iter().map(|part| part_digest(part.bytes())).collect();
        let shared = &spool.0;
        let write = || shared.write(&mut shared.lock(), &parts, &digests, u64::MAX);
        let Ok(waits) = write() else {
            panic!("nothing was written")
        };
        disk.fail_next_sync();
        let first = shared.wait_durable(shared.lock(), &waits);
        assert!(matches!(first, Err(Failed::Poisoned(_))));
        spool.forget(&[]);
        assert!(
            waits
                .keys()
                .all(|number| shared.lock().files.get(*number).is_none())
        );
        let second = shared.wait_durable(shared.lock(), &waits);
        assert!(matches!(second, Err(Failed::Poisoned(_))));
        // Whoever tries again writes it to the next file.
        let Ok(waits) = write() else {
            panic!("nothing was written")
        };
        assert!(!waits.is_empty() && shared.wait_durable(shared.lock(), &waits).is_ok());
    }
}
