//! Typed bytes on their way to the record, kept back until it is clear that nothing hid them.
//!
//! The terminal's modes can only be looked at, not watched, and a program may change them between
//! a key and our look. So typed bytes wait for [`TYPED_HOLD`], and whenever meanwhile the terminal
//! is seen to hide what is typed, or the line before the cursor is a prompt for something secret,
//! those that wait are forgotten: no bytes, no number, no time. Times of keystrokes in a recording
//! are therefore those of their release, up to about a second late.
//!
//! Where the terminal cannot be looked at at all, a line is one thing: only as a whole can it have been
//! shown, and part of one is never stored as if it were all that was typed. Its wait begins with its Enter.
//!
//! One thing ends the wait early and survives: a typed line that the terminal has shown word for
//! word (the `sudo ls` before a password prompt). It says nothing that the output does not.

use std::collections::VecDeque;
use std::time::Instant;

use crate::limits::{LINE_SHOWN_BYTES_MAX, TYPED_HELD_BYTES, TYPED_HOLD, TYPED_LOOK_EVERY};
use crate::line::Line;
use crate::prompt::Prompts;

/// Bytes that were typed together.
struct Held {
    at: Instant,
    bytes: Vec<u8>,
    /// The line that they are part of was shown.
    shown: bool,
}

