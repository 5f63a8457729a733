//! Event documents of whole recordings, and their page.
//!
//! `HANSARD_BLESS=1 cargo test -p hansard-view --test documents` writes the golden documents and
//! `docs/events.md` anew; look at the difference before it is committed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use hansard_core::event::Fact;
use hansard_core::{Body, Event, Value};
use hansard_view::containerssh::ContainerSshDecoder;
use hansard_view::document::{Document, Documents, Place, catalogue, page};
use hansard_view::teleport::StreamDecoder;
use hansard_view::{Decoder, Format};
use serde_json::json;
use support::import;
use support::teleport::{read, read_all, sample};

fn turned(events: &[Event]) -> Vec<Document> {
    let mut documents = Documents::new(Place::default());
    let all: Vec<_> = events
        .iter()
        .flat_map(|event| documents.turn(event))
        .collect();
    let mut seen = BTreeSet::new();
    for document in &all {
        assert!(seen.insert(document.uid));
        let row = catalogue::find(document.event).unwrap();
        for name in document.json().as_object().unwrap().keys() {
            let open = ["x.", "source.", "env.", "claimed."]
                .iter()
                .any(|open| name.starts_with(open));
            assert!(
                open || name.ends_with(".base64") || row.field(name).is_some(),
                "{name}"
            );
        }
    }
    all
}

/// Compares with what is committed, or writes it.
fn golden(path: &str, made: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("HANSARD_BLESS").is_some() {
        fs::write(&path, made).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    for (i, (made, committed)) in made.lines().zip(committed.lines()).enumerate() {
        assert_eq!(made, committed, "{} line {}", path.display(), i + 1);
    }
    assert!(
        made == committed,
        "{} is not as it is made: HANSARD_BLESS=1 cargo test -p hansard-view --test documents",
        path.display()
    );
}

fn lines(documents: &[Document]) -> String {
    documents
        .iter()
        .map(|document| format!("{document}\n"))
        .collect()
}

fn decoded(mut decoder: impl Decoder) -> Vec<Event> {
    read_all(&mut decoder).0
}

#[test]
fn the_page_is_made_from_the_catalogue() {
    golden("../../docs/events.md", &page());
}

#[test]
fn every_family_has_its_documents() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../formats/golden/v1/families.hansard"
    );
    let bytes = fs::read(path).unwrap();
    let mut decoder = Format::Hansard.decoder(bytes.as_slice(), import()).unwrap();
    let events = read_all(decoder.as_mut()).0;
    let documents = turned(&events);
    golden("tests/data/documents/families.jsonl", &lines(&documents));
    // Two events are Data, and the end makes two documents.
    assert_eq!(documents.len(), events.len() - 2 + 1);
}

#[test]
fn a_teleport_recording_keeps_its_names_and_codes() {
    for events in [
        decoded(StreamDecoder::new(
            fs::read(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/data/teleport/one-part.tar"
            ))
            .unwrap()
            .as_slice(),
            import(),
        )),
        read(&sample()).0,
    ] {
        let documents = turned(&events);
        let named = |name: &str| documents.iter().filter(|d| d.event == name).count();
        for once in ["session.start", "session.end", "session.data"] {
            assert_eq!(named(once), 1, "{once} in {}", lines(&documents));
        }
        let other = |document: &&Document| document.event.ends_with(".other");
        let others: BTreeSet<_> = documents
            .iter()
            .filter(other)
            .map(|document| document.json()["event_name"].as_str().unwrap().to_owned())
            .collect();
        let own = [
            "session.start",
            "session.end",
            "session.data",
            "resize",
            "teleport.print",
        ];
        for name in others {
            assert!(
                own.contains(&name.as_str()) || catalogue::find(&name).is_none(),
                "{name}"
            );
        }
        for document in &documents {
            assert_eq!(document.json()["user"], "alice", "{document}");
            if let Some(code) = document.json().get("source.code") {
                assert!(
                    document.event.ends_with(".other"),
                    "{code} of {}",
                    document.event
                );
            }
        }
    }
}

/// Recordings of ContainerSSH, kept outside the repository.
fn containerssh(name: &str) -> Option<Vec<Event>> {
    let Some(directory) = std::env::var_os("HANSARD_PEER_DATA") else {
        let skipped = "skipped: HANSARD_PEER_DATA is not set";
        assert!(std::env::var_os("CI").is_none(), "{skipped}");
        let _ = writeln!(std::io::stderr(), "{skipped}");
        return None;
    };
    let path = PathBuf::from(directory).join("containerssh").join(name);
    let bytes = fs::read(path).unwrap();
    Some(decoded(ContainerSshDecoder::new(
        bytes.as_slice(),
        import(),
    )))
}

