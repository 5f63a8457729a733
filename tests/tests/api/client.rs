//! The client's commands, run as programs against the service.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::Stdio;

use hansard_core::Body;
use hansardd::api::role::Role;
use hansardd::api::seams::HostRow;
use serde_json::json;

use crate::keep::{header, id, parts};
use crate::service::{Service, lines, own_uid};

#[test]
fn a_long_listing_comes_whole_page_by_page_and_never_ends_silently() {
    let service = Service::start("api-2500");
    let recordings: Vec<_> = (0..2500)
        .map(|n| parts(header(n, &format!("user{}", n % 3), "make"), "ok\r\n", true))
        .collect();
    service.kept.store(&recordings);
    let all = lines(&service.ok(&["ls", "--all", "--json"]));
    let ids: Vec<String> = all
        .iter()
        .map(|row| row["sid"].as_str().unwrap().to_owned())
        .collect();
    let wanted: Vec<String> = (0..2500).rev().map(|n| id(n).to_string()).collect();
    assert_eq!(ids, wanted);
    let oldest = lines(&service.ok(&["ls", "--all", "--oldest", "--json", "--user", "user1"]));
    let ids: Vec<_> = oldest
        .iter()
        .map(|row| row["sid"].as_str().unwrap())
        .collect();
    let wanted: Vec<String> = (0..2500)
        .filter(|n| n % 3 == 1)
        .map(|n| id(n).to_string())
        .collect();
    assert_eq!(ids, wanted);
    // A part says that there is more, and how to go on.
    let part = service.run(&["ls", "--limit", "1100", "--json"]);
    let said = String::from_utf8(part.stderr).unwrap();
    assert_eq!(
        lines(std::str::from_utf8(&part.stdout).unwrap()).len(),
        1100
    );
    let cursor = said
        .split("--cursor ")
        .nth(1)
        .unwrap()
        .split(',')
        .next()
        .unwrap();
    let rest = service.run(&["ls", "--limit", "1500", "--json", "--cursor", cursor]);
    let rest_lines = lines(std::str::from_utf8(&rest.stdout).unwrap());
    assert_eq!(rest_lines.len(), 1400);
    assert_eq!(rest_lines[0]["sid"], id(1399).to_string());
    assert!(
        rest.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&rest.stderr)
    );
    // By time: the sessions start a second apart.
    let some = service.ok(&[
        "ls",
        "--json",
        "--from",
        "2026-11-21T08:00:10",
        "--until",
        "2026-11-21T08:00:13Z",
    ]);
    assert_eq!(lines(&some).len(), 3);
    let table = service.ok(&["ls", "--limit", "2"]);
    assert!(
        table.starts_with("SESSION ") && table.contains("2026-11-21T08:41:39Z"),
        "{table}"
    );
    let events = lines(&service.ok(&[
        "events",
        "--json",
        "--event",
        "session.end",
        "--host",
        "web-1",
        "--all",
    ]));
    assert_eq!(events.len(), 1250);
}

