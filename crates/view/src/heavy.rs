//! Control sequences of a few bytes that are much work for an emulator: how much is counted, and repetitions
//! (REP, ECMA-48 8.3.103) that change nothing more on the screen are taken out. `ESC [ 65535 b` prints 65,535
//! characters for eight bytes, and whoever is recorded chooses what is fed.
//!
//! Sequences that are cut by the end of a piece are passed over: one in each event at most.

use std::borrow::Cow;

/// A cell that is cleared or moved is about so much less work than one that is printed.
const CLEARED: u64 = 16;

/// The text as it is to be fed, and the characters that it prints without naming them, about.
pub(crate) fn lightened(text: &str, (cols, rows): (usize, usize)) -> (Cow<'_, str>, u64) {
    let cells = (cols as u64).saturating_mul(rows as u64);
    let (mut light, mut done, mut work) = (String::new(), 0, 0u64);
    let mut from = 0;
    while let Some(at) = next_escape(text, from) {
        let (sequence, end) = sequence(text, at);
        from = end;
        match sequence {
            Sequence::Repeat { said, digits } => {
                let needed = needed(said, cols, rows);
                work = work.saturating_add(needed);
                if needed < said {
                    light.push_str(text.get(done..digits.start).unwrap_or(""));
                    light.push_str(&needed.to_string());
                    done = digits.end;
                }
            }
            Sequence::Clear => work = work.saturating_add(cells / CLEARED),
            Sequence::Other => {}
        }
    }
    if done == 0 {
        return (Cow::Borrowed(text), work);
    }
    light.push_str(text.get(done..).unwrap_or(""));
    (Cow::Owned(light), work)
}

enum Sequence {
    /// REP: how often, and where the first number stands.
    Repeat {
        said: u64,
        digits: std::ops::Range<usize>,
    },
    /// The whole screen is cleared, filled or moved.
    Clear,
    Other,
}

/// Where the next ESC or CSI of one character stands.
fn next_escape(text: &str, from: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut from = from;
    loop {
        let rest = bytes.get(from..)?;
        let at = from + rest.iter().position(|b| matches!(b, 0x1b | 0xc2))?;
        if bytes.get(at) == Some(&0x1b) || bytes.get(at + 1) == Some(&0x9b) {
            return Some(at);
        }
        from = at + 1;
    }
}

/// What begins there, and where to look on: never behind what may begin another sequence.
fn sequence(text: &str, at: usize) -> (Sequence, usize) {
    let bytes = text.as_bytes();
    let byte = |at: usize| bytes.get(at).copied().unwrap_or(0);
    let begin = at + 2;
    match (byte(at), byte(at + 1)) {
        (0x1b, b'[') | (0xc2, _) => {}
        (0x1b, b'c') => return (Sequence::Clear, begin),
        (0x1b, b'#') if byte(begin) == b'8' => return (Sequence::Clear, begin),
        _ => return (Sequence::Other, at + 1),
    }
    let count = |is: fn(&u8) -> bool, from: usize| {
        let rest = bytes.get(from..).unwrap_or(&[]);
        from + rest.iter().take_while(|b| is(b)).count()
    };
    let digits = begin..count(u8::is_ascii_digit, begin);
    let end = count(|b| matches!(b, b'0'..=b'?'), begin);
    let is_plain = matches!(byte(digits.end), b';' | b':') || digits.end == end;
    let sequence = match byte(end) {
        b'b' if is_plain => Sequence::Repeat {
            said: said(text.get(digits.clone()).unwrap_or("")),
            digits,
        },
        b'J' | b'L' | b'M' | b'S' | b'T' | b'h' | b'l' => Sequence::Clear,
        _ => Sequence::Other,
    };
    (sequence, end)
}

/// A number as the emulator takes it: none is 0, and none is above 65,535.
fn said(digits: &str) -> u64 {
    let digits = digits.trim_start_matches('0');
    match digits.len() {
        0 => 0,
        1..=5 => digits.parse().unwrap_or(0).min(u64::from(u16::MAX)),
        _ => u64::from(u16::MAX),
    }
}

