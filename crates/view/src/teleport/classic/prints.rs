//! How Teleport counts what a terminal was sent: `print` events, each with its moment, and what of
//! one follows from the one before.

use super::super::time::rounded_ms;
use super::super::timeline::INDEX_OUTSIDE;

/// What a `print` event says besides its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Print {
    /// Its moment, UTC nanoseconds; written to the nearest millisecond.
    pub(super) utc_ns: u64,
    /// Milliseconds since the first.
    pub(super) ms: u64,
    /// Bytes before it.
    pub(super) offset: u64,
    /// Index among all events but those of the kernel.
    pub(super) index: u64,
    /// Index among `print` events.
    pub(super) chunk: u64,
}

/// Counts, for reading and for writing alike: what the reader finds as it would be written anew
/// need not be kept.
#[derive(Debug, Default)]
pub(super) struct Prints {
    next_index: u64,
    next_chunk: u64,
    offset: u64,
    last: Option<(u64, u64)>,
}

const MS: u64 = 1_000_000;

impl Prints {
    /// The index that the next event should have.
    pub(super) fn next_index(&self) -> u64 {
        self.next_index
    }

    /// What a print at this moment says, as Teleport counts: whole milliseconds between one print
    /// and the next are added up, and time that runs backwards stands still.
    pub(super) fn expect(&self, utc_ns: u64) -> Print {
        let ms = match self.last {
            None => 0,
            Some((last_ns, ms)) => ms.saturating_add(utc_ns.saturating_sub(last_ns) / MS),
        };
        Print {
            utc_ns,
            ms,
            offset: self.offset,
            index: self.next_index,
            chunk: self.next_chunk,
        }
    }

    /// A moment that reads as this millisecond and follows the last print by so many whole
    /// milliseconds as was said: both are roundings of what it really was.
    pub(super) fn moment(&self, utc_ns: u64, ms: Option<u64>) -> u64 {
        let (Some((last_ns, last_ms)), Some(ms)) = (self.last, ms) else {
            return utc_ns;
        };
        let (rounded, half) = (rounded_ms(utc_ns).saturating_mul(MS), MS / 2);
        let since = ms.saturating_sub(last_ms).saturating_mul(MS);
        let earliest = last_ns
            .saturating_add(since)
            .max(rounded.saturating_sub(half));
        let latest = last_ns
            .saturating_add(since)
            .saturating_add(MS - 1)
            .min(rounded.saturating_add(half - 1));
        match latest.checked_sub(earliest) {
            Some(room) => earliest + room / 2,
            None => utc_ns,
        }
    }

    /// A print was read or written.
    pub(super) fn printed(&mut self, print: Print, len: u64) {
        self.counted(print.index);
        self.next_chunk = print.chunk.saturating_add(1);
        self.offset = self.offset.saturating_add(len);
        self.last = Some((print.utc_ns, print.ms));
    }

    /// An event with this index was read or written.
    pub(super) fn counted(&mut self, index: u64) {
        if index < INDEX_OUTSIDE {
            self.next_index = index + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_last_moments_there_are_do_not_overflow() {
        let mut prints = Prints::default();
        for utc_ns in [u64::MAX - 2 * MS, u64::MAX - 1, u64::MAX] {
            let found = prints.moment(utc_ns, Some(u64::MAX));
            let print = prints.expect(found);
            prints.printed(print, u64::MAX);
        }
    }

    proptest! {
        /// Teleport's own counting, done with true moments, is found again from what it wrote.
        #[test]
        fn a_moment_is_found_that_says_the_same(
            steps in proptest::collection::vec(0u64..5_000_000, 60..100),
        ) {
            let start = 1_600_000_000_123_456_789u64;
            let (mut now, mut ms, mut last) = (start, 0, start);
            let mut reading = Prints::default();
            let mut same = 0;
            for (i, step) in steps.iter().enumerate() {
                now += step;
                ms += if i > 0 { (now - last) / MS } else { 0 };
                last = now;
                let found = reading.moment(rounded_ms(now) * MS, Some(ms));
                prop_assert!(found.abs_diff(now) <= MS);
                let print = reading.expect(found);
                prop_assert_eq!(rounded_ms(print.utc_ns), rounded_ms(now));
                same += usize::from(print.ms == ms);
                reading.printed(Print { ms, ..print }, 1);
            }
            // Where no moment says both, the print is told beside its bytes.
            prop_assert!(same * 10 >= steps.len() * 7, "{same} of {}", steps.len());
        }
    }
}
