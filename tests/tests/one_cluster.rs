//! What a service and a host say of themselves: names in events, hosts as what they are, the facts of
//! a host that keeps nothing, and a certificate under the names that are configured.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    dead_code
)]

#[path = "service/pair.rs"]
mod pair;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use hansard_identity::certificate::Certificate;
use hansard_tests::hansard;
use pair::{Pair, hansard_at, listed};
use serde_json::Value as Json;

/// How long anything may take on a machine that does other things besides.
const WITHIN: Duration = Duration::from_secs(90);

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < WITHIN, "{what}: not within {WITHIN:?}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn json_of(runtime: &Path, args: &[&str]) -> Vec<Json> {
    let said = hansard_at(runtime, args);
    said.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn status(runtime: &Path) -> Json {
    json_of(runtime, &["status", "--json"]).remove(0)
}

/// Every document of a service's event log.
fn log(data: &Path) -> Vec<Json> {
    let text = fs::read_to_string(data.join("log/events.log")).unwrap_or_default();
    let whole = text.lines().filter(|line| line.ends_with('}'));
    whole
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn a_host_says_how_it_is_and_a_service_who_is_who() {
    let pair = Pair::new("one-cluster");
    let (service, host) = (pair.service.runtime(), pair.host.runtime());
    until("the host is connected", || {
        status(&host)["connected"] == true
    });
    let facts = status(&host);
    assert_eq!(facts["cluster_name"], "test");
    assert_eq!(facts["server_hostname"], "desk");
    let address = facts["service"][0].as_str().unwrap().to_owned();
    assert!(facts["spool_bytes"].is_u64() && facts["lag_ms"].is_u64());
    assert_eq!(facts["policy"]["on_loss"], "hold");
    assert_eq!(
        facts["policy"]["kept"],
        serde_json::json!(["stdin", "stdout", "stderr"])
    );

    for args in [
        &["ls"][..],
        &["host", "ls"],
        &["token", "create"],
        &["events"],
    ] {
        let refused = Command::new(hansard())
            .args(args)
            .env("HANSARD_RUNTIME_DIR", &host)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(2), "{args:?}: {said}");
        assert!(
            said.contains(&address) && said.contains("keeps no recordings"),
            "{said}"
        );
    }

    let rows = json_of(&service, &["host", "ls", "--json"]);
    let row = |name: &str| rows.iter().find(|row| row["node_name"] == name).unwrap();
    assert_eq!(row("keeper")["role"], "service");
    assert_eq!(row("keeper")["this_service"], true);
    assert_eq!(row("keeper")["connected"], true);
    assert_eq!(row("desk")["role"], "host");
    assert_eq!(row("desk")["this_service"], false);
    let shown = hansard_at(&service, &["host", "ls"]);
    let keeper = shown.lines().find(|line| line.contains("keeper")).unwrap();
    assert!(keeper.contains("this service"), "{shown}");

    let doctor = pair.host.must("doctor", &[]);
    for none in ["archive", "catalog", "log"] {
        let begins = format!("{none}:");
        assert!(
            !doctor
                .lines()
                .any(|line| line[4..].trim().starts_with(&begins)),
            "{doctor}"
        );
    }
    assert!(doctor.contains("takes connections"), "{doctor}");
    assert!(doctor.contains("admin.sock answers"), "{doctor}");
}

#[test]
fn no_event_of_ours_lacks_a_name() {
    let mut pair = Pair::new("named-events");
    let (service, host) = (pair.service.runtime(), pair.host.runtime());
    hansard_at(&host, &["rec", "--", "echo", "hello"]);
    until("the session is listed with its end", || {
        listed(&service)
            .iter()
            .any(|row| row["kind"] == "exec" && row["ended"] == true)
    });
    let sid = listed(&service)
        .iter()
        .find(|row| row["kind"] == "exec")
        .unwrap()["sid"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(hansard_at(&service, &["cat", &sid]).contains("hello"));
    hansard_at(&service, &["hold", "add", &sid, "--reason", "case 1"]);
    pair.settle(1);

    let documents = log(&pair.service.data());
    let named = |name: &str| documents.iter().find(|document| document["event"] == name);
    for document in &documents {
        let mangled: Vec<&String> = document
            .as_object()
            .unwrap()
            .keys()
            .filter(|name| name.starts_with("x."))
            .collect();
        assert!(mangled.is_empty(), "{mangled:?} in {document}");
    }
    let others: BTreeSet<_> = documents
        .iter()
        .filter_map(|document| document["event"].as_str())
        .filter(|name| name.ends_with(".other"))
        .collect();
    assert!(others.is_empty(), "{others:?}");
    let start = named("session.start").unwrap();
    let letters = start["recorder_certificate"].as_str().unwrap();
    assert!(letters.starts_with("MII"), "DER in base64: {letters}");
    assert!(start["pid"].is_u64(), "{start}");
    assert!(named("session.recording.access").unwrap()["pid"].is_u64());
    assert!(named("recording.held").unwrap()["pid"].is_u64());
}

#[test]
fn a_service_is_certified_under_the_names_it_is_configured_with() {
    let mut pair = Pair::new("renamed");
    let address = status(&pair.host.runtime())["service"][0]
        .as_str()
        .unwrap()
        .to_owned();
    let pem = pair.service.data().join("keys/host/tls.pem");
    let certificate = || Certificate::from_pem(&fs::read(&pem).unwrap()).unwrap();
    let is_named = |der: &[u8], name: &str| der.windows(name.len()).any(|w| w == name.as_bytes());
    assert!(!is_named(&certificate().1, "records.example"));
    pair.service.stop();
    let sections = |names: &str| {
        format!(
            "store:\n  pack_age: 1s\nserve:\n  ingest:\n    listen: {address}\n    names: {names}\n  admin: {{}}"
        )
    };
    pair.service
        .configure("keeper", &sections("[records.example, 127.0.0.1]"));
    pair.service.start();
    let (first, der) = certificate();
    assert!(is_named(&der, "records.example"));
    let host = pair.host.runtime();
    until("the host comes back to the new certificate", || {
        status(&host)["connected"] == true
    });
    // Another start with the same names leaves it as it is.
    pair.service.stop();
    pair.service.start();
    assert_eq!(certificate().0.serial, first.serial);
    let issued = log(&pair.service.data())
        .into_iter()
        .filter(|document| document["event"] == "cert.create")
        .count();
    assert!(issued >= 1, "that it was renewed is an event");
}
