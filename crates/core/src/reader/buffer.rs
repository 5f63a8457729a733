//! The reader's window onto its source: grows to one record, never further.

use std::io::{self, Read};

use crate::frame::MAGIC;
use crate::limits::HEADER_BYTES_MAX;

/// How much is read from the source at a time.
const FILL_BYTES: usize = 256 * 1024;

/// How far into bytes that do not begin like a recording a sound segment is looked for.
pub(super) const FIRST_SCAN_BYTES: u64 = 16 * 1024 * 1024;

/// A segment's opening head is never longer.
const HEAD_BYTES_MAX: usize = HEADER_BYTES_MAX + 64;

/// What a torn write leaves is aligned to sectors of this size at least.
const SECTOR_BYTES: u64 = 512;

pub(super) struct Buffer<R> {
    source: R,
    bytes: Vec<u8>,
    start: usize,
    /// Of `bytes[start]` in the recording.
    offset: u64,
}

/// What looking for a sound segment found.
pub(super) struct Scan {
    pub(super) found: Option<u64>,
    /// Where the zeros begin with which the bytes end, and where the bytes end; `None` if the end
    /// was not reached.
    zeros: Option<(u64, u64)>,
}

impl Scan {
    /// Whether the record from `begin` to `end` is what a torn write leaves: the bytes end in
    /// zeros that begin with a sector, and that sector is the record's first, or the next one, or
    /// one before the record's end.
    pub(super) fn lost_to_zeros(&self, begin: u64, end: u64) -> bool {
        let Some((zeros, eof)) = self.zeros else {
            return false;
        };
        let sector = zeros.next_multiple_of(SECTOR_BYTES);
        let all = zeros <= begin;
        all || sector < eof && (sector <= begin.next_multiple_of(SECTOR_BYTES) || sector < end)
    }
}

impl<R: Read> Buffer<R> {
    pub(super) fn new(source: R, offset: u64) -> Self {
        Self {
            source,
            bytes: Vec::new(),
            start: 0,
            offset,
        }
    }

    pub(super) fn into_source(self) -> R {
        self.source
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes().is_empty()
    }

    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) fn consume(&mut self, len: usize) {
        self.start += len;
        self.offset += len as u64;
    }

    /// Reads more behind what is there; `false` at the source's end.
    pub(super) fn fill(&mut self) -> io::Result<bool> {
        self.bytes.drain(..self.start);
        self.start = 0;
        let len = self.bytes.len();
        self.bytes.resize(len + FILL_BYTES, 0);
        let result = loop {
            match self
                .source
                .read(self.bytes.get_mut(len..).unwrap_or_default())
            {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.bytes.truncate(len + *result.as_ref().unwrap_or(&0));
        result.map(|n| n > 0)
    }

    /// Leaves the record at the beginning behind and looks, at most `limit` bytes far, for the
    /// next magic whose segment is `sound`; stands there afterwards, or at the end.
    pub(super) fn scan(&mut self, limit: u64, sound: impl Fn(&[u8]) -> bool) -> io::Result<Scan> {
        let begin = self.offset;
        let mut zeros = begin;
        while self.offset - begin < limit {
            if self.is_empty() && !self.fill()? {
                let zeros = Some((zeros, self.offset));
                return Ok(Scan { found: None, zeros });
            }
            if self.offset > begin && self.bytes().first() == Some(&MAGIC[0]) {
                while self.bytes().len() < HEAD_BYTES_MAX && self.fill()? {}
                if self.bytes().starts_with(&MAGIC) && sound(self.bytes()) {
                    let found = Some(self.offset);
                    return Ok(Scan { found, zeros: None });
                }
            }
            let next = self.bytes().iter().skip(1).position(|b| *b == MAGIC[0]);
            let skip = next.map_or(self.bytes().len(), |n| n + 1);
            let skipped = self.bytes().get(..skip).unwrap_or_default();
            if let Some(last) = skipped.iter().rposition(|b| *b != 0) {
                zeros = self.offset + last as u64 + 1;
            }
            self.consume(skip);
        }
        Ok(Scan {
            found: None,
            zeros: None,
        })
    }
}
