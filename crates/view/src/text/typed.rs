//! What was typed or piped in, line by line, as far as bytes tell: a rubbed-out character is gone,
//! and sequences of keys that move about leave no trace.

use super::{TEXT_BYTES_MAX, Text, What};
use crate::utf8::Utf8;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Ground,
    Escape,
    /// Inside CSI or SS3, up to its final byte.
    Sequence,
}

/// The line that is being typed.
#[derive(Debug)]
pub(super) struct TypedLine {
    utf8: Utf8,
    state: State,
    line: String,
    first_ns: u64,
    last_ns: u64,
}

impl Default for TypedLine {
    fn default() -> Self {
        Self {
            utf8: Utf8::new(),
            state: State::Ground,
            line: String::new(),
            first_ns: 0,
            last_ns: 0,
        }
    }
}

impl TypedLine {
    pub(super) fn feed(&mut self, bytes: &[u8], at_ns: u64, out: &mut Vec<Text>) {
        let mut utf8 = std::mem::replace(&mut self.utf8, Utf8::new());
        utf8.feed(bytes, |text| {
            for c in text.chars() {
                self.character(c, at_ns, out);
            }
        });
        self.utf8 = utf8;
    }

    fn character(&mut self, c: char, at_ns: u64, out: &mut Vec<Text>) {
        match (self.state, c) {
            (State::Escape, '[' | 'O') => self.state = State::Sequence,
            (State::Escape, _) => self.state = State::Ground,
            (State::Sequence, '\x40'..='\x7e') => self.state = State::Ground,
            (State::Sequence, '\x20'..='\x3f') => {}
            (_, '\x1b') => self.state = State::Escape,
            (_, '\r' | '\n') => {
                self.state = State::Ground;
                self.finish(at_ns, out);
            }
            (_, '\x08' | '\x7f') => {
                self.line.pop();
            }
            // Control-U and Control-C: the line is given up, and what was in it was typed all the
            // same.
            (_, '\x15' | '\x03') => self.finish(at_ns, out),
            (_, c) => {
                self.state = State::Ground;
                let c = if c == '\t' { ' ' } else { c };
                if !c.is_control() {
                    self.push(c, at_ns, out);
                }
            }
        }
    }

    fn push(&mut self, c: char, at_ns: u64, out: &mut Vec<Text>) {
        if self.line.is_empty() {
            self.first_ns = at_ns;
        }
        self.last_ns = at_ns;
        self.line.push(c);
        if self.line.len() > TEXT_BYTES_MAX - 4 {
            self.finish(at_ns, out);
            if let Some(last) = out.last_mut() {
                last.is_cut = true;
            }
        }
    }

    pub(super) fn finish(&mut self, at_ns: u64, out: &mut Vec<Text>) {
        self.standing(at_ns, out);
        self.line.clear();
    }

    pub(super) fn standing(&self, _: u64, out: &mut Vec<Text>) {
        if !self.line.trim().is_empty() {
            let mut text = Text::at(What::Typed, self.line.clone(), self.first_ns);
            text.last_ns = self.last_ns;
            out.push(text);
        }
    }
}
