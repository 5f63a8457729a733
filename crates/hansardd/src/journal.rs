//! The daemon's own log: one line for each thing said, whatever the values in it contain.
//!
//! Lines go to standard error. Under systemd they carry the priority that journald reads and no time
//! of their own; elsewhere a time in UTC; with `--log json` they are JSON objects. The log is for
//! people who run the daemon. It is nobody's evidence: what is lost or refused is an event and a
//! metric too, because a log may be off, full or gone.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Write as _};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hansard_record::clock::Clock;
use hansard_view::escape_for_humans;

mod out;

use out::Out;
pub use out::WAITING_BYTES_MAX;

/// Most lines with the same words within [`WINDOW_NS`]. More are counted, and the count is a line.
pub const SAME_LINES_MAX: u32 = 20;

/// The time after which lines with the same words are written again, nanoseconds.
pub const WINDOW_NS: u64 = 10_000_000_000;

/// Longest value in a line, characters before escaping; the rest is cut, and `…` says so.
pub const VALUE_CHARS_MAX: usize = 1000;

/// How much somebody must care, as syslog(3) counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Something does not work.
    Error,
    /// Something will not, if it goes on.
    Warning,
    /// Something that happens rarely, and is as it should be.
    Notice,
    /// Something ordinary.
    Info,
}

impl Severity {
    fn number(self) -> u8 {
        match self {
            Self::Error => 3,
            Self::Warning => 4,
            Self::Notice => 5,
            Self::Info => 6,
        }
    }

    /// The word in a line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notice => "notice",
            Self::Info => "info",
        }
    }
}

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// `<4>words key=value`, for journald, which has its own time.
    Priority,
    /// `2026-11-21T08:41:29.123Z warning: words key=value`.
    Plain,
    /// `{"time":"…","level":"warning","message":"words","key":"value"}`.
    Json,
}

impl Style {
    /// What suits standard error: [`Style::Priority`] when it is journald's.
    #[must_use]
    pub fn of_stderr() -> Self {
        let stream = std::env::var("JOURNAL_STREAM").unwrap_or_default();
        let journal = stream.split_once(':').and_then(|(device, inode)| {
            Some((device.parse::<u64>().ok()?, inode.parse::<u64>().ok()?))
        });
        // The variable is inherited by whoever has standard error somewhere else.
        let stderr = rustix::fs::fstat(io::stderr()).ok();
        match stderr.is_some_and(|stat| journal == Some((stat.st_dev, stat.st_ino))) {
            true => Self::Priority,
            false => Self::Plain,
        }
    }
}

/// Bytes that may be no text, as a value of a line.
pub struct Bytes<'a>(pub &'a [u8]);

impl Display for Bytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.0))
    }
}

/// The log. Clones are the same log.
#[derive(Clone)]
pub struct Journal(Arc<Shared>);

struct Shared {
    style: Style,
    clock: Arc<dyn Clock>,
    out: Out,
    state: Mutex<State>,
}

struct State {
    /// By their words, which stand in the code: so many are all there can be.
    said: BTreeMap<&'static str, Said>,
    suppressed: u64,
}

/// Lines with the same words.
struct Said {
    since_ns: u64,
    lines: u32,
    suppressed: u64,
}

