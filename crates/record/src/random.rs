//! Randomness, passed in: identifiers, keys made for one recording, the jitter of retries.

use std::io;

use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};

/// Where random bytes come from.
pub trait Random: Send + Sync {
    /// Fills all of `bytes`.
    ///
    /// # Errors
    /// When the system has no randomness to give. A caller MUST NOT go on with what is in `bytes`.
    fn fill(&self, bytes: &mut [u8]) -> io::Result<()>;
}

/// The kernel's random source, getrandom(2).
#[derive(Debug, Clone, Copy, Default)]
pub struct RealRandom;

impl Random for RealRandom {
    fn fill(&self, bytes: &mut [u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match getrandom(&mut *rest, GetRandomFlags::empty()) {
                Ok(n) => rest = rest.get_mut(n..).unwrap_or_default(),
                Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_fills_differ_and_every_byte_is_reached() {
        let (mut a, mut b) = ([0u8; 1000], [0u8; 1000]);
        RealRandom.fill(&mut a).unwrap();
        RealRandom.fill(&mut b).unwrap();
        assert_ne!(a, b);
        assert!(a.chunks(50).all(|c| c.iter().any(|b| *b != 0)));
    }
}
