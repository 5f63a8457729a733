//! How often somebody may try to sign in. Each attempt counts when it begins, so that many at once
//! gain nothing; one that succeeds clears what its user failed at its address before.
//!
//! Nobody can use up what somebody else needs: where more windows are wanted than are kept, those with the fewest
//! attempts are forgotten, and never that of a user; and who signed in from an address lately is not bound by
//! what others tried elsewhere.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

/// Attempts for one user from one address in a window; a further one is refused unseen until the
/// window is over.
pub const PAIR_MAX: u32 = 10;

/// Attempts from one address, whoever they are for; likewise.
pub const ADDRESS_MAX: u32 = 50;

/// Attempts for one user, wherever they come from; likewise. High, because somebody else can use
/// them up; those from where that user signed in within [`PLACE_LIFE`] neither count nor are refused by it.
pub const USER_MAX: u32 = 100;

/// How long a window is, from its first attempt on.
pub const WINDOW: Duration = Duration::from_secs(15 * 60);

/// Windows that are kept besides those of users that there are; for a further one that with the fewest attempts is
/// forgotten, the oldest of them.
pub const WINDOWS_MAX: usize = 4096;

/// How long it is remembered from where a user signed in.
pub const PLACE_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);

/// Such places that are remembered; for a further one the oldest is forgotten.
pub const PLACES_MAX: usize = 16_384;

/// Whom an attempt is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum For<'a> {
    /// A user that there is.
    User(&'a str),
    /// A name that nobody has, whatever it is.
    Nobody(&'a str),
    /// Whoever it is, that is not said: with a passkey, a link or at a provider.
    Unsaid,
}

/// What is kept of a name: as long whatever somebody sends.
type Name = [u8; 16];

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Pair(Name, IpAddr),
    Address(IpAddr),
    User(Name, bool),
}

impl Key {
    fn most(&self) -> u32 {
        match self {
            Self::Pair(..) => PAIR_MAX,
            Self::Address(_) => ADDRESS_MAX,
            Self::User(..) => USER_MAX,
        }
    }

    /// Whether its window may be forgotten before its time. Of users that there are not: there are so many, and
    /// what was tried for one must hold wherever it comes from.
    fn is_passing(&self) -> bool {
        !matches!(self, Self::User(_, true))
    }
}

#[derive(Debug)]
struct Window {
    began: Instant,
    tried: u32,
}

/// An attempt that is refused unseen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany {
    /// After how long another may be made.
    pub after: Duration,
    /// How many were refused so since the last that was told of, this one included; `None` if it
    /// need not be told of: one event is enough for a while.
    pub told: Option<u64>,
}

/// What was tried lately.
#[derive(Debug, Default)]
pub struct Attempts {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    windows: HashMap<Key, Window>,
    /// From where users signed in, and when last.
    places: HashMap<(Name, IpAddr), Instant>,
    refused: u64,
    told_at: Option<Instant>,
}

/// How often attempts that are refused unseen are told of.
const TELL_EVERY: Duration = Duration::from_secs(60);

impl Attempts {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An attempt begins.
    ///
    /// # Errors
    /// When there were too many.
    pub fn begin(&self, who: For<'_>, address: IpAddr, now: Instant) -> Result<(), TooMany> {
        let mut state = self.lock();
        state
            .windows
            .retain(|_, window| now.duration_since(window.began) < WINDOW);
        let mut keys = keys(who, address).to_vec();
        if state.is_place(who, address, now) {
            keys.retain(|key| !matches!(key, Key::User(..)));
        }
        let full = keys.iter().filter_map(|key| {
            let window = state.windows.get(key)?;
            let over = WINDOW.saturating_sub(now.duration_since(window.began));
            (window.tried >= key.most()).then_some(over)
        });
        if let Some(after) = full.max() {
            return Err(state.refuse(after, now));
        }
        for key in keys {
            state.count(key, now);
        }
        Ok(())
    }

    /// Whether another attempt from this address would be refused; it is none yet.
    ///
    /// # Errors
    /// When there were too many.
    pub fn look(&self, address: IpAddr, now: Instant) -> Result<(), TooMany> {
        let mut state = self.lock();
        let window = state.windows.get(&Key::Address(network(address)));
        let full = window.filter(|window| window.tried >= ADDRESS_MAX);
        let since = full.map(|window| now.duration_since(window.began));
        match since.filter(|since| *since < WINDOW) {
            Some(since) => Err(state.refuse(WINDOW.saturating_sub(since), now)),
            None => Ok(()),
        }
    }

