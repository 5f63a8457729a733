//! A client of SFTP of our own, which says what no honest one does: it would have something else on record than
//! what happens.

use std::fs;
use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use hansard_core::event::{Event, Fact};

use crate::site::{Site, facts, finished};
use crate::support::{TempDir, end_of};

const INIT: u8 = 1;
const OPEN: u8 = 3;
const CLOSE: u8 = 4;
const READ: u8 = 5;
const WRITE: u8 = 6;
const REMOVE: u8 = 13;
const STAT: u8 = 17;
const STATUS: u8 = 101;
const HANDLE: u8 = 102;
const DATA: u8 = 103;

fn packet(kind: u8, fields: &[&[u8]]) -> Vec<u8> {
    let body = fields.concat();
    let len = u32::try_from(body.len() + 1).unwrap();
    [&len.to_be_bytes()[..], &[kind], &body].concat()
}

fn string(bytes: &[u8]) -> Vec<u8> {
    let len = u32::try_from(bytes.len()).unwrap();
    [&len.to_be_bytes()[..], bytes].concat()
}

fn id(n: u32) -> [u8; 4] {
    n.to_be_bytes()
}

/// A subsystem without a client of its own.
struct Raw {
    client: Child,
    to: ChildStdin,
    from: ChildStdout,
}

impl Raw {
    fn begin(site: &Site) -> Self {
        let mut ssh = site.ssh(&["-s"], &["sftp"]);
        let mut client = ssh.stdin(Stdio::piped()).spawn().unwrap();
        let mut raw = Self {
            to: client.stdin.take().unwrap(),
            from: client.stdout.take().unwrap(),
            client,
        };
        raw.say(&packet(INIT, &[&id(3)]));
        assert_eq!(raw.hear().map(|(kind, _)| kind), Some(2));
        raw
    }

    /// Says all of it at once. A session that is over does not hear it.
    fn say(&mut self, bytes: &[u8]) {
        let _ = self.to.write_all(bytes);
        let _ = self.to.flush();
    }

    /// The next answer, its number taken away; `None` at the end.
    fn hear(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut len = [0; 4];
        self.from.read_exact(&mut len).ok()?;
        let mut packet = vec![0; u32::from_be_bytes(len) as usize];
        self.from.read_exact(&mut packet).unwrap();
        Some((packet[0], packet[5..].to_vec()))
    }

    /// All answers that come until the session is over, and what is on record of it.
    fn over(mut self, site: &Site) -> (Vec<u8>, Vec<Event>) {
        let heard = std::iter::from_fn(|| self.hear()).map(|(kind, _)| kind);
        let heard = heard.collect();
        drop((self.to, self.from));
        finished(self.client);
        (heard, site.complete("sftp"))
    }
}

/// What is told of a path.
fn of(events: &[Event], path: &str) -> Vec<Fact> {
    let mut all = facts(events, "sftp");
    all.retain(|fact| fact.fields.text("path") == Some(path));
    all
}

/// Says this to a new session, which ends it for that reason.
fn stopped(bytes: &[u8], why: &str) -> (Vec<u8>, Vec<Event>) {
    let site = Site::new();
    let mut raw = Raw::begin(&site);
    raw.say(bytes);
    let (heard, events) = raw.over(&site);
    let end = end_of(&events);
    assert!(end.reason.contains(why), "{end:?}");
    (heard, events)
}

#[test]
fn a_file_is_not_read_under_the_answer_to_something_else() {
    let dir = TempDir::new();
    let secret = dir.path().join("secret").display().to_string();
    fs::write(&secret, "secret").unwrap();
    let open = packet(OPEN, &[&id(7), &string(secret.as_bytes()), &id(1), &id(0)]);
    let stat = packet(STAT, &[&id(7), &string(b"/none/such")]);
    let both = [stat, open].concat();
    let (heard, _) = stopped(&both, "two requests have one number");
    assert!(!heard.contains(&HANDLE), "{heard:?}");
}

