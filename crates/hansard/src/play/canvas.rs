//! What the viewer's terminal is to show: a grid of cells, drawn anew for every picture.

use hansard_view::{Cell, Screen, Style};

/// A picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Canvas {
    cols: usize,
    rows: usize,
    cells: Vec<Cell>,
    /// Column and row of the cursor, if it is shown.
    pub(super) cursor: Option<(usize, usize)>,
}

impl Canvas {
    /// A blank one.
    pub(super) fn new(cols: usize, rows: usize) -> Self {
        let (cols, rows) = (cols.max(1), rows.max(1));
        Self {
            cols,
            rows,
            cells: vec![Cell::default(); cols * rows],
            cursor: None,
        }
    }

    pub(super) fn size(&self) -> (usize, usize) {
        (self.cols, self.rows)
    }

    /// The cells of a row; none outside.
    pub(super) fn row(&self, row: usize) -> &[Cell] {
        let begin = row.saturating_mul(self.cols);
        self.cells.get(begin..begin + self.cols).unwrap_or_default()
    }

    fn row_mut(&mut self, row: usize) -> &mut [Cell] {
        let begin = row.saturating_mul(self.cols);
        self.cells
            .get_mut(begin..begin + self.cols)
            .unwrap_or_default()
    }

    /// Copies these cells to a place in a row, as many as fit. Halves of wide characters become
    /// blanks: of those copied at either end, and of those that were there.
    pub(super) fn put(&mut self, col: usize, row: usize, cells: impl Iterator<Item = Cell>) {
        let line = self.row_mut(row);
        let Some(room) = line.get_mut(col..) else {
            return;
        };
        let mut end = col;
        for (slot, cell) in room.iter_mut().zip(cells) {
            *slot = cell;
            end += 1;
        }
        // A second half has the style of the first, so that what looks the same is the same.
        let mut head: Option<Style> = None;
        let from = col.saturating_sub(1);
        for at in from..=end {
            let next = line.get(at + 1).map(|next| next.width);
            let Some(cell) = line.get_mut(at) else { break };
            let style = cell.style;
            // Before the first place one half may begin that is not ours to judge.
            let is_tail = cell.width == 0 && (head.is_some() || (at == from && at < col));
            let is_head = cell.width == 2 && next == Some(0);
            match (cell.width, head.take()) {
                (0, Some(style)) => cell.style = style,
                (0, None) if !is_tail => *cell = blank(style),
                (2, _) if is_head => head = Some(style),
                (2, _) => *cell = blank(style),
                _ => {}
            }
        }
    }

    /// Writes a line of text, cut at `room` columns, and answers how many it took. The text must
    /// have been escaped where it comes from a recording.
    pub(super) fn text(
        &mut self,
        col: usize,
        row: usize,
        room: usize,
        text: &str,
        style: Style,
    ) -> usize {
        // The emulator knows which characters are wide. Without wrapping, what does not fit is
        // printed over the last column; one column more than there is room keeps it out of sight.
        let cols = u16::try_from(room.min(self.cols).saturating_add(2)).unwrap_or(u16::MAX);
        let mut line = Screen::new(cols, 1);
        line.feed(b"\x1b[?7l");
        line.feed(text.as_bytes());
        let end = line.cursor().map_or(0, |(end, _)| end).min(room);
        let cells: Vec<Cell> = line
            .cells()
            .next()
            .map(|cells| cells.take(end).map(|cell| Cell { style, ..cell }).collect())
            .unwrap_or_default();
        self.put(col, row, cells.into_iter());
        end
    }

    /// Fills part of a row with blanks of this style.
    pub(super) fn bar(&mut self, col: usize, row: usize, len: usize, style: Style) {
        self.put(col, row, std::iter::repeat_n(blank(style), len));
    }

    /// Changes the style of part of a row; a wide character is changed as a whole.
    pub(super) fn restyle(
        &mut self,
        row: usize,
        cols: std::ops::Range<usize>,
        change: impl Fn(&mut Style),
    ) {
        for (col, cell) in self.row_mut(row).iter_mut().enumerate() {
            let inside =
                cols.contains(&col) || (cell.width == 0 && cols.contains(&(col.wrapping_sub(1))));
            if inside {
                change(&mut cell.style);
            }
        }
    }
}

fn blank(style: Style) -> Cell {
    Cell {
        style,
        ..Cell::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(canvas: &Canvas, row: usize) -> String {
        canvas
            .row(row)
            .iter()
            .filter(|c| c.width > 0)
            .map(|c| c.ch)
            .collect()
    }

    #[test]
    fn text_is_cut_where_the_room_ends() {
        let mut canvas = Canvas::new(10, 2);
        assert_eq!(canvas.text(2, 0, 5, "abcdefgh", Style::default()), 5);
        assert_eq!(shown(&canvas, 0), "  abcde   ");
        assert_eq!(canvas.text(0, 1, 10, "ab", Style::default()), 2);
        assert_eq!(canvas.text(8, 1, 99, "xyz", Style::default()), 3);
        assert_eq!(shown(&canvas, 1), "ab      xy");
        canvas.text(50, 0, 5, "out", Style::default());
        canvas.text(0, 50, 5, "out", Style::default());
    }

    #[test]
    fn half_a_wide_character_is_a_blank() {
        let mut canvas = Canvas::new(4, 1);
        canvas.text(1, 0, 4, "a界界", Style::default());
        assert_eq!(shown(&canvas, 0), " a界");
        let mut canvas = Canvas::new(3, 1);
        canvas.text(0, 0, 3, "a界界", Style::default());
        assert_eq!(shown(&canvas, 0), "a界");
        let mut screen = Screen::new(4, 1);
        screen.feed("界界".as_bytes());
        let mut canvas = Canvas::new(2, 1);
        canvas.put(0, 0, screen.cells().next().unwrap().skip(1));
        assert_eq!(shown(&canvas, 0), "  ");
        // Nor is one left standing where something is written over its other half.
        let mut canvas = Canvas::new(6, 1);
        canvas.text(0, 0, 6, "界界界", Style::default());
        canvas.text(1, 0, 6, "ab", Style::default());
        assert_eq!(shown(&canvas, 0), " ab 界");
        canvas.text(5, 0, 6, "c", Style::default());
        assert_eq!(shown(&canvas, 0), " ab  c");
    }
}