impl Journal {
    /// A log that writes to `out`, by a thread of its own: who says something waits for nobody who
    /// reads. The clock's monotonic time measures, its UTC is shown.
    #[must_use]
    pub fn new(style: Style, out: Box<dyn Write + Send>, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Shared {
            style,
            clock,
            out: Out::new(out),
            state: Mutex::new(State {
                said: BTreeMap::new(),
                suppressed: 0,
            }),
        }))
    }

    /// Something does not work.
    pub fn error(&self, words: &'static str, values: &[(&'static str, &dyn Display)]) {
        self.say(Severity::Error, words, values);
    }

    /// Something will not, if it goes on.
    pub fn warning(&self, words: &'static str, values: &[(&'static str, &dyn Display)]) {
        self.say(Severity::Warning, words, values);
    }

    /// Something that happens rarely.
    pub fn notice(&self, words: &'static str, values: &[(&'static str, &dyn Display)]) {
        self.say(Severity::Notice, words, values);
    }

    /// Something ordinary.
    pub fn info(&self, words: &'static str, values: &[(&'static str, &dyn Display)]) {
        self.say(Severity::Info, words, values);
    }

    /// Writes one line. The words are constant so that lines can be searched for and counted; what
    /// changes is in the values.
    pub fn say(
        &self,
        severity: Severity,
        words: &'static str,
        values: &[(&'static str, &dyn Display)],
    ) {
        let now_ns = self.0.clock.monotonic_ns();
        let mut state = self.state();
        let said = state.said.entry(words).or_insert(Said {
            since_ns: now_ns,
            lines: 0,
            suppressed: 0,
        });
        let mut withheld = 0;
        if now_ns.saturating_sub(said.since_ns) >= WINDOW_NS {
            withheld = std::mem::take(&mut said.suppressed);
            (said.since_ns, said.lines) = (now_ns, 0);
        }
        said.lines = said.lines.saturating_add(1);
        let is_allowed = said.lines <= SAME_LINES_MAX;
        if !is_allowed {
            said.suppressed = said.suppressed.saturating_add(1);
            state.suppressed = state.suppressed.saturating_add(1);
        }
        if withheld > 0 {
            self.0.out.put(self.withheld(words, withheld));
        }
        if is_allowed {
            self.tell_left_out();
            self.0.out.put(self.line(severity, words, values));
        }
    }

    /// Writes the counts of lines that were withheld and whose time is over; with `all`, of every
    /// one, as before the daemon ends.
    pub fn settle(&self, all: bool) {
        let now_ns = self.0.clock.monotonic_ns();
        let mut state = self.state();
        let mut due = Vec::new();
        for (words, said) in &mut state.said {
            let is_over = now_ns.saturating_sub(said.since_ns) >= WINDOW_NS;
            if said.suppressed > 0 && (all || is_over) {
                due.push((*words, std::mem::take(&mut said.suppressed)));
            }
        }
        for (words, withheld) in due {
            self.0.out.put(self.withheld(words, withheld));
        }
        self.tell_left_out();
    }

    /// Waits until everything is written, so long at most: somebody who does not read may not keep the
    /// daemon from ending. Answers whether it is.
    pub fn flush(&self, within: Duration) -> bool {
        self.0.out.flush(within)
    }

    /// Lines that were withheld since the start.
    #[must_use]
    pub fn suppressed(&self) -> u64 {
        self.state().suppressed
    }

    /// Lines that could not be written since the start, or found no room because nobody reads.
    #[must_use]
    pub fn unwritten(&self) -> u64 {
        self.0.out.unwritten()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell_left_out(&self) {
        if let Some(lines) = self.0.out.left_out() {
            let words = "lines were left out while nobody read them";
            self.0
                .out
                .put(self.line(Severity::Warning, words, &[("lines", &lines)]));
        }
    }

    fn withheld(&self, words: &'static str, number: u64) -> String {
        self.line(
            Severity::Warning,
            "lines with the same words were withheld",
            &[("words", &words), ("lines", &number)],
        )
    }

    fn line(
        &self,
        severity: Severity,
        words: &str,
        values: &[(&'static str, &dyn Display)],
    ) -> String {
        let mut line = String::new();
        match self.0.style {
            Style::Json => {
                let time = rfc3339(self.0.clock.utc_ns());
                let fixed = [
                    ("time", time.as_str()),
                    ("level", severity.as_str()),
                    ("message", words),
                ];
                for (i, (key, text)) in fixed.into_iter().enumerate() {
                    line.push(if i == 0 { '{' } else { ',' });
                    json_pair(&mut line, key, text);
                }
                for (key, value) in values {
                    line.push(',');
                    json_pair(&mut line, key, &cut(*value));
                }
                line.push('}');
            }
            Style::Priority | Style::Plain => {
                let _ = match self.0.style {
                    Style::Priority => write!(line, "<{}>", severity.number()),
                    _ => {
                        let time = rfc3339(self.0.clock.utc_ns());
                        write!(line, "{time} {}: ", severity.as_str())
                    }
                };
                line.push_str(&escape_for_humans(words));
                for (key, value) in values {
                    let _ = write!(line, " {key}={}", quoted(&cut(*value)));
                }
            }
        }
        line.push('\n');
        line
    }
}

/// The text of a value, at most [`VALUE_CHARS_MAX`] characters of it.
fn cut(value: &dyn Display) -> String {
    struct Bounded {
        text: String,
        left: usize,
    }
    impl fmt::Write for Bounded {
        fn write_str(&mut self, more: &str) -> fmt::Result {
            for c in more.chars() {
                self.left = self.left.checked_sub(1).ok_or(fmt::Error)?;
                self.text.push(c);
            }
            Ok(())
        }
    }
    let mut bounded = Bounded {
        text: String::new(),
        left: VALUE_CHARS_MAX,
    };
    // The value's own failure is as good a reason for the mark as ours.
    if write!(bounded, "{value}").is_err() {
        bounded.text.push('…');
    }
    bounded.text
}

/// Escaped, and in quotes where it would not be seen where it ends.
fn quoted(text: &str) -> String {
    let escaped = escape_for_humans(text);
    let is_plain = !escaped.is_empty() && !escaped.contains([' ', '"', '=']);
    match is_plain {
        true => escaped.into_owned(),
        false => format!("\"{}\"", escaped.replace('"', "\\\"")),
    }
}

/// `"key":"value"`, in characters that show as themselves.
fn json_pair(line: &mut String, key: &str, value: &str) {
    for (i, text) in [key, value].into_iter().enumerate() {
        if i == 1 {
            line.push(':');
        }
        let json = serde_json::Value::from(text).to_string();
        for c in json.chars() {
            let mut one = [0u8; 4];
            let is_plain = c == '\\'
                || matches!(
                    escape_for_humans(c.encode_utf8(&mut one)),
                    std::borrow::Cow::Borrowed(_)
                );
            match is_plain {
                true => line.push(c),
                false => {
                    let mut units = [0u16; 2];
                    for unit in c.encode_utf16(&mut units) {
                        let _ = write!(line, "\\u{unit:04x}");
                    }
                }
            }
        }
    }
}

/// A time as RFC 3339 writes it, in UTC, to the millisecond.
#[must_use]
pub fn rfc3339(utc_ns: u64) -> String {
    let ms = utc_ns / 1_000_000;
    let (days, ms_of_day) = (ms / 86_400_000, ms % 86_400_000);
    let (year, month, day) = civil(days);
    let (second, ms) = (ms_of_day / 1000, ms_of_day % 1000);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// Year, month and day of a day since 1970-01-01. Years begin in March here, so that a leap day is
/// their last and the lengths of months follow one formula.
fn civil(days: u64) -> (u64, u64, u64) {
    const DAYS_OF_400_YEARS: u64 = 146_097;
    const DAYS_TO_1970: u64 = 719_468; // since 0000-03-01
    let days = days + DAYS_TO_1970;
    let (era, day) = (days / DAYS_OF_400_YEARS, days % DAYS_OF_400_YEARS);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month + 2) / 5 + 1;
    let (year, month) = match month < 10 {
        true => (era * 400 + year, month + 3),
        false => (era * 400 + year + 1, month - 9),
    };
    (year, month, day_of_month)
}

#[cfg(test)]
mod tests;
