//! What scrolls where the emulator keeps nothing of it: on the alternate screen, and in a scroll region that does
//! not begin at the top.

use avt::Operation;
use avt::parser::Function;

use crate::screen::Screen;

/// The rows that scroll, as far as they were set.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Margins {
    top: usize,
    /// `None` for the last row of the screen.
    bottom: Option<usize>,
}

impl Margins {
    /// Those that are set on this screen: the emulator tells them only among the sequences that bring a terminal
    /// into its state.
    pub(crate) fn of(screen: &Screen) -> Self {
        let (mut margins, mut parser) = (Self::default(), avt::Parser::new());
        let rows = usize::from(screen.size().1);
        for function in screen.dump().chars().filter_map(|c| parser.feed(c)) {
            margins.note(&Operation::Function(function), || rows);
        }
        margins
    }

    /// To be told of everything that the emulator is about to do, on a screen of so many rows.
    #[inline]
    pub(crate) fn note(&mut self, operation: &Operation, rows: impl FnOnce() -> usize) {
        match operation {
            Operation::Function(Function::Decstbm(top, bottom)) => {
                self.set(usize::from(*top), usize::from(*bottom), rows());
            }
            Operation::Function(Function::Ris | Function::Decstr) => *self = Self::default(),
            Operation::Resize { rows: now, .. } if *now != rows() => *self = Self::default(),
            _ => {}
        }
    }

    /// Sets them as the sequence says it; some are passed over, as by the emulator.
    pub(crate) fn set(&mut self, top: usize, bottom: usize, rows: usize) {
        let top = top.max(1) - 1;
        let bottom = if bottom == 0 { rows } else { bottom };
        if top + 1 < bottom && bottom <= rows {
            *self = Self {
                top,
                bottom: (bottom < rows).then_some(bottom - 1),
            };
        }
    }

    /// How many rows scroll.
    pub(crate) fn height(&self, rows: usize) -> usize {
        let (top, bottom) = self.rows(rows);
        (bottom + 1).saturating_sub(top).max(1)
    }

    /// Whether lines that scroll off the top of the region are not those that scroll off the screen's.
    pub(crate) fn drop_lines(&self) -> bool {
        self.top > 0
    }

    /// The first and the last row that scroll.
    pub(crate) fn rows(&self, rows: usize) -> (usize, usize) {
        (self.top, self.bottom.unwrap_or(rows.saturating_sub(1)))
    }
}
