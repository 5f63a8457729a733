//! Teleport's classic recordings: a sample made by another program, there and back, damage.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod support;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::rc::Rc;
use std::sync::Arc;

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use hansard_core::event::{End, Fact, Gap};
use hansard_core::{Body, Event, Fields, Stream, Value};
use hansard_view::parts::{Inputs, Outputs, Part};
use hansard_view::teleport::{
    ClassicDecoder, ClassicEncoder, TarEncoder, TarInputs, guess_names, guess_tar,
};
use hansard_view::{Decoder, Encoder, Format};
use proptest::prelude::*;
use serde_json::Value as Json;
use support::{TempDir, import, key, output, session};

const SID: &str = "6f1c0a52-9d0b-4c8e-8f8f-0e6a5c1b2d3e";

/// Files in memory.
#[derive(Clone, Default)]
struct Files {
    names: Vec<String>,
    bytes: Rc<RefCell<BTreeMap<String, Vec<u8>>>>,
}

impl Files {
    fn with(mut self, name: &str, bytes: &[u8]) -> Self {
        self.bytes
            .borrow_mut()
            .insert(name.to_owned(), bytes.to_vec());
        self.names = self.bytes.borrow().keys().cloned().collect();
        self
    }

    /// With lines or bytes that are compressed first.
    fn gz(self, name: &str, text: impl AsRef<[u8]>) -> Self {
        let mut out = GzEncoder::new(Vec::new(), Compression::fast());
        out.write_all(text.as_ref()).unwrap();
        let bytes = out.finish().unwrap();
        self.with(name, &bytes)
    }

    fn lines(&self, name: &str) -> Vec<Json> {
        let mut text = String::new();
        let bytes = self.bytes.borrow()[name].clone();
        match name.ends_with(".gz") {
            true => MultiGzDecoder::new(bytes.as_slice())
                .read_to_string(&mut text)
                .unwrap(),
            false => bytes.as_slice().read_to_string(&mut text).unwrap(),
        };
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn inflated(&self, name: &str) -> Vec<u8> {
        let mut all = Vec::new();
        MultiGzDecoder::new(self.bytes.borrow()[name].as_slice())
            .read_to_end(&mut all)
            .unwrap();
        all
    }
}

impl Inputs for Files {
    fn names(&self) -> Option<&[String]> {
        Some(&self.names)
    }

