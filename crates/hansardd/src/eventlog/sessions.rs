//! How far each session is logged.

use std::collections::{BTreeSet, HashMap, VecDeque};

use hansard_core::SessionId;
use hansard_view::document::Counted;

/// Sessions that the event log remembers. Beyond them a sixteenth is forgotten, those longest
/// without events first; of those the catalog is asked when they come again.
pub const SESSIONS_MAX: usize = 200_000;

/// Sessions that have ended, of which events may come again until they are archived, which is soon.
/// Beyond them the first is forgotten; the catalog knows it by then.
pub const ENDED_MAX: usize = 10_000;

/// How far one session is logged.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// Number of the next event to look at.
    pub next_seq: u64,
    /// What was counted of the events before.
    pub counted: Counted,
    /// Whether its end is logged.
    pub has_ended: bool,
}

/// Sessions that are not settled, and what changed of them since the cursor was written.
#[derive(Default)]
pub(super) struct Sessions {
    states: HashMap<SessionId, Entry>,
    changed: BTreeSet<SessionId>,
    gone: BTreeSet<SessionId>,
    ended: VecDeque<SessionId>,
    touches: u64,
}

struct Entry {
    state: State,
    touched: u64,
}

impl Sessions {
    pub(super) fn get(&self, session: SessionId) -> Option<&State> {
        self.states.get(&session).map(|entry| &entry.state)
    }

    pub(super) fn put(&mut self, session: SessionId, state: State) {
        if self.states.len() >= SESSIONS_MAX && !self.states.contains_key(&session) {
            self.forget_some();
        }
        self.touches = self.touches.saturating_add(1);
        let touched = self.touches;
        if state.has_ended && self.get(session).is_none_or(|there| !there.has_ended) {
            self.ended.push_back(session);
            if self.ended.len() > ENDED_MAX
                && let Some(first) = self.ended.pop_front()
            {
                self.forget(first);
            }
        }
        self.states.insert(session, Entry { state, touched });
        self.changed.insert(session);
        self.gone.remove(&session);
    }

    pub(super) fn forget(&mut self, session: SessionId) {
        if self.states.remove(&session).is_some() {
            self.changed.remove(&session);
            self.gone.insert(session);
        }
    }

    fn forget_some(&mut self) {
        let mut by_age: Vec<(u64, SessionId)> = self
            .states
            .iter()
            .map(|(session, entry)| (entry.touched, *session))
            .collect();
        by_age.sort_unstable();
        for (_, session) in by_age.into_iter().take(SESSIONS_MAX / 16) {
            self.forget(session);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.states.len()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (SessionId, &State)> {
        self.states
            .iter()
            .map(|(session, entry)| (*session, &entry.state))
    }

    pub(super) fn changed(&self) -> impl Iterator<Item = (SessionId, &State)> {
        let changed = self.changed.iter();
        changed.filter_map(|session| self.get(*session).map(|state| (*session, state)))
    }

    pub(super) fn gone(&self) -> impl Iterator<Item = SessionId> {
        self.gone.iter().copied()
    }

    pub(super) fn has_changed(&self) -> bool {
        !self.changed.is_empty() || !self.gone.is_empty()
    }

    /// What changed is written.
    pub(super) fn written(&mut self) {
        self.changed.clear();
        self.gone.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u64) -> SessionId {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&n.to_be_bytes());
        SessionId::from_bytes(bytes)
    }

    #[test]
    fn of_those_that_have_ended_the_last_are_remembered() {
        let mut sessions = Sessions::default();
        let ended = State {
            has_ended: true,
            ..State::default()
        };
        for n in 0..ENDED_MAX as u64 + 5 {
            sessions.put(id(n), State::default());
            sessions.put(id(n), ended.clone());
            sessions.put(id(n), ended.clone());
        }
        assert_eq!(sessions.len(), ENDED_MAX);
        assert!(sessions.get(id(4)).is_none() && sessions.get(id(5)).is_some());
    }

    #[test]
    fn those_without_events_are_forgotten_first_and_the_cursor_hears_of_it() {
        let mut sessions = Sessions::default();
        for n in 0..SESSIONS_MAX as u64 {
            sessions.put(id(n), State::default());
        }
        sessions.put(id(0), State::default());
        sessions.written();
        sessions.put(id(u64::MAX), State::default());
        assert_eq!(sessions.len(), SESSIONS_MAX - SESSIONS_MAX / 16 + 1);
        assert!(sessions.get(id(0)).is_some() && sessions.get(id(1)).is_none());
        assert_eq!(sessions.gone().count(), SESSIONS_MAX / 16);
        assert_eq!(sessions.changed().count(), 1);
    }
}
