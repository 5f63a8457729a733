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
/// alternate screen is not part of it. A gap is noted behind the lines that had left the screen
/// by then.
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
        let ms = self.last_ns / 1_000_000;
        for line in self.settled.text.split_inclusive('\n') {
            if self.with_times {
                write!(self.out, "[{:>6}.{:03}] ", ms / 1000, ms % 1000)?;
            }
            self.out.write_all(line.as_bytes())?;
        }
        self.settled.text.clear();
        Ok(())
    }
}

/// Bytes that are shown at once before what settled is written: a few bytes can ask for a
/// character to be repeated 65,535 times.
const SLICE_BYTES: usize = 1024;

impl<W: Write> Encoder for TranscriptEncoder<W> {
    fn begin(&mut self, _: &Session) -> Result<(), EncodeError> {
        Ok(())
    }

    fn event(&mut self, event: &Event) -> Result<(), EncodeError> {
        self.last_ns = event.at_ns;
        match &event.body {
            Body::Data { stream, bytes } => {
                for slice in bytes.chunks(SLICE_BYTES) {
                    let body = Body::Data {
                        stream: *stream,
                        bytes: slice.to_vec(),
                    };
                    self.screen.apply_with(&body, &mut self.settled);
                    self.write_settled()?;
                }
            }
            Body::Gap(gap) => {
                let label = gap_label(gap);
                self.settled
                    .line(&format!("[{}]", escape_for_humans(&label)));
            }
            body => self.screen.apply_with(body, &mut self.settled),
        }
        self.write_settled()
    }

    fn end(&mut self) -> Result<(), EncodeError> {
        self.settled.primary(self.screen.terminal());
        self.write_settled()?;
        Ok(self.out.flush()?)
    }
}

/// Collects lines as they leave the primary screen.
#[derive(Default)]
struct Settled {
    /// Whole lines, to be taken often.
    text: String,
    wrapped: String,
}

impl Settled {
    fn push(&mut self, line: &Line) {
        self.wrapped
            .extend(line.chars().filter(|c| !c.is_control()));
        // A line that never ends is broken, so that it takes a bounded amount of memory.
        if !line.is_wrapped() || self.wrapped.len() > TRANSCRIPT_LINE_BYTES_MAX {
            let line = std::mem::take(&mut self.wrapped);
            self.line(line.trim_end());
            self.wrapped = line;
            self.wrapped.clear();
        }
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// What still stands on the primary screen, without the blank lines below it.
    fn primary(&mut self, terminal: &avt::Terminal) {
        let before = self.text.len();
        for line in terminal.primary_screen().all_lines() {
            self.push(line);
        }
        let blank = |text: &str| text.ends_with("\n\n") || text == "\n";
        while blank(self.text.get(before..).unwrap_or_default()) {
            self.text.pop();
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
