//! Who is signed in, in which browser. Only in memory: a restart signs everybody out, and nothing on
//! the disk lets anybody in.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hansard_identity::hex;
use hansard_identity::random::Random;
use hansard_identity::users::Standing;
use sha2::{Digest as _, Sha256};

use crate::api::problem::Trouble;
use crate::api::role::Outside;
use crate::api::sign_ins::{SignIn, SignIns};

/// How long somebody is signed in at most, whatever they do.
pub const LIFE: Duration = Duration::from_secs(12 * 3600);

/// How long somebody is signed in who does nothing.
pub const IDLE: Duration = Duration::from_secs(3600);

/// Browsers in which one user is signed in; a further one signs out the one that did nothing for the
/// longest time.
pub const PER_USER_MAX: usize = 16;

/// Browsers in all; likewise.
pub const ALL_MAX: usize = 10_000;

/// What a browser's cookie is, as it is kept: its digest, so that nobody who reads our memory or a
/// dump of it is signed in by it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Ticket([u8; 32]);

impl Ticket {
    /// The ticket of a cookie's value.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let secret: [u8; 32] = hex::decode(text)?;
        Some(Self(Sha256::digest(secret).into()))
    }
}

/// Who is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// A user of this service, and what that stands on.
    Kept(String, Standing),
    /// Somebody whom a provider vouched for.
    Outside(Arc<Outside>),
}

impl Who {
    /// The name.
    #[must_use]
    pub fn user(&self) -> &str {
        match self {
            Self::Kept(user, _) => user,
            Self::Outside(outside) => &outside.user,
        }
    }
}

/// Somebody signs in.
#[derive(Debug, Clone)]
pub struct Begun {
    /// Who.
    pub who: Who,
    /// How, as events call it.
    pub method: &'static str,
    /// From where.
    pub address: IpAddr,
    /// When, UTC nanoseconds since 1970.
    pub utc_ns: u64,
}

struct Session {
    id: String,
    begun: Begun,
    began: Instant,
    used: Instant,
}

impl Session {
    fn row(&self, now: Instant) -> SignIn {
        let (outside, passkey) = match &self.begun.who {
            Who::Outside(outside) => (Some(Arc::clone(outside)), None),
            Who::Kept(_, standing) => (None, standing.passkey.clone()),
        };
        SignIn {
            id: self.id.clone(),
            user: self.begun.who.user().to_owned(),
            method: self.begun.method,
            address: self.begun.address,
            began_ns: self.begun.utc_ns,
            idle: now.duration_since(self.used),
            outside,
            passkey,
        }
    }

    fn is_over(&self, now: Instant) -> bool {
        now.duration_since(self.began) >= LIFE || now.duration_since(self.used) >= IDLE
    }
}

/// Everybody who is signed in.
pub struct SignedIn {
    random: Arc<dyn Random>,
    sessions: Mutex<HashMap<Ticket, Session>>,
}

impl SignedIn {
    /// Nobody yet.
    #[must_use]
    pub fn new(random: Arc<dyn Random>) -> Self {
        Self {
            random,
            sessions: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Ticket, Session>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Signs somebody in; the answer is the cookie's value, which is nowhere else.
    ///
    /// # Errors
    /// Without randomness.
    pub fn begin(&self, begun: Begun, now: Instant) -> std::io::Result<String> {
        let (mut secret, mut id) = ([0u8; 32], [0u8; 8]);
        self.random.fill(&mut secret)?;
        self.random.fill(&mut id)?;
        let text = hex::encode(&secret);
        let mut sessions = self.lock();
        sessions.retain(|_, session| !session.is_over(now));
        while sessions.len() >= ALL_MAX {
            remove_idlest(&mut sessions, |_| true);
        }
        let is_users = |session: &Session| session.begun.who.user() == begun.who.user();
        while sessions.values().filter(|s| is_users(s)).count() >= PER_USER_MAX {
            remove_idlest(&mut sessions, is_users);
        }
        let session = Session {
            id: hex::encode(&id),
            begun,
            began: now,
            used: now,
        };
        sessions.insert(Ticket(Sha256::digest(secret).into()), session);
        Ok(text)
    }

    /// Whose ticket this is; that it was asked counts as use.
    #[must_use]
    pub fn of(&self, ticket: &Ticket, now: Instant) -> Option<Who> {
        let mut sessions = self.lock();
        let session = going(&mut sessions, ticket, now)?;
        session.used = now;
        Some(session.begun.who.clone())
    }

    /// Whose ticket this is still, for what goes on by itself: that is no use of it.
    #[must_use]
    pub fn still(&self, ticket: &Ticket, now: Instant) -> Option<Who> {
        let mut sessions = self.lock();
        going(&mut sessions, ticket, now).map(|session| session.begun.who.clone())
    }

    /// Signs out.
    pub fn sign_out(&self, ticket: &Ticket) {
        self.lock().remove(ticket);
    }

    /// In how many browsers somebody is signed in.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().len()
    }
}

impl SignIns for SignedIn {
    fn list(&self, after: Option<&str>, most: usize) -> Result<Vec<SignIn>, Trouble> {
        let now = Instant::now();
        let sessions = self.lock();
        let here = sessions.values().filter(|session| !session.is_over(now));
        let mut rows: Vec<SignIn> = here.map(|session| session.row(now)).collect();
        drop(sessions);
        rows.sort_by(|a, b| a.id.cmp(&b.id));
        rows.retain(|row| after.is_none_or(|after| row.id.as_str() > after));
        rows.truncate(most);
        Ok(rows)
    }

