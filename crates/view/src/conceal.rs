//! A tap beside the emulator that notices concealed text (SGR 8), which the emulator shows like
//! any other.
//!
//! It knows just enough of the grammar of control sequences to see SGR, the resets, and whether
//! a character is printed. Who wants to know which cells are concealed has the emulator blink
//! there ([`Conceal::feed_marking`]); nothing else ever changes what it is fed.

use std::borrow::Cow;

/// Longest piece of concealed text that is held until somebody takes it; the rest is counted
/// only.
const TEXT_BYTES_MAX: usize = 256;

/// Number of bytes of [`Conceal::to_bytes`].
pub(crate) const CONCEAL_BYTES: usize = 18;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Ground,
    Escape,
    EscapeMore,
    Csi,
    /// A CSI sequence with a private marker or an intermediate character.
    CsiOther,
    String,
}

/// Colour arguments that are still to come inside SGR: they are not attributes.
const MODE_FOLLOWS: u8 = 255;

/// What an emulator is told so that its cells say which are concealed. It does not know SGR 8, and
/// goes through all that moves cells and brings attributes back by itself.
const MARK: &str = "\x1b[5m";
const NO_MARK: &str = "\x1b[25m";

/// Where the tap is in the stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Conceal {
    state: State,
    on: bool,
    saved: bool,
    verdict: Option<bool>,
    /// Whether the SGR that is being read makes the text blink, which is no mark.
    blinks: bool,
    /// What is to be told the emulator behind this character.
    mark: Option<bool>,
    value: u16,
    sub: bool,
    arguments: u8,
    intermediate: u8,
    chars: u64,
    text: String,
}

impl Conceal {
    /// Whether text is concealed now.
    pub(crate) fn is_on(&self) -> bool {
        self.on
    }

    /// Characters (other than spaces) printed while concealed, since the beginning.
    pub(crate) fn chars(&self) -> u64 {
        self.chars
    }

    /// The concealed text since the last call, cut at a bound.
    pub(crate) fn take_text(&mut self) -> String {
        std::mem::take(&mut self.text)
    }

    pub(crate) fn feed(&mut self, text: &str) {
        self.feed_noting(text, |_, _| {});
    }

