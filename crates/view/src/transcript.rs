//! The text of a session as it settled on the screen, for reading and searching.

use std::io::Write;

use avt::observer::{Observation, Observer};
use avt::parser::Function;
use avt::{Line, Operation};
use hansard_core::{Body, Event, Session};

use crate::cast::gap_label;
use crate::codec::{EncodeError, Encoder};
use crate::escape::escape_for_humans;
use crate::limits::TRANSCRIPT_LINE_BYTES_MAX;
use crate::screen::Screen;

/// Writes the lines of the primary screen, each once, when it leaves the screen, and what is on
/// it at the end. Wrapped lines are put together again. What full-screen programs draw on the
/// alternate screen is not part of it.
pub struct TranscriptEncoder<W> {
    out: W,
    screen: Screen,
    settled: Settled,
    with_times: bool,
    last_ns: u64,
}

impl<W: Write> TranscriptEncoder<W> {
    /// An encoder that writes here; each line begins with the moment it left the screen, in
    /// seconds, if `with_times`.
    pub fn new(out: W, with_times: bool) -> Self {
        Self {
            out,
            screen: Screen::default(),
            settled: Settled::default(),
            with_times,
            last_ns: 0,
        }
    }

    fn write_settled(&mut self) -> Result<(), EncodeError> {
        for line in self.settled.lines.drain(..) {
            if self.with_times {
                let ms = self.last_ns / 1_000_000;
                write!(self.out, "[{:>6}.{:03}] ", ms / 1000, ms % 1000)?;
            }
            writeln!(self.out, "{line}")?;
        }
        Ok(())
    }
}

impl<W: Write> Encoder for TranscriptEncoder<W> {
    fn begin(&mut self, _: &Session) -> Result<(), EncodeError> {
        Ok(())
    }

    fn event(&mut self, event: &Event) -> Result<(), EncodeError> {
        self.last_ns = event.at_ns;
        self.screen.apply_with(&event.body, &mut self.settled);
        if let Body::Gap(gap) = &event.body {
            self.settled
                .lines
                .push(format!("[{}]", escape_for_humans(&gap_label(gap))));
        }
        self.write_settled()
    }

    fn end(&mut self) -> Result<(), EncodeError> {
        self.settled.rest_of(&self.screen);
        self.write_settled()?;
        Ok(self.out.flush()?)
    }
}

/// Collects lines as they leave the primary screen.
#[derive(Default)]
pub(crate) struct Settled {
    /// Whole lines, to be taken after each event.
    pub(crate) lines: Vec<String>,
    wrapped: String,
}

impl Settled {
    fn push(&mut self, line: &Line) {
        self.wrapped
            .extend(line.chars().filter(|c| !c.is_control()));
        // A line that never ends is broken, so that it takes a bounded amount of memory.
        if !line.is_wrapped() || self.wrapped.len() > TRANSCRIPT_LINE_BYTES_MAX {
            self.lines.push(self.wrapped.trim_end().to_owned());
            self.wrapped.clear();
        }
    }

    /// What still stands on the screen, without the blank lines below it.
    fn rest_of(&mut self, screen: &Screen) {
        self.primary(screen.terminal());
    }

    fn primary(&mut self, terminal: &avt::Terminal) {
        let before = self.lines.len();
        for line in terminal.primary_screen().all_lines() {
            self.push(line);
        }
        while self.lines.len() > before && self.lines.last().is_some_and(String::is_empty) {
            self.lines.pop();
        }
    }
}

impl Observer for Settled {
    type Output = ();

    fn before(&mut self, context: &mut Observation<'_>, operation: &Operation) {
        // A full reset throws the screen away without scrolling it out.
        if matches!(operation, Operation::Function(Function::Ris)) {
            self.primary(context.terminal());
        }
    }

    fn evicted(&mut self, _: &mut Observation<'_>, line: &Line) {
        self.push(line);
    }

    fn end(&mut self, _: &mut Observation<'_>) {}
}