    /// A user's attempt succeeded.
    pub fn succeeded(&self, user: &str, address: IpAddr, now: Instant) {
        let mut state = self.lock();
        let [pair, address_key, user_key] = keys(For::User(user), address);
        state.windows.remove(&pair);
        let was_counted = !state.is_place(For::User(user), address, now);
        let user_key = Some(user_key).filter(|_| was_counted);
        for key in [Some(address_key), user_key].into_iter().flatten() {
            if let Some(window) = state.windows.get_mut(&key) {
                window.tried = window.tried.saturating_sub(1);
            }
        }
        drop(state);
        self.is_at(user, address, now);
    }

    /// A user signed in from here, by whatever way.
    pub fn is_at(&self, user: &str, address: IpAddr, now: Instant) {
        let mut state = self.lock();
        let place = (name(For::User(user)), network(address));
        let places = &mut state.places;
        if !places.contains_key(&place) && places.len() >= PLACES_MAX {
            let oldest = places.iter().min_by_key(|(_, seen)| **seen);
            if let Some(oldest) = oldest.map(|(place, _)| *place) {
                places.remove(&oldest);
            }
        }
        places.insert(place, now);
    }

    /// How many were refused and not told of yet: for the end of the service.
    pub fn left(&self) -> u64 {
        std::mem::take(&mut self.lock().refused)
    }
}

impl State {
    /// Whether it is for a user who signed in from there lately.
    fn is_place(&self, who: For<'_>, address: IpAddr, now: Instant) -> bool {
        let seen = self.places.get(&(name(who), network(address)));
        matches!(who, For::User(_))
            && seen.is_some_and(|seen| now.duration_since(*seen) < PLACE_LIFE)
    }

    /// Counts an attempt.
    fn count(&mut self, key: Key, now: Instant) {
        if !self.windows.contains_key(&key) && key.is_passing() {
            let passing = |windows: &HashMap<Key, Window>| {
                windows.keys().filter(|key| key.is_passing()).count()
            };
            while passing(&self.windows) >= WINDOWS_MAX {
                let all = self.windows.iter().filter(|(key, _)| key.is_passing());
                let least = all.min_by_key(|(_, window)| (window.tried, window.began));
                let Some(least) = least.map(|(key, _)| key.clone()) else {
                    break;
                };
                self.windows.remove(&least);
            }
        }
        let new = Window {
            began: now,
            tried: 0,
        };
        let window = self.windows.entry(key).or_insert(new);
        window.tried = window.tried.saturating_add(1);
    }

    fn refuse(&mut self, after: Duration, now: Instant) -> TooMany {
        self.refused = self.refused.saturating_add(1);
        let due = |at: Instant| now.duration_since(at) >= TELL_EVERY;
        let told = self.told_at.is_none_or(due).then(|| {
            self.told_at = Some(now);
            std::mem::take(&mut self.refused)
        });
        TooMany { after, told }
    }
}

fn keys(who: For<'_>, address: IpAddr) -> [Key; 3] {
    let (name, network) = (name(who), network(address));
    [
        Key::Pair(name, network),
        Key::Address(network),
        Key::User(name, !matches!(who, For::Nobody(_))),
    ]
}

/// A name that nobody has is counted as a user's is: how often it may be tried tells nobody that there is no such
/// user.
fn name(who: For<'_>) -> Name {
    let text = match who {
        For::User(name) | For::Nobody(name) => name,
        For::Unsaid => "",
    };
    let digest: [u8; 32] = Sha256::digest(text).into();
    let mut name = Name::default();
    name.iter_mut()
        .zip(digest)
        .for_each(|(to, from)| *to = from);
    name
}

