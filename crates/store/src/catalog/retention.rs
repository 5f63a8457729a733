//! Deleting recordings for good: what has expired, what is held, what is left of what was deleted.

use hansard_core::SessionId;
use hansard_core::seal::Digest;

use crate::blob::BlobName;
use crate::catalog::{CatalogError, Cursor, Place, SegmentRow, SessionRow, StartFacts};

/// Sessions that are to be found because they are old.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expiry {
    /// Their last event is from before this UTC time, nanoseconds since 1970.
    pub ended_before_ns: u64,
    /// Their last segment was dated ([`Retention::date`]) before this time.
    pub dated_before_ns: u64,
    /// The same of those that have no end: that they are quiet is their host's word alone, and its clock's.
    pub unended_dated_before_ns: u64,
    /// Of this kind.
    pub kind: Option<String>,
    /// On this host.
    pub host: Option<String>,
    /// Of this user.
    pub user: Option<String>,
    /// With all of these labels, `name=value`.
    pub labels: Vec<String>,
    /// Behind this place, by start.
    pub after: Option<Cursor>,
    /// Rows of the answer, at most [`crate::limits::QUERY_ROWS_MAX`].
    pub limit: usize,
}

/// Why and by whom a session is deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Burial {
    /// Who: a user, or the rule of retention.
    pub by: String,
    /// Why, in words.
    pub why: String,
    /// When, UTC nanoseconds since 1970.
    pub utc_ns: u64,
}

/// What is left of a session that was deleted. It stays for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tombstone {
    /// The session.
    pub session: SessionId,
    /// What its header said.
    pub start: StartFacts,
    /// Time of its last event, nanoseconds since the start.
    pub last_ns: u64,
    /// Number of its newest segment.
    pub number: u32,
    /// Digest of that.
    pub digest: Digest,
    /// Key that signed it.
    pub key: [u8; 32],
    /// Number of the event that would have come next.
    pub next_seq: u64,
    /// Whether it had ended.
    pub is_final: bool,
    /// Segments that were counted.
    pub segments: u64,
    /// Bytes of them as they were stored.
    pub stored_bytes: u64,
    /// Who deleted it, why and when.
    pub burial: Burial,
}

/// What became of a session that was to be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Buried {
    /// Its rows and places are gone; this is left.
    Done(Box<Tombstone>),
    /// It was deleted before.
    Already(Box<Tombstone>),
    /// It is held.
    Held,
    /// Something of it waits to be projected: later.
    Waits,
    /// Nothing of it is archived.
    Unknown,
}

/// A segment that is in another place now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The segment.
    pub session: SessionId,
    /// Its number.
    pub number: u32,
    /// The blob it was in.
    pub from: BlobName,
    /// Where it is.
    pub to: Place,
}

/// The part of a catalog that deletes.
///
/// Contract, in the words of RFC 2119:
///
/// - `bury` MUST, atomically, leave a tombstone, take off the session's row and segments, and doom
///   their blobs. It MUST NOT do anything to a session that is held, or of which a segment waits to
///   be projected. `Ok` MUST mean durable.
/// - After it `advance` MUST answer [`super::Advanced::Conflict`] for every segment of the session,
///   and nothing but `sweep` sees the rows of its events; whoever asks for events MAY see them until
///   then.
/// - `hold` MUST be durable when `Ok`, and MAY be set for sessions that nobody knows.
/// - `entomb` MUST do nothing to a session that has segments or a tombstone. `Ok` MUST mean durable.
/// - `date` MUST give every session the time of the first call after the last segment was counted
///   into its row, and never another for the same number of segments.
/// - `expired` MUST NOT answer sessions that are held, not dated, or of which segments wait.
/// - `relocate` MUST move a segment only if it is where it is said to be, and MUST doom that blob.
/// - On `Retry` any part of a call may have been done. Repeating it MUST be harmless.
pub trait Retention: Send + Sync {
    /// Sets or lifts a legal hold.
    ///
    /// # Errors
    /// As sorted by [`CatalogError`].
    fn hold(&self, session: SessionId, held: bool) -> Result<(), CatalogError>;

    /// Which of these are held.
    ///
    /// # Errors
    /// As sorted by [`CatalogError`].
    fn held(&self, sessions: &[SessionId]) -> Result<Vec<bool>, CatalogError>;

