//! Protocol buffers as others write them: fields of a message, one after another, for hostile
//! bytes. (Core's reader is for our own messages, and stricter.)

/// What is wrong with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

/// The value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire<'a> {
    /// A variable-length number: unsigned, signed (two's complement), truth value, enumeration.
    Number(u64),
    /// Text, bytes, a message inside this one.
    Bytes(&'a [u8]),
    /// Eight or four bytes; no field of Teleport's has these types.
    Fixed,
}

/// Reads the fields of a message.
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next field's number and value; `None` at the end.
    pub(super) fn next_field(&mut self) -> Result<Option<(u32, Wire<'a>)>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let number = match u32::try_from(key >> 3) {
            Ok(number @ 1..=0x1fff_ffff) => number,
            _ => return Err(Malformed("a field number out of range")),
        };
        let wire = match key & 7 {
            0 => Wire::Number(self.varint()?),
            1 => self.take(8).map(|_| Wire::Fixed)?,
            2 => {
                let len = self.varint()?;
                Wire::Bytes(self.take(len)?)
            }
            5 => self.take(4).map(|_| Wire::Fixed)?,
            _ => return Err(Malformed("a field of a type that does not exist")),
        };
        Ok(Some((number, wire)))
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8], Malformed> {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let (value, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(Malformed("a field longer than its message"))?;
        self.rest = rest;
        Ok(value)
    }

    /// Up to ten bytes; longer forms than needed are legal here.
    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for (i, byte) in self.rest.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f)
                .checked_shl(7 * u32::try_from(i).unwrap_or(0))
                .unwrap_or(0);
            if byte & 0x80 == 0 {
                self.rest = self.rest.get(i + 1..).unwrap_or_default();
                return Ok(value);
            }
        }
        Err(Malformed("a number that does not end"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Result<Vec<(u32, Wire<'_>)>, Malformed> {
        let mut fields = Fields::new(bytes);
        let mut seen = Vec::new();
        while let Some(field) = fields.next_field()? {
            seen.push(field);
        }
        Ok(seen)
    }

    #[test]
    fn fields_of_every_type() {
        let bytes = b"\x08\x96\x01\x12\x02hi\x1d1234\x2112345678\x28\x80\x00";
        let want = vec![
            (1, Wire::Number(150)),
            (2, Wire::Bytes(b"hi")),
            (3, Wire::Fixed),
            (4, Wire::Fixed),
            (5, Wire::Number(0)),
        ];
        assert_eq!(all(bytes).unwrap(), want);
        let minus_two = b"\x08\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01";
        assert_eq!(all(minus_two).unwrap(), [(1, Wire::Number(u64::MAX - 1))]);
    }

    #[test]
    fn every_cut_and_every_lie_is_an_error() {
        for bad in [
            &b"\x08"[..],
            b"\x12\x05hi",
            b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x00",
            b"\x0b",
            b"\x1d123",
        ] {
            assert!(all(bad).is_err(), "{bad:?}");
        }
        assert!(all(&[0xff; 12]).is_err());
    }
}
