//! Sessions that the last daemon watched, where the kernel's programs stayed when it ended (`pins`).
//!
//! Their processes carry their marks still, and what they have done since waits in the ring. Whoever goes on with
//! such a session takes it up. What nobody has taken up [`TAKEN_UP_WAIT`] after the start is what a session
//! left running: it goes into the host's own recording, under the session's name.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hansard_core::SessionId;
use hansard_core::policy::Watch;
use hansard_record::Recorder;
use libbpf_rs::{MapCore as _, MapFlags};

use super::afterwards::Over;
use super::arrivals::Waiting;
use super::doors::not_followed;
use super::events::{HostEvents, Shared, Watched, monotonic_ns};
use super::facts;
use super::kernel::Maps;
use super::record::Record;
use super::sessions::{Entry, Lost, Session, Sessions, lock};

/// How long after the start a session may still be taken up.
const TAKEN_UP_WAIT: Duration = Duration::from_secs(30);

/// Bytes of `struct owner` of `ebpf/record.h`.
const OWNER_BYTES: usize = 32;

/// What the gap says of a session that was taken up.
pub const NOT_STORED: &str = "the daemon that watched the session's processes was gone: what it had been told of them \
    and not yet stored is missing; what they did since is here, with how late it is told (delayed_ms)";

/// What was left, until it is taken up or time is over.
#[derive(Default)]
pub(super) struct Left(Mutex<State>);

#[derive(Default)]
struct State {
    by_tag: BTreeMap<u64, One>,
    /// Logins that the kernel found and that have no recording yet. News of some of them is in the ring.
    nameless: Vec<u64>,
    until: Option<Instant>,
}

struct One {
    session: SessionId,
    told: Lost,
    waiting: Arc<Waiting>,
}

/// `struct owner`: whose tag it is, and what it has been told of its losses.
pub(super) fn owner(session: SessionId, told: Lost) -> [u8; OWNER_BYTES] {
    let mut bytes = [0; OWNER_BYTES];
    let parts = [
        &session.as_bytes()[..],
        &told.records.to_ne_bytes(),
        &told.untagged.to_ne_bytes(),
    ];
    for (to, from) in bytes.iter_mut().zip(parts.concat()) {
        *to = from;
    }
    bytes
}

fn parse_owner(bytes: &[u8]) -> Option<(SessionId, Lost)> {
    let (session, rest) = bytes.split_first_chunk()?;
    let (records, rest) = rest.split_first_chunk()?;
    let told = Lost {
        records: u64::from_ne_bytes(*records),
        untagged: u64::from_ne_bytes(*rest.first_chunk()?),
        left_out: 0,
    };
    Some((SessionId::from_bytes(*session), told))
}

impl Sessions {
    /// Looks what the last daemon left, before anything is read.
    pub(super) fn find_left(&self, maps: &Maps) {
        let mut left = lock(&self.left.0);
        let mut all = lock(&self.by_tag);
        for key in maps.sessions.keys() {
            let Some(tag) = key.first_chunk().map(|key| u64::from_ne_bytes(*key)) else {
                continue;
            };
            let owner = maps.owners.lookup(&key, MapFlags::ANY).ok().flatten();
            let Some((session, told)) = owner.and_then(|bytes| parse_owner(&bytes)) else {
                left.nameless.push(tag);
                continue;
            };
            let waiting = Arc::new(Waiting::new(0));
            all.insert(tag, Entry::Waiting(Arc::clone(&waiting)));
            let one = One {
                session,
                told,
                waiting,
            };
            left.by_tag.insert(tag, one);
        }
        left.until = Some(Instant::now() + TAKEN_UP_WAIT);
    }

    /// What nobody has taken up is over; once. Called by whoever reads the ring, between two turns.
    pub(super) fn give_up_left(&self) {
        let mut left = lock(&self.left.0);
        if left.until.is_none_or(|until| Instant::now() < until) {
            return;
        }
        let State {
            by_tag, nameless, ..
        } = std::mem::take(&mut *left);
        drop(left);
        for (tag, one) in by_tag {
            self.is_over(tag, self.what_it_left_running(&one));
        }
        let known = lock(&self.by_tag);
        let lost: Vec<u64> = nameless
            .into_iter()
            .filter(|tag| !known.contains_key(tag))
            .collect();
        drop(known);
        if !lost.is_empty() {
            (self.tell)(not_followed(lost.len() as u64));
            lock(&self.done).extend(lost);
        }
    }

    fn what_it_left_running(&self, one: &One) -> Over {
        let mut over = Over::new(one.session, one.told.records);
        for bytes in one.waiting.rest() {
            if let Some(record) = Record::parse(&bytes) {
                over.take_late(&record, monotonic_ns(), &self.tell);
            }
        }
        over
    }

    /// The latest tag of this session that the last daemon left, if there is one.
    fn take_left(&self, session: SessionId) -> Option<(u64, One)> {
        let mut left = lock(&self.left.0);
        let of_session = |(tag, one): (&u64, &One)| (one.session == session).then_some(*tag);
        let tag = left.by_tag.iter().rev().find_map(of_session)?;
        left.by_tag.remove(&tag).map(|one| (tag, one))
    }
}

impl Shared {
    /// Writes down whose tag this is and what has been told of its losses, where the programs stay.
    pub(super) fn note(&self, tag: u64, session: SessionId, told: Lost) {
        if self.config.pins.is_some() {
            let owner = owner(session, told);
            // Without it the next daemon finds the session's processes as where nothing stays.
            let _ = self
                .loaded
                .maps
                .owners
                .update(&tag.to_ne_bytes(), &owner, MapFlags::ANY);
        }
    }
}

impl HostEvents {
    /// Goes on with a session whose processes carry the last daemon's marks, from this moment of it on. `None`
    /// where they do not: the programs did not stay, or this comes too late.
    pub(crate) fn take_up(
        &self,
        (id, recorder): (SessionId, &Recorder),
        from_ns: u64,
        policy: Watch,
    ) -> Option<Watched> {
        let shared = &self.0.shared;
        let (tag, one) = shared.watched.take_left(id)?;
        let switches = shared.config.of(policy);
        let (support, left_out) = (&shared.loaded.support, &shared.config.left_out);
        self.was_unwatched((id, recorder), from_ns, NOT_STORED);
        // A recording that failed ends its session by itself.
        let _ = recorder.witness(facts::watched(support, switches, left_out));
        let mut session = Session::begun(id, recorder.clone());
        session.looked_ns = from_ns;
        session.lost = one.told;
        Some(shared.hand_on((tag, &one.waiting), session, switches))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_read_as_it_was_written() {
        let told = Lost {
            records: 7,
            untagged: 1 << 40,
            left_out: 0,
        };
        let id = SessionId::from_bytes([9; 16]);
        assert_eq!(parse_owner(&owner(id, told)), Some((id, told)));
        assert_eq!(parse_owner(&[0; OWNER_BYTES - 1]), None);
    }
}
