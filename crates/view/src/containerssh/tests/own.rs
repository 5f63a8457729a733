//! Our own recordings as logs, and the words of both outputs.

use hansard_core::event::{End, Fact, Gap};
use hansard_core::session::ClockQuality;
use hansard_core::{Fields, Policy, Session, Stream, Value};

use super::*;

fn session(kind: &str) -> Session {
    Session {
        id: SessionId::from_bytes([0xab; 16]),
        parent: None,
        kind: kind.to_owned(),
        subject: Fields::new().with("user", "root").with("login", "anna"),
        origin: Fields::new()
            .with("addr.remote", "192.0.2.7")
            .with("term", "xterm"),
        target: Fields::new()
            .with("command", "bash -l")
            .with("env.LANG", "C.UTF-8"),
        start_utc_ns: START as u64,
        clock: ClockQuality::Synchronised,
        policy: Policy::default(),
        recorder_key: [0; 32],
        recorder: "hansard 0.1.0".to_owned(),
    }
}

fn events(session: Session, bodies: Vec<Body>) -> Vec<Event> {
    std::iter::once(Body::Start(Box::new(session)))
        .chain(bodies)
        .zip(0..)
        .map(|(body, seq)| Event {
            seq,
            at_ns: seq * 1000,
            body,
        })
        .collect()
}

fn data(stream: Stream, bytes: &[u8]) -> Body {
    Body::Data {
        stream,
        bytes: bytes.to_vec(),
    }
}

/// The messages' types and payloads, as their decoder would print them.
fn said(events: &[Event]) -> Vec<(u64, String)> {
    // Through the log, so that what is compared is what was written.
    let (back, error) = decode(&encode(events));
    assert_eq!(error, None);
    assert_eq!(json(&back), json(events));
    let lines = json(&back);
    let lines = lines.lines().map(|line| {
        let json: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(json["connectionId"], "ab".repeat(16));
        (json["type"].as_u64().unwrap(), json["payload"].to_string())
    });
    lines.collect()
}

