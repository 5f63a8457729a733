//! Failing on purpose: a plan that the stores in memory ask before every call.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How one call fails. The caller hears "retry" in each case, and cannot know which it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is done.
    Before,
    /// Of several things the first half is done; of one, nothing.
    Partly,
    /// Everything is done.
    After,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Before, Self::Partly, Self::After];
}

/// The plan. Clones are the same plan, so that calls are numbered over all stores that share it.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<Plan>>);

#[derive(Debug, Default)]
struct Plan {
    calls: u64,
    at: Option<(u64, Fault)>,
    stays_down: bool,
    down: bool,
}

impl Faults {
    /// A plan under which nothing fails.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The call with this number (from 1, counted from now) fails so, and those after it succeed.
    pub fn fail_once_at(&self, call: u64, fault: Fault) {
        self.set(call, fault, false);
    }

    /// The call with this number fails so, and every one after it fails too, until
    /// [`Faults::heal`]: as when the caller died there.
    pub fn go_down_at(&self, call: u64, fault: Fault) {
        self.set(call, fault, true);
    }

    /// From now on nothing fails.
    pub fn heal(&self) {
        *self.plan() = Plan::default();
    }

    /// Calls since the plan was last set or healed.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.plan().calls
    }

    /// Whether the planned call has come.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        let plan = self.plan();
        plan.at.is_some_and(|(call, _)| plan.calls >= call)
    }

    /// Counts a call; says how it fails, if it does.
    pub fn enter(&self) -> Option<Fault> {
        let mut plan = self.plan();
        if plan.down {
            return Some(Fault::Before);
        }
        plan.calls = plan.calls.saturating_add(1);
        match plan.at {
            Some((call, fault)) if call == plan.calls => {
                plan.down = plan.stays_down;
                Some(fault)
            }
            _ => None,
        }
    }

    fn set(&self, call: u64, fault: Fault, stays_down: bool) {
        *self.plan() = Plan {
            at: Some((call, fault)),
            stays_down,
            ..Plan::default()
        };
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
