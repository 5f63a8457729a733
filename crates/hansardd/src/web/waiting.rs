//! What waits for an answer: each thing under 32 random bytes that only who was asked knows, for a while,
//! once, and so many at a time.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::attempts::network;

/// What something waits under.
pub type Key = [u8; 32];

/// How long, and how many.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// How long something waits.
    pub life: Duration,
    /// Things at a time; beyond that the oldest is forgotten.
    pub all: usize,
    /// Of those, for one address; likewise.
    pub per_address: usize,
}

struct One<V> {
    value: V,
    address: IpAddr,
    began: Instant,
}

/// Things that wait.
pub struct Waiting<V> {
    bounds: Bounds,
    things: Mutex<HashMap<Key, One<V>>>,
}

impl<V> Waiting<V> {
    /// None yet.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            things: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, One<V>>> {
        self.things.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody at this address is asked. The key MUST be random.
    pub fn put(&self, key: Key, value: V, address: IpAddr, now: Instant) {
        let address = network(address);
        let mut things = self.lock();
        things.retain(|_, one| now.duration_since(one.began) < self.bounds.life);
        let is_there = |one: &One<V>| one.address == address;
        while things.values().filter(|one| is_there(one)).count() >= self.bounds.per_address {
            remove_oldest(&mut things, is_there);
        }
        while things.len() >= self.bounds.all {
            remove_oldest(&mut things, |_| true);
        }
        let one = One {
            value,
            address,
            began: now,
        };
        things.insert(key, one);
    }

    /// Somebody answers, which is the end of it. `None` if nothing waits under this key (any more).
    #[must_use]
    pub fn take(&self, key: &[u8], now: Instant) -> Option<V> {
        let key = Key::try_from(key).ok()?;
        let one = self.lock().remove(&key)?;
        let holds = now.duration_since(one.began) < self.bounds.life;
        holds.then_some(one.value)
    }
}

fn remove_oldest<V>(things: &mut HashMap<Key, One<V>>, of: impl Fn(&One<V>) -> bool) {
    let oldest = things.iter().filter(|(_, one)| of(one));
    let oldest = oldest.min_by_key(|(_, one)| one.began);
    if let Some(key) = oldest.map(|(key, _)| *key) {
        things.remove(&key);
    }
}
