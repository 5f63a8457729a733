//! What was forgotten is found no more at once, and stands in the index's files still: those are never
//! changed, so they are written anew without it, now and then.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use tantivy::index::SegmentId;

use super::{TantivyIndex, guarded, sorted};
use crate::index::{Index as _, IndexError};

/// How long it stands there at most, for each GiB that the index takes, begun ones, too: what is written
/// anew is all that is in a file besides it.
const WORN_PER_GIB: Duration = Duration::from_secs(3600);

/// How long it stands there however large the index is.
const WORN_MAX: Duration = Duration::from_secs(86_400);

/// When files were last written anew, and whether the old ones may be open still.
#[derive(Debug, Default)]
pub(super) struct Worn {
    begun: Option<Instant>,
    is_open: bool,
}

impl Worn {
    fn is_due(&self, bytes: u64) -> bool {
        let gib = u32::try_from(bytes >> 30)
            .unwrap_or(u32::MAX)
            .saturating_add(1);
        let wait = WORN_PER_GIB.saturating_mul(gib).min(WORN_MAX);
        self.begun.is_none_or(|begun| begun.elapsed() >= wait)
    }
}

impl TantivyIndex {
    /// Begins to write anew what has something forgotten in it, where that is due; a thread of the library's
    /// own does it. A crash meanwhile leaves it as it was, and the next start begins again.
    pub(super) fn renew_worn(&self) -> Result<(), IndexError> {
        let mut worn = self.worn.lock().unwrap_or_else(PoisonError::into_inner);
        if worn.is_open {
            guarded(|| self.reader.reload().map_err(sorted))?;
        }
        let segments = self.worn_segments();
        worn.is_open &= !segments.is_empty();
        if segments.is_empty() || !worn.is_due(self.size().bytes) {
            return Ok(());
        }
        *worn = Worn {
            begun: Some(Instant::now()),
            is_open: true,
        };
        self.with_writer(|writer, _| {
            for segment in segments {
                // One that is being written anew already, with others, comes out without it, too.
                drop(writer.merge(&[segment]));
            }
            Ok(())
        })
    }

    /// Those that hold something that is found no more.
    fn worn_segments(&self) -> Vec<SegmentId> {
        let searcher = self.reader.searcher();
        let all = searcher.segment_readers().iter();
        let worn = all.filter(|segment| segment.num_deleted_docs() > 0);
        worn.map(tantivy::SegmentReader::segment_id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_index_is_written_anew_less_often() {
        let ago = |hours: u64| Worn {
            begun: Instant::now().checked_sub(Duration::from_secs(hours * 3600)),
            is_open: false,
        };
        assert!(Worn::default().is_due(u64::MAX));
        assert!(ago(1).is_due(1 << 29) && !ago(0).is_due(1 << 29));
        assert!(ago(5).is_due(4 << 30) && !ago(4).is_due(4 << 30));
        assert!(ago(24).is_due(u64::MAX) && !ago(23).is_due(u64::MAX));
    }
}
