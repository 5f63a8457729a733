//! Bytes from the viewer's keyboard to keys.

use std::time::Duration;

/// A lone ESC is the Escape key when nothing follows it for this long.
pub(super) const ESCAPE_WAIT: Duration = Duration::from_millis(50);

/// Longest sequence of a key; a longer one is no key and is dropped.
const SEQUENCE_BYTES_MAX: usize = 32;

/// What was pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Char(char),
    /// With the control key; a small letter.
    Ctrl(char),
    Enter,
    Escape,
    Backspace,
    Delete,
    Tab,
    Up,
    Down,
    Left,
    Right,
    Home,
    End,
    PageUp,
    PageDown,
}

/// Reads keys. Sequences may come in any pieces; those that are no key known here, and answers to
/// questions nobody asked, are dropped whole.
#[derive(Debug, Default)]
pub(super) struct Keyboard {
    held: Vec<u8>,
    /// When the last byte came.
    since: Duration,
}

/// What the beginning of the held bytes is.
enum Parsed {
    Key(Key, usize),
    Nothing(usize),
    Unfinished,
}

impl Keyboard {
    /// The keys that these bytes complete.
    pub(super) fn feed(&mut self, bytes: &[u8], now: Duration) -> Vec<Key> {
        self.held.extend_from_slice(bytes);
        self.since = now;
        let mut keys = Vec::new();
        while !self.held.is_empty() {
            let used = match parse(&self.held) {
                Parsed::Key(key, used) => {
                    keys.push(key);
                    used
                }
                Parsed::Nothing(used) => used,
                Parsed::Unfinished if self.held.len() > SEQUENCE_BYTES_MAX => self.held.len(),
                Parsed::Unfinished => break,
            };
            self.held.drain(..used.clamp(1, self.held.len()));
        }
        keys
    }

    /// When [`Self::expire`] has something to do.
    pub(super) fn deadline(&self) -> Option<Duration> {
        (!self.held.is_empty()).then(|| self.since + ESCAPE_WAIT)
    }

    /// The Escape key, if an ESC has been waiting for long enough. An unfinished sequence is
    /// dropped then.
    pub(super) fn expire(&mut self, now: Duration) -> Option<Key> {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return None;
        }
        let lone = self.held == [0x1b];
        self.held.clear();
        lone.then_some(Key::Escape)
    }
}

fn parse(bytes: &[u8]) -> Parsed {
    match bytes {
        [0x1b] => Parsed::Unfinished,
        [0x1b, b'[', rest @ ..] => control_sequence(rest),
        [0x1b, b'O', rest @ ..] => match rest {
            [] => Parsed::Unfinished,
            [last, ..] => named(*last, 3),
        },
        // Strings (answers of the terminal) up to their end.
        [0x1b, b'P' | b']' | b'X' | b'^' | b'_', rest @ ..] => string(rest),
        // Escape and Ctrl-C typed fast must both count; Alt with a letter is no key here.
        [0x1b, 0..=0x1f, ..] => Parsed::Key(Key::Escape, 1),
        [0x1b, ..] => Parsed::Nothing(2),
        [b'\r' | b'\n', ..] => Parsed::Key(Key::Enter, 1),
        [b'\t', ..] => Parsed::Key(Key::Tab, 1),
        [0x7f | 0x08, ..] => Parsed::Key(Key::Backspace, 1),
        [byte @ 1..=26, ..] => Parsed::Key(Key::Ctrl(char::from(b'a' + byte - 1)), 1),
        [0..=31, ..] => Parsed::Nothing(1),
        _ => character(bytes),
    }
}

fn control_sequence(rest: &[u8]) -> Parsed {
    let Some(end) = rest.iter().position(|byte| !matches!(byte, 0x20..=0x3f)) else {
        return Parsed::Unfinished;
    };
    let (parameters, last) = (rest.get(..end).unwrap_or_default(), rest.get(end).copied());
    let used = end + 3;
    match last {
        Some(b'~') => {
            let number = parameters.split(|b| *b == b';').next().unwrap_or_default();
            let key = match number {
                b"1" | b"7" => Key::Home,
                b"4" | b"8" => Key::End,
                b"3" => Key::Delete,
                b"5" => Key::PageUp,
                b"6" => Key::PageDown,
                _ => return Parsed::Nothing(used),
            };
            Parsed::Key(key, used)
        }
        Some(last @ 0x40..=0x7e) => named(last, used),
        // Not a sequence after all: what was read of it is dropped, the new byte is not.
        _ => Parsed::Nothing(end + 2),
    }
}

fn named(last: u8, used: usize) -> Parsed {
    let key = match last {
        b'A' => Key::Up,
        b'B' => Key::Down,
        b'C' => Key::Right,
        b'D' => Key::Left,
        b'H' => Key::Home,
        b'F' => Key::End,
        b'M' => Key::Enter,
        _ => return Parsed::Nothing(used),
    };
    Parsed::Key(key, used)
}

