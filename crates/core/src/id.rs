//! Identifiers of sessions: UUID version 7 (RFC 9562 §5.7).

use std::fmt;
use std::str::FromStr;

/// A session's identifier. Sorts by the millisecond of creation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId([u8; 16]);

impl SessionId {
    /// Makes an identifier from a UTC time in milliseconds and ten random bytes (74 bits of them
    /// are used), both given by the caller.
    #[must_use]
    pub fn new_v7(unix_ms: u64, random: [u8; 10]) -> Self {
        let time = unix_ms.to_be_bytes();
        let mut bytes = [0u8; 16];
        let (head, tail) = bytes.split_at_mut(6);
        head.copy_from_slice(time.get(2..).unwrap_or(&[0; 6]));
        tail.copy_from_slice(&random);
        bytes[6] = (bytes[6] & 0x0f) | 0x70;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        Self(bytes)
    }

    /// The identifier with these sixteen bytes, whatever their version.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The sixteen bytes, most significant first.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for SessionId {
    // Made whole and written once: every document and every listing holds some of these.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digit = |n: u8| if n < 10 { b'0' + n } else { b'a' + n - 10 };
        let mut text = [b'-'; 36];
        let mut places = text
            .iter_mut()
            .enumerate()
            .filter(|(at, _)| !matches!(at, 8 | 13 | 18 | 23))
            .map(|(_, place)| place);
        for byte in self.0 {
            for (n, place) in [byte >> 4, byte & 0x0f].into_iter().zip(places.by_ref()) {
                *place = digit(n);
            }
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text was not a UUID: 32 hexadecimal digits in groups of 8-4-4-4-12.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAnId;

impl fmt::Display for NotAnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a session id (a UUID such as 01890a5d-ac96-774b-bcce-b302099a8057)")
    }
}

impl std::error::Error for NotAnId {}

impl FromStr for SessionId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        if text.len() != 36 {
            return Err(NotAnId);
        }
        let mut bytes = [0u8; 16];
        let mut nibbles = 0usize;
        for (i, c) in text.bytes().enumerate() {
            if matches!(i, 8 | 13 | 18 | 23) {
                if c != b'-' {
                    return Err(NotAnId);
                }
                continue;
            }
            let digit = char::from(c).to_digit(16).ok_or(NotAnId)?;
            let digit = u8::try_from(digit).map_err(|_| NotAnId)?;
            let slot = bytes.get_mut(nibbles / 2).ok_or(NotAnId)?;
            *slot = (*slot << 4) | digit;
            nibbles += 1;
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        let id = SessionId::new_v7(0x0189_0a5d_ac96, [0xff; 10]);
        assert_eq!(id.to_string(), "01890a5d-ac96-7fff-bfff-ffffffffffff");
        assert_eq!(id.to_string().parse::<SessionId>().unwrap(), id);
        for bad in [
            "",
            "01890a5d-ac96-7fff-bfff-fffffffffff",
            "01890a5d+ac96-7fff-bfff-ffffffffffff",
            "01890a5d-ac96-7fff-bfff-fffffffffffg",
            "../../etc/passwd-7fff-bfff-ffffffffff",
        ] {
            assert_eq!(bad.parse::<SessionId>(), Err(NotAnId), "{bad}");
        }
    }
}
