//! `hansard play` on a terminal: what its keys do, what it leaves behind, what it never sends.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    missing_docs
)]

mod viewer;

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hansard_core::event::{Fact, Gap};
use hansard_core::{Body, Fields, Value};
use hansard_view::{Screen, escape_for_humans};
use rustix::process::Signal;
use viewer::{PATIENCE, S, Scratch, Viewer, end, output, parts, size, writer};

/// One word a second for ten seconds, with a marker at 3 and a gap at 6.
fn words() -> Vec<(u64, Body)> {
    let mut events = vec![(0, size(40, 10))];
    for n in 0..10 {
        events.push((n * S, output(format!("word{n}\r\n"))));
        if n == 3 {
            events.push((
                n * S,
                Body::Mark {
                    label: "third".to_owned(),
                },
            ));
        }
        if n == 6 {
            let gap = Gap {
                cause: "disk full".to_owned(),
                from_ns: 5 * S,
                bytes: Some(1234),
                ..Gap::default()
            };
            events.push((n * S, Body::Gap(gap)));
        }
    }
    events.push((10 * S, end()));
    events
}

/// A player in which this text comes later than so long after the first, or the last of some: where this side is held
/// up while a player goes on, it seems quick. One that is quick is so each time.
fn unhurried(
    play: impl Fn() -> Viewer,
    first: impl Fn(&mut Viewer),
    text: &str,
    least: Duration,
) -> (Viewer, bool) {
    let mut tries = 0..5;
    loop {
        let mut viewer = play();
        first(&mut viewer);
        let is_late = viewer.sees(text) > least;
        if is_late || tries.next().is_none() {
            return (viewer, is_late);
        }
    }
}

#[test]
fn time_passes_as_fast_as_asked() {
    let scratch = Scratch::new();
    scratch.recording(&words());
    let play = || Viewer::play(&scratch, 60, 12, &["recording.hansard", "--speed", "4"]);
    let first = |viewer: &mut Viewer| {
        viewer.sees("word0");
        assert!(viewer.is_raw());
    };
    let (mut viewer, took) = unhurried(play, first, "word4", Duration::from_millis(900));
    assert!(took, "four seconds at 4 took less than one");
    assert!(viewer.shows("4×") && viewer.shows("playing"));
    viewer.keys("\x1b[H ");
    viewer.sees("paused");
    for (keys, word) in [
        ("+", "8×"),
        ("++++++++", "64×"),
        ("-", "32×"),
        ("\x7f", " 1×"),
        ("-------", "1/16×"),
    ] {
        viewer.keys(keys);
        viewer.sees(word);
    }
    viewer.keys("\x7f++++++ ");
    viewer.sees("■ end");
    viewer.sees("GAP");
    viewer.keys("\x1b");
    viewer.sees("the session ended");
    viewer.sees("word9");
    viewer.keys(" ");
    viewer.misses("word9");
    viewer.sees("word0");
    viewer.keys("q");
    assert_eq!(viewer.ends(), 0);
    assert!(viewer.is_restored());
}

#[test]
fn what_was_really_done_stands_beside_the_screen() {
    let scratch = Scratch::new();
    let ran = |name: &str| {
        let argv = Value::List(vec![Value::from(name)]);
        Body::Command(Fact {
            event: "session.command".to_owned(),
            fields: Fields::new()
                .with("path", "/usr/bin/cat")
                .with("argv", argv)
                .with("return_code", Value::Int(0)),
        })
    };
    scratch.recording(&[
        (0, size(40, 10)),
        (0, output("first")),
        (S, ran("/etc/shadow")),
        (2 * S, output(" second")),
        (3 * S, ran("/etc/gshadow")),
        (4 * S, output(" third")),
        (4 * S, end()),
    ]);
    let mut viewer = Viewer::play(&scratch, 90, 12, &["recording.hansard", "--paused"]);
    viewer.keys("\x1b[H");
    viewer.sees("paused");
    assert!(!viewer.shows("no host events"));
    viewer.keys("e");
    viewer.sees("no host events until here");
    // A jump knows what was done before it, and nothing of what was done after.
    viewer.keys("t2\r");
    viewer.sees("second");
    viewer.sees("0:01 $ cat /etc/shadow");
    assert!(!viewer.shows("gshadow"));
    viewer.keys("\x1b[F");
    viewer.sees("0:03 $ cat /etc/gshadow");
    viewer.sees("third");
    viewer.keys("\x1b[H");
    viewer.misses("cat");
    viewer.keys("e");
    viewer.misses("no host events");
    viewer.keys("q");
    assert_eq!(viewer.ends(), 0);
}

