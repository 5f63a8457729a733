//! Bad input and faults of a whole service: a token that is too old, a service of another cluster, a
//! catalog and a recording that the disk has damaged. Each has one outcome, and nobody else notices.
//!
//! (A clock that jumps ten years cannot be given to one process without giving it to the machine;
//! what becomes of it is tested where the clock is handed in: `record/tests/diary.rs`,
//! `record/tests/loss_policy.rs`, `identity/tests/renewing.rs`, `hansardd/src/{steady,retention}.rs`.)
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use hansard_tests::{Daemon, Scratch, free_port, hansard};

#[allow(dead_code, reason = "sessions are recorded one at a time here")]
#[path = "service/pair.rs"]
mod pair;

use pair::{Pair, hansard_at, host_sections, listed, service_sections, token};

/// How long something may take that nothing disturbs.
const SOON: Duration = Duration::from_secs(30);

fn until(what: &str, pair: &Pair, mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        let waited = since.elapsed();
        let (service, host) = (pair.service.said(), pair.host.said());
        assert!(
            waited < SOON,
            "not so after {waited:?}: {what}\n{service}\n----\n{host}"
        );
        thread::sleep(Duration::from_millis(50));
    }
}

fn client(runtime: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(hansard());
    let command = command.args(args).env("HANSARD_RUNTIME_DIR", runtime);
    command.output().unwrap()
}

/// Records a command on the host.
fn record(pair: &Pair, script: &str) {
    let done = client(&pair.host.runtime(), &["rec", "--", "sh", "-c", script]);
    assert!(done.status.success(), "{done:?}");
}

/// The session whose command has this word in it, if the service has its end.
fn ended(pair: &Pair, word: &str) -> Option<String> {
    let rows = listed(&pair.service.runtime());
    let mut rows = rows.iter().filter(|row| row["ended"] == true);
    let row = rows.find(|row| row["title"].as_str().unwrap_or_default().contains(word))?;
    Some(row["sid"].as_str().unwrap().to_owned())
}

