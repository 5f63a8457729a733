//! Pictures to bytes: what changed since the last picture, in the sequences of [`super::sequences`].

use hansard_view::{Cell, Style};

use super::canvas::Canvas;
use super::sequences;

/// Cells that are skipped at the price of a cursor movement; fewer are painted again.
const GAP_COLS: usize = 4;

/// Appends what turns the picture on the terminal into another one. Without an old picture, or
/// with one of another size, the terminal may show anything.
pub(super) fn paint(old: Option<&Canvas>, new: &Canvas, out: &mut Vec<u8>) {
    let (cols, rows) = new.size();
    let mut brush = Brush {
        out,
        cols,
        at: None,
        style: None,
    };
    let blank;
    let old = match old.filter(|old| old.size() == new.size()) {
        Some(old) => old,
        None => {
            brush.dip(&Style::default());
            sequences::erase_screen(brush.out);
            sequences::cursor_shown(brush.out, false);
            blank = Canvas::new(cols, rows);
            &blank
        }
    };
    for row in 0..rows {
        brush.row(row, old.row(row), new.row(row));
    }
    let painted = brush.at.is_some() || brush.style.is_some();
    finish(old, new, painted, out);
}

/// Puts the cursor where it belongs.
fn finish(old: &Canvas, new: &Canvas, painted: bool, out: &mut Vec<u8>) {
    if let Some((col, row)) = new.cursor
        && (painted || old.cursor != new.cursor)
    {
        let (cols, rows) = new.size();
        sequences::cursor_to(out, col.min(cols - 1), row.min(rows - 1));
    }
    if old.cursor.is_some() != new.cursor.is_some() {
        sequences::cursor_shown(out, new.cursor.is_some());
    }
}

/// Where the terminal's cursor is and how it draws, as far as known.
struct Brush<'a> {
    out: &'a mut Vec<u8>,
    cols: usize,
    at: Option<(usize, usize)>,
    style: Option<Style>,
}

impl Brush<'_> {
    fn row(&mut self, row: usize, old: &[Cell], new: &[Cell]) {
        let used = new
            .iter()
            .rposition(|cell| *cell != Cell::default())
            .map_or(0, |last| last + 1);
        let is_same = |col: usize| old.get(col) == new.get(col);
        for (col, cell) in new.iter().enumerate() {
            let changed = !is_same(col) || (cell.width == 2 && !is_same(col + 1));
            if !changed || cell.width == 0 {
                continue;
            }
            if col >= used {
                self.go(col, row, new);
                self.dip(&Style::default());
                sequences::erase_line(self.out);
                return;
            }
            self.go(col, row, new);
            self.cell(col, row, cell);
        }
    }

    /// Moves to a place: by painting what is between again if that is little, else by a sequence.
    fn go(&mut self, col: usize, row: usize, cells: &[Cell]) {
        if let Some((from, at_row)) = self.at
            && at_row == row
            && from <= col
            && col - from <= GAP_COLS
        {
            let between = cells.get(from..col).unwrap_or_default();
            let plain = |cell: &Cell| {
                cell.width == 1
                    && self.style == Some(cell.style)
                    && sequences::is_steady(sequences::harmless(cell.ch))
            };
            if between.iter().all(plain) {
                for cell in between {
                    self.glyph(cell.ch);
                }
                self.at = Some((col, row));
                return;
            }
        }
        sequences::cursor_to(self.out, col, row);
        self.at = Some((col, row));
    }

    fn dip(&mut self, style: &Style) {
        if self.style != Some(*style) {
            sequences::style(self.out, style);
            self.style = Some(*style);
        }
    }

    fn cell(&mut self, col: usize, row: usize, cell: &Cell) {
        self.dip(&cell.style);
        let ch = sequences::harmless(cell.ch);
        if cell.width == 2 {
            // A terminal that takes the character for a narrow one leaves a blank behind it.
            self.out.extend_from_slice(b"  ");
            sequences::cursor_to(self.out, col, row);
        }
        self.glyph(ch);
        let next = col + usize::from(cell.width);
        let sure = cell.width == 1 && sequences::is_steady(ch) && next < self.cols;
        self.at = sure.then_some((next, row));
    }

    fn glyph(&mut self, ch: char) {
        let mut bytes = [0; 4];
        let text = sequences::harmless(ch).encode_utf8(&mut bytes);
        self.out.extend_from_slice(text.as_bytes());
    }
}
