//! Where a policy that the service sends waits until somebody puts it in force, and where the host
//! says which one is.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::forward::wire::{InForce, PolicyText};

/// Between a forwarder and whoever keeps the policy of this host. Clones are the same.
#[derive(Clone, Default)]
pub struct PolicyPost(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Something arrived, or nothing comes any more.
    arrived: Condvar,
    /// Another one is in force.
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// The newest that arrived; one that nobody took yet is replaced by it.
    waiting: Option<PolicyText>,
    in_force: InForce,
    closed: bool,
}

impl PolicyPost {
    /// Where this is in force.
    #[must_use]
    pub fn new(in_force: InForce) -> Self {
        let post = Self::default();
        post.lock().in_force = in_force;
        post
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a policy to arrive; `None` when nothing comes any more. What was not taken before
    /// the end is sent again on the next connection.
    #[must_use]
    pub fn next(&self) -> Option<PolicyText> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some(arrived) = state.waiting.take() {
                return Some(arrived);
            }
            let waited = self.0.arrived.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Nothing comes any more.
    pub fn close(&self) {
        self.lock().closed = true;
        self.0.arrived.notify_all();
    }

    /// From now on this is in force; the service is told, on this connection or the next one.
    pub fn say(&self, in_force: InForce) {
        self.lock().in_force = in_force;
        self.0.changed.notify_one();
    }

    /// What is in force.
    #[must_use]
    pub fn in_force(&self) -> InForce {
        self.lock().in_force.clone()
    }

    pub(super) fn deliver(&self, policy: PolicyText) {
        self.lock().waiting = Some(policy);
        self.0.arrived.notify_all();
    }

    pub(super) async fn changed(&self) {
        self.0.changed.notified().await;
    }
}
