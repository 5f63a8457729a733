//! A screen as a picture: one SVG file that needs nothing else.

use std::fmt::Write as _;

use avt::{Cell, Color, Line, Pen};

use crate::escape::is_deceptive;
use crate::screen::Screen;

/// Width and height of a cell, and where in it the baseline is, in units of the picture.
const CELL: (usize, usize) = (9, 18);
const BASELINE: usize = 14;
const MARGIN: usize = 9;

const FOREGROUND: Rgb = Rgb(0xd8, 0xd8, 0xd8);
const BACKGROUND: Rgb = Rgb(0x12, 0x13, 0x14);

/// The first sixteen colours.
const PALETTE: [Rgb; 16] = [
    Rgb(0x1c, 0x1c, 0x1c),
    Rgb(0xcd, 0x31, 0x31),
    Rgb(0x2f, 0xa8, 0x4f),
    Rgb(0xc7, 0xa0, 0x1e),
    Rgb(0x35, 0x7a, 0xd6),
    Rgb(0xb0, 0x4f, 0xb8),
    Rgb(0x22, 0x9f, 0xb5),
    Rgb(0xd0, 0xd0, 0xd0),
    Rgb(0x75, 0x75, 0x75),
    Rgb(0xf1, 0x5b, 0x5b),
    Rgb(0x4f, 0xd0, 0x72),
    Rgb(0xf0, 0xd0, 0x4d),
    Rgb(0x67, 0xa4, 0xf5),
    Rgb(0xdb, 0x80, 0xe2),
    Rgb(0x4c, 0xcb, 0xe0),
    Rgb(0xff, 0xff, 0xff),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rgb(u8, u8, u8);

impl std::fmt::Display for Rgb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }
}

/// Cells of a row that look alike.
struct Run {
    col: usize,
    cols: usize,
    text: String,
    look: Look,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Look {
    foreground: Rgb,
    background: Rgb,
    bold: bool,
    faint: bool,
    italic: bool,
    underline: bool,
    strike: bool,
}

impl Screen {
    /// The screen as SVG: colours, attributes, wide characters, the cursor. Text is escaped,
    /// characters that would reorder or hide others are shown as U+FFFD, and there is no script,
    /// no link and no reference to anything outside.
    #[must_use]
    pub fn svg(&self) -> String {
        let (cols, rows) = self.size();
        let width = usize::from(cols) * CELL.0 + 2 * MARGIN;
        let height = usize::from(rows) * CELL.1 + 2 * MARGIN;
        let mut svg = String::new();
        let _ = write!(
            svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\">\n\
             <rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"{BACKGROUND}\"/>\n\
             <g transform=\"translate({MARGIN} {MARGIN})\" xml:space=\"preserve\" \
             style=\"white-space:pre;unicode-bidi:bidi-override;direction:ltr\" \
             font-family=\"DejaVu Sans Mono,Menlo,Consolas,monospace\" font-size=\"15\" \
             fill=\"{FOREGROUND}\">\n"
        );
        for (row, line) in self.lines().enumerate() {
            put_row(&mut svg, row, line);
        }
        if let Some((col, row)) = self.cursor() {
            let col = col.min(usize::from(cols).saturating_sub(1));
            let _ = writeln!(
                svg,
                "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{FOREGROUND}\" \
                 fill-opacity=\"0.5\"/>",
                col * CELL.0,
                row * CELL.1,
                CELL.0,
                CELL.1
            );
        }
        svg.push_str("</g>\n</svg>\n");
        svg
    }
}

fn put_row(svg: &mut String, row: usize, line: &Line) {
    let runs = runs(line);
    for run in runs.iter().filter(|run| run.look.background != BACKGROUND) {
        let _ = writeln!(
            svg,
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{}\"/>",
            run.col * CELL.0,
            row * CELL.1,
            run.cols * CELL.0,
            CELL.1,
            run.look.background
        );
    }
    let shown =
        |run: &&Run| run.look.underline || run.look.strike || run.text.bytes().any(|b| b != b' ');
    if !runs.iter().any(|run| shown(&run)) {
        return;
    }
    let _ = write!(svg, "<text y=\"{}\">", row * CELL.1 + BASELINE);
    for run in runs.iter().filter(shown) {
        let _ = write!(
            svg,
            "<tspan x=\"{}\" textLength=\"{}\"",
            run.col * CELL.0,
            run.cols * CELL.0
        );
        put_look(svg, run.look);
        svg.push('>');
        run.text.chars().for_each(|c| put_char(svg, c));
        svg.push_str("</tspan>");
    }
    svg.push_str("</text>\n");
}

fn put_look(svg: &mut String, look: Look) {
    if look.foreground != FOREGROUND {
        let _ = write!(svg, " fill=\"{}\"", look.foreground);
    }
    if look.bold {
        svg.push_str(" font-weight=\"bold\"");
    }
    if look.faint {
        svg.push_str(" fill-opacity=\"0.6\"");
    }
    if look.italic {
        svg.push_str(" font-style=\"italic\"");
    }
    match (look.underline, look.strike) {
        (true, true) => svg.push_str(" text-decoration=\"underline line-through\""),
        (true, false) => svg.push_str(" text-decoration=\"underline\""),
        (false, true) => svg.push_str(" text-decoration=\"line-through\""),
        (false, false) => {}
    }
}

fn put_char(svg: &mut String, c: char) {
    match c {
        '&' => svg.push_str("&amp;"),
        '<' => svg.push_str("&lt;"),
        '>' => svg.push_str("&gt;"),
        // XML has no place for controls and for U+FFFE and U+FFFF.
        '\u{fffe}' | '\u{ffff}' => svg.push('\u{fffd}'),
        c if c.is_control() || is_deceptive(c) => svg.push('\u{fffd}'),
        c => svg.push(c),
    }
}

fn runs(line: &Line) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (col, cell) in line.cells().iter().enumerate() {
        let look = look(cell.pen());
        if cell.width() == 0 {
            continue;
        }
        match runs.last_mut() {
            Some(run) if joins(run, cell, look) => {
                run.text.push(cell.char());
                run.cols += usize::from(cell.width());
            }
            _ => runs.push(Run {
                col,
                cols: usize::from(cell.width()),
                text: cell.char().to_string(),
                look,
            }),
        }
    }
    runs
}

