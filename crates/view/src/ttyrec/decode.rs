//! Reads ttyrec.

use std::collections::VecDeque;
use std::io::{BufReader, Read};

use hansard_core::{Body, Event, Stream};

use super::{HEADER_BYTES, Header, Order, order};
use crate::codec::{DecodeError, Decoder};
use crate::fill::fill;
use crate::import::Import;
use crate::limits::{RAW_CHUNK_BYTES, TTYREC_RECORD_BYTES_MAX};
use crate::seconds::NS_MAX;

/// Bytes that are looked at to tell the order of bytes.
const BEGINNING_BYTES: usize = 4096;

/// Reads a ttyrec as a recording: the first record's time is the session's start, each record
/// what the terminal was sent then.
pub struct TtyrecDecoder<R> {
    src: BufReader<R>,
    /// The beginning of the file, which was looked at, as far as it was not read yet.
    beginning: VecDeque<u8>,
    import: Import,
    order: Order,
    /// Time of the first record, wall clock.
    first_ns: u64,
    /// Bytes of the current record that were not read yet.
    left: u32,
    offset: u64,
    /// Offset of the current record.
    record: u64,
    seq: u64,
    at_ns: u64,
    /// Records whose time lay before that of the one before.
    backwards: u64,
    notices: Vec<String>,
    ready: VecDeque<Body>,
    done: bool,
}

impl<R: Read> TtyrecDecoder<R> {
    /// A decoder that reads here.
    pub fn new(src: R, import: Import) -> Self {
        Self {
            src: BufReader::with_capacity(64 * 1024, src),
            beginning: VecDeque::new(),
            import,
            order: Order::Little,
            first_ns: 0,
            left: 0,
            offset: 0,
            record: 0,
            seq: 0,
            at_ns: 0,
            backwards: 0,
            notices: Vec::new(),
            ready: VecDeque::new(),
            done: false,
        }
    }

    fn malformed(&self, what: impl Into<String>) -> DecodeError {
        DecodeError::Malformed {
            line: None,
            offset: self.record,
            what: what.into(),
        }
    }

    /// As many bytes as there are, at most this many.
    fn read(&mut self, bytes_max: usize) -> Result<Vec<u8>, DecodeError> {
        let held = self.beginning.len().min(bytes_max);
        let mut bytes: Vec<u8> = self.beginning.drain(..held).collect();
        if held < bytes_max {
            let more = fill(&mut self.src, bytes_max - held)?;
            if bytes.is_empty() {
                bytes = more;
            } else {
                bytes.extend_from_slice(&more);
            }
        }
        self.offset += u64::try_from(bytes.len()).unwrap_or(0);
        Ok(bytes)
    }

    fn start(&mut self) -> Result<(), DecodeError> {
        let beginning = fill(&mut self.src, BEGINNING_BYTES)?;
        if beginning.is_empty() {
            return Err(self.malformed("the file is empty, so not a ttyrec"));
        }
        let header = beginning.first_chunk::<HEADER_BYTES>().copied();
        let (Some(header), Some(order)) = (header, order(&beginning)) else {
            return Err(self.malformed(
                "no record of a ttyrec: it begins with seconds, microseconds below a million \
                 and a length, each of four bytes",
            ));
        };
        self.order = order;
        self.first_ns = Header::read(header, order).ns();
        self.beginning = beginning.into();
        let mut session = self.import.session("ttyrec");
        session.start_utc_ns = self.first_ns;
        self.ready.push_back(Body::Start(Box::new(session)));
        Ok(())
    }

    /// Reads a record's header, or finds the end.
    fn header(&mut self) -> Result<(), DecodeError> {
        self.record = self.offset;
        let bytes = self.read(HEADER_BYTES)?;
        if bytes.is_empty() {
            self.done = true;
            self.ready.push_back(Body::End(self.import.end()));
            return Ok(());
        }
        let Ok(bytes) = <[u8; HEADER_BYTES]>::try_from(bytes) else {
            self.cut("in the header of a record");
            return Ok(());
        };
        let header = Header::read(bytes, self.order);
        if !header.is_possible() {
            return Err(self.malformed(format!(
                "no record of a ttyrec begins here: {} microseconds, {} bytes (below 1000000 and \
                 at most {TTYREC_RECORD_BYTES_MAX} are expected); what comes before is sound",
                header.micros, header.len
            )));
        }
        let at_ns = header.ns().saturating_sub(self.first_ns);
        if at_ns > NS_MAX {
            return Err(self.malformed(format!(
                "the time {} is more than {} seconds behind the first",
                header.seconds,
                NS_MAX / 1_000_000_000
            )));
        }
        if at_ns < self.at_ns || header.ns() < self.first_ns {
            self.backwards += 1;
        }
        self.at_ns = self.at_ns.max(at_ns);
        self.left = header.len;
        Ok(())
    }

    fn bytes(&mut self) -> Result<(), DecodeError> {
        let wanted = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(RAW_CHUNK_BYTES);
        let bytes = self.read(wanted)?;
        let read = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        if !bytes.is_empty() {
            self.ready.push_back(Body::Data {
                stream: Stream::Output,
                bytes,
            });
        }
        self.left = self.left.saturating_sub(read);
        if self.left > 0 && read < u32::try_from(wanted).unwrap_or(u32::MAX) {
            self.cut(&format!("{} bytes before the end of a record", self.left));
        }
        Ok(())
    }

    /// The file ends inside a record: what is there is sound, and the recording has no end.
    fn cut(&mut self, how: &str) {
        self.done = true;
        self.notices.push(format!(
            "the file ends at byte {}, {how} that begins at byte {}",
            self.offset, self.record
        ));
    }
}

impl<R: Read> Decoder for TtyrecDecoder<R> {
    fn next_event(&mut self) -> Result<Option<Event>, DecodeError> {
        loop {
            if let Some(body) = self.ready.pop_front() {
                let (seq, at_ns) = (self.seq, self.at_ns);
                self.seq += 1;
                return Ok(Some(Event { seq, at_ns, body }));
            }
            if self.done {
                return Ok(None);
            }
            let step = match (self.seq, self.left) {
                (0, _) => self.start(),
                (_, 0) => self.header(),
                _ => self.bytes(),
            };
            if let Err(e) = step {
                self.done = true;
                return Err(e);
            }
        }
    }

    fn take_notices(&mut self) -> Vec<String> {
        if self.done && self.backwards > 0 {
            self.notices.push(format!(
                "{} records bear a time before that of the record before them (the clock was set \
                 back); they are shown at its time",
                self.backwards
            ));
            self.backwards = 0;
        }
        std::mem::take(&mut self.notices)
    }
}
