//! Text from recordings inside listings, logs and messages.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The text with everything that could change what stands around it made visible: control
/// characters (so also line feeds, ESC and C1), line and paragraph separators, marks that reorder
/// text (bidirectional controls), characters that take no room, and tags. `\n`, `\r` and `\t` by
/// those names, everything else as `\u{…}`; a backslash is doubled, so that nothing can be made to
/// look escaped.
#[must_use]
pub fn escape_for_humans(text: &str) -> Cow<'_, str> {
    escape(text, true)
}

/// The same for what stood on a screen, shown by itself, row by row: a backslash is left as it is, because nearly
/// every one of them is a path or a pattern that somebody wants to read, or to copy.
#[must_use]
pub fn escape_shown(text: &str) -> Cow<'_, str> {
    escape(text, false)
}

fn escape(text: &str, with_backslash: bool) -> Cow<'_, str> {
    if !text.contains(|c| (with_backslash && c == '\\') || must_escape(c)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\\' if with_backslash => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if must_escape(c) => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// Whether a character reorders, hides or breaks what stands around it.
pub(crate) fn must_escape(c: char) -> bool {
    c.is_control() || is_deceptive(c)
}

/// Characters that are no controls but do not show as themselves.
pub(crate) fn is_deceptive(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff9}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_text_is_left_alone() {
        for text in ["", "root@host: ~ $", "日本語 é 🎉", "a=b;c|d"] {
            assert!(matches!(escape_for_humans(text), Cow::Borrowed(t) if t == text));
        }
    }

    #[test]
    fn nothing_gets_out_of_its_place() {
        for (text, shown) in [
            ("\x1b]0;x\x07", "\\u{1b}]0;x\\u{7}"),
            ("a\r\nforged line", "a\\r\\nforged line"),
            ("\u{9b}2J", "\\u{9b}2J"),
            ("user\u{202e}txt.exe", "user\\u{202e}txt.exe"),
            (
                "a\u{200b}b\u{feff}\u{e0041}",
                "a\\u{200b}b\\u{feff}\\u{e0041}",
            ),
            ("C:\\n", "C:\\\\n"),
            (
                "\u{2028}\u{2029}\u{7f}\0",
                "\\u{2028}\\u{2029}\\u{7f}\\u{0}",
            ),
        ] {
            assert_eq!(escape_for_humans(text), shown);
        }
    }

    #[test]
    fn what_stood_on_a_screen_keeps_its_backslashes() {
        for (text, shown) in [
            ("C:\\n", "C:\\n"),
            ("grep 'a\\.b'\u{202e}\x1b", "grep 'a\\.b'\\u{202e}\\u{1b}"),
        ] {
            assert_eq!(escape_shown(text), shown);
        }
    }

    #[test]
    fn every_character_below_256_comes_out_printable() {
        for n in 0..256u32 {
            let c = char::from_u32(n).unwrap();
            let shown = escape_for_humans(&c.to_string()).into_owned();
            assert!(shown.chars().all(|c| !c.is_control()), "{n:x} as {shown:?}");
        }
    }
}
