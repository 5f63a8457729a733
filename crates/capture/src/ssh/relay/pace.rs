//! A terminal that pours (`yes`, a log of gigabytes) gives way to people who type at others: while they do, all that
//! pour show no more together than the processors relay, record and keep beside them. Nothing is lost by it: the
//! program waits, as it does for any terminal that is slower than it. Where nobody else types, nothing is held up;
//! pipes never are.
//!
//! It is read in small pieces then, too: its program goes on with as much as was read, and the kernel takes more of a
//! processor for that than all that is done here (`yes`, of 2 MiB a second: a quarter of a processor to write its lines of
//! two bytes, a fifth to pass them on), in one turn and on two processors at a time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::ssh::limits::{CALM_BYTES, HELD_BYTES, PIECE_BYTES, POURED_PER_PROCESSOR, TYPING};

/// What is waited at least: who waits for less goes on and waits later.
const NAP: Duration = Duration::from_millis(2);

/// Longest pause, and so the most that all have poured ahead: what ends meanwhile, or a key that comes, waits no longer.
/// At the bound a terminal goes on, so that very many that pour show more together than they should.
const PAUSE_MAX: Duration = Duration::from_millis(250);

/// What all terminals of a node do.
pub(in crate::ssh) struct Terminals {
    /// Bytes that all may show in a second while somebody types.
    per_second: f64,
    state: Mutex<State>,
}

struct State {
    /// Who typed last, and who but them did, and when.
    typed: [Option<(u64, Instant)>; 2],
    next: u64,
    /// What may be poured now; less than nothing is what was poured ahead.
    rest: f64,
    since: Instant,
}

impl Default for Terminals {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self::of(processors, Instant::now())
    }
}

