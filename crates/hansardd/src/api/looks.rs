//! What is one look at a recording: a player asks for its next minute again and again, and the record
//! of looks says once that somebody played it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hansard_core::SessionId;

use super::role::{Asker, Caller, Role};
use super::router::Name;

/// How long requests belong to the look that is on record; after it, the next one is another look.
pub(super) const LOOK: Duration = Duration::from_secs(600);

/// Looks that are remembered; beyond that all are forgotten, and put on record anew.
pub(super) const LOOKS_MAX: usize = 4096;

/// Who looks, as what, from where, at what, and why: who looks again for another reason has another look.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Look {
    user: String,
    role: Role,
    place: String,
    session: Option<SessionId>,
    /// At most as long as a parameter may be.
    reason: Option<String>,
}

/// Looks that are on record.
#[derive(Debug, Default)]
pub(super) struct Looks {
    known: Mutex<HashMap<Look, Instant>>,
}

impl Looks {
    /// What makes two requests one look.
    pub(super) fn key((caller, id): (&Caller, Option<&Name>), reason: &Option<String>) -> Look {
        let place = match &caller.asker {
            Asker::Process(_) => String::new(),
            Asker::Browser(visitor) => visitor.address.to_string(),
            Asker::Link(guest) => guest.address.to_string(),
        };
        let session = match id {
            Some(Name::Session(id)) => Some(*id),
            _ => None,
        };
        Look {
            user: caller.user.clone(),
            role: caller.role,
            place,
            session,
            reason: reason.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Look, Instant>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is on record already.
    pub(super) fn is_known(&self, look: &Look, now: Instant) -> bool {
        let known = self.lock();
        let at = known.get(look);
        at.is_some_and(|at| now.duration_since(*at) < LOOK)
    }

    /// It is on record now.
    pub(super) fn remember(&self, look: Look, now: Instant) {
        let mut known = self.lock();
        // One more may come: the same without a reason.
        if known.len() + 1 >= LOOKS_MAX {
            known.retain(|_, at| now.duration_since(*at) < LOOK);
        }
        if known.len() + 1 >= LOOKS_MAX {
            known.clear();
        }
        // What gives no reason adds nothing to a look that has one.
        let without = Look {
            reason: None,
            ..look.clone()
        };
        known.insert(without, now);
        known.insert(look, now);
    }
}

#[cfg(test)]
mod tests {
    use super::super::role::Peer;
    use super::*;

    fn look(user: &str, role: Role, session: u64) -> Look {
        let asker = Asker::Process(Peer {
            uid: 1,
            gid: 1,
            pid: None,
        });
        let caller = Caller {
            asker,
            user: user.to_owned(),
            account: None,
            role,
        };
        let id = Name::Session(SessionId::new_v7(session, [0; 10]));
        Looks::key((&caller, Some(&id)), &None)
    }

    fn because(look: &Look, reason: &str) -> Look {
        Look {
            reason: Some(reason.to_owned()),
            ..look.clone()
        }
    }

    #[test]
    fn a_look_is_one_for_a_while_and_for_one_recording() {
        let looks = Looks::default();
        let now = Instant::now();
        let ada = look("ada", Role::Auditor, 1);
        assert!(!looks.is_known(&ada, now));
        looks.remember(ada.clone(), now);
        assert!(looks.is_known(&ada, now + LOOK - Duration::from_secs(1)));
        assert!(!looks.is_known(&ada, now + LOOK));
        for other in [
            look("bob", Role::Auditor, 1),
            look("ada", Role::Admin, 1),
            look("ada", Role::Auditor, 2),
        ] {
            assert!(!looks.is_known(&other, now), "{other:?}");
        }
    }

    #[test]
    fn a_look_for_another_reason_is_another_and_one_without_belongs_to_any() {
        let looks = Looks::default();
        let now = Instant::now();
        let ada = look("ada", Role::Auditor, 1);
        looks.remember(ada.clone(), now);
        assert!(!looks.is_known(&because(&ada, "case 42"), now));
        looks.remember(because(&ada, "case 42"), now);
        assert!(looks.is_known(&because(&ada, "case 42"), now));
        assert!(!looks.is_known(&because(&ada, "case 43"), now));
        let bob = look("bob", Role::Auditor, 1);
        looks.remember(because(&bob, "case 42"), now);
        assert!(looks.is_known(&bob, now));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let looks = Looks::default();
        let now = Instant::now();
        for n in 0..LOOKS_MAX as u64 * 2 + 1 {
            looks.remember(because(&look("ada", Role::Admin, n), "x"), now);
        }
        assert!(looks.lock().len() <= LOOKS_MAX);
    }
}
