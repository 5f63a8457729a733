//! A screen in pixels, each one of 256 colours.

use unifont::get_glyph;

use super::{COLS_MAX, ROWS_MAX};
use crate::cell::{Color, Style};
use crate::picture::{Change, Run};

/// Width and height of a cell, pixels: those of the font's letters, whose lines and blocks meet.
const CELL: (u16, u16) = (8, 16);

/// Where a letter is underlined, and struck through, pixels from its top.
const UNDERLINE: u16 = 14;
const STRIKE: u16 = 8;

/// The default colours stand where the 256 have a second black and a second white.
const BACKGROUND: u8 = 16;
const FOREGROUND: u8 = 231;

/// The number that lets through what was there stands where the 256 have a grey twice, and this is
/// the other one.
pub(super) const TRANSPARENT: u8 = 59;
const GREY: u8 = 241;

/// Faint text of the default colour.
const FAINT: u8 = 245;

/// The first sixteen colours, as in other pictures of ours.
const FIRST: [[u8; 3]; 16] = [
    [0x1c, 0x1c, 0x1c],
    [0xcd, 0x31, 0x31],
    [0x2f, 0xa8, 0x4f],
    [0xc7, 0xa0, 0x1e],
    [0x35, 0x7a, 0xd6],
    [0xb0, 0x4f, 0xb8],
    [0x22, 0x9f, 0xb5],
    [0xd0, 0xd0, 0xd0],
    [0x75, 0x75, 0x75],
    [0xf1, 0x5b, 0x5b],
    [0x4f, 0xd0, 0x72],
    [0xf0, 0xd0, 0x4d],
    [0x67, 0xa4, 0xf5],
    [0xdb, 0x80, 0xe2],
    [0x4c, 0xcb, 0xe0],
    [0xff, 0xff, 0xff],
];

/// Steps of each colour in the cube of the 256.
const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];

/// A part of a canvas, pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rect {
    pub(super) x: u16,
    pub(super) y: u16,
    pub(super) width: u16,
    pub(super) height: u16,
}

/// A screen in pixels.
#[derive(Debug, Clone, Default)]
pub(super) struct Canvas {
    cols: u16,
    rows: u16,
    /// Row by row, each the number of a colour.
    pixels: Vec<u8>,
    /// What stands in each row, for the cell that the cursor leaves.
    lines: Vec<Vec<Run>>,
    cursor: Option<(u16, u16)>,
}

impl Canvas {
    /// An empty one of this many pixels.
    pub(super) fn blank(width: u16, height: u16) -> Self {
        let mut canvas = Self::default();
        canvas.resize((width / CELL.0, height / CELL.1));
        canvas
    }

    /// Width and height, pixels.
    pub(super) fn size(&self) -> (u16, u16) {
        (
            self.cols.saturating_mul(CELL.0),
            self.rows.saturating_mul(CELL.1),
        )
    }

    fn resize(&mut self, (cols, rows): (u16, u16)) {
        (self.cols, self.rows) = (cols.clamp(1, COLS_MAX), rows.clamp(1, ROWS_MAX));
        let (width, height) = self.size();
        self.pixels = vec![BACKGROUND; usize::from(width) * usize::from(height)];
        self.lines = vec![Vec::new(); usize::from(self.rows)];
        self.cursor = None;
    }

    /// What is not as it was on another canvas, row by row; what is, lets that through. `None`: all is.
    /// One of another size is painted as a whole, and what lies outside of it then as ground.
    pub(super) fn since(&self, before: &Self) -> Option<(Rect, Vec<u8>)> {
        let (width, height) = self.size();
        if before.size() != self.size() {
            return Some(self.over(before));
        }
        let row = usize::from(width.max(1));
        let (now, then) = (self.pixels.chunks(row), before.pixels.chunks(row));
        let (mut top, mut bottom, mut left, mut right) = (height, 0, width, 0);
        for (y, (now, then)) in (0..).zip(now.zip(then)) {
            let differs = || now.iter().zip(then).map(|(a, b)| a != b);
            let Some(first) = differs().position(|differs| differs) else {
                continue;
            };
            let last = differs().rposition(|differs| differs).unwrap_or(first);
            let narrow = |n: usize| u16::try_from(n).unwrap_or(width);
            (top, bottom) = (top.min(y), y);
            (left, right) = (left.min(narrow(first)), right.max(narrow(last)));
        }
        if top > bottom {
            return None;
        }
        let part = Rect {
            x: left,
            y: top,
            width: right - left + 1,
            height: bottom - top + 1,
        };
        let through = |(a, b): (&u8, &u8)| if a == b { TRANSPARENT } else { *a };
        let (now, then) = (self.cut(part), before.cut(part));
        Some((part, now.iter().zip(&then).map(through).collect()))
    }

