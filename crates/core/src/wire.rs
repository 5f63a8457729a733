//! The smallest wire encoding that serves: LEB128 varints and protobuf-style fields.
//!
//! A message is a run of fields. A field is a varint key, `number << 3 | type`, where type 0 is
//! followed by a varint and type 2 by a length (varint) and that many bytes; these two are
//! protobuf's, so any protobuf library reads a message. Varints must be minimal: every meaning has
//! exactly one encoding.

use std::fmt;

/// The bytes are not what the format says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed(pub String);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Malformed {}

/// Shorthand for an error with this text.
pub(crate) fn malformed<T>(what: impl Into<String>) -> Result<T, Malformed> {
    Err(Malformed(what.into()))
}

/// Appends an unsigned number as a minimal LEB128 varint (1 to 10 bytes).
pub fn put_varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(u8::try_from(n & 0x7f).unwrap_or(0) | 0x80);
        n >>= 7;
    }
    out.push(u8::try_from(n).unwrap_or(0));
}

/// What stands at the beginning of a slice that should hold a varint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Varint {
    /// A number and how many bytes it took.
    Value(u64, usize),
    /// The slice ends inside it.
    Short,
    /// Not minimal, or larger than 64 bits.
    Bad,
}

/// Reads a varint from the beginning of `bytes`.
#[must_use]
pub fn get_varint(bytes: &[u8]) -> Varint {
    let mut n = 0u64;
    for (i, &byte) in bytes.iter().take(10).enumerate() {
        let low = u64::from(byte & 0x7f);
        if i == 9 && byte > 1 {
            return Varint::Bad;
        }
        n |= low << (7 * i);
        if byte & 0x80 == 0 {
            return if byte == 0 && i > 0 {
                Varint::Bad
            } else {
                Varint::Value(n, i + 1)
            };
        }
    }
    if bytes.len() >= 10 {
        Varint::Bad
    } else {
        Varint::Short
    }
}

/// Maps a signed number onto an unsigned one, small magnitudes first (protobuf's zigzag).
#[must_use]
pub fn zigzag(n: i64) -> u64 {
    (n.cast_unsigned() << 1) ^ (n >> 63).cast_unsigned()
}

/// The signed number that [`zigzag`] mapped.
#[must_use]
pub fn unzigzag(n: u64) -> i64 {
    (n >> 1).cast_signed() ^ -((n & 1).cast_signed())
}

/// Largest number of a field, protobuf's.
const FIELD_NUMBER_MAX: u32 = (1 << 29) - 1;

/// Writes the fields of a message.
#[derive(Debug, Default)]
pub struct MessageWriter {
    out: Vec<u8>,
}

impl MessageWriter {
    /// An empty message.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a number.
    pub fn uint(&mut self, number: u32, value: u64) -> &mut Self {
        put_varint(&mut self.out, u64::from(number) << 3);
        put_varint(&mut self.out, value);
        self
    }

    /// Adds bytes.
    pub fn bytes(&mut self, number: u32, value: &[u8]) -> &mut Self {
        put_varint(&mut self.out, u64::from(number) << 3 | 2);
        put_varint(&mut self.out, value.len() as u64);
        self.out.extend_from_slice(value);
        self
    }

    /// Adds text, unless it is empty.
    pub fn text(&mut self, number: u32, value: &str) -> &mut Self {
        if !value.is_empty() {
            self.bytes(number, value.as_bytes());
        }
        self
    }

    /// The encoded message.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.out
    }
}

/// One field of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field<'a> {
    /// Type 0.
    Uint(u64),
    /// Type 2.
    Bytes(&'a [u8]),
}

impl<'a> Field<'a> {
    /// The number, or an error that names what was expected.
    ///
    /// # Errors
    /// When it is bytes.
    pub fn uint(self, what: &str) -> Result<u64, Malformed> {
        match self {
            Self::Uint(n) => Ok(n),
            Self::Bytes(_) => malformed(format!("{what}: expected a number, found bytes")),
        }
    }

    /// The bytes, or an error that names what was expected.
    ///
    /// # Errors
    /// When it is a number.
    pub fn bytes(self, what: &str) -> Result<&'a [u8], Malformed> {
        match self {
            Self::Bytes(b) => Ok(b),
            Self::Uint(_) => malformed(format!("{what}: expected bytes, found a number")),
        }
    }

    /// The text.
    ///
    /// # Errors
    /// When it is a number or not UTF-8.
    pub fn text(self, what: &str) -> Result<String, Malformed> {
        match std::str::from_utf8(self.bytes(what)?) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => malformed(format!("{what}: not UTF-8")),
        }
    }

    /// Exactly `N` bytes.
    ///
    /// # Errors
    /// When it is a number or of another length.
    pub fn array<const N: usize>(self, what: &str) -> Result<[u8; N], Malformed> {
        let bytes = self.bytes(what)?;
        bytes
            .try_into()
            .map_err(|_| Malformed(format!("{what}: expected {N} bytes, found {}", bytes.len())))
    }
}

/// Reads the fields of a message, in order.
#[derive(Debug, Clone)]
pub struct MessageReader<'a> {
    rest: &'a [u8],
}

impl<'a> MessageReader<'a> {
    /// Over these bytes, all of which must be fields.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next field's number and value; `None` at the end.
    ///
    /// # Errors
    /// When the bytes are no field.
    pub fn next_field(&mut self) -> Result<Option<(u32, Field<'a>)>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = self.varint("field key")?;
        let number = match u32::try_from(key >> 3) {
            Ok(n @ 1..=FIELD_NUMBER_MAX) => n,
            _ => return malformed("field number out of range"),
        };
        match key & 7 {
            0 => Ok(Some((number, Field::Uint(self.varint("field value")?)))),
            2 => {
                let len = self.varint("field length")?;
                let taken = usize::try_from(len)
                    .ok()
                    .and_then(|n| self.rest.split_at_checked(n));
                let Some((value, rest)) = taken else {
                    return malformed(format!("field {number} is longer than its message"));
                };
                self.rest = rest;
                Ok(Some((number, Field::Bytes(value))))
            }
            other => malformed(format!("field {number} has wire type {other}")),
        }
    }

    fn varint(&mut self, what: &str) -> Result<u64, Malformed> {
        match get_varint(self.rest) {
            Varint::Value(n, len) => {
                self.rest = self.rest.get(len..).unwrap_or_default();
                Ok(n)
            }
            Varint::Short => malformed(format!("{what}: cut off")),
            Varint::Bad => malformed(format!("{what}: not a minimal varint")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn varints_round_trip(n in any::<u64>(), shift in 0u32..64) {
            let n = n >> shift;
            let mut out = Vec::new();
            put_varint(&mut out, n);
            prop_assert_eq!(get_varint(&out), Varint::Value(n, out.len()));
            prop_assert_eq!(get_varint(&out[..out.len() - 1]), Varint::Short);
        }

        #[test]
        fn zigzag_round_trips(n in any::<i64>()) {
            prop_assert_eq!(unzigzag(zigzag(n)), n);
        }

        #[test]
        fn any_bytes_end_in_fields_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut reader = MessageReader::new(&bytes);
            while let Ok(Some(_)) = reader.next_field() {}
        }
    }

    #[test]
    fn only_minimal_varints() {
        assert_eq!(get_varint(&[0x80, 0x00]), Varint::Bad);
        assert_eq!(get_varint(&[0xff; 10]), Varint::Bad);
        assert_eq!(
            get_varint(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
            Varint::Value(u64::MAX, 10)
        );
    }
}
