//! Texts of small made-up sessions.

use hansard_core::event::Fact;
use hansard_core::{Body, Event, Fields, Stream};

use super::*;

mod hidden;

/// A session whose events are a millisecond apart.
#[derive(Default)]
struct Made {
    texts: Texts,
    seq: u64,
    out: Vec<Text>,
}

impl Made {
    fn body(&mut self, body: Body) -> &mut Self {
        self.seq += 1;
        let event = Event {
            seq: self.seq,
            at_ns: self.seq * 1_000_000,
            body,
        };
        self.texts.turn(&event, &mut self.out);
        self
    }

    fn shows(&mut self, text: &str) -> &mut Self {
        self.body(Body::Data {
            stream: Stream::Output,
            bytes: text.as_bytes().to_vec(),
        })
    }

    fn types(&mut self, text: &str) -> &mut Self {
        self.body(Body::Data {
            stream: Stream::Keystrokes,
            bytes: text.as_bytes().to_vec(),
        })
    }

    fn all(&mut self) -> Vec<Text> {
        self.texts.finish(&mut self.out);
        std::mem::take(&mut self.out)
    }

    /// What was told, with first and last moment in milliseconds.
    fn lines(&mut self) -> Vec<(String, u64, u64)> {
        let ms = |ns: u64| ns / 1_000_000;
        let shown = |text: &Text| text.what == What::Shown;
        let all = self.all().into_iter().filter(shown);
        all.map(|t| (t.text, ms(t.first_ns), ms(t.last_ns)))
            .collect()
    }
}

fn line(text: &str, first: u64, last: u64) -> (String, u64, u64) {
    (text.to_owned(), first, last)
}

#[test]
fn a_line_is_told_once_with_its_moments_when_it_is_over() {
    let mut made = Made::default();
    made.shows("one\r\n").shows("two\r\n").shows("\x1b[H\x1b[J");
    assert_eq!(made.out.len(), 2, "{:?}", made.out);
    made.shows("three");
    assert_eq!(
        made.lines(),
        [line("one", 1, 3), line("two", 2, 3), line("three", 4, 4)]
    );
}

#[test]
fn what_is_drawn_again_or_moves_is_the_same_line() {
    let mut made = Made::default();
    made.shows("\x1b[?1049h\x1b[HTitle\r\nbody of it");
    for _ in 0..5 {
        // Cleared and drawn in one go, and moved down a row and up again.
        made.shows("\x1b[H\x1b[2JTitle\r\nbody of it");
        made.shows("\x1b[H\x1bM").shows("\x1b[H\x1b[M");
    }
    made.shows("\x1b[?1049l");
    assert_eq!(
        made.lines(),
        [line("Title", 1, 17), line("body of it", 1, 17)]
    );
}

#[test]
fn a_growing_line_is_one_and_knows_when_it_had_what() {
    let mut made = Made::default();
    made.shows("$ ");
    for c in "ls /etc".chars() {
        made.shows(&c.to_string());
    }
    made.shows("\r\npasswd\r\n");
    let all = made.all();
    assert_eq!(all.len(), 3, "{all:?}");
    let (grown, guessed) = (&all[0], &all[2]);
    assert_eq!(grown.text, "$ ls /etc");
    assert_eq!(grown.first_ns, 1_000_000);
    // `ls` was there with the third event, the whole with the eighth.
    assert_eq!(grown.moment_of(4), 3_000_000);
    assert_eq!(grown.moment_of(9), 8_000_000);
    assert_eq!(guessed.what, What::GuessedCommand);
    assert_eq!(
        (guessed.text.as_str(), guessed.first_ns),
        ("ls /etc", 8_000_000)
    );
    assert_eq!(all[1].text, "passwd");
}

#[test]
fn a_line_that_is_changed_in_place_is_told_as_it_was_each_time() {
    let mut made = Made::default();
    made.shows("load 0.10").shows("\r\x1b[Kload 0.25");
    made.shows("\r\x1b[Kload 0.25");
    assert_eq!(
        made.lines(),
        [line("load 0.10", 1, 2), line("load 0.25", 2, 3)]
    );
}

#[test]
fn what_scrolls_away_within_one_event_is_told() {
    let mut made = Made::default();
    let many: String = (0..200).map(|n| format!("line number {n}\r\n")).collect();
    made.shows(&many);
    let lines = made.lines();
    assert_eq!(lines.len(), 200);
    for n in 0..200 {
        assert!(
            lines.contains(&line(&format!("line number {n}"), 1, 1)),
            "{n}"
        );
    }
}

#[test]
fn a_line_that_wraps_is_one_also_while_it_leaves() {
    let long: String = (0..60).map(|n| format!("word{n} ")).collect();
    let mut made = Made::default();
    made.shows(&long).shows("\r\n");
    for n in 0..30 {
        made.shows(&format!("row {n}\r\n"));
    }
    let lines = made.lines();
    let wrapped: Vec<_> = lines.iter().filter(|l| l.0.contains("word")).collect();
    assert_eq!(wrapped.len(), 1, "{wrapped:?}");
    assert_eq!(wrapped[0].0, long.trim_end());
    assert_eq!(wrapped[0].1, 1);
}

