//! Sessions written as messages of tlog while they are recorded: into a file, and into a real journal
//! as Cockpit looks for them; with everything killed in between.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use hansard_tests::{Daemon, Journald, Repeater, Scratch, hansard, skipped};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(30);

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(since.elapsed() < PATIENCE, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A daemon that records, keeps, and writes tlog.
fn daemon(scratch: &Scratch, tlog: &str) -> Daemon {
    let sections = format!(
        "capture:\n  local: {{}}\nstore: {{}}\nserve:\n  admin: {{}}\nexport:\n  tlog: {tlog}\n"
    );
    let mut daemon = Daemon::new(&scratch.join("service"), "host-a", &sections);
    daemon.must("init", &["--cluster", "test"]);
    daemon.start();
    daemon
}

/// Messages by number, each once; one that stands there again must be the same.
fn by_id(messages: impl IntoIterator<Item = String>) -> BTreeMap<u64, Value> {
    let mut found: BTreeMap<u64, Value> = BTreeMap::new();
    for message in messages {
        let message: Value = serde_json::from_str(&message).unwrap();
        let id = message["id"].as_u64().unwrap();
        if let Some(there) = found.insert(id, message.clone()) {
            assert_eq!(there, message, "message {id} is there twice and differs");
        }
    }
    found
}

/// What was shown, of messages without a hole.
fn shown(messages: &BTreeMap<u64, Value>) -> String {
    let ids: Vec<u64> = messages.keys().copied().collect();
    let all: Vec<u64> = (1..=messages.len() as u64).collect();
    assert_eq!(ids, all);
    let text = messages.values().map(|m| m["out_txt"].as_str().unwrap());
    text.collect()
}

fn in_file(path: &Path) -> BTreeMap<u64, Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    by_id(
        text.split_inclusive('\n')
            .filter(|l| l.ends_with('\n'))
            .map(str::to_owned),
    )
}

fn cat(args: &[&str]) -> Output {
    Command::new(hansard())
        .arg("cat")
        .args(args)
        .output()
        .unwrap()
}

fn file_of(scratch: &Scratch) -> (PathBuf, String) {
    let path = scratch.join("tlog.json");
    let text = format!(
        "{{writer: file, latency: 1s, payload: 64B, file: {{path: {}}}}}",
        path.display()
    );
    (path, text)
}

/// The helper of a daemon, once there is one.
fn helper(daemon: &Daemon) -> u32 {
    let parent = daemon.pid().unwrap();
    until("a helper", || {
        let said = Command::new("pgrep")
            .args(["-P", &parent.to_string(), "-x", "tlog-rec-sessio"])
            .output()
            .unwrap();
        String::from_utf8_lossy(&said.stdout).trim().parse().ok()
    })
}