#[test]
fn a_file_is_not_removed_under_the_answer_to_something_else() {
    let dir = TempDir::new();
    let victim = dir.path().join("victim");
    fs::write(&victim, "").unwrap();
    let path = string(victim.display().to_string().as_bytes());
    let both = [
        packet(STAT, &[&id(30), &string(b"/none/such")]),
        packet(REMOVE, &[&id(30), &path]),
    ];
    stopped(&both.concat(), "two requests have one number");
    assert!(victim.exists());
}

#[test]
fn nothing_passes_by_a_handle_that_was_guessed() {
    let dir = TempDir::new();
    let dropped = dir.path().join("dropped");
    let path = string(dropped.display().to_string().as_bytes());
    // The server's handles are numbers from 0 on.
    let guessed = string(&[0; 4]);
    let burst = [
        packet(OPEN, &[&id(1), &path, &id(0x1a), &id(0)]),
        packet(WRITE, &[&id(2), &guessed, &[0; 8], &string(b"unseen")]),
        packet(CLOSE, &[&id(3), &guessed]),
    ];
    stopped(&burst.concat(), "has not given out");
    assert!(fs::read(&dropped).unwrap_or_default().is_empty());

    // Of what the server does behind that, it is told that nobody knows.
    fs::write(&dropped, "secret").unwrap();
    let victim = dir.path().join("victim");
    fs::write(&victim, "").unwrap();
    let (removed, shown) = (victim.display().to_string(), dropped.display().to_string());
    let burst = [
        packet(OPEN, &[&id(1), &path, &id(1), &id(0)]),
        packet(READ, &[&id(2), &guessed, &[0; 8], &id(1000)]),
        packet(REMOVE, &[&id(3), &string(removed.as_bytes())]),
    ];
    let (heard, events) = stopped(&burst.concat(), "not known to be open");
    assert!(!heard.contains(&DATA), "{heard:?}");
    let opened = of(&events, &shown);
    assert_eq!(opened.len(), 1, "{events:?}");
    assert_eq!(opened[0].fields.get("tx"), Some(&0_u64.into()));
    let removed = of(&events, &removed);
    assert_eq!(removed.len(), 1, "{events:?}");
    assert_ne!(
        removed[0].fields.get("success"),
        Some(&victim.exists().into())
    );
}

#[test]
fn what_is_asked_for_at_once_is_answered_and_told() {
    let site = Site::new();
    let dir = TempDir::new();
    let file = dir.path().join("file").display().to_string();
    let path = string(file.as_bytes());
    let mut raw = Raw::begin(&site);
    let many: Vec<u8> = (10..300)
        .flat_map(|n| packet(STAT, &[&id(n), &string(b"/")]))
        .collect();
    raw.say(&[packet(OPEN, &[&id(1), &path, &id(0x1b), &id(0)]), many].concat());
    let (kind, handle) = raw.hear().unwrap();
    assert_eq!(kind, HANDLE);
    for _ in 10..300 {
        assert_eq!(raw.hear().unwrap().0, 105);
    }
    let burst = [
        packet(WRITE, &[&id(1), &handle, &[0; 8], &string(b"seen")]),
        packet(READ, &[&id(2), &handle, &[0; 8], &id(1000)]),
        packet(CLOSE, &[&id(3), &handle]),
        // Late, as of a client that reads ahead.
        packet(READ, &[&id(4), &handle, &[0; 8], &id(1000)]),
    ];
    raw.say(&burst.concat());
    for kind in [STATUS, DATA, STATUS, STATUS] {
        assert_eq!(raw.hear().unwrap().0, kind);
    }
    let Raw { client, to, from } = raw;
    drop((to, from));
    assert!(finished(client).status.success());
    let events = site.complete("sftp");
    let told = of(&events, &file);
    assert_eq!(told.len(), 1, "{events:?}");
    let fields = &told[0].fields;
    assert_eq!(fields.get("success"), Some(&true.into()));
    assert_eq!(fields.get("rx"), Some(&4_u64.into()));
    assert_eq!(fields.get("tx"), Some(&4_u64.into()));
}
