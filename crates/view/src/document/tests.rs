//! The catalogue by itself, and documents of events that are made up.

use std::collections::{BTreeMap, BTreeSet};

use hansard_core::event::{End, Fact};
use hansard_core::session::ClockQuality;
use hansard_core::{Body, Event, Fields, Policy, Session, SessionId, Stream, Value};
use serde_json::{Value as Json, json};

use super::catalogue::{self, COMMON, Field, Kind, MADE, PATTERNS, PLACES};
use super::{Counted, Document, Documents, Place};
use crate::limits::{DOCUMENT_BYTES_MAX, DOCUMENT_PARTICIPANTS_MAX, DOCUMENT_TEXT_BYTES_MAX};

mod any;

fn session(kind: &str) -> Session {
    Session {
        id: SessionId::new_v7(1_700_000_000_000, [7; 10]),
        parent: None,
        kind: kind.to_owned(),
        subject: Fields::new().with("user", "anna").with("login", "root"),
        origin: Fields::new().with("addr.remote", "192.0.2.1:5"),
        target: Fields::new().with("server_hostname", "db1"),
        start_utc_ns: 1_700_000_000_000_999_999,
        clock: ClockQuality::Synchronised,
        policy: Policy::default(),
        recorder_key: [1; 32],
        recorder: "hansard 0.1.0".to_owned(),
    }
}

/// The documents of a recording of these bodies, a microsecond apart.
fn turned(session: Session, bodies: Vec<Body>) -> Vec<Document> {
    let mut documents = Documents::new(Place::default());
    let bodies = std::iter::once(Body::Start(Box::new(session))).chain(bodies);
    let mut all = Vec::new();
    for (seq, body) in (0..).zip(bodies) {
        let at_ns = seq * 1000;
        all.extend(documents.turn(&Event { seq, at_ns, body }));
    }
    check(&all);
    all
}

/// The one document of one fact.
fn one(body: Body) -> Json {
    turned(session("terminal"), vec![body])
        .pop()
        .unwrap()
        .json()
}

fn auth(fields: Fields) -> Body {
    let event = "auth".to_owned();
    Body::Auth(Fact { event, fields })
}

fn fact(event: &str, fields: Fields) -> Fact {
    let event = event.to_owned();
    Fact { event, fields }
}

fn is_of_kind(json: &Json, kind: Kind) -> bool {
    match kind {
        Kind::Text => json.is_string(),
        Kind::Texts => json
            .as_array()
            .is_some_and(|all| all.iter().all(Json::is_string)),
        Kind::Uint => json.is_u64(),
        Kind::Int => json.is_i64() || json.is_u64(),
        Kind::Bool => json.is_boolean(),
        Kind::Time => json.as_str().is_some_and(|text| text.ends_with('Z')),
        Kind::Withheld => false,
    }
}

/// What every document keeps to, whatever it is made of.
fn check(documents: &[Document]) {
    let (mut seen, mut last) = (BTreeSet::new(), None);
    for document in documents {
        assert!(
            seen.insert(document.uid),
            "{document} has another's identifier"
        );
        assert!(last < Some((document.seq, document.ordinal)), "{document}");
        last = Some((document.seq, document.ordinal));
        let text = document.to_string();
        assert!(text.len() <= DOCUMENT_BYTES_MAX, "{} bytes", text.len());
        assert!(
            !text.contains(|c| c < ' '),
            "{} is not one line",
            document.uid
        );
        let row = catalogue::find(document.event).expect(document.event);
        assert!(row.codes.iter().any(|code| code.code == document.code));
        for (name, value) in document.json().as_object().unwrap() {
            let plain = row.field(name);
            let open = name.starts_with("x.") || name.starts_with("source.");
            let exact = name.strip_suffix(".base64").is_some();
            match plain {
                Some(field) => assert!(is_of_kind(value, field.kind), "{name}: {value}"),
                None => assert!(
                    open || exact || name.starts_with("env.") || name.starts_with("claimed."),
                    "{name}"
                ),
            }
            assert!(value.is_string() || plain.is_some() || is_of_kind(value, Kind::Texts));
        }
        let json = document.json();
        let json = json.as_object().unwrap();
        let keys: Vec<_> = json.keys().take(7).collect();
        assert_eq!(keys, ["event", "code", "uid", "time", "ei", "sid", "kind"]);
        assert_eq!(json["uid"], json!(document.uid.to_string()));
        assert_eq!(json["ei"], json!(document.seq));
        let time = json["time"].as_str().unwrap();
        assert_eq!(time.len(), "2023-11-14T22:13:20.000Z".len(), "{time}");
        let parsed = crate::teleport::time::parse(time).unwrap();
        assert_eq!(parsed, document.time_ns / 1_000_000 * 1_000_000);
    }
}

