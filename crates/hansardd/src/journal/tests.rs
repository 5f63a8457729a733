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

impl Kept {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().0.clone()).unwrap()
    }
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
        let text = kept.text();
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
    for (line, value) in kept.text().lines().zip(HOSTILE) {
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
        kept.text(),
        "<6>said a=\"x y\" b=\"x=\\\"y\\\"\" c=\"\" d=plain\n"
    );
}

#[test]
fn a_long_value_is_cut() {
    let (journal, kept, _) = journal(Style::Plain);
    journal.info("said", &[("said", &"é".repeat(1 << 20))]);
    let text = kept.text();
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
    assert_eq!(kept.text().lines().count(), 21);
    assert_eq!(journal.suppressed(), 980);
    clock.0.store(WINDOW_NS, Ordering::SeqCst);
    journal.settle(false);
    let text = kept.text();
    let last = text.lines().last().unwrap();
    assert!(
        last.ends_with("were withheld words=refused lines=980"),
        "{last}"
    );
    journal.settle(true);
    assert_eq!(kept.text(), text, "said once");
    // A line after the time is written again, after the count of those before it.
    for _ in 0..25 {
        journal.warning("refused", &[]);
    }
    clock.0.store(2 * WINDOW_NS, Ordering::SeqCst);
    journal.warning("refused", &[]);
    let said = kept
        .text()
        .lines()
        .filter(|line| line.contains("lines=5"))
        .count();
    assert_eq!(said, 1);
    for _ in 0..25 {
        journal.warning("refused", &[]);
    }
    journal.settle(true);
    assert!(kept.text().lines().last().unwrap().ends_with("lines=6"));
}

#[test]
fn lines_that_cannot_be_written_are_counted() {
    let (journal, kept, _) = journal(Style::Plain);
    kept.0.lock().unwrap().1 = true;
    journal.info("said", &[]);
    assert_eq!(journal.unwritten(), 1);
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
