//! What is typed while a terminal hides it is nowhere in a recording that keeps keystrokes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    missing_docs
)]

mod outer;

use std::time::Duration;

use outer::{Outer, Scratch, probe};

const SECRET: &str = "hunter2-Kanarienvogel";
/// Longer than typed bytes are held back.
const LATER: Duration = Duration::from_millis(1300);

/// The whole recording as text; a secret in any stream, or split over events, would be in it.
fn keystrokes(outer: &Outer) -> String {
    String::from_utf8(outer.scratch.stream("keystrokes")).unwrap()
}

fn assert_absent(outer: &Outer) {
    for stream in ["output", "keystrokes", "stdin", "stdout", "stderr"] {
        let bytes = outer.scratch.stream(stream);
        let text = String::from_utf8_lossy(&bytes);
        for part in [SECRET, "hunter", "Kanari", "vogel"] {
            assert!(!text.contains(part), "{part:?} is in {stream}: {text:?}");
        }
    }
}

#[test]
fn shown_keystrokes_are_kept_when_asked_for() {
    let mut outer = Outer::start(&["--keystrokes"], &["bash", "--norc", "-i"]);
    outer.expect("ps1> ");
    outer.type_in(b"echo $((40+2))\r");
    outer.expect("42");
    outer.type_in(b"exit\r");
    assert_eq!(outer.wait(), 0);
    assert_eq!(keystrokes(&outer), "echo $((40+2))\rexit\r");
}

#[test]
fn no_keystrokes_are_kept_by_default() {
    let mut outer = Outer::start(&[], &["cat"]);
    outer.until("raw", Outer::is_raw);
    outer.type_in(b"typed\r\x04");
    assert_eq!(outer.wait(), 0);
    assert_eq!(outer.scratch.stream("keystrokes"), b"");
}

#[test]
fn without_echo_nothing_is_kept() {
    let script = "echo go; read a; stty -echo; echo ask; read x; stty echo; \
                  echo length ${#x}; read b; echo $b";
    let mut outer = Outer::start(&["--keystrokes"], &["sh", "-c", script]);
    outer.expect("go");
    outer.type_in(b"before\r");
    outer.expect("ask");
    std::thread::sleep(LATER);
    outer.type_in(SECRET.as_bytes());
    std::thread::sleep(LATER);
    outer.type_in(b"\r");
    outer.expect(&format!("length {}", SECRET.len()));
    outer.type_in(b"after\r");
    assert_eq!(outer.wait(), 0);
    assert_absent(&outer);
    assert_eq!(keystrokes(&outer), "before\rafter\r");
    // Nor that there was something: as many keystroke events as lines that were shown.
    let events = outer
        .scratch
        .log()
        .lines()
        .filter(|l| l.starts_with("keystrokes"))
        .count();
    assert!(events <= 2, "{}", outer.scratch.log());
}

#[test]
fn echo_switched_back_in_the_middle_does_not_help() {
    let script = "stty -echo; echo ask; sleep 1; stty echo; echo back; read x; echo ${#x}";
    let mut outer = Outer::start(&["--keystrokes"], &["sh", "-c", script]);
    outer.expect("ask");
    outer.type_in(b"hunter2-");
    outer.expect("back");
    std::thread::sleep(LATER);
    outer.type_in(b"x\r");
    outer.expect("9");
    assert_eq!(outer.wait(), 0);
    assert_eq!(keystrokes(&outer), "");
}

#[test]
fn typed_ahead_of_the_prompt_is_not_kept() {
    // Bytes that a raw-mode shell has not yet read when the next program hides what is typed.
    let script = "stty raw -echo; echo go; sleep 0.3; stty -raw -echo; sleep 0.5; \
                  read x; stty echo; echo length ${#x}";
    let mut outer = Outer::start(&["--keystrokes"], &["sh", "-c", script]);
    outer.expect("go");
    outer.type_in(format!("{SECRET}\n").as_bytes());
    outer.expect("length 21");
    assert_eq!(outer.wait(), 0);
    assert_absent(&outer);
    assert_eq!(keystrokes(&outer), "");
}

/// A raw-mode program that shows a star for each key, as sudo with `pwfeedback` does.
const STARS: &str = "stty raw -echo; printf \"$PROMPT\"; x=; while :; do \
    k=$(dd bs=1 count=1 2>/dev/null; echo .); k=${k%.}; \
    [ \"$k\" = \"$(printf '\\r')\" ] && break; x=$x$k; printf '*'; done; \
    stty -raw echo; echo; echo length ${#x}; read b; echo $b";

#[test]
fn a_raw_mode_prompt_with_stars_is_recognised() {
    for prompt in [
        "[sudo] password for anna: ",
        "\\033[1;33mPassword:\\033[0m ",
        "Enter passphrase for key '/home/anna/.ssh/id': ",
        "Passwort: ",
    ] {
        let scratch = Scratch::new();
        let mut args = vec![
            probe().into_os_string(),
            scratch.path("log").into_os_string(),
        ];
        args.extend(["--keystrokes", "--", "bash", "-c", STARS].map(Into::into));
        let mut outer = Outer::with(scratch, args, |command| {
            command.env("PROMPT", prompt);
        });
        outer.expect(&prompt[prompt.len() - 2..]);
        for key in SECRET.bytes() {
            outer.type_in(&[key]);
            outer.expect("*");
        }
        std::thread::sleep(LATER);
        outer.type_in(b"\r");
        outer.expect("length");
        outer.expect("\r\n");
        outer.type_in(b"visible\r");
        assert_eq!(outer.wait(), 0, "{prompt}");
        assert_absent(&outer);
        assert_eq!(keystrokes(&outer), "visible\r", "{prompt}");
    }
}

#[test]
fn a_terminal_before_a_pipe_hides_as_well() {
    let scratch = Scratch::new();
    let line = format!(
        "{} {} --keystrokes -- sh -c 'read a; sleep 2; stty -echo </dev/tty; echo ask >/dev/tty; read x; \
         stty echo </dev/tty; echo $a ${{#x}}' | cat",
        probe().display(),
        scratch.path("log").display()
    );
    let mut outer = Outer::with(
        scratch,
        ["sh", "-c", &line].map(Into::into).to_vec(),
        |_| {},
    );
    std::thread::sleep(Duration::from_millis(300));
    outer.type_in(b"shown\r");
    outer.expect("ask");
    std::thread::sleep(LATER);
    outer.type_in(format!("{SECRET}\r").as_bytes());
    outer.expect(&format!("shown {}", SECRET.len()));
    assert_eq!(outer.wait(), 0);
    assert_absent(&outer);
    assert_eq!(keystrokes(&outer), "shown\n");
}
