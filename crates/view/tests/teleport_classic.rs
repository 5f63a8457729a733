//! Teleport's classic recordings: a sample made by another program, there and back, damage.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod support;

use std::sync::Arc;

use hansard_core::event::{End, Fact, Gap};
use hansard_core::{Body, Event, Fields, Stream, Value};
use hansard_view::parts::Inputs;
use hansard_view::teleport::{ClassicDecoder, TarEncoder, TarInputs, guess_names, guess_tar};
use serde_json::Value as Json;
use support::teleport::{
    Files, SID, ours, read, read_all, said, sample, sample_bytes, write, write_to,
};
use support::{TempDir, import, output, session};

#[test]
fn a_classic_recording_becomes_events() {
    assert!(guess_tar(&sample_bytes()) && guess_names(&sample().names));
    let (events, error, notices) = read(&sample());
    assert_eq!((error, notices), (None, vec![]));
    let Body::Start(session) = &events[0].body else {
        panic!()
    };
    assert_eq!(session.start_utc_ns, 1_600_000_000_000_000_000);
    assert_eq!(session.subject.text("login"), Some("root"));
    assert_eq!(session.origin.text("addr.remote"), Some("192.0.2.9:51000"));
    assert_eq!(session.target.text("server_id"), Some("node-1"));
    let told: Vec<(u64, String)> = events[1..]
        .iter()
        .map(|event| {
            (
                (event.at_ns + 500_000) / 1_000_000,
                match &event.body {
                    Body::Data { bytes, .. } => String::from_utf8_lossy(bytes).into_owned(),
                    Body::Resize { cols, rows } => format!("{cols}x{rows}"),
                    Body::Channel(fact)
                    | Body::Command(fact)
                    | Body::File(fact)
                    | Body::Network(fact) => {
                        format!("{} {}", event.body.family(), fact.event)
                    }
                    body => body.family().to_owned(),
                },
            )
        })
        .collect();
    let wanted = [
        (0, "channel session.start"),
        (0, "80x25"),
        (120, "$ "),
        (1451, "ls\r\n"),
        (1500, "command session.command"),
        (1501, "file session.disk"),
        (1502, "network session.network"),
        (2000, "channel resize"),
        (2000, "132x43"),
        (2520, "channel teleport.print"),
        (2520, "a  b\r\n\u{fffd}"),
        (2600, "channel session.join"),
        (2700, "command session.command"),
        (3122, "$ exit\r\n"),
        (3200, "channel session.leave"),
        (3200, "channel session.data"),
        (3250, "channel session.end"),
        (3250, "end"),
    ];
    let told: Vec<(u64, &str)> = told.iter().map(|(ms, what)| (*ms, what.as_str())).collect();
    assert_eq!(told, wanted);
}

#[test]
fn a_classic_recording_comes_back_with_every_field() {
    let first = sample();
    let (events, ..) = read(&first);
    for events in [events.clone(), ours(&events)] {
        let back = write(&events);
        assert_eq!(said(&back), said(&first));
        let chunks = format!("{SID}-0.chunks.gz");
        assert_eq!(back.inflated(&chunks), first.inflated(&chunks));
        let mut listed: Vec<_> = back.lines(&format!("{SID}.index"));
        let mut wanted: Vec<_> = first.lines(&format!("{SID}.index"));
        listed.sort_by_key(Json::to_string);
        wanted.sort_by_key(Json::to_string);
        assert_eq!(listed, wanted);
        assert_eq!(read(&back).0, read(&first).0);
    }
}

#[test]
fn an_archive_is_written_and_read() {
    let (events, ..) = read(&sample());
    let dir = TempDir::new("teleport-tar");
    std::fs::create_dir(dir.path("scratch")).unwrap();
    let mut out = Vec::new();
    write_to(
        &mut TarEncoder::new(&mut out, &dir.path("scratch")),
        &events,
    );
    assert_eq!(std::fs::read_dir(dir.path("scratch")).unwrap().count(), 0);
    assert!(guess_tar(&out));
    let tar = TarInputs::new(Arc::new(out)).unwrap();
    assert_eq!(tar.names().unwrap(), sample().names);
    assert_eq!(read(&tar).0, events);
}

fn events(bodies: Vec<(u64, Body)>) -> Vec<Event> {
    let start = (0, Body::Start(Box::new(session())));
    let all = std::iter::once(start).chain(bodies).zip(0..);
    all.map(|((at_ns, body), seq)| Event { seq, at_ns, body })
        .collect()
}

fn fact(event: &str, fields: Fields) -> Fact {
    Fact {
        event: event.to_owned(),
        fields,
    }
}

