//! How many connections there may be, and of whom.

use std::collections::HashMap;
use std::sync::Arc;

use super::Shared;
use crate::limits::{PLACES_FEW, PLACES_KEPT_MIN, PLACES_KEPT_OF};

/// How many connections there are; at most `connections_max` users have any.
#[derive(Default)]
pub(super) struct Connections {
    pub(super) all: usize,
    of_user: HashMap<u32, usize>,
}

impl Connections {
    /// Whether one more of this user may be, of at most so many of all and of each; if not, why.
    fn admits(&self, uid: u32, (all_max, user_max): (usize, usize)) -> Result<(), String> {
        let of_user = self.of_user.get(&uid).copied().unwrap_or_default();
        if self.all >= all_max {
            return Err(format!(
                "{all_max} sessions are being recorded on this machine, no more may be \
                 (capture.local.sessions_max)"
            ));
        }
        if of_user >= user_max {
            return Err(format!(
                "{user_max} sessions of yours are being recorded on this machine, no more of one user may be"
            ));
        }
        Ok(())
    }

    /// Whether those who have few find a place after one more of this user; if not, why.
    fn leaves_room(&self, uid: u32, all_max: usize) -> Result<(), String> {
        let of_user = self.of_user.get(&uid).copied().unwrap_or_default();
        let kept = kept(all_max);
        let are_kept = (all_max - kept..all_max).contains(&self.all);
        if of_user >= PLACES_FEW && are_kept {
            return Err(format!(
                "{} sessions are being recorded on this machine, {of_user} of them yours, and the last {kept} \
                 places are for users with fewer than {PLACES_FEW} (capture.local.sessions_max)",
                self.all
            ));
        }
        Ok(())
    }
}

/// How many of so many places are kept for users who have few: what a few users open, and be it without a word, shuts
/// nobody else out.
fn kept(all_max: usize) -> usize {
    (all_max / PLACES_KEPT_OF)
        .max(PLACES_KEPT_MIN)
        .min(all_max / 2)
}

/// A connection's place among those there may be, until it is dropped.
pub(crate) struct Place {
    shared: Arc<Shared>,
    uid: u32,
}

impl Place {
    /// Of one who connects.
    pub(crate) fn take(shared: &Arc<Shared>, uid: u32) -> Result<Self, String> {
        shared
            .lock()
            .leaves_room(uid, shared.config.connections_max)?;
        Self::take_any(shared, uid)
    }

    /// Of a login that goes on whether there is a place or not: it takes also those that are kept for others.
    pub(crate) fn take_any(shared: &Arc<Shared>, uid: u32) -> Result<Self, String> {
        let (all_max, user_max) = (
            shared.config.connections_max,
            shared.config.connections_of_user_max,
        );
        shared.lock().admits(uid, (all_max, user_max))?;
        Ok(Self::of(shared, uid))
    }

    /// Of one who has it already, whatever the bounds are by now.
    pub(super) fn of(shared: &Arc<Shared>, uid: u32) -> Self {
        let mut connections = shared.lock();
        *connections.of_user.entry(uid).or_default() += 1;
        connections.all += 1;
        drop(connections);
        Self {
            shared: Arc::clone(shared),
            uid,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut connections = self.shared.lock();
        connections.all = connections.all.saturating_sub(1);
        if let Some(of_user) = connections.of_user.get_mut(&self.uid) {
            *of_user = of_user.saturating_sub(1);
            if *of_user == 0 {
                connections.of_user.remove(&self.uid);
            }
        }
        self.shared.fewer.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_users_never_take_the_last_places() {
        let maxes = (1000, 128);
        let mut connections = Connections::default();
        let admits = |connections: &Connections, uid| {
            connections.leaves_room(uid, maxes.0)?;
            connections.admits(uid, maxes)
        };
        // As many as eight users get who take whatever there is.
        for n in 0..8 * 128 {
            let uid = n % 8;
            if admits(&connections, uid).is_ok() {
                *connections.of_user.entry(uid).or_default() += 1;
                connections.all += 1;
            }
        }
        assert_eq!(connections.all, 800);
        let why = admits(&connections, 7).unwrap_err();
        assert!(why.contains("the last 200 places"), "{why}");
        // Everybody else has room.
        for uid in 1000..1025 {
            for _ in 0..PLACES_FEW {
                admits(&connections, uid).unwrap();
                *connections.of_user.entry(uid).or_default() += 1;
                connections.all += 1;
            }
            assert!(admits(&connections, uid).is_err());
        }
        let why = admits(&connections, 2000).unwrap_err();
        assert!(why.contains("no more may be"), "{why}");
    }

    #[test]
    fn where_there_is_little_room_half_is_kept() {
        assert_eq!([0, 1, 10, 20, 50, 1000].map(kept), [0, 0, 5, 10, 16, 200]);
    }
}
