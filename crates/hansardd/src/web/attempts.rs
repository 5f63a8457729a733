//! How often somebody may try to sign in. Each attempt counts when it begins, so that many at once
//! gain nothing; one that succeeds clears what its user failed at its address before.
//!
//! Where more windows are wanted than are kept, those with the fewest attempts are forgotten, and never that of a
//! user. Who signed in from an address lately is not bound by what others tried elsewhere; and a browser in which
//! a user signed in is not bound by what anybody else tried, wherever it is. Whoever is neither can be kept out by
//! others: what is tried for a user has to have an end.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hansard_identity::device::Number;
use sha2::{Digest as _, Sha256};

/// Attempts for one user from one address in a window; a further one is refused unseen until the
/// window is over.
pub const PAIR_MAX: u32 = 10;

/// Attempts from one address, whoever they are for; likewise.
pub const ADDRESS_MAX: u32 = 50;

/// Attempts for one user, wherever they come from; likewise. High, because somebody else can use
/// them up; those that come from where that user signed in lately neither count nor are refused by it.
pub const USER_MAX: u32 = 100;

/// Attempts of one browser in which that user signed in before; likewise, and it is all that counts for them.
pub const DEVICE_MAX: u32 = 10;

/// How long a window is, from its first attempt on.
pub const WINDOW: Duration = Duration::from_secs(15 * 60);

/// Windows that are kept besides those of users that there are; for a further one that with the fewest attempts is
/// forgotten, the oldest of them.
pub const WINDOWS_MAX: usize = 4096;

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

/// What is known of where an attempt comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Nothing.
    Never,
    /// The user signed in from that network lately.
    Place,
    /// The user signed in with that very browser.
    Device(Number),
}

/// What is kept of a name: as long whatever somebody sends.
type Name = [u8; 16];

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Pair(Name, IpAddr),
    Address(IpAddr),
    User(Name, bool),
    Device(Number),
}

