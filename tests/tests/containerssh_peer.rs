//! Logs that ContainerSSH's encoder wrote decode to what its decoder printed, and a CBOR library
//! that is not ours reads what we write.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stdout
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hansard_core::session::ClockQuality;
use hansard_core::{Body, Event, Fields, Policy, Session, SessionId, Stream, Value};
use hansard_tests::{Scratch, hansard, peer_data, skipped};
use hansard_view::containerssh::{
    ContainerSshDecoder, ContainerSshEncoder, ContainerSshJsonEncoder,
};
use hansard_view::segments::SegmentDecoder;
use hansard_view::{Encoder, Import, copy};

/// Inflates a log and prints its messages, one line of JSON each: type, number of keys of message
/// and payload. Bytes are told from text, and every text is checked to be UTF-8 by the library.
const READ: &str = r#"
import cbor2, io, json, sys, zlib
log = open(sys.argv[1], 'rb').read()
assert log[:21] == b'ContainerSSH-Auditlog' and log[21:32] == bytes(11), log[:32]
assert log[32:40] == (2).to_bytes(8, 'little'), log[32:40]
assert log[40:50] == bytes.fromhex('1f8b08000000000000ff'), log[40:50]
inflate = zlib.decompressobj(-15)
content = inflate.decompress(log[50:])
assert not inflate.eof, 'there is a trailer'
open(sys.argv[2], 'wb').write(content)
src, messages = io.BytesIO(content), 0
while src.tell() < len(content):
    m = cbor2.load(src)
    messages += 1
    assert list(m)[:5] == ['connectionId', 'timestamp', 'type', 'payload', 'channelId'], m
    b = lambda v: v.hex() if isinstance(v, bytes) else repr(v)
    print(json.dumps({'type': m['type'], 'payload': m['payload']}, default=b))
# One flush a message and one at the end, each an empty stored block.
assert log.count(b'\0\0\xff\xff') >= messages + 1, (log.count(b'\0\0\xff\xff'), messages)
"#;

fn import() -> Import {
    Import {
        id: SessionId::from_bytes([1; 16]),
        start_utc_ns: 0,
        recorder: "test".to_owned(),
        rec: None,
    }
}

fn samples() -> Option<Vec<PathBuf>> {
    let directory = peer_data()?.join("containerssh");
    let entries = fs::read_dir(directory).ok()?;
    let mut logs: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "auditlog"))
        .collect();
    logs.sort();
    Some(logs)
}

fn convert(log: &[u8], encoder: &mut dyn Encoder) {
    // Damage is in the output too; that is what the tests look at.
    let _ = copy(&mut ContainerSshDecoder::new(log, import()), encoder);
}

#[test]
fn every_log_decodes_to_the_lines_that_its_own_decoder_printed() {
    let Some(logs) = samples() else {
        return skipped("HANSARD_PEER_DATA names no directory with ContainerSSH logs");
    };
    assert!(logs.len() >= 9, "{logs:?}");
    for log in logs {
        let mut lines = Vec::new();
        convert(
            &fs::read(&log).unwrap(),
            &mut ContainerSshJsonEncoder::new(&mut lines),
        );
        let theirs = fs::read_to_string(log.with_extension("auditlog.jsonl")).unwrap();
        let lines = String::from_utf8(lines).unwrap();
        // The words of an error are ours; where it stands, and all else, is theirs.
        let wordless = |text: &str| -> Vec<String> {
            let wordless = |line: &str| match line.strip_prefix("{\"error\":\"") {
                Some(words) if words.len() > 2 && words.ends_with("\"}") => "error".to_owned(),
                _ => line.to_owned(),
            };
            text.lines().map(wordless).collect()
        };
        assert_eq!(wordless(&lines), wordless(&theirs), "{}", log.display());
    }
}

fn read_by_peer(log: &[u8]) -> (Vec<serde_json::Value>, Vec<u8>) {
    let scratch = Scratch::new("containerssh");
    let (path, content) = (scratch.join("log"), scratch.join("content"));
    fs::write(&path, log).unwrap();
    // Debian's own interpreter is the one that sees Debian's packages.
    let read = Command::new("/usr/bin/python3")
        .args(["-c", READ])
        .args([&path, &content])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&read.stderr);
    assert!(read.status.success(), "{said}");
    let lines = String::from_utf8(read.stdout).unwrap();
    let lines = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    (lines.collect(), fs::read(content).unwrap())
}

fn has_cbor2() -> bool {
    Path::new("/usr/bin/python3").exists()
        && Command::new("/usr/bin/python3")
            .args(["-c", "import cbor2"])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
}

