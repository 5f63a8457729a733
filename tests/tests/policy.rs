//! The central policy, from the service to what is recorded on a host: real daemons, real commands.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use hansard_tests::hansard;
use serde_json::Value as Json;

#[allow(dead_code, reason = "sessions are recorded one at a time here")]
#[path = "service/pair.rs"]
mod pair;

use pair::{Pair, hansard_at, listed};

/// How long something may take that nothing disturbs.
const SOON: Duration = Duration::from_secs(60);

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

fn set(pair: &Pair, text: &str) {
    let file = pair.service.data().join("../policy.yaml");
    fs::write(&file, text).unwrap();
    hansard_at(
        &pair.service.runtime(),
        &["policy", "set", file.to_str().unwrap()],
    );
}

/// The version in force on the host, as the service lists it.
fn in_force(pair: &Pair) -> Option<u64> {
    let said = hansard_at(&pair.service.runtime(), &["host", "ls", "--json"]);
    let mut rows = said.lines().map(|line| serde_json::from_str(line).unwrap());
    // The service is a host, too, and is in the list.
    let row: Json = rows.find(|row: &Json| row["this_service"] != true)?;
    row["policy_version"].as_u64()
}

fn rec(runtime: &Path, script: &str) -> Output {
    let mut command = Command::new(hansard());
    command.args(["rec", "--", "sh", "-c", script]);
    command
        .env("HANSARD_RUNTIME_DIR", runtime)
        .output()
        .unwrap()
}

/// The session whose title has this word in it, once the service has its end.
fn ended(pair: &Pair, word: &str) -> String {
    let mut found = None;
    until(word, pair, || {
        let rows = listed(&pair.service.runtime());
        let row = rows.into_iter().find(|row| {
            row["ended"] == true && row["title"].as_str().is_some_and(|t| t.contains(word))
        });
        found = row.and_then(|row| row["sid"].as_str().map(str::to_owned));
        found.is_some()
    });
    found.unwrap()
}

/// Its events.
fn events(pair: &Pair, sid: &str) -> Vec<Json> {
    let args = ["convert", "--to", "jsonl", sid, "-"];
    hansard_at(&pair.service.runtime(), &args)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Bytes of a text that are kept, and bytes in gaps.
fn kept_and_missing(events: &[Json]) -> (u64, u64) {
    let kept = events.iter().filter_map(|event| event["text"].as_str());
    let gaps = events.iter().filter(|event| event["family"] == "gap");
    (
        kept.map(|text| text.len() as u64).sum(),
        gaps.filter_map(|gap| gap["bytes"].as_u64()).sum(),
    )
}

fn header(events: &[Json]) -> &Json {
    let start = events.iter().find(|event| event["family"] == "start");
    start.map(|event| &event["session"]["policy"]).unwrap()
}

/// Where there is no policy, a host bounds what pours; whoever records into a file of their own has all.
fn what_is_shipped(pair: &Pair) {
    const BUDGET: u64 = 16 * 1024 * 1024;
    const PRODUCED: u64 = 24_000_008;
    let script = "echo shipped; yes 123456789 | head -c 24000000";
    let done = rec(&pair.host.runtime(), script);
    assert_eq!(done.stdout.len() as u64, PRODUCED, "{}", done.status);
    let shipped = events(pair, &ended(pair, "shipped"));
    assert_eq!(header(&shipped)["bulk_bytes_max"], BUDGET);
    let (kept, missing) = kept_and_missing(&shipped);
    assert!(kept >= BUDGET && missing > 1_000_000, "{kept} {missing}");
    assert_eq!(kept + missing, PRODUCED);

    let file = pair.service.data().join("../own.hansard");
    let file = file.to_str().unwrap();
    let done = Command::new(hansard())
        .args(["rec", "--out", file, "--", "sh", "-c", script])
        .output()
        .unwrap();
    assert_eq!(done.stdout.len() as u64, PRODUCED, "{}", done.status);
    let own = events(pair, file);
    assert!(header(&own)["bulk_bytes_max"].is_null());
    assert_eq!(kept_and_missing(&own), (PRODUCED, 0));
}

#[test]
fn a_policy_that_is_set_at_the_service_decides_on_the_host_and_goes_on_when_it_is_cut_off() {
    let mut pair = Pair::new("policy");
    until("the host says which policy it has", &pair, || {
        in_force(&pair) == Some(0)
    });
    what_is_shipped(&pair);
    set(
        &pair,
        "default: {notice: BE GOOD, bulk: 1000B}\nrules:\n- {name: desk, hosts: des*, stderr: false}\n",
    );
    until("the first policy arrives", &pair, || {
        in_force(&pair) == Some(1)
    });
    let done = rec(
        &pair.host.runtime(),
        "echo bulky; yes 123456789 | head -c 1000000",
    );
    assert!(done.status.success(), "{done:?}");
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(said.contains("BE GOOD"), "{said}");
    // Everything is shown; not everything is kept.
    assert_eq!(done.stdout.len(), 6 + 1_000_000);
    let bulky = events(&pair, &ended(&pair, "bulky"));
    let policy = header(&bulky);
    assert_eq!(
        (&policy["version"], &policy["rule"]),
        (&Json::from(1), &Json::from("desk"))
    );
    assert_eq!(policy["stderr"], false);
    let omitted = bulky
        .iter()
        .rfind(|event| event["event"] == "stream.omitted")
        .unwrap();
    let (kept, missing) = kept_and_missing(&bulky);
    assert!(missing > 500_000, "it poured: {missing}");
    assert_eq!(omitted["fields"]["omitted_bytes"], missing, "{omitted}");
    assert_eq!(kept + missing, 1_000_006, "produced = recorded + accounted");

    // Cut off, and started again: the last policy decides.
    pair.service.stop();
    pair.host.stop();
    pair.host.start();
    let done = rec(&pair.host.runtime(), "echo alone");
    assert!(String::from_utf8_lossy(&done.stderr).contains("BE GOOD"));
    pair.service.start();
    let alone = events(&pair, &ended(&pair, "alone"));
    assert_eq!(header(&alone)["version"], 1);

    // An idle session is ended, and says why.
    set(&pair, "default: {idle: 300ms}\n");
    until("the second policy arrives", &pair, || {
        in_force(&pair) == Some(2)
    });
    let began = Instant::now();
    rec(&pair.host.runtime(), "echo quiet; sleep 600");
    assert!(began.elapsed() < SOON, "it was ended");
    let quiet = events(&pair, &ended(&pair, "quiet"));
    let end = quiet.iter().find(|event| event["family"] == "end").unwrap();
    let reason = end["reason"].as_str().unwrap();
    assert!(reason.contains("nothing happened for 0.3 s"), "{reason}");

    // Everything about it is on record, at both ends.
    let seen = |event: &str| {
        let args = ["events", "--json", "--event", event];
        let said = hansard_at(&pair.service.runtime(), &args);
        said.lines().count()
    };
    until("events", &pair, || {
        seen("session_recording_config.update") == 2 && seen("policy.in_force") == 2
    });
    pair.host.stop();
    pair.service.stop();
}
