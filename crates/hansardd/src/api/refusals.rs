//! Refused looks are on record, and nobody can fill the record with them: of one user's, so many in a
//! minute are told one by one, and the rest of that minute in one event with their number.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hansard_core::event::Fact;
use hansard_core::{Body, Fields, Value};

use super::role::{Asker, Caller};

/// Refusals of one user in one window that are told one by one; the further ones are counted, and
/// told together when the window is over, or the service stops.
pub const REFUSALS_TOLD_MAX: u32 = 10;

/// How long a window is: from a user's first refusal on.
pub const REFUSALS_WINDOW: Duration = Duration::from_secs(60);

/// Users whose refusals are counted each for itself; those of further ones are counted together.
pub const REFUSED_USERS_MAX: usize = 1024;

/// What is to be done with a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It is told.
    Told,
    /// It is the first that is only counted: [`Refusals::due`] is to be asked after this long.
    FirstCounted(Duration),
    /// It is counted.
    Counted,
}

/// What was refused lately, by user.
#[derive(Debug)]
pub struct Refusals {
    window: Duration,
    users: Mutex<HashMap<Option<Key>, Window>>,
}

/// Whose refusals are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Uid(u32),
    SignedIn(String),
    Link(String),
}

impl Key {
    fn of(caller: &Caller) -> Self {
        match &caller.asker {
            Asker::Process(peer) => Self::Uid(peer.uid),
            Asker::Browser(visitor) => Self::SignedIn(visitor.user.clone()),
            Asker::Link(guest) => Self::Link(guest.share.id.clone()),
        }
    }
}

#[derive(Debug)]
struct Window {
    began: Instant,
    told: u32,
    counted: u64,
    /// Who was counted last.
    last: Option<Caller>,
}

impl Refusals {
    /// None yet; [`REFUSALS_WINDOW`] is the usual window.
    #[must_use]
    pub fn new(window: Duration) -> Self {
        Self {
            window,
            users: Mutex::default(),
        }
    }

    fn users(&self) -> MutexGuard<'_, HashMap<Option<Key>, Window>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody was refused.
    pub fn refused(&self, caller: &Caller, now: Instant) -> Refusal {
        let mut users = self.users();
        // What is over and all told needs no place any more.
        users.retain(|_, w| w.counted > 0 || now.duration_since(w.began) < self.window);
        let mut key = Some(Key::of(caller));
        if !users.contains_key(&key) && users.len() >= REFUSED_USERS_MAX {
            key = None;
        }
        let window = users.entry(key).or_insert(Window {
            began: now,
            told: 0,
            counted: 0,
            last: None,
        });
        // One that is over and has counted something waits for `due`, and counts until then.
        if window.counted == 0 && window.told < REFUSALS_TOLD_MAX {
            window.told = window.told.saturating_add(1);
            return Refusal::Told;
        }
        window.counted = window.counted.saturating_add(1);
        window.last = Some(caller.clone());
        match window.counted {
            1 => {
                let gone = now.duration_since(window.began);
                Refusal::FirstCounted(self.window.saturating_sub(gone))
            }
            _ => Refusal::Counted,
        }
    }

    /// The events for windows that are over by now. They are counted no more: who asks MUST put them
    /// on record.
    pub fn due(&self, now: Instant) -> Vec<Body> {
        self.take(|window| now.duration_since(window.began) >= self.window)
    }

    /// The events for everything that was counted: for the end of the service.
    pub fn left(&self) -> Vec<Body> {
        self.take(|_| true)
    }

    fn take(&self, is_over: impl Fn(&Window) -> bool) -> Vec<Body> {
        let mut bodies = Vec::new();
        self.users().retain(|key, window| {
            if !is_over(window) {
                return true;
            }
            if window.counted > 0 {
                bodies.push(summed(key.as_ref(), window));
            }
            false
        });
        bodies
    }
}