#[test]
fn the_catalogue_contradicts_itself_nowhere() {
    let (mut names, mut codes) = (BTreeSet::new(), BTreeSet::new());
    let mut kinds: BTreeMap<&str, Kind> = BTreeMap::new();
    let mut note = |field: &Field| {
        let known = *kinds.entry(field.name).or_insert(field.kind);
        let held = [known, field.kind].contains(&Kind::Withheld);
        assert!(
            known == field.kind || held,
            "{} is of two types",
            field.name
        );
        assert!(!field.about.is_empty() && !field.about.contains('|'));
    };
    COMMON.iter().chain(&PATTERNS).for_each(&mut note);
    for row in catalogue::rows() {
        assert!(names.insert(row.name), "{} twice", row.name);
        assert!(
            !row.codes.is_empty() && row.about.ends_with('.'),
            "{}",
            row.name
        );
        row.fields
            .iter()
            .flat_map(|group| group.iter())
            .for_each(&mut note);
        for code in row.codes {
            assert!(code.code.ends_with(['I', 'W', 'E', 'S']), "{}", code.code);
            // Teleport uses codes twice; ours tell of one event each.
            let key = match code.code.starts_with('H') {
                true => ("", code.code),
                false => (row.name, code.code),
            };
            assert!(codes.insert(key), "{} {} twice", row.name, code.code);
            if let Some((field, _)) = code.case {
                assert!(row.field(field).is_some(), "{}: no {field}", row.name);
            }
        }
    }
    assert!(MADE.iter().all(|name| names.contains(name)));
    assert!(
        PLACES
            .iter()
            .all(|name| COMMON.iter().any(|field| field.name == *name))
    );
}

#[test]
fn outcome_and_action_decide_the_code() {
    let said = |name: &str, value: Value| Fields::new().with(name, value);
    for (fields, code) in [
        (said("success", true.into()), "H3007I"),
        (said("success", false.into()), "T3007W"),
        (said("error", "no".into()), "T3007W"),
        (Fields::new(), "H3008I"),
    ] {
        assert_eq!(one(auth(fields))["code"], code);
    }
    for (event, name, value, code) in [
        ("exec", "exitCode", "0", "T3002I"),
        ("exec", "exitCode", "1", "T3002E"),
        ("scp", "action", "upload", "T3005I"),
        ("scp", "action", "download", "T3004I"),
        ("scp", "exitError", "x", "H3006E"),
        ("sftp", "action", "16", "TS016I"),
        ("sftp", "error", "x", "H3020E"),
        ("sftp", "code", "TS020E", "TS020E"),
        ("port", "action", "stop", "T3003S"),
        ("port", "addr", "a:1", "T3003I"),
        ("user.login", "code", "T1001W", "T1001W"),
        ("user.login", "code", "T9999I", "T1000I"),
    ] {
        let json = one(Body::Command(fact(event, said(name, value.into()))));
        assert_eq!(json["code"], code, "{event} {name} {value}");
    }
    let both = said("action", "12".into()).with("success", false);
    assert_eq!(one(Body::Transfer(fact("sftp", both)))["code"], "TS012E");
}

