//! How many connections there may be, and of whom.

use std::collections::HashMap;
use std::sync::Arc;

use super::Shared;

/// How many connections there are; at most `connections_max` users have any.
#[derive(Default)]
pub(super) struct Connections {
    pub(super) all: usize,
    of_user: HashMap<u32, usize>,
}

/// A connection's place among those there may be, until it is dropped.
pub(crate) struct Place {
    shared: Arc<Shared>,
    uid: u32,
}

impl Place {
    pub(crate) fn take(shared: &Arc<Shared>, uid: u32) -> Result<Self, String> {
        let (all_max, user_max) = (
            shared.config.connections_max,
            shared.config.connections_of_user_max,
        );
        let mut connections = shared.lock();
        if connections.all >= all_max {
            return Err(format!(
                "{all_max} sessions are being recorded on this machine, no more may be \
                 (capture.local.sessions_max)"
            ));
        }
        let of_user = connections.of_user.entry(uid).or_default();
        if *of_user >= user_max {
            return Err(format!(
                "{user_max} sessions of yours are being recorded on this machine, no more of one user may be"
            ));
        }
        drop(connections);
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
