//! What waits for an answer: each thing under 32 random bytes that only who was asked knows, for a while,
//! once, and so many at a time.
//!
//! Where there are too many it is not the oldest of all that is forgotten, or whoever asks often enough would have
//! everybody else's forgotten: it is one of the part of the net that has most, and of the part of that which has most.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
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
    /// Things at a time; beyond that the oldest is forgotten, of the network that has most.
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
            let most = crowded(&things);
            remove_oldest(&mut things, |one| {
                most.iter().all(|part| part.has(one.address))
            });
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

/// How much of an address says which part of the net it is of, IPv4 and IPv6: what a provider has, what one of its
/// customers has, what one of their machines has.
const PARTS: [(u32, u32); 3] = [(16, 32), (24, 48), (32, 64)];

/// A part of the net.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Part {
    bits: (u32, u32),
    begin: IpAddr,
}

impl Part {
    fn of(address: IpAddr, bits: (u32, u32)) -> Self {
        let begin = match address {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(32u32.saturating_sub(bits.0));
                Ipv4Addr::from_bits(v4.to_bits() & mask.unwrap_or(0)).into()
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(128u32.saturating_sub(bits.1));
                Ipv6Addr::from_bits(v6.to_bits() & mask.unwrap_or(0)).into()
            }
        };
        Self { bits, begin }
    }

    fn has(&self, address: IpAddr) -> bool {
        Self::of(address, self.bits) == *self
    }
}

/// Of the widest parts that which has most, of the parts of that the one that has most, and so on. Of several that
/// have as many that with the oldest.
fn crowded<V>(things: &HashMap<Key, One<V>>) -> Vec<Part> {
    let mut found: Vec<Part> = Vec::new();
    for bits in PARTS {
        let mut parts: HashMap<Part, (usize, Reverse<Instant>)> = HashMap::new();
        let inside = |one: &&One<V>| found.iter().all(|part| part.has(one.address));
        for one in things.values().filter(inside) {
            let part = parts.entry(Part::of(one.address, bits));
            let (count, oldest) = part.or_insert((0, Reverse(one.began)));
            *count = count.saturating_add(1);
            *oldest = Reverse(one.began).max(*oldest);
        }
        found.extend(
            parts
                .iter()
                .max_by_key(|(_, rank)| **rank)
                .map(|(part, _)| *part),
        );
    }
    found
}

fn remove_oldest<V>(things: &mut HashMap<Key, One<V>>, of: impl Fn(&One<V>) -> bool) {
    let oldest = things.iter().filter(|(_, one)| of(one));
    let oldest = oldest.min_by_key(|(_, one)| one.began);
    if let Some(key) = oldest.map(|(key, _)| *key) {
        things.remove(&key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting() -> Waiting<()> {
        Waiting::new(Bounds {
            life: Duration::from_secs(300),
            all: 1000,
            per_address: 32,
        })
    }

    fn key(n: usize) -> Key {
        let mut key = Key::default();
        key.iter_mut()
            .zip(n.to_le_bytes())
            .for_each(|(to, from)| *to = from);
        key
    }

    /// Whether what a few people wait for is there after others have asked 4000 times.
    fn survives(quiet: &[&str], crowd: impl Fn(u32) -> IpAddr) {
        let (waiting, began) = (waiting(), Instant::now());
        for (n, address) in quiet.iter().enumerate() {
            waiting.put(key(n), (), address.parse().unwrap(), began);
        }
        for n in 0..4000u32 {
            let later = began + Duration::from_millis(n.into());
            waiting.put(key(1000 + n as usize), (), crowd(n), later);
        }
        assert!(waiting.lock().len() <= 1000);
        for (n, address) in quiet.iter().enumerate() {
            assert!(waiting.take(&key(n), began).is_some(), "{address}");
        }
    }

    const QUIET: [&str; 4] = ["198.51.100.7", "203.0.113.9", "2001:db9::1", "127.0.0.1"];

    #[test]
    fn many_networks_of_one_customer_push_out_nobody_elses() {
        survives(&QUIET, |n| {
            let low = u128::from(n / 32) << 64 | u128::from(n);
            Ipv6Addr::from_bits(0x2001_0db8_0000_u128 << 80 | low).into()
        });
    }

    #[test]
    fn many_customers_of_one_provider_push_out_nobody_elses() {
        survives(&QUIET, |n| {
            Ipv6Addr::from_bits(0x2001_0db8_u128 << 96 | u128::from(n) << 80).into()
        });
        survives(&QUIET, |n| Ipv4Addr::from_bits(0x0a00_0000 + n).into());
    }

    #[test]
    fn of_one_provider_the_customer_who_asks_most_goes_first() {
        survives(&["2001:db8:ffff::1", "10.0.200.1"], |n| match n % 2 {
            0 => Ipv4Addr::from_bits(0x0a00_0000 + n % 256).into(),
            _ => Ipv6Addr::from_bits(0x2001_0db8_u128 << 96 | u128::from(n) << 64).into(),
        });
    }
}
