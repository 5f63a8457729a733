//! Keys and outputs at made-up times.

use std::time::Duration;

use super::*;
use crate::terminal::Echo::{Off, On, Raw};

mod relayed;

const LATER: Duration = Duration::from_secs(2);

fn typed() -> (Typed, Instant) {
    (Typed::new(Prompts::default()), Instant::now())
}

#[test]
fn where_no_terminal_can_be_looked_at_only_what_it_showed_is_stored() {
    let now = Instant::now();
    let mut typed = Typed::echoed(Prompts::default());
    typed.shown(b"$ ", now);
    typed.typed(b"l", On, now);
    typed.shown(b"l", now);
    typed.typed(b"s\r", On, now);
    typed.shown(b"s\r\nfile\r\n$ ", now);
    assert_eq!(typed.released(now), b"ls\r");
    // Asked for in words that no list of prompts has.
    typed.shown(b"magic word? ", now);
    typed.typed(b"open sesame\r", On, now);
    typed.shown(b"\r\nopened\r\n", now);
    assert_eq!(typed.released(now + LATER), b"");
    typed.typed(b"again\r", On, now);
    // It does not keep back what was shown after it.
    typed.typed(b"plain\r", On, now);
    typed.shown(b"plain\r\n", now);
    assert_eq!(typed.rest(On), b"plain\r");
}

#[test]
fn amid_a_session_the_line_that_is_typed_may_answer_a_prompt_that_nobody_saw() {
    let now = Instant::now();
    let mut typed = Typed::amid(Prompts::default());
    typed.typed(b"sec", On, now);
    typed.typed(b"ret\r", On, now);
    typed.shown(b"\r\n$ ", now);
    typed.typed(b"ls\r", On, now);
    typed.shown(b"ls\r\n", now);
    assert_eq!(typed.released(now + LATER), b"ls\r");
}

/// What is stored of keys typed half a second apart, each shown as this if at all, and then Enter.
fn stored_of(keys: &[u8], shows: impl Fn(u8) -> Option<u8>) -> Vec<u8> {
    let mut now = Instant::now();
    let mut typed = Typed::echoed(Prompts::default());
    typed.shown(b"now tell /x", now);
    let mut stored = Vec::new();
    for key in keys {
        typed.typed(&[*key], On, now);
        typed.shown(shows(*key).as_slice(), now);
        now += Duration::from_millis(500);
        stored.extend(typed.released(now));
    }
    typed.typed(b"\r", On, now);
    typed.shown(b"\r\n", now);
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
        typed.typed(b"x", On, now);
        typed.shown(b"x", now);
        assert!(typed.held_bytes <= LINE_SHOWN_BYTES_MAX);
    }
    typed.typed(b"tail\r", On, now);
    typed.shown(b"tail\r\n", now);
    typed.typed(b"ls\r", On, now);
    typed.shown(b"ls\r\n", now);
    assert_eq!(typed.released(now), b"ls\r");
    // The same of one that more lines follow than may wait: what is left of it is not one itself.
    let mut typed = Typed::echoed(Prompts::default());
    typed.typed(b"sec", On, now);
    typed.typed(b"ret\r", On, now);
    let line = [vec![b'x'; 4095], vec![b'\r']].concat();
    for _ in 0..=TYPED_HELD_BYTES / line.len() {
        typed.typed(&line, On, now);
    }
    assert_eq!(typed.released(now), b"");
    assert!(typed.held_bytes <= TYPED_HELD_BYTES);
    typed.shown(b"ret\r\n", now);
    assert_eq!(typed.rest(On), b"");
}