#[test]
fn an_event_says_who_and_where_for_itself_only() {
    let fields = Fields::new()
        .with("user", "mallory")
        .with("server_hostname", "");
    let all = turned(session("terminal"), vec![auth(fields), auth(Fields::new())]);
    let said = |i: usize, name: &str| all[i].json()[name].as_str().unwrap().to_owned();
    assert_eq!(said(1, "user"), "mallory");
    assert_eq!(said(1, "login"), "root");
    assert_eq!(said(1, "server_hostname"), "db1");
    assert_eq!(said(2, "user"), "anna");
    assert_eq!(said(2, "addr.remote"), "192.0.2.1:5");
}

#[test]
fn what_a_document_says_itself_is_not_replaced() {
    let fields = Fields::new()
        .with("uid", "forged")
        .with("time", "1999-01-01T00:00:00Z")
        .with("ei", 7u64)
        .with("truncated", "no")
        .with("code", "T2004I")
        .with("user", "one")
        .with("user", "two");
    let json = one(auth(fields));
    assert_ne!(json["uid"], "forged");
    assert_eq!(json["source.uid"], "forged");
    assert_eq!(json["source.time"], "1999-01-01T00:00:00Z");
    assert_eq!((&json["ei"], &json["source.ei"]), (&json!(1), &json!("7")));
    assert_eq!(json["x.truncated"], "no");
    assert!(json.get("truncated").is_none());
    assert_eq!(json["source.code"], "T2004I");
    assert_eq!(
        (&json["user"], &json["x.user"]),
        (&json!("one"), &json!("two"))
    );
}

#[test]
fn no_fact_passes_for_the_recordings_own_events() {
    for name in MADE.iter().chain(&["auth.other", "nonsense", ""]) {
        let json = one(Body::Channel(fact(
            name,
            Fields::new().with("size", "80:24"),
        )));
        assert_eq!(json["event"], "channel.other", "{name}");
        assert_eq!(json["event_name"], *name);
        assert_eq!(json["size"], "80:24");
    }
}

#[test]
fn secrets_stay_in_the_recording() {
    let fields = Fields::new()
        .with("password", Value::Bytes(b"hunter2".to_vec()))
        .with("teleport.json.cookie", "hunter2")
        .with("method", "password");
    let json = one(auth(fields));
    assert!(!json.to_string().contains("hunter2"));
    assert!(!json.to_string().contains("aHVudGVyMg"));
    assert_eq!(
        json["withheld"],
        json!(["password", "teleport.json.cookie"])
    );
    assert_eq!(json["method"], "password");
    let unknown = Body::Unknown {
        kind: 99,
        bytes: b"hunter2".to_vec(),
    };
    let json = one(unknown);
    assert_eq!((&json["number"], &json["length"]), (&json!(99), &json!(7)));
    assert!(!json.to_string().contains("hunter2"));
}

#[test]
fn hostile_strings_stay_one_line_of_json() {
    let nasty = "a\r\n{\"event\":\"user.login\"}\u{1b}[2J\u{202e}\u{2028}\0\"\\";
    let fields = Fields::new().with("user", nasty).with(nasty, nasty);
    let json = one(Body::Admin(fact(nasty, fields)));
    let back: Json = serde_json::from_str(&json.to_string()).unwrap();
    assert_eq!(back["user"], nasty);
    assert_eq!(back["event_name"], nasty);
    assert_eq!(back[format!("x.{nasty}")], nasty);
}

#[test]
fn what_is_too_much_is_named() {
    let long = "\u{1}".repeat(100_000);
    let mut fields = Fields::new().with("error", long.as_str());
    for i in 0..2000 {
        fields.push(format!("{i}{long}"), long.as_str());
    }
    let json = one(auth(fields));
    let names = |name: &str| json[name].as_array().unwrap().clone();
    assert_eq!(
        json["error"].as_str().unwrap().len(),
        DOCUMENT_TEXT_BYTES_MAX
    );
    assert_eq!(names("truncated")[0], "error");
    assert!(json["left_out_count"].as_u64().unwrap() > 1900);
    assert!(!names("left_out").is_empty());

    let argv = Value::List(vec![Value::from("x".repeat(300)); 1000]);
    let json = one(Body::Command(fact(
        "session.command",
        Fields::new().with("argv", argv),
    )));
    assert_eq!(json["truncated"], json!(["argv"]));
    assert_eq!(json["argv"].as_array().unwrap().len(), 55); // 16 KiB of them
}

