//! A login on a terminal: it is one for its user, and recorded.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use hansard_core::SessionId;
use hansard_core::event::Body;

use crate::outer::{Outer, Scratch};
use crate::support::{end_of, header, recordings, shown, wait_for};
use crate::world::{TTY, UID, World, everything};

/// The name of the terminal that a login came on.
pub(crate) fn name_of(outer: &Outer) -> PathBuf {
    let name = rustix::pty::ptsname(&outer.master, Vec::new()).unwrap();
    PathBuf::from(name.to_str().unwrap())
}

pub(crate) fn owner_of(outer: &Outer) -> (u32, u32, u32) {
    let found = fs::metadata(name_of(outer)).unwrap();
    (found.uid(), found.gid(), found.mode() & 0o777)
}

#[test]
fn a_login_is_recorded_and_a_login() {
    let Some(world) = World::new() else { return };
    let mut screen = world.login();
    screen.expect("$ ");
    assert_eq!(owner_of(&screen).0, 0, "nobody else opens it");
    assert_eq!(owner_of(&screen).2, 0o600);
    screen.type_in(b"echo one $(id -u) $0; test -r $(tty) && test -w $(tty) && echo mine\r");
    screen.expect(&format!("one {UID} -sh"));
    screen.expect("mine");
    screen.type_in(b"stty size\r");
    screen.expect("24 80");
    screen.resize(100, 30);
    screen.type_in(b"until stty size | grep 30; do :; done\r");
    screen.expect("30 100");
    // Said by whoever is to be interrupted: the shell itself would swallow it.
    screen.type_in(b"sh -c \"echo beg''un; exec sleep 100\"\r");
    screen.expect("begun\r\n");
    screen.type_in(b"\x03");
    screen.expect("$ ");
    screen.type_in(b"exit 3\r");
    assert_eq!(screen.wait(), 3);
    assert!(screen.is_restored());
    assert_eq!(owner_of(&screen), (UID, TTY, 0o620));

    let events = world.only();
    let header = header(&events);
    assert_eq!(header.kind, "terminal");
    assert_eq!(header.parent, None);
    assert_eq!(header.subject.get("uid"), Some(&u64::from(UID).into()));
    assert_eq!(header.target.text("command"), Some("/bin/sh"));
    assert_eq!(header.target.get("terminal_not_taken"), None);
    assert_eq!(end_of(&events).exit_status, Some(3));
    let sizes: Vec<_> = events
        .iter()
        .filter_map(|event| match event.body {
            Body::Resize { cols, rows } => Some((cols, rows)),
            _ => None,
        })
        .collect();
    assert_eq!(sizes, [(80, 24), (100, 30)]);
    let shown = String::from_utf8(shown(&events)).unwrap();
    assert!(shown.contains("30 100"), "{shown}");
    assert!(screen.text().ends_with(&shown), "what is seen is recorded");
    let asked = world.gate.asked.lock().unwrap();
    assert_eq!((asked[0].uid, asked[0].kind.as_str()), (UID, "terminal"));
}

/// A login whose descriptors were opened as `/dev/tty`, on a terminal of this user's.
fn by_dev_tty(world: &World, owner: u32) -> Outer {
    let own = "chown \"$0\" \"$(tty)\"; chmod 620 \"$(tty)\"; exec \"$@\" \
               </dev/tty >/dev/tty 2>/dev/tty";
    let mut words: Vec<OsString> = ["sh", "-c", own, &format!("{owner}:{TTY}")]
        .map(OsString::from)
        .to_vec();
    words.extend(world.words(&[], &["-sh"]));
    Outer::with(Scratch::new(), words, |command| {
        command.env("ENV", "/dev/null").current_dir("/");
    })
}

#[test]
fn a_terminal_without_its_name_is_found_if_it_is_the_users() {
    let Some(world) = World::new() else { return };
    let mut screen = by_dev_tty(&world, UID);
    screen.expect("$ ");
    assert_eq!(owner_of(&screen), (0, TTY, 0o600));
    screen.type_in(b"exit\r");
    assert_eq!(screen.wait(), 0);
    assert_eq!(owner_of(&screen), (UID, TTY, 0o620));
    assert_eq!(header(&world.only()).target.get("terminal_not_taken"), None);
}

