//! What a catalog alone knew, after it was lost; and rules that delete, in a running daemon.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod process;

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use hansard_core::event::End;
use hansard_core::policy::Policy;
use hansard_core::seal::SigningKey;
use hansard_core::session::ClockQuality;
use hansard_core::writer::{Bounds, SegmentWriter};
use hansard_core::{Body, Fields, Session, SessionId, Sink as _};
use hansard_record::real_disk::RealDisk;
use hansard_record::{Spool, SpoolOptions};
use process::Machine;
use serde_json::{Value as Json, json};

const STORE: &str = "store: {pack_age: 1s}\nserve: {admin: {}}\n";

/// One request to the admin socket; status and document.
fn ask(machine: &Machine, verb: &str, path: &str, body: &str) -> (u16, Json) {
    let mut stream = UnixStream::connect(machine.dir().join("run/admin.sock")).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let length = body.len();
    write!(
        stream,
        "{verb} {path} HTTP/1.0\r\nhost: hansard\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let (_, document) = answer.split_once("\r\n\r\n").unwrap();
    (status, serde_json::from_str(document).unwrap_or_default())
}

fn get(machine: &Machine, path: &str) -> Json {
    let (status, document) = ask(machine, "GET", path, "");
    assert_eq!(status, 200, "{path}: {document}");
    document
}

fn hold(machine: &Machine, sid: &str) {
    let path = format!("/v1/sessions/{sid}/hold");
    let (status, said) = ask(machine, "POST", &path, r#"{"reason":"case 42"}"#);
    assert_eq!(status, 200, "{said}");
}

/// Identifiers of sessions that have ended, oldest first, when there are that many and all is listed.
fn ended(machine: &Machine, count: usize) -> Vec<String> {
    let mut found = Vec::new();
    machine.wait_until(|| {
        let listed = get(machine, "/v1/sessions?order=oldest");
        let sessions = listed["sessions"].as_array().unwrap();
        let ended = sessions.iter().filter(|row| row["ended"] == true);
        found = ended
            .map(|row| row["sid"].as_str().unwrap().to_owned())
            .collect();
        found.len() >= count && listed["behind"]["segments"] == 0
    });
    found
}

/// Everything that is listed of these sessions.
fn listed(machine: &Machine, sids: &[String]) -> Vec<Json> {
    let of = |sid: &String| {
        let row = get(machine, &format!("/v1/sessions/{sid}"));
        let events = get(
            machine,
            &format!("/v1/events?session={sid}&order=oldest&limit=1000"),
        );
        json!([row, events["events"]])
    };
    sids.iter().map(of).collect()
}

fn held(machine: &Machine) -> Vec<String> {
    let holds = get(machine, "/v1/holds");
    let holds = holds["holds"].as_array().unwrap();
    holds
        .iter()
        .map(|row| row["sid"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_catalog_that_is_lost_takes_no_hold_and_no_row_with_it() {
    let machine = Machine::new("recall", STORE);
    machine.must(&["init"]);
    machine.start().stop();
    let daemon = machine.start();
    let first = ended(&machine, 1).remove(0);
    hold(&machine, &first);
    daemon.stop();
    let daemon = machine.start();
    let both = ended(&machine, 2);
    // The recording that tells of this hold has no end when the catalog is lost, and may be in the
    // spool yet.
    hold(&machine, &both[1]);
    let before = listed(&machine, &both);
    assert!(
        before
            .iter()
            .all(|of| !of[1].as_array().unwrap().is_empty())
    );
    daemon.stop();

    let catalog = machine.data().join("catalog/catalog.sqlite");
    let size = fs::metadata(&catalog).unwrap().len();
    fs::write(&catalog, vec![0x5a; size as usize]).unwrap();
    let said = machine.must(&["reindex", "--event-log"]);
    assert!(said.contains(" sessions are held"), "{said}");
    assert!(said.contains("event log: "), "{said}");

    let daemon = machine.start();
    machine.wait_until(|| held(&machine) == both);
    assert_eq!(listed(&machine, &both), before);
    machine.wait_for("holds and deletions were recalled");
    assert!(!machine.data().join("catalog/recalling").exists());
    // What was done offline is told by the own recording, once.
    let log = machine.data().join("log/events.log");
    for event in ["catalog.rebuilt", "log.rebuilt"] {
        let named = format!("\"event\":\"{event}\"");
        machine.wait_until(|| fs::read_to_string(&log).unwrap().contains(&named));
        let lines = fs::read_to_string(&log).unwrap();
        assert_eq!(lines.matches(&named).count(), 1, "{lines}");
    }
    assert!(!machine.data().join("catalog/rebuilt.json").exists());
    hold(&machine, &first);
    daemon.stop();
}

/// Without a word on it an empty one would be made, which holds nothing: rules would delete what is held.
#[test]
fn a_catalog_that_is_gone_or_older_than_the_packs_takes_no_hold_with_it() {
    let machine = Machine::new("gone", STORE);
    machine.must(&["init"]);
    let catalog = machine.data().join("catalog/catalog.sqlite");
    machine.start().stop();
    let daemon = machine.start();
    let first = ended(&machine, 1).remove(0);
    hold(&machine, &first);
    daemon.stop();
    let older = fs::read(&catalog).unwrap();
    // Each of these days is a recording in a pack of its own.
    for _ in 0..2 {
        machine.start().stop();
    }
    let daemon = machine.start();
    let mut both = ended(&machine, 2);
    both.truncate(2);
    hold(&machine, &both[1]);
    daemon.stop();
    machine.start().stop();
    let recalled = |told: usize| {
        let daemon = machine.start();
        machine.wait_until(|| held(&machine) == both);
        let recalled = "holds and deletions were recalled";
        machine.wait_until(|| machine.said().matches(recalled).count() == told);
        assert!(!machine.data().join("catalog/recalling").exists());
        daemon.stop();
    };
    // As it was put by before the second hold.
    fs::write(&catalog, &older).unwrap();
    recalled(1);
    fs::remove_file(&catalog).unwrap();
    recalled(2);
    assert!(machine.said().contains("built anew"), "{}", machine.said());
    fs::write(&catalog, b"").unwrap();
    recalled(3);
    // One that is as it was left has nothing to recall.
    machine.start().stop();
    recalled(3);
}

#[test]
fn rules_delete_what_is_old_and_tell_before_and_spare_what_is_held() {
    let rules = STORE.replace("pack_age: 1s", "pack_age: 1s, retention: [{keep: 2s}]");
    let machine = Machine::new("rules", &rules);
    machine.must(&["init"]);
    machine.start().stop();
    let daemon = machine.start();
    let first = ended(&machine, 1).remove(0);
    hold(&machine, &first);
    daemon.stop();
    let daemon = machine.start();
    let both = ended(&machine, 2);
    daemon.stop();
    let old = format!("/v1/sessions/{}", both[1]);
    // A start dates what the last one archived, and a later one finds it old enough.
    let mut lives = 0;
    let gone = loop {
        let daemon = machine.start();
        machine.wait_until(|| get(&machine, "/v1/sessions")["behind"]["segments"] == 0);
        let (status, said) = ask(&machine, "GET", &old, "");
        lives += 1;
        if status == 410 {
            let told = get(&machine, "/v1/events?event=recording.deleted");
            assert!(told.to_string().contains(&both[1]), "{told}");
            assert_eq!(
                get(&machine, &format!("/v1/sessions/{first}"))["sid"],
                first
            );
            assert_eq!(held(&machine), std::slice::from_ref(&first));
            daemon.stop();
            break said;
        }
        assert!(lives < 60, "{}", machine.said());
        daemon.stop();
    };
    let words = gone["error"]["message"].as_str().unwrap();
    assert!(words.contains("was deleted by retention rule 1"), "{words}");
}

/// Leaves parts of a session in a stopped daemon's spool, without the first one.
fn leave_a_hole(machine: &Machine) -> SessionId {
    let key = SigningKey::from_seed([7; 32]);
    let session = Session {
        id: SessionId::from_bytes([9; 16]),
        parent: None,
        kind: "service".to_owned(),
        subject: Fields::new(),
        origin: Fields::new(),
        target: Fields::new(),
        start_utc_ns: 1_700_000_000_000_000_000,
        clock: ClockQuality::Synchronised,
        policy: Policy::default(),
        recorder_key: key.public(),
        recorder: "test".to_owned(),
    };
    let id = session.id;
    let bounds = Bounds {
        frame_events: 1,
        ..Bounds::default()
    };
    let mut writer = SegmentWriter::new(session, key, bounds).unwrap();
    for label in ["one", "two", "three"] {
        let label = label.to_owned();
        writer.push(1, &Body::Mark { label }).unwrap();
    }
    writer.finish(2, &End::default()).unwrap();
    let parts = writer.parts();
    assert!(parts.len() > 2);
    let dir = machine.data().join("spool");
    let mut spool = Spool::open(&dir, Arc::new(RealDisk), SpoolOptions::default()).unwrap();
    spool.put(&parts[1..]).unwrap();
    id
}

#[test]
fn where_holds_cannot_be_recalled_nothing_is_deleted_until_somebody_says_so() {
    let machine = Machine::new("stuck", STORE);
    machine.must(&["init"]);
    machine.start().stop();
    let daemon = machine.start();
    let first = ended(&machine, 1).remove(0);
    daemon.stop();
    let holed = leave_a_hole(&machine);
    machine.must(&["reindex"]);

    let daemon = machine.start();
    machine.wait_for("holds and deletions cannot be recalled: 1 session(s)");
    let log = machine.data().join("log/events.log");
    let told = || {
        let lines = fs::read_to_string(&log).unwrap();
        let line = lines.lines().find(|line| line.contains("\"H5128E\""));
        line.map(|line| serde_json::from_str::<Json>(line).unwrap())
    };
    machine.wait_until(|| told().is_some());
    let told = told().unwrap();
    assert_eq!(told["recording"], holed.to_string());
    let path = format!("/v1/sessions/{first}/hold");
    let (status, said) = ask(&machine, "POST", &path, r#"{"reason":"case 42"}"#);
    assert_eq!(status, 503, "{said}");
    assert!(said.to_string().contains("`recall`"), "{said}");
    daemon.stop();

    // Neither does a restart give it up; somebody does.
    let mark = machine.data().join("catalog/recalling");
    assert!(
        told["reason"]
            .as_str()
            .unwrap()
            .contains(mark.to_str().unwrap())
    );
    fs::remove_file(&mark).unwrap();
    let daemon = machine.start();
    hold(&machine, &first);
    daemon.stop();
}
