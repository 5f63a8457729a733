//! Where recordings are kept for good: blobs that are not trusted, a catalog that is trusted for one
//! thing (which segment is newest), and rows that are computed from segments and can be again.
//!
//! The modules, in the order of the data:
//!
//! - [`segment`]: a sealed segment, checked; [`chain`]: whether it is the one that must come, and
//!   the alarm where it is not
//! - [`pack`]: many segments in one immutable object; [`blob`]: where those are written, once
//! - [`catalog`]: which segment is newest, where each is, and the rows that people ask for
//! - [`archive`]: the four steps of storing, and the way back to a recording
//! - [`project`]: segments → rows; [`reindex`]: all of a catalog from the blobs alone
//! - [`index`]: full text, and what is found in it
//! - [`retention`]: deleting for good what is old enough, and what it leaves
//! - [`fault`]: failing on purpose; [`limits`]: every bound, and what happens at it
//!
//! No clock, no runtime: time is passed in, and everything blocks its caller. What is not here on
//! purpose: the network, keys of hosts and people, and who may look at what.

#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::cast_possible_truncation
    )
)]

pub mod archive;
pub mod blob;
pub mod catalog;
pub mod chain;
pub mod fault;
pub mod index;
pub mod limits;
pub mod pack;
pub mod project;
pub mod reindex;
pub mod retention;
pub mod segment;

pub use archive::{Archive, ArchiveError, ArchiveOptions};
pub use blob::{BlobError, BlobName, BlobStore};
pub use catalog::{Catalog, CatalogError, Query};
pub use chain::{Alarm, AlarmKind};
pub use index::{Index, IndexError};
pub use segment::{GrowingSegment, SealedSegment};
