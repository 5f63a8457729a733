//! What the client makes of a service's answers that are not the usual ones: of a service that gives them
//! word by word.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Output, Stdio};
use std::thread;

use hansard_tests::{Scratch, hansard, repository};

/// A service that answers each request with what it is told to.
struct Service(Scratch);

impl Service {
    /// `answer`: all that is sent back for a request with this first line; then the connection is closed.
    fn new(name: &str, answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> Self {
        let scratch = Scratch::new(name);
        let listener = UnixListener::bind(scratch.join("admin.sock")).unwrap();
        // It ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let asked = request(&mut stream);
                // Who has enough of an answer is no fault of the test.
                let _ = stream.write_all(&answer(&asked));
            }
        });
        Self(scratch)
    }

    fn run(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let output: Output = Command::new(hansard())
            .args(args)
            .env("HANSARD_RUNTIME_DIR", self.0.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        (output.status.code(), out, err)
    }
}

/// Reads a request without a body; answers its first line.
fn request(stream: &mut UnixStream) -> String {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() > 0 {
        bytes.push(byte[0]);
    }
    let text = String::from_utf8(bytes).unwrap();
    text.lines().next().unwrap_or_default().to_owned()
}

/// A whole answer with this document.
fn json(status: &str, document: &serde_json::Value) -> Vec<u8> {
    let body = document.to_string();
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

#[test]
fn nothing_found_in_half_an_index_is_not_nothing() {
    for (whole, status) in [(false, 3), (true, 1)] {
        let document = serde_json::json!({
            "sessions": [], "complete": whole, "next": null, "gave_up": false, "index_complete": whole,
        });
        let service = Service::new("answers-index", move |_| json("200 OK", &document));
        let (code, out, err) = service.run(&["search", "needle"]);
        assert_eq!((code, out.as_str()), (Some(status), ""), "{err}");
        assert_eq!(err.contains("not everything was searched"), !whole, "{err}");
    }
}

const ID: &str = "01a1fb67-1800-7505-8505-050505050505";

/// Another.
const OTHER: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// Each command that reads a recording of the service.
const READING: [&[&str]; 6] = [
    &["cat", ID],
    &["info", ID],
    &["verify", ID],
    &["screen", ID],
    &["search", "load", ID],
    &["convert", "--to", "raw", ID, "-"],
];

/// A service that sends so much of a recording, says that there is more, and goes away.
fn cut_after(name: &str, bytes: usize) -> Service {
    let file = repository().join("formats/golden/v1/segments.hansard");
    let file = std::fs::read(file).unwrap();
    Service::new(name, move |asked| {
        if asked.contains("/verify") {
            return json("200 OK", &serde_json::json!({ "archived_segment": 6 }));
        }
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", file.len());
        [head.as_bytes(), &file[..bytes]].concat()
    })
}

#[test]
fn an_answer_that_is_cut_is_said_so_with_what_to_do() {
    for (name, bytes) in [("answers-cut", 6000), ("answers-none", 0)] {
        let service = cut_after(name, bytes);
        for args in READING {
            let (code, out, err) = service.run(args);
            assert_eq!(code, Some(3), "{args:?} {err}");
            // What came is shown.
            let is_empty = bytes == 0 || args[0] == "verify";
            assert_eq!(out.is_empty(), is_empty, "{args:?} {out}");
            let said = format!("hansard: {ID}: the service's answer was cut: ");
            assert!(err.contains(&said), "{args:?} {err}");
            assert!(err.contains("ask again"), "{args:?} {err}");
        }
    }
    let service = Service::new("answers-half", |_| {
        b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"sessions\":[".to_vec()
    });
    let (code, _, err) = service.run(&["ls"]);
    assert_eq!(code, Some(3), "{err}");
    assert!(
        err.contains("was cut") && err.contains("ask again"),
        "{err}"
    );
}

/// A recording is proof of what it is of, not of what it is sent for.
#[test]
fn a_sound_recording_of_something_else_verifies_nothing() {
    let file = repository().join("formats/golden/v1/segments.hansard");
    let bytes = std::fs::read(&file).unwrap();
    let verified = Command::new(hansard())
        .args(["verify", "--json"])
        .arg(&file)
        .output();
    let said: serde_json::Value = serde_json::from_slice(&verified.unwrap().stdout).unwrap();
    let (own, head) = (
        said["sid"].as_str().unwrap(),
        said["head"].as_str().unwrap(),
    );
    let newest = said["segments"].as_u64().unwrap() - 1;
    assert_eq!(said["verdict"], "complete");
    let other_head = "00".repeat(32);
    for (asked, archived, wanted, words) in [
        (own, head, 0, "complete and intact"),
        (OTHER, head, 3, own),
        (own, other_head.as_str(), 3, "another than the newest"),
    ] {
        let (bytes, archived) = (bytes.clone(), archived.to_owned());
        let service = Service::new("answers-other", move |asked| {
            if asked.contains("/verify") {
                let kept = serde_json::json!({
                    "archived_segment": newest, "archived_head": archived, "differences": [],
                });
                return json("200 OK", &kept);
            }
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", bytes.len());
            [head.as_bytes(), &bytes].concat()
        });
        let (code, out, err) = service.run(&["verify", asked]);
        assert_eq!(code, Some(wanted), "{out} {err}");
        assert!(out.contains(words), "{out}");
    }
}

#[test]
fn the_recording_of_another_session_is_not_shown_as_what_was_asked_for() {
    let file = repository().join("formats/golden/v1/segments.hansard");
    let bytes = std::fs::read(&file).unwrap();
    let service = Service::new("answers-another", move |_| {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", bytes.len());
        [head.as_bytes(), &bytes].concat()
    });
    let copy = service.0.join("copy.cast");
    let copy = copy.to_str().unwrap();
    for words in [
        &["cat", OTHER][..],
        &["info", OTHER],
        &["screen", "--at", "0", OTHER],
        &["search", "e", OTHER],
        &["convert", "--to", "asciicast-v2", OTHER, copy],
    ] {
        let (code, out, err) = service.run(words);
        assert_eq!(code, Some(3), "{words:?}: {out} {err}");
        let told = format!("{OTHER}: the service sent the recording of session ");
        assert!(err.contains(&told), "{words:?}: {err}");
        assert_eq!(out, "", "{words:?}");
    }
    assert_eq!(std::fs::read_to_string(copy).unwrap_or_default(), "");
}

#[test]
fn who_asks_for_what_is_not_there_is_told_what_that_was_and_what_there_is() {
    let service = Service::new("answers-none-such", |_| {
        let error = serde_json::json!({ "error": {
            "code": "not_found",
            "message": "there is nothing here under this name",
            "next_step": "GET /v1/openapi.json lists what there is",
            "request_id": "r",
        }});
        json("404 Not Found", &error)
    });
    for (args, named, next) in [
        (&["user", "rm", "bob"][..], "user bob", "user ls"),
        (&["user", "roles", "bob", "auditor"], "user bob", "user ls"),
        (&["lock", "rm", "web"], "lock web", "lock ls"),
        (&["token", "rm", "t1"], "token t1", "token ls"),
        (&["share", "rm", "s1"], "share s1", "share ls"),
        (
            &["policy", "get", "--version", "3"],
            "policy version 3",
            "policy get",
        ),
        (&["cat", ID], "session 01a1fb67-", "hansard ls"),
    ] {
        let (code, _, err) = service.run(args);
        assert_eq!(code, Some(2), "{args:?} {err}");
        assert!(
            err.starts_with(&format!("hansard: {named}")),
            "{args:?} {err}"
        );
        assert!(err.contains(&format!("{next}` ")), "{args:?} {err}");
    }
}

#[test]
fn what_is_in_the_way_of_a_user_is_said_with_the_step_that_is_meant() {
    for (name, step, next) in [
        ("taken", "look at what is there first", "`hansard user ls`"),
        (
            "undefined",
            "write it into access.roles first",
            "access.roles",
        ),
    ] {
        let service = Service::new(&format!("answers-user-{name}"), move |_| {
            let error = serde_json::json!({ "error": {
                "code": "conflict", "message": "no", "next_step": step, "request_id": "r",
            }});
            json("409 Conflict", &error)
        });
        let (code, _, err) = service.run(&["user", "roles", "bob", "ops"]);
        assert_eq!(code, Some(2), "{err}");
        assert!(err.contains("hint: ") && err.contains(next), "{err}");
    }
}

#[test]
fn a_policy_that_is_refused_is_named_with_what_to_do() {
    let service = Service::new("answers-policy", |_| {
        let error = serde_json::json!({ "error": {
            "code": "bad_request",
            "message": "line 3 column 4: rules.0: unknown key strikt; strict?",
            "next_step": "GET /v1/openapi.json describes parameters and bodies",
            "request_id": "r",
        }});
        json("400 Bad Request", &error)
    });
    let file = service.0.join("mine.yaml");
    std::fs::write(&file, "scope: all\n").unwrap();
    let file = file.to_str().unwrap();
    let (code, _, err) = service.run(&["policy", "set", file]);
    assert_eq!(code, Some(2), "{err}");
    assert!(
        err.starts_with(&format!("hansard: {file}: line 3 ")),
        "{err}"
    );
    assert!(err.contains("hint: mend it there"), "{err}");
}

#[test]
fn as_many_findings_are_shown_as_were_asked_for() {
    let service = Service::new("answers-limit", |asked| {
        let hits: Vec<_> = (0..10)
            .map(|n| serde_json::json!({ "at_ns": n, "in": "shown", "text": "abc" }))
            .collect();
        let sessions = [1, 2].map(|n| {
            serde_json::json!({ "sid": format!("s{n}"), "user": "u", "hits": hits, "more_hits": true })
        });
        let next = (!asked.contains("cursor=")).then_some("c1");
        json(
            "200 OK",
            &serde_json::json!({ "sessions": sessions, "next": next }),
        )
    });
    let findings = |out: &str| out.lines().filter(|line| line.contains("abc")).count();
    // Within an answer: what comes behind the cursor is not what comes next.
    let (code, out, err) = service.run(&["search", "a*", "--limit", "5"]);
    assert_eq!((code, findings(&out)), (Some(0), 5), "{out}{err}");
    assert!(
        err.contains("--limit allows more") && !err.contains("--cursor"),
        "{err}"
    );
    assert!(out.contains("add session:s1"), "{out}");
    let (_, out, err) = service.run(&["search", "a*", "--limit", "20"]);
    assert_eq!(findings(&out), 20);
    assert!(err.contains("--cursor c1"), "{err}");
    let (_, out, _) = service.run(&["search", "a*", "--json", "--limit", "12"]);
    let rows: Vec<serde_json::Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rows[1]["hits"].as_array().unwrap().len(), 2);
    assert_eq!(rows[1]["more_hits"], true);
    // Who asks for one session is not told to ask for one.
    let (_, out, _) = service.run(&["search", &format!("a* session:{ID}"), "--limit", "40"]);
    assert_eq!(findings(&out), 40);
    assert!(!out.contains("add session:"), "{out}");
}
