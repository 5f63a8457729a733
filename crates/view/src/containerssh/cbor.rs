//! CBOR (RFC 8949), as much of it as the log needs: finding where an item ends in a stream that is
//! still arriving, taking items apart, and writing them.

use std::borrow::Cow;

use crate::limits::CBOR_DEPTH_MAX;

pub(super) const UINT: u8 = 0;
pub(super) const NEGATIVE: u8 = 1;
pub(super) const BYTES: u8 = 2;
pub(super) const TEXT: u8 = 3;
pub(super) const LIST: u8 = 4;
pub(super) const MAP: u8 = 5;
const TAG: u8 = 6;
const OTHER: u8 = 7;

/// The byte that ends an item of indefinite length.
pub(super) const BREAK: u8 = 0xff;

/// The beginning of an item.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) major: u8,
    pub(super) argument: u64,
    /// Of a string, list or map: its length is not said. Of [`OTHER`]: a break.
    pub(super) indefinite: bool,
    pub(super) bytes: usize,
}

/// Reads the beginning of an item; nothing if there are too few bytes yet.
pub(super) fn head(bytes: &[u8]) -> Result<Option<Head>, &'static str> {
    let Some((&first, rest)) = bytes.split_first() else {
        return Ok(None);
    };
    let (major, info) = (first >> 5, first & 0x1f);
    let width = match info {
        0..=23 => 0,
        24 => 1,
        25 => 2,
        26 => 4,
        27 => 8,
        31 if matches!(major, BYTES | TEXT | LIST | MAP | OTHER) => 0,
        _ => return Err("a length that CBOR does not have"),
    };
    let Some(argument) = rest.get(..width) else {
        return Ok(None);
    };
    let argument = match info {
        0..=23 => u64::from(info),
        _ => argument.iter().fold(0, |n, b| (n << 8) | u64::from(*b)),
    };
    Ok(Some(Head {
        major,
        argument,
        indefinite: info == 31,
        bytes: 1 + width,
    }))
}

/// An item that has begun and not ended.
#[derive(Debug, Clone, Copy)]
enum Open {
    /// So many items are still to come.
    Items(u64),
    /// A list that a break ends.
    List,
    /// A map that a break ends; whether a value must come first.
    Map { value_next: bool },
    /// Pieces of a string, of this major type, that a break ends.
    Pieces(u8),
}

/// What has been seen of an item so far.
#[derive(Debug, Default)]
pub(super) struct Scan {
    open: Vec<Open>,
    at: usize,
    whole: bool,
}

/// Why an item is none: at which of its bytes, and what.
pub(super) type Wrong = (usize, String);

impl Scan {
    /// Whether nothing has been seen yet.
    pub(super) fn is_new(&self) -> bool {
        self.at == 0
    }

    /// Goes on in `item`, which begins where the item does and holds all of it that has arrived.
    /// Answers the item's length once it is whole. Nothing longer than `bytes_max` is waited for.
    pub(super) fn go_on(&mut self, item: &[u8], bytes_max: usize) -> Result<Option<usize>, Wrong> {
        while !self.whole {
            let Some(rest) = item.get(self.at..).filter(|rest| !rest.is_empty()) else {
                return Ok(None);
            };
            let Some(head) = head(rest).map_err(|what| (self.at, what.to_owned()))? else {
                return Ok(None);
            };
            let begin = self.at;
            self.at += head.bytes;
            let room = bytes_max.saturating_sub(self.at);
            self.item(head, room).map_err(|what| (begin, what))?;
        }
        // A string at the end may still be arriving.
        Ok((self.at <= item.len()).then_some(self.at))
    }

    fn item(&mut self, head: Head, room: usize) -> Result<(), String> {
        if let Some(Open::Pieces(major)) = self.open.last() {
            let is_piece = head.major == *major && !head.indefinite;
            let is_break = head.major == OTHER && head.indefinite;
            if !is_piece && !is_break {
                return Err("a string of pieces has a piece of another type".to_owned());
            }
        }
        match (head.major, head.indefinite) {
            (OTHER, true) => self.end_open(),
            (UINT | NEGATIVE | OTHER, _) => self.complete(),
            (BYTES | TEXT, true) => self.push(Open::Pieces(head.major)),
            (LIST, true) => self.push(Open::List),
            (MAP, true) => self.push(Open::Map { value_next: false }),
            (BYTES | TEXT, false) => {
                self.at += fits(head.argument, room)?;
                self.complete()
            }
            (major, _) => {
                let items = match major {
                    TAG => 1,
                    MAP => head.argument.saturating_mul(2),
                    _ => head.argument,
                };
                // Every item has a byte at least.
                if fits(items, room)? == 0 {
                    return self.complete();
                }
                self.push(Open::Items(items))
            }
        }
    }

