//! Whether the screen answers keys, and whether a run of keys was answered.
//!
//! An output is the answer to the key before it if it begins at most [`ANSWER_MAX`] after it, or follows upon such a one
//! within [`BURST_GAP`]. Any other came by itself. A screen where that happens more than once within [`CALM`] is *restless*: a
//! clock that counts seconds, a build in another window. There no output is taken for an answer until it has been seen
//! calm for as long.

use std::time::{Duration, Instant};

use crate::limits::{ANSWER_MAX, ANSWERED_IN_A_ROW, BURST_GAP, CALM, SILENT_KEYS_MAX};

/// What an output was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Came {
    /// It answers the last key.
    Answer,
    /// Whatever it is, nothing follows from it.
    Unasked,
    /// With it the screen is restless, so that what came shortly before may have answered nothing either.
    Restless,
}

/// When keys and outputs came.
#[derive(Debug, Default)]
pub(super) struct Screen {
    key_at: Option<Instant>,
    output_at: Option<Instant>,
    /// The first and the last of the outputs that came by themselves, each less than [`CALM`] after the one before.
    unasked: Option<(Instant, Instant)>,
    is_restless: bool,
}

impl Screen {
    pub(super) fn key(&mut self, now: Instant) {
        self.calm(now);
        self.key_at = Some(now);
    }

    pub(super) fn output(&mut self, now: Instant) -> Came {
        self.calm(now);
        let before = self.output_at.replace(now);
        let is_in_time = self.key_at.is_some_and(|key| since(key, now) <= ANSWER_MAX);
        let is_first = before < self.key_at;
        let follows = before.is_some_and(|before| since(before, now) <= BURST_GAP);
        if is_in_time && (is_first || follows) {
            return if self.is_restless {
                Came::Unasked
            } else {
                Came::Answer
            };
        }
        let first = match self.unasked {
            Some((first, last)) if since(last, now) < CALM => first,
            _ => now,
        };
        self.unasked = Some((first, now));
        if since(first, now) > BURST_GAP && !self.is_restless {
            self.is_restless = true;
            return Came::Restless;
        }
        Came::Unasked
    }

    /// Nothing came by itself for long, while nothing that came was taken for an answer.
    fn calm(&mut self, now: Instant) {
        let asked_until = self.key_at.map(|key| key + ANSWER_MAX);
        let unasked = self.unasked.map(|(_, last)| last);
        let is_over = |at: Instant| since(at, now) >= CALM;
        self.is_restless &= !asked_until.max(unasked).is_some_and(is_over);
    }
}

fn since(then: Instant, now: Instant) -> Duration {
    now.saturating_duration_since(then)
}

/// Keys that print and came at once, and whether they were answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stroke {
    pub(super) keys: usize,
    pub(super) is_answered: bool,
}

/// How a run of keys came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// With Enter, as secrets do.
    Enter,
    /// With another key, the session, or the program that read raw keys.
    Otherwise,
}

/// Whether a run was answered, key by key: never more than [`SILENT_KEYS_MAX`] keys in a row were not; and half of
/// them were, of one that Enter ended two thirds and two at least. Without keys that print it was.
pub(super) fn is_answered(run: impl Iterator<Item = Stroke>, ended: Ended) -> bool {
    let (mut all, mut answered, mut silent) = (0, 0, 0);
    for Stroke { keys, is_answered } in run {
        all += keys;
        match is_answered {
            true => (answered, silent) = (answered + keys, if keys > 0 { 0 } else { silent }),
            false => silent += keys,
        }
        if silent > SILENT_KEYS_MAX {
            return false;
        }
    }
    match ended {
        Ended::Enter => all == 0 || (answered >= 2 && 3 * answered >= 2 * all),
        Ended::Otherwise => 2 * answered >= all,
    }
}

