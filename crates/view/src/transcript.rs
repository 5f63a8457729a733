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
}

impl Settled {
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
mod tests {
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
}
