//! Lines that scroll away where the emulator keeps none: on the alternate screen, and in a scroll region that
//! does not begin at the top. An event that brings more than a screen of lines there is looked at in steps, each
//! of which scrolls half a screen at most, so that no line comes and goes unseen.
//!
//! How far something scrolls is reckoned from the bytes, without the emulator: too far, where it is not known, so
//! that there are more steps than needed. What only draws, in however many bytes, is no reason for a step.

use hansard_core::Body;

use crate::margins::Margins;
use crate::screen::Screen;

mod tokens;

use tokens::{Token, Tokens};

/// What is shown in steps, in these; `None` for what may be shown at once.
pub(crate) fn in_steps(screen: &Screen, margins: &Margins, body: &Body) -> Option<Vec<Body>> {
    let Body::Data { stream, bytes } = body else {
        return None;
    };
    // Nearly everything is on the screen whose lines are kept.
    if !stream.is_shown() || !(screen.is_alternate() || margins.drop_lines() || drops_lines(bytes))
    {
        return None;
    }
    let at = screen.terminal().cursor().col;
    let (cols, rows) = screen.size();
    let size = (usize::from(cols).max(1), usize::from(rows).max(1));
    let step = |bytes: &[u8]| Body::Data {
        stream: *stream,
        bytes: bytes.to_vec(),
    };
    let mut from = 0;
    let mut steps = Vec::new();
    for to in cuts(bytes, at, size, *margins)?
        .into_iter()
        .chain([bytes.len()])
    {
        steps.extend(bytes.get(from..to).map(step));
        from = to;
    }
    Some(steps)
}

/// Whether something in there is the beginning of lines not being kept.
fn drops_lines(bytes: &[u8]) -> bool {
    let mut at = 0;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        // C1 controls are two bytes, of which this is the first.
        let Some(next) = rest.iter().position(|byte| matches!(byte, 0x1b | 0xc2)) else {
            return false;
        };
        let mut tokens = Tokens::new(bytes, at + next);
        if matches!(
            tokens.next(),
            Some((_, Token::Alternate | Token::Region(2.., _)))
        ) {
            return true;
        }
        at = tokens.at().max(at + next + 1);
    }
}

/// Where bytes are cut so that each piece scrolls half of what scrolls at most. `None` where nothing that they bring
/// can scroll out of it.
fn cuts(bytes: &[u8], at: usize, size: (usize, usize), margins: Margins) -> Option<Vec<usize>> {
    let (cols, rows) = size;
    let (mut margins, mut height) = (margins, margins.height(rows));
    let (mut cuts, mut from, mut is_much) = (Vec::new(), 0, false);
    // Whether something was written since the last cut.
    let mut is_drawn = false;
    let (mut col, mut lines, mut all) = (at, 0, 0_usize);
    // Behind the last line feed since the last cut, and how many lines there were up to it.
    let mut feed: Option<(usize, usize)> = None;
    let mut tokens = Tokens::new(bytes, 0);
    while let Some((begin, token)) = tokens.next() {
        let scrolls = token.scrolls(&mut col, cols);
        if let Token::Region(top, bottom) = token {
            margins.set(top, bottom, rows);
            height = margins.height(rows);
        }
        if scrolls == 0 {
            is_drawn |= matches!(token, Token::Print(_) | Token::Repeat(_));
            continue;
        }
        all = all.saturating_add(scrolls);
        is_much |= all >= height;
        // What is written is far from where lines scroll off, unless they are moved by themselves.
        let half = match token {
            Token::Scroll(_) if is_drawn => 0,
            Token::Scroll(_) => usize::MAX,
            _ => (height / 2).max(1),
        };
        while begin > from && scrolls.saturating_add(lines) > half {
            // Where a line ends, if one does, so that few are seen in pieces.
            let (cut, before) = feed.take().unwrap_or((begin, lines));
            lines -= before;
            cuts.push(cut);
            from = cut;
            is_drawn &= cut < begin;
        }
        is_drawn |= matches!(token, Token::Print(_) | Token::Repeat(_));
        lines = lines.saturating_add(scrolls);
        if matches!(token, Token::Feed | Token::NextLine) {
            feed = Some((tokens.at(), lines));
        }
    }
    is_much.then_some(cuts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(bytes: &[u8], cols: usize, rows: usize) -> Vec<String> {
        let cuts = cuts(bytes, 0, (cols, rows), Margins::default()).unwrap_or_default();
        let mut from = 0;
        let ends = cuts.into_iter().chain([bytes.len()]);
        ends.map(|to| {
            let piece = String::from_utf8(bytes[from..to].to_vec()).unwrap();
            from = to;
            piece
        })
        .collect()
    }

    #[test]
    fn steps_are_all_of_it() {
        for (text, rows, wanted) in [
            ("a\nb\nc\nd", 3, vec!["a\n", "b\n", "c\nd"]),
            ("a\nb\nc\nd\n", 4, vec!["a\nb\n", "c\nd\n"]),
            ("a\nb\n", 2, vec!["a\n", "b\n"]),
            ("a\nb\nc\nd", 4, vec!["a\nb\nc\nd"]),
            ("", 3, vec![""]),
            // Rows of ten columns, by what wraps; a character and a sequence are whole.
            (
                "01234567890123456789x",
                2,
                vec!["01234567890123456789", "x"],
            ),
            (
                "01234567界0123456界界x",
                2,
                vec!["01234567界0123456界", "界x"],
            ),
            (
                "0123456789\x1b[31m0123456789\x1b[mx",
                2,
                vec!["0123456789\x1b[31m0123456789\x1b[m", "x"],
            ),
            // Nothing of this scrolls.
            (
                "0123456789\r0123456789\x1b[H0123456789\x1b]0;a title that is long\x07",
                1,
                vec!["0123456789\r0123456789\x1b[H0123456789\x1b]0;a title that is long\x07"],
            ),
            (
                "a\x0bb\x0cc\x1bDd\x1bEe\u{84}f\u{85}g",
                4,
                vec!["a\x0bb\x0c", "c\x1bDd\x1bE", "e\u{84}f\u{85}g"],
            ),
            (
                "a\x1b[9S\x1b[Mb\x1b[99bc",
                4,
                vec!["a", "\x1b[9S\x1b[Mb", "\x1b[99bc"],
            ),
            // Three rows of nine.
            (
                "\x1b[3;5ra\nb\nc\nd\x1b[3;2r\ne",
                9,
                vec!["\x1b[3;5ra\n", "b\n", "c\n", "d\x1b[3;2r\ne"],
            ),
        ] {
            assert_eq!(pieces(text.as_bytes(), 10, rows), wanted, "{text:?}");
        }
    }

    #[test]
    fn what_begins_to_drop_lines_is_seen() {
        for drops in [
            "\x1b[?1049h",
            "\x1b[?25;1047h",
            "\u{9b}?01049h",
            "\x1b[2;5r",
            "\x1b[3r",
        ] {
            assert!(
                drops_lines(format!("é\x1b[1mtext{drops}").as_bytes()),
                "{drops:?}"
            );
        }
        for not in [
            "\x1b[?1049l",
            "\x1b[?25h",
            "\x1b[r",
            "\x1b[1;5r",
            "\x1b[?1049",
            "\x1b]0;[?1049h\x07",
        ] {
            assert!(
                !drops_lines(format!("é\x1b[1mtext{not}").as_bytes()),
                "{not:?}"
            );
        }
    }
}
