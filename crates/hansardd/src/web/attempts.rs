//! How often somebody may try to sign in. Each attempt counts when it begins, so that many at once
//! gain nothing; one that succeeds clears what its user failed at its address before.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Attempts for one user from one address in a window; a further one is refused unseen until the
/// window is over.
pub const PAIR_MAX: u32 = 10;

/// Attempts from one address, whoever they are for; likewise.
pub const ADDRESS_MAX: u32 = 50;

/// Attempts for one user, wherever they come from; likewise. High, because somebody else can use
/// them up.
pub const USER_MAX: u32 = 100;

/// How long a window is, from its first attempt on.
pub const WINDOW: Duration = Duration::from_secs(15 * 60);

/// Windows that are kept, and two more at most; attempts beyond that count together.
pub const WINDOWS_MAX: usize = 4096;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Pair(String, IpAddr),
    Address(IpAddr),
    User(String),
    Others,
}

impl Key {
    fn most(&self) -> u32 {
        match self {
            Self::Pair(..) => PAIR_MAX,
            Self::Address(_) => ADDRESS_MAX,
            Self::User(_) | Self::Others => USER_MAX,
        }
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
    pub fn begin(&self, user: &str, address: IpAddr, now: Instant) -> Result<(), TooMany> {
        let mut state = self.lock();
        state
            .windows
            .retain(|_, window| now.duration_since(window.began) < WINDOW);
        let mut keys = keys(user, address).to_vec();
        for key in &mut keys {
            if !state.windows.contains_key(key) && state.windows.len() >= WINDOWS_MAX {
                *key = Key::Others;
            }
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
            let new = Window {
                began: now,
                tried: 0,
            };
            let window = state.windows.entry(key).or_insert(new);
            window.tried = window.tried.saturating_add(1);
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

    /// It succeeded.
    pub fn succeeded(&self, user: &str, address: IpAddr) {
        let mut state = self.lock();
        let [pair, address, user] = keys(user, address);
        state.windows.remove(&pair);
        for key in [address, user] {
            if let Some(window) = state.windows.get_mut(&key) {
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

fn keys(user: &str, address: IpAddr) -> [Key; 3] {
    let network = network(address);
    [
        Key::Pair(user.to_owned(), network),
        Key::Address(network),
        Key::User(user.to_owned()),
    ]
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

    fn from(n: u8) -> IpAddr {
        [192, 0, 2, n].into()
    }

    #[test]
    fn attempts_are_bounded_for_user_and_address_and_in_all() {
        let now = Instant::now();
        let attempts = Attempts::default();
        for _ in 0..PAIR_MAX {
            attempts.begin("ada", from(1), now).unwrap();
        }
        let refused = attempts
            .begin("ada", from(1), now + WINDOW / 3)
            .unwrap_err();
        assert_eq!(refused.told, Some(1));
        assert_eq!(refused.after, WINDOW - WINDOW / 3);
        assert!(
            attempts.begin("ada", from(2), now).is_ok(),
            "another address"
        );
        assert!(attempts.begin("bob", from(1), now).is_ok(), "another user");
        assert!(
            attempts.begin("ada", from(1), now + WINDOW).is_ok(),
            "another window"
        );
        let attempts = Attempts::default();
        for n in 0..ADDRESS_MAX {
            attempts.begin(&n.to_string(), from(1), now).unwrap();
        }
        assert!(attempts.begin("eve", from(1), now).is_err());
        assert!(attempts.look(from(1), now).is_err());
        assert!(attempts.look(from(2), now).is_ok());
        assert!(attempts.look(from(1), now + WINDOW).is_ok());
        let attempts = Attempts::default();
        let mut let_in = 0;
        for n in 0..200u8 {
            let_in += u32::from(attempts.begin("ada", from(n), now).is_ok());
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
            attempts.begin("ada", from(1), now).unwrap();
            attempts.succeeded("ada", from(1));
        }
        for n in 0..PAIR_MAX {
            let address: IpAddr = format!("2001:db8::{n:x}").parse().unwrap();
            attempts.begin("eve", address, now).unwrap();
        }
        assert!(
            attempts
                .begin("eve", "2001:db8::ff".parse().unwrap(), now)
                .is_err()
        );
    }

    #[test]
    fn what_is_kept_is_bounded_and_told_of_once_in_a_while() {
        let now = Instant::now();
        let attempts = Attempts::default();
        for n in 0..20_000u32 {
            let address = IpAddr::from((0x0a00_0000 + n).to_be_bytes());
            let _ = attempts.begin(&n.to_string(), address, now);
        }
        assert!(attempts.lock().windows.len() <= WINDOWS_MAX + 3);
        let later = attempts.begin("x", from(9), now + TELL_EVERY).unwrap_err();
        assert!(later.told.is_some_and(|n| n > 15_000), "{later:?}");
        let again = attempts.begin("x", from(9), now + TELL_EVERY).unwrap_err();
        assert_eq!(again.told, None);
    }
}
