//! Which segment of each session is newest, where every segment is, and the rows people ask for.
//!
//! Trusted for one thing only: freshness. Everything in it can be computed again from the blobs
//! ([`crate::reindex`]), and segments prove themselves.

use std::fmt;
use std::sync::Arc;

use hansard_core::SessionId;
use hansard_core::seal::{Digest, NO_PREDECESSOR};

use crate::blob::BlobName;

pub mod conformance;
pub mod counts;
pub mod hosts;
pub mod memory;
pub mod query;
pub mod retention;
pub mod rows;
pub mod sqlite;

pub use counts::{By, CountWish, EventCounts, Facet};
pub use hosts::{HostSessions, OfKind};
pub use query::{ArrivalCursor, Cursor, Page, Query};
pub use retention::{Burial, Buried, Expiry, Move, Retention, Tombstone};
pub use rows::{EndFacts, EventRow, SegmentUpdate, SessionRow, StartFacts};

/// Why a catalog did not do what it was asked, sorted by what the caller does about it. A segment
/// that must not come next is no error of a catalog: see [`Advanced::Conflict`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CatalogError {
    /// Not now; any part of it may have been done. Ask the same again later.
    Retry(String),
    /// Never: a query or a row that no catalog takes.
    Refused(String),
    /// The catalog itself is damaged. Set it aside and build it anew from the blobs.
    Damaged(String),
}

impl fmt::Display for CatalogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry(why) | Self::Refused(why) => f.write_str(why),
            Self::Damaged(why) => write!(f, "{why}; it can be built anew from the archive"),
        }
    }
}

impl std::error::Error for CatalogError {}

/// Where a segment is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// In which blob.
    pub blob: BlobName,
    /// Where it begins there.
    pub offset: u64,
    /// How long it is.
    pub bytes: u64,
}

/// An archived segment. A session's head is the row of its newest one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentRow {
    /// The session.
    pub session: SessionId,
    /// The segment's number, from 0.
    pub number: u32,
    /// Digest of the segment before.
    pub predecessor: Digest,
    /// Its digest.
    pub digest: Digest,
    /// SHA-256 of its bytes.
    pub content: Digest,
    /// Key that signed it.
    pub key: [u8; 32],
    /// Number of the next event.
    pub next_seq: u64,
    /// Time of its last event, nanoseconds since the session's start.
    pub last_ns: u64,
    /// Whether the session ends with it.
    pub is_final: bool,
    /// Segments before it are lost, so it need not continue the head: set by reindexing, and where a
    /// sender has them no more.
    pub after_loss: bool,
    /// Where it is.
    pub place: Place,
}

/// What became of one segment that was to become its session's newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advanced {
    /// It is the newest now.
    Done,
    /// It was archived before; its first place stays.
    Already,
    /// The head is not its predecessor: another segment is in its place, or the session ended.
    Conflict,
    /// A segment before it is missing.
    TooEarly,
}

/// What a compare-and-swap compares.
pub(crate) struct Head {
    pub(crate) number: u32,
    pub(crate) digest: Digest,
    pub(crate) is_final: bool,
}

impl Head {
    pub(crate) fn of(row: &SegmentRow) -> Self {
        Self {
            number: row.number,
            digest: row.digest,
            is_final: row.is_final,
        }
    }

    /// The rule of [`Catalog::advance`]: what becomes of a row, given its session's head and the
    /// content that is in the row's place. Whoever asks holds both still.
    pub(crate) fn advance(
        head: Option<&Self>,
        there: Option<Digest>,
        row: &SegmentRow,
    ) -> Advanced {
        match (there, head) {
            (Some(content), _) if content == row.content => Advanced::Already,
            (Some(_), _) => Advanced::Conflict,
            (None, Some(head)) if head.is_final || row.number <= head.number => Advanced::Conflict,
            (None, _) if row.after_loss => Advanced::Done,
            (None, Some(head)) if row.number - head.number > 1 => Advanced::TooEarly,
            (None, Some(head)) if row.predecessor == head.digest => Advanced::Done,
            (None, None) if row.number > 0 => Advanced::TooEarly,
            (None, None) if row.predecessor == NO_PREDECESSOR => Advanced::Done,
            (None, _) => Advanced::Conflict,
        }
    }
}

/// Something that could not be read, kept apart so that it stops nothing else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quarantined {
    /// What: a blob's name, or a blob's name, a space, a session, a slash and a segment's number.
    pub what: String,
    /// Why.
    pub reason: String,
}

