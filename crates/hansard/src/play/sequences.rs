//! Everything the player can write to the viewer's terminal, and nothing else writes there:
//!
//! | sequence | what it does |
//! |---|---|
//! | `ESC [ ? 1049 h`, `l` | alternate screen |
//! | `ESC [ ? 25 h`, `l` | cursor shown, hidden |
//! | `ESC ( B`, SI | character set US-ASCII |
//! | `ESC [ r` | scroll region: all |
//! | `ESC [ 2 J`, `ESC [ K` | erase the screen, the rest of a line |
//! | `ESC [ row ; col H` | cursor |
//! | `ESC [ … m` | SGR 0 to 5, 7, 9, 30 to 37, 38 ; 2 and 5, 40 to 47, 48 ; 2 and 5, 90 to 97, 100 to 107 |
//! | a [`harmless`] character | text |
//!
//! Recorded bytes are never passed on. They reach an emulator, and what stands on its screen is
//! painted with these, so no recorded sequence can get here, known to us or not.

use std::borrow::Cow;
use std::io::Write as _;

use hansard_view::{Color, Style, escape_for_humans};

/// Takes the viewer's screen over.
pub(super) const ENTER: &[u8] = b"\x1b[?1049h\x1b(B\x0f\x1b[r\x1b[0m\x1b[2J\x1b[?25l";

/// Gives it back.
pub(super) const LEAVE: &[u8] = b"\x1b[0m\x1b(B\x0f\x1b[r\x1b[?25h\x1b[?1049l";

/// Blanks the screen. The cursor stays.
pub(super) fn erase_screen(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\x1b[2J");
}

/// Blanks the line from the cursor on.
pub(super) fn erase_line(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\x1b[K");
}

/// Moves the cursor; both count from 0.
pub(super) fn cursor_to(out: &mut Vec<u8>, col: usize, row: usize) {
    // Writing to memory does not fail, here and below.
    let _ = write!(
        out,
        "\x1b[{};{}H",
        row.saturating_add(1),
        col.saturating_add(1)
    );
}

/// Shows or hides the cursor.
pub(super) fn cursor_shown(out: &mut Vec<u8>, shown: bool) {
    out.extend_from_slice(if shown { b"\x1b[?25h" } else { b"\x1b[?25l" });
}

/// Text is drawn like this from now on.
pub(super) fn style(out: &mut Vec<u8>, style: &Style) {
    out.extend_from_slice(b"\x1b[0");
    for (on, code) in [
        (style.bold, 1),
        (style.faint, 2),
        (style.italic, 3),
        (style.underline, 4),
        (style.blink, 5),
        (style.inverse, 7),
        (style.strikethrough, 9),
    ] {
        if on {
            let _ = write!(out, ";{code}");
        }
    }
    if let Some(color) = style.foreground {
        colour(out, color, 30);
    }
    if let Some(color) = style.background {
        colour(out, color, 40);
    }
    out.push(b'm');
}

fn colour(out: &mut Vec<u8>, color: Color, base: u16) {
    let _ = match color {
        // The sixteen that every terminal has are named the way every terminal knows.
        Color::Indexed(n @ 0..8) => write!(out, ";{}", base + u16::from(n)),
        Color::Indexed(n @ 8..16) => write!(out, ";{}", base + 52 + u16::from(n)),
        Color::Indexed(n) => write!(out, ";{};5;{n}", base + 8),
        Color::Rgb(r, g, b) => write!(out, ";{};2;{r};{g};{b}", base + 8),
    };
}

/// Shown in place of what must not be shown.
const REPLACEMENT: char = '\u{fffd}';

/// The character as it may be sent to a terminal: one that takes the room of a letter, reorders
/// nothing and joins with nothing. An accent of its own becomes its spacing form, a joiner a
/// blank, everything else that is not itself U+FFFD.
pub(super) fn harmless(ch: char) -> char {
    if matches!(ch, ' '..='~') {
        return ch;
    }
    match ch {
        '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => return ' ',
        '\u{fe00}'..='\u{fe0f}' | '\u{200d}' => return ' ',
        '\u{300}' => return '`',
        '\u{301}' => return '´',
        '\u{302}' => return '^',
        '\u{303}' => return '~',
        '\u{304}' => return '¯',
        '\u{308}' => return '¨',
        '\u{30a}' => return '°',
        '\u{327}' => return '¸',
        '\u{1160}'..='\u{11ff}' | '\u{d7b0}'..='\u{d7ff}' => return REPLACEMENT,
        '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10fffd}' => return ch, // fonts with pictures
        _ => {}
    }
    let mut text = [0; 4];
    let deceives = matches!(escape_for_humans(ch.encode_utf8(&mut text)), Cow::Owned(_));
    // The standard library escapes what is not printable, not assigned, or extends what is before.
    let escaped = ch.escape_debug().count() > 1;
    if deceives || escaped { REPLACEMENT } else { ch }
}

/// Whether every terminal gives the character the room of one letter. After any other the cursor
/// is placed anew, so that a terminal of another opinion spoils no more than the one place.
pub(super) fn is_steady(ch: char) -> bool {
    matches!(ch, ' '..='~' | '\u{a1}'..='\u{24f}' | '\u{370}'..='\u{482}' | '\u{2500}'..='\u{259f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_gets_through_that_is_not_text() {
        for n in 0..=0x0010_ffff_u32 {
            let Some(ch) = char::from_u32(n) else {
                continue;
            };
            let sent = harmless(ch);
            assert!(!sent.is_control(), "{n:x}");
            assert!(
                !matches!(sent, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}'),
                "{n:x}"
            );
        }
        for (ch, sent) in [
            ('a', 'a'),
            ('\\', '\\'),
            ('\'', '\''),
            ('é', 'é'),
            ('界', '界'),
            ('🎉', '🎉'),
            ('│', '│'),
            ('\u{e0b0}', '\u{e0b0}'),
            ('א', 'א'),
            ('\u{301}', '´'),
            ('\u{5b0}', '\u{fffd}'),
            ('\u{9b}', '\u{fffd}'),
            ('\u{7f}', '\u{fffd}'),
            ('\u{202e}', '\u{fffd}'),
            ('\u{fe0f}', ' '),
        ] {
            assert_eq!(harmless(ch), sent, "{ch:?}");
        }
    }

    #[test]
    fn colours_and_attributes() {
        let bytes = |s: Style| {
            let mut out = Vec::new();
            style(&mut out, &s);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(bytes(Style::default()), "\x1b[0m");
        let all = Style {
            foreground: Some(Color::Indexed(1)),
            background: Some(Color::Indexed(15)),
            bold: true,
            inverse: true,
            ..Style::default()
        };
        assert_eq!(bytes(all), "\x1b[0;1;7;31;107m");
        let rich = Style {
            foreground: Some(Color::Indexed(200)),
            background: Some(Color::Rgb(1, 2, 3)),
            ..Style::default()
        };
        assert_eq!(bytes(rich), "\x1b[0;38;5;200;48;2;1;2;3m");
    }
}