#[test]
fn nothing_in_a_name_leaves_its_place() {
    let service = Service::start("api-hostile");
    let hostile = [
        "\x1b]0;owned\x07root",
        "a\r\nroot  web-0  terminal",
        "\u{9b}2Jx",
        "user\u{202e}toor\u{2066}",
        "<script>alert(1)</script>",
        "\u{200b}\u{feff}root\0",
        "'; DROP TABLE sessions; --",
    ];
    let recordings: Vec<_> = (0u64..)
        .zip(hostile)
        .map(|(n, name)| parts(header(n, name, name), "x", true))
        .collect();
    service.kept.store(&recordings);
    let harmless = |text: &str| {
        assert!(
            text.chars().all(|c| c == '\n' || !c.is_control()),
            "{text:?}"
        );
        assert!(
            !text.contains(['\u{202e}', '\u{2066}', '\u{200b}', '\u{feff}']),
            "{text:?}"
        );
    };
    let table = service.ok(&["ls"]);
    harmless(&table);
    assert_eq!(table.lines().count(), hostile.len() + 1, "{table}");
    let events = service.ok(&["events", "--event", "session.start"]);
    harmless(&events);
    assert_eq!(events.lines().count(), hostile.len(), "{events}");
    harmless(&service.ok(&["show", &id(0).to_string()]));
    harmless(&service.ok(&["status"]));
    // JSON has the names as they are, and a filter finds them so.
    for (n, name) in (0u64..).zip(hostile) {
        let found = lines(&service.ok(&["ls", "--json", "--user", &name.replace('\0', "")]));
        if name.contains('\0') {
            continue;
        }
        assert_eq!(found.len(), 1, "{name:?}");
        assert_eq!(
            (found[0]["user"].as_str(), found[0]["sid"].as_str()),
            (Some(name), Some(id(n).to_string().as_str()))
        );
    }
}

#[test]
fn a_session_is_taken_wherever_a_file_is() {
    let service = Service::start("api-taken");
    let recording = parts(header(1, "ada", "greeting"), "hello world\r\n", true);
    service.kept.store(std::slice::from_ref(&recording));
    let sid = id(1).to_string();
    assert_eq!(service.ok(&["cat", &sid]), "hello world\r\n");
    assert!(service.ok(&["info", &sid]).contains("title greeting"));
    assert_eq!(service.ok(&["screen", &sid]), "hello world\n");
    assert!(
        service
            .ok(&["search", "world", &sid])
            .contains("hello world")
    );
    let verified = service.ok(&["verify", &sid, "--reason", "a case"]);
    assert!(verified.contains("complete and intact"), "{verified}");
    let out = service.scratch.join("out.cast");
    service.ok(&[
        "convert",
        "--to",
        "asciicast-v2",
        &sid,
        out.to_str().unwrap(),
    ]);
    assert!(
        std::fs::read_to_string(&out)
            .unwrap()
            .contains("hello world")
    );
    let shown = service.ok(&["show", &sid]);
    assert!(
        shown.contains("complete and intact") && shown.contains("greeting"),
        "{shown}"
    );
    let looks = service.recorded();
    assert!(
        looks.len() >= 8
            && looks.iter().all(|(event, about)| {
                event == "session.recording.access" && about.as_deref() == Some(&sid)
            }),
        "{looks:?}"
    );
    // A file of that name is a file when its path says so.
    let (status, said) = service.fails(&["cat", &format!("./{sid}")]);
    assert!(status == 2 && said.contains("No such file"), "{said}");
    let (status, said) = service.fails(&["cat", &id(9).to_string()]);
    assert!(status == 2 && said.contains("hansard ls"), "{said}");
    let (_, said) = service.fails(&["play", "--follow", &sid]);
    assert!(
        said.contains("not a terminal") || said.contains("hansard follow"),
        "{said}"
    );
}

