//! Which moment of the recording it is for the viewer. Pure: the viewer's time is passed in.

use std::time::Duration;

/// Slowest and fastest.
pub(super) const SPEED_MIN: f64 = 0.0625;
pub(super) const SPEED_MAX: f64 = 64.0;

/// The viewer's clock and the recording's, and how one follows from the other.
///
/// The idle limit is in the viewer's time: whatever the speed, nobody waits longer than that for
/// the next thing to see.
#[derive(Debug, Clone)]
pub(super) struct Timeline {
    /// The moment of the recording that it was, …
    base_ns: u64,
    /// … when it was this late for the viewer.
    since: Duration,
    /// When the viewer last saw something happen.
    quiet_since: Duration,
    speed: f64,
    idle_limit: Option<Duration>,
    paused: bool,
}

impl Timeline {
    /// Running, from this moment on. A speed out of bounds is brought into them.
    pub(super) fn new(at_ns: u64, speed: f64, idle_limit: Option<Duration>, now: Duration) -> Self {
        let speed = if speed.is_finite() { speed } else { 1.0 };
        Self {
            base_ns: at_ns,
            since: now,
            quiet_since: now,
            speed: speed.clamp(SPEED_MIN, SPEED_MAX),
            idle_limit,
            paused: false,
        }
    }

    /// The moment it is.
    pub(super) fn position(&self, now: Duration) -> u64 {
        if self.paused {
            return self.base_ns;
        }
        let elapsed = now.saturating_sub(self.since).mul_f64(self.speed);
        self.base_ns
            .saturating_add(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX))
    }

    /// It is this moment now.
    pub(super) fn jump(&mut self, at_ns: u64, now: Duration) {
        self.base_ns = at_ns;
        self.since = now;
        self.quiet_since = now;
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused
    }

    pub(super) fn set_paused(&mut self, paused: bool, now: Duration) {
        let at_ns = self.position(now);
        self.paused = paused;
        self.jump(at_ns, now);
    }

    pub(super) fn speed(&self) -> f64 {
        self.speed
    }

    /// Changes the speed, within its bounds. Answers whether it changed.
    pub(super) fn set_speed(&mut self, speed: f64, now: Duration) -> bool {
        let speed = speed.clamp(SPEED_MIN, SPEED_MAX);
        let changed = (speed - self.speed).abs() > f64::EPSILON;
        self.base_ns = self.position(now);
        self.since = now;
        self.speed = speed;
        changed
    }

    pub(super) fn idle_limit(&self) -> Option<Duration> {
        self.idle_limit
    }

    pub(super) fn set_idle_limit(&mut self, limit: Option<Duration>) {
        self.idle_limit = limit;
    }

    /// When, for the viewer, something of this moment is to be seen; never while paused.
    pub(super) fn due(&self, at_ns: u64) -> Option<Duration> {
        if self.paused {
            return None;
        }
        let ahead = Duration::from_nanos(at_ns.saturating_sub(self.base_ns));
        // At most 31 years times 16: far from where this could overflow.
        let by_pace = self.since.saturating_add(ahead.div_f64(self.speed));
        let by_limit = self
            .idle_limit
            .map(|limit| self.quiet_since.saturating_add(limit));
        Some(by_limit.map_or(by_pace, |by_limit| by_pace.min(by_limit)))
    }

    /// Something of this moment is seen, and was due. Answers how much of the recording was
    /// skipped because of the idle limit.
    pub(super) fn arrive(&mut self, at_ns: u64, now: Duration) -> u64 {
        let skipped = at_ns.saturating_sub(self.position(now));
        if skipped > 0 {
            self.base_ns = at_ns;
            self.since = now;
        }
        self.quiet_since = now;
        skipped
    }

    /// The emulator could not keep up: it is only this moment yet.
    pub(super) fn fall_back(&mut self, at_ns: u64, now: Duration) {
        if at_ns < self.position(now) {
            self.base_ns = at_ns;
            self.since = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn at(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn time_passes_at_its_speed() {
        let mut line = Timeline::new(10 * S, 2.0, None, at(100.0));
        assert_eq!(line.position(at(100.0)), 10 * S);
        assert_eq!(line.position(at(103.0)), 16 * S);
        assert_eq!(line.due(20 * S), Some(at(105.0)));
        assert_eq!(line.due(5 * S), Some(at(100.0)));
        assert!(line.set_speed(0.5, at(103.0)));
        assert_eq!(line.position(at(103.0)), 16 * S);
        assert_eq!(line.position(at(105.0)), 17 * S);
        assert!(line.set_speed(1e9, at(105.0)));
        assert!(!line.set_speed(128.0, at(105.0)));
        assert!((line.speed() - SPEED_MAX).abs() < f64::EPSILON);
        assert!(line.set_speed(0.0, at(105.0)));
        assert!((line.speed() - SPEED_MIN).abs() < f64::EPSILON);
    }

    #[test]
    fn it_stands_still_while_paused() {
        let mut line = Timeline::new(0, 1.0, None, at(0.0));
        line.set_paused(true, at(3.0));
        assert_eq!(line.position(at(50.0)), 3 * S);
        assert_eq!(line.due(4 * S), None);
        line.jump(30 * S, at(51.0));
        assert_eq!(line.position(at(60.0)), 30 * S);
        line.set_paused(false, at(60.0));
        assert_eq!(line.position(at(61.0)), 31 * S);
        assert_eq!(line.due(32 * S), Some(at(62.0)));
    }

    #[test]
    fn nobody_waits_longer_than_the_limit() {
        for speed in [0.0625, 1.0, 8.0] {
            let mut line = Timeline::new(0, speed, Some(at(2.0)), at(0.0));
            let due = line.due(1000 * S).unwrap();
            assert_eq!(due, at(2.0));
            let skipped = line.arrive(1000 * S, due);
            assert_eq!(Duration::from_nanos(1000 * S - skipped), at(2.0 * speed));
            assert_eq!(line.position(due), 1000 * S);
            // What follows soon is not hurried.
            let soon = 1000 * S + Duration::from_secs_f64(speed).as_nanos() as u64;
            assert_eq!(line.due(soon), Some(due + at(1.0)));
            assert_eq!(line.arrive(soon, due + at(1.0)), 0);
            assert_eq!(line.due(5000 * S), Some(due + at(3.0)));
        }
    }

    #[test]
    fn without_a_limit_every_pause_lasts() {
        let mut line = Timeline::new(0, 1.0, None, at(0.0));
        assert_eq!(line.due(86_400 * S), Some(at(86_400.0)));
        line.set_idle_limit(Some(at(1.0)));
        assert_eq!(line.due(86_400 * S), Some(at(1.0)));
        assert_eq!(line.due(u64::MAX), Some(at(1.0)));
        line.set_idle_limit(None);
        assert!(line.due(u64::MAX).is_some());
    }

    #[test]
    fn a_slow_emulator_slows_the_clock() {
        let mut line = Timeline::new(0, 64.0, None, at(0.0));
        line.fall_back(100 * S, at(10.0));
        assert_eq!(line.position(at(10.0)), 100 * S);
        line.fall_back(500 * S, at(10.0));
        assert_eq!(line.position(at(10.0)), 100 * S);
    }

    #[test]
    fn any_speed_asked_for_is_a_speed() {
        for asked in [f64::NAN, f64::INFINITY, -1.0, 0.0, 1e300] {
            let line = Timeline::new(0, asked, None, at(0.0));
            assert!((SPEED_MIN..=SPEED_MAX).contains(&line.speed()), "{asked}");
            assert!(line.due(u64::MAX).is_some());
        }
    }
}