/// One person has as many IPv6 addresses as they like, of one network of 64 bits.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: For<'static> = For::User("ada");

    fn from(n: u8) -> IpAddr {
        [192, 0, 2, n].into()
    }

    #[test]
    fn attempts_are_bounded_for_user_and_address_and_in_all() {
        let now = Instant::now();
        let attempts = Attempts::default();
        for _ in 0..PAIR_MAX {
            attempts.begin(ADA, from(1), now).unwrap();
        }
        let refused = attempts.begin(ADA, from(1), now + WINDOW / 3).unwrap_err();
        assert_eq!(refused.told, Some(1));
        assert_eq!(refused.after, WINDOW - WINDOW / 3);
        assert!(attempts.begin(ADA, from(2), now).is_ok(), "another address");
        assert!(
            attempts.begin(For::User("bob"), from(1), now).is_ok(),
            "another user"
        );
        assert!(
            attempts.begin(ADA, from(1), now + WINDOW).is_ok(),
            "another window"
        );
        let attempts = Attempts::default();
        for n in 0..ADDRESS_MAX {
            attempts
                .begin(For::Nobody(&n.to_string()), from(1), now)
                .unwrap();
        }
        assert!(attempts.begin(For::User("eve"), from(1), now).is_err());
        assert!(attempts.look(from(1), now).is_err());
        assert!(attempts.look(from(2), now).is_ok());
        assert!(attempts.look(from(1), now + WINDOW).is_ok());
        let attempts = Attempts::default();
        let mut let_in = 0;
        for n in 0..200u8 {
            let_in += u32::from(attempts.begin(ADA, from(n), now).is_ok());
        }
        assert_eq!(let_in, USER_MAX);
        assert_eq!(attempts.left(), 99, "the first was told of");
        assert_eq!(attempts.left(), 0);
    }

    #[test]
    fn success_clears_and_a_network_is_one_address() {
        let now = Instant::now();
        let attempts = Attempts::default();
        for _ in 0..1000 {
            attempts.begin(ADA, from(1), now).unwrap();
            attempts.succeeded("ada", from(1), now);
        }
        for n in 0..PAIR_MAX {
            let address: IpAddr = format!("2001:db8::{n:x}").parse().unwrap();
            attempts.begin(For::User("eve"), address, now).unwrap();
        }
        assert!(
            attempts
                .begin(For::User("eve"), "2001:db8::ff".parse().unwrap(), now)
                .is_err()
        );
    }

    #[test]
    fn what_is_kept_is_bounded_and_keeps_nobody_else_out() {
        let now = Instant::now();
        let attempts = Attempts::default();
        for n in 0..USER_MAX {
            let from = IpAddr::from((0xc000_0200 + n / 5).to_be_bytes());
            attempts.begin(ADA, from, now).unwrap();
        }
        let long = "x".repeat(16 * 1024);
        for n in 0..6_000u32 {
            let address = IpAddr::from((0x0a00_0000 + n).to_be_bytes());
            let who = For::Nobody(&long);
            let _ = attempts.begin(
                if n % 2 == 0 { who } else { For::Nobody("y") },
                address,
                now,
            );
            let name = n.to_string();
            attempts.begin(For::Nobody(&name), address, now).unwrap();
        }
        assert!(attempts.lock().windows.len() <= WINDOWS_MAX + 1);
        assert!(attempts.begin(For::User("bob"), from(9), now).is_ok());
        let refused = attempts.begin(ADA, "192.0.3.9".parse().unwrap(), now);
        assert!(
            refused.is_err(),
            "what was tried for a user is not forgotten"
        );
    }

    #[test]
    fn who_signed_in_from_somewhere_is_not_kept_out_there_by_what_others_try() {
        let now = Instant::now();
        let attempts = Attempts::default();
        attempts.begin(ADA, from(1), now).unwrap();
        attempts.succeeded("ada", from(1), now);
        for n in 0..USER_MAX {
            let from = IpAddr::from((0x0a00_0000 + n).to_be_bytes());
            attempts.begin(ADA, from, now).unwrap();
        }
        assert!(attempts.begin(ADA, from(2), now).is_err(), "from elsewhere");
        for _ in 0..PAIR_MAX {
            attempts.begin(ADA, from(1), now).unwrap();
        }
        assert!(
            attempts.begin(ADA, from(1), now).is_err(),
            "nobody guesses there"
        );
        // A place is its user's, and is forgotten.
        assert!(attempts.begin(For::Nobody("ada"), from(1), now).is_err());
        let late = now + PLACE_LIFE;
        for n in 0..USER_MAX {
            let from = IpAddr::from((0x0a00_0000 + n).to_be_bytes());
            attempts.begin(ADA, from, late).unwrap();
        }
        assert!(attempts.begin(ADA, from(1), late).is_err());
        for n in 0..17_000u32 {
            let from = IpAddr::from((0x0a00_0000 + n).to_be_bytes());
            attempts.is_at("ada", from, late);
        }
        assert!(attempts.lock().places.len() <= PLACES_MAX);
    }

    #[test]
    fn what_is_refused_is_told_of_once_in_a_while() {
        let now = Instant::now();
        let attempts = Attempts::default();
        for _ in 0..20_000u32 {
            let _ = attempts.begin(ADA, from(1), now);
        }
        let later = attempts.begin(ADA, from(1), now + TELL_EVERY).unwrap_err();
        assert!(later.told.is_some_and(|n| n > 15_000), "{later:?}");
        let again = attempts.begin(ADA, from(1), now + TELL_EVERY).unwrap_err();
        assert_eq!(again.told, None);
    }
}
