//! Bytes that nobody is to see: overwritten when they are let go, and never printed.

use std::fmt;

/// A password, a private key, a key that seals. What is dropped is overwritten first.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// These bytes, which are nowhere else from now on.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The same, to be changed in their place.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// Leaves this many of them; the others are overwritten.
    pub(crate) fn cut(&mut self, len: usize) {
        if let Some(rest) = self.0.get_mut(len..) {
            wipe(rest);
        }
        self.0.truncate(len);
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text.into_bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

/// Overwrites bytes that are about to be let go.
pub fn wipe(bytes: &mut [u8]) {
    bytes.fill(0);
    // Else it would not be written: nobody reads it afterwards.
    std::hint::black_box(&*bytes);
}
