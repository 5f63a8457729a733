//! Typed bytes on their way to the record, kept back until it is clear that nothing hid them.
//!
//! The terminal's modes can only be looked at, not watched, and a program may change them between
//! a key and our look. So typed bytes wait for [`TYPED_HOLD`], and whenever meanwhile the terminal
//! is seen to hide what is typed, or the line before the cursor is a prompt for something secret,
//! those that wait are forgotten: no bytes, no number, no time. Times of keystrokes in a recording
//! are therefore those of their release, up to about a second late.
//!
//! One thing ends the wait early and survives: a typed line that the terminal has shown word for
//! word (the `sudo ls` before a password prompt). It says nothing that the output does not.
//!
//! **A terminal that only passes keys on** (raw) does not say whether whoever reads them hides them: behind it may be another
//! terminal, under `tmux`, `ssh`, `docker exec`, that does. There keys count as hidden unless the screen answered them. They
//! wait for the end of their *run*: Enter, interrupt, end or stop; the terminal's modes being others; the session's end.
//! However long that takes. Then a run is stored if
//!
//! - its line was shown word for word, until [`TYPED_HOLD`] after Enter; or
//! - it was answered key by key ([`screen`] says when an output answers a key): never more than two keys in a row were not;
//!   and of all that print half were, two thirds and at least two where Enter ended it;
//! - or it has none that print.
//!
//! Otherwise it is forgotten as a whole. So one output amid a secret, a clock's, releases nothing, nor does an Enter, which
//! always moves the screen. Several keys that came at once (pasted) were answered if their text was shown; one that repeats
//! counts as one; stars and dots answer nothing. Up to the last of four keys in a row that were answered a run is settled, if the
//! beginning is answered as above: it is stored when those are a second old, so that what is typed in an editor does not wait
//! for an Enter. A run of more than [`TYPED_OPEN_BYTES_MAX`] is forgotten, to its Enter.
//!
//! Where the terminal cannot be looked at at all, nothing but lines that were shown word for word is stored. A line's wait
//! begins with its Enter, and part of one is never stored as if it were all that was typed.

use std::collections::VecDeque;
use std::time::Instant;

use crate::limits::{
    LINE_SHOWN_BYTES_MAX, LINES_LOOK_MAX, TYPED_HELD_BYTES, TYPED_HOLD, TYPED_LOOK_EVERY,
    TYPED_OPEN_BYTES_MAX,
};
use crate::line::Line;
use crate::prompt::Prompts;
use crate::terminal::Echo;

mod keys;
mod screen;

use keys::{ends_run, masks, printable};
use screen::{Came, Ended, Screen, Stroke, answered_so_far, is_answered};

/// What is known of typed bytes, besides whether their line was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// They may be stored when they have waited.
    Told,
    /// Of a run that goes on, at a terminal that passes keys on.
    Open(Answer),
    /// Of a line that is stored only if it is shown.
    Doubtful,
}

/// Whether the screen answered keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    None,
    /// Something was shown.
    Something,
    /// They were shown.
    Themselves,
}

/// Bytes that were typed together.
struct Held {
    at: Instant,
    bytes: Vec<u8>,
    /// The line that they are part of was shown.
    shown: bool,
    /// A line or run ends with them.
    ends: bool,
    state: State,
}

impl Held {
    fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_)) && !self.shown
    }

    fn is_doubtful(&self) -> bool {
        self.state == State::Doubtful && !self.shown
    }

    fn stroke(&self) -> Stroke {
        Stroke {
            keys: printable(&self.bytes).keys,
            is_answered: !matches!(self.state, State::Open(Answer::None)),
        }
    }
}

/// Typed bytes, the output line they answer, and what is known about being hidden.
pub(crate) struct Typed {
    held: VecDeque<Held>,
    held_bytes: usize,
    /// Hidden until Enter: it began hidden, however the terminal looks by now. Whoever leaves its prompt otherwise ends that
    /// as well; if that was no end (a program may take such a key as any other), the terminal hides what follows still.
    hidden: bool,
    line: Line,
    screen: Screen,
    prompts: Prompts,
    /// When it was last asked what may be stored.
    asked_at: Option<Instant>,
    /// Whether nothing is stored but lines that were shown: where no terminal can be looked at.
    needs_echo: bool,
}

