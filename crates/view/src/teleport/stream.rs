//! Reads the stream that Teleport has recorded into since version 4.4: parts with a header, each a
//! gzip stream of records, each an event.

use std::io::{self, BufReader, Read, Take};

use flate2::bufread::GzDecoder;

use super::STREAM_NAME;
use super::oneof::{self, Record};
use super::timeline::{INDEX_OUTSIDE, Timeline, family};
use crate::codec::{DecodeError, Decoder};
use crate::fill::fill_into;
use crate::import::Import;
use crate::limits::TELEPORT_RECORD_BYTES_MAX;
use hansard_core::Event;

/// Whether a file that begins with these bytes is such a stream.
#[must_use]
pub fn guess(beginning: &[u8]) -> bool {
    let number = |at: usize| {
        let bytes = beginning.get(at..at + 8)?;
        bytes.try_into().ok().map(u64::from_be_bytes)
    };
    let (Some(version), Some(size), Some(padding)) = (number(0), number(8), number(16)) else {
        return false;
    };
    let magic = |at: usize| beginning.get(at..at + 2) == Some(&[0x1f, 0x8b]);
    let plausible = size < 1 << 40 && padding < 1 << 40;
    match version {
        1 => plausible && (size == 0 || magic(24)),
        // Encrypted: recognised, so that the reader can say so.
        2 => plausible && (size == 0 || magic(32) || beginning.get(24).is_some_and(|b| b & 1 == 1)),
        _ => false,
    }
}

/// Counts what was read.
struct Counted<R> {
    src: R,
    offset: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.src.read(buffer)?;
        self.offset += u64::try_from(read).unwrap_or(0);
        Ok(read)
    }
}

/// A part that is being read.
struct Part<R: Read> {
    body: GzDecoder<BufReader<Take<Counted<R>>>>,
    /// Offset of its header.
    offset: u64,
    /// Bytes of records so far.
    inflated: u64,
    padding: u64,
}

enum Place<R: Read> {
    Between(Counted<R>),
    Inside(Box<Part<R>>),
    Over,
}

/// Reads such a stream, version 1, and version 2 where it is not encrypted.
pub struct StreamDecoder<R: Read> {
    place: Place<R>,
    timeline: Timeline,
    /// The last index in the count.
    last: Option<u64>,
    record: Vec<u8>,
    repeated: u64,
    missing: u64,
    dangling: u64,
    notices: Vec<String>,
    failed: Option<DecodeError>,
}

impl<R: Read> StreamDecoder<R> {
    /// A decoder that reads here.
    pub fn new(src: R, import: Import) -> Self {
        Self {
            place: Place::Between(Counted { src, offset: 0 }),
            timeline: Timeline::new(import, STREAM_NAME),
            last: None,
            record: Vec::new(),
            repeated: 0,
            missing: 0,
            dangling: 0,
            notices: Vec::new(),
            failed: None,
        }
    }

    /// Reads until there is something to hand out, or the end.
    fn step(&mut self) -> Result<(), DecodeError> {
        match std::mem::replace(&mut self.place, Place::Over) {
            Place::Between(src) => self.place = self.part(src)?,
            Place::Inside(mut part) => {
                if part.next(&mut self.record)? {
                    let record = oneof::read(&self.record).map_err(|e| part.malformed(e.0))?;
                    self.place = Place::Inside(part);
                    self.take(record);
                } else {
                    self.place = Place::Between(self.leave(*part)?);
                }
            }
            Place::Over => {}
        }
        Ok(())
    }

