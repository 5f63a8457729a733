//! Writes the first inputs of every target into `corpus/`: small, each showing the fuzzer one
//! thing. Run from `fuzz/`: `cargo run --example seeds`.

use std::fs;
use std::path::Path;

use hansard_core::event::{End, Fact, Gap};
use hansard_core::writer::{Bounds, SegmentWriter};
use hansard_core::{Body, Event, Fields, Stream, Value};
use hansard_record::handoff::{Closed, FromClient, FromDaemon, Open, Opened, VERSION};
use hansard_fuzz::{decode, encode, key};
use hansard_view::Format;

const CAST_V2: &str = r##"{"version": 2, "width": 80, "height": 24, "timestamp": 1509091818, "duration": 3.5, "idle_time_limit": 2.5, "command": "sh -c ls", "title": "Demo \u001b é", "env": {"SHELL": "/bin/bash", "TERM": "xterm"}, "theme": {"fg": "#d0d0d0", "bg": "#212121", "palette": "#151515:#ac4142"}, "x": [1, {"a": null}]}
[0.248848, "o", "\u001b[1;31mHello\u001b[0m\n"]
[1.001376, "i", "ls\r"]
[2.143733, "m", "a marker"]
[2.143733, "r", "100x50"]
[2.5, "z", "who knows"]
[3, "o", "界é\ud83c\udf89"]
"##;

const CAST_V3: &str = r##"{"version":3,"term":{"cols":80,"rows":24,"type":"xterm","version":"VTE","theme":{"fg":"#fff","bg":"#000","palette":"#1:#2"},"more":7},"timestamp":1504467315,"idle_time_limit":2.0,"command":"htop","title":"t","tags":["a","b"],"env":{"SHELL":"/bin/zsh"},"new":{"k":[true]}}
# a comment
[0.248848,"o","Hello"]

[0.0,"m",""]
[0.143733,"r","100x50"]
[0.000001,"u","unknown"]
[0.2,"x","1"]
[0.2,"x","3"]
"##;

const STREAMS: [&str; 12] = [
    "\x1b[1;31mred\x1b[38;5;196mx\x1b[48;2;1;2;3my\x1b[8mhidden\x1b[28m\x1b[0m\r\n",
    "\x1b[?1049h\x1b[2J\x1b[H\x1b[5;10r\x1b[5;1H\x1bM\x1b[10;1H\n\x1b[r\x1b[?1049l",
    "\x1b(0lqqk\x1b(B\x0e\x0f\x1b)0\t\x1bH\x1b[g\x1b[3g",
    "\x1b]0;title\x07\x1b]52;c;eA==\x1b\\\x1b]8;;http://x\x07l\x1b]8;;\x07",
    "\x1bPq#0;2;0;0;0~~\x1b\\\x1b_Ga=T;x\x1b\\\x1b^pm\x1b\\\x1bXsos\x1b\\",
    "\x1b[c\x1b[>c\x1b[6n\x1b[?6n\x1b[>q\x1b[?1$p\x1b[21t\x1b[8;4;4t\x1bZ\x05",
    "\x1b7\x1b[6;6Hx\x1b8\x1b[s\x1b[u\x1b[?6h\x1b[?7l\x1b[?25l\x1b[4h\x1b[20h",
    "wide 界界 é e\u{301} 🎉 \u{202e}rtl\x08\x08\x1b[3@\x1b[2P\x1b[4X\x1b[9b",
    "\u{9b}31mc1\u{9d}0;t\u{9c}\u{90}q\u{9c}\u{84}\u{85}\u{8d}\u{88}",
    "\x1bc\x1b[!p\x1b#8\x1b[3J\x1b[2J\x1b[1J\x1b[J\x1b[1K\x1b[2K\x1b[K",
    "\x1b[38;5;8;8m\x1b[38:5:8m\x1b[58;5;8m\x1b[4:3m\x1b[08m\x1b[;8;m",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nb\r",
];

fn main() -> std::io::Result<()> {
    handoff()?;
    for (name, cast) in [("v2", CAST_V2), ("v3", CAST_V3)] {
        put("asciicast", name, cast.as_bytes())?;
    }
    put("asciicast", "header-only", b"{\"version\":2,\"width\":0,\"height\":65535}\n")?;
    put("asciicast", "torn", b"{\"version\":3,\"term\":{\"cols\":1,\"rows\":1}}\n[1,\"o\",\"cut of")?;
    let events = every_kind();
    put("jsonl", "every-kind", &encode(Format::Jsonl, &events).unwrap_or_default())?;
    for (format, cast) in [(Format::AsciicastV2, CAST_V2), (Format::AsciicastV3, CAST_V3)] {
        let events = decode(format, cast.as_bytes()).0;
        put("jsonl", format.as_str(), &encode(Format::Jsonl, &events).unwrap_or_default())?;
    }
    for (i, stream) in STREAMS.iter().enumerate() {
        put("sanitizer", &format!("s{i}"), format!("\u{40}{stream}").as_bytes())?;
        put("screen", &format!("s{i}"), format!("\x14\x08\x40\x0c{stream}").as_bytes())?;
        put("idx", &format!("s{i}"), format!("\x30\x01\x40\x05\x20{stream}").as_bytes())?;
    }
    put("idx", "kinds", b"\x10\x00\x80\x01\x05\x01\x20abc\x40\x10label\x70\x18one\ntwo\n\x70\x40x")?;
    transport()?;
    recordings(&events)
}