#[test]
fn a_recording_of_ours_becomes_teleports() {
    let ms = 1_000_000;
    let keys = Body::Data {
        stream: Stream::Keystrokes,
        bytes: b"secret".to_vec(),
    };
    let stderr = Body::Data {
        stream: Stream::Stderr,
        bytes: b"oops\n".to_vec(),
    };
    let gap = Gap {
        cause: "disk full".to_owned(),
        from_ns: 1,
        bytes: Some(7),
        ..Gap::default()
    };
    let command = fact(
        "session.command",
        Fields::new().with("path", Value::Bytes(b"/bin/\xff".to_vec())),
    );
    let end = End {
        reason: "exited".to_owned(),
        exit_status: Some(3),
        signal: None,
    };
    let recording = events(vec![
        (
            0,
            Body::Resize {
                cols: 100,
                rows: 30,
            },
        ),
        (150 * ms + 600_000, output(b"$ ")),
        (200 * ms, keys),
        (300 * ms, Body::Command(command)),
        (1300 * ms, stderr),
        (1400 * ms, Body::Resize { cols: 90, rows: 20 }),
        (
            1500 * ms,
            Body::Mark {
                label: "here".to_owned(),
            },
        ),
        (1600 * ms, Body::Gap(gap.clone())),
        (
            1700 * ms,
            Body::Process(fact("process.exit", Fields::new().with("pid", 4))),
        ),
        (
            1800 * ms,
            Body::Unknown {
                kind: 99,
                bytes: vec![1],
            },
        ),
        (2000 * ms, Body::End(end)),
    ]);
    let files = write(&recording);
    let sid = session().id.to_string();
    let lines = files.lines(&format!("{sid}-0.events.gz"));
    let names: Vec<&str> = lines
        .iter()
        .map(|line| line["event"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "session.start",
            "print",
            "print",
            "resize",
            "hansard.mark",
            "hansard.gap",
            "process.exit",
            "session.end"
        ]
    );
    assert!(lines.iter().zip(0..).all(|(line, i)| line["ei"] == i));
    assert_eq!(lines[0]["size"], "100:30");
    assert_eq!(lines[0]["user"], "root");
    assert_eq!(lines[0]["initial_command"], serde_json::json!(["bash -l"]));
    assert_eq!(lines[0]["time"], "2023-11-14T22:13:20Z");
    // Bytes, offsets and moments add up.
    assert_eq!(lines[1]["time"], "2023-11-14T22:13:20.151Z");
    for (line, (bytes, offset, delay, ci)) in
        lines[1..3].iter().zip([(2, 0, 0, 0), (5, 2, 1149, 1)])
    {
        for (name, n) in [
            ("bytes", bytes),
            ("offset", offset),
            ("ms", delay),
            ("ci", ci),
        ] {
            assert_eq!(line[name], n, "{name}");
        }
    }
    assert_eq!(files.inflated(&format!("{sid}-0.chunks.gz")), b"$ oops\n");
    assert_eq!(lines[7]["exit_status"], 3);
    let command = &files.lines(&format!("{sid}-0.session.command-events.gz"))[0];
    assert_eq!(
        (command["path"].as_str(), &command["ei"]),
        (Some("/bin/\u{fffd}"), &Json::from(0))
    );
    assert_eq!(command["user"], "root");
    // And what comes back says the same.
    let (back, error, notices) = read(&files);
    assert_eq!((error, notices), (None, vec![]));
    let bodies: Vec<&Body> = back.iter().map(|event| &event.body).collect();
    assert!(
        bodies.contains(&&Body::Gap(gap))
            && bodies.contains(&&Body::Mark {
                label: "here".to_owned()
            })
    );
    assert!(
        bodies
            .iter()
            .any(|body| matches!(body, Body::Process(fact) if fact.event == "process.exit"))
    );
    assert!(matches!(
        bodies.last(),
        Some(Body::End(End {
            exit_status: Some(3),
            ..
        }))
    ));
    // The identifiers are the same whenever it is written.
    assert_eq!(said(&write(&recording)), said(&files));
}

#[test]
fn odd_recordings_are_written_all_the_same() {
    let (empty, ended) = (events(vec![]), events(vec![(5, Body::End(End::default()))]));
    let kernel = Body::Network(fact("session.network", Fields::new()));
    for (recording, count) in [(empty, 1), (ended, 2), (events(vec![(1, kernel)]), 1)] {
        let files = write(&recording);
        let sid = session().id;
        assert_eq!(files.lines(&format!("{sid}-0.events.gz")).len(), count);
        let (back, error, _) = read(&files);
        assert_eq!(error, None);
        assert!(matches!(back.last().unwrap().body, Body::End(_)));
    }
    // A session id that would lead elsewhere names no file.
    let mut recording = events(vec![(0, output(b"x"))]);
    if let Body::Start(session) = &mut recording[0].body {
        session.origin.push("sid", "../../etc/passwd");
    }
    assert!(
        write(&recording)
            .names
            .iter()
            .all(|name| name.starts_with(&session().id.to_string()))
    );
    // An event too long for a line says so.
    let long = fact("sftp", Fields::new().with("path", "x".repeat(900 * 1024)));
    let files = write(&events(vec![(0, Body::Transfer(long))]));
    let (back, error, _) = read(&files);
    assert_eq!(error, None);
    let left_out = |event: &Event| matches!(&event.body, Body::Transfer(fact) if fact.fields.get("hansard.left_out").is_some());
    assert!(back.iter().any(left_out));
}