/// Records a command and waits until the service has the end of it.
fn recorded(pair: &Pair, script: &str, word: &str) -> String {
    record(pair, script);
    let mut id = None;
    until("it is at the service", pair, || {
        id = ended(pair, word);
        id.is_some()
    });
    id.unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Founds a cluster; answers the service, which does not run yet, its address and its authority.
fn founded(dir: &Path) -> (Daemon, String, String) {
    let address = format!("127.0.0.1:{}", free_port());
    let service = Daemon::new(dir, "keeper", &service_sections(&address));
    let said = service.must("init", &["--cluster", "test"]);
    let pin = said
        .lines()
        .find_map(|line| line.strip_prefix("authority "));
    (service, address, pin.unwrap().to_owned())
}

#[test]
fn who_may_not_join_does_not_and_the_service_has_the_reason() {
    let scratch = Scratch::new("may-not-join");
    let (mut service, address, pin) = founded(&scratch.join("service"));
    service.start();
    let made = ["token", "create", "--ttl", "1s", "--json"];
    let made = hansard_at(&service.runtime(), &made);
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    let old = made["token"].as_str().unwrap().to_owned();
    let good = token(&service.runtime());
    // Its time is over by the clock, which no condition hurries.
    thread::sleep(Duration::from_millis(1100));
    let host = Daemon::new(&scratch.join("host"), "desk", &host_sections(&address));
    let join = |token: &str, pin: &str| {
        host.call(
            "init",
            &["--join", &address, "--token", token, "--ca-pin", pin],
        )
    };
    let refused = join(&old, &pin);
    let said = text(&refused.stderr);
    assert!(!refused.status.success(), "{said}");
    assert!(!said.contains(&old), "a token is never repeated: {said}");
    // Somebody who stands between us and the service: its authority is not the one we were told of.
    let other = pin.replace(|c: char| c.is_ascii_digit(), "a");
    assert_ne!(other, pin);
    let refused = join(&good, &other);
    let said = text(&refused.stderr);
    assert!(!refused.status.success(), "{said}");
    let since = Instant::now();
    loop {
        let events = ["events", "--event", "instance.join", "--json"];
        let events = hansard_at(&service.runtime(), &events);
        if events.contains("\"success\":false") && events.contains("expired") {
            break;
        }
        assert!(since.elapsed() < SOON, "{events}");
        thread::sleep(Duration::from_millis(50));
    }
    // Neither has used up the good one, and what they left behind is no obstacle.
    let joined = join(&good, &pin);
    assert!(joined.status.success(), "{}", text(&joined.stderr));
    service.stop();
}

/// The address leads to the service of another cluster, which has the same name: neither believes the
/// other, and what was recorded meanwhile waits for the right one.
#[test]
fn a_service_of_another_cluster_gets_nothing() {
    let mut pair = Pair::new("another-cluster");
    let scratch = Scratch::new("another-cluster-service");
    let right = fs::read_to_string(pair.host.config()).unwrap();
    let (mut other, address, _) = founded(&scratch.join("service"));
    other.start();
    pair.host.stop();
    pair.host.configure("desk", &host_sections(&address));
    pair.host.start();
    record(&pair, "echo for-one-cluster-only");
    until("the host says why it cannot send", &pair, || {
        let said = pair.host.said();
        let mut lines = said.lines();
        lines
            .any(|line| line.contains("the service is not reached") && line.contains("certificate"))
    });
    let rows = listed(&other.runtime());
    assert!(rows.iter().all(|row| row["kind"] == "service"), "{rows:?}");
    let spool = files(&pair.host.data().join("spool"));
    assert!(spool.values().sum::<u64>() > 0, "the host keeps it");
    pair.host.stop();
    fs::write(pair.host.config(), right).unwrap();
    pair.host.start();
    until("the right one has it", &pair, || {
        ended(&pair, "for-one-cluster-only").is_some()
    });
}

/// Files and their sizes under a directory.
fn files(dir: &Path) -> BTreeMap<PathBuf, u64> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path, entry.metadata().unwrap().len());
        }
    }
    found
}

/// What a listing says that does not change by itself.
fn listing(pair: &Pair) -> Vec<String> {
    let rows = listed(&pair.service.runtime());
    let mut rows: Vec<_> = rows
        .iter()
        .filter(|row| row["kind"] == "exec")
        .map(serde_json::Value::to_string)
        .collect();
    rows.sort();
    rows
}

/// Writes nonsense over the middle of a file.
fn overwrite(path: &Path, bytes: usize) {
    let file = File::options().write(true).open(path).unwrap();
    let size = file.metadata().unwrap().len();
    assert!(size > bytes as u64, "{}: {size} bytes", path.display());
    file.write_all_at(&vec![0xa5; bytes], (size - bytes as u64) / 2)
        .unwrap();
    file.sync_all().unwrap();
}

/// Stops the service when everything is archived and listed from the catalog, and damages that.
fn damage_catalog(pair: &mut Pair) {
    pair.service.stop();
    let catalog = pair.service.data().join("catalog/catalog.sqlite");
    let pages = fs::metadata(&catalog).unwrap().len() as usize / 2;
    overwrite(&catalog, pages);
}

#[test]
fn a_catalog_that_is_damaged_is_built_anew() {
    let mut pair = Pair::new("damaged-catalog");
    for n in 0..5 {
        recorded(&pair, &format!("echo number-{n}"), &format!("number-{n}"));
    }
    // By the start, which says so.
    pair.service.stop();
    pair.service.start();
    let before = listing(&pair);
    assert_eq!(before.len(), 5);
    damage_catalog(&mut pair);
    pair.service.start();
    let said = pair.service.said();
    assert!(said.contains("the catalog was damaged"), "{said}");
    assert_eq!(listing(&pair), before);
    until("it is an event", &pair, || {
        let events = ["events", "--event", "catalog.damaged", "--json"];
        hansard_at(&pair.service.runtime(), &events).contains("catalog.damaged")
    });
    // By one command.
    damage_catalog(&mut pair);
    let said = pair.service.must("reindex", &[]);
    assert!(said.contains("the old catalog is"), "{said}");
    pair.service.start();
    assert_eq!(listing(&pair), before);
    for row in &before {
        let row: serde_json::Value = serde_json::from_str(row).unwrap();
        let id = row["sid"].as_str().unwrap();
        hansard_at(&pair.service.runtime(), &["verify", id]);
    }
    // And it goes on where it was.
    recorded(&pair, "echo and-on", "and-on");
}