#[test]
fn nobody_waits_longer_than_the_idle_limit() {
    let scratch = Scratch::new();
    let hour = 3600 * S;
    scratch.recording(&[
        (0, size(20, 5)),
        (0, output("first")),
        (hour, output("second")),
        (2 * hour, output("third")),
    ]);
    let play = || Viewer::play(&scratch, 70, 7, &["recording.hansard", "-i", "0.5"]);
    let first = |viewer: &mut Viewer| {
        viewer.sees("idle ≤ 0.5 s");
    };
    let (mut viewer, took) = unhurried(play, first, "second", Duration::from_millis(300));
    assert!(took, "less than half a second");
    viewer.sees("of nothing skipped");
    viewer.sees("third");
    viewer.sees("■ end");
    viewer.keys("\x1b");
    viewer.sees("unfinished");
    viewer.keys("\x1b[H");
    viewer.misses("second");
    viewer.keys("i");
    viewer.misses("idle");
    viewer.watch(Duration::from_millis(800));
    assert!(!viewer.shows("second"));
}

#[test]
fn every_moment_can_be_reached() {
    let scratch = Scratch::new();
    scratch.recording(&words());
    let mut viewer = Viewer::play(&scratch, 80, 12, &["recording.hansard", "--paused"]);
    viewer.sees("paused");
    viewer.sees("0:00 / 0:10");
    assert!(!viewer.shows("word0"));
    let steps: &[(&str, &str, &str, &str)] = &[
        ("..", "word0", "word1", "0:00"),
        (".", "word1", "word2", "0:01"),
        (",", "word0", "word1", "0:00"),
        ("\x1b[C", "word5", "word6", "0:05"),
        ("\x1b[C", "word9", "word99", "0:10"),
        ("\x1b[D", "word5", "word6", "0:05"),
        ("3", "word3", "word4", "0:03"),
        ("\x1b[F", "word9", "word99", "0:10"),
        ("\x1b[H", "word0", "word1", "0:00"),
        ("\x1bOA", "word9", "word99", "0:10"),
        ("\x1b[B", "word0", "word1", "0:00"),
        ("t0:07.5\r", "word7", "word8", "0:07.5"),
        ("t2s\r", "word2", "word3", "0:02"),
        ("]", "third", "word4", "0:03"),
        (
            "}",
            "GAP 0:05–0:06, 1.2 kB missing: “disk full”",
            "word7",
            "0:06",
        ),
        ("[", "third", "word4", "0:03"),
    ];
    for (keys, there, not_there, at) in steps {
        viewer.keys(keys);
        viewer.sees(&format!("paused  {at} /"));
        viewer.sees(there);
        assert!(!viewer.shows(not_there), "{keys:?}");
    }
    viewer.keys("[");
    viewer.sees("no marker before this");
    viewer.keys("tnonsense\r");
    viewer.sees("“nonsense” is not a moment");
    viewer.keys("?");
    viewer.sees("quit");
    viewer.keys("q");
    viewer.misses("Any key");
    viewer.keys("tx");
    viewer.sees("go to");
    viewer.keys("\x1b");
    viewer.misses("go to");
    viewer.keys("\x03");
    assert_eq!(viewer.ends(), 0);
    assert!(viewer.is_restored());
}