#[test]
fn a_containerssh_log_has_a_document_for_every_message() {
    let Some(events) = containerssh("v2-all-types.auditlog") else {
        return;
    };
    let documents = turned(&events);
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    for document in &documents {
        *names.entry(document.event).or_default() += 1;
        assert!(!document.event.ends_with(".other"), "{document}");
        assert_eq!(document.json()["kind"], "ssh");
        let text = document.to_string();
        assert!(
            !text.contains("\"password\":") && !text.contains("\"cookie\":"),
            "{text}"
        );
    }
    let codes: BTreeSet<_> = documents
        .iter()
        .filter(|document| document.event == "auth")
        .map(|document| document.code)
        .collect();
    assert_eq!(codes, BTreeSet::from(["H3007I", "H3008I", "T3007W"]));
    for name in [
        "session.start",
        "connect",
        "exec",
        "pty",
        "port",
        "subsystem",
        "exit",
    ] {
        assert!(names.contains_key(name), "no {name} in {names:?}");
    }
    let withheld: BTreeSet<_> = documents
        .iter()
        .filter_map(|document| document.json().get("withheld").cloned())
        .flat_map(|names| names.as_array().unwrap().clone())
        .map(|name| name.to_string())
        .collect();
    assert!(withheld.contains("\"password\""), "{withheld:?}");
    let connect = documents.iter().find(|d| d.event == "connect").unwrap();
    assert_eq!(connect.json().get("channel_id"), None);
    assert_ne!(connect.json()["addr.remote"], json!(null));
}

/// What a host's and a service's own headers and facts say has names of this list: nothing of it is
/// mangled on its way into a log.
#[test]
fn what_we_say_ourselves_has_names() {
    let certificate = [0x30, 0x82, 0, 0xff, 0xfe];
    let header = hansard_core::Session {
        kind: "service".into(),
        origin: hansard_core::Fields::new()
            .with("pid", 77u64)
            .with("claimed.user", "root")
            .with("claimed.password", "secret"),
        target: hansard_core::Fields::new()
            .with("recorder_certificate", Value::Bytes(certificate.to_vec()))
            .with("server_labels", Value::List(vec!["role=web".into()]))
            .with("previous.session", "0190")
            .with("previous.digest", "00ff"),
        ..support::session()
    };
    let look = Fact {
        event: "session.recording.access".into(),
        fields: hansard_core::Fields::new()
            .with("user", "anna")
            .with("user_uid", 1000u64)
            .with("pid", 4711u64),
    };
    let lost = Fact {
        event: "alarm".into(),
        fields: hansard_core::Fields::new()
            .with("alarm", "recording_lost")
            .with("recording", "0190")
            .with("reason", "no room"),
    };
    let bodies = [
        Body::Start(Box::new(header)),
        Body::Admin(look),
        Body::Admin(lost),
    ];
    let events = bodies.into_iter().zip(0..).map(|(body, seq)| Event {
        seq,
        at_ns: seq,
        body,
    });
    let made = turned(&events.collect::<Vec<_>>());
    for document in &made {
        let json = document.json();
        let names: Vec<_> = json.as_object().unwrap().keys().collect();
        assert!(
            !names.iter().any(|name| name.starts_with("x.")),
            "{document:?}"
        );
    }
    let [start, look, lost] = made.as_slice() else {
        panic!("{made:?}");
    };
    assert_eq!(start.json()["recorder_certificate"], "MIIA//4=");
    assert_eq!(start.json()["pid"], 77);
    assert_eq!(start.json()["claimed.user"], "root");
    assert_eq!(start.json()["withheld"], json!(["claimed.password"]));
    assert_eq!(start.json()["server_labels"], json!(["role=web"]));
    assert_eq!((look.code, &look.json()["pid"]), ("T2012I", &json!(4711)));
    assert_eq!((lost.event, lost.code), ("alarm", "H5126E"));
}