impl Key {
    fn most(&self) -> u32 {
        match self {
            Self::Pair(..) => PAIR_MAX,
            Self::Address(_) => ADDRESS_MAX,
            Self::User(..) => USER_MAX,
            Self::Device(_) => DEVICE_MAX,
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

/// An attempt that has begun, and how it was counted.
#[derive(Debug, Default)]
pub struct Begun(Vec<Key>);

/// What was tried lately.
#[derive(Debug, Default)]
pub struct Attempts {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    windows: HashMap<Key, Window>,
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
    pub fn begin(
        &self,
        who: For<'_>,
        (address, seen): (IpAddr, Seen),
        now: Instant,
    ) -> Result<Begun, TooMany> {
        let mut state = self.lock();
        state
            .windows
            .retain(|_, window| now.duration_since(window.began) < WINDOW);
        let keys = keys(who, address, seen);
        let full = keys.iter().filter_map(|key| {
            let window = state.windows.get(key)?;
            let over = WINDOW.saturating_sub(now.duration_since(window.began));
            (window.tried >= key.most()).then_some(over)
        });
        if let Some(after) = full.max() {
            return Err(state.refuse(after, now));
        }
        for key in &keys {
            state.count(key.clone(), now);
        }
        Ok(Begun(keys))
    }

    /// Whether another attempt from this address, of nobody who is known, would be refused; it is none yet.
    ///
    /// # Errors
    /// When there were too many.
    pub fn look(&self, (address, seen): (IpAddr, Seen), now: Instant) -> Result<(), TooMany> {
        let mut state = self.lock();
        let key = from_there(address, seen);
        let window = state.windows.get(&key);
        let full = window.filter(|window| window.tried >= key.most());
        let since = full.map(|window| now.duration_since(window.began));
        match since.filter(|since| *since < WINDOW) {
            Some(since) => Err(state.refuse(WINDOW.saturating_sub(since), now)),
            None => Ok(()),
        }
    }

    /// An attempt succeeded: it counts no more, nor does what failed before it in the same place or browser.
    pub fn succeeded(&self, begun: &Begun) {
        let mut state = self.lock();
        for key in &begun.0 {
            if matches!(key, Key::Pair(..) | Key::Device(_)) {
                state.windows.remove(key);
            } else if let Some(window) = state.windows.get_mut(key) {
                window.tried = window.tried.saturating_sub(1);
            }
        }
    }

    /// How many were refused and not told of yet: for the end of the service.
    pub fn left(&self) -> u64 {
        std::mem::take(&mut self.lock().refused)
    }
}

impl State {
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

fn keys(who: For<'_>, address: IpAddr, seen: Seen) -> Vec<Key> {
    let (text, is_user) = match who {
        For::User(text) => (text, true),
        For::Nobody(text) => (text, false),
        For::Unsaid => ("", true),
    };
    let (name, network) = (name(text), network(address));
    let here = [Key::Pair(name, network), Key::Address(network)];
    match seen {
        // No name that others could use up.
        Seen::Never if matches!(who, For::Unsaid) => here.to_vec(),
        Seen::Never => [&here[..], &[Key::User(name, is_user)]].concat(),
        Seen::Place => here.to_vec(),
        Seen::Device(number) => vec![Key::Device(number)],
    }
}

/// What bounds all attempts from where this one comes, whomever they are for.
fn from_there(address: IpAddr, seen: Seen) -> Key {
    match seen {
        Seen::Device(number) => Key::Device(number),
        _ => Key::Address(network(address)),
    }
}

/// A name that nobody has is counted as a user's is: how often it may be tried tells nobody that there is no such
/// user.
fn name(text: &str) -> Name {
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

    fn never(address: IpAddr) -> (IpAddr, Seen) {
        (address, Seen::Never)
    }

    fn from(n: u8) -> IpAddr {
        [192, 0, 2, n].into()
    }

    #[test]
    fn attempts_are_bounded_for_user_and_address_and_in_all() {
        let now = Instant::now();
        let attempts = Attempts::default();
        for _ in 0..PAIR_MAX {
            attempts.begin(ADA, never(from(1)), now).unwrap();
        }
        let refused = attempts
            .begin(ADA, never(from(1)), now + WINDOW / 3)
            .unwrap_err();
        assert_eq!(refused.told, Some(1));
        assert_eq!(refused.after, WINDOW - WINDOW / 3);
        assert!(
            attempts.begin(ADA, never(from(2)), now).is_ok(),
            "another address"
        );
        assert!(
            attempts
                .begin(For::User("bob"), never(from(1)), now)
                .is_ok(),
            "another user"
        );
        assert!(
            attempts.begin(ADA, never(from(1)), now + WINDOW).is_ok(),
            "another window"
        );
        let attempts = Attempts::default();
        for n in 0..ADDRESS_MAX {
            attempts
                .begin(For::Nobody(&n.to_string()), never(from(1)), now)
                .unwrap();
        }
        assert!(
            attempts
                .begin(For::User("eve"), never(from(1)), now)
                .is_err()
        );
        assert!(attempts.look(never(from(1)), now).is_err());
        assert!(attempts.look(never(from(2)), now).is_ok());
        assert!(attempts.look(never(from(1)), now + WINDOW).is_ok());
        let attempts = Attempts::default();
        let mut let_in = 0;
        for n in 0..200u8 {
            let_in += u32::from(attempts.begin(ADA, never(from(n)), now).is_ok());
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
            let begun = attempts.begin(ADA, never(from(1)), now).unwrap();
            attempts.succeeded(&begun);
        }
        for n in 0..PAIR_MAX {
            let address: IpAddr = format!("2001:db8::{n:x}").parse().unwrap();
            attempts
                .begin(For::User("eve"), never(address), now)
                .unwrap();
        }
        assert!(
            attempts
                .begin(
                    For::User("eve"),
                    never("2001:db8::ff".parse().unwrap()),
                    now
                )
                .is_err()
        );
    }

    #[test]
    fn what_is_kept_is_bounded_and_keeps_nobody_else_out() {
        let now = Instant::now();
        let attempts = Attempts::default();
        for n in 0..USER_MAX {
            let from = IpAddr::from((0xc000_0200 + n / 5).to_be_bytes());
            attempts.begin(ADA, never(from), now).unwrap();
        }
        let long = "x".repeat(16 * 1024);
        for n in 0..6_000u32 {
            let address = IpAddr::from((0x0a00_0000 + n).to_be_bytes());
            let who = For::Nobody(&long);
            let _ = attempts.begin(
                if n % 2 == 0 { who } else { For::Nobody("y") },
                never(address),
                now,
            );
            let name = n.to_string();
            attempts
                .begin(For::Nobody(&name), never(address), now)
                .unwrap();
        }
        assert!(attempts.lock().windows.len() <= WINDOWS_MAX + 1);
        assert!(
            attempts
                .begin(For::User("bob"), never(from(9)), now)
                .is_ok()
        );
        let refused = attempts.begin(ADA, never("192.0.3.9".parse().unwrap()), now);
        assert!(
            refused.is_err(),
            "what was tried for a user is not forgotten"
        );
    }

    #[test]
    fn who_signed_in_from_somewhere_is_not_kept_out_there_by_what_others_try() {
        let now = Instant::now();
        let attempts = Attempts::default();
        for n in 0..USER_MAX {
            let from = IpAddr::from((0x0a00_0000 + n).to_be_bytes());
            attempts.begin(ADA, never(from), now).unwrap();
        }
        assert!(attempts.begin(ADA, never(from(2)), now).is_err());
        let place = (from(1), Seen::Place);
        for _ in 0..PAIR_MAX {
            attempts.begin(ADA, place, now).unwrap();
        }
        assert!(
            attempts.begin(ADA, place, now).is_err(),
            "nobody guesses there"
        );
    }

    #[test]
    fn a_browser_that_is_known_has_a_bound_of_its_own_and_no_other() {
        let now = Instant::now();
        let attempts = Attempts::default();
        // Strangers at the same address, for this user and for others.
        for n in 0..ADDRESS_MAX {
            let _ = attempts.begin(ADA, never(from(1)), now);
            let name = n.to_string();
            let _ = attempts.begin(For::Nobody(&name), never(from(1)), now);
        }
        assert!(attempts.look(never(from(1)), now).is_err());
        let browser = (from(1), Seen::Device([1; 16]));
        assert!(attempts.look(browser, now).is_ok());
        for _ in 0..DEVICE_MAX - 1 {
            attempts.begin(ADA, browser, now).unwrap();
        }
        let begun = attempts.begin(ADA, browser, now).unwrap();
        assert!(attempts.begin(ADA, browser, now).is_err());
        assert!(attempts.begin(For::Unsaid, browser, now).is_err());
        assert!(attempts.look(browser, now).is_err());
        let other = (from(1), Seen::Device([2; 16]));
        assert!(attempts.begin(ADA, other, now).is_ok());
        attempts.succeeded(&begun);
        assert!(attempts.begin(ADA, browser, now).is_ok());
    }

    #[test]
    fn attempts_that_name_nobody_count_for_their_address_and_share_nothing_else() {
        let now = Instant::now();
        let attempts = Attempts::default();
        for n in 0..200u8 {
            attempts.begin(For::Unsaid, never(from(n)), now).unwrap();
        }
        for _ in 1..PAIR_MAX {
            attempts.begin(For::Unsaid, never(from(1)), now).unwrap();
        }
        assert!(attempts.begin(For::Unsaid, never(from(1)), now).is_err());
        for n in PAIR_MAX..ADDRESS_MAX {
            let name = n.to_string();
            let who = For::Nobody(&name);
            attempts.begin(who, never(from(1)), now).unwrap();
        }
        assert!(attempts.look(never(from(1)), now).is_err());
        assert!(attempts.begin(ADA, never(from(1)), now).is_err());
        assert!(attempts.begin(ADA, never(from(2)), now).is_ok());
    }

    #[test]
    fn what_is_refused_is_told_of_once_in_a_while() {
        let now = Instant::now();
        let attempts = Attempts::default();
        for _ in 0..20_000u32 {
            let _ = attempts.begin(ADA, never(from(1)), now);
        }
        let later = attempts
            .begin(ADA, never(from(1)), now + TELL_EVERY)
            .unwrap_err();
        assert!(later.told.is_some_and(|n| n > 15_000), "{later:?}");
        let again = attempts
            .begin(ADA, never(from(1)), now + TELL_EVERY)
            .unwrap_err();
        assert_eq!(again.told, None);
    }
}
