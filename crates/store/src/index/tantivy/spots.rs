//! The next places of what was found, in order.

use std::collections::BinaryHeap;
use std::sync::Arc;

use hansard_core::SessionId;
use tantivy::collector::{Collector, SegmentCollector};
use tantivy::columnar::ColumnValues;
use tantivy::{DocAddress, DocId, Score, SegmentOrdinal, SegmentReader};

use super::fields::{ID_HIGH, ID_LOW, LAST, NUMBER};
use crate::index::Spot;

/// A block that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) spot: Spot,
    pub(super) address: DocAddress,
    /// Whether it is its session's last.
    pub(super) is_last: bool,
}

/// Gathers the first so many behind a place.
pub(super) struct Spots {
    after: Option<Spot>,
    at_most: usize,
}

impl Spots {
    pub(super) fn new(after: Option<Spot>, at_most: usize) -> Self {
        Self { after, at_most }
    }
}

pub(super) struct OfSegment {
    segment: SegmentOrdinal,
    columns: [Arc<dyn ColumnValues<u64>>; 4],
    after: Option<Spot>,
    at_most: usize,
    /// The last of those that are kept is on top.
    first: BinaryHeap<Place>,
}

impl Collector for Spots {
    type Fruit = Vec<Place>;
    type Child = OfSegment;

    fn for_segment(
        &self,
        segment: SegmentOrdinal,
        reader: &SegmentReader,
    ) -> tantivy::Result<OfSegment> {
        let column = |name: &str| -> tantivy::Result<Arc<dyn ColumnValues<u64>>> {
            Ok(reader.fast_fields().u64(name)?.first_or_default_col(0))
        };
        Ok(OfSegment {
            segment,
            columns: [
                column(ID_HIGH)?,
                column(ID_LOW)?,
                column(NUMBER)?,
                column(LAST)?,
            ],
            after: self.after,
            at_most: self.at_most,
            first: BinaryHeap::new(),
        })
    }

    fn requires_scoring(&self) -> bool {
        false
    }

    fn merge_fruits(&self, of_segments: Vec<BinaryHeap<Place>>) -> tantivy::Result<Vec<Place>> {
        let mut all: Vec<Place> = of_segments.into_iter().flatten().collect();
        all.sort_unstable();
        all.truncate(self.at_most);
        Ok(all)
    }
}

impl SegmentCollector for OfSegment {
    type Fruit = BinaryHeap<Place>;

    fn collect(&mut self, doc: DocId, _: Score) {
        let [high, low, number, last] = &self.columns;
        let id = (u128::from(high.get_val(doc)) << 64) | u128::from(low.get_val(doc));
        let spot = Spot {
            session: SessionId::from_bytes(id.to_be_bytes()),
            number: u32::try_from(number.get_val(doc)).unwrap_or(u32::MAX),
        };
        if self.after.is_some_and(|after| spot <= after) {
            return;
        }
        self.first.push(Place {
            spot,
            address: DocAddress::new(self.segment, doc),
            is_last: last.get_val(doc) == 1,
        });
        if self.first.len() > self.at_most {
            self.first.pop();
        }
    }

    fn harvest(self) -> BinaryHeap<Place> {
        self.first
    }
}