    fn open(&self, part: Part<'_>) -> io::Result<Option<Box<dyn Read>>> {
        let Part::Inside(name) = part else {
            return Ok(None);
        };
        let bytes = self.bytes.borrow().get(name).cloned();
        Ok(bytes.map(|bytes| Box::new(io::Cursor::new(bytes)) as Box<dyn Read>))
    }
}

struct Member(Rc<RefCell<BTreeMap<String, Vec<u8>>>>, String);

impl Write for Member {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .borrow_mut()
            .get_mut(&self.1)
            .unwrap()
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Outputs for Files {
    fn create(&mut self, part: Part<'_>) -> io::Result<Box<dyn Write>> {
        let Part::Inside(name) = part else {
            panic!("{part:?}")
        };
        let before = self.bytes.borrow_mut().insert(name.to_owned(), Vec::new());
        assert!(before.is_none(), "{name} created twice");
        Ok(Box::new(Member(Rc::clone(&self.bytes), name.to_owned())))
    }
}

fn read_all(decoder: &mut dyn Decoder) -> (Vec<Event>, Option<String>, Vec<String>) {
    let mut events: Vec<Event> = Vec::new();
    let error = loop {
        match decoder.next_event() {
            Ok(Some(event)) => {
                assert_eq!(events.is_empty(), matches!(event.body, Body::Start(_)));
                assert!(
                    events
                        .last()
                        .is_none_or(|last| last.at_ns <= event.at_ns && last.seq + 1 == event.seq)
                );
                events.push(event);
            }
            Ok(None) => break None,
            Err(e) => break Some(e.to_string()),
        }
    };
    assert!(matches!(decoder.next_event(), Ok(None)));
    (events, error, decoder.take_notices())
}

fn read(inputs: &dyn Inputs) -> (Vec<Event>, Option<String>, Vec<String>) {
    read_all(&mut ClassicDecoder::new(inputs, import()))
}

fn write_to(encoder: &mut dyn Encoder, events: &[Event]) {
    for event in events {
        match &event.body {
            Body::Start(session) => encoder.begin(session).unwrap(),
            _ => encoder.event(event).unwrap(),
        }
    }
    encoder.end().unwrap();
}

fn write(events: &[Event]) -> Files {
    let mut files = Files::default();
    write_to(&mut ClassicEncoder::new(Box::new(files.clone())), events);
    files.names = files.bytes.borrow().keys().cloned().collect();
    files
}

/// Through our own format.
fn ours(events: &[Event]) -> Vec<Event> {
    let mut out = Vec::new();
    write_to(Format::Hansard.encoder(&mut out, key()).as_mut(), events);
    read_all(
        Format::Hansard
            .decoder(out.as_slice(), import())
            .unwrap()
            .as_mut(),
    )
    .0
}

fn sample_bytes() -> Vec<u8> {
    let path = format!(
        "{}/tests/data/teleport/classic.tar",
        env!("CARGO_MANIFEST_DIR")
    );
    std::fs::read(path).unwrap()
}

fn sample() -> Files {
    let tar = TarInputs::new(Arc::new(sample_bytes())).unwrap();
    let mut files = Files::default();
    for name in tar.names().unwrap() {
        let mut bytes = Vec::new();
        tar.open(Part::Inside(name))
            .unwrap()
            .unwrap()
            .read_to_end(&mut bytes)
            .unwrap();
        files = files.with(name, &bytes);
    }
    files
}

/// Everything the files of a recording say: lines as values, bytes as they are.
fn said(files: &Files) -> BTreeMap<String, Vec<Json>> {
    let events = files
        .names
        .iter()
        .filter(|name| name.ends_with("events.gz"));
    events
        .map(|name| (name.clone(), files.lines(name)))
        .collect()
}

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

fn proptest_fields() -> impl Strategy<Value = Json> {
    let scalar = prop_oneof![
        any::<u64>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<bool>().prop_map(Json::from),
        Just(Json::Null),
        (-1e9f64..1e9).prop_map(Json::from),
        "\\PC{0,12}".prop_map(Json::from),
    ];
    scalar.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            proptest::collection::vec(("[a-z.]{0,6}", inner), 0..4)
                .prop_map(|pairs| Json::Object(pairs.into_iter().collect())),
        ]
    })
}

#[derive(Debug, Clone)]
enum Said {
    Print(u64, Vec<u8>),
    Fact(u64, usize, Vec<(String, Json)>),
}

const EVENTS: [&str; 8] = [
    "session.command",
    "session.disk",
    "session.network",
    "session.join",
    "resize",
    "exec",
    "sftp",
    "made.up",
];

fn said_strategy() -> impl Strategy<Value = Said> {
    let bytes = proptest::collection::vec(any::<u8>(), 0..60);
    let field = ("[a-z_.]{1,12}", proptest_fields());
    prop_oneof![
        3 => (0u64..3000, bytes).prop_map(|(step, bytes)| Said::Print(step, bytes)),
        2 => (0u64..3000, 0usize..8, proptest::collection::vec(field, 0..5)).prop_map(|(step, i, fields)| Said::Fact(step, i, fields)),
    ]
}

