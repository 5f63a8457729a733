//! Formats there and back, and what hostile files do to decoders.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod support;

use std::io::Read;

use hansard_core::event::{End, Fact, Gap};
use hansard_core::reader::{Item, Reader};
use hansard_core::session::ClockQuality;
use hansard_core::{Body, Event, Fields, OnLoss, Policy, Session, SessionId, Stream, Value};
use hansard_view::transcript::TranscriptEncoder;
use hansard_view::{Decoder, Encoder, Format, copy};
use proptest::prelude::*;
use serde_json::Value as Json;
use support::{import, key, output, recording, session};

fn read_all(decoder: &mut dyn Decoder) -> (Vec<Event>, Option<String>) {
    let mut events = Vec::new();
    loop {
        match decoder.next_event() {
            Ok(Some(event)) => events.push(event),
            Ok(None) => return (events, None),
            Err(e) => {
                assert!(
                    matches!(decoder.next_event(), Ok(None)),
                    "goes on after an error"
                );
                return (events, Some(e.to_string()));
            }
        }
    }
}

fn decode(format: Format, bytes: &[u8]) -> (Vec<Event>, Option<String>) {
    let mut decoder = format.decoder(bytes, import()).unwrap();
    read_all(decoder.as_mut())
}

fn encode(format: Format, events: &[Event]) -> Vec<u8> {
    let mut out = Vec::new();
    {
        let mut encoder = format.encoder(&mut out, key()).unwrap();
        for event in events {
            match &event.body {
                Body::Start(session) => encoder.begin(session).unwrap(),
                _ => encoder.event(event).unwrap(),
            }
        }
        encoder.end().unwrap();
    }
    out
}

fn convert(from: Format, to: Format, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut decoder = from.decoder(bytes, import()).unwrap();
    copy(
        decoder.as_mut(),
        to.encoder(&mut out, key()).unwrap().as_mut(),
    )
    .unwrap();
    out
}

fn events(bodies: Vec<(u64, Body)>) -> Vec<Event> {
    let start = (0, Body::Start(Box::new(session())));
    std::iter::once(start)
        .chain(bodies)
        .zip(0..)
        .map(|((at_ns, body), seq)| Event { seq, at_ns, body })
        .collect()
}

