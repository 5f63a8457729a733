//! Rows of the emulator, looked at and read: what they hash to, and their text.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use avt::Line;

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

/// The text of a row, trailing blanks cut unless it wraps, and whether some of it has the colour of
/// its ground.
pub(super) fn read(line: &Line) -> (String, bool) {
    let mut text = line.text();
    if !line.is_wrapped() {
        text.truncate(text.trim_end_matches(' ').len());
    }
    let is_blended = line.cells().iter().any(|cell| {
        let pen = cell.pen();
        cell.char() != ' ' && pen.foreground().is_some() && pen.foreground() == pen.background()
    });
    (text, is_blended)
}

pub(super) fn look_at(line: &Line) -> Row {
    let is_wrapped = line.is_wrapped();
    let cells = line.cells();
    let used = if is_wrapped {
        cells.len()
    } else {
        let last = cells.iter().rposition(|cell| cell.char() != ' ');
        last.map_or(0, |last| last + 1)
    };
    let cells = cells.get(..used).unwrap_or(cells);
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
