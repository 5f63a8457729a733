//! Debian's scriptreplay plays our typescripts, and what Debian's script recorded reads as what
//! was shown and typed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod terminal;

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use hansard_core::event::{End, Gap};
use hansard_core::{Body, Event, Fields, Policy, Session, SessionId, Stream};
use hansard_tests::{Scratch, skipped};
use hansard_view::typescript::{TypescriptDecoder, TypescriptEncoder, guess};
use hansard_view::{Decoder, Encoder, Import, copy};
use terminal::on_terminal;

/// Prompts, reads, prints what is no text, waits for a new size, and fails.
const PROGRAM: &str = r#"
printf 'name? '; read -r name; printf 'hello %s \377\303( \000 \033[1mbold\033[m\r\n' "$name"
trap 'stty size; exit 3' WINCH
printf 'ready\n'; while :; do sleep 0.02; done
"#;
const STEPS: [terminal::Step<'static>; 2] =
    [("name? ", "anna\r", None), ("ready", "", Some((101, 31)))];

fn is_missing() -> bool {
    let there = ["/usr/bin/script", "/usr/bin/scriptreplay"].map(|path| Path::new(path).exists());
    if there != [true, true] {
        skipped("Debian's script and scriptreplay (bsdutils) are not installed");
        return true;
    }
    false
}

fn import() -> Import {
    Import {
        id: SessionId::new_v7(1_700_000_000_000, [7; 10]),
        start_utc_ns: 5,
        recorder: "test".to_owned(),
        rec: None,
    }
}

fn opened(path: &Path) -> Box<dyn Read> {
    Box::new(File::open(path).unwrap())
}

fn decoder(out: &Path, timing: &Path, input: Option<&Path>) -> TypescriptDecoder<'static> {
    assert!(guess(&fs::read(out).unwrap()));
    let decoder = TypescriptDecoder::new(opened(out), Some(opened(timing)), import());
    match input {
        Some(input) => decoder.with_input_log(opened(input)).unwrap(),
        None => decoder,
    }
}

fn read(mut decoder: TypescriptDecoder<'_>) -> Vec<Event> {
    let mut events = Vec::new();
    while let Some(event) = decoder.next_event().unwrap() {
        events.push(event);
    }
    assert_eq!(decoder.take_notices(), Vec::<String>::new());
    events
}

fn bytes(events: &[Event], wanted: Stream) -> Vec<u8> {
    let mut all = Vec::new();
    for event in events {
        if let Body::Data { stream, bytes } = &event.body
            && *stream == wanted
        {
            all.extend_from_slice(bytes);
        }
    }
    all
}

/// What scriptreplay shows, without the line feed it ends with.
fn replayed(timing: &Path, out: &Path, more: &[&str]) -> Vec<u8> {
    let played = Command::new("/usr/bin/scriptreplay")
        .args(["--divisor", "1000", "--log-timing"])
        .arg(timing)
        .arg("--log-out")
        .arg(out)
        .args(more)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&played.stderr);
    assert!(played.status.success() && said.is_empty(), "{said}");
    played.stdout.strip_suffix(b"\n").unwrap().to_vec()
}

/// A file of `script` but for the moment in its last line, up to the square bracket.
fn without_moment(file: &[u8]) -> [&[u8]; 2] {
    const DONE: &[u8] = b"Script done on ";
    let done = file.windows(DONE.len()).rposition(|at| at == DONE);
    let (before, last) = file.split_at(done.unwrap() + DONE.len());
    let rest = last.iter().position(|byte| *byte == b'[').unwrap();
    [before, &last[rest..]]
}