/// Files as Teleport would write them of these events.
fn files_of(all: &[Said], jitter: u64) -> Files {
    let time = |ms: u64| {
        let fraction = format!(".{:03}", ms % 1000);
        let fraction = fraction.trim_end_matches('0').trim_end_matches('.');
        format!(
            "2020-09-13T12:{:02}:{:02}{fraction}Z",
            ms / 60_000 % 60,
            ms / 1000 % 60
        )
    };
    let mut lines = vec![String::new(); 4];
    let (mut now, mut chunks, mut kernel) = (0, Vec::new(), [0; 3]);
    let (mut ei, mut ci, mut ms, mut last) = (0, 0, 0, None);
    for said in all {
        match said {
            Said::Print(step, bytes) => {
                now += step;
                // Teleport loses up to a millisecond with every print.
                ms += last.map_or(0, |last: u64| {
                    (now - last).saturating_sub(jitter * (now % 2))
                });
                last = Some(now);
                lines[0] += &format!(
                    "{{\"time\":\"{}\",\"event\":\"print\",\"bytes\":{},\"ms\":{ms},\"offset\":{},\"ei\":{ei},\"ci\":{ci}}}\n",
                    time(now),
                    bytes.len(),
                    chunks.len()
                );
                chunks.extend_from_slice(bytes);
                (ei, ci) = (ei + 1, ci + 1);
            }
            Said::Fact(step, i, fields) => {
                now += step;
                let mut object: serde_json::Map<String, Json> = fields.iter().cloned().collect();
                object.insert("event".to_owned(), Json::from(EVENTS[*i]));
                object.insert("time".to_owned(), Json::from(time(now)));
                let index = kernel.get_mut(*i).unwrap_or(&mut ei);
                object.insert("ei".to_owned(), Json::from(*index));
                *index += 1;
                lines[(*i + 1) % 9 * usize::from(*i < 3)] += &format!("{}\n", Json::Object(object));
            }
        }
    }
    let mut files = Files::default();
    let names = [
        "events",
        "session.command-events",
        "session.disk-events",
        "session.network-events",
    ];
    for (name, lines) in names
        .iter()
        .zip(&lines)
        .filter(|(_, lines)| !lines.is_empty())
    {
        files = files.gz(&format!("s-0.{name}.gz"), lines);
    }
    match lines[0].contains("\"print\"") {
        true => files.gz("s-0.chunks.gz", chunks),
        false => files,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_recording_comes_back(all in proptest::collection::vec(said_strategy(), 1..40), jitter in 0u64..2) {
        let first = files_of(&all, jitter);
        let (events, error, _) = read(&first);
        prop_assert_eq!(error, None);
        for events in [events.clone(), ours(&events)] {
            let back = write(&events);
            let lines = |files: &Files| -> Vec<Vec<Json>> { said(files).into_values().collect() };
            prop_assert_eq!(lines(&back), lines(&first));
            let chunks = |files: &Files| files.names.iter().find(|n| n.ends_with("chunks.gz")).map(|n| files.inflated(n));
            prop_assert_eq!(chunks(&back), chunks(&first));
        }
    }

    #[test]
    fn any_damage_is_read_or_refused(file in 0usize..6, at in 0usize..2000, byte in any::<u8>(), cut in any::<bool>()) {
        let mut files = sample();
        let name = files.names[file % files.names.len()].clone();
        let mut bytes = files.bytes.borrow()[&name].clone();
        let at = at % bytes.len();
        match cut {
            true => bytes.truncate(at),
            false => bytes[at] = byte,
        }
        files = files.with(&name, &bytes);
        let (events, error, notices) = read(&files);
        prop_assert!(error.is_none_or(|e| e.contains("offset ")));
        if !events.is_empty() {
            prop_assert!(read(&write(&events)).1.is_none());
        }
        prop_assert!(notices.iter().all(|n| !n.is_empty()));
    }

    #[test]
    fn what_was_written_is_written_the_same_again(
        changes in proptest::collection::vec((0usize..4, any::<usize>(), 0u8..5, any::<u8>()), 1..6),
    ) {
        let mut inside: Vec<(String, Vec<u8>)> = sample()
            .names
            .iter()
            .filter(|name| name.ends_with(".gz"))
            .map(|name| (name.clone(), sample().inflated(name)))
            .collect();
        for (file, at, kind, byte) in changes {
            let bytes = &mut inside[file].1;
            let at = at % bytes.len().max(1);
            let lines: Vec<Vec<u8>> = bytes.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
            let line = usize::from(byte) % lines.len().max(1);
            match kind {
                0 if !bytes.is_empty() => bytes[at] = byte & 0x7f,
                // A digit more or less, a line twice, a line not at all: still JSON, often.
                1 => {
                    if let Some(i) = bytes.iter().skip(at).position(u8::is_ascii_digit) {
                        bytes[at + i] = b'0' + byte % 10;
                    }
                }
                2 => bytes.extend(lines.get(line).cloned().unwrap_or_default()),
                3 => *bytes = lines.iter().enumerate().filter(|(i, _)| *i != line).flat_map(|(_, l)| l.clone()).collect(),
                _ => bytes.truncate(at),
            }
        }
        let mut files = Files::default();
        for (name, bytes) in &inside {
            files = files.gz(name, bytes);
        }
        let (events, ..) = read(&files);
        if !events.is_empty() {
            let first = write(&events);
            let (again, error, _) = read(&first);
            prop_assert_eq!(error, None);
            let second = write(&again);
            prop_assert_eq!(said(&second), said(&first));
            prop_assert_eq!(&*second.bytes.borrow(), &*first.bytes.borrow());
        }
    }
}
