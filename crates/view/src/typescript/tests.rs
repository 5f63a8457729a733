//! Typescripts there and back, and broken ones.

use std::io::Read;

use hansard_core::event::{End, Gap};
use hansard_core::seal::SigningKey;
use hansard_core::{Body, Event, SessionId, Stream};
use proptest::prelude::*;

use super::{TypescriptDecoder, TypescriptEncoder};
use crate::codec::{Decoder, Encoder, copy};
use crate::import::Import;
use crate::segments::{SegmentDecoder, SegmentEncoder};

pub(super) const HEADER: &str = "Script started on 2026-11-21 05:40:45+00:00 [TERM=\"xterm\" TTY=\"/dev/pts/3\" COLUMNS=\"80\" LINES=\"24\"]\n";
pub(super) const DONE: &str =
    "\nScript done on 2026-11-21 05:40:46+00:00 [COMMAND_EXIT_CODE=\"3\"]\n";
/// What Debian's script 2.38.1 wrote with `--log-out` and `--log-in`, two entries taken out.
pub(super) const TIMING: &str = "H 0.000000 START_TIME 2026-11-21 05:40:45+00:00
H 0.000000 TERM xterm
H 0.000000 TTY /dev/pts/3
H 0.000000 COLUMNS 80
H 0.000000 LINES 24
H 0.000000 SHELL /bin/dash
H 0.000000 COMMAND sh -c 'exit 3'
H 0.000000 TIMING_LOG s.t
H 0.000000 OUTPUT_LOG s.o
H 0.000000 INPUT_LOG s.i
O 0.000810 2
I 0.301513 8
O 0.000072 9
S 0.301469 SIGWINCH ROWS=30 COLS=100
S 0.000001 SIGUSR1
H 0.000002 SOMETHING new
Z what a later version writes
I 0.301605 1
O 0.000131 6
H 0.000000 DURATION 1.217796
H 0.000000 EXIT_CODE 3
";
pub(super) const SHOWN: &[u8] = b"$ echo hi\r\na\xff\r\n\x1b[m";
pub(super) const TYPED: &[u8] = b"echo hi\r\x04";

pub(super) fn import() -> Import {
    Import {
        id: SessionId::new_v7(1_700_000_000_000, [7; 10]),
        start_utc_ns: 5_000_000_000,
        recorder: "test".to_owned(),
        rec: None,
    }
}

pub(super) fn out(shown: &[u8]) -> Vec<u8> {
    [HEADER.as_bytes(), shown, DONE.as_bytes()].concat()
}

pub(super) fn decoder<'a>(out: &'a [u8], timing: Option<&'a [u8]>) -> TypescriptDecoder<'a> {
    let timing = timing.map(|timing| Box::new(timing) as Box<dyn Read>);
    TypescriptDecoder::new(out, timing, import())
}

pub(super) struct Seen {
    pub(super) events: Vec<Event>,
    pub(super) error: Option<String>,
    pub(super) notices: Vec<String>,
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

    pub(super) fn end(&self) -> Option<&End> {
        match &self.events.last()?.body {
            Body::End(end) => Some(end),
            _ => None,
        }
    }
}

pub(super) fn drain(mut decoder: TypescriptDecoder<'_>) -> Seen {
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
    }
}

pub(super) fn read(out: &[u8], timing: Option<&str>) -> Seen {
    drain(decoder(out, timing.map(str::as_bytes)))
}

/// The three files of these events.
fn write(decoder: &mut dyn Decoder) -> [Vec<u8>; 3] {
    let [mut out, mut timing, mut input] = [vec![], vec![], vec![]];
    let mut encoder = TypescriptEncoder::new(&mut out, &mut timing).with_input_log(&mut input);
    copy(decoder, &mut encoder).unwrap();
    drop(encoder);
    [out, timing, input]
}

fn through_ours(decoder: &mut dyn Decoder) -> Vec<u8> {
    let mut ours = Vec::new();
    let key = SigningKey::from_seed([9; 32]);
    copy(decoder, &mut SegmentEncoder::new(&mut ours, key)).unwrap();
    ours
}

