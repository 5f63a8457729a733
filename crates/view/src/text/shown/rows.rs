//! Rows of the emulator, looked at and read: what they hash to, and their text.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::BitOrAssign;

use avt::{Cell, Color, Line};

/// Keys are hashes already.
#[derive(Default)]
pub(super) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 << 8) | u64::from(*byte);
        }
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = n;
    }
}

pub(super) type ByKey<T> = HashMap<u64, T, BuildHasherDefault<AsItIs>>;

/// A row as it was when it was last looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Row {
    /// 0 for a blank one.
    pub(super) hash: u64,
    pub(super) is_wrapped: bool,
}

/// How some of a text was printed so that who sat there may not have seen it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Hidden {
    pub(super) is_concealed: bool,
    pub(super) is_blended: bool,
}

impl BitOrAssign for Hidden {
    fn bitor_assign(&mut self, other: Self) {
        self.is_concealed |= other.is_concealed;
        self.is_blended |= other.is_blended;
    }
}

/// Puts the text of a row behind `text`, trailing blanks cut unless it wraps; answers whether some of it
/// is hidden.
pub(super) fn read(line: &Line, text: &mut String) -> Hidden {
    let cells = used(line);
    text.reserve(cells.len());
    let mut hidden = Hidden::default();
    for cells in cells.chunks(PIECE) {
        hidden |= read_ascii(cells, text).unwrap_or_else(|| read_any(cells, text));
    }
    hidden
}

/// Cells that are read at once where all are ASCII.
const PIECE: usize = 32;

/// Nearly all text: it is copied, not put together character by character. `None` where it is not.
fn read_ascii(cells: &[Cell], text: &mut String) -> Option<Hidden> {
    let mut bytes = [0; PIECE];
    let (mut all, mut is_narrow, mut hidden) = (0, true, Hidden::default());
    for (byte, cell) in bytes.iter_mut().zip(cells) {
        let c = u32::from(cell.char());
        all |= c;
        is_narrow &= cell.width() == 1;
        #[allow(clippy::cast_possible_truncation)] // another one is seen in `all`
        let low = c as u8;
        *byte = low;
        hidden |= hidden_cell(cell);
    }
    if all >= 0x80 || !is_narrow {
        return None;
    }
    text.push_str(std::str::from_utf8(bytes.get(..cells.len())?).ok()?);
    Some(hidden)
}

fn read_any(cells: &[Cell], text: &mut String) -> Hidden {
    let mut hidden = Hidden::default();
    for cell in cells.iter().filter(|cell| cell.width() > 0) {
        text.push(cell.char());
        hidden |= hidden_cell(cell);
    }
    hidden
}

/// On a screen that marks what is concealed.
fn hidden_cell(cell: &Cell) -> Hidden {
    let (pen, is_blank) = (cell.pen(), cell.char() == ' ');
    // Few have a ground of their own.
    let is_blended = match (pen.background(), pen.foreground()) {
        (Some(ground), Some(colour)) => !is_blank && of_the_cube(ground) == of_the_cube(colour),
        _ => false,
    };
    Hidden {
        is_concealed: !is_blank && pen.is_blink(),
        is_blended,
    }
}

/// The colours 16 to 255 are the same in every terminal, and can be written as what they are.
fn of_the_cube(colour: Color) -> Color {
    const LEVELS: [u8; 6] = [0, 95, 135, 175, 215, 255];
    let Color::Indexed(number @ 16..) = colour else {
        return colour;
    };
    if number >= 232 {
        let grey = 8 + 10 * (number - 232);
        return Color::rgb(grey, grey, grey);
    }
    let number = number - 16;
    let level = |n: u8| LEVELS.get(usize::from(n % 6)).copied().unwrap_or(0);
    Color::rgb(level(number / 36), level(number / 6), level(number))
}

/// The cells of a row up to its last character, all of them where it wraps.
fn used(line: &Line) -> &[Cell] {
    let cells = line.cells();
    if line.is_wrapped() {
        return cells;
    }
    let last = cells.iter().rposition(|cell| cell.char() != ' ');
    // What a wide character covers besides is blank.
    cells
        .get(..last.map_or(0, |last| last + 1))
        .unwrap_or(cells)
}

pub(super) fn look_at(line: &Line) -> Row {
    let is_wrapped = line.is_wrapped();
    let cells = used(line);
    if cells.is_empty() {
        return Row {
            hash: 0,
            is_wrapped,
        };
    }
    let (pairs, odd) = cells.as_chunks::<2>();
    let mut hash = 0x243f_6a88_85a3_08d3;
    for [one, two] in pairs {
        let both = u64::from(u32::from(one.char())) | (u64::from(u32::from(two.char())) << 32);
        hash = fold(hash ^ both);
    }
    for cell in odd {
        hash = fold(hash ^ u64::from(u32::from(cell.char())));
    }
    Row {
        hash: hash.max(1),
        is_wrapped,
    }
}

/// The key of a line that goes on with this row.
pub(super) fn mix(key: u64, row: u64) -> u64 {
    fold(key ^ row.rotate_left(17)).max(1)
}

/// Both halves of a product, so that each bit counts.
fn fold(n: u64) -> u64 {
    let product = u128::from(n ^ 0x1319_8a2e_0370_7344) * 0x9e37_79b9_7f4a_7c15_u128;
    #[allow(clippy::cast_possible_truncation)] // the halves are what is wanted
    let (low, high) = (product as u64, (product >> 64) as u64);
    low ^ high
}