#[test]
fn nothing_is_lost_whoever_is_killed() {
    let scratch = Scratch::new("tlog-out");
    let (path, tlog) = file_of(&scratch);
    let mut daemon = daemon(&scratch, &tlog);
    let mut session = Repeater::begin(&daemon);
    let mut said = String::new();
    let mut say = |session: &mut Repeater, text: &str| {
        session.say(text);
        said.push_str(text);
    };
    say(&mut session, "before anything happens\n");
    // It waits for its message to be full, and not longer than the latency.
    until("a message", || (!in_file(&path).is_empty()).then_some(()));

    let killed = helper(&daemon);
    Command::new("kill")
        .args(["-KILL", &killed.to_string()])
        .status()
        .unwrap();
    say(
        &mut session,
        &"after the helper was killed \u{e9}\u{1f389}\n".repeat(20),
    );
    until("more messages", || (in_file(&path).len() > 5).then_some(()));
    assert_ne!(helper(&daemon), killed);

    // The daemon dies; the session with it, for its terminal was the daemon's to record.
    daemon.kill();
    drop(session);
    // A crash may leave half a line.
    let mut file = fs::File::options().append(true).open(&path).unwrap();
    file.write_all(b"{\"ver\":\"2.3\",\"ho").unwrap();
    daemon.start();
    let first = until("the rest of it", || {
        let there = shown(&in_file(&path));
        (there == said).then_some(there)
    });
    assert!(first.contains("after the helper was killed"));
    let whole = fs::read_to_string(&path).unwrap();
    assert!(
        whole
            .lines()
            .all(|line| serde_json::from_str::<Value>(line).is_ok())
    );

    let played = cat(&[path.to_str().unwrap()]);
    assert_eq!(String::from_utf8_lossy(&played.stdout), said);
    // A start after the end writes nothing again.
    let book = daemon.data().join("export/tlog");
    until("the end in the book", || {
        fs::read_to_string(&book)
            .unwrap()
            .contains("done")
            .then_some(())
    });
    daemon.stop();
    daemon.start();
    let mut session = Repeater::begin(&daemon);
    session.say("another\n");
    session.end();
    until("another recording", || {
        fs::read_to_string(&path)
            .unwrap()
            .contains("another")
            .then_some(())
    });
    let now = fs::read_to_string(&path).unwrap();
    assert!(
        now.starts_with(&whole) && now.lines().count() == whole.lines().count() + 1,
        "{now}"
    );
    daemon.stop();
}

/// The fields of tlog in entries of the journal.
fn in_journal(journal: &Journald) -> Vec<Value> {
    let entries = journal.entries(&["_COMM=tlog-rec-sessio"]);
    let entries = entries.iter().map(|e| serde_json::from_str(e).unwrap());
    entries.collect()
}

#[test]
fn the_journal_has_what_cockpit_looks_for() {
    let Some(mut journal) = Journald::start() else {
        return;
    };
    let scratch = Scratch::new("tlog-journal");
    let socket = journal.socket();
    let tlog = format!(
        "{{latency: 1s, payload: 256B, journal: {{socket: {}, priority: notice}}}}",
        socket.display()
    );
    let mut daemon = daemon(&scratch, &tlog);
    let mut session = Repeater::begin(&daemon);
    session.say("first words\n");
    let first = until("an entry", || in_journal(&journal).into_iter().next());
    assert_eq!(first["TLOG_ID"], "1");
    assert_eq!(first["TLOG_USER"], "root");
    assert_eq!(first["TLOG_SESSION"], "4294967295");
    assert_eq!(first["PRIORITY"], "5");
    let message: Value = serde_json::from_str(first["MESSAGE"].as_str().unwrap()).unwrap();
    assert_eq!(message["rec"], first["TLOG_REC"]);
    assert_eq!(message["host"], "host-a");

    // While nobody listens, everything waits.
    journal.stop();
    session.say(&"while the journal was away\n".repeat(50));
    until("a word about it", || {
        daemon
            .said()
            .contains("cannot be written and wait")
            .then_some(())
    });
    journal.restart();
    session.say("last words\n");
    session.end();
    until("all of it", || {
        let entries = in_journal(&journal);
        let text = |e: &Value| e["MESSAGE"].as_str().unwrap().to_owned();
        let messages = by_id(entries.iter().map(text));
        let all = messages.values().map(|m| m["out_txt"].as_str().unwrap());
        all.collect::<String>()
            .ends_with("last words\n")
            .then_some(())
    });
    let namespace = format!("-N{}", journal.name());
    let rec = first["TLOG_REC"].as_str().unwrap();
    let played = cat(&["--reader=journal", &namespace, rec]);
    let expected = format!(
        "first words\n{}last words\n",
        "while the journal was away\n".repeat(50)
    );
    assert_eq!(String::from_utf8_lossy(&played.stdout), expected);
    assert!(daemon.said().contains("written again"));
    daemon.stop();
    tlog_play(&journal, rec, &expected);
}