fn lines(bytes: &[u8]) -> Vec<Json> {
    let text = std::str::from_utf8(bytes).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

const CAST_V2: &str = r##"{"version": 2, "width": 80, "height": 24, "timestamp": 1509091818, "duration": 3.5, "idle_time_limit": 2.5, "command": "/bin/bash -l", "title": "Demo \u001b é", "env": {"SHELL": "/bin/bash", "TERM": "xterm-256color"}, "theme": {"fg": "#d0d0d0", "bg": "#212121", "palette": "#151515:#ac4142:#7e8e50:#e5b567:#6c99bb:#9f4e85:#7dd6cf:#d0d0d0"}, "x-extra": [1, {"a": null}]}
[0.248848, "o", "\u001b[1;31mHello \u001b[32mWorld!\u001b[0m\n"]
[1.001376, "i", "ls\r"]
[2.143733, "m", "a marker"]
[2.143733, "r", "100x50"]
[2.5, "z", "who knows"]
[2.5, "future", [1, {"a": "b"}]]
[3, "o", "界é"]
[3.5, "x", "0"]
"##;

const CAST_V3: &str = r##"{"version":3,"term":{"cols":80,"rows":24,"type":"xterm-256color","version":"VTE(7600)","theme":{"fg":"#ffffff","bg":"#000000","palette":"#151515:#ac4142:#7e8e50:#e5b567:#6c99bb:#9f4e85:#7dd6cf:#d0d0d0"},"more":7},"timestamp":1504467315,"idle_time_limit":2.0,"command":"htop","title":"Demo","tags":["a","b"],"env":{"SHELL":"/bin/zsh"},"new-in-3.1":{"k":[true]},"term.theme":{"fg":"#d0d0d0"},".term.x":1}
# a comment
[0.248848,"o","Hello"]

[1.001376,"i","\r"]
[0.0,"m",""]
[0.143733,"r","100x50"]
[0.000001,"u","unknown"]
[0.0,"future",{"size":[1,2],"é":null}]
#another, # with é
[1.5,"o","bye"]
[0.2,"x","3"]
"##;

/// The numbers of a cast's lines, whatever their notation.
fn normalised(cast: &[u8]) -> Vec<Json> {
    let text = std::str::from_utf8(cast).unwrap();
    let kept = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    kept.map(|line| {
        let mut json: Json = serde_json::from_str(line).unwrap();
        if let Some(time) = json.get_mut(0) {
            *time = Json::from((time.as_f64().unwrap() * 1e6).round() as u64);
        }
        json
    })
    .collect()
}

fn comments(cast: &[u8]) -> Vec<&str> {
    let lines = std::str::from_utf8(cast).unwrap().lines();
    lines.filter(|line| line.starts_with('#')).collect()
}

#[test]
fn a_cast_comes_back_as_it_was_through_our_own_format() {
    for (format, cast) in [
        (Format::AsciicastV2, CAST_V2),
        (Format::AsciicastV3, CAST_V3),
    ] {
        let ours = convert(format, Format::Hansard, cast.as_bytes());
        let back = convert(Format::Hansard, format, &ours);
        assert_eq!(normalised(&back), normalised(cast.as_bytes()));
        assert_eq!(comments(&back), comments(cast.as_bytes()));
        // And through JSON lines.
        let json = convert(Format::Hansard, Format::Jsonl, &ours);
        let back = convert(Format::Jsonl, format, &json);
        assert_eq!(normalised(&back), normalised(cast.as_bytes()));
    }
}

#[test]
fn a_cast_becomes_events() {
    let (events, error) = decode(Format::AsciicastV3, CAST_V3.as_bytes());
    assert_eq!(error, None);
    assert!(events.iter().zip(0..).all(|(event, seq)| event.seq == seq));
    let is_comment = |event: &Event| matches!(&event.body, Body::Channel(fact) if fact.fields.text("comment").is_some());
    let comments = events.iter().filter(|event| is_comment(event)).count();
    assert_eq!(comments, 2);
    let events: Vec<_> = events
        .into_iter()
        .filter(|event| !is_comment(event))
        .collect();
    let Body::Start(session) = &events[0].body else {
        panic!("no session first")
    };
    assert_eq!(session.start_utc_ns, 1_504_467_315_000_000_000);
    assert_eq!(session.target.text("command"), Some("htop"));
    assert_eq!(session.target.text("env.SHELL"), Some("/bin/zsh"));
    assert_eq!(session.origin.text("term"), Some("xterm-256color"));
    assert_eq!(events[1].body, Body::Resize { cols: 80, rows: 24 });
    assert_eq!(
        (events[2].at_ns, &events[2].body),
        (248_848_000, &output(b"Hello"))
    );
    assert_eq!(
        events[4].body,
        Body::Mark {
            label: String::new()
        }
    );
    assert_eq!(
        (events[5].at_ns, &events[5].body),
        (
            1_393_957_000,
            &Body::Resize {
                cols: 100,
                rows: 50
            }
        )
    );
    assert!(
        matches!(&events[6].body, Body::Channel(fact) if fact.fields.text("code") == Some("u"))
    );
    assert!(
        matches!(&events[7].body, Body::Channel(fact) if fact.fields.text("json") == Some("{\"size\":[1,2],\"é\":null}"))
    );
    let Body::End(end) = &events[9].body else {
        panic!("no end")
    };
    assert_eq!((end.exit_status, events[9].at_ns), (Some(3), 3_093_958_000));
    assert_eq!(events.len(), 10);
}

#[test]
fn an_exit_that_is_not_the_end_or_not_a_status_is_kept() {
    let cast = "{\"version\":3,\"term\":{\"cols\":8,\"rows\":4},\"timestamp\":1600000000}\n\
                [0.5,\"x\",\"1\"]\n[0.5,\"o\",\"more\"]\n[0.0,\"x\",\"-9\"]\n[0.0,\"x\",\"007\"]\n\
                [0.25,\"x\",\"2\"]\n";
    let back = convert(
        Format::Hansard,
        Format::AsciicastV3,
        &convert(Format::AsciicastV3, Format::Hansard, cast.as_bytes()),
    );
    assert_eq!(normalised(&back), normalised(cast.as_bytes()));
}

#[test]
fn an_exit_before_a_broken_line_is_kept() {
    let cast = "{\"version\":3,\"term\":{\"cols\":8,\"rows\":4}}\n[0.5,\"x\",\"1\"]\n[0.5,\"o";
    let (events, error) = decode(Format::AsciicastV3, cast.as_bytes());
    assert!(error.unwrap().contains("line 3"));
    let last = events.last().unwrap();
    assert!(matches!(&last.body, Body::Channel(fact) if fact.fields.text("data") == Some("1")));
    assert_eq!(last.at_ns, 500_000_000);
}

#[test]
fn text_longer_than_an_event_becomes_several_and_anything_else_is_refused() {
    let header = "{\"version\":2,\"width\":80,\"height\":24}";
    let text = "x界".repeat(1_000_000);
    let cast = format!("{header}\n[1,\"o\",\"{text}\"]\n");
    for format in [Format::Hansard, Format::Jsonl] {
        let through = convert(Format::AsciicastV2, format, cast.as_bytes());
        assert!(
            convert(format, Format::Raw, &through) == text.as_bytes(),
            "{format}"
        );
    }
    let cast = format!("{header}\n[1,\"m\",\"{text}\"]\n");
    let error = decode(Format::AsciicastV2, cast.as_bytes()).1.unwrap();
    assert!(
        error.starts_with("line 2") && error.contains("at most 1047552 fit"),
        "{error}"
    );
}

#[test]
fn times_of_version_3_do_not_drift() {
    // A third of a microsecond over and over: rounding each interval would lose all of it.
    let third = 333;
    let bodies = (1..=30_000).map(|i| (i * third, output(b"x"))).collect();
    let cast = encode(Format::AsciicastV3, &events(bodies));
    let sum: u64 = normalised(&cast)[1..]
        .iter()
        .map(|line| line[0].as_u64().unwrap())
        .sum();
    assert_eq!(sum, (30_000 * third + 500) / 1000);
    let (read, _) = decode(Format::AsciicastV3, &cast);
    for (event, i) in read[2..30_000].iter().zip(1..) {
        assert!(
            event.at_ns.abs_diff(i * third) <= 500,
            "event {i} at {}",
            event.at_ns
        );
    }
}

#[test]
fn a_recording_becomes_a_cast_that_says_what_is_missing() {
    let bodies = vec![
        (
            0,
            Body::Resize {
                cols: 100,
                rows: 30,
            },
        ),
        (
            1_000_000,
            Body::Data {
                stream: Stream::Keystrokes,
                bytes: b"l".to_vec(),
            },
        ),
        (2_000_000, output(b"caf\xc3")),
        (3_000_000, output(b"\xa9 \xff \xe7\x95")),
        (
            4_000_000,
            Body::Gap(Gap {
                cause: "disk full".into(),
                bytes_max: Some(9),
                ..Gap::default()
            }),
        ),
        (
            5_000_000,
            Body::Auth(Fact {
                event: "auth".into(),
                fields: Fields::new(),
            }),
        ),
        (
            6_000_000,
            Body::End(End {
                signal: Some("TERM".into()),
                ..End::default()
            }),
        ),
    ];
    let cast = encode(Format::AsciicastV3, &events(bodies));
    let lines = lines(&cast);
    assert_eq!(lines[0]["term"]["cols"], 100);
    assert_eq!(lines[0]["term"]["type"], "xterm-256color");
    assert_eq!(lines[0]["command"], "bash -l");
    let data: Vec<_> = lines[1..]
        .iter()
        .map(|l| (l[1].as_str().unwrap(), l[2].as_str().unwrap()))
        .collect();
    assert_eq!(
        data,
        [
            ("i", "l"),
            ("o", "caf"),
            ("o", "é \u{fffd} "),
            ("m", "recording gap: at most 9 bytes missing (disk full)"),
            ("o", "\u{fffd}"),
            ("x", "143"),
        ]
    );
}

#[test]
fn argv_becomes_a_command_line() {
    let words = ["sh", "-c", "echo 'it''s' $HOME", ""];
    let argv = Value::List(words.iter().map(|w| Value::from(*w)).collect());
    let session = Session {
        target: Fields::new().with("argv", argv),
        ..session()
    };
    let start = Event {
        seq: 0,
        at_ns: 0,
        body: Body::Start(Box::new(session)),
    };
    let cast = encode(Format::AsciicastV2, &[start]);
    assert_eq!(
        lines(&cast)[0]["command"],
        r"sh -c 'echo '\''it'\'''\''s'\'' $HOME' ''"
    );
}

#[test]
fn hostile_casts_are_refused_by_line_and_what_was_sound_is_kept() {
    let v2 = "{\"version\":2,\"width\":80,\"height\":24}\n[1,\"o\",\"ok\"]\n";
    let v3 = "{\"version\":3,\"term\":{\"cols\":80,\"rows\":24}}\n[1,\"o\",\"ok\"]\n";
    for line in [
        "[-1,\"o\",\"x\"]",
        "[1e308,\"o\",\"x\"]",
        "[1e999,\"o\",\"x\"]",
        "[NaN,\"o\",\"x\"]",
        "[1000000001,\"o\",\"x\"]",
        "[1,\"o\"]",
        "[1,\"o\",\"x\",1]",
        "[1,2,\"x\"]",
        "[1,\"o\",{}]",
        "[\"1\",\"o\",\"x\"]",
        "{}",
        "[",
        "[2,\"o\",\"cut of",
        "[1,\"r\",\"0x\"]",
        "[1,\"r\",\"65536x1\"]",
        "[1,\"r\",\"-1x1\"]",
        "[1,\"r\",\"80\"]",
        "[1,\"o\",\"\\ud800\"]",
        "\u{feff}[1,\"o\",\"x\"]",
        "null",
        "[1,\"o\",\"a\u{0}\"]",
    ] {
        for (format, sound) in [(Format::AsciicastV2, v2), (Format::AsciicastV3, v3)] {
            let (events, error) = decode(
                format,
                format!("{sound}{line}\n[2,\"o\",\"y\"]\n").as_bytes(),
            );
            assert_eq!(events.len(), 3, "{line}");
            let error = error.unwrap_or_else(|| panic!("{line} is accepted"));
            assert!(error.starts_with("line 3 (offset"), "{line}: {error}");
        }
    }
    for (header, why) in [
        ("", "empty"),
        ("\n", "header"),
        ("[]", "not a JSON object"),
        ("{}", "version"),
        ("{\"version\":1}", "version 1"),
        ("{\"version\":2}", "width"),
        ("{\"version\":2,\"width\":-1,\"height\":2}", "width"),
        ("{\"version\":2,\"width\":1,\"height\":65536}", "height"),
        (
            "{\"version\":2,\"width\":1,\"height\":2,\"timestamp\":-5}",
            "timestamp",
        ),
        (
            "{\"version\":2,\"width\":1,\"height\":2,\"timestamp\":1e300}",
            "timestamp",
        ),
        ("# comment first", "header"),
    ] {
        let (events, error) = decode(Format::AsciicastV2, header.as_bytes());
        let error = error.unwrap_or_else(|| panic!("{header} is accepted"));
        assert!(
            events.is_empty() && error.contains("line 1") && error.contains(why),
            "{header}: {error}"
        );
    }
    let deep = format!(
        "{{\"version\":2,\"width\":1,\"height\":2,\"x\":{}1{}}}",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    assert!(decode(Format::AsciicastV2, deep.as_bytes()).1.is_some());
    let wide = format!(
        "{{\"version\":2,\"width\":1,\"height\":2,\"x\":[{}1]}}",
        "[],".repeat(300_000)
    );
    assert!(
        decode(Format::AsciicastV2, wide.as_bytes())
            .1
            .unwrap()
            .contains("values")
    );
    let env: String = (0..2000).map(|i| format!("\"V{i}\":\"\",")).collect();
    let many = format!("{{\"version\":2,\"width\":1,\"height\":2,\"env\":{{{env}\"X\":\"\"}}}}");
    assert!(
        decode(Format::AsciicastV2, many.as_bytes())
            .1
            .unwrap()
            .contains("more than 1000")
    );
}

#[test]
fn odd_but_harmless_casts_are_read() {
    let cast = "{\"version\":2,\"width\":0,\"height\":65535,\"title\":5,\"env\":{\"A\":null}}\r\n\
                [2,\"o\",\"a\"]\r\n\r\n[1.5,\"o\",\"earlier\"]\r\n[-0.0,\"r\",\"0x0\"]";
    let (events, error) = decode(Format::AsciicastV2, cast.as_bytes());
    assert_eq!(error, None);
    let times: Vec<_> = events.iter().map(|event| event.at_ns).collect();
    assert_eq!(
        times,
        [
            0,
            0,
            2_000_000_000,
            2_000_000_000,
            2_000_000_000,
            2_000_000_000
        ]
    );
    assert_eq!(
        events[1].body,
        Body::Resize {
            cols: 0,
            rows: 65535
        }
    );
    assert_eq!(events[4].body, Body::Resize { cols: 0, rows: 0 });
}

#[test]
fn comments_keep_their_place_beside_exits_that_are_no_end() {
    let header = CAST_V3.lines().next().unwrap();
    let exits = "[1.0,\"x\",\"1\"]\n# one\n[1.0,\"x\",\"3\"]\n# two\n# three\n";
    let foreign = |body: &Body| match body {
        Body::Channel(fact) => fact
            .fields
            .iter()
            .map(|(_, value)| match value {
                Value::Text(text) => text.clone(),
                other => panic!("{other:?}"),
            })
            .collect(),
        Body::End(end) => vec![format!("end {:?}", end.exit_status)],
        other => panic!("{other:?}"),
    };
    let told = |cast: &str| {
        let (events, _) = decode(Format::AsciicastV3, cast.as_bytes());
        let told = events[2..].iter();
        told.map(|event| {
            format!(
                "{} {}",
                event.at_ns / 1_000_000,
                foreign(&event.body).join(" ")
            )
        })
        .collect::<Vec<_>>()
    };
    // Behind the last exit they stand before it, or nothing would end the recording.
    let wanted = [
        "1000 x 1",
        "1000  one",
        "1000  two",
        "1000  three",
        "2000 end Some(3)",
    ];
    assert_eq!(told(&format!("{header}\n{exits}")), wanted);
    // An event behind them shows that it was no end; a line that cannot be read does not.
    let more = ["2000 x 3", "2000  two", "2000  three", "3000 u v"];
    let cast = format!("{header}\n{exits}[1.0,\"u\",\"v\"]\n");
    assert_eq!(told(&cast)[2..6], more);
    for bad in ["[1.0,\"r\",\"wide\"]", "[1.0,7]", "[-1.0,\"o\",\"\"]", "?"] {
        let cut = told(&format!("{header}\n{exits}{bad}\n"));
        assert_eq!(cut[..4], wanted[..4], "{bad}");
        assert_eq!(cut[4..], ["2000 x 3"], "{bad}");
    }
    // As many as one likes: none is lost, and few are held.
    let many = "# and on and on and on\n".repeat(50_000);
    let many = told(&format!("{header}\n{exits}{many}[1.0,\"u\",\"v\"]\n"));
    let last = many.len() - 1;
    assert_eq!(last, 2 + 2 + 50_000 + 2);
    assert!(many[last - 1].ends_with("u v"), "{}", many[last - 1]);
}

#[test]
fn endless_lines_are_refused_in_bounded_memory() {
    let header = "{\"version\":2,\"width\":80,\"height\":24}\n[1,\"o\",\"";
    let endless = header.as_bytes().chain(std::io::repeat(b'x'));
    let mut decoder = Format::AsciicastV2.decoder(endless, import()).unwrap();
    let (events, error) = read_all(decoder.as_mut());
    assert_eq!(events.len(), 2);
    assert!(error.unwrap().contains("longer than 16777216 bytes"));
    for format in [Format::AsciicastV2, Format::AsciicastV3, Format::Jsonl] {
        let mut decoder = format.decoder(std::io::repeat(b'{'), import()).unwrap();
        assert!(
            read_all(decoder.as_mut())
                .1
                .unwrap()
                .contains("longer than")
        );
    }
}

#[test]
fn json_lines_refuse_what_is_out_of_order_or_unknown() {
    let sound = encode(Format::Jsonl, &events(vec![(5, output(b"x"))]));
    let sound = String::from_utf8(sound).unwrap();
    let first = sound.lines().next().unwrap();
    for (text, why) in [
        (
            "{\"seq\":0,\"at_ns\":0,\"family\":\"mark\",\"label\":\"\"}".to_owned(),
            "first line",
        ),
        (format!("{first}\n{first}"), "second session"),
        (
            format!("{sound}{{\"seq\":1,\"at_ns\":9,\"family\":\"mark\",\"label\":\"\"}}"),
            "older",
        ),
        (
            format!("{sound}{{\"seq\":2,\"at_ns\":4,\"family\":\"mark\",\"label\":\"\"}}"),
            "older",
        ),
        (
            format!("{sound}{{\"seq\":2,\"at_ns\":9,\"family\":\"later\"}}"),
            "family",
        ),
        (
            format!("{sound}{{\"seq\":2,\"at_ns\":-9,\"family\":\"mark\",\"label\":\"\"}}"),
            "at_ns",
        ),
        (
            format!("{sound}{{\"seq\":2,\"at_ns\":9,\"family\":\"data\",\"stream\":\"output\"}}"),
            "base64",
        ),
        (
            format!(
                "{sound}{{\"seq\":2,\"at_ns\":9,\"family\":\"data\",\"stream\":\"up\",\"text\":\"\"}}"
            ),
            "stream",
        ),
        (
            format!(
                "{sound}{{\"seq\":2,\"at_ns\":9,\"family\":\"resize\",\"cols\":70000,\"rows\":1}}"
            ),
            "cols",
        ),
        (first.replace("\"hansard\":1", "\"hansard\":2"), "version 2"),
        (first.replace("018bcfe5", "zzzzzzzz"), "session id"),
        (format!("{sound}{{\"seq\":2"), "inside this line"),
    ] {
        let error = decode(Format::Jsonl, text.as_bytes())
            .1
            .unwrap_or_else(|| panic!("{text}"));
        assert!(error.contains(why), "{text}\n{error}");
    }
}

#[test]
fn raw_is_what_was_shown_and_nothing_else() {
    let bodies = vec![
        (1, output(b"a\xff\0")),
        (
            2,
            Body::Data {
                stream: Stream::Keystrokes,
                bytes: b"typed".to_vec(),
            },
        ),
        (
            3,
            Body::Data {
                stream: Stream::Stderr,
                bytes: b"err\n".to_vec(),
            },
        ),
        (4, Body::Mark { label: "m".into() }),
    ];
    assert_eq!(encode(Format::Raw, &events(bodies)), b"a\xff\0err\n");
    let bytes: Vec<u8> = (0..100_000u32).map(|i| (i * 7) as u8).collect();
    let back = convert(
        Format::Hansard,
        Format::Raw,
        &convert(Format::Raw, Format::Hansard, &bytes),
    );
    assert_eq!(back, bytes);
}

#[test]
fn a_transcript_is_the_text_as_it_settled() {
    let bodies = vec![
        (0, Body::Resize { cols: 10, rows: 3 }),
        (1_000_000_000, output(b"$ long line that wraps\r\n")),
        (
            2_000_000_000,
            output(b"progress 1\rprogress 2\r\n\x1b[31mred\x1b[m\r\n"),
        ),
        (3_000_000_000, output(b"\x1b[?1049hfull screen\x1b[?1049l")),
        (
            4_000_000_000,
            Body::Gap(Gap {
                cause: "lost".into(),
                bytes: Some(3),
                ..Gap::default()
            }),
        ),
        (5_000_000_000, output(b"four\r\n\r\nfive\x1bcafter reset")),
    ];
    let events = events(bodies);
    let text = String::from_utf8(encode(Format::Transcript, &events)).unwrap();
    assert_eq!(
        text,
        "$ long line that wraps\n[recording gap: 3 bytes missing (lost)]\nprogress 2\nred\nfour\n\nfive\nafter reset\n"
    );
    let mut timed = Vec::new();
    let mut encoder = TranscriptEncoder::new(&mut timed, true);
    encoder.begin(&session()).unwrap();
    events[1..]
        .iter()
        .for_each(|event| encoder.event(event).unwrap());
    encoder.end().unwrap();
    drop(encoder);
    assert!(
        String::from_utf8(timed)
            .unwrap()
            .starts_with("[     2.000] $ long line that wraps\n")
    );
}

#[test]
fn a_line_that_never_ends_is_broken_in_a_transcript() {
    let bodies = (0..40).map(|i| (i, output(&[b'x'; 8000]))).collect();
    let text = String::from_utf8(encode(Format::Transcript, &events(bodies))).unwrap();
    assert_eq!(text.bytes().filter(|b| *b == b'x').count(), 320_000);
    assert!(text.lines().all(|line| line.len() < 70_000) && text.lines().count() >= 4);
}

#[test]
fn a_damaged_recording_is_read_around_the_damage_with_a_notice() {
    let mut bodies = vec![(0, Body::Resize { cols: 80, rows: 24 })];
    let mut noise = support::Noise::new(5);
    for i in 1..400 {
        bodies.push((i * 1_000_000_000, output(&noise.terminal_bytes(2000))));
    }
    let mut bytes = recording(&bodies);
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    let mut decoder = Format::Hansard.decoder(&bytes[..], import()).unwrap();
    let (events, error) = read_all(decoder.as_mut());
    assert_eq!(error, None);
    assert!(events.len() > 200 && events.len() < 401);
    let notices = decoder.take_notices();
    assert!(notices[0].starts_with("damaged at byte"), "{notices:?}");
    assert!(decoder.is_damaged());
    // An unfinished one says so too.
    let mut decoder = Format::Hansard
        .decoder(&bytes[..at - 10], import())
        .unwrap();
    read_all(decoder.as_mut());
    assert!(decoder.take_notices().iter().any(|n| n.contains("no end")));
    // Damage that holds no event has a gap all the same, and no two events one number.
    let (whole, _) = decode(Format::Hansard, &recording(&bodies));
    for junk in [bytes.len() - 1, 0] {
        let mut more = recording(&bodies);
        let at = segment_starts(&more)
            .into_iter()
            .rfind(|at| *at <= junk)
            .unwrap();
        more.splice(at..at, [b'?'; 40]);
        let (events, error) = decode(Format::Hansard, &more);
        assert_eq!((error, events.len()), (None, whole.len() + 1));
        assert!(events.windows(2).all(|pair| pair[0].seq < pair[1].seq));
    }
    // And what is none at all is an error at the beginning.
    let error = decode(Format::Hansard, b"hello").1.unwrap();
    assert_eq!(error, "offset 0: not a Hansard recording");
}

#[test]
fn a_recording_whose_header_is_damaged_is_read_from_its_first_sound_segment() {
    let bodies: Vec<_> = (1..200)
        .map(|i| (i * 1_000_000_000, output(format!("line {i}\n").as_bytes())))
        .collect();
    let sound = recording(&bodies);
    let (whole, _) = decode(Format::Hansard, &sound);
    // A bit of the first frame's head, of the header in it, and no first segment at all.
    let second = segment_starts(&sound)[1];
    let flipped = |at: usize| {
        let mut bytes = sound.clone();
        bytes[at] ^= 1;
        bytes
    };
    for damaged in [flipped(20), flipped(120), sound[second..].to_vec()] {
        let mut decoder = Format::Hansard.decoder(&damaged[..], import()).unwrap();
        let (events, error) = read_all(decoder.as_mut());
        assert_eq!(error, None);
        assert!(decoder.is_damaged());
        let said = decoder.take_notices().join("\n");
        assert!(said.contains("header is lost"), "{said}");
        // What every segment says is known of it, and nothing else is made up.
        let (Body::Start(made_up), Body::Start(was)) = (&events[0].body, &whole[0].body) else {
            panic!("{:?}", events[0]);
        };
        assert_eq!(
            (made_up.id, made_up.recorder_key),
            (was.id, was.recorder_key)
        );
        assert_eq!(
            (&*made_up.kind, made_up.subject.text("header")),
            ("unknown", Some("lost"))
        );
        assert_eq!((made_up.origin.len(), made_up.target.len()), (0, 0));
        // A gap stands for all up to the first sound event, and everything from there on is there.
        let Body::Gap(gap) = &events[1].body else {
            panic!("{:?}", events[1]);
        };
        let missing = gap.events.unwrap();
        assert!(missing > 0 && gap.from_ns == 0, "{gap:?}");
        assert!(
            events[2..] == whole[missing as usize + 1..],
            "{missing} missing"
        );
        assert!(events.len() > 100);
        // A copy of it is a recording like any other, and says so.
        let (copied, error) = decode(Format::Hansard, &encode(Format::Hansard, &events));
        let told = |events: &[Event]| -> Vec<_> {
            let told = events.iter().skip(1);
            told.map(|event| (event.at_ns, event.body.clone()))
                .collect()
        };
        assert_eq!(error, None);
        assert!(told(&copied) == told(&events));
    }
}

#[test]
fn a_recording_without_header_and_seal_has_no_signer() {
    let bodies: Vec<_> = (1..100)
        .map(|i| (i * 1_000_000_000, output(b"more\n")))
        .collect();
    let sound = recording(&bodies);
    let second = segment_starts(&sound)[1];
    let cut = sound[second..second + 400].to_vec();
    let mut decoder = Format::Hansard.decoder(&cut[..], import()).unwrap();
    let (events, error) = read_all(decoder.as_mut());
    assert_eq!(error, None);
    let Body::Start(made_up) = &events[0].body else {
        panic!("{:?}", events[0]);
    };
    assert_eq!(made_up.recorder_key, [0; 32]);
    assert!(
        matches!(events[2].body, Body::Data { .. }),
        "{:?}",
        events[2]
    );
}

/// Where the segments of a sound recording begin.
fn segment_starts(recording: &[u8]) -> Vec<usize> {
    let mut reader = Reader::new(recording);
    let mut starts = Vec::new();
    loop {
        match reader.next_item().unwrap() {
            Item::Frame(frame) if frame.opening.is_some() => starts.push(frame.offset as usize),
            Item::End(_) => return starts,
            _ => {}
        }
    }
}

fn value(depth: u32) -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        any::<String>().prop_map(Value::Text),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(Value::Bytes),
        any::<u64>().prop_map(Value::Uint),
        any::<i64>().prop_map(Value::Int),
        any::<bool>().prop_map(Value::Bool),
    ];
    match depth {
        0 => leaf.boxed(),
        _ => prop_oneof![4 => leaf, 1 => prop::collection::vec(value(depth - 1), 0..4).prop_map(Value::List)]
            .boxed(),
    }
}