impl Terminals {
    fn of(processors: usize, now: Instant) -> Self {
        let processors = u32::try_from(processors).unwrap_or(u32::MAX);
        let state = State {
            typed: [None; 2],
            next: 0,
            rest: 0.0,
            since: now,
        };
        Self {
            per_second: POURED_PER_PROCESSOR * f64::from(processors),
            state: Mutex::new(state),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of them.
pub(in crate::ssh) struct Pace {
    all: Arc<Terminals>,
    number: u64,
    own: Mutex<Own>,
}

struct Own {
    /// What it may show before it counts as one that pours, bytes.
    rest: f64,
    since: Instant,
}

impl Pace {
    pub(super) fn new(all: Arc<Terminals>) -> Self {
        Self::at(all, Instant::now())
    }

    fn at(all: Arc<Terminals>, now: Instant) -> Self {
        let mut state = all.lock();
        state.next = state.next.wrapping_add(1);
        let number = state.next;
        drop(state);
        let own = Own {
            rest: CALM_BYTES,
            since: now,
        };
        Self {
            all,
            number,
            own: Mutex::new(own),
        }
    }

    /// Somebody types at it.
    pub(super) fn typed(&self) {
        self.typed_at(Instant::now());
    }

    fn typed_at(&self, now: Instant) {
        let mut state = self.all.lock();
        let [last, before] = state.typed;
        let other = match last {
            Some((number, _)) if number == self.number => before,
            other => other,
        };
        state.typed = [Some((self.number, now)), other];
    }

    /// How much may be read of it at a time.
    pub(super) fn piece_max(&self) -> usize {
        self.piece_max_at(Instant::now())
    }

    fn piece_max_at(&self, now: Instant) -> usize {
        let is_held =
            !self.own().has_for_piece(now) && self.all.lock().is_typed_by_others(self.number, now);
        if is_held { HELD_BYTES } else { PIECE_BYTES }
    }

    /// It has shown so much. Waits for others where that is much and somebody types at another.
    pub(super) async fn gives_way(&self, bytes: usize) {
        let pause = self.shown(bytes, Instant::now());
        if !pause.is_zero() {
            sleep(pause).await;
        }
    }

    fn shown(&self, bytes: usize, now: Instant) -> Duration {
        let bytes = f64::from(u32::try_from(bytes).unwrap_or(u32::MAX));
        if self.own().takes(bytes, now) {
            return Duration::ZERO;
        }
        let mut state = self.all.lock();
        if !state.is_typed_by_others(self.number, now) {
            return Duration::ZERO;
        }
        let per_second = self.all.per_second;
        let passed = now.saturating_duration_since(state.since).as_secs_f64();
        state.since = now;
        // Who slept longer than was asked for may catch up, but for no more than that.
        let most = per_second * NAP.as_secs_f64();
        let least = -per_second * PAUSE_MAX.as_secs_f64();
        state.rest = ((state.rest + passed * per_second).min(most) - bytes).max(least);
        let debt = Duration::from_secs_f64(-state.rest.min(0.0) / per_second);
        if debt < NAP { Duration::ZERO } else { debt }
    }

    fn own(&self) -> MutexGuard<'_, Own> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Own {
    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.since).as_secs_f64();
        self.since = now;
        self.rest = (self.rest + passed * CALM_BYTES).min(CALM_BYTES);
    }

    /// Whether a whole piece would be no flood.
    fn has_for_piece(&mut self, now: Instant) -> bool {
        self.refill(now);
        self.rest >= PIECE_BYTES as f64
    }

    /// Whether so much is no flood yet.
    fn takes(&mut self, bytes: f64, now: Instant) -> bool {
        self.refill(now);
        let is_calm = self.rest >= bytes;
        if is_calm {
            self.rest -= bytes;
        }
        is_calm
    }
}

impl State {
    fn is_typed_by_others(&self, number: u64, now: Instant) -> bool {
        let others = self.typed.iter().flatten();
        let mut others = others.filter(|(typist, _)| *typist != number);
        others.any(|(_, at)| now.saturating_duration_since(*at) < TYPING)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    fn terminals(processors: usize, now: Instant) -> [Pace; 3] {
        let all = Arc::new(Terminals::of(processors, now));
        [(); 3].map(|()| Pace::at(Arc::clone(&all), now))
    }

    /// How many seconds a terminal takes for so many bytes, if it shows them as fast as it may.
    fn takes(pace: &Pace, bytes: usize, mut now: Instant) -> f64 {
        let began = now;
        for _ in 0..bytes / 4096 {
            now += pace.shown(4096, now);
        }
        (now - began).as_secs_f64()
    }

    #[test]
    fn only_what_pours_waits_and_only_beside_somebody_who_types() {
        let now = Instant::now();
        let [one, calm, typist] = terminals(1, now);
        assert_eq!(takes(&one, 100 * MIB, now), 0.0);
        one.typed_at(now);
        let own = takes(&one, 100 * MIB, now);
        assert_eq!(own, 0.0, "whoever types there wants to see it");
        typist.typed_at(now);
        one.typed_at(now);
        let poured = takes(&one, POURED_PER_PROCESSOR as usize * 11 / 10, now);
        assert!((0.6..1.0).contains(&poured), "{poured}");
        let screens = takes(&calm, CALM_BYTES as usize, now);
        assert_eq!(screens, 0.0, "that is no flood");
        assert_eq!(takes(&one, 100 * MIB, now + TYPING), 0.0);
    }

    #[test]
    fn what_is_held_back_is_read_in_small_pieces() {
        let now = Instant::now();
        let [one, other, typist] = terminals(2, now);
        one.shown(MIB, now);
        takes(&one, MIB, now);
        assert_eq!(one.piece_max_at(now), PIECE_BYTES, "nobody types");
        typist.typed_at(now);
        assert_eq!(one.piece_max_at(now), HELD_BYTES);
        assert_eq!(other.piece_max_at(now), PIECE_BYTES, "that pours nothing");
        one.typed_at(now);
        assert_eq!(one.piece_max_at(now), HELD_BYTES);
        let later = now + TYPING;
        takes(&one, MIB, later);
        assert_eq!(
            one.piece_max_at(later),
            PIECE_BYTES,
            "nobody types any more"
        );
    }

    #[test]
    fn however_many_pour_none_pauses_for_long() {
        let now = Instant::now();
        let all = Arc::new(Terminals::of(1, now));
        let typist = Pace::at(Arc::clone(&all), now);
        typist.typed_at(now);
        let many = (0..500).map(|_| Pace::at(Arc::clone(&all), now));
        let pauses = many.map(|one| one.shown(MIB, now));
        let longest = pauses.max().unwrap_or_default();
        assert!(longest > NAP && longest <= PAUSE_MAX, "{longest:?}");
    }

    #[test]
    fn two_that_pour_share_what_one_had() {
        let began = Instant::now();
        let [one, other, typist] = terminals(4, began);
        let mut at = [began; 2];
        let mut now = began;
        for _ in 0..5 * POURED_PER_PROCESSOR as usize / 4096 {
            typist.typed_at(now);
            let turn = usize::from(at[1] < at[0]);
            now = at[turn].max(now);
            at[turn] = now + [&one, &other][turn].shown(4096, now);
        }
        let took = (now - began).as_secs_f64();
        assert!((0.7..1.1).contains(&took), "{took}");
    }
}
