//! A session that is over, as one recording that can be read at any place: what a player wants, who
//! reads a keyframe here and a stretch there and never the whole.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use hansard_core::SessionId;
use hansard_view::source::{LOST_BYTE, ReadAt};

use super::read::{Fetch, fetch_current};
use super::{Archive, ArchiveError};
use crate::catalog::SegmentRow;
use crate::limits::SEGMENT_STORED_BYTES_MAX;

/// Segments of a session that is read so; one of more is not (of 256 KiB each: 16 GiB).
pub const SOURCE_SEGMENTS_MAX: usize = 65_536;

/// Segments' places that are asked for at once.
const PLACES: usize = 1024;

/// Segments that are kept as they were read last: one that is gone through, and what bounds it.
const KEPT: usize = 4;

/// A session's segments, one behind the other. Each is compared with the digest of what was archived
/// when it is fetched. One that is lost reads as [`LOST_BYTE`]s, so that everything behind it stays in its
/// place; one that is not what was archived is given as it is. Whoever reads
/// ([`hansard_core::reader`]) finds both out, and goes on with the next.
pub struct SessionSource {
    archive: Arc<Archive>,
    /// Where each begins, and which it is.
    segments: Vec<(u64, SegmentRow)>,
    bytes: u64,
    kept: Mutex<Vec<(usize, Arc<Vec<u8>>)>>,
}

impl Archive {
    /// A session that is over and archived as a whole, to be read at any place. `None` where it is
    /// neither, or has more than [`SOURCE_SEGMENTS_MAX`] segments.
    ///
    /// # Errors
    /// What the catalog says.
    pub fn source(
        self: &Arc<Self>,
        session: SessionId,
    ) -> Result<Option<SessionSource>, ArchiveError> {
        let head = self.catalog.heads(&[session])?.into_iter().next().flatten();
        let Some(head) = head.filter(|head| head.is_final) else {
            return Ok(None);
        };
        let (mut segments, mut bytes, mut next) = (Vec::new(), 0u64, 0);
        while next <= head.number {
            let rows = self.catalog.segments(session, next, PLACES)?;
            let Some(last) = rows.last() else { break };
            next = last.number.saturating_add(1);
            for row in rows {
                let begins = bytes;
                bytes = bytes.saturating_add(length(&row) as u64);
                segments.push((begins, row));
            }
            if segments.len() > SOURCE_SEGMENTS_MAX {
                return Ok(None);
            }
        }
        Ok((!segments.is_empty()).then(|| SessionSource {
            archive: Arc::clone(self),
            segments,
            bytes,
            kept: Mutex::default(),
        }))
    }
}

/// How long a segment is. The catalog is believed no further than a segment can be.
fn length(row: &SegmentRow) -> usize {
    let bytes = usize::try_from(row.place.bytes).unwrap_or(usize::MAX);
    bytes.min(SEGMENT_STORED_BYTES_MAX)
}

impl SessionSource {
    fn segment(&self, number: usize, row: &SegmentRow) -> io::Result<Arc<Vec<u8>>> {
        // Held while it is fetched: who wants the same one waits for it and does not fetch it, too.
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = kept.iter().position(|(of, _)| *of == number) {
            let found = kept.remove(at);
            let bytes = Arc::clone(&found.1);
            kept.push(found);
            return Ok(bytes);
        }
        let mut bytes = match fetch_current(&*self.archive.blobs, &*self.archive.catalog, row) {
            Ok(bytes) | Err(Fetch::Differs(bytes, _)) => bytes,
            Err(Fetch::Lost(_)) => Vec::new(),
            Err(Fetch::Failed(e)) => return Err(io::Error::other(e)),
        };
        // No zeros: at the end they would pass for the tail that a loss of power tears.
        bytes.resize(length(row), LOST_BYTE);
        let bytes = Arc::new(bytes);
        if kept.len() >= KEPT {
            kept.remove(0);
        }
        kept.push((number, Arc::clone(&bytes)));
        Ok(bytes)
    }
}

impl ReadAt for SessionSource {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if offset >= self.bytes {
            return Ok(0);
        }
        let behind = self
            .segments
            .partition_point(|(begins, _)| *begins <= offset);
        let number = behind.saturating_sub(1);
        let Some((begins, row)) = self.segments.get(number) else {
            return Ok(0);
        };
        let segment = self.segment(number, row)?;
        let at = usize::try_from(offset.saturating_sub(*begins)).map_err(io::Error::other)?;
        let rest = segment.get(at..).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..len), rest.get(..len)) {
            to.copy_from_slice(from);
        }
        Ok(len)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes)
    }
}
