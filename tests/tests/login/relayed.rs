//! Silent prompts on a terminal behind the one that is recorded: under `sudo` with `use_pty`, as Debian 12 ships it.

use std::path::Path;
use std::time::Duration;

use hansard_tests::hansard;
use serde_json::Value as Json;

use crate::outer::Outer;
use crate::place::{ANNA, BEN, Place, must};

/// Nothing that any list of prompts has a word for asks for it.
const SECRET: &str = "hunter2-Kanarienvogel";

/// What is typed at a silent prompt, faster and slower than anything is held back, and what is shown.
fn type_secrets(screen: &mut Outer, shown: &str) {
    for key_after in [Duration::ZERO, Duration::from_millis(120)] {
        screen.type_in(b"read -rsp 'Word: ' x; echo; echo ${#x} letters\r");
        screen.expect("echo ${#x} letters");
        screen.expect("Word: ");
        for key in SECRET.bytes() {
            screen.type_in(&[key]);
            std::thread::sleep(key_after);
        }
        screen.type_in(b"\r");
        screen.expect(&format!("{} letters", SECRET.len()));
    }
    screen.type_in(format!("echo {shown}\r").as_bytes());
    screen.expect(&format!("\r{shown}\r"));
}

/// All that was typed and kept of a recording, which has nothing of the secret.
fn typed(events: &str) -> String {
    let lines = events.lines().filter(|line| line.contains("keystrokes"));
    let texts = lines.flat_map(|line| {
        let event: Json = serde_json::from_str(line).unwrap();
        ["text", "data"].map(|name| event[name].as_str().unwrap_or_default().to_owned())
    });
    let typed: String = texts.collect();
    for part in ["hunter", "Kanari", "vogel"] {
        assert!(!events.contains(part) && !typed.contains(part), "{typed:?}");
    }
    typed
}

#[test]
fn a_recording_of_roots_does_not_keep_what_is_hidden_under_sudo() {
    let Some(place) = Place::new("relayed-rec") else {
        return;
    };
    let [file, shown] = ["out.hansard", "out.jsonl"].map(|name| place.scratch.join(name));
    let [file, shown] = [&file, &shown].map(|path| path.to_str().unwrap());
    let hansard = hansard();
    let words = [
        hansard.to_str().unwrap(),
        "rec",
        "--quiet",
        "--keystrokes",
        "--out",
        file,
    ];
    let words = [&words[..], &["--", "bash", "--norc", "-i"]].concat();
    let mut screen = place.on_terminal(&place.run(&words));
    screen.expect("ps1> ");
    // The environment that sudo gives has no prompt of ours.
    screen.type_in(b"sudo PS1='inner> ' bash --norc -i\r");
    // As it is typed, and as it prompts.
    screen.expect("inner> ");
    screen.expect("inner> ");
    type_secrets(&mut screen, "typed-and-shown");
    screen.type_in(b"exit\r");
    screen.expect("ps1> ");
    screen.type_in(b"exit\r");
    assert_eq!(screen.wait(), 0);
    must(&mut place.hansard_command(&["convert", "--to", "jsonl", file, shown]));
    let events = std::fs::read_to_string(Path::new(shown)).unwrap();
    let typed = typed(&events);
    assert!(typed.contains("echo typed-and-shown\r"), "{typed:?}");
}

#[test]
fn a_login_does_not_keep_what_is_hidden_under_sudo_or_typed_in_another_login_there() {
    let Some(place) = Place::with("relayed-login", ", keystrokes: true", "{}") else {
        return;
    };
    let mut screen = place.su(ANNA);
    screen.expect("hansard-anna> ");
    screen.type_in(format!("sudo -u {BEN} PS1='inner> ' bash --norc -i\r").as_bytes());
    // As it is typed, and as it prompts.
    screen.expect("inner> ");
    screen.expect("inner> ");
    type_secrets(&mut screen, "not-a-login");
    screen.type_in(b"exit\r");
    screen.expect("hansard-anna> ");
    screen.type_in(format!("sudo -i -u {BEN}\r").as_bytes());
    screen.expect("hansard-ben> ");
    type_secrets(&mut screen, "in-a-login");
    screen.type_in(b"exit\r");
    screen.expect("hansard-anna> ");
    screen.type_in(b"echo outside again\r");
    screen.expect("\routside again\r");
    screen.type_in(b"exit\r");
    assert_eq!(screen.wait(), 0);
    let rows = place.sessions(2);
    let [outer, inner] = [0, 1].map(|at| typed(&place.events(&rows[at])));
    assert!(outer.contains("echo not-a-login\r"), "{outer:?}");
    assert!(outer.contains("echo outside again\r"), "{outer:?}");
    assert!(inner.contains("echo in-a-login\r"), "{inner:?}");
    assert!(!outer.contains("in-a-login"), "{outer:?}");
}
