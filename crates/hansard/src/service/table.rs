//! Answers for people: columns that are aligned, in which nothing stands that could leave its place.

use std::fmt::Write as _;

use hansard_view::escape_for_humans;
use rustix::stdio::stdout;
use rustix::termios::isatty;

/// Widest cell, in characters, of a column that may be cut; `--json` has everything.
const CELL_CHARS_MAX: usize = 40;

/// At which end a column is even.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
    /// Words that are never cut: what is given to other commands.
    Whole,
}

/// A column: its heading, and at which end it is even.
pub(crate) type Column = (&'static str, Align);

/// Rows under headings.
pub(crate) struct Table {
    columns: &'static [Column],
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(columns: &'static [Column]) -> Self {
        Self {
            columns,
            rows: Vec::new(),
        }
    }

    /// Adds a row. Cells may hold anything: they are escaped here.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        let cells = cells.iter().enumerate().map(|(n, cell)| {
            let whole = self.columns.get(n).is_some_and(|c| c.1 == Align::Whole);
            let cell = escape_for_humans(cell);
            if whole || cell.chars().count() <= CELL_CHARS_MAX {
                return cell.into_owned();
            }
            let kept: String = cell.chars().take(CELL_CHARS_MAX - 1).collect();
            kept + "…"
        });
        self.rows.push(cells.collect());
    }

    /// The table as text; headings stand out on a terminal.
    pub(crate) fn text(&self) -> String {
        let width = |n: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(n));
            let cells = cells.map(|cell| cell.chars().count());
            let heading = self.columns.get(n).map_or(0, |c| c.0.chars().count());
            cells.max().unwrap_or(0).max(heading)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let headings: Vec<String> = self.columns.iter().map(|c| c.0.to_owned()).collect();
        let (on, off) = if isatty(stdout()) && std::env::var_os("NO_COLOR").is_none() {
            ("\x1b[1m", "\x1b[m")
        } else {
            ("", "")
        };
        let mut text = format!("{on}{}{off}\n", self.line(&headings, &widths));
        for row in &self.rows {
            let _ = writeln!(text, "{}", self.line(row, &widths));
        }
        text
    }

    fn line(&self, cells: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for ((cell, width), (_, align)) in cells.iter().zip(widths).zip(self.columns) {
            if !line.is_empty() {
                line.push_str("  ");
            }
            let room = " ".repeat(width.saturating_sub(cell.chars().count()));
            match align {
                Align::Right => line.push_str(&(room + cell)),
                Align::Left | Align::Whole => line.push_str(&(cell.clone() + &room)),
            }
        }
        line.truncate(line.trim_end().len());
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_even_and_nothing_leaves_its_place() {
        let columns: &[Column] = &[
            ("WHO", Align::Left),
            ("N", Align::Right),
            ("ID", Align::Whole),
        ];
        let mut table = Table::new(columns);
        table.row(vec!["ada".into(), "7".into(), "x".repeat(50)]);
        table.row(vec![
            "\x1b[2J\r\nroot\u{202e}".into(),
            "123".into(),
            "y".into(),
        ]);
        table.row(vec!["é".repeat(60), "1".into(), String::new()]);
        let text = table.text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert!(!text.contains('\x1b') && !text.contains('\u{202e}') && !text.contains('\r'));
        let id = |line: &str| line.chars().position(|c| c == 'I' || c == 'x' || c == 'y');
        assert_eq!(id(lines[0]), id(lines[1]));
        assert!(lines[3].contains('…') && lines[1].ends_with(&"x".repeat(50)));
        assert!(lines.iter().all(|line| !line.ends_with(' ')));
    }
}
