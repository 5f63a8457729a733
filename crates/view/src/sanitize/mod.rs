//! What of a recording a viewer's terminal may be sent: an allow-list.
//!
//! Passed on: printable text, BS HT LF CR SO SI, SGR, cursor movement, erasing, inserting and
//! deleting, scrolling and scroll regions, the alternate screen, saving and restoring the cursor,
//! G0/G1 charsets, insert mode, new-line mode, cursor visibility, auto-wrap, origin mode. VT and FF become LF, as
//! terminals take them. A full or soft reset is passed on as its parts.
//!
//! Everything else is dropped: titles, clipboard, notifications, hyperlinks, colours of the
//! palette, images, every query (a terminal answers on its input), window operations, printing,
//! key and mouse modes, tab stops, clearing the scrollback, DCS, APC, PM, SOS, other charsets,
//! and sequences longer than [`SEQUENCE_BYTES_MAX`]. Nothing is copied: a sequence is read whole,
//! and what is passed on is written anew from its numbers, in its seven-bit form. Bytes that are
//! not UTF-8 become U+FFFD, so that no C1 control can hide in them.

mod csi;

use crate::limits::SEQUENCE_BYTES_MAX;
use crate::utf8::Utf8;

/// What [`Sanitizer::restore`] ends with: attributes, modes, charsets, cursor shown. Leaves the
/// cursor where it is.
const RESTORE: &str = "\x1b[m\x1b[4l\x1b[20l\x1b[?7h\x1b[?25h\x1b(B\x1b)B\x0f";

/// Takes back scroll region and origin mode, which moves the cursor; it is left on a line of its
/// own below everything.
const RESTORE_MARGINS: &str = "\x1b[?6l\x1b[r\x1b[999H\r\n";

/// Parts of a full reset (RIS), without tab stops.
const FULL_RESET: &str =
    "\x1b[?6l\x1b[r\x1b[m\x1b[4l\x1b[20l\x1b[?7h\x1b[?25h\x1b(B\x1b)B\x0f\x1b[H\x1b[2J\x1b7";

/// Parts of a soft reset (DECSTR), which leaves the cursor where it is.
const SOFT_RESET: &str = "\x1b7\x1b[r\x1b8\x1b[m\x1b[4l\x1b[?25h\x1b(B\x1b)B\x0f";

/// What may be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Pass BEL on. Off unless said otherwise.
    pub bell: bool,
    /// Drop SGR 8, so that concealed text is seen. On unless said otherwise.
    pub reveal: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            bell: false,
            reveal: true,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ground,
    Escape,
    /// ESC and one intermediate character.
    EscapeOne(u8),
    /// ESC and several of them, which nothing allowed has.
    EscapeMany,
    Csi,
    CsiIgnore,
    Osc,
    /// DCS, SOS, PM or APC.
    String,
}

/// Filters a stream. Where it is cut into pieces makes no difference.
#[derive(Debug, Clone)]
pub struct Sanitizer {
    options: Options,
    utf8: Utf8,
    state: State,
    /// Parameters and intermediates of a CSI sequence.
    sequence: String,
    alternate: bool,
    /// A scroll region or origin mode was passed on.
    margins: bool,
}

impl Default for Sanitizer {
    fn default() -> Self {
        Self::new(Options::default())
    }
}