    /// All of it, and ground where the other one was larger.
    fn over(&self, before: &Self) -> (Rect, Vec<u8>) {
        let (size, old) = (self.size(), before.size());
        let part = Rect {
            x: 0,
            y: 0,
            width: size.0.max(old.0),
            height: size.1.max(old.1),
        };
        let mut pixels = Vec::new();
        let mut rows = self.pixels.chunks(usize::from(size.0.max(1)));
        for _ in 0..part.height {
            let row = rows.next().unwrap_or_default();
            pixels.extend(row);
            let rest = usize::from(part.width).saturating_sub(row.len());
            pixels.extend(std::iter::repeat_n(BACKGROUND, rest));
        }
        (part, pixels)
    }

    fn cut(&self, part: Rect) -> Vec<u8> {
        let rows = self.pixels.chunks(usize::from(self.size().0.max(1)));
        let rows = rows
            .skip(usize::from(part.y))
            .take(usize::from(part.height));
        let from = usize::from(part.x);
        let until = from + usize::from(part.width);
        let cut = rows.filter_map(|row| row.get(from..until));
        cut.flatten().copied().collect()
    }

    /// Paints what changed.
    pub(super) fn paint(&mut self, change: &Change) {
        if let Some(size) = change.size {
            self.resize(size);
        }
        let mut touched: Vec<u16> = Vec::new();
        for (row, runs) in &change.rows {
            if let Some(line) = self.lines.get_mut(usize::from(*row)) {
                line.clone_from(runs);
                touched.push(*row);
            }
        }
        if change.cursor != self.cursor {
            let places = [self.cursor, change.cursor].into_iter().flatten();
            touched.extend(places.map(|(_, row)| row).filter(|row| *row < self.rows));
            self.cursor = change.cursor;
        }
        for row in touched {
            self.paint_row(row);
        }
    }

    fn paint_row(&mut self, row: u16) {
        let Some(line) = self.lines.get_mut(usize::from(row)) else {
            return;
        };
        let runs = std::mem::take(line);
        self.fill((0, row), self.cols, BACKGROUND);
        for run in &runs {
            self.paint_run(row, run);
        }
        if let Some(line) = self.lines.get_mut(usize::from(row)) {
            *line = runs;
        }
        if let Some((col, at)) = self.cursor.filter(|(_, at)| *at == row) {
            self.invert(col.min(self.cols.saturating_sub(1)), at);
        }
    }

    fn paint_run(&mut self, row: u16, run: &Run) {
        let (front, back) = colors(&run.style);
        self.fill((run.column, row), run.columns, back);
        // A run of more than one character has one in each column; one alone may take two.
        let is_one = run.text.chars().nth(1).is_none();
        let step = if is_one { run.columns } else { 1 };
        let mut col = run.column;
        for c in run.text.chars() {
            self.paint_char((col, row), (c, step), run.style.bold, front);
            col = col.saturating_add(step);
        }
        let lines = [
            (run.style.underline, UNDERLINE),
            (run.style.strikethrough, STRIKE),
        ];
        for (_, y) in lines.into_iter().filter(|(is_on, _)| *is_on) {
            for x in 0..run.columns.saturating_mul(CELL.0) {
                self.put((run.column, row), (x, y), front);
            }
        }
    }