#[test]
fn a_terminal_that_has_only_the_number_of_somebody_elses_takes_nothing_of_theirs() {
    // What the daemon sees of a terminal in a /dev/pts of the user's own.
    let Some(world) = World::new() else { return };
    let mut screen = by_dev_tty(&world, UID + 1);
    screen.expect("$ ");
    assert_eq!(owner_of(&screen), (UID + 1, TTY, 0o620));
    screen.type_in(b"exit\r");
    assert_eq!(screen.wait(), 0);
    assert_eq!(owner_of(&screen), (UID + 1, TTY, 0o620));
    let events = world.only();
    let why = header(&events).target.text("terminal_not_taken");
    assert_eq!(why, Some("the terminal with its number is somebody else's"));
}

#[test]
fn a_login_inside_a_login_has_it_as_its_parent() {
    let Some(world) = World::new() else { return };
    let mut screen = world.login();
    screen.expect("$ ");
    let outer = world.running();
    let again = format!(
        "{} {} sh -c 'echo inside; exit 5'; echo $?\r",
        world.program.display(),
        world.daemon.socket().display()
    );
    screen.type_in(again.as_bytes());
    screen.expect("inside");
    screen.expect("\n5\r\n$ ");
    screen.type_in(b"exit\r");
    assert_eq!(screen.wait(), 0);
    world.wait_for_end();
    let all = crate::support::recordings(&world.daemon.spool);
    assert_eq!(all.len(), 2);
    let inner = all.keys().find(|id| **id != outer).unwrap();
    let events = world.daemon.complete(*inner);
    assert_eq!(header(&events).parent, Some(outer));
    assert_eq!(
        header(&events).target.text("command"),
        Some("echo inside; exit 5")
    );
}

/// A login whose program has ended, whose terminal is gone, and which a job holds open by a pipe. What its terminal was.
fn without_its_terminal(world: &World) -> (Outer, PathBuf) {
    let script = "\"$@\" -c 'trap \"\" HUP; echo at $(tty) >&2; sleep 30 2>/dev/null & exit' | cat >/dev/null";
    let own = "chown \"$0\" \"$(tty)\"; chmod 620 \"$(tty)\"; exec sh -c \"$@\"";
    let mut words: Vec<OsString> = ["sh", "-c", own, &format!("{UID}:{TTY}"), script, "sh"]
        .map(OsString::from)
        .to_vec();
    words.extend(world.words(&[], &["sh"]));
    let mut screen = Outer::with(Scratch::new(), words, |_| {});
    screen.expect("at ");
    screen.expect("\r\n");
    let text = screen.text();
    let at = text.rsplit("at ").next().unwrap().trim();
    let terminal = PathBuf::from(at);
    wait_for("its terminal to go", || owner_of(&screen).0 == UID);
    (screen, terminal)
}

#[test]
fn a_terminal_that_has_the_name_of_one_that_went_is_in_nobodys_session() {
    let Some(world) = World::new() else { return };
    // Other tests may be given the name in between.
    for _ in 0..20 {
        let (_kept, terminal) = without_its_terminal(&world);
        let before = world.daemon.server.registry().list();
        let mut others = Vec::new();
        let screen = std::iter::repeat_with(|| world.login()).take(8);
        let found = screen.into_iter().find_map(|screen| {
            let is_it = name_of(&screen) == terminal;
            if is_it {
                return Some(screen);
            }
            others.push(screen);
            None
        });
        let Some(mut screen) = found else { continue };
        screen.expect("$ ");
        screen.type_in(b"exit\r");
        assert_eq!(screen.wait(), 0);
        let is_new = |id: &SessionId| !before.iter().any(|one| one.session == *id);
        for id in recordings(&world.daemon.spool).into_keys().filter(is_new) {
            let bytes = world.daemon.recording(id);
            assert_eq!(header(&crate::support::events(&bytes)).parent, None);
        }
        return;
    }
    panic!("the name is never given again");
}