    /// Sessions that are held, by identifier, after this one; at most `limit`, fewer only at the end.
    ///
    /// # Errors
    /// As sorted by [`CatalogError`].
    fn holds(&self, after: Option<SessionId>, limit: usize)
    -> Result<Vec<SessionId>, CatalogError>;

    /// Writes down that what is there now was there at this UTC time, nanoseconds since 1970, so
    /// that age is counted from the service's own clock, too.
    ///
    /// # Errors
    /// As sorted by [`CatalogError`].
    fn date(&self, utc_ns: u64) -> Result<(), CatalogError>;

    /// The newest time that [`Retention::date`] gave to a session that is there; `None` where none has one.
    ///
    /// # Errors
    /// As sorted by [`CatalogError`].
    fn newest_date(&self) -> Result<Option<u64>, CatalogError>;

    /// Sessions that are old, by start.
    ///
    /// # Errors
    /// As sorted by [`CatalogError`].
    fn expired(&self, expiry: &Expiry) -> Result<Vec<SessionRow>, CatalogError>;

    /// Deletes a session, but for its tombstone, its events' rows and its bytes.
    ///
    /// # Errors
    /// As sorted by [`CatalogError`].
    fn bury(&self, session: SessionId, burial: &Burial) -> Result<Buried, CatalogError>;

    /// Keeps the tombstone of a session of which nothing else is known here; answers whether it did.
    ///
    /// # Errors
    /// As sorted by [`CatalogError`].
    fn entomb(&self, tombstone: &Tombstone) -> Result<bool, CatalogError>;

    /// What is left of these sessions, where they were deleted.
    ///
    /// # Errors
    /// As sorted by [`CatalogError`].
    fn tombstones(&self, sessions: &[SessionId]) -> Result<Vec<Option<Tombstone>>, CatalogError>;

    /// Removes rows of events of deleted sessions, at most `limit`; says how many, 0 at the end.
    ///
    /// # Errors
    /// As sorted by [`CatalogError`].
    fn sweep(&self, limit: usize) -> Result<u64, CatalogError>;

    /// Blobs with segments of deleted sessions, by name, after this one; at most `limit`.
    ///
    /// # Errors
    /// As sorted by [`CatalogError`].
    fn doomed(&self, after: Option<&BlobName>, limit: usize)
    -> Result<Vec<BlobName>, CatalogError>;

    /// The segments that rows say are in this blob, at most [`crate::limits::PACK_SEGMENTS_MAX`].
    ///
    /// # Errors
    /// As sorted by [`CatalogError`].
    fn segments_in(&self, blob: &BlobName) -> Result<Vec<SegmentRow>, CatalogError>;

    /// Says where segments are now.
    ///
    /// # Errors
    /// As sorted by [`CatalogError`].
    fn relocate(&self, moves: &[Move]) -> Result<(), CatalogError>;

    /// The blob is gone.
    ///
    /// # Errors
    /// As sorted by [`CatalogError`].
    fn undoom(&self, blob: &BlobName) -> Result<(), CatalogError>;
}

impl Expiry {
    /// Rows that an answer holds at most.
    #[must_use]
    pub fn rows_max(&self) -> usize {
        match self.limit {
            0 => crate::limits::QUERY_ROWS_MAX,
            n => n.min(crate::limits::QUERY_ROWS_MAX),
        }
    }

    /// Whether this session is an answer, but for holds, dates and what waits.
    #[must_use]
    pub fn admits(&self, row: &SessionRow) -> bool {
        let same =
            |wanted: &Option<String>, word: &str| wanted.as_deref().is_none_or(|w| w == word);
        let start = &row.start;
        let labelled = |label: &String| start.labels.contains(label);
        start.utc_ns(row.last_ns) < self.ended_before_ns
            && same(&self.kind, &start.kind)
            && same(&self.host, &start.host)
            && same(&self.user, &start.user)
            && self.labels.iter().all(labelled)
            && self
                .after
                .is_none_or(|after| Cursor::of_session(row) > after)
    }
}

impl Tombstone {
    pub(crate) fn new(row: SessionRow, head: &SegmentRow, burial: Burial) -> Self {
        Self {
            session: row.session,
            start: row.start,
            last_ns: row.last_ns,
            number: head.number,
            digest: head.digest,
            key: head.key,
            next_seq: head.next_seq,
            is_final: head.is_final,
            segments: row.segments,
            stored_bytes: row.stored_bytes,
            burial,
        }
    }
}