/// Heads, places and rows.
///
/// Contract, in the words of RFC 2119:
///
/// - `advance` is one compare-and-swap for each row: a row MUST become its session's head only if
///   the head is the row before it with the row's `predecessor` as its digest (or nothing, for row 0
///   with no predecessor), or if the row is marked `after_loss` and its number is higher; never
///   after a final one. Its place MUST be kept with it, atomically.
/// - Rows of one call MUST be tried in order, so that several of one session follow each other. A
///   row that is there with the same `content` MUST answer [`Advanced::Already`] and change nothing.
/// - `Ok` of `advance` MUST mean durable. Other writes MAY be lost with the power if what they
///   followed is lost or repeatable; they MUST NOT be lost while a later `advance` is kept.
/// - On `Retry` any part of a call may have been done. Repeating it MUST be harmless.
/// - `put_events` MUST leave one row for each (session, seq, ordinal), however often it is put.
/// - Whoever projects does so for the segments of a session in order; `counted` of a session's row is
///   that of the last update.
/// - `project` MUST count a segment's update once, however often it is made, and never without
///   taking the segment off those that wait.
/// - Rows MUST be answered in the order that the query asks, each once, and an answer that does not
///   hold all MUST say where to go on.
/// - `arrived` MUST answer segments in the order in which they became their sessions' heads, whatever
///   their sessions, and MUST NOT let one become visible before another that was there when somebody
///   asked. Cursors MUST NOT be used twice, also where what they named was deleted.
/// - `count_events` MUST count each row that `events` answers to the same query, once. It MAY look at one
///   row of many, and MUST say so then; what it says is then so many times what it saw.
/// - Writers and readers MUST NOT wait for each other longer than for one group of writes.
pub trait Catalog: Retention {
    /// The newest segment of each of these sessions.
    ///
    /// # Errors
    /// As sorted by [`CatalogError`].
    fn heads(&self, sessions: &[SessionId]) -> Result<Vec<Option<SegmentRow>>, CatalogError>;

    /// Makes each row its session's head, in order, if it continues the head.
    ///
    /// # Errors
    /// As sorted by [`CatalogError`].
    fn advance(&self, rows: &[SegmentRow]) -> Result<Vec<Advanced>, CatalogError>;

    /// A session's segments in order, from this number on; at most `limit`, fewer only at the end.
    ///
    /// # Errors
    /// As sorted by [`CatalogError`].
    fn segments(
        &self,
        session: SessionId,
        from: u32,
        limit: usize,
    ) -> Result<Vec<SegmentRow>, CatalogError>;

    /// The next segments after this place in the order of their arrival, at most `limit`, fewer only
    /// at the end. [`ArrivalCursor::default`] is before the first.
    ///
    /// # Errors
    /// As sorted by [`CatalogError`].
    fn arrived(
        &self,
        after: ArrivalCursor,
        limit: usize,
    ) -> Result<Vec<(ArrivalCursor, SegmentRow)>, CatalogError>;

    /// Which of these blobs hold a segment that a row points to.
    ///
    /// # Errors
    /// As sorted by [`CatalogError`].
    fn referenced(&self, blobs: &[BlobName]) -> Result<Vec<bool>, CatalogError>;

    /// Segments that no update was made for and that are not quarantined, those of one session in
    /// order; at most `limit`.
    ///
    /// # Errors
    /// As sorted by [`CatalogError`].
    fn unprojected(&self, limit: usize) -> Result<Vec<SegmentRow>, CatalogError>;

    /// Writes rows of events; those that are there stay.
    ///
    /// # Errors
    /// As sorted by [`CatalogError`]; `Refused` beyond [`crate::limits::CATALOG_EVENTS_MAX`].
    fn put_events(&self, rows: Arc<[EventRow]>) -> Result<(), CatalogError>;

    /// Counts segments into their sessions' rows.
    ///
    /// # Errors
    /// As sorted by [`CatalogError`].
    fn project(&self, updates: &[SegmentUpdate]) -> Result<(), CatalogError>;

    /// Puts something aside. `segment` is taken off those that wait.
    ///
    /// # Errors
    /// As sorted by [`CatalogError`].
    fn quarantine(
        &self,
        item: &Quarantined,
        segment: Option<(SessionId, u32)>,
    ) -> Result<(), CatalogError>;

    /// What is quarantined, in order, after this; at most `limit`, fewer only at the end.
    ///
    /// # Errors
    /// As sorted by [`CatalogError`].
    fn quarantined(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Quarantined>, CatalogError>;

    /// Sessions, by start.
    ///
    /// # Errors
    /// As sorted by [`CatalogError`]; `Refused` when the query names an event.
    fn sessions(&self, query: &Query) -> Result<Page<SessionRow>, CatalogError>;

    /// Events, by time.
    ///
    /// # Errors
    /// As sorted by [`CatalogError`].
    fn events(&self, query: &Query) -> Result<Page<EventRow>, CatalogError>;

    /// Hosts that sessions name, by name, after this one; at most `limit`, fewer only at the end. Of each
    /// at most [`hosts::HOST_SESSIONS_MAX`] sessions are counted, the newest.
    ///
    /// # Errors
    /// As sorted by [`CatalogError`].
    fn hosts(&self, after: Option<&str>, limit: usize) -> Result<Vec<HostSessions>, CatalogError>;

    /// How many events there are, by time and by value.
    ///
    /// # Errors
    /// As sorted by [`CatalogError`].
    fn count_events(&self, wish: &CountWish) -> Result<EventCounts, CatalogError>;
}
