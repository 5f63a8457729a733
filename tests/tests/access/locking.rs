//! `hansard lock`: within two seconds nothing of it goes on, and nothing begins.

use std::process::Stdio;
use std::time::Duration;

use hansard_tests::Repeater;
use serde_json::Value as Json;

use crate::place::{PASSWORD, Place, finished, said, wait_for};

/// How soon a lock holds for what goes on.
const BOUND: Duration = Duration::from_secs(2);

/// When an event happened, by the daemon's clock.
fn at(event: &Json) -> Duration {
    let text = event["time"].as_str().unwrap();
    // Of the same day, as all of a test that does not run at midnight: there the bound is not looked at.
    let clock = text.split('T').nth(1).unwrap().trim_end_matches('Z');
    let mut parts = clock.split(':');
    let mut next = || parts.next().unwrap().parse::<f64>().unwrap();
    Duration::from_secs_f64(next() * 3600.0 + next() * 60.0 + next())
}

#[test]
fn a_lock_ends_what_goes_on_within_two_seconds_refuses_what_is_new_and_outlives_a_restart() {
    let mut place = Place::new("access-lock");
    place.user("anna", &["operators"], &["--no-totp"]);
    place.user("bob", &["operators"], &["--no-totp"]);
    let (anna, bob) = (place.person("anna"), place.person("bob"));
    anna.signed_in();
    bob.signed_in();
    let stays = |command: &mut std::process::Command| command.stdin(Stdio::null()).spawn().unwrap();
    let mut live = Vec::new();
    for mut command in [
        anna.node(&["127.0.0.1", "sleep 600"]),
        anna.proxy(&["sleep 600"]),
    ] {
        live.push(stays(&mut command));
    }
    let mut other = stays(&mut bob.node(&["127.0.0.1", "sleep 600"]));
    let going = |user: &str| {
        let listed = place.client(
            &["ls", "--json", "--all", "--user", user, "--kind", "exec"],
            "",
        );
        let rows = listed
            .lines()
            .map(|line| serde_json::from_str::<Json>(line).unwrap());
        rows.filter(|row| row["ended"] != true).count()
    };
    wait_for("both sessions of anna", || going("anna") == 2);
    wait_for("the session of bob", || going("bob") == 1);

    let name = place.client(
        &["lock", "add", "user:anna", "--message", "ask the desk"],
        "",
    );
    let name = name.trim().to_owned();
    for child in live {
        let out = finished(child);
        assert!(
            said(&out).contains("user:anna is locked: ask the desk"),
            "{out:?}"
        );
    }
    wait_for("their ends", || going("anna") == 0);
    let locked = place.event("lock.created", |event| event["name"] == name.as_str());
    assert_eq!(
        (&locked["target"], &locked["reason"]),
        (&"user:anna".into(), &"ask the desk".into())
    );
    let ends = || -> Vec<Json> {
        let all = place.events("client.disconnect").into_iter();
        let of_anna = all.filter(|event| event["user"] == "anna");
        of_anna.collect()
    };
    wait_for("events of both ends", || ends().len() >= 2);
    for end in ends() {
        assert_eq!(end["reason"], "user:anna is locked: ask the desk");
        if let Some(took) = at(&end).checked_sub(at(&locked)) {
            assert!(took < BOUND, "{took:?} after {locked}: {end}");
            eprintln!("ended {took:?} after the lock");
        }
    }
    assert_eq!(going("bob"), 1, "nobody else is locked");

    // What is new is refused: at the node, at the proxy, at the web server, and certificates.
    for mut command in [
        anna.node(&["127.0.0.1", "echo in"]),
        anna.proxy(&["echo in"]),
    ] {
        let out = finished(command.spawn().unwrap());
        assert!(out.stdout.is_empty(), "{out:?}");
        assert!(
            said(&out).contains("user:anna is locked: ask the desk"),
            "{out:?}"
        );
    }
    place.event("auth", |event| {
        event["success"] == false && event["error"] == "user:anna is locked: ask the desk"
    });
    let out = anna.login(&format!("{PASSWORD}\n"), &[]);
    assert!(
        said(&out).contains("user:anna is locked: ask the desk"),
        "{out:?}"
    );
    place.event("user.login", |event| {
        event["user"] == "anna" && event["success"] == false
    });
    let key = anna.file("key.pub");
    let mut sign = std::process::Command::new(hansard_tests::hansard());
    let sign = sign.env("HANSARD_RUNTIME_DIR", place.daemon.runtime());
    let sign = sign
        .args(["cert", "sign", "--user", "anna", "--login", "root"])
        .arg(&key);
    let out = sign.output().unwrap();
    assert!(said(&out).contains("user:anna is locked"), "{out:?}");
    other.kill().unwrap();
    other.wait().unwrap();

    drop((anna, bob));
    place.again();
    let anna = place.person("anna");
    let out = finished(anna.node(&["127.0.0.1", "echo in"]).spawn().unwrap());
    assert!(said(&out).contains("user:anna is locked"), "{out:?}");
    let listed = place.client(&["lock", "ls", "--json"], "");
    assert!(
        listed.contains(&name) && listed.lines().count() == 1,
        "{listed}"
    );
    place.client(&["lock", "rm", &name, "--reason", "she is back"], "");
    let lifted = place.event("lock.deleted", |event| event["name"] == name.as_str());
    assert_eq!(
        (&lifted["target"], &lifted["reason"]),
        (&"user:anna".into(), &"she is back".into())
    );
    let out = finished(anna.node(&["127.0.0.1", "echo in"]).spawn().unwrap());
    assert_eq!(out.stdout, b"in\n", "{out:?}");
    assert!(place.client(&["lock", "ls", "--json"], "").is_empty());
}

