//! The way back: a session's segments as the recording they make.

use std::io::{self, Read};

use hansard_core::SessionId;
use hansard_core::reader::ReadError;
use hansard_core::verify::{Report, verify};
use sha2::{Digest as _, Sha256};

use super::{Archive, ArchiveError};
use crate::blob::{BlobError, BlobStore};
use crate::catalog::{Catalog, SegmentRow, Tombstone};
use crate::limits::PROBLEMS_LISTED_MAX;

/// Segments' places that are asked for at once.
const PLACES: usize = 256;

/// A segment's row, and its bytes or what is wrong with them.
pub type Found = (SegmentRow, Result<Vec<u8>, Wrong>);

/// Why a segment's bytes are not what was archived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// In words.
    pub what: String,
    /// What is there instead: for those who show what is left of it, never as evidence. Empty where
    /// nothing is.
    pub bytes: Vec<u8>,
}

impl From<String> for Wrong {
    fn from(what: String) -> Self {
        let bytes = Vec::new();
        Self { what, bytes }
    }
}

/// A segment that is not what was archived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Number of the segment.
    pub segment: u32,
    /// What is wrong.
    pub what: String,
}

/// A recording, read from the archive segment by segment. Memory: one segment, and 256 places.
///
/// Each segment is compared with the digest of what was archived. One that is lost is left out, and
/// one that is not what was archived is given as it is: whoever reads ([`hansard_core::reader`])
/// says which events that costs and goes on with the next. [`SessionReader::problems`] has the list.
pub struct SessionReader<'a> {
    archive: &'a Archive,
    session: SessionId,
    next: u32,
    /// Number of the last segment that is read; what is behind it is left.
    last: u32,
    rows: std::vec::IntoIter<SegmentRow>,
    bytes: io::Cursor<Vec<u8>>,
    problems: Vec<Problem>,
    problems_count: u64,
}

/// What checking a session in the archive found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionReport {
    /// What the recording itself shows.
    pub report: Report,
    /// The newest segment that was archived. The recording is fresh if it ends with it: a copy of
    /// the blobs from last week would be sound too.
    pub newest: SegmentRow,
    /// Segments that are not what was archived.
    pub problems: Vec<Problem>,
}

impl SessionReport {
    /// Whether everything that was archived is there, unchanged, up to the newest segment.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.problems.is_empty()
            && self.report.damages_count == 0
            && self.report.head == Some(self.newest.digest)
    }
}

impl Archive {
    /// A reader over a session's segments in order, as a `.hansard` file would have them. `None`
    /// where nothing of it is archived.
    ///
    /// # Errors
    /// What the catalog says.
    pub fn open_session(
        &self,
        session: SessionId,
    ) -> Result<Option<SessionReader<'_>>, ArchiveError> {
        let rows = self.catalog.segments(session, 0, PLACES)?;
        if rows.is_empty() {
            return Ok(None);
        }
        Ok(Some(SessionReader {
            archive: self,
            session,
            next: rows.last().map_or(0, |row| row.number.saturating_add(1)),
            last: u32::MAX,
            rows: rows.into_iter(),
            bytes: io::Cursor::default(),
            problems: Vec::new(),
            problems_count: 0,
        }))
    }

    /// The first segment of a session whose number is this or higher: its row, and its bytes or
    /// what is wrong with them. `None` where no such segment is archived.
    ///
    /// # Errors
    /// What the stores say.
    pub fn segment(&self, session: SessionId, from: u32) -> Result<Option<Found>, ArchiveError> {
        let rows = self.catalog.segments(session, from, 1)?;
        let Some(row) = rows.into_iter().next() else {
            return Ok(None);
        };
        let bytes = match fetch_current(&*self.blobs, &*self.catalog, &row) {
            Ok(bytes) => Ok(bytes),
            Err(Fetch::Differs(bytes, what)) => Err(Wrong { what, bytes }),
            Err(Fetch::Lost(what)) => Err(what.into()),
            Err(Fetch::Failed(BlobError::Retry(why))) => return Err(ArchiveError::Retry(why)),
            Err(Fetch::Failed(e)) => Err(e.to_string().into()),
        };
        Ok(Some((row, bytes)))
    }

    /// The newest segment of a session. `None` where nothing of it is archived.
    ///
    /// # Errors
    /// What the catalog says.
    pub fn head(&self, session: SessionId) -> Result<Option<SegmentRow>, ArchiveError> {
        let heads = self.catalog.heads(&[session])?;
        Ok(heads.into_iter().next().flatten())
    }

    /// What is left of a session that was deleted: by whom, why and when.
    ///
    /// # Errors
    /// What the catalog says.
    pub fn tombstone(&self, session: SessionId) -> Result<Option<Tombstone>, ArchiveError> {
        let found = self.catalog.tombstones(&[session])?;
        Ok(found.into_iter().next().flatten())
    }

    /// One segment's bytes, if they are what was archived; otherwise, inside, what is wrong with
    /// them. For whoever goes over segments as they arrived.
    ///
    /// # Errors
    /// `Retry` when a store fails.
    pub fn segment_bytes(&self, row: &SegmentRow) -> Result<Result<Vec<u8>, String>, ArchiveError> {
        match fetch_current(&*self.blobs, &*self.catalog, row) {
            Ok(bytes) => Ok(Ok(bytes)),
            Err(Fetch::Lost(what) | Fetch::Differs(_, what)) => Ok(Err(what)),
            Err(Fetch::Failed(e)) => Err(e.into()),
        }
    }

    /// Checks a session as it is archived: every digest, signature and event, and whether it ends
    /// with the newest segment. `None` where nothing of it is archived.
    ///
    /// # Errors
    /// What the stores say.
    pub fn verify_session(
        &self,
        session: SessionId,
    ) -> Result<Option<SessionReport>, ArchiveError> {
        let heads = self.catalog.heads(&[session])?;
        match heads.into_iter().next().flatten() {
            Some(newest) => self.verify_up_to(session, newest),
            None => Ok(None),
        }
    }

    /// The same up to what was its newest segment: what is archived meanwhile is no difference.
    ///
    /// # Errors
    /// What the stores say.
    pub fn verify_up_to(
        &self,
        session: SessionId,
        newest: SegmentRow,
    ) -> Result<Option<SessionReport>, ArchiveError> {
        let Some(mut reader) = self.open_session(session)? else {
            return Ok(None);
        };
        reader.last = newest.number;
        let report = match verify(&mut reader) {
            Ok(report) => report,
            // It was a recording when it was archived, whatever is there now.
            Err(ReadError::NotARecording) => Report::nothing(),
            Err(ReadError::Io(e)) => return Err(ArchiveError::Retry(e.to_string())),
            Err(other) => {
                let what = format!("session {session}: {other}");
                return Err(ArchiveError::Refused(what));
            }
        };
        let other = report.session.as_ref().map(|header| header.id);
        if let Some(other) = other.filter(|other| *other != session) {
            reader.note(0, format!("it is the recording of session {other}"));
        }
        Ok(Some(SessionReport {
            report,
            newest,
            problems: reader.problems,
        }))
    }
}

