//! A simulated world: clock, disk and randomness that come from a seed, so that a run which failed
//! can be run again exactly.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hansard_core::session::ClockQuality;

use crate::clock::Clock;
use crate::random::Random;

pub mod disk;
mod power;
pub mod recorder;
mod world;

pub use disk::{Odds, SimDisk, WriteFault};
pub use recorder::SimRecorder;

/// Pseudo-random numbers (SplitMix64). The same seed gives the same numbers on every machine.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// Begins at this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 if that is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next_u64().checked_rem(bound).unwrap_or(0)
    }

    /// A length of at most `max`.
    pub fn up_to(&mut self, max: usize) -> usize {
        usize::try_from(self.below((max as u64).saturating_add(1))).unwrap_or(max)
    }

    /// True once in `n` times; never if `n` is 0.
    pub fn one_in(&mut self, n: u32) -> bool {
        n > 0 && self.below(u64::from(n)) == 0
    }
}

/// The random source of a simulated run.
pub struct SimRandom(Mutex<Rng>);

impl SimRandom {
    /// Begins at this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(Rng::new(seed)))
    }
}

impl Random for SimRandom {
    fn fill(&self, bytes: &mut [u8]) -> io::Result<()> {
        let mut rng = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for chunk in bytes.chunks_mut(8) {
            for (byte, random) in chunk.iter_mut().zip(rng.next_u64().to_le_bytes()) {
                *byte = random;
            }
        }
        Ok(())
    }
}

/// A clock that stands still until it is told otherwise. Clones show the same time.
#[derive(Debug, Clone, Default)]
pub struct SimClock {
    monotonic_ns: Arc<AtomicU64>,
    utc_ns: Arc<AtomicU64>,
}

impl SimClock {
    /// A clock at monotonic zero and this UTC time.
    #[must_use]
    pub fn new(utc_ns: u64) -> Self {
        let clock = Self::default();
        clock.utc_ns.store(utc_ns, Ordering::SeqCst);
        clock
    }

    /// Lets time pass.
    pub fn advance(&self, ns: u64) {
        self.monotonic_ns.fetch_add(ns, Ordering::SeqCst);
        self.utc_ns.fetch_add(ns, Ordering::SeqCst);
    }

    /// Sets the wall clock, as an administrator or a bad time server would.
    pub fn set_utc_ns(&self, utc_ns: u64) {
        self.utc_ns.store(utc_ns, Ordering::SeqCst);
    }
}

impl Clock for SimClock {
    fn monotonic_ns(&self) -> u64 {
        self.monotonic_ns.load(Ordering::SeqCst)
    }

    fn utc_ns(&self) -> u64 {
        self.utc_ns.load(Ordering::SeqCst)
    }

    fn quality(&self) -> ClockQuality {
        ClockQuality::Synchronised
    }
}
