//! Logins inside logins: `su` and `sudo -i`; and a password typed on the way, which is kept nowhere.

use std::fs;
use std::path::Path;

use hansard_tests::skipped;

use crate::place::{ANNA, BEN, PASSWORD, Place, must, sudoers};

#[test]
fn su_and_sudo_are_sessions_of_their_own_with_their_parent() {
    for (name, defaults) in [
        ("login-nested", "use_pty"),
        ("login-nested-same", "!use_pty"),
    ] {
        let Some(place) = Place::new(name) else {
            return;
        };
        sudoers(place.scratch.path(), defaults);
        nested(&place);
    }
}

fn nested(place: &Place) {
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

/// One whom only another service of the system knows: by name, with the shell that it says.
#[test]
fn an_account_that_is_not_in_the_file_has_its_name_and_its_shell() {
    let Some(place) = Place::new("login-nss") else {
        return;
    };
    let (name, uid) = ("hansard-dora", "64014");
    let user = format!(
        r#"{{"userName":"{name}","uid":{uid},"gid":{uid},"shell":"/bin/dash","homeDirectory":"/tmp"}}"#
    );
    let group = format!(r#"{{"groupName":"{name}","gid":{uid}}}"#);
    let script = "mkdir /run/userdb; cd /run/userdb; echo \"$1\" >$3.user; echo \"$2\" >$3.group\n\
        ln -s $3.user $4.user; ln -s $3.group $4.group; getent passwd $3";
    let words = ["sh", "-c", script, "sh", &user, &group, name, uid];
    let known = place.run(&words).output().unwrap();
    if !String::from_utf8_lossy(&known.stdout).contains(name) {
        skipped("no service of the system beside /etc/passwd (libnss-systemd)");
        return;
    }
    let shell = place.scratch.join("bin/hansard-shell");
    let number = format!("--reuid={uid}");
    let group = format!("--regid={uid}");
    let asked = "readlink /proc/$$/exe";
    let words = [
        "setpriv",
        &number,
        &group,
        "--clear-groups",
        shell.to_str().unwrap(),
        "-c",
        asked,
    ];
    let done = must(&mut place.run(&words));
    assert_eq!(done.stdout, b"/usr/bin/dash\n");
    let events = place.events(&place.sessions(1)[0]);
    for what in [r#""user":"hansard-dora""#, r#""login":"hansard-dora""#] {
        assert!(events.contains(what), "{what} is not in {events}");
    }
}