pub(super) fn with_input<'a>(
    out: &'a [u8],
    timing: &'a [u8],
    input: &'a [u8],
) -> TypescriptDecoder<'a> {
    decoder(out, Some(timing))
        .with_input_log(Box::new(input))
        .unwrap()
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_typescript_comes_back_as_it_was_through_our_own_format() {
    let (shown, typed) = (out(&SHOWN[..17]), out(&TYPED[..9]));
    let ours = through_ours(&mut with_input(&shown, TIMING.as_bytes(), &typed));
    let [out_back, timing_back, input_back] = write(&mut SegmentDecoder::new(&ours[..]));
    assert_eq!(text(&out_back), text(&shown));
    assert_eq!(text(&timing_back), TIMING);
    assert_eq!(text(&input_back), text(&typed));
}

#[test]
fn a_break_inside_a_name_does_not_make_it_another_when_it_is_read_again() {
    let shown = out(&SHOWN[..17]);
    for odd in [
        "H 0.000001 DURATION\r4\r0",
        "H 0.000001 EXIT_CODE\r7",
        "H 0.000001 GAP\r007 - - - why",
        "H 0.000001 MARK\rhere",
        "H 0.000001 MARK\r",
        "S 0.000001 SIGWINCH\rROWS=030 COLS=100",
    ] {
        let timing = TIMING.replace("S 0.000001 SIGUSR1", odd);
        assert!(timing.contains(odd));
        let first = write(&mut with_input(&shown, timing.as_bytes(), TYPED));
        let back = write(&mut with_input(&first[0], &first[1], &first[2]));
        assert_eq!(text(&back[1]), text(&first[1]), "{odd:?}");
    }
}

#[test]
fn everything_that_script_says_becomes_events() {
    let (shown, typed) = (out(&SHOWN[..17]), out(&TYPED[..9]));
    let seen = drain(with_input(&shown, TIMING.as_bytes(), &typed));
    assert_eq!((seen.error.clone(), seen.notices.clone()), (None, vec![]));
    let Body::Start(session) = &seen.events[0].body else {
        panic!("no session first")
    };
    assert_eq!(session.start_utc_ns, 1_795_239_645_000_000_000);
    assert_eq!(session.origin.text("term"), Some("xterm"));
    assert_eq!(session.origin.text("tty"), Some("/dev/pts/3"));
    assert_eq!(session.target.text("shell"), Some("/bin/dash"));
    assert_eq!(session.target.text("command"), Some("sh -c 'exit 3'"));
    assert_eq!(seen.events[1].body, Body::Resize { cols: 80, rows: 24 });
    assert_eq!(seen.bytes(Stream::Output), &SHOWN[..17]);
    assert_eq!(seen.bytes(Stream::Keystrokes), TYPED);
    let resize = seen
        .events
        .iter()
        .rfind(|e| matches!(e.body, Body::Resize { .. }))
        .unwrap();
    assert_eq!(
        (resize.at_ns, &resize.body),
        (
            603_864_000,
            &Body::Resize {
                cols: 100,
                rows: 30
            }
        )
    );
    let end = seen.end().unwrap();
    assert_eq!((end.reason.as_str(), end.exit_status), ("exited", Some(3)));
    assert_eq!(seen.events.last().unwrap().at_ns, 1_217_796_000);
}

#[test]
fn classic_timing_says_the_same_of_the_output() {
    let seen = read(&out(b"abcdef"), Some("0.1 2\n0.25 4\n"));
    assert_eq!((seen.error.clone(), seen.notices.clone()), (None, vec![]));
    let times: Vec<u64> = seen.events.iter().map(|event| event.at_ns).collect();
    // The session, its size, the output, the last line, the end.
    assert_eq!(
        times,
        [0, 0, 100_000_000, 350_000_000, 350_000_000, 350_000_000]
    );
    assert_eq!(seen.end().unwrap().exit_status, Some(3));
    let Body::Start(session) = &seen.events[0].body else {
        panic!("no session first")
    };
    assert_eq!(session.origin.text("term"), Some("xterm"));
    // Written again it is advanced; the bytes and both lines are the same.
    let file = out(b"abcdef");
    let [back, timing, input] = write(&mut decoder(&file, Some(b"0.1 2\n0.25 4\n")));
    assert_eq!(text(&back), text(&file));
    assert!(text(&timing).contains(
        "\nO 0.100000 2\nO 0.250000 4\nH 0.000000 DURATION 0.350000\nH 0.000000 EXIT_CODE 3\n"
    ));
    assert!(input.is_empty());
}