    fn push(&mut self, open: Open) -> Result<(), String> {
        if self.open.len() == CBOR_DEPTH_MAX {
            return Err(format!("items nested deeper than {CBOR_DEPTH_MAX}"));
        }
        self.open.push(open);
        Ok(())
    }

    fn end_open(&mut self) -> Result<(), String> {
        match self.open.pop() {
            Some(Open::List | Open::Pieces(_) | Open::Map { value_next: false }) => self.complete(),
            _ => Err("a break where no item can end".to_owned()),
        }
    }

    /// An item has ended, and perhaps those around it.
    #[allow(clippy::unnecessary_wraps)] // each item ends in it, and some can fail
    fn complete(&mut self) -> Result<(), String> {
        loop {
            match self.open.last_mut() {
                None => {
                    self.whole = true;
                    return Ok(());
                }
                Some(Open::Items(left)) if *left > 1 => {
                    *left -= 1;
                    return Ok(());
                }
                Some(Open::Items(_)) => {
                    self.open.pop();
                }
                Some(Open::Map { value_next }) => {
                    *value_next = !*value_next;
                    return Ok(());
                }
                Some(Open::List | Open::Pieces(_)) => return Ok(()),
            }
        }
    }
}

fn fits(length: u64, room: usize) -> Result<usize, String> {
    let length = usize::try_from(length).ok().filter(|n| *n <= room);
    length.ok_or_else(|| "longer than the limit of this reader".to_owned())
}

/// Cuts the first item off.
pub(super) fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = Scan::default().go_on(bytes, bytes.len()).ok()??;
    bytes.split_at_checked(length)
}

/// An item, taken apart.
#[derive(Debug)]
pub(super) enum Item<'a> {
    Uint(u64),
    /// One less than the negation of this.
    Negative(u64),
    Bytes(Cow<'a, [u8]>),
    /// Whether it is UTF-8 nobody has checked.
    Text(Cow<'a, [u8]>),
    List(Items<'a>),
    Map(Items<'a>),
    Bool(bool),
    Null,
    Other,
}

/// The items in a list, or keys and values of a map in turn.
#[derive(Debug)]
pub(super) struct Items<'a> {
    rest: &'a [u8],
    /// How many; nothing if a break ends them.
    left: Option<u64>,
}

impl Default for Items<'_> {
    fn default() -> Self {
        Self {
            rest: &[],
            left: Some(0),
        }
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        match &mut self.left {
            Some(0) => return None,
            Some(left) => *left -= 1,
            None if self.rest.first() == Some(&BREAK) => return None,
            None => {}
        }
        let (item, rest) = split(self.rest)?;
        self.rest = rest;
        Some(item)
    }
}

/// Takes an item apart. A tag is passed over: the log has none, and their reader does the same.
pub(super) fn parse(item: &[u8]) -> Option<Item<'_>> {
    let mut item = item;
    loop {
        let head = head(item).ok()??;
        let rest = item.get(head.bytes..)?;
        let left = (!head.indefinite).then_some(head.argument);
        return Some(match head.major {
            TAG => {
                item = rest;
                continue;
            }
            UINT => Item::Uint(head.argument),
            NEGATIVE => Item::Negative(head.argument),
            BYTES => Item::Bytes(string(rest, left)?),
            TEXT => Item::Text(string(rest, left)?),
            LIST => Item::List(Items { rest, left }),
            MAP => Item::Map(Items {
                rest,
                left: left.map(|n| n.saturating_mul(2)),
            }),
            _ => match head.argument {
                20 if head.bytes == 1 => Item::Bool(false),
                21 if head.bytes == 1 => Item::Bool(true),
                // Undefined is null to their reader.
                22 | 23 if head.bytes == 1 => Item::Null,
                _ => Item::Other,
            },
        });
    }
}