fn fields() -> impl Strategy<Value = Fields> {
    prop::collection::vec((prop_oneof!["[a-c]{1,2}", any::<String>()], value(4)), 0..6).prop_map(
        |pairs| {
            let mut fields = Fields::new();
            pairs
                .into_iter()
                .for_each(|(name, value)| fields.push(name, value));
            fields
        },
    )
}

fn body() -> impl Strategy<Value = Body> {
    let fact = (any::<String>(), fields()).prop_map(|(event, fields)| Fact { event, fields });
    let gap = (
        any::<String>(),
        any::<u64>(),
        any::<Option<u64>>(),
        any::<Option<u64>>(),
        any::<Option<u64>>(),
    )
        .prop_map(|(cause, from_ns, events, bytes, bytes_max)| Gap {
            cause,
            from_ns,
            events,
            bytes,
            bytes_max,
        });
    let quality = prop::sample::select(vec![
        ClockQuality::Unknown,
        ClockQuality::Synchronised,
        ClockQuality::Unsynchronised,
    ]);
    let families: [fn(Fact) -> Body; 9] = [
        Body::Auth,
        Body::Channel,
        Body::Command,
        Body::File,
        Body::Network,
        Body::Process,
        Body::Transfer,
        Body::Request,
        Body::Admin,
    ];
    prop_oneof![
        (fact, prop::sample::select(families.to_vec())).prop_map(|(fact, family)| family(fact)),
        (
            prop::sample::select(Stream::ALL.to_vec()),
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..50),
                any::<String>().prop_map(String::into_bytes),
            ]
        )
            .prop_map(|(stream, bytes)| Body::Data { stream, bytes }),
        (any::<u16>(), any::<u16>()).prop_map(|(cols, rows)| Body::Resize { cols, rows }),
        (any::<u64>(), quality, any::<String>()).prop_map(|(utc_ns, quality, reason)| {
            Body::Clock {
                utc_ns,
                quality,
                reason,
            }
        }),
        any::<String>().prop_map(|label| Body::Mark { label }),
        gap.prop_map(Body::Gap),
        (
            any::<String>(),
            any::<Option<u8>>(),
            any::<Option<String>>()
        )
            .prop_map(|(reason, exit_status, signal)| Body::End(End {
                reason,
                exit_status,
                signal
            })),
        (any::<u8>(), prop::collection::vec(any::<u8>(), 0..20))
            .prop_map(|(kind, bytes)| Body::Unknown { kind, bytes }),
    ]
}