#[test]
fn input_is_where_script_put_it() {
    let entries = "O 0.1 2\nI 0.1 3\nO 0.1 1\n";
    let inside = format!("H 0 OUTPUT_LOG b\nH 0 INPUT_LOG b\n{entries}");
    let seen = read(&out(b"abXYZc"), Some(&inside));
    assert_eq!(
        (seen.bytes(Stream::Output), seen.bytes(Stream::Keystrokes)),
        (b"abc".to_vec(), b"XYZ".to_vec())
    );
    assert_eq!(seen.notices, [""; 0]);
    let apart = format!("H 0 OUTPUT_LOG b\nH 0 INPUT_LOG ../../etc/shadow\n{entries}");
    let seen = read(&out(b"abc"), Some(&apart));
    assert_eq!(
        (seen.bytes(Stream::Output), seen.bytes(Stream::Keystrokes)),
        (b"abc".to_vec(), vec![])
    );
    assert!(seen.notices[0].starts_with(
        "3 bytes that were typed stand in a file of their own (\"../../etc/shadow\" then)"
    ));
    let file = out(b"abc");
    for (input, typed, notice) in [
        (&b"XYZ"[..], &b"XYZ"[..], None),
        (&out(b"XYZ"), b"XYZ", None),
        (
            b"X",
            b"X",
            Some("2 bytes that the timing tells of are not in the file of what was typed"),
        ),
        (
            b"XYZ++",
            b"XYZ++",
            Some("2 bytes that were typed are not in the timing"),
        ),
    ] {
        let seen = drain(with_input(&file, apart.as_bytes(), input));
        assert_eq!(
            (seen.bytes(Stream::Output), seen.bytes(Stream::Keystrokes)),
            (b"abc".to_vec(), typed.to_vec())
        );
        assert_eq!(
            seen.notices
                .iter()
                .map(|n| n.starts_with(notice.unwrap_or("-")))
                .collect::<Vec<_>>(),
            vec![true; notice.iter().count()],
            "{:?}",
            seen.notices
        );
    }
    // Only what was typed was recorded: it is the typescript.
    let seen = read(&out(b"XYZ"), Some("H 0 INPUT_LOG i\nI 0.1 3\n"));
    assert_eq!(seen.bytes(Stream::Keystrokes), b"XYZ");
}

#[test]
fn without_timing_everything_is_shown_at_once() {
    let long = b"0123456789".repeat(10_000);
    let seen = read(&out(&long), None);
    assert_eq!(seen.bytes(Stream::Output), long);
    assert!(seen.events.iter().all(|event| event.at_ns == 0));
    assert!(seen.notices[0].starts_with("no timing: everything is shown at once"));
    assert_eq!(seen.end().unwrap().exit_status, Some(3));
    assert!(
        read(b"", None)
            .error
            .unwrap()
            .starts_with("offset 0: the file is empty")
    );
}

