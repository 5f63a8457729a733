//! What stands before the cursor on the current line of output, roughly: enough to see a prompt.

use crate::limits::{LINE_BYTES, LINE_LOOK_BYTES, LINE_SHOWN_BYTES_MAX};

/// Where in an escape sequence the output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Text,
    Escape,
    /// Parameters of a control sequence, to its final byte.
    Control,
    /// A string (title, clipboard, …), to BEL or ESC `\`.
    Text7,
}

/// The last bytes of the current line, without escape sequences.
///
/// It errs towards keeping text: sequences that move the cursor are dropped without effect, and a
/// carriage return forgets the line only when something is written over it. So a full-screen
/// program's password field, wherever it is drawn, is seen as long as its label was among the last
/// bytes written.
#[derive(Debug)]
pub(crate) struct Line {
    text: Vec<u8>,
    /// The line above.
    above: Vec<u8>,
    state: State,
    returned: bool,
}

impl Line {
    pub(crate) fn new() -> Self {
        Self {
            text: Vec::new(),
            above: Vec::new(),
            state: State::Text,
            returned: false,
        }
    }

    /// Follows the output. Of much output only the end can be before the cursor.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        let skipped = bytes.len().saturating_sub(LINE_LOOK_BYTES);
        if skipped > 0 {
            self.state = State::Text;
        }
        for byte in bytes.iter().skip(skipped) {
            self.step(*byte);
        }
    }

    fn step(&mut self, byte: u8) {
        self.state = match (self.state, byte) {
            (State::Text7, 0x07) | (State::Text, _) => return self.text_byte(byte),
            (_, 0x1b) => State::Escape,
            // A line's end is never part of a sequence that was meant as one.
            (_, b'\n') => return self.text_byte(byte),
            (State::Escape, b'[') => State::Control,
            (State::Escape, b']' | b'P' | b'X' | b'^' | b'_') => State::Text7,
            (State::Escape, 0x20..=0x2f) => State::Escape,
            (State::Control, 0x20..=0x3f) => State::Control,
            (State::Escape | State::Control, _) => State::Text,
            (State::Text7, _) => State::Text7,
        };
    }

    fn text_byte(&mut self, byte: u8) {
        self.state = State::Text;
        match byte {
            0x1b => self.state = State::Escape,
            b'\n' => {
                std::mem::swap(&mut self.text, &mut self.above);
                self.text.clear();
                self.returned = false;
            }
            b'\r' => self.returned = true,
            0x08 => {
                self.text.pop();
            }
            0x00..=0x1f | 0x7f => {}
            _ => {
                if std::mem::take(&mut self.returned) {
                    self.text.clear();
                }
                if self.text.len() >= LINE_SHOWN_BYTES_MAX {
                    self.text.drain(..LINE_BYTES);
                }
                self.text.push(byte);
            }
        }
    }

    /// Whether the text before the cursor, or the line above, ends with this.
    pub(crate) fn shows(&self, typed: &[u8]) -> bool {
        self.text.ends_with(typed) || self.above.ends_with(typed)
    }

    /// The text before the cursor; what is not UTF-8 is replaced.
    pub(crate) fn text(&self) -> String {
        let cut = self.text.len().saturating_sub(LINE_BYTES);
        String::from_utf8_lossy(self.text.get(cut..).unwrap_or_default()).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(pieces: &[&[u8]]) -> String {
        let mut line = Line::new();
        for piece in pieces {
            line.feed(piece);
        }
        line.text()
    }

    #[test]
    fn escapes_are_not_text_wherever_they_are_split() {
        let output = b"old\r\n\x1b]0;a title\x07\x1b[1;31mPass\x1b(Bword\x1b[0m:\x1b]2;t\x1b\\ ";
        for cut in 0..output.len() {
            let (a, b) = output.split_at(cut);
            assert_eq!(line(&[a, b]), "Password: ", "cut at {cut}");
        }
    }

    #[test]
    fn a_carriage_return_forgets_only_what_is_written_over() {
        assert_eq!(line(&[b"Password: \r"]), "Password: ");
        assert_eq!(line(&[b"50%\r99%"]), "99%");
        assert_eq!(line(&[b"abc\x08\x08d"]), "ad");
    }

    #[test]
    fn the_last_bytes_of_a_long_line_are_kept() {
        let mut long = vec![b'x'; 100_000];
        long.extend_from_slice("… Passwort: ".as_bytes());
        let text = line(&[&long]);
        assert!(text.ends_with("… Passwort: "), "{text}");
        assert!(text.len() <= LINE_BYTES + 3);
    }

    #[test]
    fn an_unfinished_string_ends_at_the_line() {
        assert_eq!(line(&[b"\x1b]0;never ended\nPIN: "]), "PIN: ");
    }
}