/// Characters are read some dozens at a time where all of them are narrow and ASCII.
#[test]
fn wide_characters_are_read_wherever_they_stand() {
    for before in [0, 1, 15, 30, 31, 32, 33, 62, 63, 64] {
        for wide in ["界", "é", "界é界"] {
            let text = format!("{}{wide}end", "x".repeat(before));
            let mut made = Made::default();
            made.shows(&format!("{text}\r\n"));
            assert_eq!(made.lines(), [line(&text, 1, 1)]);
        }
    }
}

#[test]
fn an_endless_line_is_cut_and_does_not_multiply() {
    let mut made = Made::default();
    let mut given = 0;
    for n in 0..2000 {
        let piece = format!("{n:0>80}");
        given += piece.len();
        made.shows(&piece);
    }
    let all = made.all();
    assert!(all.iter().all(|text| text.text.len() <= TEXT_BYTES_MAX));
    let told: usize = all.iter().map(|text| text.text.len()).sum();
    assert!(told < given * 3, "{told} of {given}");
    let whole: String = all.iter().map(|text| text.text.as_str()).collect();
    for n in 0..2000 {
        assert!(whole.contains(&format!("{n:0>40}")), "{n}");
    }
}

#[test]
fn commands_that_a_shell_marks_are_told_as_such_and_not_guessed() {
    let mut made = Made::default();
    made.shows("\x1b]133;A\x07$ \x1b]133;B\x07")
        .shows("make ")
        .shows("all");
    made.shows("\r\n\x1b]133;C\x07done\r\n\x1b]133;D;0\x07");
    made.shows("$ ").shows("ls").shows("\r\n\x1b[2J");
    let commands: Vec<_> = made
        .all()
        .into_iter()
        .filter(|text| text.what.as_str() == "command")
        .map(|text| (text.what, text.text))
        .collect();
    assert_eq!(commands, [(What::MarkedCommand, "make all".to_owned())]);
}

#[test]
fn what_was_typed_is_told_by_the_line_without_what_was_rubbed_out() {
    let mut made = Made::default();
    made.types("rm -rf /tmpx\x7f")
        .types("/a\x1b[D\r")
        .types("héllo\u{3}")
        .types("rest");
    let typed: Vec<_> = made
        .all()
        .into_iter()
        .map(|text| (text.what, text.text))
        .collect();
    let what = What::Typed;
    assert_eq!(
        typed,
        [
            (what, "rm -rf /tmp/a".to_owned()),
            (what, "héllo".to_owned()),
            (what, "rest".to_owned())
        ]
    );
}

#[test]
fn events_are_told_with_their_fields() {
    let mut made = Made::default();
    let fields = Fields::new()
        .with("path", "/etc/shadow")
        .with("flags", 2u64);
    made.body(Body::File(Fact {
        event: "session.disk".to_owned(),
        fields,
    }));
    let fields = Fields::new().with("argv", "git push");
    made.body(Body::Command(Fact {
        event: "session.command".to_owned(),
        fields,
    }));
    let texts: Vec<_> = made.all().into_iter().map(|t| (t.what, t.text)).collect();
    assert_eq!(
        texts,
        [
            (
                What::Fact,
                "session.disk path=/etc/shadow flags=2".to_owned()
            ),
            (What::Fact, "session.command argv=git push".to_owned()),
            (What::Command, "git push".to_owned()),
        ]
    );
}

#[test]
fn what_stands_there_can_be_asked_for_at_any_time() {
    let mut made = Made::default();
    made.shows("up\r\ndown").types("half");
    let mut standing = Vec::new();
    made.texts.standing(&mut standing);
    let standing: Vec<_> = standing.into_iter().map(|t| t.text).collect();
    assert_eq!(standing, ["up", "down", "half"]);
}

