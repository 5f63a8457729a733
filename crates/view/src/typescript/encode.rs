//! Writes typescripts.

use std::io::Write;

use hansard_core::event::End;
use hansard_core::{Body, Event, Session};

use super::fact::{self, one_line, text_of};
use super::{FOOTER, FOREIGN_EVENT, HEADER_FIELD, HEADERS, Place, date, head};
use crate::cast::{command_line, exit_status};
use crate::codec::{EncodeError, Encoder};
use crate::limits::FOOTER_BYTES_MAX;

/// Writes a typescript with advanced timing, as `script --logging-format=advanced` does; times
/// are microseconds, rounded so that the errors of intervals do not add up.
///
/// What was typed goes to a file of its own ([`Self::with_input_log`]), so that the typescript
/// shows what was shown and nothing else. Marks and gaps become facts in the timing, which
/// script's player passes over. Other facts are left out.
pub struct TypescriptEncoder<'a> {
    out: Box<dyn Write + 'a>,
    timing: Box<dyn Write + 'a>,
    input: Option<Box<dyn Write + 'a>>,
    /// Whether something was typed, so that its file begins with the first line as well.
    input_begun: bool,
    /// The session, until the first line is written with the first size.
    waiting: Option<Box<Session>>,
    /// The first line.
    header: Vec<u8>,
    /// The last line, if an import kept it.
    footer: Option<Vec<u8>>,
    start_seconds: u64,
    /// Microseconds of the entry written last.
    last_us: u64,
    now_us: u64,
    /// Whether an entry was written behind the facts of the beginning.
    begun: bool,
    ended: bool,
}

impl<'a> TypescriptEncoder<'a> {
    /// An encoder that writes a typescript here and its timing there. What was typed is left out.
    pub fn new(out: impl Write + 'a, timing: impl Write + 'a) -> Self {
        Self {
            out: Box::new(out),
            timing: Box::new(timing),
            input: None,
            input_begun: false,
            waiting: None,
            header: Vec::new(),
            footer: None,
            start_seconds: 0,
            last_us: 0,
            now_us: 0,
            begun: false,
            ended: false,
        }
    }

    /// The same, with what was typed in a file of its own, as script's `-I` has it. Nothing is
    /// written there unless something was typed.
    #[must_use]
    pub fn with_input_log(mut self, input: impl Write + 'a) -> Self {
        self.input = Some(Box::new(input));
        self
    }

    /// Writes the first line and the facts of the beginning.
    fn write_header(&mut self, size: Option<(u16, u16)>) -> Result<(), EncodeError> {
        let Some(session) = self.waiting.take() else {
            return Ok(());
        };
        self.start_seconds = session.start_utc_ns / 1_000_000_000;
        let facts = self.facts(&session, size);
        for (name, value) in &facts {
            let value = one_line(value);
            let line = [b"H 0.000000 ", name.as_bytes(), b" ", &value, b"\n"].concat();
            self.timing.write_all(&line)?;
        }
        let kept = session.target.get(HEADER_FIELD).and_then(text_of);
        self.header = match kept.filter(|line| head::is_header(line) && !line.contains(&b'\n')) {
            Some(line) => line.to_vec(),
            None => first_line(&date::format(self.start_seconds), &facts),
        };
        self.header.push(b'\n');
        Ok(self.out.write_all(&self.header)?)
    }

    /// The facts of the beginning, in script's order.
    fn facts(&self, session: &Session, size: Option<(u16, u16)>) -> Vec<(&'static str, Vec<u8>)> {
        let field = |place| match place {
            Place::Origin(name) => session.origin.get(name).and_then(text_of),
            Place::Target(name) => session.target.get(name).and_then(text_of),
            Place::Size => None,
        };
        let shown_in = session
            .target
            .get("typescript.output_log")
            .and_then(text_of);
        let shown_in = shown_in.unwrap_or(b"typescript").to_vec();
        let mut facts = Vec::new();
        for (name, place) in HEADERS {
            let said = field(place).map(<[u8]>::to_vec);
            let value = match (name, size) {
                ("START_TIME", _) => {
                    let same = |text: &Vec<u8>| {
                        date::parse(text).is_some_and(|said| said.seconds == self.start_seconds)
                    };
                    let written = || date::format(self.start_seconds).into_bytes();
                    Some(said.filter(same).unwrap_or_else(written))
                }
                ("COLUMNS", Some((cols, _))) => Some(cols.to_string().into_bytes()),
                ("LINES", Some((_, rows))) => Some(rows.to_string().into_bytes()),
                ("TERM", _) => said.or_else(|| {
                    let term = session.target.get("env.TERM").and_then(text_of);
                    term.map(<[u8]>::to_vec)
                }),
                ("COMMAND", _) => said.or_else(|| command_line(session).map(String::into_bytes)),
                ("TIMING_LOG", _) => Some(said.unwrap_or_else(|| b"typescript.timing".to_vec())),
                ("OUTPUT_LOG", _) => Some(shown_in.clone()),
                ("INPUT_LOG", _) if self.input.is_none() => None,
                // In a file of its own, so its name is not the output's.
                ("INPUT_LOG", _) => {
                    let own = said.filter(|name| *name != shown_in);
                    Some(own.unwrap_or_else(|| [&shown_in[..], b".input"].concat()))
                }
                _ => said,
            };
            facts.extend(value.map(|value| (name, value)));
        }
        facts
    }