fn any_session() -> impl Strategy<Value = Session> {
    (
        any::<[u8; 16]>(),
        any::<Option<[u8; 16]>>(),
        any::<String>(),
        (fields(), fields(), fields()),
        any::<u64>(),
        any::<[bool; 8]>(),
        any::<u64>(),
        any::<[u8; 32]>(),
        any::<String>(),
    )
        .prop_map(
            |(
                id,
                parent,
                kind,
                (subject, origin, target),
                start_utc_ns,
                s,
                hold_ms_max,
                recorder_key,
                recorder,
            )| {
                Session {
                    id: SessionId::from_bytes(id),
                    parent: parent.map(SessionId::from_bytes),
                    kind,
                    subject,
                    origin,
                    target,
                    start_utc_ns,
                    recorder_key,
                    recorder,
                    clock: ClockQuality::Unsynchronised,
                    policy: Policy {
                        stdin: s[0],
                        keystrokes: s[1],
                        stdout: s[2],
                        stderr: s[3],
                        passwords: s[4],
                        forwarding: s[5],
                        files: s[6],
                        strict: s[7],
                        hold_ms_max,
                        on_loss: OnLoss::Continue,
                        idle_ms_max: hold_ms_max / 3,
                        bulk_bytes_max: hold_ms_max / 2,
                        version: u64::from(s[0]) * hold_ms_max,
                        rule: if s[1] { "r".to_owned() } else { String::new() },
                    },
                }
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn json_lines_lose_nothing(
        session in any_session(),
        bodies in prop::collection::vec((0u64..1 << 40, 1u64..5, body()), 0..12),
    ) {
        let mut events = vec![Event { seq: 0, at_ns: 0, body: Body::Start(Box::new(session)) }];
        let (mut seq, mut at_ns) = (0, 0);
        for (wait, step, body) in bodies {
            seq += step;
            at_ns += wait;
            events.push(Event { seq, at_ns, body });
        }
        let (back, error) = decode(Format::Jsonl, &encode(Format::Jsonl, &events));
        prop_assert_eq!(error, None);
        prop_assert_eq!(back, events);
    }

    #[test]
    fn casts_keep_the_text_whatever_the_pieces(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(0xe7), Just(0x95), Just(0x8c), b'a'..=b'z'], 0..200),
        mut cuts in prop::collection::vec(0usize..200, 0..20),
        version in prop::sample::select(vec![Format::AsciicastV2, Format::AsciicastV3]),
    ) {
        cuts.sort_unstable();
        let mut bodies = vec![(0, Body::Resize { cols: 80, rows: 24 })];
        let mut from = 0;
        for (cut, i) in cuts.into_iter().chain([bytes.len()]).zip(1..) {
            let cut = cut.clamp(from, bytes.len());
            bodies.push((i * 1_234_567, output(&bytes[from..cut])));
            from = cut;
        }
        let cast = encode(version, &events(bodies));
        let lines = lines(&cast);
        let text: String = lines[1..].iter().map(|line| line[2].as_str().unwrap()).collect();
        prop_assert_eq!(text, String::from_utf8_lossy(&bytes));
        prop_assert_eq!(decode(version, &cast).1, None);
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        for format in Format::ALL {
            if let Some(mut decoder) = format.decoder(&bytes[..], import()) {
                read_all(decoder.as_mut());
            }
            let _ = Format::guess(&bytes);
        }
    }
}
