//! Places that many share, none of them alone: one asker has so many of them, and some are kept for who
//! must get in whatever others do. At a bound nothing waits: whoever comes is turned away.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::role::{Asker, Caller};

/// How many places there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// In all.
    pub(crate) all: usize,
    /// Of those, kept for who comes first.
    pub(crate) kept: usize,
    /// For one of the others.
    pub(crate) own: usize,
    /// For one of those who come first.
    pub(crate) own_first: usize,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// Whoever asks has as many as one may.
    Own,
    /// There is none left, or only such as are kept for others.
    All,
}

/// The places, and who has how many.
#[derive(Debug)]
pub(crate) struct Places<K: Eq + Hash> {
    bounds: Bounds,
    taken: Mutex<HashMap<K, usize>>,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place<K: Eq + Hash> {
    of: Arc<Places<K>>,
    whose: K,
}

impl<K: Eq + Hash + Clone> Places<K> {
    /// All free.
    pub(crate) fn new(bounds: Bounds) -> Arc<Self> {
        Arc::new(Self {
            bounds,
            taken: Mutex::default(),
        })
    }

    /// A place for `whose`. Whoever comes first may have any that is free, up to a bound of their own.
    ///
    /// # Errors
    /// Which bound is reached.
    pub(crate) fn take(self: &Arc<Self>, whose: K, comes_first: bool) -> Result<Place<K>, Full> {
        let Bounds {
            all,
            kept,
            own,
            own_first,
        } = self.bounds;
        let mut taken = self.lock();
        let count = taken.values().fold(0usize, |sum, n| sum.saturating_add(*n));
        let mine = taken.get(&whose).copied().unwrap_or(0);
        let (own, most) = match comes_first {
            true => (own_first, all),
            false => (own, all.saturating_sub(kept)),
        };
        if mine >= own {
            return Err(Full::Own);
        }
        if count >= most {
            return Err(Full::All);
        }
        taken.insert(whose.clone(), mine.saturating_add(1));
        drop(taken);
        let of = Arc::clone(self);
        Ok(Place { of, whose })
    }
}

impl<K: Eq + Hash> Places<K> {
    fn lock(&self) -> MutexGuard<'_, HashMap<K, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        let mut taken = self.of.lock();
        if let Some(mine) = taken.get_mut(&self.whose) {
            *mine = mine.saturating_sub(1);
            if *mine == 0 {
                taken.remove(&self.whose);
            }
        }
    }
}

/// Whose requests are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Whose {
    /// Of an account of this machine, by number.
    Account(u32),
    /// Of a user who is signed in, in all browsers.
    User(String),
    /// Of all who have this link.
    Link(String),
}

impl Whose {
    /// Whose a caller's are.
    pub(super) fn of(caller: &Caller) -> Self {
        match &caller.asker {
            Asker::Process(peer) => Self::Account(peer.uid),
            Asker::Browser(visitor) => Self::User(visitor.user.clone()),
            Asker::Link(guest) => Self::Link(guest.share.id.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        all: 10,
        kept: 3,
        own: 4,
        own_first: 10,
    };

    fn take(places: &Arc<Places<u32>>, whose: u32, most: usize) -> Vec<Place<u32>> {
        let taken = (0..most).map(|_| places.take(whose, false));
        taken.map_while(Result::ok).collect()
    }

    #[test]
    fn one_has_so_many_and_gives_them_back() {
        let places = Places::new(BOUNDS);
        let mut mine = take(&places, 1, 10);
        assert_eq!(mine.len(), 4);
        assert_eq!(places.take(1, false).unwrap_err(), Full::Own);
        assert_eq!(take(&places, 2, 1).len(), 1);
        mine.pop();
        assert!(places.take(1, false).is_ok());
        drop(mine);
        assert!(places.lock().is_empty());
    }

    #[test]
    fn whatever_others_do_some_are_left_for_who_comes_first() {
        let places = Places::new(BOUNDS);
        let others: Vec<_> = (1..9).map(|whose| take(&places, whose, 10)).collect();
        assert_eq!(others.iter().map(Vec::len).sum::<usize>(), 7);
        assert_eq!(places.take(9, false).unwrap_err(), Full::All);
        let first: Vec<_> = (0..3).map(|_| places.take(0, true).unwrap()).collect();
        assert_eq!(places.take(0, true).unwrap_err(), Full::All);
        // What is kept is kept also while whoever it is kept for has more than that.
        drop(others);
        let more: Vec<_> = (0..3).map(|_| places.take(0, true).unwrap()).collect();
        assert_eq!(take(&places, 1, 10).len(), 1);
        drop((first, more));
        assert_eq!(take(&places, 1, 10).len(), 4);
    }

    #[test]
    fn who_comes_first_may_have_a_bound_too() {
        let own_first = 5;
        let places = Places::new(Bounds {
            own_first,
            ..BOUNDS
        });
        let first: Vec<_> = (0..10).map_while(|_| places.take(0, true).ok()).collect();
        assert_eq!(first.len(), own_first);
        assert_eq!(places.take(0, true).unwrap_err(), Full::Own);
        // Others like them get what is left.
        assert!(places.take(1, true).is_ok());
    }
}
