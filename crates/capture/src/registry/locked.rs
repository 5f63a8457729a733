//! Ending sessions of whoever is locked out.

use hansard_core::SessionId;

use super::Registry;

impl Registry {
    /// Ends every session of whoever or whatever is locked: the reason that its recording gives is what the
    /// lock says. Answers how many. To be called when a lock is made.
    pub fn lock_out(&self) -> usize {
        self.end_locked(None)
    }

    /// The same, of one session or of all.
    pub(super) fn end_locked(&self, only: Option<SessionId>) -> usize {
        let Some(locks) = &self.0.locks else {
            return 0;
        };
        let mut locked = Vec::new();
        for (session, running) in &*self.lock() {
            if running.ended.is_some() || only.is_some_and(|only| only != *session) {
                continue;
            }
            if let Some(why) = locks.0.locked(&running.who) {
                locked.push((*session, why));
            }
        }
        for (session, why) in &locked {
            // One that has ended meanwhile needs nothing any more.
            let _ = self.end(*session, why, "");
        }
        locked.len()
    }
}