#[test]
fn lines_that_were_not_shown_are_bounded_before_anybody_looks() {
    let now = Instant::now();
    let mut typed = Typed::echoed(Prompts::default());
    typed.shown(b"$ ", now);
    typed.typed(b"ls\r", On, now);
    typed.shown(b"ls\r\n", now);
    let line = [vec![b'x'; 100], vec![b'\r']].concat();
    for _ in 0..10 * TYPED_HELD_BYTES / line.len() {
        typed.typed(&line, On, now);
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
    typed.typed(b"l", On, now);
    typed.typed(b"s\r", On, now + Duration::from_millis(500));
    assert_eq!(typed.released(now + Duration::from_millis(900)), b"");
    assert_eq!(typed.released(now + Duration::from_millis(1200)), b"l");
    assert_eq!(typed.released(now + LATER), b"s\r");
    assert_eq!(typed.look_again(now), None);
}

#[test]
fn what_a_terminal_hides_is_forgotten_until_enter() {
    let (mut typed, now) = typed();
    typed.typed(b"hunt", Off, now);
    typed.typed(b"er2", On, now); // echo came back before Enter
    typed.typed(b"\r", On, now);
    typed.typed(b"ls\r", On, now);
    assert_eq!(typed.released(now + LATER), b"ls\r");
}

#[test]
fn who_leaves_a_hidden_prompt_has_the_next_line_stored() {
    for leaves in [0x03, 0x1a] {
        let (mut typed, now) = typed();
        typed.typed(b"hunt", Off, now);
        typed.typed(&[leaves], Off, now);
        typed.typed(b"ls\r", On, now);
        assert_eq!(typed.released(now + LATER), b"ls\r", "{leaves:#x}");
    }
    // An end of what is typed, where nothing was.
    let (mut typed, now) = typed();
    typed.typed(b"hunter2\r", Off, now);
    typed.typed(b"\x04", Off, now);
    typed.typed(b"ls\r", On, now);
    assert_eq!(typed.released(now + LATER), b"ls\r");
}

#[test]
fn what_leaves_no_prompt_is_part_of_the_secret() {
    // Amid a line it only hands over what was typed so far.
    let (mut typed, now) = typed();
    typed.typed(b"hunt", Off, now);
    typed.typed(b"\x04", Off, now);
    typed.typed(b"er2\r", On, now);
    assert_eq!(typed.rest(On), b"");
    // Where that came as one with it, or something behind what leaves.
    for keys in [&b"hunt\x04"[..], b"\x03hunt", b"hunt\x03er2"] {
        let (mut typed, now) = self::typed();
        typed.typed(keys, Off, now);
        typed.typed(b"er2\r", On, now);
        assert_eq!(typed.rest(On), b"", "{keys:?}");
    }
    // A program that reads raw keys takes any of them, and says by its prompt that they are secret.
    for echo in [Raw, On] {
        let (mut typed, now) = self::typed();
        typed.shown(b"Passphrase: ", now);
        for key in b"a\x03b\x1ac\x04d\r" {
            typed.typed(&[*key], echo, now);
            typed.shown(b"*", now);
        }
        assert_eq!(typed.rest(echo), b"");
        typed.shown(b"\r\n$ ", now);
        typed.typed(b"id\r", On, now);
        assert_eq!(typed.rest(On), b"id\r", "{echo:?}");
    }
}

#[test]
fn typed_ahead_of_a_prompt_is_forgotten() {
    let (mut typed, now) = typed();
    typed.typed(b"su\rhunter2\r", On, now);
    typed.look(Off);
    assert_eq!(typed.released(now + LATER), b"");
    typed.typed(b"hunt", On, now);
    typed.shown(b"\r\n[sudo] password for anna: ", now);
    typed.look(On);
    typed.typed(b"er2", On, now);
    typed.shown(b"***", now);
    typed.typed(b"\r", On, now);
    typed.shown(b"\r\n$ ", now);
    assert_eq!(typed.rest(On), b"");
}

#[test]
fn a_line_that_was_shown_survives_the_prompt_it_led_to() {
    let (mut typed, now) = typed();
    typed.shown(b"$ ", now);
    for key in b"sudo ls" {
        typed.typed(&[*key], On, now);
        typed.shown(&[*key], now);
    }
    typed.typed(b"\r", On, now);
    typed.shown(b"\r\n[sudo] password for anna: ", now);
    typed.typed(b"hunter2\r", On, now);
    typed.shown(b"\r\n$ ", now);
    assert_eq!(typed.released(now), b"sudo ls\r");
    // Shown only after Enter, and typed ahead behind it what is not shown.
    typed.typed(b"su\r", On, now);
    typed.typed(b"hunter2\r", On, now);
    typed.shown(b"su\r\nWe trust you\r\nto be careful.\r\nPassword: ", now);
    typed.look(Off);
    assert_eq!(typed.rest(On), b"su\r");
}

#[test]
fn a_second_secret_behind_the_first_is_not_stored() {
    let (mut typed, now) = typed();
    typed.typed(b"one\rtwo", Off, now);
    typed.typed(b"\r", On, now);
    assert_eq!(typed.rest(On), b"");
}

#[test]
fn a_prompt_in_raw_mode_hides_to_the_end_of_the_line() {
    let (mut typed, now) = typed();
    typed.shown(b"\x1b[1mPassphrase:\x1b[0m ", now);
    for key in b"hunter2" {
        typed.typed(&[*key], On, now);
        typed.shown(b"*", now);
    }
    typed.typed(b"\r", On, now);
    typed.shown(b"\r\n$ ", now);
    typed.typed(b"id\r", On, now);
    assert_eq!(typed.rest(On), b"id\r");
}

#[test]
fn held_bytes_are_bounded() {
    let (mut typed, now) = typed();
    for _ in 0..40 {
        typed.typed(&[b'x'; 4096], On, now);
    }
    let released = typed.released(now);
    assert!(typed.held_bytes <= TYPED_HELD_BYTES);
    assert_eq!(released.len() + typed.held_bytes, 40 * 4096);
}

#[test]
fn at_the_end_nothing_hidden_is_stored() {
    let (mut typed, now) = typed();
    typed.typed(b"secret", On, now);
    assert_eq!(typed.rest(Off), b"");
}