#[test]
fn it_begins_where_asked() {
    let scratch = Scratch::new();
    scratch.recording(&words());
    let mut viewer = Viewer::play(
        &scratch,
        60,
        12,
        &["recording.hansard", "-p", "--at", "0:04"],
    );
    viewer.sees("word4");
    assert!(!viewer.shows("word5") && viewer.shows("0:04 /"));
    let mut viewer = Viewer::play(&scratch, 60, 12, &["recording.hansard", "--at", "end"]);
    viewer.sees("word9");
}

#[test]
fn what_stood_on_the_screen_is_found() {
    let scratch = Scratch::new();
    scratch.recording(&[
        (0, size(40, 10)),
        (S, output("needle one\r\n")),
        (2 * S, output("\x1b[2Jnothing\r\n")),
        (3 * S, output("nee")),
        (4 * S, output("\x1b[31mdle \x1b[mtwo\r\n")),
        (30 * S, output("\x1b[2J\x1b[Hlast needle")),
        (40 * S, end()),
    ]);
    let mut viewer = Viewer::play(&scratch, 80, 12, &["recording.hansard", "-p"]);
    viewer.sees("paused");
    viewer.keys("n");
    viewer.sees("nothing to search for yet");
    viewer.keys("/nedx\x7f\x7fedle\r");
    viewer.sees("“needle” at 0:01, row 1");
    viewer.sees("needle one");
    for (key, at) in [("n", "0:04"), ("n", "0:30"), ("N", "0:04"), ("N", "0:01")] {
        viewer.keys(key);
        viewer.sees(&format!("“needle” at {at}"));
        viewer.sees(&format!("paused  {at} /"));
    }
    viewer.keys("N");
    viewer.sees("no “needle” there");
    // Where it stands it is marked.
    let marked = |viewer: &Viewer| {
        let cells = viewer.screen.cells().next().unwrap();
        cells.filter(|cell| cell.style.background.is_some()).count()
    };
    viewer.until("marked", |viewer| marked(viewer) == 6);
    viewer.keys("\x1b");
    viewer.until("not marked", |viewer| marked(viewer) == 0);
    // Behind the last one it goes on from the beginning, once.
    viewer.keys("\x1b[F/one\r");
    viewer.sees("“one” at 0:01");
    viewer.keys("/not there at all\r");
    viewer.sees("no “not there at all” there");
}

#[test]
fn the_terminal_is_given_back_on_every_way_out() {
    let scratch = Scratch::new();
    scratch.recording(&words());
    let mut ways: Vec<(&str, Option<Signal>, Option<&str>, i32)> = vec![
        ("q", None, None, 0),
        ("\x03", None, None, 0),
        ("", Some(Signal::TERM), None, 143),
        ("", Some(Signal::HUP), None, 129),
        ("", Some(Signal::INT), None, 130),
        ("", Some(Signal::QUIT), None, 131),
        ("", Some(Signal::SEGV), None, 139),
    ];
    if cfg!(debug_assertions) {
        ways.push(("", None, Some("panic"), 125));
        ways.push(("", None, Some("abort"), 134));
    }
    for (keys, signal, fault, status) in ways {
        let mut viewer = Viewer::play_with(&scratch, 60, 12, &["recording.hansard"], |command| {
            command.envs(fault.map(|fault| ("HANSARD_TEST_FAULT", fault)));
        });
        if fault.is_none() {
            viewer.sees("word0");
            assert!(viewer.is_raw());
        }
        viewer.keys(keys);
        if let Some(signal) = signal {
            viewer.signal(signal);
        }
        assert_eq!(viewer.ends(), status, "{keys:?} {signal:?} {fault:?}");
        assert!(viewer.is_restored(), "{keys:?} {signal:?} {fault:?}");
        if fault == Some("panic") {
            assert!(viewer.shows("please report it"), "{}", viewer.screen.text());
        }
    }
}