/// The golden messages of each direction, what a later version might say, and a part too long.
fn transport() -> std::io::Result<()> {
    let golden = include_str!("../../formats/golden/transport-v1.txt");
    let side = |side: &str| -> Vec<u8> {
        let lines = golden.lines().filter(|line| line.starts_with(side));
        let hex = lines.filter_map(|line| line.rsplit(' ').next());
        let byte = |pair: &[u8]| u8::from_str_radix(&String::from_utf8_lossy(pair), 16).unwrap_or(0);
        hex.flat_map(|hex| hex.as_bytes().chunks(2).map(byte).collect::<Vec<_>>()).collect()
    };
    let (up, down) = (side("up"), side("down"));
    let unknown = b"\x55\x04\0\0\0abcd";
    put("transport", "up", &[&b"\x07"[..], &up].concat())?;
    put("transport", "down", &[&b"\x03"[..], &down].concat())?;
    put("transport", "later", &[&b"\x02"[..], unknown, &up, unknown].concat())?;
    let long = [&b"\x40"[..], &up, b"\x02\xc0\xc6\x2d\0", &[9; 24]].concat();
    put("transport", "too-long", &long)
}

fn recordings(events: &[Event]) -> std::io::Result<()> {
    let ours = encode(Format::Hansard, events).unwrap_or_default();
    put("frame_reader", "every-kind", &ours)?;
    put("frame_reader", "cut", &ours[..ours.len() * 2 / 3])?;
    let mut damaged = ours.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 4;
    put("frame_reader", "damaged", &damaged)?;
    let Some(Body::Start(session)) = events.first().map(|event| event.body.clone()) else {
        return Ok(());
    };
    let session = hansard_core::Session { recorder_key: key().public(), ..*session };
    let bounds = Bounds { frame_events: 2, segment_bytes: 150, ..Bounds::default() };
    let Ok(mut writer) = SegmentWriter::new(session, key(), bounds) else { return Ok(()) };
    for i in 0..20u64 {
        let bytes = format!("line {i}\r\n").into_bytes();
        let _ = writer.push(i * 1_000_000, &Body::Data { stream: Stream::Output, bytes });
    }
    let _ = writer.cut();
    let segments: Vec<u8> = writer.parts().iter().flat_map(|p| p.bytes().to_vec()).collect();
    put("frame_reader", "many-segments", &segments)
}

fn every_kind() -> Vec<Event> {
    let value = Value::List(vec![Value::Bytes(vec![255]), Value::Int(-1), Value::Int(1)]);
    let fields = Fields::new().with("user", "root").with("n", 7u64).with("user", true);
    let mut fields = fields;
    fields.push("list", value);
    let fact = Fact { event: "session.command".into(), fields };
    let data = |stream, bytes: &[u8]| Body::Data { stream, bytes: bytes.to_vec() };
    let start = decode(Format::Raw, b"").0.swap_remove(0).body;
    let bodies = vec![
        start,
        Body::Resize { cols: 80, rows: 24 },
        data(Stream::Output, b"\x1b[1mbold\xff\0"),
        data(Stream::Stdout, b"out\n"),
        data(Stream::Stderr, b"err\n"),
        data(Stream::Stdin, b"in"),
        data(Stream::Keystrokes, b"k"),
        Body::Auth(fact.clone()),
        Body::Channel(fact.clone()),
        Body::Command(fact.clone()),
        Body::File(fact.clone()),
        Body::Network(fact.clone()),
        Body::Process(fact.clone()),
        Body::Transfer(fact.clone()),
        Body::Request(fact.clone()),
        Body::Admin(fact),
        Body::Clock { utc_ns: 5, quality: Default::default(), reason: "jump".into() },
        Body::Mark { label: "here".into() },
        Body::Gap(Gap { cause: "full".into(), bytes: Some(3), ..Gap::default() }),
        Body::Unknown { kind: 0x7e, bytes: vec![1, 2] },
        Body::End(End { reason: "exited".into(), exit_status: Some(3), signal: None }),
    ];
    bodies.into_iter().zip(0..).map(|(body, seq)| Event { seq, at_ns: seq * 1000, body }).collect()
}

fn put(target: &str, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let directory = Path::new("corpus").join(target);
    fs::create_dir_all(&directory)?;
    fs::write(directory.join(name), bytes)
}

/// A session as each side tells it, and each message alone.
fn handoff() -> std::io::Result<()> {
    let Some(Body::Start(claims)) = every_kind().into_iter().next().map(|event| event.body) else {
        return Ok(());
    };
    let client = [
        FromClient::Open(Open { version: VERSION, claims: claims.clone() }),
        FromClient::Event(Body::Resize { cols: 80, rows: 24 }),
        FromClient::Data { stream: Stream::Output, bytes: b"hi" },
        FromClient::Flush(300),
        FromClient::Close(End { reason: "exited".into(), exit_status: Some(3), signal: None }),
    ];
    let closed = Closed { gaps: 1, missing_bytes: 2, stored_bytes: 300 };
    let daemon = [
        FromDaemon::Opened(Opened { session: claims, notice: "recorded".into() }),
        FromDaemon::Refused("no".into()),
        FromDaemon::Durable(300),
        FromDaemon::End { reason: "no".into(), by: "me".into() },
        FromDaemon::Lost("no".into()),
        FromDaemon::Closed(closed),
    ];
    let (mut all_client, mut all_daemon) = (Vec::new(), Vec::new());
    for (i, message) in client.iter().enumerate() {
        let mut one = Vec::new();
        message.encode(&mut one);
        all_client.extend_from_slice(&one);
        put("handoff", &format!("client-{i}"), &one)?;
    }
    for (i, message) in daemon.iter().enumerate() {
        let mut one = Vec::new();
        message.encode(&mut one);
        all_daemon.extend_from_slice(&one);
        put("handoff", &format!("daemon-{i}"), &one)?;
    }
    put("handoff", "client", &all_client)?;
    put("handoff", "daemon", &all_daemon)
}