    fn get(&self, id: &str) -> Result<Option<SignIn>, Trouble> {
        let now = Instant::now();
        let sessions = self.lock();
        let mut here = sessions.values().filter(|session| !session.is_over(now));
        Ok(here
            .find(|session| session.id == id)
            .map(|session| session.row(now)))
    }

    fn by_passkey(&self, user: &str, passkey: &str) -> Result<Vec<SignIn>, Trouble> {
        let now = Instant::now();
        let sessions = self.lock();
        let here = sessions.values().filter(|session| !session.is_over(now));
        let rows = here.map(|session| session.row(now));
        let is_its = |row: &SignIn| row.user == user && row.passkey.as_deref() == Some(passkey);
        Ok(rows.filter(is_its).collect())
    }

    fn end(&self, id: &str) -> Result<bool, Trouble> {
        let mut sessions = self.lock();
        let before = sessions.len();
        sessions.retain(|_, session| session.id != id);
        Ok(sessions.len() < before)
    }
}

/// What a ticket is of; what is over is removed.
fn going<'a>(
    sessions: &'a mut HashMap<Ticket, Session>,
    ticket: &Ticket,
    now: Instant,
) -> Option<&'a mut Session> {
    if sessions.get(ticket)?.is_over(now) {
        sessions.remove(ticket);
        return None;
    }
    sessions.get_mut(ticket)
}

