//! What was read at once, as keys that somebody pressed.

use crate::limits::MASK_BYTES_MAX;
use crate::line::Line;

/// What a program shows in place of a key whose letter is nobody's business.
const MASKS: [char; 4] = ['*', '•', '●', '·'];

/// Whether with this the keys before it are handed over: Enter, or interrupt, end and stop, which a program that reads raw
/// keys takes as such.
pub(super) fn ends_run(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n' | 0x03 | 0x04 | 0x1a)
}

/// Keys that print something. Others (arrows, control keys, answers of the terminal itself) are no part of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Printable {
    /// How many.
    pub(super) keys: usize,
    /// What they print.
    pub(super) text: Vec<u8>,
    /// It is one key, or one that repeats.
    pub(super) is_one: bool,
}

/// The keys of these bytes that print.
pub(super) fn printable(bytes: &[u8]) -> Printable {
    let mut rest = bytes;
    let mut text = Vec::new();
    let (mut keys, mut first, mut is_one) = (0, &[][..], true);
    while let Some((byte, behind)) = rest.split_first() {
        let length = match byte {
            0x1b => {
                rest = after_escape(behind);
                continue;
            }
            0x00..=0x1f | 0x7f => {
                rest = behind;
                continue;
            }
            _ => {
                1 + behind
                    .iter()
                    .take_while(|byte| **byte & 0xc0 == 0x80)
                    .count()
            }
        };
        let (key, behind) = rest.split_at(length);
        rest = behind;
        text.extend_from_slice(key);
        match keys {
            0 => first = key,
            _ => is_one &= key == first,
        }
        keys += 1;
    }
    Printable { keys, text, is_one }
}

/// What follows an escape sequence whose first byte is gone.
fn after_escape(bytes: &[u8]) -> &[u8] {
    let behind = |at: usize| bytes.get(at..).unwrap_or_default();
    let from = |at: usize, ends: fn(&u8) -> bool| {
        let end = behind(at).iter().position(ends);
        end.map_or(&[][..], |end| behind(at + end + 1))
    };
    match bytes.first() {
        // A mouse's own: three bytes of any value.
        Some(b'[') if bytes.get(1) == Some(&b'M') => behind(5),
        Some(b'[') => from(1, |byte| (0x40..=0x7e).contains(byte)),
        Some(b'O') => behind(2),
        Some(b']' | b'P' | b'_') => match from(1, |byte| matches!(byte, 0x07 | 0x1b)) {
            [b'\\', rest @ ..] => rest,
            rest => rest,
        },
        // With Alt.
        Some(0x20..=0x7e) => behind(1),
        _ => bytes,
    }
}

/// Whether a program showed this in place of what was typed: a star, or a dot.
pub(super) fn masks(shown: &[u8], typed: &[u8]) -> bool {
    if shown.len() > MASK_BYTES_MAX {
        return false;
    }
    let mut line = Line::new();
    line.feed(shown);
    let text = line.text();
    let is_mask = |letter: char| MASKS.contains(&letter);
    !text.is_empty()
        && text.chars().all(is_mask)
        && !printable(typed).text.starts_with(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(bytes: &[u8]) -> (usize, String) {
        let found = printable(bytes);
        (found.keys, String::from_utf8(found.text).unwrap())
    }

    #[test]
    fn what_prints_is_counted_and_nothing_else() {
        assert_eq!(
            keys("hé\u{7f}\u{8}llo\r".as_bytes()),
            (5, "héllo".to_owned())
        );
        assert_eq!(
            keys(b"\x1b[A\x1bOB\x1b[1;5C\x1b[<0;3;4M\x1b[Mabc\x1bx"),
            (0, String::new())
        );
        assert_eq!(keys(b"\x1b[200~past\x1b[201~ed"), (6, "pasted".to_owned()));
        assert_eq!(
            keys(b"\x1b]11;rgb:00/00/00\x07a\x1bP1$r\x1b\\b\x1b]unended"),
            (2, "ab".to_owned())
        );
        assert_eq!(keys(b"\x1b\x1b[B\x1b"), (0, String::new()));
        assert_eq!(printable(b"\xff\x80\x80z").keys, 2);
        for (bytes, one) in [
            (&b"jjjj"[..], true),
            (b"\x1b[Bj", true),
            (b"dw", false),
            (b"", true),
        ] {
            assert_eq!(printable(bytes).is_one, one, "{bytes:?}");
        }
    }

    #[test]
    fn a_star_masks_all_but_a_star() {
        assert!(masks(b"*", b"h"));
        assert!(masks("\x1b[1m•\x1b[0m".as_bytes(), b"h"));
        assert!(!masks(b"*", b"*"));
        assert!(!masks(b"h", b"h"));
        assert!(!masks(b"\x1b[5;1H", b"j"));
        assert!(!masks(&[b'*'; 1000], b"h"));
    }
}
