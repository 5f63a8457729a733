//! What changed on a screen, for whoever paints it elsewhere: rows as runs of text drawn alike. No
//! control sequence of a recording gets into it, so that nothing a program wrote asks the painter for
//! anything.

use crate::cell::{Cell, Style};
use crate::escape::is_deceptive;
use crate::screen::Screen;

/// Cells of a row that are drawn alike, one after another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The column of the first, from 0.
    pub column: u16,
    /// How many columns they take.
    pub columns: u16,
    /// What stands there: no control characters and none that change a text's direction (they are
    /// U+FFFD), so that what stands left is painted left.
    pub text: String,
    /// How it is drawn.
    pub style: Style,
}

/// What is to be painted anew. Rows that are not named stay as they are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Change {
    /// Columns and rows from now on, if that changed; all rows are named then.
    pub size: Option<(u16, u16)>,
    /// Column and row of the cursor, from 0; `None` where it is hidden.
    pub cursor: Option<(u16, u16)>,
    /// Rows, from 0, with what stands in them; blanks at the end are left out.
    pub rows: Vec<(u16, Vec<Run>)>,
}

/// Remembers what was painted last.
#[derive(Debug, Default)]
pub struct Picture {
    size: (u16, u16),
    cursor: Option<(u16, u16)>,
    rows: Vec<Vec<Cell>>,
}

impl Picture {
    /// What changed since the last call; the first one names everything. `None`: nothing did.
    pub fn change(&mut self, screen: &Screen) -> Option<Change> {
        let size = screen.size();
        let is_new = size != self.size;
        if is_new {
            self.rows.clear();
        }
        let narrow = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
        let cursor = screen.cursor().map(|(col, row)| (narrow(col), narrow(row)));
        let mut change = Change {
            size: is_new.then_some(size),
            cursor,
            rows: Vec::new(),
        };
        for (n, cells) in screen.cells().enumerate() {
            let cells: Vec<Cell> = cells.collect();
            match self.rows.get_mut(n) {
                Some(old) if *old == cells => continue,
                Some(old) => old.clone_from(&cells),
                None => self.rows.push(cells.clone()),
            }
            change.rows.push((narrow(n), runs(&cells)));
        }
        let changed = is_new || cursor != self.cursor || !change.rows.is_empty();
        (self.size, self.cursor) = (size, cursor);
        changed.then_some(change)
    }

    /// All that was painted, for a painter that has nothing yet.
    #[must_use]
    pub fn whole(&self) -> Change {
        let rows = (0u16..).zip(&self.rows);
        Change {
            size: Some(self.size),
            cursor: self.cursor,
            rows: rows.map(|(n, cells)| (n, runs(cells))).collect(),
        }
    }

    /// Whether anything was painted.
    #[must_use]
    pub fn is_painted(&self) -> bool {
        self.size != (0, 0)
    }
}

/// The runs of a row. A character whose width the painter's font may see otherwise stands alone, so
/// that what follows it stands in its own column.
fn runs(cells: &[Cell]) -> Vec<Run> {
    let blank = |cell: &&Cell| cell.ch == ' ' && !is_visible(&cell.style);
    let used = cells.len() - cells.iter().rev().take_while(blank).count();
    let mut runs: Vec<Run> = Vec::new();
    let mut may_go_on = false;
    for (column, cell) in cells.iter().enumerate().take(used) {
        if cell.width == 0 {
            continue;
        }
        let ch = match cell.ch {
            c if c.is_control() || is_deceptive(c) => '\u{fffd}',
            c => c,
        };
        let is_even = cell.width == 1 && is_even(ch);
        match runs.last_mut() {
            Some(run) if may_go_on && is_even && run.style == cell.style => {
                run.text.push(ch);
                run.columns = run.columns.saturating_add(1);
            }
            _ => runs.push(Run {
                column: u16::try_from(column).unwrap_or(u16::MAX),
                columns: u16::from(cell.width),
                text: ch.into(),
                style: cell.style,
            }),
        }
        may_go_on = is_even;
    }
    runs
}

/// Whether a blank in this style is seen.
fn is_visible(style: &Style) -> bool {
    style.background.is_some() || style.inverse || style.underline || style.strikethrough
}

/// Characters that every monospaced font has in the same width.
fn is_even(c: char) -> bool {
    matches!(c, ' '..='~' | '\u{a1}'..='\u{17f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Color;

    fn texts(change: &Change) -> Vec<(u16, Vec<(u16, &str)>)> {
        change
            .rows
            .iter()
            .map(|(n, runs)| {
                (
                    *n,
                    runs.iter().map(|r| (r.column, r.text.as_str())).collect(),
                )
            })
            .collect()
    }

    #[test]
    fn the_first_change_names_everything_and_later_ones_what_changed() {
        let mut screen = Screen::new(10, 3);
        let mut picture = Picture::default();
        screen.feed(b"one\r\ntwo");
        let first = picture.change(&screen).unwrap();
        assert_eq!(first.size, Some((10, 3)));
        assert_eq!(
            texts(&first),
            [(0, vec![(0, "one")]), (1, vec![(0, "two")]), (2, vec![])]
        );
        assert_eq!(picture.change(&screen), None);
        screen.feed(b"!");
        let second = picture.change(&screen).unwrap();
        assert_eq!((second.size, second.cursor), (None, Some((4, 1))));
        assert_eq!(texts(&second), [(1, vec![(0, "two!")])]);
        screen.feed(b"\x1b[?25l");
        let hidden = picture.change(&screen).unwrap();
        assert_eq!((hidden.cursor, hidden.rows.len()), (None, 0));
        screen.resize(8, 2);
        assert_eq!(picture.change(&screen).unwrap().size, Some((8, 2)));
        assert_eq!(
            Picture::default().change(&screen).unwrap(),
            picture.whole(),
            "as for somebody who comes new"
        );
    }

    #[test]
    fn a_run_is_of_one_style_and_of_characters_of_one_width() {
        let mut screen = Screen::new(20, 1);
        let mut picture = Picture::default();
        screen.feed("ab\x1b[31mcd\x1b[m界e\u{202e}f\x1b[42m  ".as_bytes());
        let change = picture.change(&screen).unwrap();
        let runs = &change.rows[0].1;
        let told: Vec<(u16, u16, &str)> = runs
            .iter()
            .map(|r| (r.column, r.columns, r.text.as_str()))
            .collect();
        // Where the emulator gives the sign of direction no cell, nothing of it is there at all.
        assert!(!told.iter().any(|(_, _, text)| text.contains('\u{202e}')));
        assert_eq!(told[..3], [(0, 2, "ab"), (2, 2, "cd"), (4, 2, "界")]);
        assert_eq!(runs[1].style.foreground, Some(Color::Indexed(1)));
        let last = runs.last().unwrap();
        assert_eq!(
            (last.text.as_str(), last.style.background),
            ("  ", Some(Color::Indexed(2)))
        );
    }

    /// What a program asks a terminal: who it is, where its cursor is, which colours it has, its
    /// title; and what it tells it to do beside the screen.
    #[test]
    fn questions_to_the_terminal_go_nowhere() {
        let mut screen = Screen::new(40, 2);
        let mut picture = Picture::default();
        screen.feed(
            b"\x1b[c\x1b[>c\x1b[6n\x1b]11;?\x07\x1b]52;c;cm0gLXJm\x07\x1b[21t\x1bP+q544e\x1b\\ok",
        );
        let change = picture.change(&screen).unwrap();
        assert_eq!(texts(&change)[0], (0, vec![(0, "ok")]));
    }
}
