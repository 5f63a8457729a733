//! What one message holds while it is being written, and how much more fits.
//!
//! The limit is of the encoded payload: timing, texts and bytes as they stand in JSON. What is not
//! written yet but must be (the records of the current runs, the size of the window) is counted
//! when it becomes certain, so a message never exceeds its limit.

use super::NS_PER_MS;
use super::side::{Piece, Side, digits, is_plain, push_number};

/// Which direction bytes went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// To the program.
    Input,
    /// From the program.
    Output,
}

/// The size of the terminal, and whether this message says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Window {
    Unknown,
    /// Known, but nothing of this message is written.
    Known(u16, u16),
    /// There is room for it, before the first record of the timing.
    Reserved(u16, u16),
    Written(u16, u16),
}

/// A message in the making.
#[derive(Debug)]
pub(super) struct Chunk {
    limit: usize,
    room: usize,
    pub(super) timing: Vec<u8>,
    /// Moment of the first event.
    first_ns: Option<u64>,
    last_ns: u64,
    window: Window,
    pub(super) input: Side,
    pub(super) output: Side,
}

impl Chunk {
    /// An empty message of at most this much payload.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            room: limit,
            timing: Vec::new(),
            first_ns: None,
            last_ns: 0,
            window: Window::Unknown,
            input: Side::new((b'<', b'[')),
            output: Side::new((b'>', b']')),
        }
    }

    /// Whether nothing was added.
    pub(super) fn is_empty(&self) -> bool {
        self.room >= self.limit
    }

    /// Moment of the first event.
    pub(super) fn first_ns(&self) -> u64 {
        self.first_ns.unwrap_or(0)
    }

    /// Adds a character, or answers that it does not fit and changes nothing.
    pub(super) fn add(&mut self, to: Direction, at_ns: u64, piece: Piece) -> bool {
        let delay_ms = self.delay_ms(at_ns);
        let side = self.side(to);
        let cut = side.is_cut_by(piece);
        let cost = side.cost(piece, cut || delay_ms > 0);
        if !self.reserve(cost + delay_len(delay_ms) + self.window_len()) {
            return false;
        }
        if let Window::Known(cols, rows) = self.window {
            self.window = Window::Reserved(cols, rows);
        }
        if cut {
            self.end_run(to);
        }
        self.advance(at_ns, delay_ms);
        self.side(to).add(piece);
        true
    }

    /// Adds to the current run, right after a character of the same moment, as many characters
    /// as fit: those at the beginning of a text that are plain, or those of several bytes.
    /// Answers how many bytes.
    pub(super) fn add_more(&mut self, to: Direction, text: &[u8]) -> usize {
        // Every character takes a byte at least, so nobody looks further: a long text is not
        // looked through again for every message that it fills.
        let text = text.get(..self.room).unwrap_or(text);
        let wide = text.first().is_some_and(|byte| *byte >= 0x80);
        let other = match wide {
            true => text.iter().position(|byte| *byte < 0x80),
            false => text.iter().position(|byte| !is_plain(*byte)),
        };
        let (run, _) = text.split_at(other.unwrap_or(text.len()));
        let side = match to {
            Direction::Input => &mut self.input,
            Direction::Output => &mut self.output,
        };
        match wide {
            _ if run.is_empty() => 0,
            true => side.add_wide(run, &mut self.room),
            false => side.add_plain(run, &mut self.room),
        }
    }

    /// Adds a size of the terminal, or answers that it does not fit and changes nothing. One that
    /// is known already adds nothing.
    pub(super) fn resize(&mut self, at_ns: u64, cols: u16, rows: u16) -> bool {
        if self.size() == Some((cols, rows)) {
            return true;
        }
        let delay_ms = self.delay_ms(at_ns);
        if !self.reserve(delay_len(delay_ms) + size_len(cols, rows)) {
            return false;
        }
        self.end_runs();
        self.advance(at_ns, delay_ms);
        // A size that was known but not yet written in this message need not be any more.
        self.window = Window::Written(cols, rows);
        push_size(&mut self.timing, cols, rows);
        true
    }

    /// Writes the records of the current runs, input first.
    pub(super) fn end_runs(&mut self) {
        self.end_run(Direction::Input);
        self.end_run(Direction::Output);
    }

    /// Makes room for the next message.
    pub(super) fn clear(&mut self) {
        self.room = self.limit;
        self.timing.clear();
        self.first_ns = None;
        self.input.clear();
        self.output.clear();
        if let Some((cols, rows)) = self.size() {
            self.window = Window::Known(cols, rows);
        }
    }

    fn side(&mut self, of: Direction) -> &mut Side {
        match of {
            Direction::Input => &mut self.input,
            Direction::Output => &mut self.output,
        }
    }

    fn size(&self) -> Option<(u16, u16)> {
        match self.window {
            Window::Unknown => None,
            Window::Known(cols, rows)
            | Window::Reserved(cols, rows)
            | Window::Written(cols, rows) => Some((cols, rows)),
        }
    }

    /// Bytes that the first character of a message needs for the size of the terminal.
    fn window_len(&self) -> usize {
        match self.window {
            Window::Known(cols, rows) => size_len(cols, rows),
            _ => 0,
        }
    }

    fn reserve(&mut self, len: usize) -> bool {
        match self.room.checked_sub(len) {
            Some(room) => {
                self.room = room;
                true
            }
            None => false,
        }
    }

    /// Whole milliseconds since the event before in this message.
    fn delay_ms(&self, at_ns: u64) -> u64 {
        match self.first_ns {
            Some(_) => at_ns.saturating_sub(self.last_ns) / NS_PER_MS,
            None => 0,
        }
    }

    /// Moves the time on. What is less than a millisecond is lost, as in tlog.
    fn advance(&mut self, at_ns: u64, delay_ms: u64) {
        // An unfinished character that is given up happened when its last byte did. Where the
        // other direction went on and a message ended since then, tlog dates the next message
        // back, which its own player refuses; here no message begins before the last one ended.
        self.last_ns = self.last_ns.max(at_ns);
        self.first_ns.get_or_insert(self.last_ns);
        if delay_ms > 0 {
            self.end_runs();
            self.write_window();
            self.timing.push(b'+');
            push_number(&mut self.timing, delay_ms);
        }
    }

    fn end_run(&mut self, of: Direction) {
        if !self.side(of).has_run() {
            return;
        }
        self.write_window();
        match of {
            Direction::Input => self.input.end_run(&mut self.timing),
            Direction::Output => self.output.end_run(&mut self.timing),
        }
    }

    fn write_window(&mut self) {
        if let Window::Reserved(cols, rows) = self.window {
            push_size(&mut self.timing, cols, rows);
            self.window = Window::Written(cols, rows);
        }
    }
}

fn delay_len(delay_ms: u64) -> usize {
    match delay_ms {
        0 => 0,
        ms => 1 + digits(ms),
    }
}

fn size_len(cols: u16, rows: u16) -> usize {
    2 + digits(cols.into()) + digits(rows.into())
}

fn push_size(timing: &mut Vec<u8>, cols: u16, rows: u16) {
    timing.push(b'=');
    push_number(timing, cols.into());
    timing.push(b'x');
    push_number(timing, rows.into());
}