#[test]
fn tokens_hosts_and_sessions_are_administered() {
    let service = Service::start("api-admin");
    let made = service.run(&["token", "create", "--ttl", "2h", "--uses", "3"]);
    assert_eq!(
        String::from_utf8(made.stdout).unwrap(),
        format!("secret-of-user{}\n", own_uid())
    );
    let said = String::from_utf8(made.stderr).unwrap();
    assert!(
        said.contains("t0000") && said.contains("2026-11-21T10:00:00Z") && said.contains("3 uses"),
        "{said}"
    );
    let listed = service.ok(&["token", "ls"]);
    assert!(
        listed.contains("t0000") && !listed.contains("secret"),
        "{listed}"
    );
    assert!(service.ok(&["token", "rm", "t0000"]).contains("removed"));
    assert!(
        service
            .fails(&["token", "rm", "t0000"])
            .1
            .contains("token ls")
    );
    for n in 0..1200 {
        let host = HostRow {
            id: format!("h{n:04}"),
            name: format!("web-{n}"),
            connected: n == 0,
            ..HostRow::default()
        };
        service
            .kept
            .hosts
            .lock()
            .unwrap()
            .insert(host.id.clone(), host);
    }
    assert_eq!(
        lines(&service.ok(&["host", "ls", "--json", "--all"])).len(),
        1200
    );
    let part = service.run(&["host", "ls"]);
    assert!(
        String::from_utf8(part.stderr)
            .unwrap()
            .contains("--cursor h0099")
    );
    service.ok(&["host", "lock", "h0000", "--reason", "stolen"]);
    assert!(
        service
            .ok(&["host", "ls", "--limit", "1"])
            .contains("locked: stolen")
    );
    service.ok(&["host", "unlock", "h0000"]);
    let here = HostRow {
        id: "a".to_owned(),
        role: "service".to_owned(),
        is_here: true,
        connected: true,
        ..HostRow::default()
    };
    service
        .kept
        .hosts
        .lock()
        .unwrap()
        .insert("a".to_owned(), here);
    let first = service.ok(&["host", "ls", "--limit", "1"]);
    assert!(
        first.contains("this service") && !first.contains("away"),
        "{first}"
    );
    assert!(
        service
            .fails(&["host", "unlock", "h0000"])
            .1
            .contains("not locked")
    );
    assert!(
        service
            .fails(&["host", "lock", "../x", "--reason", "x"])
            .1
            .contains("nothing here")
    );
    let sid = id(3).to_string();
    service
        .kept
        .happen(id(3), 0, Body::Start(Box::new(header(3, "ada", "x"))));
    service.ok(&["kill", &sid, "--reason", "policy"]);
    // One that is listed and over is not one that there is not.
    let over = id(4).to_string();
    service
        .kept
        .store(&[parts(header(4, "ada", "x"), "ok\r\n", true)]);
    let (status, said) = service.fails(&["kill", &over, "--reason", "late"]);
    assert!(
        status == 2 && said.contains("nothing to end") && said.contains("how it ended"),
        "{said}"
    );
    let ended = service.kept.ended.lock().unwrap().clone();
    assert_eq!(
        ended,
        [(id(3), "policy".to_owned(), format!("user{}", own_uid()))]
    );
    let names: Vec<String> = service
        .recorded()
        .into_iter()
        .map(|(event, _)| event)
        .collect();
    for event in [
        "join_token.create",
        "join_token.delete",
        "lock.created",
        "lock.deleted",
        "session.kill",
    ] {
        assert!(
            names.iter().any(|name| name == event),
            "{event} in {names:?}"
        );
    }
}

#[test]
fn what_goes_wrong_is_told_with_the_next_step() {
    let service = Service::start("api-errors");
    service.role(Some(Role::User));
    let (status, said) = service.fails(&["host", "ls"]);
    assert!(
        status == 2 && said.contains("the role auditor") && said.contains("you have the role user"),
        "{said}"
    );
    assert!(
        said.contains("hint:") && said.contains("serve.admin"),
        "{said}"
    );
    service.role(None);
    assert!(service.fails(&["status"]).1.contains("no role"));
    service.role(Some(Role::Auditor));
    assert!(service.fails(&["token", "ls"]).1.contains("the role admin"));
    let nowhere = service.scratch.join("nowhere.sock");
    let (status, said) = service.fails(&["ls", "--socket", nowhere.to_str().unwrap()]);
    assert!(
        status == 2 && said.contains("no service listens there") && said.contains("--socket"),
        "{said}"
    );
    for args in [
        &["ls", "--from", "yesterday"][..],
        &["ls", "--since", "2"],
        &["kill", "x", "--reason", "y"],
        &["ls", "--limit", "0"],
    ] {
        assert_eq!(service.fails(args).0, 2, "{args:?}");
    }
    let (_, said) = service.fails(&["ls", "--cursor", "x"]);
    assert!(said.contains("cursor"), "{said}");
    assert!(service.run(&["ls"]).stdout.is_empty());
}

