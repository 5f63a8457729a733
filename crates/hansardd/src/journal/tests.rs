//! Lines of the log under hostile values, in every style.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

/// Keeps what is written, and fails when told to.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<(Vec<u8>, bool)>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut kept = self.0.lock().unwrap();
        if kept.1 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        kept.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Everything that was written.
fn written(journal: &Journal, kept: &Kept) -> String {
    assert!(journal.flush(Duration::from_secs(60)));
    String::from_utf8(kept.0.lock().unwrap().0.clone()).unwrap()
}

#[derive(Default)]
struct Stopped(AtomicU64);

impl Clock for Stopped {
    fn monotonic_ns(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    fn utc_ns(&self) -> u64 {
        1_795_250_489_123_000_000
    }

    fn quality(&self) -> hansard_core::session::ClockQuality {
        hansard_core::session::ClockQuality::Unknown
    }
}

fn journal(style: Style) -> (Journal, Kept, Arc<Stopped>) {
    let (kept, clock) = (Kept::default(), Arc::new(Stopped::default()));
    let journal = Journal::new(style, Box::new(kept.clone()), clock.clone());
    (journal, kept, clock)
}

const HOSTILE: [&str; 9] = [
    "\u{1b}[2J\u{1b}]0;title\u{7}",
    "line\nline\r\n<0>forged",
    "\u{202e}gnp.exe\u{2066}",
    "\u{9b}31m\u{85}\u{2028}\u{2029}",
    "\" level=error x=\"",
    "\\n \\u{1b}",
    "\0\u{7f}\u{feff}\u{200b}",
    "",
    "}\n{\"level\":\"error\"",
];

#[test]
fn a_line_is_a_line_whatever_is_in_it() {
    for style in [Style::Plain, Style::Priority, Style::Json] {
        let (journal, kept, _) = journal(style);
        for value in HOSTILE {
            journal.warning(
                "a host said something",
                &[("said", &value), ("port", &3025)],
            );
        }
        journal.warning(
            "a host said something",
            &[("said", &Bytes(b"\xff\xfe\x1b[1m"))],
        );
        let text = written(&journal, &kept);
        assert_eq!(text.lines().count(), HOSTILE.len() + 1, "{text}");
        assert!(
            text.chars().all(|c| c == '\n' || !c.is_control()),
            "{text:?}"
        );
        for c in ['\u{202e}', '\u{2066}', '\u{2028}', '\u{feff}', '\u{200b}'] {
            assert!(!text.contains(c), "{style:?} {c:?}");
        }
        for line in text.lines() {
            match style {
                Style::Plain => {
                    let start = "2026-11-21T08:41:29.123Z warning: a host said something said=";
                    assert!(line.starts_with(start), "{line}");
                }
                Style::Priority => {
                    assert!(line.starts_with("<4>a host said something said="), "{line}")
                }
                Style::Json => {
                    let json: serde_json::Value = serde_json::from_str(line).unwrap();
                    assert_eq!(json["level"], "warning");
                    assert_eq!(json["message"], "a host said something");
                }
            }
        }
    }
}

#[test]
fn json_says_exactly_what_was_said() {
    let (journal, kept, _) = journal(Style::Json);
    for value in HOSTILE {
        journal.info("said", &[("said", &value)]);
    }
    for (line, value) in written(&journal, &kept).lines().zip(HOSTILE) {
        let json: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(json["said"], value);
    }
}

#[test]
fn where_a_value_ends_can_be_seen() {
    let (journal, kept, _) = journal(Style::Priority);
    journal.info(
        "said",
        &[
            ("a", &"x y"),
            ("b", &"x=\"y\""),
            ("c", &""),
            ("d", &"plain"),
        ],
    );
    assert_eq!(
        written(&journal, &kept),
        "<6>said a=\"x y\" b=\"x=\\\"y\\\"\" c=\"\" d=plain\n"
    );
}

#[test]
fn a_long_value_is_cut() {
    let (journal, kept, _) = journal(Style::Plain);
    journal.info("said", &[("said", &"é".repeat(1 << 20))]);
    let text = written(&journal, &kept);
    assert!(text.chars().count() < VALUE_CHARS_MAX + 100);
    assert!(text.ends_with("é…\n"));
}

#[test]
fn a_flood_is_counted_and_the_count_is_said() {
    let (journal, kept, clock) = journal(Style::Plain);
    for _ in 0..1000 {
        journal.warning("refused", &[]);
        journal.settle(false);
    }
    journal.info("something else", &[]);
    assert_eq!(written(&journal, &kept).lines().count(), 21);
    assert_eq!(journal.suppressed(), 980);
    clock.0.store(WINDOW_NS, Ordering::SeqCst);
    journal.settle(false);
    let text = written(&journal, &kept);
    let last = text.lines().last().unwrap();
    assert!(
        last.ends_with("were withheld words=refused lines=980"),
        "{last}"
    );
    journal.settle(true);
    assert_eq!(written(&journal, &kept), text, "said once");
    // A line after the time is written again, after the count of those before it.
    for _ in 0..25 {
        journal.warning("refused", &[]);
    }
    clock.0.store(2 * WINDOW_NS, Ordering::SeqCst);
    journal.warning("refused", &[]);
    let said = written(&journal, &kept)
        .lines()
        .filter(|line| line.contains("lines=5"))
        .count();
    assert_eq!(said, 1);
    for _ in 0..25 {
        journal.warning("refused", &[]);
    }
    journal.settle(true);
    assert!(
        written(&journal, &kept)
            .lines()
            .last()
            .unwrap()
            .ends_with("lines=6")
    );
}

#[test]
fn lines_that_cannot_be_written_are_counted() {
    let (journal, kept, _) = journal(Style::Plain);
    kept.0.lock().unwrap().1 = true;
    journal.info("said", &[]);
    assert!(journal.flush(Duration::from_secs(60)));
    assert_eq!(journal.unwritten(), 1);
}

#[test]
fn who_does_not_read_keeps_nobody_from_going_on_and_is_told_what_was_left_out() {
    let (reader, writer) = io::pipe().unwrap();
    let clock = Arc::new(Stopped::default());
    let journal = Journal::new(Style::Plain, Box::new(writer), clock.clone());
    let long = "x".repeat(VALUE_CHARS_MAX);
    let said = 3 * WAITING_BYTES_MAX / VALUE_CHARS_MAX;
    for n in 0..said {
        clock.0.fetch_add(WINDOW_NS, Ordering::SeqCst);
        journal.info("said", &[("n", &n), ("what", &long)]);
    }
    let left_out = journal.unwritten();
    assert!(left_out > 0 && left_out < said as u64, "{left_out}");
    assert!(!journal.flush(Duration::from_millis(10)));
    // Once somebody reads, everything that waited comes, and then how much did not.
    let mut lines = io::BufRead::lines(io::BufReader::new(reader)).map(Result::unwrap);
    let waited = usize::try_from(said as u64 - left_out).unwrap();
    for n in 0..waited {
        let line = lines.next().unwrap();
        assert!(line.contains(&format!(" said n={n} what=")), "{line}");
    }
    assert!(journal.flush(Duration::from_secs(60)));
    journal.settle(false);
    let told = format!("left out while nobody read them lines={left_out}");
    let line = lines.next().unwrap();
    assert!(line.ends_with(&told), "{line}");
    journal.info("over", &[]);
    drop(journal);
    assert!(lines.next().unwrap().ends_with("info: over"));
    assert_eq!(lines.next(), None);
}

#[test]
fn times_of_all_sorts_of_years() {
    // `date -u -d @SECONDS +%FT%T.000Z`
    for (seconds, shown) in [
        (0, "1970-01-01T00:00:00.000Z"),
        (951_782_400, "2000-02-29T00:00:00.000Z"),
        (1_709_164_799, "2024-02-28T23:59:59.000Z"),
        (1_709_251_200, "2024-03-01T00:00:00.000Z"),
        (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        (1_798_761_599, "2026-12-31T23:59:59.000Z"),
    ] {
        assert_eq!(rfc3339(seconds * 1_000_000_000), shown);
    }
}