fn remove_idlest(sessions: &mut HashMap<Ticket, Session>, of: impl Fn(&Session) -> bool) {
    let candidates = sessions.iter().filter(|(_, session)| of(session));
    let idlest = candidates.min_by_key(|(_, session)| session.used);
    if let Some(ticket) = idlest.map(|(ticket, _)| ticket.clone()) {
        sessions.remove(&ticket);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn who(user: &str, changed_ns: u64) -> Who {
        let standing = Standing {
            changed_ns,
            passkey: None,
        };
        Who::Kept(user.to_owned(), standing)
    }

    fn of(user: &str, changed_ns: u64) -> Begun {
        Begun {
            who: who(user, changed_ns),
            method: "local",
            address: [192, 0, 2, 1].into(),
            utc_ns: 9,
        }
    }

    fn signed_in() -> SignedIn {
        let count = AtomicU64::new(0);
        SignedIn::new(Arc::new(move |bytes: &mut [u8]| {
            let n = count.fetch_add(1, Ordering::Relaxed).to_le_bytes();
            bytes.iter_mut().zip(n).for_each(|(to, from)| *to = from);
            Ok(())
        }))
    }

    #[test]
    fn a_session_ends_by_time_by_idleness_and_by_signing_out() {
        let signed_in = signed_in();
        let began = Instant::now();
        let begin = || Ticket::parse(&signed_in.begin(of("ada", 7), began).unwrap()).unwrap();
        let (busy, idle, out) = (begin(), begin(), begin());
        signed_in.sign_out(&out);
        assert_eq!(signed_in.of(&out, began), None);
        let mut at = began;
        while at + IDLE / 2 < began + LIFE {
            at += IDLE / 2;
            assert_eq!(signed_in.of(&busy, at), Some(who("ada", 7)));
        }
        assert_eq!(signed_in.of(&idle, began + IDLE), None);
        assert_eq!(signed_in.of(&busy, began + LIFE), None);
        assert_eq!(signed_in.count(), 0);
    }

    #[test]
    fn what_goes_on_by_itself_keeps_nobody_signed_in() {
        let signed_in = signed_in();
        let began = Instant::now();
        let ada = Ticket::parse(&signed_in.begin(of("ada", 7), began).unwrap()).unwrap();
        let who = Some(who("ada", 7));
        let late = began + IDLE - Duration::from_secs(1);
        assert_eq!(signed_in.still(&ada, late), who);
        assert_eq!(signed_in.still(&ada, began + IDLE), None);
        assert_eq!(signed_in.count(), 0);
    }

    #[test]
    fn one_user_has_a_bounded_number_of_browsers() {
        let signed_in = signed_in();
        let began = Instant::now();
        let at = |n: usize| began + Duration::from_secs(n as u64);
        let other = Ticket::parse(&signed_in.begin(of("bob", 1), began).unwrap()).unwrap();
        let tickets: Vec<Ticket> = (0..PER_USER_MAX + 3)
            .map(|n| Ticket::parse(&signed_in.begin(of("ada", 1), at(n)).unwrap()).unwrap())
            .collect();
        assert_eq!(signed_in.count(), PER_USER_MAX + 1);
        let now = at(PER_USER_MAX + 3);
        let holds: Vec<bool> = tickets
            .iter()
            .map(|t| signed_in.of(t, now).is_some())
            .collect();
        assert_eq!(holds.iter().filter(|holds| **holds).count(), PER_USER_MAX);
        assert!(!holds[0] && !holds[1] && !holds[2]);
        assert!(signed_in.of(&other, now).is_some());
    }

    #[test]
    fn only_a_cookie_of_ours_is_a_ticket() {
        for bad in ["", "0", &"0".repeat(63), &"0".repeat(65), &"G".repeat(64)] {
            assert!(Ticket::parse(bad).is_none(), "{bad}");
        }
        let signed_in = signed_in();
        let stranger = Ticket::parse(&"0".repeat(64)).unwrap();
        assert_eq!(signed_in.of(&stranger, Instant::now()), None);
    }

    #[test]
    fn whom_a_passkey_let_in_is_known_by_it() {
        let signed_in = signed_in();
        let by = |user: &str, passkey: Option<&str>| {
            let standing = Standing {
                changed_ns: 1,
                passkey: passkey.map(str::to_owned),
            };
            let who = Who::Kept(user.to_owned(), standing);
            let begun = Begun { who, ..of(user, 1) };
            signed_in.begin(begun, Instant::now()).unwrap();
        };
        for (user, passkey) in [
            ("ada", Some("aa")),
            ("ada", Some("bb")),
            ("ada", None),
            ("bob", Some("aa")),
            ("ada", Some("aa")),
        ] {
            by(user, passkey);
        }
        let found = signed_in.by_passkey("ada", "aa").unwrap();
        assert_eq!(found.len(), 2);
        assert!(found.iter().all(|row| row.user == "ada"));
        assert_eq!(signed_in.by_passkey("ada", "").unwrap(), []);
    }

    #[test]
    fn who_is_signed_in_is_listed_and_can_be_signed_out() {
        let signed_in = signed_in();
        let began = Instant::now();
        let begin = |user| Ticket::parse(&signed_in.begin(of(user, 1), began).unwrap()).unwrap();
        let (ada, bob) = (begin("ada"), begin("bob"));
        let rows = signed_in.list(None, 10).unwrap();
        assert_eq!(rows.len(), 2);
        assert!(rows[0].id < rows[1].id && rows.iter().all(|row| row.began_ns == 9));
        let ids = |after, most| {
            let listed = signed_in.list(after, most).unwrap();
            listed.into_iter().map(|row| row.id).collect::<Vec<_>>()
        };
        assert_eq!(ids(Some(rows[0].id.as_str()), 10), [rows[1].id.as_str()]);
        assert_eq!(ids(None, 1), [rows[0].id.as_str()]);
        let of_bob = rows.iter().find(|row| row.user == "bob").unwrap();
        assert_eq!(signed_in.get(&of_bob.id).unwrap().unwrap().user, "bob");
        assert_eq!(signed_in.end(&of_bob.id), Ok(true));
        assert_eq!(signed_in.end(&of_bob.id), Ok(false));
        assert_eq!(signed_in.get("none"), Ok(None));
        assert!(signed_in.of(&ada, began).is_some() && signed_in.of(&bob, began).is_none());
    }
}