#[test]
fn a_recording_that_is_damaged_is_named_and_the_others_stay() {
    let mut pair = Pair::new("damaged-recording");
    let archive = pair.service.data().join("archive");
    let sound = recorded(&pair, "echo sound-one", "sound-one");
    // So that both are not in one pack: what is archived is no longer in the host's spool.
    pair.service.stop();
    pair.service.start();
    let before = files(&archive);
    let noise = "head -c 300000 /dev/urandom | base64; echo noisy-one";
    let noisy = recorded(&pair, noise, "noisy-one");
    pair.service.stop();
    let new = files(&archive);
    let new = new.iter().filter(|(path, _)| !before.contains_key(*path));
    let (pack, size) = new.max_by_key(|(_, size)| **size).unwrap();
    assert!(*size > 200_000, "{size} bytes of noise");
    overwrite(pack, 64);
    pair.service.start();
    let runtime = pair.service.runtime();
    let report = client(&runtime, &["verify", &noisy]);
    let said = text(&report.stdout);
    assert_eq!(report.status.code(), Some(3), "{report:?}");
    assert!(said.contains("damaged") && said.contains(&noisy), "{said}");
    // What is sound of it is shown, and that it is not all. The other one is whole.
    let rest = client(&runtime, &["cat", &noisy]);
    assert!(rest.stdout.len() > 64 * 1024, "{} bytes", rest.stdout.len());
    let screen = client(&runtime, &["screen", &noisy]);
    let search = client(&runtime, &["search", "=no-such=", &noisy]);
    for rest in [rest, screen, search] {
        assert_eq!(rest.status.code(), Some(3), "{rest:?}");
        assert!(text(&rest.stderr).contains("damaged at byte"), "{rest:?}");
    }
    hansard_at(&runtime, &["verify", &sound]);
    assert_eq!(hansard_at(&runtime, &["cat", &sound]), "sound-one\n");
    assert_eq!(listing(&pair).len(), 2);
    // All of it is gone: still a verdict on a recording, and not "no recording".
    fs::remove_file(pack).unwrap();
    let report = client(&runtime, &["verify", &noisy]);
    assert_eq!(report.status.code(), Some(3), "{report:?}");
    let rest = client(&runtime, &["cat", &noisy]);
    assert_eq!(rest.status.code(), Some(3), "{rest:?}");
    assert!(
        text(&rest.stderr).contains("nothing of it is left"),
        "{rest:?}"
    );
    let later = recorded(&pair, "echo later-one", "later-one");
    hansard_at(&runtime, &["verify", &later]);
}

/// A session that goes on until it is told, a line at a time, to show much or to end.
struct Talking(Child);

impl Talking {
    fn begin(pair: &Pair, word: &str) -> Self {
        // Noise is stored as it is: several segments each time.
        let script = format!(
            "echo {word}; while read go; do head -c 1500000 /dev/urandom | base64; done; echo over-{word}"
        );
        let mut command = Command::new(hansard());
        command.args(["rec", "--", "sh", "-c", &script]);
        command.env("HANSARD_RUNTIME_DIR", pair.host.runtime());
        let command = command.stdin(Stdio::piped()).stdout(Stdio::null());
        Self(command.spawn().unwrap())
    }

    fn show_much(&self) {
        self.0.stdin.as_ref().unwrap().write_all(b"\n").unwrap();
    }