    /// Reads a header. After the last part there is nothing.
    fn part(&mut self, mut src: Counted<R>) -> Result<Place<R>, DecodeError> {
        let offset = src.offset;
        let mut header = [0; 24];
        let read = fill_into(&mut src, &mut header)?;
        if read == 0 {
            self.end(offset)?;
            return Ok(Place::Over);
        }
        let [version, size, padding] = numbers(&header);
        if read < header.len() {
            return Err(malformed(
                offset,
                "the file ends inside the header of a part",
            ));
        }
        match version {
            1 => {}
            2 => second_version(&mut src, offset)?,
            _ => {
                let what = "no part of a Teleport recording begins here (version 1 or 2 expected)";
                return Err(malformed(offset, what));
            }
        }
        if size == 0 {
            skip(&mut src, padding)?;
            return Ok(Place::Between(src));
        }
        let body = GzDecoder::new(BufReader::with_capacity(32 * 1024, src.take(size)));
        Ok(Place::Inside(Box::new(Part {
            body,
            offset,
            inflated: 0,
            padding,
        })))
    }

    /// Leaves a part behind: what follows its gzip stream, and its padding.
    fn leave(&mut self, part: Part<R>) -> Result<Counted<R>, DecodeError> {
        let mut body = part.body.into_inner();
        // Old versions put the padding inside the part; Teleport passes over it, too.
        self.dangling += io::copy(&mut body, &mut io::sink())?;
        let body = body.into_inner();
        if body.limit() > 0 {
            let what = format!(
                "the part that begins here is cut: {} of its bytes are missing; what was before is sound",
                body.limit()
            );
            return Err(malformed(part.offset, &what));
        }
        let mut src = body.into_inner();
        skip(&mut src, part.padding)?;
        Ok(src)
    }

    /// One event. What is repeated because a recorder went on after an interruption is dropped.
    fn take(&mut self, record: Record) {
        let Record {
            event,
            index,
            utc_ns,
            print,
            fields,
        } = record;
        // Some events of the kernel were never given an index.
        let kernel = event.starts_with("session.") && family(&event) != "channel";
        let counted = index < INDEX_OUTSIDE && !(kernel && index == 0);
        if counted && self.last.is_some_and(|last| index <= last) {
            self.repeated += 1;
            return;
        }
        if !self.timeline.has_begun() {
            self.timeline.begin(&event, &fields, utc_ns);
        }
        let from_ns = self.timeline.at_ns();
        match utc_ns {
            Some(utc_ns) => self.timeline.advance(Some(utc_ns)),
            None => {
                let ms = print.as_ref().map_or(0, |print| print.ms);
                self.timeline.advance_to(ms.saturating_mul(1_000_000));
            }
        }
        let expected = self.last.map_or(0, |last| last + 1);
        if counted && index > expected {
            self.missing += index - expected;
            self.timeline.missing(index - expected, from_ns);
        }
        if counted {
            self.last = Some(index);
        }
        match print {
            Some(print) => self.timeline.data(print.data),
            None => self.timeline.fact(event, fields),
        }
    }

    /// The end of the file, between two parts.
    fn end(&mut self, offset: u64) -> Result<(), DecodeError> {
        if !self.timeline.has_begun() {
            return Err(malformed(offset, "the recording holds no event"));
        }
        if !self.timeline.finish() {
            let what = "there is no session.end: the session was going on, or its recorder died";
            self.notices.push(what.to_owned());
        }
        Ok(())
    }

    fn count_notices(&mut self) {
        let repeated = std::mem::take(&mut self.repeated);
        if repeated > 0 {
            self.notices.push(format!(
                "{repeated} events that stood in the recording twice were dropped (it was resumed)"
            ));
        }
        let missing = std::mem::take(&mut self.missing);
        if missing > 0 {
            self.notices.push(format!(
                "{missing} events are missing by their numbers; see the gaps"
            ));
        }
        let dangling = std::mem::take(&mut self.dangling);
        if dangling > 0 {
            self.notices.push(format!(
                "{dangling} bytes of padding inside parts were passed over"
            ));
        }
    }
}

