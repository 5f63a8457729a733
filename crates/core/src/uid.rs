//! Identifiers of what is told about events: one for each row or document that an event makes.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::id::SessionId;

/// The identifier of one row or document: 128 bits of SHA-256 over session, number and ordinal, in
/// the shape of a UUID of version 8 (RFC 9562 §5.8). The same for the same event for ever, and no
/// other's; so nothing that is kept under it can overwrite anything.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventUid(SessionId);

impl EventUid {
    /// The identifier of what this event of this session makes; `ordinal` counts from 0 where it
    /// makes more than one thing.
    #[must_use]
    pub fn new(session: SessionId, seq: u64, ordinal: u32) -> Self {
        let digest: [u8; 32] = Sha256::new_with_prefix(b"hansard event 1\0")
            .chain_update(session.as_bytes())
            .chain_update(seq.to_le_bytes())
            .chain_update(ordinal.to_le_bytes())
            .finalize()
            .into();
        let mut uid = [0u8; 16];
        uid.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        uid[6] = (uid[6] & 0x0f) | 0x80;
        uid[8] = (uid[8] & 0x3f) | 0x80;
        Self(SessionId::from_bytes(uid))
    }

    /// The sixteen bytes, most significant first.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl fmt::Display for EventUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for EventUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_never_changes() {
        let session = SessionId::from_bytes([7; 16]);
        // Computed apart: printf 'hansard event 1\0' … | sha256sum, with version and variant set.
        assert_eq!(
            EventUid::new(session, 3, 1).to_string(),
            "e632142b-c60a-870c-b8ba-3e28511848ae"
        );
    }

    #[test]
    fn each_part_counts() {
        let session = SessionId::from_bytes([7; 16]);
        let all = [
            EventUid::new(session, 0, 0),
            EventUid::new(session, 0, 1),
            EventUid::new(session, 1, 0),
            EventUid::new(session, 1 << 32, 0),
            EventUid::new(SessionId::from_bytes([8; 16]), 0, 0),
        ];
        let different: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
    }
}