/// Typed bytes, the output line they answer, and what is known about being hidden.
pub(crate) struct Typed {
    held: VecDeque<Held>,
    held_bytes: usize,
    /// Hidden until Enter: it began hidden, however the terminal looks by now.
    hidden: bool,
    line: Line,
    prompts: Prompts,
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
            prompts,
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
    pub(crate) fn shown(&mut self, bytes: &[u8]) {
        if self.held.is_empty() {
            return self.line.feed(bytes);
        }
        // Line by line: the typed one may be followed by others at once.
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.feed(line);
            self.mark_shown();
        }
    }

    /// Takes typed bytes. `hides` is how the terminal is at this moment.
    pub(crate) fn typed(&mut self, bytes: &[u8], hides: bool, now: Instant) {
        self.look(hides);
        if hides || self.hidden || self.prompts.ask(&self.line.text()) {
            // All of them: behind an Enter in the same bytes may be the next secret.
            self.hidden = !ends_line(bytes);
            return;
        }
        self.held_bytes += bytes.len();
        self.held.push_back(Held {
            at: now,
            bytes: bytes.to_vec(),
            shown: false,
        });
        self.mark_shown();
        if self.needs_echo {
            if self.open_line_bytes() > LINE_SHOWN_BYTES_MAX {
                self.forget_open_line();
            }
            self.forget_oldest_lines();
        }
    }

    /// Forgets the oldest lines that were not shown, while more bytes wait than may: however much comes
    /// before anybody asks for what may be stored.
    fn forget_oldest_lines(&mut self) {
        while self.held_bytes > TYPED_HELD_BYTES {
            let begins_at = self.held.iter().position(|held| !held.shown);
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
        let open = open.take_while(|held| !ends_line(&held.bytes));
        open.map(|held| held.bytes.len()).sum()
    }

    /// Forgets the line that has no Enter yet, and what of it is still to come.
    fn forget_open_line(&mut self) {
        let ended = self.held.iter().rposition(|held| ends_line(&held.bytes));
        let begins_at = ended.map_or(0, |at| at + 1);
        self.held_bytes -= self.open_line_bytes();
        self.held.truncate(begins_at);
        self.hidden = true;
    }

    /// Looks at the terminal while bytes are kept back.
    pub(crate) fn look(&mut self, hides: bool) {
        let Some(last) = self.held.back() else { return };
        if hides || self.prompts.ask(&self.line.text()) {
            self.hidden = !ends_line(&last.bytes);
            self.held.retain(|held| held.shown);
            self.held_bytes = self.held.iter().map(|held| held.bytes.len()).sum();
        }
    }

    /// Finds the oldest line that waits in what is before the cursor, or in the line above. Where only what
    /// was shown counts, one that was not does not stand before the next.
    fn mark_shown(&mut self) {
        let mut begins_at = 0;
        while let Some(ends_at) = self.line_from(begins_at) {
            if self.is_shown(begins_at, ends_at) {
                let line = self.held.iter_mut().take(ends_at + 1).skip(begins_at);
                line.for_each(|held| held.shown = true);
                return;
            }
            if !self.needs_echo {
                return;
            }
            begins_at = ends_at + 1;
        }
    }

    /// Where the first line that was not shown ends, from here on.
    fn line_from(&self, begins_at: usize) -> Option<usize> {
        let waits = |(at, held): &(usize, &Held)| *at >= begins_at && !held.shown;
        let mut waiting = self.held.iter().enumerate().filter(waits);
        let end = waiting.find(|(_, held)| ends_line(&held.bytes));
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
        let mut released = Vec::new();
        while let Some(held) = self.held.front() {
            let by_line = self.needs_echo && !held.shown;
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
    pub(crate) fn rest(&mut self, hides: bool) -> Vec<u8> {
        self.look(hides);
        self.held_bytes = 0;
        let needs_echo = self.needs_echo;
        let may = self.held.drain(..).filter(|held| held.shown || !needs_echo);
        may.flat_map(|held| held.bytes).collect()
    }

    /// When to look again.
    pub(crate) fn look_again(&self, now: Instant) -> Option<Instant> {
        (!self.held.is_empty()).then(|| now + TYPED_LOOK_EVERY)
    }
}

fn ends_line(bytes: &[u8]) -> bool {
    bytes.last().is_some_and(|b| matches!(b, b'\r' | b'\n'))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LATER: Duration = Duration::from_secs(2);

    fn typed() -> (Typed, Instant) {
        (Typed::new(Prompts::default()), Instant::now())
    }

    #[test]
    fn where_no_terminal_can_be_looked_at_only_what_it_showed_is_stored() {
        let now = Instant::now();
        let mut typed = Typed::echoed(Prompts::default());
        typed.shown(b"$ ");
        typed.typed(b"l", false, now);
        typed.shown(b"l");
        typed.typed(b"s\r", false, now);
        typed.shown(b"s\r\nfile\r\n$ ");
        assert_eq!(typed.released(now), b"ls\r");
        // Asked for in words that no list of prompts has.
        typed.shown(b"magic word? ");
        typed.typed(b"open sesame\r", false, now);
        typed.shown(b"\r\nopened\r\n");
        assert_eq!(typed.released(now + LATER), b"");
        typed.typed(b"again\r", false, now);
        // It does not keep back what was shown after it.
        typed.typed(b"plain\r", false, now);
        typed.shown(b"plain\r\n");
        assert_eq!(typed.rest(false), b"plain\r");
    }

    #[test]
    fn amid_a_session_the_line_that_is_typed_may_answer_a_prompt_that_nobody_saw() {
        let now = Instant::now();
        let mut typed = Typed::amid(Prompts::default());
        typed.typed(b"sec", false, now);
        typed.typed(b"ret\r", false, now);
        typed.shown(b"\r\n$ ");
        typed.typed(b"ls\r", false, now);
        typed.shown(b"ls\r\n");
        assert_eq!(typed.released(now + LATER), b"ls\r");
    }

    /// What is stored of keys typed half a second apart, each shown as this if at all, and then Enter.
    fn stored_of(keys: &[u8], shows: impl Fn(u8) -> Option<u8>) -> Vec<u8> {
        let mut now = Instant::now();
        let mut typed = Typed::echoed(Prompts::default());
        typed.shown(b"now tell /x");
        let mut stored = Vec::new();
        for key in keys {
            typed.typed(&[*key], false, now);
            typed.shown(shows(*key).as_slice());
            now += Duration::from_millis(500);
            stored.extend(typed.released(now));
        }
        typed.typed(b"\r", false, now);
        typed.shown(b"\r\n");
        stored.extend(typed.released(now + LATER));
        assert!(typed.held.is_empty() && typed.held_bytes == 0);
        stored
    }

    #[test]
    fn of_a_line_that_is_typed_slowly_all_is_stored_or_nothing() {
        assert_eq!(stored_of(b"rm -rf /tmp/x", Some), b"rm -rf /tmp/x\r");
        // Its end is on the screen, behind the prompt, and says nothing of it.
        assert_eq!(stored_of(b"secret/x", |_| None), b"");
        assert_eq!(stored_of(b"secret/x", |_| Some(b'*')), b"");
    }

    #[test]
    fn a_line_longer_than_any_that_is_seen_is_forgotten_to_its_end() {
        let now = Instant::now();
        let mut typed = Typed::echoed(Prompts::default());
        for _ in 0..10 * LINE_SHOWN_BYTES_MAX {
            typed.typed(b"x", false, now);
            typed.shown(b"x");
            assert!(typed.held_bytes <= LINE_SHOWN_BYTES_MAX);
        }
        typed.typed(b"tail\r", false, now);
        typed.shown(b"tail\r\n");
        typed.typed(b"ls\r", false, now);
        typed.shown(b"ls\r\n");
        assert_eq!(typed.released(now), b"ls\r");
        // The same of one that more lines follow than may wait: what is left of it is not one itself.
        let mut typed = Typed::echoed(Prompts::default());
        typed.typed(b"sec", false, now);
        typed.typed(b"ret\r", false, now);
        let line = [vec![b'x'; 4095], vec![b'\r']].concat();
        for _ in 0..=TYPED_HELD_BYTES / line.len() {
            typed.typed(&line, false, now);
        }
        assert_eq!(typed.released(now), b"");
        assert!(typed.held_bytes <= TYPED_HELD_BYTES);
        typed.shown(b"ret\r\n");
        assert_eq!(typed.rest(false), b"");
    }

    #[test]
    fn lines_that_were_not_shown_are_bounded_before_anybody_looks() {
        let now = Instant::now();
        let mut typed = Typed::echoed(Prompts::default());
        typed.shown(b"$ ");
        typed.typed(b"ls\r", false, now);
        typed.shown(b"ls\r\n");
        let line = [vec![b'x'; 100], vec![b'\r']].concat();
        for _ in 0..10 * TYPED_HELD_BYTES / line.len() {
            typed.typed(&line, false, now);
            assert!(typed.held_bytes <= TYPED_HELD_BYTES);
            let held: usize = typed.held.iter().map(|held| held.bytes.len()).sum();
            assert_eq!(held, typed.held_bytes);
        }
        // What was shown before all that is still there.
        assert_eq!(typed.released(now), b"ls\r");
    }

    #[test]
    fn shown_bytes_are_released_after_the_hold_in_order() {
        let (mut typed, now) = typed();
        typed.typed(b"l", false, now);
        typed.typed(b"s\r", false, now + Duration::from_millis(500));
        assert_eq!(typed.released(now + Duration::from_millis(900)), b"");
        assert_eq!(typed.released(now + Duration::from_millis(1200)), b"l");
        assert_eq!(typed.released(now + LATER), b"s\r");
        assert_eq!(typed.look_again(now), None);
    }

    #[test]
    fn what_a_terminal_hides_is_forgotten_until_enter() {
        let (mut typed, now) = typed();
        typed.typed(b"hunt", true, now);
        typed.typed(b"er2", false, now); // echo came back before Enter
        typed.typed(b"\r", false, now);
        typed.typed(b"ls\r", false, now);
        assert_eq!(typed.released(now + LATER), b"ls\r");
    }

    #[test]
    fn typed_ahead_of_a_prompt_is_forgotten() {
        let (mut typed, now) = typed();
        typed.typed(b"su\rhunter2\r", false, now);
        typed.look(true);
        assert_eq!(typed.released(now + LATER), b"");
        typed.typed(b"hunt", false, now);
        typed.shown(b"\r\n[sudo] password for anna: ");
        typed.look(false);
        typed.typed(b"er2", false, now);
        typed.shown(b"***");
        typed.typed(b"\r", false, now);
        typed.shown(b"\r\n$ ");
        assert_eq!(typed.rest(false), b"");
    }

    #[test]
    fn a_line_that_was_shown_survives_the_prompt_it_led_to() {
        let (mut typed, now) = typed();
        typed.shown(b"$ ");
        for key in b"sudo ls" {
            typed.typed(&[*key], false, now);
            typed.shown(&[*key]);
        }
        typed.typed(b"\r", false, now);
        typed.shown(b"\r\n[sudo] password for anna: ");
        typed.typed(b"hunter2\r", false, now);
        typed.shown(b"\r\n$ ");
        assert_eq!(typed.released(now), b"sudo ls\r");
        // Shown only after Enter, and typed ahead behind it what is not shown.
        typed.typed(b"su\r", false, now);
        typed.typed(b"hunter2\r", false, now);
        typed.shown(b"su\r\nWe trust you\r\nto be careful.\r\nPassword: ");
        typed.look(true);
        assert_eq!(typed.rest(false), b"su\r");
    }

    #[test]
    fn a_second_secret_behind_the_first_is_not_stored() {
        let (mut typed, now) = typed();
        typed.typed(b"one\rtwo", true, now);
        typed.typed(b"\r", false, now);
        assert_eq!(typed.rest(false), b"");
    }

    #[test]
    fn a_prompt_in_raw_mode_hides_to_the_end_of_the_line() {
        let (mut typed, now) = typed();
        typed.shown(b"\x1b[1mPassphrase:\x1b[0m ");
        for key in b"hunter2" {
            typed.typed(&[*key], false, now);
            typed.shown(b"*");
        }
        typed.typed(b"\r", false, now);
        typed.shown(b"\r\n$ ");
        typed.typed(b"id\r", false, now);
        assert_eq!(typed.rest(false), b"id\r");
    }

    #[test]
    fn held_bytes_are_bounded() {
        let (mut typed, now) = typed();
        for _ in 0..40 {
            typed.typed(&[b'x'; 4096], false, now);
        }
        let released = typed.released(now);
        assert!(typed.held_bytes <= TYPED_HELD_BYTES);
        assert_eq!(released.len() + typed.held_bytes, 40 * 4096);
    }

    #[test]
    fn at_the_end_nothing_hidden_is_stored() {
        let (mut typed, now) = typed();
        typed.typed(b"secret", false, now);
        assert_eq!(typed.rest(true), b"");
    }
}