fn summed(key: Option<&Key>, window: &Window) -> Body {
    let mut fields = Fields::new();
    let reason = match (key, &window.last) {
        (Some(key), Some(caller)) => {
            fields.push("user", caller.user.as_str());
            if let Key::Uid(uid) = key {
                fields.push("user_uid", u64::from(*uid));
            }
            let roles = match key {
                Key::Link(_) => Vec::new(),
                _ => vec![caller.role.as_str().into()],
            };
            fields.push("user_roles", Value::List(roles));
            "this user was refused more often in a minute than each is told of"
        }
        _ => "more users were refused in a minute than each is told of",
    };
    fields.push("success", false);
    fields.push("times", window.counted);
    fields.push("reason", reason);
    Body::Admin(Fact {
        event: "access.refused".to_owned(),
        fields,
    })
}

#[cfg(test)]
mod tests {
    use super::super::role::{Peer, Role, Visitor};
    use hansard_identity::users::Standing;

    use super::*;

    fn caller(uid: u32) -> Caller {
        Caller {
            asker: Asker::Process(Peer {
                uid,
                gid: uid,
                pid: None,
            }),
            user: format!("user{uid}"),
            account: None,
            role: Role::User,
        }
    }

    fn times(bodies: &[Body]) -> Vec<(Option<String>, u64)> {
        let one = |body: &Body| {
            let Body::Admin(fact) = body else {
                panic!("{body:?}");
            };
            assert_eq!(fact.event, "access.refused");
            let Some(Value::Uint(times)) = fact.fields.get("times") else {
                panic!("{fact:?}");
            };
            (fact.fields.text("user").map(str::to_owned), *times)
        };
        bodies.iter().map(one).collect()
    }

    #[test]
    fn many_of_one_user_become_one_event_and_others_are_told() {
        let refusals = Refusals::new(REFUSALS_WINDOW);
        let began = Instant::now();
        let second = Duration::from_secs(1);
        for _ in 0..REFUSALS_TOLD_MAX {
            assert_eq!(refusals.refused(&caller(1), began), Refusal::Told);
        }
        let first = refusals.refused(&caller(1), began + second * 20);
        assert_eq!(first, Refusal::FirstCounted(second * 40));
        for _ in 0..500 {
            let next = refusals.refused(&caller(1), began + second * 30);
            assert_eq!(next, Refusal::Counted);
        }
        assert_eq!(refusals.refused(&caller(2), began), Refusal::Told);
        assert!(refusals.due(began + second * 59).is_empty());
        let due = refusals.due(began + second * 60);
        assert_eq!(times(&due), [(Some("user1".to_owned()), 501)]);
        assert!(refusals.due(began + second * 61).is_empty());
        // Another minute begins.
        let later = began + second * 62;
        assert_eq!(refusals.refused(&caller(1), later), Refusal::Told);
    }

    #[test]
    fn whoever_is_signed_in_is_counted_by_name_wherever_they_are() {
        let refusals = Refusals::new(REFUSALS_WINDOW);
        let now = Instant::now();
        for n in 0..REFUSALS_TOLD_MAX + 5 {
            let visitor = Visitor {
                is_certified: false,
                user: "ada".to_owned(),
                role: Role::User,
                standing: Standing::default(),
                address: [127, 0, 0, n as u8].into(),
                origin: "http://localhost:3080".to_owned(),
                outside: None,
            };
            let ada = Caller {
                asker: Asker::Browser(visitor),
                ..caller(1)
            };
            refusals.refused(&ada, now);
        }
        assert_eq!(refusals.refused(&caller(1), now), Refusal::Told);
        assert_eq!(times(&refusals.left()), [(Some("user1".to_owned()), 5)]);
    }

    #[test]
    fn what_was_counted_is_told_at_the_end_and_users_are_bounded() {
        let refusals = Refusals::new(REFUSALS_WINDOW);
        let now = Instant::now();
        let users = u32::try_from(REFUSED_USERS_MAX).unwrap();
        for uid in 0..users + 100 {
            refusals.refused(&caller(uid), now);
        }
        // The further ones share a window: ten of them are told, ninety counted.
        assert_eq!(times(&refusals.left()), [(None, 90)]);
        assert!(refusals.left().is_empty());
    }
}