/// What our own captures and service say of themselves, by family: names that nobody would find as `x.NAME`.
#[rustfmt::skip] // one event a line
const SAID: &[(&str, &str, &[&str])] = &[
    ("auth", "auth", &["login", "method", "addr.remote", "success", "error", "key", "serial", "name", "cert_type", "#times"]),
    ("auth", "handshake", &["message", "success", "error"]),
    ("auth", "user.login", &["method", "addr.remote", "success", "error", "key", "serial", "#times"]),
    ("auth", "session.rejected", &["reason", "#times", "login", "addr.remote", "success"]),
    ("auth", "host_key", &["addr", "key", "reason", "success", "error"]),
    ("auth", "target.auth", &["addr", "login", "method", "key", "name", "success", "error"]),
    ("auth", "credential.use", &["addr", "login", "method", "key", "name", "success"]),
    ("network", "connect", &["addr.remote"]),
    ("network", "disconnect", &["addr.remote", "reason", "success"]),
    ("network", "target.connect", &["addr", "server_addr", "login", "success", "error"]),
    ("channel", "client.disconnect", &["reason"]),
    ("channel", "global_request", &["requestType", "#length", "#times", "?from_target", "success", "error"]),
    ("channel", "channel_request", &["#channel_id", "requestType", "#length", "#times", "?from_target", "success", "error"]),
    ("channel", "new_channel", &["#channel_id", "channelType", "addr", "Path", "OriginatorHost", "#OriginatorPort", "#length", "#times", "?from_target", "success", "error"]),
    ("channel", "port", &["#channel_id", "addr", "BindHost", "#BindPort", "OriginatorHost", "#OriginatorPort", "#rx", "#tx", "#duration_ms", "success", "error"]),
    ("channel", "port.local", &["#channel_id", "addr", "OriginatorHost", "#OriginatorPort", "success", "error"]),
    ("channel", "port.remote_conn", &["#channel_id", "addr", "OriginatorHost", "#OriginatorPort", "success", "error"]),
    ("channel", "x11-forward", &["#channel_id", "addr", "OriginatorHost", "#OriginatorPort", "?single_connection", "success", "error"]),
    ("channel", "agent-forward", &["#channel_id", "success", "error"]),
    ("channel", "io", &["#stream", "#length", "success", "error"]),
    ("transfer", "sftp", &["#channel_id", "action", "path", "target_path", "#flags", "#rx", "#tx", "sha256", "success", "error"]),
    ("transfer", "sftp_summary", &["#files", "#rx", "#tx"]),
    ("admin", "user.create", &["user", "name", "#user_uid", "#pid"]),
    ("admin", "user.update", &["user", "name", "#user_uid", "#pid"]),
    ("admin", "user.delete", &["user", "name", "#user_uid", "#pid"]),
    ("admin", "user.password_change", &["user", "name", "#user_uid", "#pid"]),
    ("admin", "access.refused", &["user", "#times", "reason", "#user_uid", "#pid"]),
];

#[test]
fn what_our_own_captures_say_has_its_place_in_the_catalogue() {
    let mut documents = Documents::new(Place::default());
    let fields = |names: &[&str]| {
        let none = hansard_core::Fields::new();
        names
            .iter()
            .fold(none, |fields, name| fields.with(*name, "text"))
    };
    let header = hansard_core::Session {
        origin: fields(&[
            "proto",
            "addr.remote",
            "addr.local",
            "ssh_connection",
            "client_version",
        ])
        .with("term", "xterm")
        .with("channel_id", 3u64),
        target: fields(&[
            "server_hostname",
            "server_addr",
            "forwarded_by",
            "shell",
            "addr",
        ])
        .with("subsystem", "sftp")
        .with("command", "ls")
        .with("argv", Value::List(vec!["ls".into()]))
        .with("break_glass", "no daemon")
        .with("terminal_not_given", "why")
        .with("terminal_not_taken", "why")
        .with("legacy_tiocsti", true),
        ..support::session()
    };
    let body = Body::Start(Box::new(header));
    let (seq, at_ns) = (0, 0);
    let made = documents.turn(&Event { seq, at_ns, body });
    none_strange("session.start", &made[0]);
    for (seq, (family, name, fields)) in (1..).zip(SAID) {
        let mut said = hansard_core::Fields::new();
        for field in *fields {
            match (field.strip_prefix('#'), field.strip_prefix('?'), *field) {
                (Some(number), ..) => said.push(number, 7u64),
                (_, Some(truth), _) => said.push(truth, true),
                (.., "success") => said.push("success", false),
                (.., text) => said.push(text, "text"),
            }
        }
        let (event, fields) = ((*name).to_owned(), said);
        let fact = Fact { event, fields };
        let body = match *family {
            "auth" => Body::Auth(fact),
            "network" => Body::Network(fact),
            "channel" => Body::Channel(fact),
            "transfer" => Body::Transfer(fact),
            _ => Body::Admin(fact),
        };
        let at_ns = seq;
        let made = documents.turn(&Event { seq, at_ns, body });
        assert_eq!(made[0].event, *name);
        none_strange(name, &made[0]);
    }
}

fn none_strange(name: &str, document: &Document) {
    let json = document.json();
    let strange = |field: &&String| field.starts_with("x.");
    let strange: Vec<_> = json.as_object().unwrap().keys().filter(strange).collect();
    assert!(strange.is_empty(), "{name}: {strange:?}");
}