#[test]
fn it_stops_and_goes_on_like_any_job() {
    let scratch = Scratch::new();
    scratch.recording(&words());
    let bash = ["bash", "--norc", "--noprofile", "-i"].map(Into::into);
    let mut viewer = Viewer::run(&scratch, 60, 12, &bash, |_| {});
    viewer.sees("ps1>");
    let command = format!(
        "{} play -p --at 4s recording.hansard\r",
        env!("CARGO_BIN_EXE_hansard")
    );
    viewer.keys(&command);
    viewer.sees("word4");
    viewer.keys("\x1a");
    viewer.sees("Stopped");
    viewer.sees("ps1>");
    viewer.keys("clear; echo 'in'between\r");
    viewer.sees("inbetween");
    viewer.keys("fg\r");
    viewer.sees("word4");
    viewer.sees("paused  0:04");
    viewer.keys("q");
    viewer.sees("inbetween");
    viewer.keys("stty -a; exit\r");
    viewer.ends();
    assert!(String::from_utf8_lossy(&viewer.sent).contains(" icanon"));
}

#[test]
fn without_a_terminal_it_says_what_to_do_instead() {
    let scratch = Scratch::new();
    let path = scratch.recording(&words());
    let done = Command::new(env!("CARGO_BIN_EXE_hansard"))
        .arg("play")
        .arg(path)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(done.status.code(), Some(2));
    assert!(done.stdout.is_empty());
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(
        said.contains("not a terminal") && said.contains("hansard cat"),
        "{said}"
    );
}

#[test]
fn what_cannot_be_played_is_said_before_the_screen_is_taken() {
    let scratch = Scratch::new();
    scratch.file("nothing", "just a text\n");
    scratch.file(
        "a.cast",
        "{\"version\": 2, \"width\": 80, \"height\": 24}\n",
    );
    for (args, said) in [
        (&["nothing"][..], "not a recording"),
        (&["missing"], "No such file"),
        (&["a.cast", "--speed", "65"], "it goes from 0.0625 to 64"),
        (&["a.cast", "--speed", "nan"], "it goes from 0.0625 to 64"),
        (
            &["a.cast", "--follow"],
            "only a Hansard recording or a tlog can be followed",
        ),
    ] {
        let mut viewer = Viewer::play(&scratch, 90, 5, args);
        assert_eq!(viewer.ends(), 2, "{args:?}");
        assert!(viewer.shows(said), "{}", viewer.screen.text());
        assert!(!viewer.sent.contains(&0x1b), "{args:?}");
    }
}

#[test]
fn other_formats_are_played_too() {
    let scratch = Scratch::new();
    let cast = "{\"version\":2,\"width\":30,\"height\":5}\n[0.1,\"o\",\"cast one\\r\\n\"]\n\
                [5,\"m\",\"here\"]\n[6,\"o\",\"cast two\"]\n";
    scratch.file("a.cast", cast);
    let mut viewer = Viewer::play(&scratch, 60, 8, &["a.cast", "-p"]);
    viewer.sees("paused");
    viewer.keys("]");
    viewer.sees("marker “here”");
    assert!(viewer.shows("cast one") && !viewer.shows("cast two"));
    viewer.keys("\x1b[F");
    viewer.sees("cast two");
    viewer.keys("/one\r");
    viewer.sees("“one” at 0:00");
    // What is sound of a broken one, and then what is wrong.
    scratch.file("b.cast", format!("{cast}\n[oops\n"));
    let mut viewer = Viewer::play(&scratch, 60, 8, &["b.cast", "-i", "0"]);
    viewer.sees("cast two");
    viewer.keys("q");
    assert_eq!(viewer.ends(), 3);
    assert!(viewer.shows("b.cast: line 6"), "{}", viewer.screen.text());
    scratch.file("raw", "some \x1b[1mraw\x1b[m bytes\r\n");
    let mut viewer = Viewer::play(&scratch, 60, 8, &["--from", "raw", "raw"]);
    viewer.sees("some raw bytes");
}