impl Typed {
    pub(crate) fn new(prompts: Prompts) -> Self {
        Self {
            held: VecDeque::new(),
            held_bytes: 0,
            hidden: false,
            line: Line::new(),
            screen: Screen::default(),
            prompts,
            asked_at: None,
            needs_echo: false,
        }
    }

    /// Begins amid a session that another process followed: what its screen asked for is not known, so the line that is
    /// being typed counts as hidden.
    pub(crate) fn amid(prompts: Prompts) -> Self {
        Self {
            hidden: true,
            ..Self::new(prompts)
        }
    }

    /// Stores nothing but lines that the terminal has shown word for word: for one that is elsewhere, whose
    /// modes nobody can look at.
    pub(crate) fn echoed(prompts: Prompts) -> Self {
        Self {
            needs_echo: true,
            ..Self::new(prompts)
        }
    }

    /// Follows what the program shows.
    pub(crate) fn shown(&mut self, bytes: &[u8], now: Instant) {
        let came = self.screen.output(now);
        if self.held.is_empty() {
            return self.line.feed(bytes);
        }
        match came {
            Came::Answer => self.answer(bytes),
            Came::Restless => self.doubt(),
            Came::Unasked => {}
        }
        // Line by line: the typed one may be followed by others at once, or be drawn over.
        for line in bytes.split_inclusive(|byte| matches!(byte, b'\r' | b'\n')) {
            self.line.feed(line);
            self.mark_shown();
            self.mark_pasted();
        }
    }

    /// Takes typed bytes. `echo` is what the terminal does at this moment.
    pub(crate) fn typed(&mut self, bytes: &[u8], echo: Echo, now: Instant) {
        self.look(echo);
        self.screen.key(now);
        if echo == Echo::Off || self.hidden || self.prompts.ask(&self.line.text()) {
            // All of them: behind an Enter in the same bytes may be the next secret.
            let leaves = echo == Echo::Off && leaves_prompt(bytes, !self.hidden);
            self.hidden = !ends_line(bytes) && !leaves;
            return;
        }
        if self.needs_echo {
            self.hold(bytes, ends_line(bytes), State::Doubtful, now);
            if self.open_line_bytes() > LINE_SHOWN_BYTES_MAX {
                self.forget_open_line();
            }
        } else if echo == Echo::Raw {
            for piece in bytes.split_inclusive(|byte| ends_run(*byte)) {
                let last = piece.last().filter(|byte| ends_run(**byte));
                self.hold(piece, last.is_some(), State::Open(Answer::None), now);
                if let Some(last) = last {
                    self.end_run(if ends_line(&[*last]) {
                        Ended::Enter
                    } else {
                        Ended::Otherwise
                    });
                }
            }
            if self.open_bytes() > TYPED_OPEN_BYTES_MAX {
                self.forget_open();
                self.hidden = true;
            }
        } else {
            self.hold(bytes, ends_line(bytes), State::Told, now);
        }
        self.forget_oldest_lines();
    }

    fn hold(&mut self, bytes: &[u8], ends: bool, state: State, now: Instant) {
        self.held_bytes += bytes.len();
        self.held.push_back(Held {
            at: now,
            bytes: bytes.to_vec(),
            shown: false,
            ends,
            state,
        });
        self.mark_shown();
    }

    /// Forgets the oldest lines that were not shown, while more bytes wait than may: however much comes
    /// before anybody asks for what may be stored.
    fn forget_oldest_lines(&mut self) {
        while self.held_bytes > TYPED_HELD_BYTES {
            let begins_at = self.held.iter().position(Held::is_doubtful);
            let line = begins_at.and_then(|at| Some((at, self.line_from(at)?)));
            // What was shown is stored the next time, and a line that is still typed has its own bound.
            let Some((begins_at, ends_at)) = line else {
                return;
            };
            let line = self.held.drain(begins_at..=ends_at);
            self.held_bytes -= line.map(|held| held.bytes.len()).sum::<usize>();
        }
    }