/// How many strokes at the beginning of a run that goes on are known to be answered: up to the last of
/// [`ANSWERED_IN_A_ROW`] in a row that were.
pub(super) fn answered_so_far(run: &[Stroke]) -> usize {
    let (mut in_a_row, mut until) = (0, 0);
    for (at, stroke) in run.iter().enumerate().filter(|(_, stroke)| stroke.keys > 0) {
        in_a_row = if stroke.is_answered { in_a_row + 1 } else { 0 };
        if in_a_row >= ANSWERED_IN_A_ROW {
            until = at + 1;
        }
    }
    let so_far = run.get(..until).unwrap_or_default();
    match is_answered(so_far.iter().copied(), Ended::Otherwise) {
        true => until,
        false => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn what_follows_a_key_at_once_answers_it_and_a_clock_does_not() {
        let mut screen = Screen::default();
        let mut now = Instant::now();
        assert_eq!(screen.output(now), Came::Unasked);
        for _ in 0..3 {
            now += ms(10_000);
            screen.key(now);
            assert_eq!(screen.output(now + ms(40)), Came::Answer);
            assert_eq!(screen.output(now + ms(60)), Came::Answer);
            // Every ten seconds.
            assert_eq!(screen.output(now + ms(900)), Came::Unasked);
        }
        screen.key(now + ms(1000));
        assert_eq!(
            screen.output(now + ms(1000) + ANSWER_MAX + ms(1)),
            Came::Restless
        );
    }

    #[test]
    fn a_screen_that_moves_by_itself_answers_nothing_until_it_was_calm() {
        let mut screen = Screen::default();
        let start = Instant::now();
        for second in 0..4 {
            screen.output(start + ms(1000 * second));
        }
        let now = start + ms(3000);
        screen.key(now + ms(900));
        assert_eq!(screen.output(now + ms(1000)), Came::Unasked);
        // While keys come so fast that everything could be their answer, nothing shows that it is calm.
        for tenth in 11..40 {
            screen.key(now + ms(100 * tenth));
            assert_eq!(screen.output(now + ms(100 * tenth + 50)), Came::Unasked);
        }
        let now = now + ms(4000) + CALM + ANSWER_MAX;
        screen.key(now);
        assert_eq!(screen.output(now + ms(50)), Came::Answer);
    }

    #[test]
    fn a_stream_of_output_is_restless_soon() {
        let mut screen = Screen::default();
        let start = Instant::now();
        screen.key(start);
        let mut came = (0..100).map(|at| screen.output(start + ms(10 * at)));
        assert!(came.any(|came| came == Came::Restless));
        assert!(came.all(|came| came == Came::Unasked));
        // And one with a key amid it: so much does not come for one key.
        let mut screen = Screen::default();
        let mut came = Vec::new();
        for at in 0..20 {
            if at % 2 == 0 {
                screen.key(start + ms(80 * at));
            }
            came.push(screen.output(start + ms(80 * at + 10)));
        }
        assert!(came.contains(&Came::Restless), "{came:?}");
    }

    fn run(pattern: &str) -> Vec<Stroke> {
        let stroke = |letter| Stroke {
            keys: usize::from(letter != ' '),
            is_answered: letter == '+',
        };
        pattern.chars().map(stroke).collect()
    }

    #[test]
    fn a_run_is_answered_key_by_key_or_not_at_all() {
        let is = |pattern: &str, ended| is_answered(run(pattern).into_iter(), ended);
        for (pattern, enter, otherwise) in [
            ("", true, true),
            ("  ", true, true),
            ("++", true, true),
            ("+", false, true),
            ("-", false, false),
            ("-+", false, true),
            ("-+-+++", true, true),
            ("--+", false, false),
            ("--++++", true, true),
            // One output that has nothing to do with it, wherever.
            ("---+----", false, false),
            ("--+--", false, false),
            // However much is answered before and after.
            ("+++++++++---", false, false),
            ("-- -+++++++++", false, false),
        ] {
            assert_eq!(is(pattern, Ended::Enter), enter, "{pattern:?}");
            assert_eq!(is(pattern, Ended::Otherwise), otherwise, "{pattern:?}");
        }
    }

    #[test]
    fn of_a_run_that_goes_on_what_was_answered_in_a_row_is_known() {
        for (pattern, known) in [
            ("+++", 0),
            ("++++", 4),
            ("-+-++++--", 7),
            ("+++++-+", 5),
            ("---++++++++++", 0),
            ("+ +++", 5),
        ] {
            assert_eq!(answered_so_far(&run(pattern)), known, "{pattern:?}");
        }
    }
}
