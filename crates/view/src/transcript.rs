//! The text of a session as it settled on the screen, for reading and searching.

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::Range;

use avt::observer::{Observation, Observer};
use avt::parser::{EdScope, Function};
use avt::{Line, Operation, ScreenKind, Terminal};
use hansard_core::{Body, Event, Session};

use crate::cast::gap_label;
use crate::codec::{EncodeError, Encoder};
use crate::escape::escape_for_humans;
use crate::limits::TRANSCRIPT_LINE_BYTES_MAX;
use crate::margins::Margins;
use crate::screen::Screen;

/// Writes the lines of the primary screen, each once, when it leaves the screen, and what is on
/// it at the end. It leaves by scrolling, or because all of its row is erased; one that is drawn
/// again within the same event has not left. Wrapped lines are put together again. What full-screen programs draw on the
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
            settled: Settled {
                cells: CELLS_MAX,
                ..Settled::default()
            },
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
                self.settled.allow(bytes.len());
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
        self.settled.drawn(self.screen.terminal(), None);
        self.write_settled()
    }

    fn end(&mut self) -> Result<(), EncodeError> {
        self.settled.primary(self.screen.terminal());
        self.write_settled()?;
        Ok(self.out.flush()?)
    }
}

/// A line whose rows were erased.
struct Erased {
    text: String,
    /// Whether another part of it stayed.
    is_part: bool,
}

/// Collects lines as they leave the primary screen.
#[derive(Default)]
struct Settled {
    /// Whole lines, to be taken often.
    text: String,
    wrapped: String,
    /// Lines that are told unless they are drawn again: as many as the screen has, at most.
    erased: Vec<Erased>,
    /// Whether what leaves now is erased: the emulator makes ED 2 scroll.
    clears: bool,
    margins: Margins,
    /// Cells of screens that may be compared with what was erased.
    cells: usize,
}

/// What a few bytes erase can take long to compare, on a large screen: so many cells for each byte, and so many
/// ahead. Where that is not enough, what was erased is told without a look at what is drawn.
const CELLS_PER_BYTE: usize = 1000;
const CELLS_MAX: usize = 1 << 20;

impl Settled {
    /// So many bytes are about to be shown.
    fn allow(&mut self, bytes: usize) {
        let more = bytes.saturating_mul(CELLS_PER_BYTE);
        self.cells = self.cells.saturating_add(more).min(CELLS_MAX);
    }