    /// Bytes behind the last Enter, of which there are never many more than can be shown.
    fn open_line_bytes(&self) -> usize {
        let open = self.held.iter().rev();
        let open = open.take_while(|held| !held.ends);
        open.map(|held| held.bytes.len()).sum()
    }

    /// Where the run begins that goes on: it is the last of what waits.
    fn open_from(&self) -> usize {
        let open = self.held.iter().rev().take_while(|held| held.is_open());
        self.held.len() - open.count()
    }

    fn open_bytes(&self) -> usize {
        let open = self.held.range(self.open_from()..);
        open.map(|held| held.bytes.len()).sum()
    }

    /// Forgets the line that has no Enter yet, and what of it is still to come.
    fn forget_open_line(&mut self) {
        let ended = self.held.iter().rposition(|held| held.ends);
        let begins_at = ended.map_or(0, |at| at + 1);
        self.held_bytes -= self.open_line_bytes();
        self.held.truncate(begins_at);
        self.hidden = true;
    }

    /// The output answers the key before it, if that was one.
    fn answer(&mut self, bytes: &[u8]) {
        let Some(last) = self.held.back_mut().filter(|last| !last.ends) else {
            return;
        };
        let is_one = |typed: &[u8]| printable(typed).is_one && !masks(bytes, typed);
        if last.state == State::Open(Answer::None) && is_one(&last.bytes) {
            last.state = State::Open(Answer::Something);
        }
    }

    /// What is shown on a screen that moves by itself answers nothing, nor did it a moment ago.
    fn doubt(&mut self) {
        let from = self.open_from();
        for held in self.held.range_mut(from..) {
            if held.state == State::Open(Answer::Something) {
                held.state = State::Open(Answer::None);
            }
        }
    }

    /// Several keys at once are answered by being shown.
    fn mark_pasted(&mut self) {
        let Some(last) = self.held.back_mut() else {
            return;
        };
        if last.state != State::Open(Answer::None) || last.bytes.len() > LINE_SHOWN_BYTES_MAX {
            return;
        }
        let typed = printable(&last.bytes);
        if typed.keys > 1 && self.line.shows(&typed.text) {
            last.state = State::Open(Answer::Themselves);
        }
    }

    /// A run has come to its end, and with that what becomes of it; it may still be shown as a whole.
    fn end_run(&mut self, ended: Ended) {
        self.end_answered(|_| true);
        let from = self.open_from();
        let state = match is_answered(self.held.range(from..).map(Held::stroke), ended) {
            true => State::Told,
            false => State::Doubtful,
        };
        let open = self.held.range_mut(from..);
        open.for_each(|held| held.state = state);
    }

    /// A run has come to an end that nothing will be shown after.
    fn settle_open(&mut self) {
        let from = self.open_from();
        match is_answered(self.held.range(from..).map(Held::stroke), Ended::Otherwise) {
            true => self.end_run(Ended::Otherwise),
            false => self.forget_open(),
        }
    }

    fn forget_open(&mut self) {
        self.held_bytes -= self.open_bytes();
        self.held.truncate(self.open_from());
    }

    /// Lets go of the beginning of a run, as far as it is known to be answered, and old enough.
    fn end_answered(&mut self, is_old: impl Fn(&Held) -> bool) {
        let from = self.open_from();
        let old = self.held.range(from..).take_while(|held| is_old(held));
        let strokes: Vec<Stroke> = old.map(Held::stroke).collect();
        let open = self.held.range_mut(from..);
        let answered = open.take(answered_so_far(&strokes));
        answered.for_each(|held| held.state = State::Told);
    }

    /// Looks at the terminal while bytes are kept back.
    pub(crate) fn look(&mut self, echo: Echo) {
        let Some(last) = self.held.back() else { return };
        if echo == Echo::Off || self.prompts.ask(&self.line.text()) {
            self.hidden = !ends_line(&last.bytes);
            self.held.retain(|held| held.shown);
            self.held_bytes = self.held.iter().map(|held| held.bytes.len()).sum();
        } else if echo == Echo::On {
            self.settle_open();
        }
    }

