//! Sessions of sudo, sound and broken.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read, Write};

use flate2::{Compression, write::GzEncoder};
use hansard_core::{Body, Event, SessionId, Stream, Value};
use proptest::prelude::*;

use super::SudoDecoder;
use crate::codec::{Decoder, copy};
use crate::import::Import;
use crate::jsonl::{JsonlDecoder, JsonlEncoder};
use crate::parts::{Inputs, Part};

/// What sudo 1.9.13 wrote, some variables taken out.
pub(super) const JSON: &str = r#"{
    "timestamp": { "seconds": 1795240063, "nanoseconds": 150262028 },
    "submituser": "anna",
    "command": "/usr/bin/sh",
    "runuser": "root",
    "rungroup": "wheel",
    "ttyname": "/dev/pts/2",
    "submithost": "vm",
    "submitcwd": "/home/anna",
    "runuid": 0,
    "columns": 80,
    "lines": 24,
    "runargv": [ "sh", "-c", "a b" ],
    "runenv": [ "TERM=xterm", "PATH=/bin:/usr/bin", "NOTHING" ]
}
"#;
const LOG: &str = "1795240063:anna:root:wheel:/dev/pts/2:24:80\n/home/anna\n/usr/bin/sh -c a b\n";
pub(super) const TIMING: &str = "4 0.005169124 2\n3 0.301765312 3\n4 0.000247860 4\n5 0.301473371 30 100\n\
                      7 1.000000000 TSTP\n7 2.5 CONT\n4 0.000000001 1\n1 0.000000001 3\n\
                      2 0.000000001 3\n0 0.000000001 2\n";

#[derive(Default, Clone)]
pub(super) struct Memory {
    pub(super) files: BTreeMap<String, Vec<u8>>,
    names: Vec<String>,
}

impl Memory {
    pub(super) fn with(mut self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        self.files.insert(name.to_owned(), bytes.as_ref().to_vec());
        self.names = self.files.keys().cloned().collect();
        self
    }

    pub(super) fn zipped(self) -> Self {
        let plain = ["log", "log.json"];
        let files = self.files.clone().into_iter();
        files.fold(self, |all, (name, bytes)| {
            match plain.contains(&name.as_str()) {
                true => all,
                false => all.with(&name, gzip(&bytes)),
            }
        })
    }
}

impl Inputs for Memory {
    fn names(&self) -> Option<&[String]> {
        Some(&self.names)
    }

    fn open(&self, part: Part<'_>) -> io::Result<Option<Box<dyn Read>>> {
        let Part::Inside(name) = part else {
            return Ok(None);
        };
        let bytes = self.files.get(name).cloned();
        Ok(bytes.map(|bytes| Box::new(Cursor::new(bytes)) as Box<dyn Read>))
    }
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn session() -> Memory {
    Memory::default()
        .with("log.json", JSON)
        .with("log", LOG)
        .with("timing", TIMING)
        .with("ttyout", b"$ ls\r\nx")
        .with("ttyin", b"ls\r")
        .with("stdout", b"ou\xff")
        .with("stderr", b"err")
        .with("stdin", b"in")
}

pub(super) fn import() -> Import {
    Import {
        id: SessionId::new_v7(1_700_000_000_000, [7; 10]),
        start_utc_ns: 5,
        recorder: "test".to_owned(),
        rec: None,
    }
}

pub(super) struct Seen {
    pub(super) events: Vec<Event>,
    pub(super) error: Option<String>,
    pub(super) notices: Vec<String>,
    pub(super) is_damaged: bool,
}

impl Seen {
    pub(super) fn bytes(&self, wanted: Stream) -> Vec<u8> {
        let mut all = Vec::new();
        for event in &self.events {
            if let Body::Data { stream, bytes } = &event.body
                && *stream == wanted
            {
                all.extend_from_slice(bytes);
            }
        }
        all
    }

    pub(super) fn ended(&self) -> bool {
        matches!(
            self.events.last().map(|event| &event.body),
            Some(Body::End(_))
        )
    }