fn string(rest: &[u8]) -> Parsed {
    match rest.iter().position(|byte| matches!(byte, 0x07 | 0x1b)) {
        None => Parsed::Unfinished,
        Some(end) => match rest.get(end..) {
            Some([0x1b]) => Parsed::Unfinished,
            Some([0x1b, b'\\', ..]) => Parsed::Nothing(end + 4),
            Some([0x1b, ..]) => Parsed::Nothing(end + 2),
            _ => Parsed::Nothing(end + 3),
        },
    }
}

fn character(bytes: &[u8]) -> Parsed {
    let piece = bytes.get(..bytes.len().min(4)).unwrap_or_default();
    let valid = match std::str::from_utf8(piece) {
        Ok(text) => text,
        Err(e) if e.valid_up_to() > 0 => {
            std::str::from_utf8(piece.get(..e.valid_up_to()).unwrap_or_default()).unwrap_or("")
        }
        Err(e) => {
            return match e.error_len() {
                Some(len) => Parsed::Nothing(len),
                None => Parsed::Unfinished,
            };
        }
    };
    match valid.chars().next() {
        Some(ch) if ch.is_control() => Parsed::Nothing(ch.len_utf8()),
        Some(ch) => Parsed::Key(Key::Char(ch), ch.len_utf8()),
        None => Parsed::Nothing(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1);

    fn keys(bytes: &[u8]) -> Vec<Key> {
        Keyboard::default().feed(bytes, NOW)
    }

    #[test]
    fn keys_as_terminals_send_them() {
        for (bytes, key) in [
            (&b"q"[..], Key::Char('q')),
            ("é".as_bytes(), Key::Char('é')),
            ("界".as_bytes(), Key::Char('界')),
            ("🎉".as_bytes(), Key::Char('🎉')),
            (b"\r", Key::Enter),
            (b"\x7f", Key::Backspace),
            (b"\x03", Key::Ctrl('c')),
            (b"\x1a", Key::Ctrl('z')),
            (b"\x1b[A", Key::Up),
            (b"\x1bOD", Key::Left),
            (b"\x1b[1;2C", Key::Right),
            (b"\x1b[H", Key::Home),
            (b"\x1b[4~", Key::End),
            (b"\x1b[5~", Key::PageUp),
            (b"\x1b[3;5~", Key::Delete),
        ] {
            assert_eq!(keys(bytes), [key], "{bytes:?}");
            // In single bytes, and with something behind it.
            let mut keyboard = Keyboard::default();
            let mut got = Vec::new();
            for byte in bytes.iter().chain(b"x") {
                got.extend(keyboard.feed(&[*byte], NOW));
            }
            assert_eq!(got, [key, Key::Char('x')], "{bytes:?}");
        }
    }

    #[test]
    fn what_is_no_key_is_dropped_whole() {
        for bytes in [
            &b"\x1b[200~"[..],
            b"\x1b[?62;1c",
            b"\x1b]11;rgb:0000/0000/0000\x07",
            b"\x1b]11;rgb:0000/0000/0000\x1b\\",
            b"\x1bP1$r0m\x1b\\",
            b"\x1ba",
            b"\x00",
            b"\xff",
            "\u{9b}".as_bytes(),
        ] {
            let with_key = [bytes, b"q"].concat();
            assert_eq!(keys(&with_key), [Key::Char('q')], "{bytes:?}");
        }
    }

    #[test]
    fn escape_is_a_key_only_when_nothing_follows() {
        let mut keyboard = Keyboard::default();
        assert_eq!(keyboard.deadline(), None);
        assert_eq!(keyboard.feed(b"\x1b", NOW), []);
        let deadline = keyboard.deadline().unwrap();
        assert_eq!(keyboard.expire(NOW), None);
        assert_eq!(keyboard.expire(deadline), Some(Key::Escape));
        assert_eq!(keyboard.deadline(), None);
        keyboard.feed(b"\x1b", NOW);
        assert_eq!(keyboard.feed(b"[A", NOW), [Key::Up]);
        keyboard.feed(b"\x1b[1", NOW);
        assert_eq!(keyboard.expire(deadline), None);
        assert_eq!(keyboard.feed(b"q", NOW), [Key::Char('q')]);
        assert_eq!(keys(b"\x1b\x1b[A"), [Key::Escape, Key::Up]);
        assert_eq!(keys(b"\x1b\x03"), [Key::Escape, Key::Ctrl('c')]);
    }

    #[test]
    fn endless_sequences_take_no_memory() {
        let mut keyboard = Keyboard::default();
        for _ in 0..1000 {
            keyboard.feed(b"\x1b]", NOW);
            keyboard.feed(&[b'1'; 20], NOW);
        }
        assert!(keyboard.held.len() <= SEQUENCE_BYTES_MAX);
    }
}
