//! Locks, in files; and what they end.

use std::sync::Arc;

use hansard_capture::registry::Registry;
use hansard_core::lock::{LockKind, Target};
use hansard_core::{Lockable, Locks};
use hansard_identity::Locks as Kept;
use hansard_identity::locks::{LockRow, Maker};
use hansard_record::clock::Clock;

use super::certified::Definitions;
use super::defined::unknown;
use super::ending::EndThere;
use super::people::trouble;
use crate::api::locks::{LockWish, Locking};
use crate::api::problem::Trouble;
use crate::api::role::{Asker, Caller};
use crate::live::Live;
use crate::tee::Source;

/// The locks of a service, as everybody asks them before something begins.
#[derive(Clone)]
pub struct Locked {
    /// Where they are kept.
    pub locks: Arc<Kept>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
}

impl Locks for Locked {
    fn locked(&self, who: &Lockable) -> Option<String> {
        let lock = self.locks.of(who, self.clock.utc_ns())?;
        Some(lock.words())
    }
}

/// Ends what is locked, wherever it is recorded.
#[derive(Clone)]
pub struct LockingOut {
    /// The locks.
    pub locked: Locked,
    /// What is being recorded here.
    pub here: Option<Registry>,
    /// What comes from hosts.
    pub live: Live,
    /// How hosts are asked.
    pub there: EndThere,
    /// The roles that there are besides the four.
    pub definitions: Definitions,
}

impl LockingOut {
    /// Ends every session of whoever or whatever is locked now, here and on hosts that are connected.
    pub fn sweep(&self) {
        if self.locked.locks.is_empty() {
            return;
        }
        if let Some(here) = &self.here {
            here.lock_out();
        }
        let of_hosts = |source: &Source| !matches!(source, Source::Local);
        for (session, source, who) in self.live.going(of_hosts) {
            if let Some(why) = self.locked.locked(&who) {
                // One that is not connected ends it when it is: it is asked again then.
                (self.there)(source, session, &why, "");
            }
        }
    }
}

impl Locking for LockingOut {
    fn prepare(&self, wish: &LockWish, by: &Caller) -> Result<LockRow, Trouble> {
        let now_ns = self.locked.clock.utc_ns();
        let life_ns = wish.ttl_s.map(|ttl_s| ttl_s.saturating_mul(1_000_000_000));
        let until_ns = life_ns.map(|ns| now_ns.saturating_add(ns));
        let maker = Maker {
            name: &by.user,
            is_root: matches!(&by.asker, Asker::Process(peer) if peer.uid == 0),
            utc_ns: now_ns,
        };
        let locks = &self.locked.locks;
        locks
            .prepare(&wish.target, &wish.message, until_ns, maker)
            .map_err(trouble)
    }

    fn keep(&self, lock: &LockRow) -> Result<(), Trouble> {
        let kept = self.locked.locks.keep(lock);
        // Whatever the disk does, it holds from now on.
        self.sweep();
        kept.map_err(trouble)
    }

    fn note(&self, target: &Target) -> Option<String> {
        let is_role = target.kind == LockKind::Role;
        let what = is_role.then(|| unknown(&target.name, &self.definitions))??;
        Some(format!(
            "{what}; the lock is about whoever has it in a certificate all the same"
        ))
    }

    fn list(&self, after: Option<&str>, most: usize) -> Result<Vec<LockRow>, Trouble> {
        let now_ns = self.locked.clock.utc_ns();
        Ok(self.locked.locks.list(after, most, now_ns))
    }

    fn get(&self, id: &str) -> Option<LockRow> {
        self.locked.locks.get(id)
    }

    fn remove(&self, id: &str) -> Result<bool, Trouble> {
        let removed = self.locked.locks.remove(id).map_err(trouble)?;
        Ok(removed.is_some())
    }
}
