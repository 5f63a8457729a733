//! Events as flat JSON documents, for an event log and whatever reads one.
//!
//! [`Documents`] is fed the events of one recording in order and gives one document, or several,
//! for each but Data, whose bytes are only counted. Names, codes and fields are Teleport's where it
//! has one for the thing, so that what understands its audit log understands ours; where it has
//! none they are our own. [`catalogue`] is the one place that knows them: the documents, the page
//! `docs/events.md` ([`page()`]) and the tests are all made from it.
//!
//! What a document promises:
//!
//! - **Flat.** Values are texts, numbers, truth values and lists of texts, and a field has the same
//!   type wherever it stands. What an event says under a name that the catalogue does not know, or
//!   with a value of another type, stands as text under `x.NAME`; what it says under a name that
//!   every document uses for itself (`uid`, `time`, …) stands under `source.NAME`.
//! - **Its own.** `uid` is made from session, number and ordinal ([`hansard_core::EventUid`]).
//!   Nothing that is kept under it overwrites anything; the same event gives the same again.
//! - **Bounded.** Never longer than [`crate::limits::DOCUMENT_BYTES_MAX`]. What was cut is named in
//!   `truncated`, what found no room in `left_out`, what does not belong into a log (passwords,
//!   bytes of streams) in `withheld`. The recording has it all.
//! - **Exact.** Bytes that are no UTF-8 are shown with U+FFFD under their name, and stand as base64
//!   under `NAME.base64`; of a list with such bytes, all elements do.

pub mod catalogue;
mod header;
mod moment;
mod page;
mod sheet;
#[cfg(test)]
mod tests;
mod turn;
mod value;

pub use page::page;
pub use turn::{Counted, Document, Documents, Place, name_of};