#[test]
fn the_end_says_what_went_through_also_after_a_restart() {
    let data = |stream| Body::Data {
        stream,
        bytes: vec![0; 10],
    };
    let join = fact("session.join", Fields::new().with("user", "bert"));
    let end = Body::End(End {
        reason: "exited".to_owned(),
        exit_status: Some(3),
        signal: None,
    });
    let bodies = vec![
        data(Stream::Output),
        data(Stream::Stderr),
        data(Stream::Keystrokes),
        Body::Channel(join),
        Body::Command(fact("session.command", Fields::new())),
        end.clone(),
    ];
    let all = turned(session("terminal"), bodies.clone());
    let [.., ended, counted] = all.as_slice() else {
        panic!()
    };
    assert_eq!((ended.ordinal, counted.ordinal), (0, 1));
    assert_eq!(counted.json()["tx"], 20);
    assert_eq!(counted.json()["rx"], 10);
    assert_eq!(ended.json()["participants"], json!(["anna", "bert"]));
    assert_eq!(ended.json()["exit_status"], 3);
    assert_eq!(ended.json()["enhanced_recording"], true);
    assert_eq!(ended.json()["session_start"], "2023-11-14T22:13:20.000Z");

    let mut documents = Documents::new(Place::default());
    let mut again = Vec::new();
    let bodies = std::iter::once(Body::Start(Box::new(session("terminal")))).chain(bodies);
    for (seq, body) in (0..).zip(bodies) {
        again.extend(documents.turn(&Event {
            seq,
            at_ns: seq * 1000,
            body,
        }));
        let counted = documents.counted().clone();
        documents = Documents::resume(Place::default(), &session("terminal"), counted);
    }
    assert_eq!(again, all);

    let quiet = turned(session("host"), vec![end]);
    let names: Vec<_> = quiet.iter().map(|document| document.event).collect();
    assert_eq!(names, ["recording.start", "recording.end"]);
}

#[test]
fn the_place_is_said_where_a_recording_does_not() {
    let place = Place {
        cluster_name: Some("c1".to_owned()),
        server_id: Some("h1".to_owned()),
    };
    let mut session = session("terminal");
    session.target.push("server_id", "own");
    session.subject = Fields::new().with("login", "root");
    let body = Body::Start(Box::new(session));
    let mut documents = Documents::new(place);
    let json = documents.turn(&Event {
        seq: 0,
        at_ns: 0,
        body,
    })[0]
        .json();
    assert_eq!(
        (&json["cluster_name"], &json["server_id"]),
        (&json!("c1"), &json!("own"))
    );
    assert_eq!(
        (&json["user"], &json["login"]),
        (&json!("root"), &json!("root"))
    );
}

#[test]
fn nothing_is_said_without_a_header() {
    let mut documents = Documents::new(Place::default());
    let event = Event {
        seq: 5,
        at_ns: 0,
        body: Body::Mark {
            label: String::new(),
        },
    };
    assert_eq!(documents.turn(&event), []);
}

#[test]
fn participants_are_bounded() {
    let join = |i: u64| {
        let fields = Fields::new().with("user", format!("{i}{}", "x".repeat(1000)));
        Body::Channel(fact("session.join", fields))
    };
    let mut documents = Documents::resume(Place::default(), &session("ssh"), Counted::default());
    for seq in 0..200 {
        documents.turn(&Event {
            seq,
            at_ns: 0,
            body: join(seq),
        });
    }
    let people = &documents.counted().participants;
    assert_eq!(people.len(), DOCUMENT_PARTICIPANTS_MAX);
    assert!(people.iter().all(|user| user.len() == 256));
}
