//! What a recorder takes from the world around it, in one value.

use std::sync::Arc;

use crate::clock::{Clock, RealClock};
use crate::disk::Disk;
use crate::random::{Random, RealRandom};
use crate::real_disk::RealDisk;

/// Clock, disk and random source. Nothing in this crate reads any of the three elsewhere, so a run
/// with simulated ones can be replayed from a seed.
#[derive(Clone)]
pub struct Environment {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Files.
    pub disk: Arc<dyn Disk>,
    /// Random bytes.
    pub random: Arc<dyn Random>,
}

impl Environment {
    /// The operating system's.
    #[must_use]
    pub fn real() -> Self {
        Self {
            clock: Arc::new(RealClock),
            disk: Arc::new(RealDisk),
            random: Arc::new(RealRandom),
        }
    }
}