#[test]
fn a_terminal_session_makes_the_log_that_containerssh_would_have_made() {
    let bodies = vec![
        Body::Resize { cols: 80, rows: 24 },
        data(Stream::Keystrokes, b"l"),
        data(Stream::Output, b"out\xff"),
        Body::Resize {
            cols: 100,
            rows: 30,
        },
        Body::Mark { label: "m".into() },
        Body::Resize {
            cols: 100,
            rows: 30,
        },
        Body::Unknown {
            kind: 99,
            bytes: vec![1],
        },
        Body::Auth(Fact {
            event: "auth".into(),
            fields: Fields::new(),
        }),
        Body::End(End {
            exit_status: Some(3),
            ..End::default()
        }),
    ];
    let made = said(&events(session("terminal"), bodies));
    let want = [
        (0, r#"{"remoteAddr":"192.0.2.7","country":"XX"}"#),
        (199, r#"{"username":"anna"}"#),
        (301, r#"{"channelType":"session"}"#),
        (
            404,
            r#"{"requestId":0,"term":"xterm","columns":80,"rows":24,"width":0,"height":0,"modelist":""}"#,
        ),
        (402, r#"{"requestId":1,"name":"LANG","value":"C.UTF-8"}"#),
        (403, r#"{"requestId":2,"program":"bash -l"}"#),
        (500, r#"{"stream":0,"data":"bA=="}"#),
        (500, r#"{"stream":1,"data":"b3V0/w=="}"#),
        (
            408,
            r#"{"requestId":3,"columns":100,"rows":30,"width":0,"height":0}"#,
        ),
        (
            408,
            r#"{"requestId":4,"columns":100,"rows":30,"width":0,"height":0}"#,
        ),
        (499, r#"{"exitStatus":3}"#),
        (497, "null"),
        (1, "null"),
    ];
    let made: Vec<_> = made
        .iter()
        .map(|(n, payload)| (*n, payload.as_str()))
        .collect();
    assert_eq!(made, want);
}

#[test]
fn what_is_odd_but_legal_makes_a_log_too() {
    let types = |events: &[Event]| said(events).iter().map(|(n, _)| *n).collect::<Vec<_>>();
    // No event at all, neither command nor end: an unfinished log.
    let mut bare = session("terminal");
    bare.target = Fields::new();
    assert_eq!(
        types(&events(bare.clone(), vec![])),
        [0, 199, 301, 404, 405]
    );
    // Without a terminal, ended by a signal.
    let bodies = vec![
        data(Stream::Stdin, b"i"),
        data(Stream::Stdout, b"o"),
        data(Stream::Stderr, b"e"),
        Body::End(End {
            signal: Some("TERM".into()),
            ..End::default()
        }),
    ];
    let made = events(session("exec"), bodies);
    assert_eq!(
        types(&made),
        [0, 199, 301, 402, 403, 500, 500, 500, 498, 497, 1]
    );
    let streams = decode(&encode(&made))
        .0
        .into_iter()
        .filter_map(|event| match event.body {
            Body::Data { stream, .. } => Some(stream),
            _ => None,
        });
    let streams: Vec<_> = streams.collect();
    assert_eq!(streams, [Stream::Stdin, Stream::Stdout, Stream::Stderr]);
    // Arguments instead of a command line, bytes that are no UTF-8, a size of nothing.
    bare.target
        .push("argv", Value::List(vec!["ls".into(), "a b".into()]));
    bare.subject = Fields::new().with("user", Value::Bytes(b"r\xffoot".to_vec()));
    let made = events(
        bare,
        vec![Body::Resize { cols: 0, rows: 0 }, data(Stream::Output, b"")],
    );
    let written = said(&made);
    assert_eq!(written[1].1, "{\"username\":\"r\u{fffd}oot\"}");
    assert_eq!(written[4].1, r#"{"requestId":1,"program":"ls 'a b'"}"#);
    assert_eq!(written[5], (500, r#"{"stream":1,"data":""}"#.to_owned()));
}

#[test]
fn a_gap_is_an_error_to_read_and_a_request_in_a_log() {
    let gap = Gap {
        cause: "disk full".into(),
        bytes: Some(9),
        ..Gap::default()
    };
    let made = events(session("exec"), vec![Body::Gap(gap)]);
    let label = "recording gap: 9 bytes missing (disk full)";
    let lines = json(&made);
    assert_eq!(
        lines.lines().last().unwrap(),
        format!("{{\"error\":\"{label}\"}}")
    );
    let (back, _) = decode(&encode(&made));
    let last = json(&back).lines().last().unwrap().to_owned();
    assert!(
        last.contains("\"typeId\":\"global_request_unknown\""),
        "{last}"
    );
    assert!(last.contains(label), "{last}");
}

#[test]
fn strings_are_written_as_go_writes_them() {
    let program = "\u{0}\u{8}\t\n\u{c}\r\u{1f}\u{7f}\"\\/<>&\u{2028}\u{2029}é🎉".as_bytes();
    let (events, _) = decode(&log(2, &exec(START, &[program, b"\xf0\x9f\x8e!"].concat())));
    let want = "\"\\u0000\\b\\t\\n\\f\\r\\u001f\u{7f}\\\"\\\\/\\u003c\\u003e\\u0026\
                \\u2028\\u2029é🎉\u{fffd}\u{fffd}\u{fffd}!\"";
    assert!(json(&events).contains(want), "{}", json(&events));
}

#[test]
fn the_header_says_who_and_what_as_far_as_the_first_messages_do() {
    let mut content = message(
        0,
        START,
        b"\xa2\x6aremoteAddr\x69192.0.2.1\x67country\x62DE",
        None,
    );
    content.extend(message(199, START, b"\xa1\x68username\x63foo", None));
    let env = b"\xa3\x69requestId\x00\x64name\x64LANG\x65value\x61C";
    content.extend(message(402, START, env, Some(0)));
    let pty = b"\xa3\x64term\x65xterm\x67columns\x18\x50\x64rows\x18\x18";
    content.extend(message(404, START, pty, Some(0)));
    content.extend(exec(START + 10, b"ls"));
    content.extend(io(START + 20, 1, b"out", 0));
    content.extend(message(499, START + 30, b"\xa1\x6aexitStatus\x05", Some(0)));
    content.extend(message(1, START + 40, &[0xf6], None));
    let (events, error) = decode(&log(2, &content));
    assert_eq!(error, None);
    let Body::Start(session) = &events[0].body else {
        panic!("no session")
    };
    assert_eq!(
        (&*session.kind, session.start_utc_ns),
        ("ssh", START as u64)
    );
    assert_eq!(session.subject.text("user"), Some("foo"));
    assert_eq!(session.origin.text("addr.remote"), Some("192.0.2.1"));
    assert_eq!(session.origin.text("term"), Some("xterm"));
    assert_eq!(session.target.text("command"), Some("ls"));
    assert_eq!(session.target.text("env.LANG"), Some("C"));
    assert!(
        events
            .iter()
            .any(|e| e.body == Body::Resize { cols: 80, rows: 24 })
    );
    assert!(
        events
            .iter()
            .any(|e| e.body == data(Stream::Output, b"out"))
    );
    let Body::End(end) = &events.last().unwrap().body else {
        panic!("no end")
    };
    assert_eq!(
        (end.exit_status, events.last().unwrap().at_ns),
        (Some(5), 40)
    );
    // And a cast of it has its size, command and environment.
    let mut cast = Vec::new();
    let version = crate::cast::CastVersion::V2;
    feed(
        &mut crate::cast::CastEncoder::new(&mut cast, version),
        &events,
    );
    let first = String::from_utf8(cast).unwrap();
    let header: serde_json::Value = serde_json::from_str(first.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&header["command"], &header["env"]["LANG"]),
        (&"ls".into(), &"C".into())
    );
}
