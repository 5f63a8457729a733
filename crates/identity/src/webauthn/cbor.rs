//! CBOR as authenticators write it (RFC 8949 in CTAP2's canonical form), read strictly: definite
//! lengths only, no tags, no floats, bounded depth. Hostile bytes are an error, never a fault.

/// How deep lists and maps may stand in each other. Deeper ones are refused; ours have three levels.
const DEPTH_MAX: usize = 4;

/// Entries of a list or map. More are refused; ours have at most five.
const ENTRIES_MAX: u64 = 32;

/// One item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item<'a> {
    Int(i64),
    Bytes(&'a [u8]),
    Text(&'a str),
    List(Vec<Item<'a>>),
    Map(Vec<(Item<'a>, Item<'a>)>),
    /// `true`, `false` and `null`: nothing that is looked at.
    Simple,
}

impl<'a> Item<'a> {
    /// The first item of these bytes, and what is behind it.
    pub(super) fn read(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        read(bytes, DEPTH_MAX)
    }

    /// The value of this name in a map whose names are texts.
    pub(super) fn named(&self, name: &str) -> Option<&Self> {
        self.of(&Item::Text(name))
    }

    /// The value of this number in a map whose names are numbers.
    pub(super) fn numbered(&self, number: i64) -> Option<&Self> {
        self.of(&Item::Int(number))
    }

    fn of(&self, name: &Item<'_>) -> Option<&Self> {
        let Self::Map(entries) = self else {
            return None;
        };
        let found = entries.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value)
    }

    /// How many entries a map has.
    pub(super) fn entries(&self) -> usize {
        match self {
            Self::Map(entries) => entries.len(),
            _ => 0,
        }
    }
}

fn read(bytes: &[u8], depth: usize) -> Option<(Item<'_>, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let (major, info) = (first >> 5, first & 31);
    let width = match info {
        0..=23 => 0,
        24 => 1,
        25 => 2,
        26 => 4,
        27 => 8,
        _ => return None,
    };
    let (argument, rest) = rest.split_at_checked(width)?;
    let value = match width {
        0 => u64::from(info),
        _ => argument
            .iter()
            .fold(0, |sum, byte| (sum << 8) | u64::from(*byte)),
    };
    match major {
        0 => Some((Item::Int(i64::try_from(value).ok()?), rest)),
        1 => Some((Item::Int(-1 - i64::try_from(value).ok()?), rest)),
        2 | 3 => {
            let (string, rest) = rest.split_at_checked(usize::try_from(value).ok()?)?;
            match major {
                2 => Some((Item::Bytes(string), rest)),
                _ => Some((Item::Text(str::from_utf8(string).ok()?), rest)),
            }
        }
        4 | 5 => entries(major == 5, value, rest, depth.checked_sub(1)?),
        7 if (20..=22).contains(&info) => Some((Item::Simple, rest)),
        _ => None,
    }
}

fn entries(is_map: bool, count: u64, bytes: &[u8], depth: usize) -> Option<(Item<'_>, &[u8])> {
    if count > ENTRIES_MAX {
        return None;
    }
    let (mut list, mut map, mut rest) = (Vec::new(), Vec::new(), bytes);
    for _ in 0..count {
        let (first, behind) = read(rest, depth)?;
        rest = behind;
        if !is_map {
            list.push(first);
            continue;
        }
        let (value, behind) = read(rest, depth)?;
        rest = behind;
        // Of two values under one name somebody else might read the other.
        if map.iter().any(|(name, _)| *name == first) {
            return None;
        }
        map.push((first, value));
    }
    let item = if is_map {
        Item::Map(map)
    } else {
        Item::List(list)
    };
    Some((item, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_authenticators_write_is_read() {
        // {1: 2, 3: -7, "a": [h'01', "b", true]} and a byte behind it (RFC 8949, appendix A).
        let bytes = b"\xa3\x01\x02\x03\x26\x61a\x83\x41\x01\x61b\xf5\x00";
        let (item, rest) = Item::read(bytes).unwrap();
        assert_eq!(rest, [0]);
        assert_eq!(item.numbered(3), Some(&Item::Int(-7)));
        let list = vec![Item::Bytes(&[1]), Item::Text("b"), Item::Simple];
        assert_eq!(item.named("a"), Some(&Item::List(list)));
        assert_eq!((item.entries(), item.named("b")), (3, None));
        // As wide as it goes.
        assert_eq!(
            Item::read(b"\x1b\x00\x00\x00\x01\x00\x00\x00\x00")
                .unwrap()
                .0,
            Item::Int(1 << 32)
        );
    }

    #[test]
    fn what_is_cut_deep_long_open_or_twice_is_refused() {
        for bad in [
            &b""[..],
            b"\x18",
            b"\x42\x01",
            b"\x5b\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x9f\x01\xff",
            b"\xbf\xff",
            b"\x81\x81\x81\x81\x81\x01",
            b"\x98\x21",
            b"\xa2\x01\x02\x01\x03",
            b"\xc0\x01",
            b"\xf9\x00\x00",
            b"\x61\xff",
            b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff",
        ] {
            assert_eq!(Item::read(bad), None, "{bad:x?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_fault(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Item::read(&bytes);
        }
    }
}
