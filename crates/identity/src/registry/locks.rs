//! Locking hosts out, for a time or for ever.

use super::tokens::check_text;
use super::{Denied, Done, Registry};
use crate::fact;
use crate::failure::Failure;
use crate::host_id::HostId;
use crate::host_row::{HostRow, Lock};

impl Registry {
    /// Locks a host out, until `until_ns` or until it is unlocked: it can neither connect nor renew
    /// nor join again, and connections it has end. What it recorded stays. A lock that is there
    /// already is replaced.
    ///
    /// # Errors
    /// `Conflict` when there is no such host or it is revoked, `Retry` when the disk fails.
    pub fn lock(
        &self,
        id: HostId,
        reason: &str,
        until_ns: Option<u64>,
        by: &str,
        utc_ns: u64,
    ) -> Result<Done<()>, Denied> {
        self.shut_out(id, reason, until_ns, false, by, utc_ns)
    }

    /// Locks a host out for ever. The machine may join again as a new host with new keys.
    ///
    /// # Errors
    /// As [`Registry::lock`].
    pub fn revoke(
        &self,
        id: HostId,
        reason: &str,
        by: &str,
        utc_ns: u64,
    ) -> Result<Done<()>, Denied> {
        self.shut_out(id, reason, None, true, by, utc_ns)
    }

    /// Lifts a lock. Nothing happens where there is none.
    ///
    /// # Errors
    /// As [`Registry::lock`].
    pub fn unlock(&self, id: HostId, by: &str) -> Result<Done<()>, Denied> {
        check_text("who unlocks", by)?;
        let _writing = self.writing();
        let mut row = self.lockable(id)?;
        let mut facts = Vec::new();
        if row.lock.take().is_some() {
            facts.push(fact::unlocked(&row, by));
            self.put_host(id, row)?;
        }
        Ok(Done { answer: (), facts })
    }

    fn shut_out(
        &self,
        id: HostId,
        reason: &str,
        until_ns: Option<u64>,
        revoked: bool,
        by: &str,
        utc_ns: u64,
    ) -> Result<Done<()>, Denied> {
        check_text("who locks", by)?;
        check_text("the reason", reason)?;
        if until_ns.is_some_and(|until| until <= utc_ns) {
            return Err(Failure::Malformed("a lock that is over already".into()).into());
        }
        let _writing = self.writing();
        let mut row = self.lockable(id)?;
        let lock = Lock {
            reason: reason.to_owned(),
            by: by.to_owned(),
            since_ns: utc_ns,
            until_ns,
            revoked,
        };
        let facts = vec![fact::locked(&row, &lock)];
        row.lock = Some(lock);
        self.put_host(id, row)?;
        Ok(Done { answer: (), facts })
    }

    /// Whether a host could be locked out now, or its lock lifted.
    ///
    /// # Errors
    /// As [`Registry::lock`].
    pub fn check_lockable(&self, id: HostId) -> Result<(), Failure> {
        self.lockable(id).map(drop)
    }

    fn lockable(&self, id: HostId) -> Result<HostRow, Failure> {
        let Some(row) = self.host(id) else {
            return Err(Failure::Conflict(format!("there is no host {id}")));
        };
        if row.lock.as_ref().is_some_and(|lock| lock.revoked) {
            return Err(Failure::Conflict(format!("host {id} is revoked for ever")));
        }
        Ok(row)
    }
}