impl SessionReader<'_> {
    /// What was wrong with segments so far, at most [`PROBLEMS_LISTED_MAX`] of them.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// How many segments were wrong so far.
    #[must_use]
    pub fn problems_count(&self) -> u64 {
        self.problems_count
    }

    fn note(&mut self, segment: u32, what: String) {
        self.problems_count += 1;
        if self.problems.len() < PROBLEMS_LISTED_MAX {
            self.problems.push(Problem { segment, what });
        }
    }

    /// Fetches the next segment; says whether there was one.
    fn next_segment(&mut self) -> io::Result<bool> {
        let row = match self.rows.next() {
            Some(row) => row,
            None => {
                let rows = self
                    .archive
                    .catalog
                    .segments(self.session, self.next, PLACES);
                self.rows = rows.map_err(io::Error::other)?.into_iter();
                let Some(row) = self.rows.next() else {
                    return Ok(false);
                };
                row
            }
        };
        if row.number > self.last {
            return Ok(false);
        }
        self.next = row.number.saturating_add(1);
        match fetch_current(&*self.archive.blobs, &*self.archive.catalog, &row) {
            Ok(bytes) => self.bytes = io::Cursor::new(bytes),
            Err(Fetch::Lost(what)) => self.note(row.number, what),
            Err(Fetch::Differs(bytes, what)) => {
                self.note(row.number, what);
                self.bytes = io::Cursor::new(bytes);
            }
            Err(Fetch::Failed(e)) => return Err(io::Error::other(e)),
        }
        Ok(true)
    }
}

impl Read for SessionReader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        loop {
            match self.bytes.read(buf)? {
                0 if !self.next_segment()? => return Ok(0),
                0 => {}
                n => return Ok(n),
            }
        }
    }
}

/// Why a segment's bytes are not had as they were archived.
pub(crate) enum Fetch {
    /// The store failed; asking again may help.
    Failed(BlobError),
    /// They are gone.
    Lost(String),
    /// They are not what was archived.
    Differs(Vec<u8>, String),
}

/// The same, and where they are gone from there, from where they have been moved since the row was
/// read: packs with many deleted segments are written again.
pub(crate) fn fetch_current(
    blobs: &dyn BlobStore,
    catalog: &dyn Catalog,
    row: &SegmentRow,
) -> Result<Vec<u8>, Fetch> {
    let lost = match fetch(blobs, row) {
        Err(Fetch::Lost(lost)) => lost,
        other => return other,
    };
    let rows = catalog.segments(row.session, row.number, 1);
    let rows = rows.map_err(|e| Fetch::Failed(BlobError::Retry(e.to_string())))?;
    let moved = |there: &&SegmentRow| {
        there.number == row.number && there.content == row.content && there.place != row.place
    };
    match rows.iter().find(moved) {
        Some(there) => fetch(blobs, there),
        None => Err(Fetch::Lost(lost)),
    }
}

/// Whether a segment is what was archived, where its row says that it is.
///
/// # Errors
/// `Retry` when a store fails.
pub(crate) fn is_in_place(
    blobs: &dyn BlobStore,
    catalog: &dyn Catalog,
    row: &SegmentRow,
) -> Result<bool, ArchiveError> {
    match fetch_current(blobs, catalog, row) {
        Ok(_) => Ok(true),
        Err(Fetch::Lost(_) | Fetch::Differs(..)) => Ok(false),
        Err(Fetch::Failed(e)) => Err(e.into()),
    }
}

/// A segment's bytes, if they are what was archived.
fn fetch(blobs: &dyn BlobStore, row: &SegmentRow) -> Result<Vec<u8>, Fetch> {
    let place = &row.place;
    let range = place.offset..place.offset.saturating_add(place.bytes);
    match blobs.read(&place.blob, range) {
        Ok(bytes) if Sha256::digest(&bytes).as_slice() == row.content => Ok(bytes),
        Ok(bytes) => {
            let what = format!("{} is not what was stored", place.blob);
            Err(Fetch::Differs(bytes, what))
        }
        Err(BlobError::NotFound(_)) => Err(Fetch::Lost(format!("{} is gone", place.blob))),
        Err(BlobError::Unreadable(why)) => Err(Fetch::Lost(why)),
        Err(e) => Err(Fetch::Failed(e)),
    }
}