/// So many repetitions leave the same screen and the same cursor: behind a whole screen of one character, each
/// further line of it changes nothing. A line holds as many as it has columns, or half as many that are wide.
fn needed(said: u64, cols: usize, rows: usize) -> u64 {
    let (cols, rows) = (cols as u64, rows as u64);
    let filled = cols.saturating_mul(rows.saturating_add(2));
    let line = match cols % 2 {
        0 => cols,
        _ => cols.saturating_mul((cols / 2).max(1)),
    };
    match said.checked_sub(filled) {
        Some(more) => filled + more % line.max(1),
        None => said,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use avt::Terminal;

    fn light(text: &str) -> (String, u64) {
        let (light, work) = lightened(text, (80, 24));
        (light.into_owned(), work)
    }

    #[test]
    fn repetitions_beyond_a_screen_are_taken_out_and_all_are_counted() {
        for (text, wanted, work) in [
            ("plain", "plain", 0),
            ("x\x1b[b", "x\x1b[b", 0),
            ("x\x1b[79by", "x\x1b[79by", 79),
            ("x\x1b[2080b", "x\x1b[2080b", 2080),
            ("x\x1b[2160b", "x\x1b[2080b", 2080),
            ("x\x1b[65535b", "x\x1b[2095b", 2095),
            ("x\x1b[0065535b", "x\x1b[2095b", 2095),
            ("x\x1b[99999999999b", "x\x1b[2095b", 2095),
            ("x\u{9b}65535b", "x\u{9b}2095b", 2095),
            ("x\x1b[65535;7b", "x\x1b[2095;7b", 2095),
            ("é\x1b[\x1b[65535b界", "é\x1b[\x1b[2095b界", 2095),
            ("x\x1b[65535b\x1b[65535bz", "x\x1b[2095b\x1b[2095bz", 4190),
            ("x\x1b[?65535b", "x\x1b[?65535b", 0),
            ("x\x1b[65535", "x\x1b[65535", 0),
            ("\u{80}\u{9b}", "\u{80}\u{9b}", 0),
            ("\x1b[H\x1b[2J", "\x1b[H\x1b[2J", 120),
            ("\x1b#8\x1bc", "\x1b#8\x1bc", 240),
        ] {
            assert_eq!(light(text), (wanted.to_owned(), work), "{text:?}");
        }
    }

    /// Against the emulator: the screen, the cursor and all modes are the same.
    #[test]
    fn the_screen_is_the_same_without_them() {
        let states = [
            "",
            "\x1b[?7l",
            "\x1b[4h",
            "\x1b[2;3r",
            "\x1b[2;3r\x1b[?6h",
            "\x1b[2;3r\x1b[5;2H",
            "\x1b[?1049h",
            "\x1b[3;2H\x1b[31m",
            "some text\r\nand more of it\r\n\r\n and that",
        ];
        let mut shortened = 0;
        for cols in [1usize, 2, 3, 5, 8, 9] {
            for rows in [1usize, 2, 5] {
                for state in states {
                    for (what, n) in [
                        ("x", 200),
                        ("x", 201),
                        ("界", 333),
                        ("界", 500),
                        ("é", 65_535),
                        ("x", 7),
                    ] {
                        let text = format!("{state}{what}\x1b[{n}b-");
                        let (light, _) = lightened(&text, (cols, rows));
                        shortened += usize::from(light != text);
                        let dump = |text: &str| {
                            let mut terminal = Terminal::new(cols, rows).unwrap();
                            terminal.feed(text);
                            terminal.dump()
                        };
                        assert_eq!(dump(&light), dump(&text), "{cols} x {rows}: {text:?}");
                    }
                }
            }
        }
        assert!(shortened > 500, "{shortened}");
    }
}