fn string(rest: &[u8], length: Option<u64>) -> Option<Cow<'_, [u8]>> {
    if let Some(length) = length {
        return rest.get(..usize::try_from(length).ok()?).map(Cow::Borrowed);
    }
    let mut whole = Vec::new();
    for piece in (Items { rest, left: None }) {
        match parse(piece)? {
            Item::Bytes(bytes) | Item::Text(bytes) => whole.extend_from_slice(&bytes),
            _ => return None,
        }
    }
    Some(Cow::Owned(whole))
}

/// Whether every text in these items is UTF-8.
pub(super) fn is_utf8(items: &[u8]) -> bool {
    let mut rest = items;
    while let Some((item, more)) = split(rest) {
        let sound = match parse(item) {
            Some(Item::Text(text)) => std::str::from_utf8(&text).is_ok(),
            Some(Item::List(items) | Item::Map(items)) => {
                let mut items = items;
                items.all(is_utf8)
            }
            _ => true,
        };
        if !sound {
            return false;
        }
        rest = more;
    }
    true
}

/// Appends the beginning of an item, as short as it goes.
pub(super) fn put_head(out: &mut Vec<u8>, major: u8, argument: u64) {
    let major = major << 5;
    let bytes = argument.to_be_bytes();
    let (info, width) = match argument {
        0..=23 => {
            out.push(major | bytes.last().copied().unwrap_or(0));
            return;
        }
        24..=0xff => (24, 1),
        0x100..=0xffff => (25, 2),
        0x1_0000..=0xffff_ffff => (26, 4),
        _ => (27, 8),
    };
    out.push(major | info);
    out.extend_from_slice(bytes.get(8 - width..).unwrap_or(&[]));
}

/// Appends a string of this major type.
pub(super) fn put_string(out: &mut Vec<u8>, major: u8, string: &[u8]) {
    put_head(out, major, u64::try_from(string.len()).unwrap_or(u64::MAX));
    out.extend_from_slice(string);
}

pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_string(out, TEXT, text.as_bytes());
}

pub(super) fn put_int(out: &mut Vec<u8>, n: i64) {
    match u64::try_from(n) {
        Ok(n) => put_head(out, UINT, n),
        Err(_) => put_head(out, NEGATIVE, !n.cast_unsigned()),
    }
}

pub(super) fn put_bool(out: &mut Vec<u8>, b: bool) {
    out.push(if b { 0xf5 } else { 0xf4 });
}

pub(super) fn put_null(out: &mut Vec<u8>) {
    out.push(0xf6);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_beginning_of_an_item_is_whole() {
        for item in [
            &b"\xa2\x64type\x05\x61a\x43xyz"[..],
            b"\xbf\x61a\x9f\x01\x5f\x41x\x42yz\xff\xff\xff",
            b"\xc1\xd8\x20\x63abc",
            b"\x1b\0\0\0\0\0\0\0\x01",
            b"\x80",
        ] {
            for cut in 0..item.len() {
                let mut scan = Scan::default();
                assert!(
                    matches!(scan.go_on(&item[..cut], 1000), Ok(None)),
                    "{item:?} {cut}"
                );
                // And it goes on where it was.
                assert!(matches!(scan.go_on(item, 1000), Ok(Some(n)) if n == item.len()));
                assert!(split(&item[..cut]).is_none());
            }
            assert_eq!(split(item), Some((item, &[][..])));
        }
    }

    #[test]
    fn numbers_are_written_as_short_as_they_go() {
        for (n, bytes) in [
            (0, &b"\0"[..]),
            (23, b"\x17"),
            (24, b"\x18\x18"),
            (0xff, b"\x18\xff"),
            (0x100, b"\x19\x01\0"),
            (0x1_0000, b"\x1a\0\x01\0\0"),
            (i64::MAX, b"\x1b\x7f\xff\xff\xff\xff\xff\xff\xff"),
            (-1, b"\x20"),
            (-500, b"\x39\x01\xf3"),
            (i64::MIN, b"\x3b\x7f\xff\xff\xff\xff\xff\xff\xff"),
        ] {
            let mut out = Vec::new();
            put_int(&mut out, n);
            assert_eq!(out, bytes, "{n}");
        }
    }
}
