//! Transcripts of small made-up sessions.

use hansard_core::Stream;

use super::*;

/// The transcript of what was shown on a terminal of 20 columns and 6 rows, each text an event.
fn transcript(shown: &[&str]) -> String {
    let size = Body::Resize { cols: 20, rows: 6 };
    let data = |text: &&str| Body::Data {
        stream: Stream::Output,
        bytes: text.as_bytes().to_vec(),
    };
    written(std::iter::once(size).chain(shown.iter().map(data)))
}

fn written(bodies: impl Iterator<Item = Body>) -> String {
    let mut out = Vec::new();
    let mut encoder = TranscriptEncoder::new(&mut out, false);
    for (seq, body) in (0..).zip(bodies) {
        let at_ns = seq;
        encoder.event(&Event { seq, at_ns, body }).unwrap();
    }
    encoder.end().unwrap();
    drop(encoder);
    String::from_utf8(out).unwrap()
}

#[test]
fn what_is_erased_is_told_once() {
    let secret = "$ cat /etc/shadow\r\nroot:$6$secret\r\n$ ";
    let wanted = "$ cat /etc/shadow\nroot:$6$secret\n$\n$ exit\n";
    for erase in [
        "\x1b[H\x1b[J",
        "\x1b[H\x1b[2J",
        "\x1b[6H\x1b[1J\x1b[H",
        "\x1bc",
    ] {
        for between in ["", "\x1b[?1049h\x1b[2J\x1b[Hmenu\x1b[J\x1b[?1049l"] {
            let told = transcript(&[secret, between, erase, erase, "$ exit"]);
            assert_eq!(told, wanted, "{erase:?} {between:?}");
        }
        // The prompt that stood there has grown, unless all of it was reset.
        let told = transcript(&[&format!("{secret}{erase}$ exit")]);
        let told = told.replace("\n$\n", "\n");
        assert_eq!(told, wanted.replace("\n$\n", "\n"), "{erase:?} at once");
    }
}

#[test]
fn what_stays_is_not_told_before_it_goes() {
    assert_eq!(
        transcript(&["one\r\ntwo\r\nthree", "\x1b[2H\x1b[J", "four"]),
        "two\nthree\none\nfour\n"
    );
    assert_eq!(
        transcript(&["one\r\ntwo\r\nthree", "\x1b[2;3H\x1b[1J", "\x1b[H0"]),
        "one\ntwo\n0\n\nthree\n"
    );
    // A part of a row, as prompts and progress bars draw it.
    assert_eq!(transcript(&["$ ls -l", "\x1b[4D\x1b[J", "s"]), "$ ls\n");
    assert_eq!(
        transcript(&["10 %", "\r\x1b[K20 %", "\r\x1b[K30 %"]),
        "30 %\n"
    );
    assert_eq!(transcript(&["one\r\n", "\x1b[1J\x1b[J\x1b[3J"]), "one\n");
}

#[test]
fn a_screen_that_is_drawn_again_is_told_as_it_changes() {
    let first = "\x1b[H\x1b[Jup 1 day\r\nload 0.1\r\nfoot";
    let second = "\x1b[H\x1b[Jup 1 day\r\nload 0.2\r\nfoot";
    assert_eq!(
        transcript(&[first, first, second, second, first]),
        "load 0.1\nload 0.2\nup 1 day\nload 0.1\nfoot\n"
    );
    // Also twice in one event, and where it scrolls at once.
    let twice = format!("{second}{second}");
    assert_eq!(
        transcript(&[first, &twice]),
        "load 0.1\nup 1 day\nload 0.2\nfoot\n"
    );
    let cleared = [first, second].map(|screen| screen.replace("\x1b[J", "\x1b[2J"));
    assert_eq!(
        transcript(&[&cleared[0], &cleared[1]]),
        "load 0.1\nup 1 day\nload 0.2\nfoot\n"
    );
    let long = "\x1b[H\x1b[Jup 1 day\r\n1\r\n2\r\n3\r\n4\r\n5\r\n6";
    assert_eq!(
        transcript(&[first, long]),
        "load 0.1\nfoot\nup 1 day\n1\n2\n3\n4\n5\n6\n"
    );
}