    pub(super) fn gaps(&self) -> Vec<(u64, Option<u64>, &str)> {
        let mut gaps = Vec::new();
        for event in &self.events {
            if let Body::Gap(gap) = &event.body {
                gaps.push((gap.from_ns, gap.bytes, gap.cause.as_str()));
            }
        }
        gaps
    }
}

pub(super) fn read(inputs: &dyn Inputs) -> Seen {
    let mut decoder = SudoDecoder::new(inputs, import());
    let mut events: Vec<Event> = Vec::new();
    let error = loop {
        match decoder.next_event() {
            Ok(Some(event)) => {
                assert_eq!(events.is_empty(), matches!(event.body, Body::Start(_)));
                assert_eq!(event.seq, u64::try_from(events.len()).unwrap());
                assert!(events.last().is_none_or(|last| last.at_ns <= event.at_ns));
                events.push(event);
            }
            Ok(None) => break None,
            Err(e) => break Some(e.to_string()),
        }
    };
    assert!(
        matches!(decoder.next_event(), Ok(None)),
        "goes on after its end"
    );
    Seen {
        events,
        error,
        notices: decoder.take_notices(),
        is_damaged: decoder.is_damaged(),
    }
}

#[test]
fn a_session_is_read_gzip_and_plain_and_half_of_each() {
    let mixed = session().with("ttyout", gzip(b"$ ls\r\nx"));
    for inputs in [session(), session().zipped(), mixed] {
        let seen = read(&inputs);
        assert_eq!((seen.error.clone(), seen.notices.clone()), (None, vec![]));
        assert_eq!(seen.bytes(Stream::Output), b"$ ls\r\nx");
        assert_eq!(seen.bytes(Stream::Keystrokes), b"ls\r");
        assert_eq!(seen.bytes(Stream::Stdout), b"ou\xff");
        assert_eq!(seen.bytes(Stream::Stderr), b"err");
        assert_eq!(seen.bytes(Stream::Stdin), b"in");
        let times: Vec<u64> = seen.events.iter().map(|event| event.at_ns).collect();
        assert_eq!(
            times[..6],
            [0, 0, 5_169_124, 306_934_436, 307_182_296, 608_655_667]
        );
        assert_eq!(seen.events[1].body, Body::Resize { cols: 80, rows: 24 });
        assert_eq!(
            seen.events[5].body,
            Body::Resize {
                cols: 100,
                rows: 30
            }
        );
        for (event, signal) in [(6, "TSTP"), (7, "CONT")] {
            assert!(
                matches!(&seen.events[event].body, Body::Channel(fact) if fact.fields.text("suspend") == Some(signal))
            );
        }
        assert!(seen.ended());
    }
}

#[test]
fn who_ran_what_comes_from_either_log() {
    let seen = read(&session());
    let Body::Start(json) = &seen.events[0].body else {
        panic!("no session first")
    };
    assert_eq!(
        (json.start_utc_ns, json.kind.as_str()),
        (1_795_240_063_150_262_028, "terminal")
    );
    for (name, value) in [
        ("user", Value::from("anna")),
        ("login", "root".into()),
        ("uid", 0.into()),
    ] {
        assert_eq!(json.subject.get(name), Some(&value), "{name}");
    }
    assert_eq!(
        (json.origin.text("tty"), json.origin.text("term")),
        (Some("/dev/pts/2"), Some("xterm"))
    );
    let argv = Value::List(["sh", "-c", "a b"].map(Value::from).to_vec());
    assert_eq!(json.target.get("argv"), Some(&argv));
    for (name, value) in [
        ("server_hostname", "vm"),
        ("cwd", "/home/anna"),
        ("env.PATH", "/bin:/usr/bin"),
        ("sudo.command", "/usr/bin/sh"),
        ("sudo.rungroup", "wheel"),
    ] {
        assert_eq!(json.target.text(name), Some(value), "{name}");
    }
    // The same from before there was JSON, and where the JSON is damaged.
    let mut old = session();
    old.files.remove("log.json");
    old.names.retain(|name| name != "log.json");
    let damaged = session().with("log.json", &JSON[..100]);
    for (inputs, notices) in [(old, 0), (damaged, 1)] {
        let seen = read(&inputs);
        assert_eq!(
            (seen.error.clone(), seen.notices.len()),
            (None, notices),
            "{:?}",
            seen.notices
        );
        let Body::Start(lines) = &seen.events[0].body else {
            panic!("no session first")
        };
        assert_eq!(lines.start_utc_ns, 1_795_240_063_000_000_000);
        assert_eq!(
            (lines.subject.text("user"), lines.subject.text("login")),
            (Some("anna"), Some("root"))
        );
        assert_eq!(lines.target.text("command"), Some("/usr/bin/sh -c a b"));
        assert_eq!(
            (lines.target.text("cwd"), lines.target.text("sudo.rungroup")),
            (Some("/home/anna"), Some("wheel"))
        );
        assert_eq!(seen.events[1].body, Body::Resize { cols: 80, rows: 24 });
        assert_eq!(seen.bytes(Stream::Output), b"$ ls\r\nx");
    }
    // Without a terminal the size means nothing; newer versions say how it ended.
    let json = JSON.replace("\"ttyname\": \"/dev/pts/2\",", "\"exit_value\": 3,");
    let seen = read(&session().with("log.json", json));
    let Body::Start(session) = &seen.events[0].body else {
        panic!("no session first")
    };
    assert_eq!(session.kind, "exec");
    assert!(matches!(&seen.events[1].body, Body::Data { .. }));
    assert!(
        matches!(&seen.events.last().unwrap().body, Body::End(end) if end.exit_status == Some(3))
    );
}

#[test]
fn output_that_is_gzip_itself_is_not_unpacked_beside_plain_timing() {
    let printed = gzip(b"not to be unpacked");
    let timing = format!("1 0.5 10\n1 0.5 {}\n", printed.len() - 10);
    let plain = session().with("timing", timing).with("stdout", &printed);
    for inputs in [plain.clone(), plain.zipped()] {
        let seen = read(&inputs);
        assert_eq!(seen.bytes(Stream::Stdout), printed);
        assert!(seen.gaps().is_empty());
    }
}

proptest! {
    #[test]
    fn a_session_keeps_everything_whatever_it_holds(
        entries in prop::collection::vec((0u64..5_000_000_000, 0usize..6, prop::collection::vec(any::<u8>(), 0..30)), 0..20),
        zipped in any::<bool>(),
    ) {
        let mut timing = String::new();
        let mut files = vec![Vec::new(); 5];
        let mut want = Vec::new();
        let mut at_ns = 0;
        for (wait, kind, bytes) in &entries {
            at_ns += wait;
            let data = match file_index(*kind) {
                Some(index) => {
                    files[index].extend_from_slice(bytes);
                    if !bytes.is_empty() {
                        want.push((at_ns, Some(super::STREAMS[index].1), bytes.clone()));
                    }
                    bytes.len().to_string()
                }
                None => {
                    want.push((at_ns, None, vec![]));
                    format!("{} {}", wait % 65_536, bytes.len())
                }
            };
            timing += &format!("{kind} {}.{:09} {data}\n", wait / 1_000_000_000, wait % 1_000_000_000);
        }
        let mut inputs = Memory::default().with("log", LOG).with("timing", timing);
        for ((name, _), bytes) in super::STREAMS.iter().zip(&files) {
            inputs = inputs.with(name, bytes);
        }
        if zipped {
            inputs = inputs.zipped();
        }
        let seen = read(&inputs);
        prop_assert_eq!((&seen.error, &seen.notices), (&None, &vec![]));
        let mut got = Vec::new();
        for event in &seen.events[2..] {
            match &event.body {
                Body::Data { stream, bytes } => got.push((event.at_ns, Some(*stream), bytes.clone())),
                Body::Resize { .. } => got.push((event.at_ns, None, vec![])),
                _ => {}
            }
        }
        prop_assert_eq!(got, want);
        let mut json = Vec::new();
        copy(&mut SudoDecoder::new(&inputs, import()), &mut JsonlEncoder::new(&mut json)).unwrap();
        let mut decoder = JsonlDecoder::new(&json[..]);
        let back: Vec<Event> = std::iter::from_fn(|| decoder.next_event().unwrap()).collect();
        prop_assert_eq!(back, seen.events);
    }
}

fn file_index(kind: usize) -> Option<usize> {
    (kind != 5).then_some(kind)
}

#[test]
fn the_numbers_of_sudo_1_8_7_are_two_more() {
    let timing = "5 1 1\n6 1 6\n2 1 2\n3 1 3\n4 1 3\n5 1 2\n6 1 1\n";
    let printed = gzip(b"not to be unpacked");
    let told = timing.replace("3 1 3", &format!("3 1 {}", printed.len()));
    let other = session().with("timing", told).with("stdout", &printed);
    let once = session().with("timing", timing);
    for (inputs, stdout) in [
        (once.clone(), &b"ou\xff"[..]),
        (once.zipped(), b"ou\xff"),
        (other, &printed),
    ] {
        let seen = read(&inputs);
        assert_eq!((seen.error.clone(), seen.notices.clone()), (None, vec![]));
        assert_eq!(seen.bytes(Stream::Output), b"$ ls\r\nx");
        assert_eq!(seen.bytes(Stream::Keystrokes), b"ls\r");
        assert_eq!(seen.bytes(Stream::Stdout), stdout);
        assert_eq!(seen.bytes(Stream::Stderr), b"err");
        assert_eq!(seen.bytes(Stream::Stdin), b"in");
    }
}
