//! Time, passed in: a monotonic clock for order, the wall clock for people.

use hansard_core::session::ClockQuality;
use rustix::time::{ClockId, clock_gettime};

use crate::sys;

/// Where time comes from. Handed to the recorder, so that a simulation can replay a whole run.
pub trait Clock: Send + Sync {
    /// Nanoseconds since an arbitrary moment. MUST NOT go back.
    fn monotonic_ns(&self) -> u64;
    /// UTC nanoseconds since 1970. May jump in both directions.
    fn utc_ns(&self) -> u64;
    /// How far the wall clock can be trusted now.
    fn quality(&self) -> ClockQuality;
}

/// The kernel's clocks. Monotonic time goes on while the machine is suspended, so a recording
/// over a closed lid shows how long it was closed.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealClock;

impl Clock for RealClock {
    fn monotonic_ns(&self) -> u64 {
        read_ns(ClockId::Boottime)
    }

    fn utc_ns(&self) -> u64 {
        read_ns(ClockId::Realtime)
    }

    fn quality(&self) -> ClockQuality {
        match sys::kernel_clock_is_synchronised() {
            Some(true) => ClockQuality::Synchronised,
            Some(false) => ClockQuality::Unsynchronised,
            None => ClockQuality::Unknown,
        }
    }
}

fn read_ns(id: ClockId) -> u64 {
    let t = clock_gettime(id);
    let seconds = u64::try_from(t.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(t.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monotonic_time_passes_and_the_wall_clock_is_after_2020() {
        let clock = RealClock;
        let before = clock.monotonic_ns();
        std::thread::sleep(std::time::Duration::from_millis(2));
        assert!(clock.monotonic_ns() >= before + 2_000_000);
        assert!(clock.utc_ns() > 1_577_836_800_000_000_000);
    }
}