#[test]
fn a_line_that_wraps_is_one_where_it_is_erased() {
    let long = "a line that is longer than twenty columns and wraps";
    for erase in ["\x1b[H\x1b[J", "\x1b[H\x1b[2J", "\x1b[6H\x1b[1J\x1b[H"] {
        assert_eq!(transcript(&[long, erase, "end"]), format!("{long}\nend\n"));
        let (text, tail) = ("\r\n".repeat(4) + long, "\r\n".repeat(5));
        let told = transcript(&[&text, &tail, erase, "end"]);
        assert_eq!(told, format!("\n\n\n\n{long}\nend\n"));
    }
    // The end of it only: drawn again, and not.
    assert_eq!(
        transcript(&[long, "\x1b[2H\x1b[Jr than twenty columns and wraps"])
            .matches("wraps")
            .count(),
        1
    );
    assert!(transcript(&[long, "\x1b[2H\x1b[J"]).contains("columns and wraps\n"));
}

/// Where lines scroll, are deleted or are moved out of the screen, and the emulator keeps none.
#[test]
fn what_leaves_in_another_way_is_told_too() {
    let lines: Vec<String> = (1..=6).map(|n| format!("line {n}")).collect();
    let screen = lines.join("\r\n");
    for leave in [
        "\x1b[2;6r\x1b[6H\n\n\n\n\n",
        "\x1b[2;6r\x1b[1;99r\x1b[6H\x0b\x0c\x1bD\x1bE\x1b[S",
        "\x1b[2;6r\x1b[5S",
        "\x1b[2;6r\x1b[6;20Hx\x1b[100b",
        "\x1b[2H\x1b[9M",
        "\x1b[2H\x1b[9L",
        "\x1b[5T",
        "\x1b[H\x1bM\x1bM\x1bM\x1bM\x1bM",
        "\x1b#8",
    ] {
        for at_once in [false, true] {
            let told = match at_once {
                true => transcript(&[&format!("{screen}{leave}")]),
                false => transcript(&[&screen, leave, "\x1b[H\x1b[J"]),
            };
            for line in &lines {
                assert_eq!(
                    told.matches(line.as_str()).count(),
                    1,
                    "{leave:?} {line} {told}"
                );
            }
        }
    }
}

/// It is told more often than it need be, so that it does not take minutes.
#[test]
fn a_large_screen_that_is_erased_by_a_few_bytes_each_time_takes_bounded_time() {
    let data = |text: &str| Body::Data {
        stream: Stream::Output,
        bytes: text.as_bytes().to_vec(),
    };
    let size = Body::Resize {
        cols: 640,
        rows: 250,
    };
    let full = data(&"x\x1b[639b\r\n".repeat(249));
    let erase = (0..20_000).map(|_| data("\ry\x1b[D\x1b[J"));
    let begun = std::time::Instant::now();
    let told = written([size, full].into_iter().chain(erase));
    assert_eq!(told.lines().filter(|line| *line == "y").count(), 20_000);
    assert!(begun.elapsed().as_secs() < 30, "{:?}", begun.elapsed());
}

#[test]
fn lines_below_that_a_lower_terminal_has_no_room_for_are_told() {
    let data = |text: &str| Body::Data {
        stream: Stream::Output,
        bytes: text.as_bytes().to_vec(),
    };
    let bodies = [
        Body::Resize { cols: 20, rows: 6 },
        data("one\r\ntwo\r\nthree\x1b[H"),
        Body::Resize { cols: 30, rows: 6 },
        Body::Resize { cols: 30, rows: 2 },
    ];
    assert_eq!(written(bodies.into_iter()), "three\none\ntwo\n");
}