#[test]
fn a_recording_of_any_kind_can_be_written() {
    let bodies = vec![
        Body::Data {
            stream: Stream::Stdout,
            bytes: b"out\n".to_vec(),
        },
        Body::Data {
            stream: Stream::Output,
            bytes: vec![],
        },
        Body::Data {
            stream: Stream::Stdin,
            bytes: b"in".to_vec(),
        },
        Body::Mark {
            label: "two\nlines".into(),
        },
        Body::Mark {
            label: String::new(),
        },
        Body::Gap(Gap {
            cause: "disk full".into(),
            from_ns: 7,
            bytes_max: Some(9),
            ..Gap::default()
        }),
        Body::Resize { cols: 5, rows: 4 },
        Body::Unknown {
            kind: 200,
            bytes: vec![1],
        },
        Body::End(End {
            reason: "hang\nup <x>".into(),
            exit_status: None,
            signal: None,
        }),
    ];
    let start = Body::Start(Box::new(import().session("x")));
    let events = std::iter::once(start).chain(bodies).zip(0..);
    let events: Vec<_> = events
        .map(|(body, seq)| Event {
            seq,
            at_ns: seq * 1_500,
            body,
        })
        .collect();
    let [mut out, mut timing, mut input] = [vec![], vec![], vec![]];
    let mut encoder = TypescriptEncoder::new(&mut out, &mut timing).with_input_log(&mut input);
    for event in &events {
        match &event.body {
            Body::Start(session) => encoder.begin(session).unwrap(),
            _ => encoder.event(event).unwrap(),
        }
    }
    encoder.end().unwrap();
    drop(encoder);
    assert_eq!(
        text(&out),
        "Script started on 1970-01-01 00:00:05+00:00 [<not executed on terminal>]\nout\n\nScript done on 1970-01-01 00:00:05+00:00 [<hang up  x >]\n"
    );
    assert_eq!(
        text(&input),
        "Script started on 1970-01-01 00:00:05+00:00 [<not executed on terminal>]\nin\nScript done on 1970-01-01 00:00:05+00:00 [<hang up  x >]\n"
    );
    let seen = drain(with_input(&out, &timing, &input));
    assert_eq!((seen.error.clone(), seen.notices.clone()), (None, vec![]));
    let kept: Vec<_> = seen.events[1..]
        .iter()
        .filter(|e| !matches!(e.body, Body::Channel(_)))
        .map(|e| &e.body)
        .collect();
    let want = [
        Body::Data {
            stream: Stream::Output,
            bytes: b"out\n".to_vec(),
        },
        Body::Data {
            stream: Stream::Keystrokes,
            bytes: b"in".to_vec(),
        },
        Body::Mark {
            label: "two lines".into(),
        },
        events[5].body.clone(),
        events[6].body.clone(),
        events[7].body.clone(),
        Body::End(End {
            reason: "hang up  x ".into(),
            ..End::default()
        }),
    ];
    assert_eq!(kept, want.iter().collect::<Vec<_>>());
    // A recording that stopped has no last line, and a signal is the status a shell reports.
    let [out, ..] = write(&mut decoder(HEADER.as_bytes(), Some(b"")));
    assert_eq!(text(&out), HEADER);
}

proptest! {
    #[test]
    fn typescripts_keep_everything(
        entries in prop::collection::vec((0u64..5_000_000, 0u8..6, prop::collection::vec(any::<u8>(), 1..30)), 0..20),
        exit in any::<Option<u8>>(),
    ) {
        let (mut shown, mut typed) = (vec![], vec![]);
        let (head, _) = TIMING.split_once("O 0.000810").unwrap();
        let mut timing = head.to_owned();
        let mut sum = 0;
        for (wait, kind, bytes) in &entries {
            sum += wait;
            let what = match kind {
                0 => { typed.extend_from_slice(bytes); bytes.len().to_string() }
                1 => format!("SIGWINCH ROWS={} COLS={}", bytes[0], wait % 65_536),
                2 => "SIGTERM".to_owned(),
                3 => format!("MARK {wait}"),
                _ => { shown.extend_from_slice(bytes); bytes.len().to_string() }
            };
            let letter = ["I", "S", "S", "H"].get(usize::from(*kind)).unwrap_or(&"O");
            timing += &format!("{letter} {}.{:06} {what}\n", wait / 1_000_000, wait % 1_000_000);
        }
        let mut done = String::new();
        if let Some(exit) = exit {
            timing += &format!("H 0.000000 DURATION {}.{:06}\nH 0.000000 EXIT_CODE {exit}\n", sum / 1_000_000, sum % 1_000_000);
            done = DONE.replace('3', &exit.to_string()).replace("2026", "2027");
        }
        let files = [&shown, &typed].map(|bytes| [HEADER.as_bytes(), bytes, done.as_bytes()].concat());
        let direct = write(&mut with_input(&files[0], timing.as_bytes(), &files[1]));
        let ours = through_ours(&mut with_input(&files[0], timing.as_bytes(), &files[1]));
        for [out, time, input] in [direct, write(&mut SegmentDecoder::new(&ours[..]))] {
            prop_assert_eq!(&out, &files[0]);
            prop_assert_eq!(text(&time), timing.clone());
            prop_assert_eq!(&input, if typed.is_empty() { &typed } else { &files[1] });
        }
    }
}