#[test]
fn another_account_has_another_role() {
    if own_uid() != 0 {
        // Only root can become somebody else; that one is told by the kernel is tested as itself.
        return;
    }
    let service = Service::start("api-uids");
    service.roles.lock().unwrap().insert(65_534, Role::User);
    let program = service.scratch.join("hansard");
    hansard_tests::copy_program(hansard_tests::hansard(), &program);
    let as_nobody = |args: &[&str]| {
        let mut command = std::process::Command::new(&program);
        let socket = service.socket.to_str().unwrap();
        command
            .args(args)
            .args(["--socket", socket])
            .uid(65_534)
            .gid(65_534);
        command.output().unwrap()
    };
    let status = as_nobody(&["status", "--json"]);
    let status = lines(std::str::from_utf8(&status.stdout).unwrap()).remove(0);
    assert_eq!(
        (
            status["you"]["uid"].as_u64(),
            status["you"]["role"].as_str()
        ),
        (Some(65_534), Some("user"))
    );
    assert!(as_nobody(&["ls"]).status.success());
    let said = |args: &[&str]| String::from_utf8(as_nobody(args).stderr).unwrap();
    assert!(said(&["host", "ls"]).contains("the role auditor"));
    // Whoever is locked is locked here, too; root lifts it, whoever root is.
    let lock = ["lock", "add", "user:user65534", "--message", "ask the desk"];
    let lock = service.ok(&lock);
    let words = said(&["ls"]);
    assert!(
        words.contains("user:user65534 is locked: ask the desk"),
        "{words}"
    );
    service.ok(&["lock", "rm", lock.trim()]);
    let of_root = service.ok(&["lock", "add", "user:user0"]);
    service.ok(&["lock", "rm", of_root.trim()]);
    assert!(as_nobody(&["ls"]).status.success());
    assert!(
        service
            .ok(&["status", "--json"])
            .contains("\"role\":\"admin\"")
    );
}

#[test]
fn events_are_followed_without_a_hole_from_a_cursor_on() {
    let service = Service::start("api-events");
    let document = |n: u64| {
        json!({ "event": if n.is_multiple_of(2) { "exec" } else { "resize" }, "uid": n.to_string(),
            "time": "2026-11-21T08:00:00.000Z", "ei": n, "sid": id(1).to_string(), "user": "ada" })
    };
    (0..10).for_each(|n| service.kept.log(document(n)));
    let begin = |args: &[&str]| {
        let mut child = service
            .client(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        (child, out.lines())
    };
    let (mut child, mut out) = begin(&[
        "events", "--follow", "--json", "--cursor", "3", "--event", "exec",
    ]);
    let mut next = || {
        lines(&out.next().unwrap().unwrap()).remove(0)["ei"]
            .as_u64()
            .unwrap()
    };
    assert_eq!([next(), next(), next()], [4, 6, 8]);
    service.kept.log(document(10));
    service.kept.log(document(11));
    service.kept.log(document(12));
    assert_eq!([next(), next()], [10, 12]);
    service.stop();
    let rest: Vec<_> = out.collect();
    assert!(rest.is_empty(), "{rest:?}");
    let status = child.wait().unwrap();
    let mut said = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut said).unwrap();
    assert_eq!(status.code(), Some(3), "{said}");
    assert!(said.contains("--cursor 13"), "{said}");
}

#[test]
fn whoever_stops_reading_gets_no_complaint() {
    let service = Service::start("api-pipe");
    let recordings: Vec<_> = (0..50)
        .map(|n| parts(header(n, "ada", "x"), "x", true))
        .collect();
    service.kept.store(&recordings);
    let mut child = service
        .client(&["ls", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.is_empty(), "{said}");
}