impl<R: Read> Part<R> {
    /// Reads the next record, and answers whether there was one.
    fn next(&mut self, record: &mut Vec<u8>) -> Result<bool, DecodeError> {
        record.clear();
        let mut len = [0; 4];
        let read = self.read(&mut len)?;
        if read == 0 {
            return Ok(false);
        }
        let size = usize::try_from(u32::from_be_bytes(len)).unwrap_or(usize::MAX);
        if read < len.len() {
            return Err(self.malformed("the part ends inside the length of a record"));
        }
        if size == 0 {
            return Err(self.malformed("a record of length 0; none is that short"));
        }
        if size > TELEPORT_RECORD_BYTES_MAX {
            let what = format!(
                "a record of {size} bytes; this reader takes {TELEPORT_RECORD_BYTES_MAX}, and \
                 Teleport writes none above 65536"
            );
            return Err(self.malformed(&what));
        }
        record.resize(size, 0);
        if self.read(record)? < size {
            return Err(self.malformed("the part ends inside a record"));
        }
        let len = u64::try_from(size).unwrap_or(0) + 4;
        self.inflated += len;
        Ok(true)
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, DecodeError> {
        match fill_into(&mut self.body, buffer) {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                Err(self.malformed("the compressed data ends early; what was before is sound"))
            }
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData
                ) =>
            {
                Err(self.malformed(&format!(
                    "this is not sound gzip: {e}; what was before is sound"
                )))
            }
            Err(e) => Err(e.into()),
            Ok(read) => Ok(read),
        }
    }

    fn malformed(&self, what: &str) -> DecodeError {
        let what = format!(
            "part that begins here, byte {} of what it holds: {what}",
            self.inflated
        );
        malformed(self.offset, &what)
    }
}

fn malformed(offset: u64, what: &str) -> DecodeError {
    let what = what.to_owned();
    DecodeError::Malformed {
        line: None,
        offset,
        what,
    }
}

fn numbers(header: &[u8; 24]) -> [u64; 3] {
    let mut numbers = [0; 3];
    for (number, bytes) in numbers.iter_mut().zip(header.chunks_exact(8)) {
        *number = bytes.iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
    }
    numbers
}

/// The eight bytes that version 2 has more.
fn second_version<R: Read>(src: &mut Counted<R>, offset: u64) -> Result<(), DecodeError> {
    let mut flags = [0; 8];
    if fill_into(src, &mut flags)? < flags.len() {
        return Err(malformed(
            offset,
            "the file ends inside the header of a part",
        ));
    }
    match flags {
        [0, ..] => Ok(()),
        [flags, ..] if flags & 1 == 1 => Err(malformed(
            offset,
            "this recording is encrypted, and only the Teleport cluster that holds its keys can \
             decrypt it: let that cluster hand it out (tsh play, tsh recordings) instead of \
             copying it from its storage",
        )),
        [flags, ..] => Err(malformed(
            offset,
            &format!("a part with flags {flags:#04x}, which this reader does not know"),
        )),
    }
}

/// Passes over padding, all of which must be there.
fn skip<R: Read>(src: &mut Counted<R>, padding: u64) -> Result<(), DecodeError> {
    let offset = src.offset;
    let skipped = io::copy(&mut src.take(padding), &mut io::sink())?;
    if skipped < padding {
        let what = format!("the padding of a part is cut: {skipped} of {padding} bytes are there");
        return Err(malformed(offset, &what));
    }
    Ok(())
}

impl<R: Read> Decoder for StreamDecoder<R> {
    fn next_event(&mut self) -> Result<Option<Event>, DecodeError> {
        loop {
            if let Some(event) = self.timeline.pop() {
                return Ok(Some(event));
            }
            if let Some(e) = self.failed.take() {
                return Err(e);
            }
            if matches!(self.place, Place::Over) {
                return Ok(None);
            }
            self.failed = self.step().err();
        }
    }

    fn take_notices(&mut self) -> Vec<String> {
        self.count_notices();
        std::mem::take(&mut self.notices)
    }
}