#[test]
fn what_we_write_is_read_by_another_library_with_all_types() {
    if !has_cbor2() {
        return skipped("Debian's python3-cbor2 is not installed");
    }
    let Some(logs) = samples() else {
        return skipped("HANSARD_PEER_DATA names no directory with ContainerSSH logs");
    };
    let all = logs
        .iter()
        .find(|path| path.ends_with("v2-all-types.auditlog"));
    let all = all.expect("the log of all types");
    let mut ours = Vec::new();
    convert(
        &fs::read(all).unwrap(),
        &mut ContainerSshEncoder::new(&mut ours),
    );
    let (messages, content) = read_by_peer(&ours);
    assert_eq!(content, fs::read(all.with_extension("cbor")).unwrap());
    let types: BTreeSet<u64> = messages
        .iter()
        .map(|m| m["type"].as_u64().unwrap())
        .collect();
    assert_eq!((types.len(), messages.len()), (46, 49));
}

#[test]
fn a_text_that_is_not_utf8_does_not_stop_another_library() {
    if !has_cbor2() {
        return skipped("Debian's python3-cbor2 is not installed");
    }
    let session = Session {
        id: SessionId::from_bytes([1; 16]),
        parent: None,
        kind: "terminal".to_owned(),
        subject: Fields::new().with("user", Value::Bytes(b"r\xffoot".to_vec())),
        origin: Fields::new().with("term", Value::Bytes(vec![0xff])),
        target: Fields::new()
            .with("command", Value::Bytes(b"echo \xe7\x95".to_vec()))
            .with("env.X", Value::Bytes(vec![0x80])),
        start_utc_ns: 1_700_000_000_000_000_000,
        clock: ClockQuality::Unknown,
        policy: Policy::default(),
        recorder_key: [0; 32],
        recorder: "test".to_owned(),
    };
    let mut ours = Vec::new();
    let mut encoder = ContainerSshEncoder::new(&mut ours);
    encoder.begin(&session).unwrap();
    let body = Body::Data {
        stream: Stream::Output,
        bytes: b"\xff".to_vec(),
    };
    let event = Event {
        seq: 1,
        at_ns: 5,
        body,
    };
    encoder.event(&event).unwrap();
    encoder.end().unwrap();
    drop(encoder);
    let (messages, _) = read_by_peer(&ours);
    let types: Vec<_> = messages
        .iter()
        .map(|m| m["type"].as_u64().unwrap())
        .collect();
    assert_eq!(types, [0, 199, 301, 404, 402, 403, 500]);
    let exec = &messages[5]["payload"];
    assert_eq!(exec["program"], "echo \u{fffd}");
    assert_eq!(exec["program.bytes"], "6563686f20e795");
}

#[test]
fn a_recorded_session_makes_a_log_in_the_order_of_a_connection() {
    if !has_cbor2() {
        return skipped("Debian's python3-cbor2 is not installed");
    }
    let scratch = Scratch::new("containerssh-session");
    let file = scratch.join("r.hansard");
    // script gives it a terminal.
    let line = format!(
        "stty cols 90 rows 33; exec {} rec --quiet --out {} -- sh -c 'printf abc; exit 5'",
        hansard().display(),
        file.display()
    );
    let status = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(5));
    let mut ours = Vec::new();
    let mut recording = SegmentDecoder::new(fs::File::open(&file).unwrap());
    copy(&mut recording, &mut ContainerSshEncoder::new(&mut ours)).unwrap();
    let (messages, _) = read_by_peer(&ours);
    let types: Vec<_> = messages
        .iter()
        .map(|m| m["type"].as_u64().unwrap())
        .collect();
    assert_eq!(types[..5], [0, 199, 301, 404, 403], "{messages:?}");
    assert_eq!(types[types.len() - 3..], [499, 497, 1], "{messages:?}");
    let pty = &messages[3]["payload"];
    assert_eq!((&pty["columns"], &pty["rows"]), (&90.into(), &33.into()));
    assert_eq!(pty["term"], "xterm");
    let program = messages[4]["payload"]["program"].as_str().unwrap();
    assert!(program.starts_with("sh -c "), "{program}");
    let data: String = messages
        .iter()
        .filter(|m| m["type"] == 500 && m["payload"]["stream"] == 1)
        .map(|m| m["payload"]["data"].as_str().unwrap())
        .collect();
    // Beside it may stand the echo of the end of the input that script has.
    assert!(data.contains("616263"), "{data}");
    assert_eq!(messages[messages.len() - 3]["payload"]["exitStatus"], 5);
}