#[test]
fn a_growing_recording_is_followed() {
    let scratch = Scratch::new();
    let path = scratch.path("growing.hansard");
    let mut file = fs::File::create(&path).unwrap();
    let mut writer = writer();
    let mut say = |at_ns: u64, body: Body| {
        writer.push(at_ns, &body).unwrap();
        writer.cut().unwrap();
        file.write_all(&parts(&mut writer)).unwrap();
    };
    say(0, size(40, 5));
    say(100 * S, output("before\r\n"));
    let mut viewer = Viewer::play(&scratch, 60, 7, &["growing.hansard", "--follow"]);
    viewer.sees("before");
    viewer.sees("live");
    // At once, although the recording's own clock says much later.
    say(200 * S, output("new\r\n"));
    viewer.sees("new");
    viewer.sees("3:20 / 3:20+");
    viewer.keys("\x1b[H");
    viewer.misses("before");
    viewer.sees("playing");
    // The end moves on while it is out of sight.
    say(300 * S, output("newer\r\n"));
    viewer.sees("/ 5:00+");
    viewer.keys("\x1b[F");
    viewer.sees("newer");
    viewer.sees("live");
    say(301 * S, end());
    viewer.sees("the session ended");
    viewer.sees("■ end");
}

#[test]
fn a_terminal_of_another_size_shows_what_fits() {
    let scratch = Scratch::new();
    let mut events = vec![(0, size(40, 12))];
    for row in 0..12 {
        events.push((
            0,
            output(format!(
                "\x1b[{};1Hrow{row} 9012345678901234567890123456789end",
                row + 1
            )),
        ));
    }
    scratch.recording(&events);
    let mut viewer = Viewer::play(&scratch, 60, 20, &["recording.hansard"]);
    viewer.sees("row11 9012345678901234567890123456789end");
    assert_eq!(viewer.row(0), "row0 9012345678901234567890123456789end │");
    assert!(viewer.row(12).starts_with("────") && viewer.row(19).contains("end"));
    viewer.resize(20, 6);
    // Where the cursor is.
    viewer.until("the last rows", |viewer| {
        viewer.row(4) == "34567890123456789end"
    });
    viewer.keys("hhhhh");
    viewer.until("the left side", |viewer| {
        viewer.row(0) == "row7 901234567890123"
    });
    viewer.keys("kkkk");
    viewer.until("the first rows", |viewer| viewer.row(0).starts_with("row0"));
    viewer.keys("lll");
    viewer.until("the right side", |viewer| viewer.row(0).ends_with("9end"));
    viewer.keys("s");
    viewer.until("the line at the bottom gone", |viewer| {
        viewer.row(5).contains("9end")
    });
    viewer.resize(60, 20);
    viewer.keys("sz");
    viewer.sees("row11 9012345678901234567890123456789end");
    viewer.resize(1, 1);
    viewer.watch(Duration::from_millis(200));
    viewer.keys("q");
    assert_eq!(viewer.ends(), 0);
}

