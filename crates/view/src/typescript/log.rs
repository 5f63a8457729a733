//! The bytes of a typescript, between its first line and its last.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use super::head;
use crate::fill::fill;
use crate::limits::{FOOTER_BYTES_MAX, RAW_CHUNK_BYTES, TIMING_LINE_BYTES_MAX};

type Source<'a> = io::Chain<Cursor<Vec<u8>>, BufReader<Box<dyn Read + 'a>>>;

/// Reads one file of bytes.
pub(super) struct Log<'a> {
    src: Source<'a>,
    /// The first line without its end, if it is script's.
    header: Option<Vec<u8>>,
    /// Bytes behind what the timing tells of, of which the last may be the last line.
    tail: Vec<u8>,
    at_end: bool,
    is_empty: bool,
}

/// What comes behind the bytes that the timing tells of.
pub(super) enum Rest {
    Bytes(Vec<u8>),
    /// The last line, without line feeds.
    Footer(Vec<u8>),
    End,
}

impl<'a> Log<'a> {
    /// Reads the first line.
    pub(super) fn open(src: Box<dyn Read + 'a>) -> io::Result<Self> {
        let mut src = BufReader::with_capacity(64 * 1024, src);
        let mut line = Vec::new();
        let limit = u64::try_from(TIMING_LINE_BYTES_MAX).unwrap_or(u64::MAX);
        (&mut src).take(limit).read_until(b'\n', &mut line)?;
        let is_empty = line.is_empty();
        let header = line
            .strip_suffix(b"\n")
            .filter(|line| head::is_header(line))
            .map(<[u8]>::to_vec);
        // A line that is not script's own is output like any other.
        let pending = if header.is_some() { Vec::new() } else { line };
        Ok(Self {
            src: Cursor::new(pending).chain(src),
            header,
            tail: Vec::new(),
            at_end: false,
            is_empty,
        })
    }

    pub(super) fn header(&self) -> Option<&[u8]> {
        self.header.as_deref()
    }

    /// Whether the file holds nothing at all.
    pub(super) fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// The next bytes: this many, or fewer at the end of the file.
    pub(super) fn take(&mut self, bytes_max: usize) -> io::Result<Vec<u8>> {
        fill(&mut self.src, bytes_max)
    }

    /// What comes behind everything the timing tells of, piece by piece.
    pub(super) fn rest(&mut self) -> io::Result<Rest> {
        while !self.at_end && self.tail.len() < RAW_CHUNK_BYTES + FOOTER_BYTES_MAX {
            let more = fill(&mut self.src, RAW_CHUNK_BYTES)?;
            self.at_end = more.len() < RAW_CHUNK_BYTES;
            self.tail.extend_from_slice(&more);
        }
        // Only the very last line can be script's, so as much as that is held back.
        let bytes = match self.at_end {
            false => self.tail.len().saturating_sub(FOOTER_BYTES_MAX),
            true => self.footer().unwrap_or(self.tail.len()),
        };
        let pieces = bytes.min(RAW_CHUNK_BYTES);
        if pieces > 0 {
            return Ok(Rest::Bytes(self.tail.drain(..pieces).collect()));
        }
        let footer = std::mem::take(&mut self.tail);
        match footer.as_slice() {
            [b'\n', line @ .., b'\n'] => Ok(Rest::Footer(line.to_vec())),
            _ => Ok(Rest::End),
        }
    }

    /// Where in the tail the last line begins, with the line feed before it, if it is script's.
    fn footer(&self) -> Option<usize> {
        let lines = self.tail.strip_suffix(b"\n")?;
        let at = lines.iter().rposition(|b| *b == b'\n')?;
        let line = lines.get(at + 1..)?;
        let translated = self
            .header
            .as_deref()
            .is_some_and(|header| !header.starts_with(head::STARTED));
        let is = line.len() <= FOOTER_BYTES_MAX - 2 && head::is_footer(line, translated);
        is.then_some(at)
    }
}