/// Only characters whose width in a font is certain share a run: a wide or unusual one would push
/// its neighbours out of their columns.
fn joins(run: &Run, cell: &Cell, look: Look) -> bool {
    run.look == look && cell.char().is_ascii() && run.text.is_ascii()
}

fn look(pen: &Pen) -> Look {
    let bright = |color| match color {
        Color::Indexed(n) if n < 8 && pen.is_bold() => Color::Indexed(n + 8),
        other => other,
    };
    let mut foreground = pen
        .foreground()
        .map_or(FOREGROUND, |color| rgb(bright(color)));
    let mut background = pen.background().map_or(BACKGROUND, rgb);
    if pen.is_inverse() {
        std::mem::swap(&mut foreground, &mut background);
    }
    Look {
        foreground,
        background,
        bold: pen.is_bold(),
        faint: pen.is_faint(),
        italic: pen.is_italic(),
        underline: pen.is_underline(),
        strike: pen.is_strikethrough(),
    }
}

fn rgb(color: Color) -> Rgb {
    match color {
        Color::RGB(c) => Rgb(c.r, c.g, c.b),
        Color::Indexed(n) => match n {
            0..=15 => PALETTE.get(usize::from(n)).copied().unwrap_or(FOREGROUND),
            16..=231 => {
                let level = |n: u8| if n == 0 { 0 } else { 55 + 40 * n };
                let n = n - 16;
                Rgb(level(n / 36), level(n / 6 % 6), level(n % 6))
            }
            232.. => {
                let grey = 8 + 10 * (n - 232);
                Rgb(grey, grey, grey)
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn svg(text: &str) -> String {
        let mut screen = Screen::new(20, 4);
        screen.feed(text.as_bytes());
        screen.svg()
    }

    #[test]
    fn looks_become_attributes() {
        let svg =
            svg("\x1b[1;4;31mred\x1b[0m \x1b[7minv\x1b[0m \x1b[38;2;1;2;3;9mx\r\n\x1b[48;5;196mbg");
        assert!(
            svg.contains(
                "fill=\"#f15b5b\" font-weight=\"bold\" text-decoration=\"underline\">red<"
            ),
            "{svg}"
        );
        assert!(svg.contains("fill=\"#121314\">inv<"), "{svg}");
        assert!(
            svg.contains("fill=\"#010203\" text-decoration=\"line-through\">x<"),
            "{svg}"
        );
        assert!(
            svg.contains("width=\"18\" height=\"18\" fill=\"#ff0000\"/>"),
            "{svg}"
        );
    }

    #[test]
    fn wide_characters_keep_columns() {
        let svg = svg("a界b");
        assert!(
            svg.contains("<tspan x=\"9\" textLength=\"18\">界</tspan>"),
            "{svg}"
        );
        assert!(svg.contains("<tspan x=\"27\""), "{svg}");
    }

    #[test]
    fn the_cursor_is_drawn_while_it_shows() {
        assert!(
            svg("ab").contains("<rect x=\"18\" y=\"0\" width=\"9\" height=\"18\" fill=\"#d8d8d8\"")
        );
        assert!(!svg("ab\x1b[?25l").contains("fill-opacity=\"0.5\""));
    }

    #[test]
    fn nothing_of_the_text_is_markup() {
        let svg = svg("</text><script>&\"'\u{202e}\u{ffff}\x7f");
        assert!(
            !svg.contains("<script") && svg.contains("&lt;script&gt;&amp;"),
            "{svg}"
        );
        assert!(
            svg.chars()
                .all(|c| c == '\n' || !c.is_control() && !is_deceptive(c)),
            "{svg}"
        );
    }

    #[test]
    fn every_colour_has_a_value() {
        for n in 0..=255 {
            let text = rgb(Color::Indexed(n)).to_string();
            assert_eq!(text.len(), 7, "{n}: {text}");
        }
        assert_eq!(rgb(Color::Indexed(231)), Rgb(255, 255, 255));
        assert_eq!(rgb(Color::Indexed(255)), Rgb(238, 238, 238));
    }
}