fn print_line(ei: u64, ci: u64, offset: u64, bytes: u64) -> String {
    format!(
        "{{\"time\":\"2020-09-13T12:26:40Z\",\"event\":\"print\",\"bytes\":{bytes},\"ms\":0,\"offset\":{offset},\"ei\":{ei},\"ci\":{ci}}}\n"
    )
}

#[test]
fn files_that_begin_anew_are_one_recording() {
    let files = Files::default()
        .gz("s-0.events.gz", print_line(0, 0, 0, 3))
        .gz("s-1.events.gz", print_line(1, 1, 3, 2))
        .gz("s-10.events.gz", print_line(10, 5, 5, 1))
        .gz("s-0.chunks.gz", "abc")
        .gz("s-3.chunks.gz", "de")
        .gz("s-5.chunks.gz", "f");
    let (events, error, notices) = read(&files);
    assert_eq!(error, None);
    let bytes: Vec<u8> = events
        .iter()
        .filter_map(|e| match &e.body {
            Body::Data { bytes, .. } => Some(bytes.clone()),
            _ => None,
        })
        .flatten()
        .collect();
    assert_eq!(bytes, b"abcdef");
    assert!(
        events
            .iter()
            .any(|e| matches!(&e.body, Body::Gap(gap) if gap.events == Some(8)))
    );
    assert!(
        notices
            .iter()
            .any(|n| n.starts_with("8 events are missing")),
        "{notices:?}"
    );
    assert!(
        notices.iter().any(|n| n.contains("no index")),
        "{notices:?}"
    );
    let back = write(&events);
    let lines: Vec<Json> = said(&back).into_values().flatten().collect();
    let indexes: Vec<_> = lines
        .iter()
        .map(|line| line["ei"].as_u64().unwrap())
        .collect();
    assert_eq!(indexes, [0, 1, 10]);
}

#[test]
fn bytes_that_are_missing_are_a_gap() {
    let events_gz = [
        print_line(0, 0, 0, 3),
        print_line(1, 1, 3, 50),
        print_line(2, 2, 53, 9),
    ]
    .concat();
    let files = Files::default()
        .gz("s-0.events.gz", events_gz)
        .gz("s-0.chunks.gz", "abcdef");
    let (events, error, _) = read(&files);
    assert_eq!(error, None);
    let gaps: Vec<_> = events
        .iter()
        .filter_map(|e| match &e.body {
            Body::Gap(gap) => gap.bytes,
            _ => None,
        })
        .collect();
    assert_eq!(gaps, [47, 9]);
    assert!(read(&write(&events)).1.is_none());
    // Without any bytes, and with an offset before the last.
    let files = Files::default().gz(
        "s-0.events.gz",
        [print_line(0, 0, 7, 3), print_line(1, 1, 2, 3)].concat(),
    );
    let (events, error, _) = read(&files);
    assert_eq!((error, events.len()), (None, 4));
}

#[test]
fn bytes_that_no_event_names_are_counted() {
    // Two before the first print, one between, a file that is passed over, and the last four.
    let files = Files::default()
        .gz(
            "s-0.events.gz",
            [
                print_line(0, 0, 2, 3),
                print_line(1, 1, 6, 1),
                print_line(2, 2, 30, 2),
            ]
            .concat(),
        )
        .gz("s-0.chunks.gz", "__abc_d")
        .gz("s-20.chunks.gz", "____")
        .gz("s-30.chunks.gz", "ef__")
        .gz("s-50.chunks.gz", "__");
    let (events, error, notices) = read(&files);
    assert_eq!(error, None);
    let shown: Vec<&[u8]> = events
        .iter()
        .filter_map(|e| match &e.body {
            Body::Data { bytes, .. } => Some(bytes.as_slice()),
            _ => None,
        })
        .collect();
    assert_eq!(shown.concat(), b"abcdef");
    let said = "11 bytes of the terminal belong to no event, and were passed over";
    assert!(notices.iter().any(|n| n == said), "{notices:?}");
}

#[test]
fn the_recording_that_is_meant_is_read() {
    let line = |sid: &str| format!("{{\"event\":\"session.end\",\"ei\":0,\"sid\":\"{sid}\"}}\n");
    let files = Files::default()
        .gz("b-0.events.gz", line("b"))
        .gz("a-0.events.gz", line("a"))
        .with("log", b"x");
    let sid = |rec: Option<&str>| {
        let mut import = import();
        import.rec = rec.map(str::to_owned);
        let (events, error, notices) = read_all(&mut ClassicDecoder::new(&files, import));
        let Some(Body::Start(session)) = events.first().map(|e| &e.body) else {
            return (error.unwrap(), notices);
        };
        (session.origin.text("sid").unwrap().to_owned(), notices)
    };
    assert_eq!(sid(Some("b")).0, "b");
    let (first, notices) = sid(None);
    assert_eq!(first, "a");
    assert!(
        notices[0].contains("2 recordings here, a, b"),
        "{notices:?}"
    );
    assert!(
        sid(Some("c")).0.contains("there are a, b"),
        "{}",
        sid(Some("c")).0
    );
    assert!(
        read(&Files::default().with("log", b"x"))
            .1
            .unwrap()
            .contains("no file here is of a classic")
    );
}