#[test]
fn a_terminal_that_takes_nothing_holds_nobody_up() {
    let scratch = Scratch::new();
    let mut events = vec![(0, size(80, 24))];
    for n in 0..2000u64 {
        let fill = char::from(b'a' + (n % 26) as u8)
            .to_string()
            .repeat(80 * 23);
        events.push((n * S / 200, output(format!("\x1b[H\x1b[3{}m{fill}", n % 8))));
    }
    scratch.recording(&events);
    let mut viewer = Viewer::play(&scratch, 80, 26, &["recording.hansard"]);
    viewer.sees("aaaa");
    std::thread::sleep(Duration::from_millis(700));
    viewer.signal(Signal::TERM);
    // It goes although nobody reads what it has to show.
    let since = Instant::now();
    while !viewer.has_ended() {
        assert!(since.elapsed() < PATIENCE, "it stays");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(viewer.ends(), 143);

    let mut viewer = Viewer::play(&scratch, 80, 26, &["recording.hansard"]);
    viewer.sees("aaaa");
    std::thread::sleep(Duration::from_millis(700));
    // Pictures were left out, but what is shown in the end is right.
    viewer.keys(" 0");
    viewer.until("the beginning", |viewer| {
        viewer.shows("paused  0:00 /") && viewer.row(22) == "a".repeat(80)
    });
    for row in 0..23 {
        assert_eq!(viewer.row(row), "a".repeat(80));
    }
}

/// Control sequences that a viewer's terminal must never be sent, and what is left of a line
/// around them.
const HOSTILE: &[&[u8]] = &[
    b"\x1b]0;owned\x07",
    b"\x1b]2;owned\x1b\\",
    b"\x1b]52;c;cm0gLXJmIH4K\x07",
    b"\x1b]52;c;cm0gLXJmIH4K\x1b\\",
    b"\x1b]8;;file:///etc/passwd\x1b\\link\x1b]8;;\x1b\\",
    b"\x1b]10;?\x07",
    b"\x1b]50;font\x07",
    b"\x1b]777;notify;a;b\x07",
    b"\x1b]1337;File=inline=1:AAAA\x07",
    b"\x1b[c",
    b"\x1b[>c",
    b"\x1b[=c",
    b"\x1b[5n",
    b"\x1b[6n",
    b"\x1b[?6n",
    b"\x1bZ",
    b"\x05",
    b"\x1b[21t",
    b"\x1b[8;1;1t",
    b"\x1b[?1000h\x1b[?1003h\x1b[?1006h",
    b"\x1b[?2004h",
    b"\x1b[?2026h",
    b"\x1b[?5h",
    b"\x1b[?3h",
    b"\x1b[5i",
    b"\x1b[4i",
    b"\x1b[>4;2m",
    b"\x1b[>1u",
    b"\x1bP$qm\x1b\\",
    b"\x1bP+q544e\x1b\\",
    b"\x1bPq#0;2;0;0;0~~\x1b\\",
    b"\x1b_Ga=T;AAAA\x1b\\",
    b"\x1b^private\x1b\\",
    b"\x1bXstring\x1b\\",
    b"\x1bc",
    b"\x1b#8",
    b"\x1b>\x1b=",
    b"\x1b%@",
    b"\x1b n\x1b F",
    b"\x1b[\"p\x1b[61\"p",
    b"\x1b[ q\x1b[2 q",
    b"\x1b[1$r",
    b"\x1b[99*x",
    b"\xc2\x9b6n",
    b"\xc2\x9d0;owned\xc2\x9c",
    b"\xc2\x90$qm\xc2\x9c",
    b"\x9b6n\x9d0;owned\x9c",
    b"\x07\x07",
    b"\x0e\x0f",
    b"\x7f\0\x18\x1a",
    "\u{202e}\u{2066}\u{200b}\u{feff}\u{e0041}\u{2028}".as_bytes(),
    b"\xff\xfe\xc0\x80",
    b"\x1b[38;5;9999999999999999999999m\x1b[999999999999;9999999999H",
    b"\x1b]0;never ended",
];

#[test]
fn nothing_but_the_list_reaches_the_terminal() {
    let scratch = Scratch::new();
    let mut events = vec![(0, size(50, 10))];
    for (n, bytes) in HOSTILE.iter().enumerate() {
        let at_ns = n as u64 * S / 100;
        // Whole, and again in single bytes, so that no cut makes a difference.
        events.push((
            at_ns,
            output([b"before ", *bytes, b" after\r\n\x18"].concat()),
        ));
        events.extend(bytes.iter().map(|byte| (at_ns, output([*byte]))));
        let label = String::from_utf8_lossy(bytes).into_owned();
        events.push((
            at_ns,
            Body::Mark {
                label: label.clone(),
            },
        ));
        let gap = Gap {
            cause: label.clone(),
            ..Gap::default()
        };
        events.push((at_ns, Body::Gap(gap)));
        events.push((at_ns, output("\x18\x1b\\")));
    }
    events.push((S, size(1, 1)));
    events.push((S, size(u16::MAX, u16::MAX)));
    events.push((2 * S, size(50, 10)));
    scratch.recording(&events);
    let mut viewer = Viewer::play(&scratch, 80, 14, &["recording.hansard"]);
    viewer.sees("■ end");
    // Everything the viewer can do with it, too.
    viewer.keys("\x1b[H");
    for _ in 0..HOSTILE.len() {
        viewer.keys("]}]}.,.");
        viewer.watch(Duration::from_millis(5));
    }
    viewer.keys("/\x1b]0;x\x07\u{202e}after\r");
    viewer.watch(Duration::from_millis(300));
    viewer.keys("t\u{9b}\u{202e}\rNn?x");
    viewer.watch(Duration::from_millis(300));
    viewer.resize(30, 6);
    viewer.keys("\x1b[H/after\r");
    viewer.watch(Duration::from_millis(300));
    viewer.keys("q");
    assert_eq!(viewer.ends(), 0);
    assert!(viewer.is_restored());
    assert_allowed(&viewer.sent);
}

#[test]
fn every_golden_recording_plays_to_its_end() {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../../formats/golden/v1");
    let mut played = 0;
    for entry in fs::read_dir(golden).unwrap() {
        let path = entry.unwrap().path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        if !name.ends_with(".hansard") && !name.ends_with(".jsonl") {
            continue;
        }
        // A copy: the index goes beside it.
        let scratch = Scratch::new();
        fs::copy(&path, scratch.path(name)).unwrap();
        let args = [name, "--speed", "64", "-i", "0"];
        let mut viewer = Viewer::play(&scratch, 100, 30, &args);
        viewer.sees("■ end");
        if name == "damaged.hansard" {
            viewer.sees("damaged at byte");
        }
        viewer.keys("\x1b[H.,..,5q");
        let damaged = name == "damaged.hansard";
        assert_eq!(viewer.ends(), if damaged { 3 } else { 0 }, "{name}");
        // On the screen that the viewer is left with.
        assert_eq!(viewer.shows("damaged at byte 3330"), damaged, "{name}");
        let unfinished = ["torn.hansard", "unfinished.hansard"].contains(&name);
        assert_eq!(viewer.shows("no end"), unfinished, "{name}");
        assert_allowed(&viewer.sent);
        played += 1;
    }
    assert!(played >= 10, "only {played} golden recordings");
}

#[test]
fn random_bytes_play_as_harmlessly() {
    let scratch = Scratch::new();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let bytes: Vec<u8> = (0..400_000)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            // A third of it is what sequences are made of.
            match state % 12 {
                0 => 0x1b,
                1 => b"[]P_^X;?>=()"[(state >> 8) as usize % 12],
                2 => b"hlmnctqrHJKABCD"[(state >> 8) as usize % 15],
                3 => b'0' + (state >> 8) as u8 % 10,
                _ => (state >> 16) as u8,
            }
        })
        .collect();
    let pieces = bytes.chunks(997).zip(0..);
    let events: Vec<(u64, Body)> = pieces
        .map(|(piece, n)| (n * S / 200, output(piece)))
        .collect();
    scratch.recording(&events);
    let mut viewer = Viewer::play(&scratch, 90, 30, &["recording.hansard"]);
    viewer.sees("■ end");
    viewer.keys("1");
    viewer.watch(Duration::from_millis(300));
    viewer.keys("q");
    assert_eq!(viewer.ends(), 0);
    assert!(viewer.is_restored());
    assert_allowed(&viewer.sent);
}

