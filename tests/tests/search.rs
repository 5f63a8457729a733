//! Full text of a whole service: found while a session runs, after everything was killed, after the
//! index was lost or damaged, and played from there.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use hansard_tests::{Daemon, Repeater, Scratch, hansard};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(since.elapsed() < PATIENCE, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn daemon(scratch: &Scratch) -> Daemon {
    let sections = "capture:\n  local: {}\nstore: {}\nserve:\n  admin: {}\n";
    let mut daemon = Daemon::new(&scratch.join("service"), "host-a", sections);
    daemon.must("init", &["--cluster", "test"]);
    daemon.start();
    daemon
}

fn client(daemon: &Daemon, args: &[&str]) -> Output {
    Command::new(hansard())
        .args(args)
        .env("HANSARD_RUNTIME_DIR", daemon.runtime())
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Sessions that are found, each with its first answer.
fn found(daemon: &Daemon, question: &str) -> Vec<(String, Value)> {
    let output = client(daemon, &["search", "--json", question]);
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let first = |session: Value| {
        let sid = session["sid"].as_str().unwrap().to_owned();
        (sid, session["hits"][0].clone())
    };
    lines.map(first).collect()
}

/// The one session in which something is found, once it is.
fn wait_for(daemon: &Daemon, question: &str) -> (String, Value) {
    until(&format!("finding {question}"), || {
        let mut found = found(daemon, question);
        assert!(found.len() < 2, "{question}: {found:?}");
        found.pop()
    })
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => all.extend(files(&path)),
            false => all.push(path),
        }
    }
    all
}

#[test]
fn what_is_shown_is_found_while_the_session_runs_and_whatever_happens_to_the_index() {
    let scratch = Scratch::new("search");
    let mut daemon = daemon(&scratch);
    let mut session = Repeater::begin(&daemon);
    session.say("a line before\nthe needle is quokka one\n");
    let (sid, hit) = wait_for(&daemon, "\"needle is quokka\" in:shown");
    assert_eq!(hit["text"], "the needle is quokka one");
    // The moment is one at which it stands there.
    let at = format!("{}ms", hit["at_ns"].as_u64().unwrap() / 1_000_000 + 1);
    session.say("the second needle is wombat\n");
    assert_eq!(wait_for(&daemon, "wombat in:shown").0, sid);
    session.end();
    let screen = client(&daemon, &["screen", &sid, "--at", &at]);
    let screen = String::from_utf8_lossy(&screen.stdout).into_owned();
    assert!(
        screen.contains("the needle is quokka one"),
        "{at}: {screen}"
    );
    // Who searched for what is on record, and is not found by searching.
    until("the event of the search", || {
        let events = client(&daemon, &["events", "--json", "--event", "session.search"]);
        let events = String::from_utf8_lossy(&events.stdout).into_owned();
        events.contains("quokka").then_some(())
    });
    assert_eq!(found(&daemon, "query:\"wombat in:shown\"").len(), 0);
    // An event of the session, by its field.
    assert_eq!(wait_for(&daemon, "session.start kind:exec argv:cat").0, sid);

    daemon.kill();
    daemon.start();
    assert_eq!(wait_for(&daemon, "quokka in:shown").0, sid);
    daemon.stop();
    fs::remove_dir_all(daemon.data().join("index")).unwrap();
    daemon.start();
    // Until it is found, nobody is told that there is nothing.
    until("the index is made again", || {
        let said = client(&daemon, &["search", "quokka in:shown"]);
        assert_ne!(said.status.code(), Some(1), "{said:?}");
        said.status.success().then_some(())
    });
    assert_eq!(wait_for(&daemon, "quokka in:shown").0, sid);
    // What is whole is written when the daemon stops.
    until("everything is indexed", || {
        let status = client(&daemon, &["status", "--json"]);
        let status: Value = serde_json::from_slice(&status.stdout).unwrap();
        (status["index_complete"] == true).then_some(())
    });
    daemon.stop();
    let mut damaged = 0;
    for path in files(&daemon.data().join("index")) {
        if path
            .extension()
            .is_some_and(|end| end == "store" || end == "json")
        {
            let mut bytes = fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            if let Some(byte) = bytes.get_mut(middle) {
                *byte ^= 0xff;
            }
            fs::write(&path, bytes).unwrap();
            damaged += 1;
        }
    }
    assert!(damaged > 1, "{:?}", files(&daemon.data().join("index")));
    daemon.start();
    assert_eq!(wait_for(&daemon, "quokka in:shown").0, sid);
    daemon.stop();
    daemon.must("reindex", &[]);
    assert!(!daemon.data().join("index").exists());
    daemon.start();
    assert_eq!(wait_for(&daemon, "quokka in:shown").0, sid);
    assert_eq!(wait_for(&daemon, "wombat in:shown").0, sid);
    daemon.stop();
}
