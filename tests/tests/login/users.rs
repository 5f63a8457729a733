//! Logins inside logins: `su` and `sudo -i`; and a password typed on the way, which is kept nowhere.

use std::fs;
use std::path::Path;

use crate::place::{ANNA, BEN, PASSWORD, Place};

#[test]
fn su_and_sudo_are_sessions_of_their_own_with_their_parent() {
    let Some(place) = Place::new("login-nested") else {
        return;
    };
    let mut screen = place.su(ANNA);
    screen.expect("hansard-anna> ");
    screen.type_in(format!("sudo -i -u {BEN}\r").as_bytes());
    screen.expect("hansard-ben> ");
    screen.type_in(b"id -un; exit 4\r");
    screen.expect("\rhansard-ben\r");
    screen.expect("hansard-anna> ");
    screen.type_in(b"echo left=$?.\r");
    screen.expect("\rleft=4.");
    screen.type_in(b"exit\r");
    assert_eq!(screen.wait(), 0);
    let rows = place.sessions(2);
    let of = |name: &str| {
        rows.iter()
            .find(|row| row.to_string().contains(name))
            .unwrap()
    };
    let events = place.events(of(BEN));
    let parent = rows[0]["sid"].as_str().unwrap();
    assert!(
        events.contains(parent),
        "{parent} is not the parent in {events}"
    );
    assert!(!place.events(&rows[0]).contains("parent_sid"));
}

/// Whatever is kept, of this nothing is: not as typed, not as shown, in no file of the daemon's.
#[test]
fn a_password_typed_at_a_hidden_prompt_is_nowhere_on_disk() {
    let Some(place) = Place::with("login-password", ", keystrokes: true", "{}") else {
        return;
    };
    let mut screen = place.su(ANNA);
    screen.expect("hansard-anna> ");
    screen.type_in(format!("su - {BEN}\r").as_bytes());
    screen.expect("Password: ");
    screen.type_in(format!("{PASSWORD}\r").as_bytes());
    screen.expect("hansard-ben> ");
    screen.type_in(b"read -rsp 'Secret: ' x; echo; echo ${#x} letters\r");
    screen.expect("Secret: ");
    screen.expect("Secret: ");
    screen.type_in(format!("{PASSWORD}\r").as_bytes());
    screen.expect(&format!("{} letters", PASSWORD.len()));
    screen.type_in(b"echo typed-and-shown\r");
    screen.expect("\rtyped-and-shown");
    screen.type_in(b"exit\r");
    screen.expect("hansard-anna> ");
    screen.type_in(b"exit\r");
    assert_eq!(screen.wait(), 0);
    let rows = place.sessions(2);
    for row in &rows {
        let events = place.events(row);
        assert!(!events.contains(PASSWORD), "{events}");
        assert!(!letters_of(&events).contains(PASSWORD), "{events}");
    }
    // What is looked for would be found: keys are kept.
    let inner = place.events(&rows[1]);
    assert!(letters_of(&inner).contains("typed-and-shown"), "{inner}");
    let files = files_with(&place.daemon.data(), PASSWORD.as_bytes());
    assert!(files.is_empty(), "{files:?}");
    let files = files_with(&place.daemon.runtime(), PASSWORD.as_bytes());
    assert!(files.is_empty(), "{files:?}");
    assert!(!place.daemon.said().contains(PASSWORD));
}

/// All keystrokes of a recording in one text: keys come one event each.
fn letters_of(events: &str) -> String {
    let mut all = String::new();
    for line in events.lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        if line.contains("keystrokes") {
            for name in ["text", "data"] {
                all.push_str(event[name].as_str().unwrap_or_default());
            }
        }
    }
    all
}

fn files_with(dir: &Path, wanted: &[u8]) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(files_with(&path, wanted));
        } else if kind.is_file() {
            let bytes = fs::read(&path).unwrap();
            if bytes.windows(wanted.len()).any(|window| window == wanted) {
                found.push(path);
            }
        }
    }
    found
}