#[test]
fn the_same_events_make_the_same_texts_however_hostile() {
    // Noise of control sequences and text, from a fixed seed.
    let mut state = 0x1234_5678_9abc_def0_u64;
    let mut next = |n: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % n
    };
    let pieces = [
        "\x1b[2J",
        "\x1b[H",
        "\x1b[5;3H",
        "\r",
        "\n",
        "\x1bM",
        "\x1b[3L",
        "\x1b[2M",
        "\x1b[?1049h",
        "\x1b[?1049l",
        "\x1b[65535b",
        "abc def",
        "界",
        "\x1b[5;10r",
        "\x1b[8m",
        "\x1bc",
        "x",
        "\x1b]133;A\x07",
        "\x1b]133;B\x07",
        "\x1b]133;C\x07",
        "\x1b[31;41m",
        "0123456789".repeat(20).leak(),
    ];
    let mut bodies = Vec::new();
    for _ in 0..600 {
        let mut bytes = Vec::new();
        for _ in 0..=next(8) {
            let at = usize::try_from(next(pieces.len() as u64)).unwrap();
            bytes.extend_from_slice(pieces[at].as_bytes());
        }
        bodies.push(if next(40) == 0 {
            Body::Resize {
                cols: u16::try_from(next(200)).unwrap(),
                rows: u16::try_from(next(60)).unwrap(),
            }
        } else {
            Body::Data {
                stream: Stream::Output,
                bytes,
            }
        });
    }
    let tell = || {
        let mut made = Made::default();
        for body in &bodies {
            made.body(body.clone());
        }
        (made.all(), made.texts.passed_over())
    };
    let (first, second) = (tell(), tell());
    assert_eq!(first, second);
    assert!(
        first
            .0
            .iter()
            .all(|t| !t.text.is_empty() && t.first_ns <= t.last_ns)
    );
}

/// A `cat` in `tmux`, and the like: more than a screen in one write, where the emulator keeps nothing.
#[test]
fn what_scrolls_off_in_one_write_is_told_wherever_it_scrolls() {
    let lines: Vec<String> = (0..200).map(|n| format!("needle {n} here")).collect();
    let poured = lines.join("\r\n");
    for before in [
        "",
        "\x1b[?1049h",
        "\x1b[1;20r\x1b[20H",
        "\x1b[?1049h\x1b[1;20r\x1b[20H",
        "\x1b[?1049h\x1b[3;20r\x1b[20H",
        "\x1b[3;20r\x1b[20H",
    ] {
        for is_one in [false, true] {
            let mut made = Made::default();
            match is_one && before != "\x1b[3;20r\x1b[20H" {
                true => made.shows(&format!("{before}{poured}")),
                false => made.shows(before).shows(&poured),
            };
            let told: Vec<String> = made.lines().into_iter().map(|(text, ..)| text).collect();
            for line in &lines {
                let count = told.iter().filter(|told| *told == line).count();
                assert_eq!(count, 1, "{before:?} {line}");
            }
        }
    }
}

/// Long lines in one write, and what scrolls without a line feed.
#[test]
fn what_scrolls_off_in_one_write_is_told_however_it_scrolls() {
    let long = |n: usize| format!("first{n}. {}last{n}.", "x".repeat(455));
    let poured: String = (0..40).map(|n| format!("{}\r\n", long(n))).collect();
    let by = |feed: &str| -> String {
        let lines = (0..60).map(|n| format!("first{n}. last{n}.\r{feed}"));
        lines.collect()
    };
    let endless: String = (0..40).map(long).collect();
    let wide: String = (0..40)
        .map(|n| format!("first{n}. {}last{n}.\r\n", "界".repeat(200)))
        .collect();
    for before in [
        "\x1b[?1049h",
        "\x1b[?25;01049h",
        "\x1b[3;20r\x1b[20H",
        "\x1b[3;20r\x1b[1;99r\x1b[20H",
    ] {
        for (poured, count) in [
            (&poured, 40),
            (&endless, 40),
            (&wide, 40),
            (&by("\x0b"), 60),
            (&by("\x0c"), 60),
            (&by("\x1bD"), 60),
            (&by("\x1bE"), 60),
            (&by("\u{85}"), 60),
            (&by("\n\x1b[2S"), 60),
            (&by("\n\x1b[400b"), 60),
        ] {
            for is_one in [false, true] {
                let mut made = Made::default();
                match is_one {
                    true => made.shows(&format!("{before}{poured}")),
                    false => made.shows(before).shows(poured),
                };
                let told: Vec<String> = made.lines().into_iter().map(|(text, ..)| text).collect();
                let has = |word: &String| told.iter().any(|line| line.contains(word.as_str()));
                let words = (0..count).flat_map(|n| [format!("first{n}."), format!("last{n}.")]);
                let missing: Vec<String> = words.filter(|word| !has(word)).collect();
                assert!(
                    missing.is_empty(),
                    "{before:?} {:?} {missing:?}",
                    &poured[..30]
                );
            }
        }
    }
}

/// An editor draws its screen with more bytes than the screen has room for, which scroll nothing.
#[test]
fn a_screen_drawn_in_many_bytes_is_one() {
    let row = |n: usize| {
        format!(
            "\x1b[{n};1H\x1b[38;5;{n}mrow {n} {}\x1b[m\x1b[K",
            "─".repeat(70)
        )
    };
    let screen: String = (1..=24).map(row).collect();
    let mut made = Made::default();
    made.shows("\x1b[?1049h").shows(&screen);
    for _ in 0..3 {
        made.shows(&format!("\x1b[H\x1b[2J{screen}"));
    }
    let lines = made.lines();
    assert_eq!(lines.len(), 24, "{lines:?}");
    assert!(lines.iter().all(|line| (line.1, line.2) == (2, 5)));
}
