//! Handing over bytes of a stream that may have a budget: what the recording says stands in its order, and what
//! is not taken is taken back from the account.

use hansard_core::{Body, Stream};

use super::{Bulk, Taken};
use crate::intake::{ENTRY_BYTES_MAX, Item};
use crate::lost::Lost;

/// A recording whose streams may have budgets.
pub(crate) trait Budgeted {
    /// Works with the budgets, if there are any, at the moment that it is.
    fn with_bulk<T>(&mut self, work: impl FnOnce(&mut Bulk, u64) -> T) -> Option<T>;

    /// Queues an item; `false`: it was dropped, and a gap will say so.
    fn push(&mut self, item: Item<'_>) -> Result<bool, Lost>;

    /// Queues events; answers whether all were taken.
    fn say(&mut self, bodies: Vec<Body>) -> Result<bool, Lost> {
        let mut are_taken = true;
        for body in bodies {
            are_taken &= self.push(Item::Event(body))?;
        }
        Ok(are_taken)
    }

    /// Hands over bytes of a stream, as far as its budget goes.
    fn hand_over(&mut self, stream: Stream, bytes: &[u8]) -> Result<(), Lost> {
        let taken = self.with_bulk(|bulk, now_ns| bulk.take(stream, bytes, now_ns));
        let taken = taken.unwrap_or_else(|| Taken::whole(bytes));
        let mut is_said = self.say(taken.before)?;
        let (kept, mut lost) = (bytes.get(..taken.kept).unwrap_or_default(), 0_u64);
        for piece in kept.chunks(ENTRY_BYTES_MAX) {
            if !self.push(Item::Data(stream, piece))? {
                lost = lost.saturating_add(piece.len() as u64);
            }
        }
        if lost > 0 {
            self.with_bulk(|bulk, _| bulk.was_lost(stream, lost));
        }
        if taken.is_due {
            let due = self.with_bulk(|bulk, _| bulk.due(stream));
            is_said &= self.say(due.unwrap_or_default())?;
        }
        if !is_said {
            self.with_bulk(|bulk, _| bulk.was_not_said(stream));
        }
        Ok(())
    }
}
