//! A file that is open over SFTP: what passes of it, in both directions.

use sha2::{Digest as _, Sha256};

/// Bytes of a file in one direction, as long as they come one after the other from its beginning: then
/// their digest is the file's.
#[derive(Debug, Clone, Default)]
pub(super) struct Passed {
    pub(super) bytes: u64,
    next: u64,
    digest: Sha256,
    is_broken: bool,
}

impl Passed {
    pub(super) fn take(&mut self, offset: u64, bytes: &[u8]) {
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        if offset != self.next || self.is_broken {
            self.is_broken = true;
            return;
        }
        self.next = self.next.saturating_add(bytes.len() as u64);
        self.digest.update(bytes);
    }

    /// SHA-256 in hexadecimal, where all came in order.
    pub(super) fn sha256(self) -> Option<String> {
        if self.is_broken || self.bytes == 0 {
            return None;
        }
        let digest = self.digest.finalize();
        Some(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// What is behind a handle.
#[derive(Debug, Clone, Default)]
pub(super) struct Open {
    pub(super) path: String,
    pub(super) flags: u32,
    pub(super) is_directory: bool,
    pub(super) read: Passed,
    pub(super) written: Passed,
    /// The first error of the server about it.
    pub(super) error: Option<String>,
}
