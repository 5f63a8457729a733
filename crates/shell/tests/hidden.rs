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
    let scratch = Scratch::new();
    let script = "stty -echo; echo ask; until [ -e \"$GO\" ]; do sleep 0.05; done; \
                  stty echo; echo back; read x; echo ${#x}";
    let mut args = vec![
        probe().into_os_string(),
        scratch.path("log").into_os_string(),
    ];
    args.extend(["--keystrokes", "--", "sh", "-c", script].map(Into::into));
    let go = scratch.path("go");
    let mut outer = Outer::with(scratch, args, |command| {
        command.env("GO", &go);
    });
    outer.expect("ask");
    let before = outer.waits();
    outer.type_in(b"hunter2-");
    // It has been woken by them, has them, and time to see how they were typed.
    outer.until("the keys are taken", |outer| {
        outer.waits() > before && outer.has_no_keys()
    });
    std::thread::sleep(Duration::from_millis(500));
    std::fs::write(&go, "").unwrap();
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
        "{} {} --keystrokes -- sh -c 'read a; until [ -e \"$GO\" ]; do sleep 0.05; done; \
         stty -echo </dev/tty; echo ask >/dev/tty; read x; stty echo </dev/tty; echo $a ${{#x}}' | cat",
        probe().display(),
        scratch.path("log").display()
    );
    let go = scratch.path("go");
    let mut outer = Outer::with(
        scratch,
        ["sh", "-c", &line].map(Into::into).to_vec(),
        |command| {
            command.env("GO", &go);
        },
    );
    std::thread::sleep(Duration::from_millis(300));
    outer.type_in(b"shown\r");
    // What is hidden while it is held back is not kept, so nothing is before it has been.
    outer.until("what is shown is kept", |outer| {
        keystrokes(outer).ends_with('\n')
    });
    std::fs::write(&go, "").unwrap();
    outer.expect("ask");
    std::thread::sleep(LATER);
    outer.type_in(format!("{SECRET}\r").as_bytes());
    outer.expect(&format!("shown {}", SECRET.len()));
    assert_eq!(outer.wait(), 0);
    assert_absent(&outer);
    assert_eq!(keystrokes(&outer), "shown\n");
}

/// A shell behind a terminal that only passes keys on: types at a silent prompt of its own what no list of prompts has, and
/// a command that is shown.
fn silent_behind(relay: &[&str], words: &[&str], key_after: Duration) {
    if !std::path::Path::new("/usr/bin").join(relay[0]).exists() {
        eprintln!("skipped: no {} (scripts/needs.sh test)", relay[0]);
        return;
    }
    let words = [relay, words, &["env 'PS1=ps1> ' bash --norc -i"]].concat();
    let words = match relay[0] {
        "script" => [&words[..], &["/dev/null"]].concat(),
        _ => words,
    };
    let mut outer = Outer::start(&["--keystrokes"], &words);
    outer.expect("ps1> ");
    outer.type_in(b"read -rsp 'Word: ' x; echo; echo ${#x} letters\r");
    outer.expect("x; echo; echo ${#x} letters");
    outer.expect("Word: ");
    for key in SECRET.bytes() {
        outer.type_in(&[key]);
        std::thread::sleep(key_after);
    }
    outer.type_in(b"\r");
    outer.expect(&format!("{} letters", SECRET.len()));
    outer.expect("ps1> ");
    // More than once: what shares the screen may draw amid one.
    for _ in 0..5 {
        outer.type_in(b"echo $((40+2)).\r");
        outer.expect("42.");
        outer.expect("ps1> ");
    }
    outer.type_in(b"exit\r");
    assert_eq!(outer.wait(), 0);
    assert_absent(&outer);
    let kept = keystrokes(&outer);
    assert!(kept.contains("echo $((40+2)).\r"), "{kept:?}");
}

/// Longer than typed bytes are held back, for the whole of it.
const TYPIST: Duration = Duration::from_millis(150);

#[test]
fn a_silent_prompt_under_script_is_seen() {
    silent_behind(&["script"], &["-qec"], TYPIST);
    silent_behind(&["script"], &["-qec"], Duration::ZERO);
}

#[test]
fn a_silent_prompt_in_tmux_with_a_clock_that_counts_seconds_is_not_kept() {
    let scratch = Scratch::new();
    let conf = scratch.path("tmux.conf");
    std::fs::write(
        &conf,
        "set -g status-interval 1\nset -g status-right '%H:%M:%S'\nset -g default-terminal xterm\n",
    )
    .unwrap();
    let (conf, socket) = (conf.to_str().unwrap(), scratch.path("socket"));
    let relay = ["tmux", "-f", conf, "-S", socket.to_str().unwrap()];
    silent_behind(&relay, &["new-session"], TYPIST);
    silent_behind(&relay, &["new-session"], Duration::ZERO);
}

#[test]
fn keys_of_an_editor_are_kept() {
    let edit = || {
        let scratch = Scratch::new();
        let file = scratch.path("text");
        std::fs::write(&file, "one\ntwo\nthree\nfour\nfive\nsix\nseven\n").unwrap();
        let file = file.to_str().unwrap();
        let mut outer = Outer::start(&["--keystrokes"], &["vim.tiny", "-u", "NONE", file]);
        outer.expect("seven");
        // It draws, and is quiet: no key is typed into that.
        while outer.read(Duration::from_secs(2)) {}
        for keys in ["j", "j", "j", "k", "dd", "j"] {
            outer.type_in(keys.as_bytes());
            assert!(outer.read(Duration::from_secs(10)), "{keys}");
            while outer.read(Duration::from_millis(150)) {}
        }
        for key in b":wq" {
            outer.type_in(&[*key]);
            outer.expect(&char::from(*key).to_string());
        }
        outer.type_in(b"\r");
        assert_eq!(outer.wait(), 0);
        keystrokes(&outer)
    };
    // On a machine that is busy an answer may come too late to count as one.
    let all: Vec<String> = (0..5).map(|_| edit()).collect();
    assert!(all.iter().any(|kept| kept == "jjjkddj:wq\r"), "{all:?}");
}