/// Every byte belongs to a harmless character or to a sequence of the list in
/// `src/play/sequences.rs`; what is said once the terminal was given back is lines of text.
fn assert_allowed(sent: &[u8]) {
    let text = std::str::from_utf8(sent).expect("UTF-8");
    let leave = "\x1b[?1049l";
    let left = text.rfind(leave).map_or(text.len(), |at| at + leave.len());
    let (mut rest, said) = text.split_at(left);
    for line in said.split("\r\n") {
        assert_eq!(escape_for_humans(line), line);
    }
    while let Some(ch) = rest.chars().next() {
        if ch != '\x1b' {
            assert!(
                ch == '\x0f' || !ch.is_control(),
                "{ch:?} before {:?}",
                &rest[..rest.len().min(40)]
            );
            let shown = ch.to_string();
            assert!(
                ch == '\\' || ch == '\x0f' || escape_for_humans(&shown) == shown,
                "{ch:?}"
            );
            rest = &rest[ch.len_utf8()..];
            continue;
        }
        let fixed = [
            "\x1b[?1049h",
            "\x1b[?1049l",
            "\x1b[?25h",
            "\x1b[?25l",
            "\x1b(B",
            "\x1b[r",
            "\x1b[2J",
            "\x1b[K",
        ];
        if let Some(sequence) = fixed.iter().find(|sequence| rest.starts_with(**sequence)) {
            rest = &rest[sequence.len()..];
            continue;
        }
        let body = rest
            .strip_prefix("\x1b[")
            .unwrap_or_else(|| panic!("{:?}", &rest[..20]));
        let len = body
            .find(|c: char| !c.is_ascii_digit() && c != ';')
            .unwrap();
        let (parameters, last) = (&body[..len], body.as_bytes()[len]);
        let numbers: Vec<u32> = parameters.split(';').map(|n| n.parse().unwrap()).collect();
        match last {
            b'H' => assert_eq!(numbers.len(), 2, "{parameters}"),
            b'm' => assert!(is_style(&numbers), "{parameters}"),
            _ => panic!("ESC [ {parameters} {}", char::from(last)),
        }
        rest = &body[len + 1..];
    }
}