    fn end(mut self) {
        self.0.stdin = None;
        let done = self.0.wait().unwrap();
        assert!(done.success(), "{done}");
    }
}

/// What the service has of the session whose command has this word in it: its name, and how many sealed
/// segments.
fn sealed(pair: &Pair, word: &str) -> Option<(String, u64)> {
    let rows = listed(&pair.service.runtime());
    let mut rows = rows.iter();
    let row = rows.find(|row| row["title"].as_str().unwrap_or_default().contains(word))?;
    let id = row["sid"].as_str().unwrap().to_owned();
    let report = client(&pair.service.runtime(), &["verify", &id, "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&report.stdout).ok()?;
    Some((id, report["segments"].as_u64()?))
}

/// Waits until there are more segments than so many, and the host has forgotten most of them.
fn wait_for_archive(pair: &Pair, word: &str, more_than: u64) -> (String, u64) {
    let mut found = None;
    until("segments are sealed", pair, || {
        found = sealed(pair, word).filter(|(_, segments)| *segments > more_than);
        found.is_some()
    });
    // Of each session a segment that is not sealed may wait, of a quarter of a million bytes.
    until("the host has forgotten them", pair, || {
        waiting(pair) < 700_000
    });
    found.unwrap()
}

/// Bytes that the host has and the service has not in its archive.
fn waiting(pair: &Pair) -> u64 {
    let status = hansard_at(&pair.host.runtime(), &["status", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    status["bytes_waiting"].as_u64().unwrap()
}

#[test]
fn an_older_copy_of_the_services_disk_costs_what_it_lacks_and_says_so() {
    let mut pair = Pair::new("older-copy");
    let known = Talking::begin(&pair, "known-before");
    known.show_much();
    // Each time it is six segments, of which the last is not sealed yet.
    let (id, _) = wait_for_archive(&pair, "known-before", 4);
    pair.service.stop();
    let (data, copy) = (
        pair.service.data(),
        pair.service.data().with_extension("copy"),
    );
    let copied = |from: &Path, to: &Path| {
        let done = Command::new("cp").arg("-a").args([from, to]).status();
        assert!(done.unwrap().success());
    };
    copied(&data, &copy);
    pair.service.start();
    known.show_much();
    let unknown = Talking::begin(&pair, "begun-since");
    unknown.show_much();
    wait_for_archive(&pair, "known-before", 9);
    let (other, _) = wait_for_archive(&pair, "begun-since", 4);
    pair.service.stop();
    fs::remove_dir_all(&data).unwrap();
    copied(&copy, &data);
    pair.service.start();
    // Of both somebody is told, and what goes on is not held up.
    known.show_much();
    unknown.show_much();
    let runtime = pair.service.runtime();
    let mut alarms = String::new();
    until("somebody is told of both", &pair, || {
        alarms = hansard_at(&runtime, &["events", "--event", "alarm", "--json"]);
        let lost = alarms.lines().filter(|line| line.contains("\"lost\""));
        let lost = lost.collect::<String>();
        lost.contains(&id) && lost.contains(&other)
    });
    known.end();
    unknown.end();
    until("the end of the one that was known is here", &pair, || {
        ended(&pair, "known-before").is_some()
    });
    let rest = client(&runtime, &["cat", &id]);
    assert!(rest.stdout.ends_with(b"over-known-before\n"), "{rest:?}");
    let report = client(&runtime, &["verify", &id]);
    assert_eq!(report.status.code(), Some(3), "{report:?}");
    let said = text(&report.stdout);
    assert!(said.contains("must stand"), "{said}");
    // What is there behind the gap is all that was archived.
    assert!(!said.contains("ends before"), "{said}");
    // The other's host keeps what is not taken.
    let aside = pair.host.data().join("quarantine").join(&other);
    until("its parts are put aside", &pair, || aside.is_dir());
    until("nothing of them waits any more", &pair, || {
        waiting(&pair) < 100_000
    });
    // Others notice nothing.
    recorded(&pair, "echo and-on", "and-on");
}