#[test]
fn sessions_that_a_program_hands_over_are_locked_as_well_and_a_lock_ends_by_itself() {
    let place = Place::new("access-lock-local");
    let account = place.account.clone();
    let _repeater = Repeater::begin(&place.daemon);
    let going = || {
        let listed = place.client(&["ls", "--json", "--all"], "");
        let rows = listed
            .lines()
            .map(|line| serde_json::from_str::<Json>(line).unwrap());
        rows.filter(|row| row["kind"] == "exec" && row["ended"] != true)
            .count()
    };
    wait_for("the session", || going() == 1);
    let target = format!("login:{account}");
    let name = place.client(&["lock", "add", &target, "--ttl", "1h"], "");
    wait_for("its end", || going() == 0);
    let rec = |words: &str| {
        let mut rec = std::process::Command::new(hansard_tests::hansard());
        rec.env("HANSARD_RUNTIME_DIR", place.daemon.runtime());
        rec.args(["rec", "--quiet", "--", "echo", words])
            .stdin(Stdio::null());
        rec.output().unwrap()
    };
    let out = rec("locked");
    assert!(out.stdout.is_empty(), "{out:?}");
    assert!(said(&out).contains("is locked until"), "{out:?}");
    place.client(&["lock", "rm", name.trim(), "--reason", "enough"], "");
    // A short one of its own: of the other nobody knows how long all that took.
    place.client(&["lock", "add", &target, "--ttl", "2s"], "");
    wait_for("the lock's end", || rec("free").stdout == b"free\n");
    assert!(place.client(&["lock", "ls", "--json"], "").is_empty());
    let wrong = |args: &[&str]| {
        let mut lock = std::process::Command::new(hansard_tests::hansard());
        lock.env("HANSARD_RUNTIME_DIR", place.daemon.runtime());
        lock.args(["lock", "add"]).args(args).output().unwrap()
    };
    let out = wrong(&["anna"]);
    assert!(said(&out).contains("user:NAME"), "{out:?}");
    assert!(!wrong(&["session:anna"]).status.success());
}
