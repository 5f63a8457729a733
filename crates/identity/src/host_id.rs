//! Identifiers of hosts and services: UUID version 7, as sessions have them, of a type of their own.

use std::fmt;
use std::str::FromStr;

use hansard_core::SessionId;

/// A host's or a service's identifier, given by the authority when it joined. Never used again for
/// another.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostId(SessionId);

impl HostId {
    /// Makes one from a UTC time in milliseconds and ten random bytes.
    #[must_use]
    pub fn new_v7(unix_ms: u64, random: [u8; 10]) -> Self {
        Self(SessionId::new_v7(unix_ms, random))
    }

    /// The sixteen bytes, most significant first.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The text was not the one spelling of a UUID version 7.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAHostId;

impl fmt::Display for NotAHostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a host id (a UUIDv7 such as 01890a5d-ac96-774b-bcce-b302099a8057)")
    }
}

impl std::error::Error for NotAHostId {}

impl FromStr for HostId {
    type Err = NotAHostId;

    /// Takes the canonical spelling only: it becomes a file's name and a part of a URI, and two
    /// spellings of one host would be two hosts there.
    fn from_str(text: &str) -> Result<Self, NotAHostId> {
        let id: SessionId = text.parse().map_err(|_| NotAHostId)?;
        let bytes = id.as_bytes();
        let version_7 = bytes.get(6).is_some_and(|b| b >> 4 == 7);
        let variant = bytes.get(8).is_some_and(|b| b >> 6 == 0b10);
        if version_7 && variant && id.to_string() == text {
            Ok(Self(id))
        } else {
            Err(NotAHostId)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_only() {
        let id = HostId::new_v7(0x0189_0a5d_ac96, [0xff; 10]);
        assert_eq!(id.to_string().parse::<HostId>(), Ok(id));
        for bad in [
            "01890A5D-AC96-7FFF-BFFF-FFFFFFFFFFFF",
            "01890a5d-ac96-4fff-bfff-ffffffffffff",
            "01890a5d-ac96-7fff-ffff-ffffffffffff",
            "01890a5d-ac96-7fff-bfff-ffffffffffff ",
            "../../etc/passwd",
            "",
        ] {
            assert_eq!(bad.parse::<HostId>(), Err(NotAHostId), "{bad}");
        }
    }
}