/// Debian's own player takes them, too.
fn tlog_play(journal: &Journald, rec: &str, expected: &str) {
    if !Path::new("/usr/bin/tlog-play").exists() {
        return skipped("tlog-play is missing: scripts/needs.sh test");
    }
    // It plays the machine's journal only: what is in ours is given to it as a file.
    let scratch = Scratch::new("tlog-play");
    let path = scratch.join("messages");
    let entries = journal.entries(&[&format!("TLOG_REC={rec}")]);
    let mut seen = 0;
    let mut text = String::new();
    for entry in entries {
        let entry: Value = serde_json::from_str(&entry).unwrap();
        let message = entry["MESSAGE"].as_str().unwrap();
        let id = entry["TLOG_ID"].as_str().unwrap().parse::<u64>().unwrap();
        // Repeats are allowed, and tlog-play does not allow them.
        if id > seen {
            seen = id;
            text.push_str(message);
            text.push('\n');
        }
    }
    fs::write(&path, text).unwrap();
    let play = format!("tlog-play --speed=16 --goto=end -i {}", path.display());
    let played = Command::new("script")
        .args(["-qec", &play, "/dev/null"])
        .env("TERM", "xterm")
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::piped())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&played.stdout).replace("\r\n", "\n");
    assert!(said.contains(expected), "{}", said.escape_debug());
}

#[test]
fn syslog_gets_every_message() {
    let scratch = Scratch::new("tlog-syslog");
    let path = scratch.join("log");
    let syslog = UnixDatagram::bind(&path).unwrap();
    syslog.set_read_timeout(Some(PATIENCE)).unwrap();
    let tlog = format!(
        "{{writer: syslog, latency: 1s, payload: 256B, syslog: {{socket: {}, facility: local3, priority: notice}}}}",
        path.display()
    );
    let mut daemon = daemon(&scratch, &tlog);
    let mut session = Repeater::begin(&daemon);
    let said = "to syslog\n".repeat(100);
    session.say(&said);
    session.end();
    let mut messages = Vec::new();
    let mut datagram = [0; 8192];
    while shown(&by_id(messages.clone())).len() < said.len() {
        let len = syslog.recv(&mut datagram).unwrap();
        let text = std::str::from_utf8(&datagram[..len]).unwrap();
        // local3 is 19, notice 5.
        messages.push(text.strip_prefix("<157>tlog: ").unwrap().to_owned());
    }
    assert_eq!(shown(&by_id(messages)), said);
    daemon.stop();
}

#[test]
fn limits_leave_out_or_delay() {
    let scratch = Scratch::new("tlog-limits");
    let (path, tlog) = file_of(&scratch);
    let limited = |action: &str| {
        let limit = format!("limit: {{rate: 1KiB, burst: 1KiB, action: {action}}}}}");
        format!("{}, {limit}", tlog.strip_suffix('}').unwrap())
    };
    let mut daemon = daemon(&scratch, &limited("drop"));
    let mut session = Repeater::begin(&daemon);
    session.say(&"word\n".repeat(400));
    session.end();
    let ended = || {
        let book = fs::read_to_string(daemon.data().join("export/tlog"));
        book.unwrap_or_default().contains("done").then_some(())
    };
    until("the end of it", ended);
    let there = in_file(&path);
    assert!(!there.is_empty());
    let last = *there.keys().last().unwrap();
    let shown_count = there
        .values()
        .map(|m| m["out_txt"].as_str().unwrap().matches('w').count());
    let shown_count: usize = shown_count.sum();
    assert!(
        shown_count < 400,
        "{shown_count} of 400 words, {last} messages"
    );
    daemon.stop();

    // Later, but all of it.
    fs::remove_file(&path).unwrap();
    let sections = format!(
        "capture:\n  local: {{}}\nstore: {{}}\nexport:\n  tlog: {}\n",
        limited("delay")
    );
    daemon.configure("host-a", &sections);
    daemon.start();
    let mut session = Repeater::begin(&daemon);
    let said = "word\n".repeat(60);
    session.say(&said);
    session.end();
    until("all of it", || {
        (shown(&in_file(&path)) == said).then_some(())
    });
    daemon.stop();
}