    /// Writes an entry of the timing.
    fn entry(&mut self, letter: u8, text: &[u8]) -> Result<(), EncodeError> {
        // Directly behind the beginning, a fact by one of its names would be read as part of it.
        let name = text.split(|b| *b == b' ').next().unwrap_or_default();
        let of_beginning = HEADERS.iter().any(|(known, _)| known.as_bytes() == name);
        if !self.begun && letter == b'H' && of_beginning {
            return Ok(());
        }
        self.begun = true;
        // Rounding the moment, not the interval, is what keeps errors from adding up.
        let delta = self.now_us.saturating_sub(self.last_us);
        self.last_us = self.now_us;
        let mut line = Vec::with_capacity(text.len() + 24);
        line.push(letter);
        write!(line, " {}.{:06} ", delta / 1_000_000, delta % 1_000_000)?;
        line.extend_from_slice(text);
        line.push(b'\n');
        Ok(self.timing.write_all(&line)?)
    }

    fn data(&mut self, shown: bool, bytes: &[u8]) -> Result<(), EncodeError> {
        // script's player takes an entry without bytes for a fault of its own.
        if bytes.is_empty() {
            return Ok(());
        }
        let (letter, file) = match (shown, &mut self.input) {
            (true, _) => (b'O', &mut self.out),
            (false, None) => return Ok(()),
            (false, Some(input)) => {
                if !self.input_begun {
                    input.write_all(&self.header)?;
                    self.input_begun = true;
                }
                (b'I', input)
            }
        };
        file.write_all(bytes)?;
        self.entry(letter, bytes.len().to_string().as_bytes())
    }

    fn close(&mut self, end: &End) -> Result<(), EncodeError> {
        let exit = exit_status(end);
        let (seconds, micros) = (self.now_us / 1_000_000, self.now_us % 1_000_000);
        writeln!(self.timing, "H 0.000000 DURATION {seconds}.{micros:06}")?;
        if let Some(exit) = exit {
            writeln!(self.timing, "H 0.000000 EXIT_CODE {exit}")?;
        }
        let footer = self.footer.take().unwrap_or_else(|| {
            let how = match exit {
                Some(exit) => format!("COMMAND_EXIT_CODE=\"{exit}\""),
                None => format!("<{}>", reason(end)),
            };
            let date = date::format(self.start_seconds.saturating_add(seconds));
            format!("Script done on {date} [{how}]").into_bytes()
        });
        self.footer(&footer)
    }

    fn footer(&mut self, line: &[u8]) -> Result<(), EncodeError> {
        self.ended = true;
        let line = [b"\n", line, b"\n"].concat();
        if let (true, Some(input)) = (self.input_begun, &mut self.input) {
            input.write_all(&line)?;
        }
        Ok(self.out.write_all(&line)?)
    }
}

/// The first line of a typescript.
fn first_line(date: &str, facts: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut said = Vec::new();
    for wanted in ["COMMAND", "TERM", "TTY", "COLUMNS", "LINES"] {
        if let Some((name, value)) = facts.iter().find(|(name, _)| *name == wanted) {
            // What looks like the next fact would be read as one. The timing says it whole.
            if !value.windows(2).any(|pair| pair == b"=\"") {
                said.push([name.as_bytes(), b"=\"", &one_line(value), b"\""].concat());
            }
        }
    }
    if !facts.iter().any(|(name, _)| *name == "COLUMNS") {
        said.push(b"<not executed on terminal>".to_vec());
    }
    [
        head::STARTED,
        date.as_bytes(),
        b" [",
        &said.join(&b' '),
        b"]",
    ]
    .concat()
}

/// Why a session ended, as it can stand in the last line.
fn reason(end: &End) -> String {
    let plain = |c: char| {
        if c.is_control() || matches!(c, '<' | '>') {
            ' '
        } else {
            c
        }
    };
    let mut text: String = end.reason.chars().map(plain).collect();
    while text.len() > FOOTER_BYTES_MAX / 2 {
        text.pop();
    }
    text
}

impl Encoder for TypescriptEncoder<'_> {
    fn begin(&mut self, session: &Session) -> Result<(), EncodeError> {
        self.waiting = Some(Box::new(session.clone()));
        Ok(())
    }

    fn event(&mut self, event: &Event) -> Result<(), EncodeError> {
        let now_us = event.at_ns.saturating_add(500) / 1000;
        if let (Some(_), Body::Resize { cols, rows }, 0) = (&self.waiting, &event.body, now_us) {
            return self.write_header(Some((*cols, *rows)));
        }
        self.write_header(None)?;
        self.now_us = now_us.max(self.now_us);
        match &event.body {
            Body::Data { stream, bytes } => self.data(stream.is_shown(), bytes),
            Body::End(end) => self.close(end),
            Body::Channel(fact) if fact.event == FOREIGN_EVENT => {
                if let Some(line) = fact.fields.get(FOOTER).and_then(text_of) {
                    let fits = line.len() <= FOOTER_BYTES_MAX - 2 && !line.contains(&b'\n');
                    self.footer = Some(line.to_vec()).filter(|_| fits);
                } else if let Some(mut line) = fact::line(fact) {
                    line.push(b'\n');
                    self.begun = true;
                    self.timing.write_all(&line)?;
                } else if let Some((letter, text)) = fact::write(&event.body) {
                    self.entry(letter, &text)?;
                }
                Ok(())
            }
            body => match fact::write(body) {
                Some((letter, text)) => self.entry(letter, &text),
                None => Ok(()),
            },
        }
    }

    fn end(&mut self) -> Result<(), EncodeError> {
        self.write_header(None)?;
        if let (false, Some(footer)) = (self.ended, self.footer.take()) {
            self.footer(&footer)?;
        }
        if let Some(input) = &mut self.input {
            input.flush()?;
        }
        self.out.flush()?;
        Ok(self.timing.flush()?)
    }
}
