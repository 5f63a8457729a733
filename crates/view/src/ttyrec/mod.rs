//! ttyrec: what a terminal was sent, in records of a time, a length and the bytes.
//!
//! Each record has a header of three numbers of 32 bits: seconds and microseconds of the wall
//! clock, and how many bytes follow. They are little-endian; some machines wrote them the other
//! way round, which is recognised. There is nothing else in the format: no size, no input, no end.

mod decode;
mod encode;
#[cfg(test)]
mod tests;

pub use decode::TtyrecDecoder;
pub use encode::TtyrecEncoder;

use crate::limits::TTYREC_RECORD_BYTES_MAX;

/// Bytes of a record's header.
const HEADER_BYTES: usize = 12;

/// Earliest time a single record may bear to be taken for one: 1995, before there was a ttyrec.
const SECONDS_MIN: u32 = 788_918_400;

/// Longest record, and longest silence in seconds, of a file that is to be recognised.
const GUESS_RECORD_BYTES_MAX: u32 = 1024 * 1024;
const GUESS_SILENCE_MAX: u32 = 7 * 86_400;

/// Order of the bytes in a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Little,
    Big,
}

/// What a record begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    seconds: u32,
    micros: u32,
    len: u32,
}

impl Header {
    fn read(bytes: [u8; HEADER_BYTES], order: Order) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = bytes;
        let number = match order {
            Order::Little => u32::from_le_bytes,
            Order::Big => u32::from_be_bytes,
        };
        Self {
            seconds: number([a, b, c, d]),
            micros: number([e, f, g, h]),
            len: number([i, j, k, l]),
        }
    }

    fn write(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let numbers = [self.seconds, self.micros, self.len];
        for (slot, number) in bytes.chunks_exact_mut(4).zip(numbers) {
            slot.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    fn is_possible(self) -> bool {
        self.micros < 1_000_000 && self.len <= TTYREC_RECORD_BYTES_MAX
    }

    fn ns(self) -> u64 {
        u64::from(self.seconds) * 1_000_000_000 + u64::from(self.micros) * 1000
    }
}

/// How many headers in a row, at the beginning of a file, are what any recorder would have written,
/// and whether none is there that is not.
fn chain(beginning: &[u8], order: Order) -> (usize, bool) {
    let (mut rest, mut count) = (beginning, 0);
    let (mut earliest, mut latest) = (0, u32::MAX);
    while let Some((bytes, behind)) = rest.split_first_chunk::<HEADER_BYTES>() {
        let header = Header::read(*bytes, order);
        let length = 1..=GUESS_RECORD_BYTES_MAX;
        let plausible = header.is_possible()
            && length.contains(&header.len)
            && (earliest..=latest).contains(&header.seconds);
        if !plausible {
            return (count, false);
        }
        count += 1;
        earliest = header.seconds;
        latest = header.seconds.saturating_add(GUESS_SILENCE_MAX);
        let len = usize::try_from(header.len).unwrap_or(usize::MAX);
        rest = behind.get(len..).unwrap_or(&[]);
    }
    (count, true)
}

/// The order of the bytes in the headers of a file that begins so; nothing if the first header is
/// possible in neither. Where it is possible in both, only several headers in a row speak for the
/// rarer one.
fn order(beginning: &[u8]) -> Option<Order> {
    let first = beginning.first_chunk::<HEADER_BYTES>()?;
    let possible = |order| Header::read(*first, order).is_possible();
    let count = |order| chain(beginning, order).0;
    match (possible(Order::Little), possible(Order::Big)) {
        (false, false) => None,
        (false, true) => Some(Order::Big),
        (true, false) => Some(Order::Little),
        (true, true) => {
            let big = count(Order::Big);
            let is_big = big >= 2 && big > count(Order::Little);
            Some(if is_big { Order::Big } else { Order::Little })
        }
    }
}

/// Whether a file that begins with these bytes is a ttyrec. The format has no magic, so that it
/// takes a chain of headers that make sense: lengths that lead to the next header, times that do
/// not run backwards, and either several records or a time that a recorder can have seen.
#[must_use]
pub fn guess(beginning: &[u8]) -> bool {
    [Order::Little, Order::Big].into_iter().any(|order| {
        let first = beginning.first_chunk::<HEADER_BYTES>();
        let Some(first) = first.map(|bytes| Header::read(*bytes, order)) else {
            return false;
        };
        let (count, sound) = chain(beginning, order);
        sound && (count >= 3 || first.seconds >= SECONDS_MIN)
    })
}