#[test]
fn what_debians_script_recorded_reads_as_what_was_shown_and_typed() {
    if is_missing() {
        return;
    }
    let scratch = Scratch::new("script");
    let path = |name: &str| scratch.join(name).to_str().unwrap().to_owned();
    let (out, timing, input) = (path("out"), path("timing"), path("in"));
    let classic = ["-m", "classic", "-O", &out];
    let advanced = ["-m", "advanced", "-O", &out];
    let both = ["-B", &out];
    let apart = ["-O", &out, "-I", &input];
    for (how, typed) in [
        (&classic[..], false),
        (&advanced, false),
        (&both, true),
        (&apart, true),
    ] {
        let mut command = vec![
            "script", "--quiet", "--return", "-T", &timing, "-c", PROGRAM,
        ];
        command.extend(how);
        let began = Instant::now();
        let shown = on_terminal(&command, &STEPS);
        let lasted = began.elapsed();
        assert_eq!(
            shown.status.code(),
            Some(3),
            "{how:?}: {}",
            String::from_utf8_lossy(&shown.stderr)
        );
        let input_log = how.contains(&"-I").then(|| Path::new(&input));
        let events = read(decoder(Path::new(&out), Path::new(&timing), input_log));
        assert_eq!(bytes(&events, Stream::Output), shown.stdout, "{how:?}");
        assert_eq!(
            bytes(&events, Stream::Keystrokes),
            if typed { &b"anna\r"[..] } else { b"" },
            "{how:?}"
        );
        let Body::Start(session) = &events[0].body else {
            panic!("no session first")
        };
        assert_eq!(session.origin.text("term"), Some("xterm"));
        assert!(session.origin.text("tty").unwrap().starts_with("/dev/pts/"));
        assert!(session.target.text("command").unwrap().contains("name? "));
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        let ago = now.as_secs() - session.start_utc_ns / 1_000_000_000;
        // Whole seconds of two moments, which may be one more than those between them.
        let most = began.elapsed().as_secs() + 1;
        assert!(ago <= most, "{how:?} began {ago} s ago");
        assert_eq!(events[1].body, Body::Resize { cols: 80, rows: 24 });
        // Classic timing has no place for a size.
        let resized = events[2..].iter().any(|event| {
            event.body
                == Body::Resize {
                    cols: 101,
                    rows: 31,
                }
        });
        assert_eq!(resized, !how.contains(&"classic"), "{how:?}");
        let last = events.last().unwrap();
        assert!(
            matches!(&last.body, Body::End(end) if end.exit_status == Some(3)),
            "{how:?}"
        );
        assert!(u128::from(last.at_ns) <= lasted.as_nanos());
        // And through us: the same bytes, first and last line, for the player as for a reader.
        let (again, again_timing, again_input) = (
            scratch.join("out2"),
            scratch.join("timing2"),
            scratch.join("in2"),
        );
        let mut encoder = TypescriptEncoder::new(
            File::create(&again).unwrap(),
            File::create(&again_timing).unwrap(),
        )
        .with_input_log(File::create(&again_input).unwrap());
        copy(
            &mut decoder(Path::new(&out), Path::new(&timing), input_log),
            &mut encoder,
        )
        .unwrap();
        drop(encoder);
        assert_eq!(
            replayed(&again_timing, &again, &[]),
            shown.stdout,
            "{how:?}"
        );
        if !how.contains(&"-B") {
            assert_eq!(
                fs::read(&again).unwrap(),
                fs::read(&out).unwrap(),
                "{how:?}"
            );
        }
        if how.contains(&"-I") {
            assert_eq!(fs::read(&again_timing).unwrap(), fs::read(&timing).unwrap());
            // `script` looks at its clock for each file's last line: we have one moment for both.
            let (ours, theirs) = (fs::read(&again_input).unwrap(), fs::read(&input).unwrap());
            assert_eq!(without_moment(&ours), without_moment(&theirs));
        }
        let back = read(decoder(&again, &again_timing, Some(&again_input)));
        let facts = |events: &[Event]| {
            events[1..]
                .iter()
                .map(|e| (e.at_ns, e.body.clone()))
                .collect::<Vec<_>>()
        };
        assert_eq!(facts(&back), facts(&events), "{how:?}");
    }
}