    /// A character in as many columns as it takes; what the font does not have is U+FFFD.
    fn paint_char(&mut self, cell: (u16, u16), (c, columns): (char, u16), bold: bool, color: u8) {
        if c == ' ' {
            return;
        }
        let Some(glyph) = get_glyph(c).or_else(|| get_glyph('\u{fffd}')) else {
            return;
        };
        let most = columns.saturating_mul(CELL.0);
        for y in 0..CELL.1 {
            for x in 0..most {
                let lit = |x: u16| glyph.get_pixel(usize::from(x), usize::from(y));
                // Bold is drawn a second time, a pixel to the right.
                if lit(x) || (bold && x > 0 && lit(x - 1)) {
                    self.put(cell, (x, y), color);
                }
            }
        }
    }

    /// Fills cells of a row.
    fn fill(&mut self, cell: (u16, u16), columns: u16, color: u8) {
        for y in 0..CELL.1 {
            for x in 0..columns.saturating_mul(CELL.0) {
                self.put(cell, (x, y), color);
            }
        }
    }

    /// Exchanges text and ground in a cell: where the cursor is.
    fn invert(&mut self, col: u16, row: u16) {
        for y in 0..CELL.1 {
            for x in 0..CELL.0 {
                if let Some(pixel) = self.pixel((col, row), (x, y)) {
                    *pixel = match *pixel {
                        BACKGROUND => FOREGROUND,
                        _ => BACKGROUND,
                    };
                }
            }
        }
    }

    fn put(&mut self, cell: (u16, u16), at: (u16, u16), color: u8) {
        if let Some(pixel) = self.pixel(cell, at) {
            *pixel = color;
        }
    }

    fn pixel(&mut self, (col, row): (u16, u16), (x, y): (u16, u16)) -> Option<&mut u8> {
        let (width, height) = self.size();
        let (width, height) = (u32::from(width), u32::from(height));
        let x = u32::from(col) * u32::from(CELL.0) + u32::from(x);
        let y = u32::from(row) * u32::from(CELL.1) + u32::from(y);
        if x >= width || y >= height {
            return None;
        }
        let place = usize::try_from(y * width + x).ok()?;
        self.pixels.get_mut(place)
    }
}

/// The colours of text and ground.
fn colors(style: &Style) -> (u8, u8) {
    let number = |color: Option<Color>, default| match color {
        None => default,
        Some(Color::Indexed(n)) => free(n),
        Some(Color::Rgb(r, g, b)) => nearest([r, g, b]),
    };
    let mut front = number(style.foreground, FOREGROUND);
    if style.bold && front < 8 {
        front += 8;
    }
    if style.faint && style.foreground.is_none() {
        front = FAINT;
    }
    let back = number(style.background, BACKGROUND);
    if style.inverse {
        (back, front)
    } else {
        (front, back)
    }
}

/// A colour's number, where that stands for something else here the one next to it.
fn free(n: u8) -> u8 {
    match n {
        BACKGROUND => 0,
        FOREGROUND => 15,
        TRANSPARENT => GREY,
        n => n,
    }
}

/// The nearest of the cube's colours.
fn nearest(rgb: [u8; 3]) -> u8 {
    let step = |value: u8| {
        let far = |n: &usize| STEPS.get(*n).map_or(255, |step| step.abs_diff(value));
        let step = (0..STEPS.len()).min_by_key(far).unwrap_or(0);
        u8::try_from(step).unwrap_or(0)
    };
    let [r, g, b] = rgb.map(step);
    free(16 + 36 * r + 6 * g + b)
}

/// Red, green and blue of each colour.
pub(super) fn palette() -> [[u8; 3]; 256] {
    let mut all = [[0; 3]; 256];
    for (n, color) in all.iter_mut().enumerate() {
        let cube = |n: usize| STEPS.get(n % 6).copied().unwrap_or(0);
        let grey = u8::try_from(n.saturating_sub(232) * 10 + 8).unwrap_or(255);
        *color = match n {
            0..16 => FIRST.get(n).copied().unwrap_or_default(),
            16 => [0x12, 0x13, 0x14],
            231 => [0xd8, 0xd8, 0xd8],
            17..232 => [cube((n - 16) / 36), cube((n - 16) / 6), cube(n - 16)],
            _ => [grey; 3],
        };
    }
    all
}