    /// The same, and answers the text to feed an emulator with in which what is concealed, and nothing else, is to
    /// blink.
    pub(crate) fn feed_marking<'a>(&mut self, text: &'a str) -> Cow<'a, str> {
        let (mut marked, mut from) = (String::new(), 0);
        self.feed_noting(text, |at, on| {
            marked.push_str(text.get(from..at).unwrap_or(""));
            marked.push_str(if on { MARK } else { NO_MARK });
            from = at;
        });
        if marked.is_empty() {
            return Cow::Borrowed(text);
        }
        marked.push_str(text.get(from..).unwrap_or(""));
        Cow::Owned(marked)
    }

    fn feed_noting(&mut self, text: &str, mut note: impl FnMut(usize, bool)) {
        let bytes = text.as_bytes();
        let mut rest = bytes;
        while !rest.is_empty() {
            // Nearly all of a stream is text outside sequences: skip to what may begin one.
            if self.state == State::Ground && !self.on {
                let Some(at) = rest.iter().position(|b| matches!(b, 0x1b | 0xc2)) else {
                    return;
                };
                rest = rest.get(at..).unwrap_or(&[]);
            }
            let Some((&byte, tail)) = rest.split_first() else {
                return;
            };
            rest = tail;
            if byte == 0xc2 {
                // U+0080 to U+009F are controls of one character.
                let second = rest.first().copied().unwrap_or(0xa0);
                if second < 0xa0 {
                    rest = rest.get(1..).unwrap_or(&[]);
                    self.c1(second);
                    continue;
                }
            }
            self.byte(byte, rest);
            if let Some(on) = self.mark.take() {
                note(bytes.len() - rest.len(), on);
            }
        }
    }

    fn c1(&mut self, second: u8) {
        match second {
            0x9b => self.enter_csi(),
            0x90 | 0x98 | 0x9d..=0x9f => self.state = State::String,
            _ => self.state = State::Ground,
        }
    }

    fn byte(&mut self, byte: u8, rest: &[u8]) {
        match (self.state, byte) {
            (_, 0x1b) => self.state = State::Escape,
            (_, 0x18 | 0x1a) | (State::String, 0x07) => self.state = State::Ground,
            // Terminals pass over DEL, also inside of a sequence.
            (State::String, _) | (_, 0x00..=0x1f | 0x7f) => {}
            (State::Ground, _) => self.print(byte, rest),
            (State::Escape, b'[') => self.enter_csi(),
            (State::Escape, b']' | b'P' | b'X' | b'^' | b'_') => self.state = State::String,
            (State::Escape, 0x20..=0x2f) => self.state = State::EscapeMore,
            (State::Escape, _) => self.escape(byte),
            (State::EscapeMore, 0x20..=0x2f) | (State::CsiOther, 0x30..=0x3f) => {}
            (State::EscapeMore, _) => self.state = State::Ground,
            (State::Csi, b'0'..=b'9') => {
                if !self.sub {
                    let digit = u16::from(byte - b'0');
                    self.value = self.value.saturating_mul(10).saturating_add(digit);
                }
            }
            (State::Csi, b':') => self.sub = true,
            (State::Csi, b';') => self.parameter(),
            (State::Csi | State::CsiOther, 0x20..=0x2f | 0x3c..=0x3f) => {
                self.state = State::CsiOther;
                self.intermediate = byte;
            }
            (State::Csi, _) => self.csi(byte),
            (State::CsiOther, _) => {
                if byte == b'p' && self.intermediate == b'!' {
                    self.turn(false);
                }
                self.state = State::Ground;
            }
        }
    }

    /// Counts a printed character at its first byte.
    fn print(&mut self, byte: u8, rest: &[u8]) {
        if !self.on || byte == b' ' || byte & 0xc0 == 0x80 {
            return;
        }
        self.chars = self.chars.saturating_add(1);
        let length = match byte {
            0xf0.. => 3,
            0xe0.. => 2,
            0xc0.. => 1,
            _ => 0,
        };
        if self.text.len() + length < TEXT_BYTES_MAX {
            let more = rest.get(..length).unwrap_or(&[]);
            let whole: Vec<u8> = std::iter::once(byte).chain(more.iter().copied()).collect();
            self.text.push_str(&String::from_utf8_lossy(&whole));
        }
    }

    fn enter_csi(&mut self) {
        self.state = State::Csi;
        self.verdict = None;
        self.blinks = false;
        self.value = 0;
        self.sub = false;
        self.arguments = 0;
    }

    fn escape(&mut self, byte: u8) {
        match byte {
            b'c' => {
                self.turn(false);
                self.saved = false;
            }
            b'7' => self.saved = self.on,
            b'8' => self.turn(self.saved),
            _ => {}
        }
        self.state = State::Ground;
    }

    fn csi(&mut self, byte: u8) {
        if byte == b'm' {
            self.parameter();
            self.turn(self.verdict.unwrap_or(self.on));
            if self.blinks {
                self.mark = Some(self.on);
            }
        }
        self.state = State::Ground;
    }

    /// Concealed or not from here on. What is concealed is marked again behind every SGR, which may
    /// have said something else to the emulator.
    fn turn(&mut self, on: bool) {
        if on || self.on {
            self.mark = Some(on);
        }
        self.on = on;
    }

    /// One parameter of (what may be) an SGR is complete.
    fn parameter(&mut self) {
        match (self.arguments, self.value) {
            (MODE_FOLLOWS, 5) => self.arguments = 1,
            (MODE_FOLLOWS, 2) => self.arguments = 3,
            (MODE_FOLLOWS, _) => self.arguments = 0,
            (1.., _) => self.arguments -= 1,
            (0, 8) => self.verdict = Some(true),
            (0, 0 | 28) => self.verdict = Some(false),
            (0, 5 | 6) => self.blinks = true,
            (0, 38 | 48 | 58) if !self.sub => self.arguments = MODE_FOLLOWS,
            (0, _) => {}
        }
        self.value = 0;
        self.sub = false;
    }

    /// Everything but the held text, for a keyframe.
    pub(crate) fn to_bytes(&self) -> [u8; CONCEAL_BYTES] {
        let mut out = [0; CONCEAL_BYTES];
        let verdict = self.verdict.map_or(0, |on| 1 + u8::from(on));
        let [low, high] = self.value.to_le_bytes();
        let head = [
            self.state as u8,
            u8::from(self.on),
            u8::from(self.saved),
            verdict,
            low,
            high,
            u8::from(self.sub),
            self.arguments,
            self.intermediate,
            0,
        ];
        for (slot, byte) in out
            .iter_mut()
            .zip(head.iter().chain(&self.chars.to_le_bytes()))
        {
            *slot = *byte;
        }
        out
    }

    pub(crate) fn from_bytes(bytes: &[u8; CONCEAL_BYTES]) -> Self {
        let [
            state,
            on,
            saved,
            verdict,
            low,
            high,
            sub,
            arguments,
            intermediate,
            _,
            chars @ ..,
        ] = *bytes;
        let state = match state {
            1 => State::Escape,
            2 => State::EscapeMore,
            3 => State::Csi,
            4 => State::CsiOther,
            5 => State::String,
            _ => State::Ground,
        };
        Self {
            state,
            on: on != 0,
            saved: saved != 0,
            verdict: verdict.checked_sub(1).map(|v| v != 0),
            blinks: false,
            mark: None,
            value: u16::from_le_bytes([low, high]),
            sub: sub != 0,
            arguments,
            intermediate,
            chars: u64::from_le_bytes(chars),
            text: String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(text: &str) -> Conceal {
        let mut tap = Conceal::default();
        tap.feed(text);
        tap
    }

    #[test]
    fn sees_concealment_and_its_end() {
        for (text, on, chars) in [
            ("plain", false, 0),
            ("\x1b[8mab c", true, 3),
            ("\x1b[8mé界🎉\x1b[28mx", false, 3),
            ("\x1b[1;8;31mab\x1b[0mcd", false, 2),
            ("\x1b[8mab\x1b[mcd", false, 2),
            ("\x1b[08mab", true, 2),
            ("\u{9b}8mab", true, 2),
            (
                "\x1b[0;0;0;0;0;0;0;0;0;0;0;0;0;0;0;0;0;0;0;0;0;0;0;0;0;0;0;0;8mab",
                true,
                2,
            ),
            ("\x1b[38;5;8mab", false, 0),
            ("\x1b[48;2;8;8;8mab", false, 0),
            ("\x1b[38:5:8mab", false, 0),
            ("\x1b[38;5;1;8mab", true, 2),
            ("\x1b[?8mab", false, 0),
            ("\x1b[8hab", false, 0),
            ("\x1b[8mab\x1bccd", false, 2),
            ("\x1b[8mab\x1b[!pcd", false, 2),
            ("\x1b7\x1b[8mab\x1b8cd", false, 2),
            ("\x1b[8m\x1b]0;title\x07a\x1bPq#0\x1b\\b", true, 2),
            ("\x1b]0;\x1b[8mab", true, 2),
            ("\x1b[8\x18mab", false, 0),
            ("\x1b[8\nmab", true, 2),
            ("\x1b[8\x7fma\x7fb", true, 2),
        ] {
            let tap = after(text);
            assert_eq!((tap.is_on(), tap.chars()), (on, chars), "{text:?}");
        }
    }

    #[test]
    fn an_emulator_blinks_where_text_is_concealed_and_nowhere_else() {
        let (on, off) = ("\x1b[5m", "\x1b[25m");
        for (text, marked) in [
            ("a\x1b[1;31mb\x1b[0mc", "a\x1b[1;31mb\x1b[0mc".to_owned()),
            ("a\x1b[8mb\x1b[0mc", format!("a\x1b[8m{on}b\x1b[0m{off}c")),
            // It stays marked, whatever comes between.
            (
                "\x1b[8ma\x1b[25mb\x1b[28mc",
                format!("\x1b[8m{on}a\x1b[25m{on}b\x1b[28m{off}c"),
            ),
            // What blinks by itself does not any more; a colour of that number is none.
            (
                "\x1b[5ma\x1b[38;5;6mb",
                format!("\x1b[5m{off}a\x1b[38;5;6mb"),
            ),
            (
                "\x1b[8m\x1b7\x1b[m\x1b8a\x1bcb",
                format!("\x1b[8m{on}\x1b7\x1b[m{off}\x1b8{on}a\x1bc{off}b"),
            ),
        ] {
            assert_eq!(Conceal::default().feed_marking(text), marked, "{text:?}");
            assert_eq!(after(text), {
                let mut tap = Conceal::default();
                tap.feed_marking(text);
                tap
            });
        }
    }

    #[test]
    fn text_is_held_up_to_a_bound_and_counted_beyond_it() {
        let mut tap = after(&format!("\x1b[8m{}", "界".repeat(1000)));
        assert_eq!(tap.chars(), 1000);
        let text = tap.take_text();
        assert!(
            text.len() <= TEXT_BYTES_MAX && text.starts_with("界界"),
            "{}",
            text.len()
        );
        assert_eq!(tap.take_text(), "");
    }

    #[test]
    fn any_cut_can_be_stored() {
        let text = "a\x1b[38;5;8;8mé\x1b7\x1b[!p\x1b8b\u{9b}1;28m\x1b]0;x\x07c\x1b(0d";
        let whole = after(text);
        for cut in (0..text.len()).filter(|c| text.is_char_boundary(*c)) {
            let first = after(&text[..cut]);
            let mut second = Conceal::from_bytes(&first.to_bytes());
            second.feed(&text[cut..]);
            assert_eq!(second.to_bytes(), whole.to_bytes(), "cut at {cut}");
        }
    }
}
