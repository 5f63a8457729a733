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
    /// Everything from the next sector boundary (or the very beginning) on was zero.
    pub(super) zeros: bool,
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
        let aligned = begin.div_ceil(SECTOR_BYTES) * SECTOR_BYTES;
        let mut zeros = ZeroTail {
            all: true,
            aligned: true,
        };
        while self.offset - begin < limit {
            if self.is_empty() && !self.fill()? {
                let zeros = zeros.all || zeros.aligned && self.offset > aligned;
                return Ok(Scan { found: None, zeros });
            }
            if self.offset > begin && self.bytes().first() == Some(&MAGIC[0]) {
                while self.bytes().len() < HEAD_BYTES_MAX && self.fill()? {}
                if self.bytes().starts_with(&MAGIC) && sound(self.bytes()) {
                    return Ok(Scan {
                        found: Some(self.offset),
                        zeros: false,
                    });
                }
            }
            let next = self.bytes().iter().skip(1).position(|b| *b == MAGIC[0]);
            let skip = next.map_or(self.bytes().len(), |n| n + 1);
            self.note_zeros(&mut zeros, skip, aligned);
            self.consume(skip);
        }
        Ok(Scan {
            found: None,
            zeros: false,
        })
    }

    /// Looks whether the next `len` bytes keep the tail one of zeros.
    fn note_zeros(&self, zeros: &mut ZeroTail, len: usize, aligned: u64) {
        let bytes = self.bytes().get(..len).unwrap_or_default();
        zeros.all = zeros.all && bytes.iter().all(|b| *b == 0);
        let from = usize::try_from(aligned.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        zeros.aligned = zeros.aligned && bytes.iter().skip(from).all(|b| *b == 0);
    }
}

/// Which parts of a scanned tail were zeros.
struct ZeroTail {
    all: bool,
    aligned: bool,
}