#[test]
fn the_notice_comes_before_the_first_byte() {
    let decision = hansard_core::Decision {
        notice: "You are recorded.".to_owned(),
        ..everything()
    };
    let Some(world) = World::deciding(decision) else {
        return;
    };
    let mut screen = world.login();
    screen.expect("You are recorded.\r\n");
    screen.expect("$ ");
    screen.type_in(b"exit\r");
    assert_eq!(screen.wait(), 0);
    assert!(!String::from_utf8_lossy(&shown(&world.only())).contains("You are recorded"));
}

#[test]
fn a_notice_that_must_be_accepted_is() {
    let decision = hansard_core::Decision {
        notice: "You are recorded.".to_owned(),
        accept: true,
        ..everything()
    };
    let Some(world) = World::deciding(decision) else {
        return;
    };
    let mut screen = world.login();
    screen.expect("Press Enter");
    screen.type_in(b"\r");
    screen.expect("$ ");
    screen.type_in(b"exit\r");
    assert_eq!(screen.wait(), 0);
    let events = world.only();
    let accepted = |event: &hansard_core::Event| matches!(&event.body, Body::Mark { label } if label == "notice accepted");
    assert_eq!(events.iter().filter(|event| accepted(event)).count(), 1);
    // A command is not asked, and not kept from running.
    let done = world.command(&["sh", "-c", "echo ran"]).output().unwrap();
    assert_eq!(done.stdout, b"ran\n");
}

#[test]
fn a_notice_that_is_not_accepted_lets_nobody_in() {
    let decision = hansard_core::Decision {
        notice: "You are recorded.".to_owned(),
        accept: true,
        ..everything()
    };
    let Some(world) = World::deciding(decision) else {
        return;
    };
    // The end of input; and an interrupt, which ends the login's process.
    for (key, status) in [(b"\x04", 125), (b"\x03", 130)] {
        let mut screen = world.login();
        screen.expect("Press Enter");
        screen.type_in(key);
        assert_eq!(screen.wait(), status);
        assert!(!screen.text().contains("$ "), "{}", screen.text());
        if key == b"\x03" {
            // It goes without a word, and the daemon hears of that after we do.
            world.wait_for_end();
        }
        assert_eq!(owner_of(&screen), (UID, TTY, 0o620));
        world.wait_for_end();
    }
}

#[test]
fn who_is_not_to_be_recorded_is_not() {
    let decision = hansard_core::Decision {
        recorded: false,
        ..everything()
    };
    let Some(world) = World::deciding(decision) else {
        return;
    };
    let mut screen = world.login();
    screen.expect("$ ");
    assert_eq!(owner_of(&screen), (UID, TTY, 0o620));
    screen.type_in(b"exit 4\r");
    assert_eq!(screen.wait(), 4);
    assert!(crate::support::recordings(&world.daemon.spool).is_empty());
}

#[test]
fn what_is_typed_at_a_hidden_prompt_is_kept_nowhere() {
    let mut decision = everything();
    decision.policy.keystrokes = true;
    let Some(world) = World::deciding(decision) else {
        return;
    };
    let mut screen = world.login();
    screen.expect("$ ");
    screen.type_in(b"stty -echo; printf 'Pass%s: ' word; read x; stty echo; echo got ${#x}\r");
    screen.expect("Password: ");
    screen.type_in(b"correct-horse\r");
    screen.expect("got 13");
    screen.type_in(b"exit\r");
    assert_eq!(screen.wait(), 0);
    let id = world.only()[0].clone();
    assert!(matches!(id.body, Body::Start(_)));
    let keys = crate::support::stream(&world.only(), hansard_core::Stream::Keystrokes);
    let keys = String::from_utf8(keys).unwrap();
    assert!(keys.contains("stty -echo"), "{keys}");
    assert!(!keys.contains("correct"), "{keys}");
    assert!(!String::from_utf8_lossy(&shown(&world.only())).contains("correct"));
}