/// A recording of everything that is awkward.
fn awkward() -> (Vec<Event>, Vec<u8>) {
    let mut noise = 7u64;
    let mut bodies = vec![Body::Resize {
        cols: 132,
        rows: 43,
    }];
    let mut shown = Vec::new();
    for i in 0..200u64 {
        let len = if i == 50 { 300_000 } else { i % 90 };
        let bytes: Vec<u8> = (0..len)
            .map(|_| {
                noise = noise
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                (noise >> 56) as u8
            })
            .collect();
        let stream = Stream::ALL[(i % 5) as usize];
        if stream.is_shown() {
            shown.extend_from_slice(&bytes);
        }
        bodies.push(Body::Data { stream, bytes });
        match i % 40 {
            5 => bodies.push(Body::Mark {
                label: "a\nmark %s \\n".into(),
            }),
            15 => bodies.push(Body::Gap(Gap {
                cause: "disk full".into(),
                bytes: Some(7),
                ..Gap::default()
            })),
            25 => bodies.push(Body::Resize {
                cols: 80 + i as u16,
                rows: 24,
            }),
            35 => bodies.push(Body::Unknown {
                kind: 200,
                bytes: vec![1, 2],
            }),
            _ => {}
        }
    }
    bodies.push(Body::End(End {
        reason: "signalled".into(),
        exit_status: None,
        signal: Some("TERM".into()),
    }));
    let session = Session {
        id: SessionId::new_v7(1_700_000_000_000, [7; 10]),
        parent: None,
        kind: "terminal".into(),
        subject: Fields::new().with("user", "anna"),
        origin: Fields::new().with("term", "xterm"),
        target: Fields::new().with("command", "sh -c \"two\nlines [x]\""),
        start_utc_ns: 1_700_000_000_123_456_789,
        clock: hansard_core::session::ClockQuality::Synchronised,
        policy: Policy::default(),
        recorder_key: [0; 32],
        recorder: "test".into(),
    };
    let start = Body::Start(Box::new(session));
    let all = std::iter::once(start).chain(bodies).zip(0..);
    // Two milliseconds and a third between events; the first size is there from the beginning.
    let events = all
        .map(|(body, seq)| Event {
            seq,
            at_ns: seq.saturating_sub(1) * 2_333_333,
            body,
        })
        .collect();
    (events, shown)
}

#[test]
fn debians_scriptreplay_plays_our_typescripts() {
    if is_missing() {
        return;
    }
    let scratch = Scratch::new("scriptreplay");
    let (out, timing, input) = (
        scratch.join("out"),
        scratch.join("out.timing"),
        scratch.join("out.input"),
    );
    let (events, shown) = awkward();
    let file = |path: &Path| std::io::BufWriter::new(File::create(path).unwrap());
    let mut encoder =
        TypescriptEncoder::new(file(&out), file(&timing)).with_input_log(file(&input));
    for event in &events {
        match &event.body {
            Body::Start(session) => encoder.begin(session).unwrap(),
            _ => encoder.event(event).unwrap(),
        }
    }
    encoder.end().unwrap();
    drop(encoder);
    let same = |played: &[u8], expected: &[u8], what: &str| {
        let at = played.iter().zip(expected).position(|(a, b)| a != b);
        assert!(
            played == expected,
            "{what}: {} of {} bytes, differing at {at:?}",
            played.len(),
            expected.len()
        );
    };
    same(&replayed(&timing, &out, &[]), &shown, "output");
    let input_path = input.to_str().unwrap();
    same(
        &replayed(&timing, &out, &["--log-in", input_path]),
        &shown,
        "output beside input",
    );
    let mut typed = Vec::new();
    for event in &events {
        if let Body::Data { stream, bytes } = &event.body
            && !stream.is_shown()
        {
            typed.extend_from_slice(bytes);
        }
    }
    let played = replayed(
        &timing,
        &out,
        &[
            "--log-in",
            input_path,
            "--stream",
            "in",
            "--cr-mode",
            "never",
        ],
    );
    same(&played, &typed, "input");
    let said = String::from_utf8(replayed(&timing, &out, &["--summary"])).unwrap();
    let has = |line: &str| said.lines().any(|said| said.trim() == line);
    for line in [
        "START_TIME:  2023-11-14 22:13:20+00:00",
        "TERM:  xterm",
        "COLUMNS:  132",
        "LINES:  43",
        "COMMAND:  sh -c \"two lines [x]\"",
        "EXIT_CODE:  143",
    ] {
        assert!(has(line), "{line} in {said}");
    }
    // It waits as long as the recording lasted: half a second.
    let lasted = events.last().unwrap().at_ns;
    let began = Instant::now();
    let played = Command::new("/usr/bin/scriptreplay")
        .arg("-T")
        .arg(&timing)
        .arg("-O")
        .arg(&out)
        .output()
        .unwrap();
    assert!(played.status.success());
    let ms = |ns: u128| ns / 1_000_000;
    let (waited, due) = (ms(began.elapsed().as_nanos()), ms(u128::from(lasted)));
    assert!(waited + 20 >= due, "{waited} of {due} ms");
}