fn is_style(numbers: &[u32]) -> bool {
    match numbers {
        [] => true,
        [38 | 48, 5, n, rest @ ..] => *n < 256 && is_style(rest),
        [38 | 48, 2, r, g, b, rest @ ..] => r.max(g).max(b) < &256 && is_style(rest),
        [
            0..=5 | 7 | 9 | 30..=37 | 40..=47 | 90..=97 | 100..=107,
            rest @ ..,
        ] => is_style(rest),
        _ => false,
    }
}

#[test]
fn the_terminal_shows_what_the_recorded_screen_showed() {
    let scratch = Scratch::new();
    let mut bytes = Vec::new();
    for n in 0..200 {
        bytes.extend_from_slice(
            format!(
                "\x1b[{};{}H\x1b[{}m界{n}é│\x1b[4{}m x\x1b[K",
                n % 11,
                n % 57,
                30 + n % 8,
                n % 8
            )
            .as_bytes(),
        );
    }
    let mut recorded = Screen::new(60, 10);
    recorded.feed(&bytes);
    scratch.recording(&[(0, size(60, 10)), (0, output(&bytes)), (0, end())]);
    let mut viewer = Viewer::play(&scratch, 80, 14, &["recording.hansard"]);
    viewer.sees("the session ended");
    for (row, (seen, wanted)) in viewer
        .screen
        .cells()
        .zip(recorded.cells())
        .enumerate()
        .take(10)
    {
        let (seen, wanted): (Vec<_>, Vec<_>) = (seen.take(60).collect(), wanted.collect());
        assert_eq!(seen, wanted, "row {row}");
    }
}
