//! A policy on its way to a host, in pieces that each fit into a message.

use hansard_core::wire::Malformed;
use sha2::{Digest as _, Sha256};

use super::Down;

/// Longest text of a policy, in bytes. A service sends none that is longer; a host ends the
/// connection at one.
pub const POLICY_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of the text in one piece; a reader takes any length that fits into a message.
pub const POLICY_PIECE_BYTES: usize = 32 * 1024;

/// A piece of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyPiece {
    /// Version of the policy.
    pub version: u64,
    /// Bytes of the whole text.
    pub total_bytes: u64,
    /// Where this piece stands in it.
    pub offset: u64,
    /// SHA-256 of the whole text.
    pub sha256: [u8; 32],
    /// The piece.
    pub bytes: Vec<u8>,
}

/// A policy that has arrived whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyText {
    /// Its version at the service.
    pub version: u64,
    /// SHA-256 of its text.
    pub sha256: [u8; 32],
    /// The text.
    pub text: String,
}

/// What a host has of the service's policy.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InForce {
    /// Version that decides there; 0: none, the host's own configuration does.
    pub version: u64,
    /// SHA-256 of its text; zeros with version 0.
    pub sha256: [u8; 32],
    /// Why a newer one that was sent does not decide; empty when there is none.
    pub trouble: String,
}

impl PolicyText {
    /// A policy to be sent.
    #[must_use]
    pub fn new(version: u64, text: String) -> Self {
        let sha256 = Sha256::digest(text.as_bytes()).into();
        Self {
            version,
            sha256,
            text,
        }
    }

    /// Appends it to `out`, in pieces.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let total_bytes = self.text.len() as u64;
        let mut offset = 0u64;
        let mut pieces = self.text.as_bytes().chunks(POLICY_PIECE_BYTES);
        loop {
            // An empty text is one empty piece.
            let bytes = pieces.next().unwrap_or_default();
            let piece = PolicyPiece {
                version: self.version,
                total_bytes,
                offset,
                sha256: self.sha256,
                bytes: bytes.to_vec(),
            };
            Down::Policy(piece).encode(out);
            offset = offset.saturating_add(bytes.len() as u64);
            if offset >= total_bytes {
                return;
            }
        }
    }
}

fn malformed<T>(what: &str) -> Result<T, Malformed> {
    Err(Malformed(what.to_owned()))
}

/// Puts pieces together.
#[derive(Debug, Default)]
pub struct Assembly {
    bytes: Vec<u8>,
}

impl Assembly {
    /// Takes the next piece; answers the policy that it completes. A piece at offset 0 begins anew.
    ///
    /// # Errors
    /// When it does not follow the one before, or the whole is not what was announced.
    pub fn take(&mut self, piece: PolicyPiece) -> Result<Option<PolicyText>, Malformed> {
        if piece.total_bytes > POLICY_BYTES_MAX as u64 {
            return malformed("a policy longer than one may be");
        }
        if piece.offset == 0 {
            self.bytes.clear();
        }
        let there = self.bytes.len() as u64;
        let after = there.saturating_add(piece.bytes.len() as u64);
        let is_empty = piece.bytes.is_empty() && piece.total_bytes > 0;
        if piece.offset != there || after > piece.total_bytes || is_empty {
            return malformed("a piece of a policy that does not follow the one before");
        }
        self.bytes.extend_from_slice(&piece.bytes);
        if after < piece.total_bytes {
            return Ok(None);
        }
        let bytes = std::mem::take(&mut self.bytes);
        if Sha256::digest(&bytes)[..] != piece.sha256 {
            return malformed("a policy that is not what its digest says");
        }
        let Ok(text) = String::from_utf8(bytes) else {
            return malformed("a policy that is no text");
        };
        Ok(Some(PolicyText {
            version: piece.version,
            sha256: piece.sha256,
            text,
        }))
    }
}
