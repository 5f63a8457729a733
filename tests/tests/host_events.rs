//! The built programs: what the kernel tells of a session, from `hansard rec` to `hansard events`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use hansard_tests::{Daemon, Scratch, hansard, in_ci, skipped};
use serde_json::Value as Json;

const SECTIONS: &str = "capture: {local: {}, host: {enabled: true}}\nstore: {pack_age: 1s}\n\
    serve: {admin: {}}";

fn call(daemon: &Daemon, args: &[&str]) -> Output {
    Command::new(hansard())
        .args(args)
        .env("HANSARD_RUNTIME_DIR", daemon.runtime())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Every event of the only session, once it has its end.
fn events(daemon: &Daemon) -> Vec<Json> {
    let since = Instant::now();
    loop {
        let done = call(daemon, &["events", "--oldest", "--all", "--json"]);
        let said = String::from_utf8(done.stdout).unwrap();
        let all = said.lines().map(|line| serde_json::from_str(line).unwrap());
        let all: Vec<Json> = all.collect();
        if all.iter().any(|event| event["event"] == "session.end") {
            return all;
        }
        assert!(since.elapsed() < Duration::from_secs(60), "{all:#?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn what_a_session_really_did_is_listed() {
    if let Err(why) = hansard_capture::host::support() {
        assert!(!in_ci(), "{why}: {}", why.next);
        return skipped(&why.to_string());
    }
    let scratch = Scratch::new("host-events");
    let mut daemon = Daemon::new(&scratch.join("d"), "watched", SECTIONS);
    daemon.must("init", &[]);
    let doctor = daemon.call("doctor", &[]);
    let said = String::from_utf8(doctor.stdout).unwrap();
    let line = said.lines().find(|line| line.contains("host events"));
    assert!(
        line.is_some_and(|line| line.contains("tracepoints")),
        "{said}"
    );
    daemon.start();
    // Whichever source this machine has of logins: the daemon says which, or that there is none.
    let said = daemon.said();
    assert!(said.contains("sudo and su of this host are"), "{said}");
    let hidden = "echo Y2F0IC9ldGMvc2hhZG93ID4vZGV2L251bGwK | base64 -d | sh; exit 3";
    let done = call(&daemon, &["rec", "--", "sh", "-c", hidden]);
    assert_eq!(done.status.code(), Some(3), "{done:?}");
    let all = events(&daemon);
    let one = |name: &str, is_it: &dyn Fn(&Json) -> bool| {
        let found = all.iter().find(|e| e["event"] == name && is_it(e));
        found.unwrap_or_else(|| panic!("no {name}: {all:#?}"))
    };
    let cat = one("session.command", &|e| e["program"] == "cat");
    assert_eq!(cat["code"], "T4000I");
    assert_eq!(cat["argv"], serde_json::json!(["/etc/shadow"]));
    assert_eq!(cat["return_code"], 0);
    let opened = one("session.disk", &|e| e["path"] == "/etc/shadow");
    assert_eq!(
        (&opened["code"], &opened["pid"]),
        (&"T4001I".into(), &cat["pid"])
    );
    let ended = one("session.process_exit", &|e| e["exit_status"] == 3);
    assert_eq!(ended["code"], "T4003I");
    let end = one("session.end", &|_| true);
    assert_eq!(end["enhanced_recording"], true);
    assert_eq!(end["sid"], cat["sid"]);
    let sid = end["sid"].as_str().unwrap();
    let shown = call(&daemon, &["show", "--events", sid]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[0].contains("session.start"), "{shown}");
    assert!(
        lines.iter().any(|line| line.contains("/etc/shadow")),
        "{shown}"
    );
    daemon.stop();
}
