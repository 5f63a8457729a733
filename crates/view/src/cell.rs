//! The cells of a screen, for whoever paints it.

use avt::Color as AvtColor;

use crate::screen::Screen;

/// A colour of text or ground.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    /// One of the terminal's own 256.
    Indexed(u8),
    /// Red, green and blue.
    Rgb(u8, u8, u8),
}

/// How a cell is drawn. Concealed text (SGR 8) is drawn like any other.
#[allow(clippy::struct_excessive_bools)] // they are independent switches
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Style {
    /// Colour of the text; `None` is the terminal's default.
    pub foreground: Option<Color>,
    /// Colour behind the text; `None` is the terminal's default.
    pub background: Option<Color>,
    /// Bold; never together with faint.
    pub bold: bool,
    /// Faint.
    pub faint: bool,
    /// Italic.
    pub italic: bool,
    /// Underlined.
    pub underline: bool,
    /// Struck through.
    pub strikethrough: bool,
    /// Blinking.
    pub blink: bool,
    /// Text and ground exchanged.
    pub inverse: bool,
}

/// One place on a screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// What was printed here, as it was recorded: a painter must not pass on just any character.
    pub ch: char,
    /// 1; or 2 for a wide character, whose second half is the next cell, of width 0.
    pub width: u8,
    /// How it is drawn.
    pub style: Style,
}

impl Default for Cell {
    fn default() -> Self {
        Self {
            ch: ' ',
            width: 1,
            style: Style::default(),
        }
    }
}

impl From<&avt::Cell> for Cell {
    fn from(cell: &avt::Cell) -> Self {
        let pen = cell.pen();
        let color = |c: AvtColor| match c {
            AvtColor::Indexed(n) => Color::Indexed(n),
            AvtColor::RGB(rgb) => Color::Rgb(rgb.r, rgb.g, rgb.b),
        };
        Self {
            ch: cell.char(),
            width: cell.width(),
            style: Style {
                foreground: pen.foreground().map(color),
                background: pen.background().map(color),
                bold: pen.is_bold(),
                faint: pen.is_faint(),
                italic: pen.is_italic(),
                underline: pen.is_underline(),
                strikethrough: pen.is_strikethrough(),
                blink: pen.is_blink(),
                inverse: pen.is_inverse(),
            },
        }
    }
}

impl Screen {
    /// The cells of every row, from the top left.
    pub fn cells(&self) -> impl ExactSizeIterator<Item = impl ExactSizeIterator<Item = Cell>> {
        self.lines().map(|line| line.cells().iter().map(Cell::from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_say_what_stands_where_and_how() {
        let mut screen = Screen::new(6, 2);
        screen.feed("a\x1b[1;31m界\x1b[0;48;2;1;2;3;4mz".as_bytes());
        let rows: Vec<Vec<Cell>> = screen.cells().map(Iterator::collect).collect();
        assert_eq!((rows.len(), rows[0].len()), (2, 6));
        assert_eq!(rows[1], [Cell::default(); 6]);
        let red = Style {
            foreground: Some(Color::Indexed(1)),
            bold: true,
            ..Style::default()
        };
        let ground = Style {
            background: Some(Color::Rgb(1, 2, 3)),
            underline: true,
            ..Style::default()
        };
        let cell = |ch, width, style| Cell { ch, width, style };
        assert_eq!(rows[0][0], cell('a', 1, Style::default()));
        assert_eq!(rows[0][1], cell('界', 2, red));
        assert_eq!((rows[0][2].width, rows[0][2].ch), (0, ' '));
        assert_eq!(rows[0][3], cell('z', 1, ground));
    }
}
