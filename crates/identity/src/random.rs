//! Randomness, passed in.

use std::io;

use crate::failure::Failure;

/// Where random bytes come from. A closure over the program's own source is one.
pub trait Random: Send + Sync {
    /// Fills all of `bytes`.
    ///
    /// # Errors
    /// When there is no randomness to have. A caller MUST NOT go on with what is in `bytes`.
    fn fill(&self, bytes: &mut [u8]) -> io::Result<()>;
}

impl<F: Fn(&mut [u8]) -> io::Result<()> + Send + Sync> Random for F {
    fn fill(&self, bytes: &mut [u8]) -> io::Result<()> {
        self(bytes)
    }
}

/// `N` random bytes.
pub(crate) fn draw<const N: usize>(random: &dyn Random) -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    match random.fill(&mut bytes) {
        Ok(()) => Ok(bytes),
        Err(error) => Err(Failure::Retry(format!("no randomness: {error}"))),
    }
}