    /// Finds the oldest lines that wait in what is before the cursor, or in the line above.
    fn mark_shown(&mut self) {
        let mut begins_at = 0;
        let looks = match self.needs_echo {
            true => usize::MAX,
            false => LINES_LOOK_MAX,
        };
        for _ in 0..looks {
            let Some(ends_at) = self.line_from(begins_at) else {
                return;
            };
            if self.is_shown(begins_at, ends_at) {
                let line = self.held.iter_mut().take(ends_at + 1).skip(begins_at);
                line.for_each(|held| held.shown = true);
                return;
            }
            begins_at = ends_at + 1;
        }
    }

    /// Where the first line that was not shown ends, from here on.
    fn line_from(&self, begins_at: usize) -> Option<usize> {
        let waits = |(_, held): &(usize, &Held)| !held.shown;
        let from = self.held.iter().enumerate().skip(begins_at);
        let mut waiting = from.filter(waits);
        let end = waiting.find(|(_, held)| held.ends);
        end.map(|(at, _)| at)
    }

    fn is_shown(&self, begins_at: usize, ends_at: usize) -> bool {
        let held = self.held.iter().take(ends_at + 1).skip(begins_at);
        let waiting = held.filter(|held| !held.shown);
        let mut line: Vec<u8> = waiting.flat_map(|held| held.bytes.clone()).collect();
        line.pop(); // Enter itself
        let plain = !line.is_empty() && line.iter().all(|byte| *byte >= b' ' && *byte != 0x7f);
        plain && self.line.shows(&line)
    }

    /// The bytes that may be stored now. At [`TYPED_HELD_BYTES`] the oldest may at once: so much in
    /// so short a time is pasted text. Where only what was shown counts, whole lines are forgotten instead.
    pub(crate) fn released(&mut self, now: Instant) -> Vec<u8> {
        self.asked_at = Some(now);
        self.end_answered(|held| now.saturating_duration_since(held.at) >= TYPED_HOLD);
        let mut released = Vec::new();
        while let Some(held) = self.held.front().filter(|held| !held.is_open()) {
            let by_line = held.is_doubtful();
            let ends_at = if by_line { self.line_from(0) } else { Some(0) };
            // One without an Enter waits for it; how long it gets is bounded where it is typed.
            let Some((ends_at, end)) = ends_at.and_then(|at| Some((at, self.held.get(at)?))) else {
                break;
            };
            let old = now.saturating_duration_since(end.at) >= TYPED_HOLD;
            if !old && !held.shown && self.held_bytes <= TYPED_HELD_BYTES {
                break;
            }
            for held in self.held.drain(..=ends_at) {
                self.held_bytes -= held.bytes.len();
                if !by_line {
                    released.extend(held.bytes);
                }
            }
        }
        released
    }

    /// At the end: the rest, unless the terminal hides it.
    pub(crate) fn rest(&mut self, echo: Echo) -> Vec<u8> {
        self.look(echo);
        self.settle_open();
        self.held_bytes = 0;
        let may = self.held.drain(..).filter(|held| !held.is_doubtful());
        may.flat_map(|held| held.bytes).collect()
    }

    /// When to look again: as long as time alone decides something. What waits for the end of a run does so for as long as
    /// nobody types.
    pub(crate) fn look_again(&self, now: Instant) -> Option<Instant> {
        let last = self.held.back()?;
        let was_asked = self.asked_at.is_some_and(|at| at >= last.at + TYPED_HOLD);
        let waits = self.held.iter().any(|held| !held.is_open()) || !was_asked;
        waits.then(|| now + TYPED_LOOK_EVERY)
    }
}

fn ends_line(bytes: &[u8]) -> bool {
    bytes.last().is_some_and(|b| matches!(b, b'\r' | b'\n'))
}

/// Whether whoever types this at a terminal that collects a line and hides it has left the prompt: interrupted or stopped it,
/// or ended a line in which nothing is. Amid a line, an end (^D) only hands over what was typed so far.
fn leaves_prompt(bytes: &[u8], is_new_line: bool) -> bool {
    match bytes {
        [.., 0x03 | 0x1a] => true,
        [0x04] => is_new_line,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