impl Sanitizer {
    /// A filter at the beginning of a stream.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            options,
            utf8: Utf8::new(),
            state: State::Ground,
            sequence: String::new(),
            alternate: false,
            margins: false,
        }
    }

    /// Filters these bytes; what may be shown is appended to `out`.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let mut utf8 = std::mem::take(&mut self.utf8);
        utf8.feed(bytes, |text| self.text(text, out));
        self.utf8 = utf8;
    }

    /// The stream ended: an unfinished character is shown as U+FFFD, an unfinished sequence is
    /// dropped.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let mut utf8 = std::mem::take(&mut self.utf8);
        utf8.finish(|text| self.text(text, out));
        self.state = State::Ground;
    }

    /// Whether what was passed on left a terminal on its alternate screen.
    #[must_use]
    pub fn in_alternate_screen(&self) -> bool {
        self.alternate
    }

    /// What puts a terminal back after everything that was passed on: off the alternate screen,
    /// out of the scroll region, attributes, modes and charsets as they usually are, the cursor
    /// shown. Leaves the cursor where it is, unless there was a scroll region.
    #[must_use]
    pub fn restore(&self) -> String {
        let alternate = if self.alternate { "\x1b[?1049l" } else { "" };
        let margins = if self.margins { RESTORE_MARGINS } else { "" };
        format!("{alternate}{margins}{RESTORE}")
    }

    fn text(&mut self, text: &str, out: &mut Vec<u8>) {
        let mut rest = text;
        while !rest.is_empty() {
            if self.state == State::Ground {
                let plain = plain_len(rest.as_bytes());
                let (text, more) = rest.split_at(plain);
                out.extend_from_slice(text.as_bytes());
                rest = more;
            }
            let mut chars = rest.chars();
            if let Some(c) = chars.next() {
                self.char(c, out);
                rest = chars.as_str();
            }
        }
    }

    fn char(&mut self, c: char, out: &mut Vec<u8>) {
        match (self.state, c) {
            (_, '\x1b') => self.state = State::Escape,
            (_, '\x18' | '\x1a') => self.state = State::Ground,
            (State::Osc, '\x07') => self.state = State::Ground,
            (_, '\u{80}'..='\u{9f}') => self.c1(c, out),
            (State::Osc | State::String, _) => {}
            (_, '\0'..='\x1f') => self.c0(c, out),
            (_, '\x7f') => {}
            (State::Ground, _) => push(c, out),
            (State::Escape, _) => self.escape(c, out),
            (State::EscapeOne(_) | State::EscapeMany, ' '..='/') => self.state = State::EscapeMany,
            (State::EscapeOne(slot), _) => {
                self.state = State::Ground;
                designate(slot, c, out);
            }
            (State::EscapeMany, _) => self.state = State::Ground,
            (State::Csi, ' '..='?') if self.sequence.len() < SEQUENCE_BYTES_MAX => {
                self.sequence.push(c);
            }
            (State::Csi | State::CsiIgnore, ' '..='?') => self.state = State::CsiIgnore,
            (State::CsiIgnore, _) => self.state = State::Ground,
            (State::Csi, _) => {
                self.state = State::Ground;
                self.csi(c, out);
            }
        }
    }

    fn c0(&mut self, c: char, out: &mut Vec<u8>) {
        match c {
            '\x08' | '\t' | '\n' | '\r' | '\x0e' | '\x0f' => push(c, out),
            '\x0b' | '\x0c' => out.push(b'\n'),
            '\x07' if self.options.bell => out.push(7),
            _ => {}
        }
    }

    /// A C1 control as one character; passed on in its seven-bit form.
    fn c1(&mut self, c: char, out: &mut Vec<u8>) {
        self.state = State::Ground;
        match c {
            '\u{9b}' => self.enter_csi(),
            '\u{9d}' => self.state = State::Osc,
            '\u{90}' | '\u{98}' | '\u{9e}' | '\u{9f}' => self.state = State::String,
            '\u{84}' => out.extend_from_slice(b"\x1bD"),
            '\u{85}' => out.extend_from_slice(b"\x1bE"),
            '\u{8d}' => out.extend_from_slice(b"\x1bM"),
            _ => {}
        }
    }

    fn enter_csi(&mut self) {
        self.state = State::Csi;
        self.sequence.clear();
    }

    fn escape(&mut self, c: char, out: &mut Vec<u8>) {
        self.state = State::Ground;
        match c {
            '[' => self.enter_csi(),
            ']' => self.state = State::Osc,
            'P' | 'X' | '^' | '_' => self.state = State::String,
            ' '..='/' => self.state = State::EscapeOne(u8::try_from(c).unwrap_or(b' ')),
            '7' | '8' | 'D' | 'E' | 'M' => {
                out.push(0x1b);
                push(c, out);
            }
            'c' => {
                if std::mem::take(&mut self.alternate) {
                    out.extend_from_slice(b"\x1b[?1047l");
                }
                self.margins = false;
                out.extend_from_slice(FULL_RESET.as_bytes());
            }
            _ => {}
        }
    }

    fn csi(&mut self, end: char, out: &mut Vec<u8>) {
        let sequence = std::mem::take(&mut self.sequence);
        if sequence == "!" && end == 'p' {
            out.extend_from_slice(SOFT_RESET.as_bytes());
        } else if let Some(modes) = sequence.strip_prefix('?') {
            let before = out.len();
            if let Some(on) = csi::private_modes(modes, end, out) {
                self.alternate = on;
            }
            let passed = out.get(before..).unwrap_or_default();
            self.margins |= passed.windows(5).any(|mode| mode == b"\x1b[?6h");
        } else {
            self.margins |= end == 'r';
            csi::plain(&sequence, end, self.options.reveal, out);
        }
        self.sequence = sequence;
    }
}

/// G0 and G1: line drawing, or ASCII for everything else.
fn designate(slot: u8, charset: char, out: &mut Vec<u8>) {
    if matches!(slot, b'(' | b')') && charset.is_ascii() {
        out.extend_from_slice(&[0x1b, slot, if charset == '0' { b'0' } else { b'B' }]);
    }
}

fn push(c: char, out: &mut Vec<u8>) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Length of the text at the beginning that holds no control character for certain.
fn plain_len(bytes: &[u8]) -> usize {
    let is_plain = |b: &u8| *b >= 0x20 && *b != 0x7f && *b != 0xc2;
    bytes
        .iter()
        .position(|b| !is_plain(b))
        .unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests;