    fn push(&mut self, line: &Line) {
        if let Some(line) = join(&mut self.wrapped, line) {
            self.line(line.trim_end());
        }
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// What still stands on the primary screen, without the blank lines below it.
    fn primary(&mut self, terminal: &Terminal) {
        let before = self.text.len();
        for line in terminal.primary_screen().all_lines() {
            self.push(line);
        }
        let blank = |text: &str| text.ends_with("\n\n") || text == "\n";
        while blank(self.text.get(before..).unwrap_or_default()) {
            self.text.pop();
        }
    }

    /// These rows of the primary screen are about to go.
    fn erase(&mut self, terminal: &Terminal, rows: Range<usize>) {
        if rows.is_empty() {
            return;
        }
        self.drawn(terminal, None);
        let mut wrapped = match rows.start {
            0 => std::mem::take(&mut self.wrapped),
            _ => String::new(),
        };
        let mut is_part = false;
        let lines = terminal.primary_screen().visible_lines().enumerate();
        for (at, row) in lines.take(rows.end) {
            if at < rows.start {
                is_part = row.is_wrapped();
            } else if let Some(line) = join(&mut wrapped, row) {
                self.erased(&line, is_part);
                is_part = row.is_wrapped();
            }
        }
        self.erased(&wrapped, true);
    }

    fn erased(&mut self, line: &str, is_part: bool) {
        let text = line.trim_end();
        if !text.is_empty() {
            let text = text.to_owned();
            self.erased.push(Erased { text, is_part });
        }
    }

    /// Tells what was erased and does not stand there now, or leaves now.
    fn drawn(&mut self, terminal: &Terminal, leaving: Option<&Line>) {
        if self.erased.is_empty() {
            return;
        }
        let (cols, rows) = terminal.size();
        let Some(cells) = self.cells.checked_sub(cols * rows) else {
            for Erased { text, .. } in std::mem::take(&mut self.erased) {
                self.line(&text);
            }
            return;
        };
        self.cells = cells;
        let mut standing: BTreeMap<String, usize> = BTreeMap::new();
        let mut wrapped = self.wrapped.clone();
        let rows = terminal.primary_screen().all_lines();
        for row in leaving.into_iter().chain(rows) {
            if let Some(line) = join(&mut wrapped, row) {
                *standing.entry(line.trim_end().to_owned()).or_default() += 1;
            }
        }
        for Erased { text, is_part } in std::mem::take(&mut self.erased) {
            // One that has grown since is the same.
            let mut behind = standing.range::<String, _>(&text..);
            let again = behind
                .next()
                .filter(|(line, _)| line.starts_with(text.as_str()));
            if let Some(line) = again.map(|(line, _)| line.clone()) {
                take_one(&mut standing, &line);
            } else if !(is_part && standing.keys().any(|line| line.contains(text.as_str()))) {
                self.line(&text);
            }
        }
    }
}

/// Puts a row behind those that it goes on with; answers the line that ends with it.
fn join(wrapped: &mut String, row: &Line) -> Option<String> {
    wrapped.extend(row.chars().filter(|c| !c.is_control()));
    // A line that never ends is broken, so that it takes a bounded amount of memory.
    let ends = !row.is_wrapped() || wrapped.len() > TRANSCRIPT_LINE_BYTES_MAX;
    ends.then(|| std::mem::take(wrapped))
}

fn take_one(standing: &mut BTreeMap<String, usize>, line: &str) {
    match standing.get_mut(line) {
        Some(count) if *count > 1 => *count -= 1,
        _ => {
            standing.remove(line);
        }
    }
}

/// Rows of the primary screen, which is shown, of which nothing remains after this, and which the emulator does
/// not let go.
fn lost(terminal: &Terminal, margins: &Margins, function: &Function) -> Range<usize> {
    let (cols, rows) = terminal.size();
    let cursor = terminal.cursor();
    let (col, row) = (cursor.col, cursor.row);
    let (top, bottom) = margins.rows(rows);
    let count = |n: u16| usize::from(n.max(1));
    // Where lines are put in or taken out.
    let end = if row <= bottom { bottom + 1 } else { rows };
    // What scrolls off the top of the screen is let go.
    let scrolls = top > 0 && row == bottom;
    let up = |n: usize| top..(top + n).min(bottom + 1);
    match function {
        Function::Ed(EdScope::Below) => {
            let stays = !is_blank(terminal, row, 0..col);
            row + usize::from(stays)..rows
        }
        Function::Ed(EdScope::Above) => {
            let stays = !is_blank(terminal, row, col + 1..cols);
            0..row + usize::from(!stays)
        }
        Function::Decaln => 0..rows,
        Function::Dl(n) if row > 0 => row..(row + count(*n)).min(end),
        Function::Il(n) => end.saturating_sub(count(*n)).max(row)..end,
        Function::Sd(n) => (bottom + 1).saturating_sub(count(*n)).max(top)..bottom + 1,
        Function::Ri if row == top => bottom..bottom + 1,
        Function::Su(n) if top > 0 => up(count(*n)),
        Function::Lf | Function::Nel if scrolls => up(1),
        // A wide character needs two columns.
        Function::Print(c) if scrolls && col + usize::from(!c.is_ascii()) >= cols => up(1),
        Function::Rep(n) if scrolls => up((col + 2 * count(*n)) / cols),
        _ => 0..0,
    }
}

fn is_blank(terminal: &Terminal, row: usize, cols: Range<usize>) -> bool {
    let line = terminal.primary_screen().line(row);
    let cells = line.and_then(|line| {
        let end = cols.end.min(line.len());
        line.cells().get(cols.start.min(end)..end)
    });
    cells.is_none_or(|cells| cells.iter().all(|cell| cell.char() == ' '))
}

impl Observer for Settled {
    type Output = ();

    fn before(&mut self, context: &mut Observation<'_>, operation: &Operation) {
        self.clears = false;
        let is_char = matches!(operation, Operation::Function(Function::Print(_)));
        if is_char && !self.margins.drop_lines() {
            return;
        }
        let terminal = context.terminal();
        let is_primary = terminal.active_screen_kind() == ScreenKind::Primary;
        match operation {
            // A full reset throws the screen away without scrolling it out.
            Operation::Function(Function::Ris) => {
                self.drawn(terminal, None);
                self.primary(terminal);
            }
            Operation::Function(Function::Ed(EdScope::All)) if is_primary => {
                self.drawn(terminal, None);
                self.clears = true;
            }
            Operation::Function(function) if is_primary => {
                let rows = lost(terminal, &self.margins, function);
                self.erase(terminal, rows);
            }
            // What is below the cursor may not have room any more.
            Operation::Resize { cols, rows }
                if *rows < terminal.size().1 || *cols < terminal.size().0 =>
            {
                let from = if is_primary {
                    terminal.cursor().row + 1
                } else {
                    0
                };
                let wrapped = self.wrapped.clone();
                self.erase(terminal, from..terminal.size().1);
                self.wrapped = wrapped;
            }
            _ => {}
        }
        self.margins.note(operation, || terminal.size().1);
    }

    fn evicted(&mut self, context: &mut Observation<'_>, line: &Line) {
        if self.clears {
            if let Some(line) = join(&mut self.wrapped, line) {
                self.erased(&line, false);
            }
            return;
        }
        self.drawn(context.terminal(), Some(line));
        self.push(line);
    }

    fn end(&mut self, _: &mut Observation<'_>) {}
}

#[cfg(test)]
mod tests;
