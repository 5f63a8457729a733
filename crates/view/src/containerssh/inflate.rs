//! The file around the messages: a header, and one gzip member that nobody ever closes.
//!
//! ContainerSSH flushes after each message and writes no trailer, so a strict gzip reader calls
//! every log cut off. This one takes whatever has arrived, and where a trailer stands it checks it.

use std::io::Read;

use flate2::{Crc, Decompress, FlushDecompress, Status};

use crate::codec::DecodeError;
use crate::limits::GZIP_HEADER_BYTES_MAX;

/// The first bytes of a log.
pub(super) const MAGIC: &[u8; 32] = b"ContainerSSH-Auditlog\0\0\0\0\0\0\0\0\0\0\0";
/// Magic and version.
pub(super) const HEADER_BYTES: usize = 40;

const CHUNK_BYTES: usize = 64 * 1024;

/// What comes next in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Member,
    Deflated,
    End,
}

/// A gzip trailer that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trailer {
    Sound,
    /// Checksum or length are not those of what was inflated.
    Wrong,
    /// The file ends inside it.
    Cut,
}

/// Inflates a log.
pub(super) struct Source<R> {
    src: R,
    input: Box<[u8]>,
    /// The part of `input` that has not been used.
    unused: std::ops::Range<usize>,
    /// Offset in the file of what comes next.
    offset: u64,
    inflate: Decompress,
    crc: Crc,
    place: Place,
    /// Inflated and not consumed, from `begin` on.
    buffer: Vec<u8>,
    begin: usize,
    /// Offset in the inflated log of `begin`.
    inflated: u64,
    /// Offset in the file at which inflating the newest part of the buffer began.
    filled_from: u64,
    failed: Option<DecodeError>,
    pub(super) trailer: Option<Trailer>,
    /// Whether there is something behind the end.
    pub(super) more: bool,
}

impl<R: Read> Source<R> {
    pub(super) fn new(src: R) -> Self {
        Self {
            src,
            input: vec![0; CHUNK_BYTES].into_boxed_slice(),
            unused: 0..0,
            offset: 0,
            inflate: Decompress::new(false),
            crc: Crc::new(),
            place: Place::Member,
            buffer: Vec::new(),
            begin: 0,
            inflated: 0,
            filled_from: 0,
            failed: None,
            trailer: None,
            more: false,
        }
    }

    /// Reads the header and answers the version.
    pub(super) fn open(&mut self) -> Result<u64, DecodeError> {
        let mut header = [0u8; HEADER_BYTES];
        for (slot, at) in header.iter_mut().zip(0u64..) {
            match self.byte()? {
                Some(byte) => *slot = byte,
                None => {
                    let what = format!(
                        "the file ends after {at} bytes, inside the {HEADER_BYTES} of the header \
                         of a ContainerSSH log"
                    );
                    return Err(malformed(0, what));
                }
            }
        }
        let (magic, version) = header.split_at(MAGIC.len());
        if magic != MAGIC {
            let what = "not a ContainerSSH log: it does not begin with \"ContainerSSH-Auditlog\"";
            return Err(malformed(0, what));
        }
        let version = version
            .iter()
            .rev()
            .fold(0, |n, b| (n << 8) | u64::from(*b));
        match version {
            1 | 2 => Ok(version),
            _ => Err(malformed(
                32,
                format!("the log is of version {version}; this program reads 1 and 2"),
            )),
        }
    }

    /// What is inflated and not consumed.
    pub(super) fn data(&self) -> &[u8] {
        self.buffer.get(self.begin..).unwrap_or(&[])
    }

    /// Drops so many bytes from the front of [`Self::data`].
    pub(super) fn consume(&mut self, bytes: usize) {
        let bytes = bytes.min(self.data().len());
        self.begin += bytes;
        self.inflated += u64::try_from(bytes).unwrap_or(0);
    }

    /// Offsets of [`Self::data`]: in the inflated log, and about where in the file that is.
    pub(super) fn place(&self) -> (u64, u64) {
        (self.inflated, self.filled_from)
    }

    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        self.buffer.capacity()
    }

    /// Offset in the file of what was not read yet.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Inflates more, and answers whether there was more.
    pub(super) fn fill(&mut self) -> Result<bool, DecodeError> {
        if let Some(e) = self.failed.take() {
            return Err(e);
        }
        self.make_room();
        loop {
            match self.place {
                Place::End => return Ok(false),
                Place::Member => self.place = self.read_member()?,
                Place::Deflated => {
                    let before = self.buffer.len();
                    self.inflate_some()?;
                    if self.buffer.len() > before {
                        return Ok(true);
                    }
                    if let Some(e) = self.failed.take() {
                        return Err(e);
                    }
                }
            }
        }
    }

    /// Moves what is left to the front: it is part of one message.
    fn make_room(&mut self) {
        if self.begin > 0 {
            let left = self.data().len();
            self.buffer.copy_within(self.begin.., 0);
            self.buffer.truncate(left);
            self.begin = 0;
        }
        // What one long message took is given back.
        if self.buffer.capacity() > 4 * CHUNK_BYTES && self.buffer.len() < CHUNK_BYTES {
            self.buffer.shrink_to(2 * CHUNK_BYTES);
        }
        self.filled_from = self.offset;
    }

    fn inflate_some(&mut self) -> Result<(), DecodeError> {
        // At the end of the file there may still be output that had no room before.
        let last = !self.read_input()?;
        let (used, made) = (self.inflate.total_in(), self.inflate.total_out());
        let from = self.buffer.len();
        self.buffer.resize(from + CHUNK_BYTES, 0);
        let input = self.input.get(self.unused.clone()).unwrap_or(&[]);
        let room = self.buffer.get_mut(from..).unwrap_or_default();
        let status = self.inflate.decompress(input, room, FlushDecompress::None);
        let used = to_usize(self.inflate.total_in() - used);
        let made = to_usize(self.inflate.total_out() - made);
        self.buffer.truncate(from + made);
        self.crc.update(self.buffer.get(from..).unwrap_or(&[]));
        self.unused.start = (self.unused.start + used).min(self.unused.end);
        self.offset += u64::try_from(used).unwrap_or(0);
        match status {
            Ok(Status::StreamEnd) => {
                let trailer = self.read_trailer()?;
                self.trailer = Some(trailer);
                self.place = match trailer {
                    Trailer::Cut => Place::End,
                    _ if self.read_input()? => Place::Member,
                    _ => Place::End,
                };
            }
            Ok(_) if last && made == 0 => self.place = Place::End,
            Ok(_) if used == 0 && made == 0 => {
                self.failed = Some(malformed(self.offset, "the compressed data goes nowhere"));
            }
            Ok(_) => {}
            // What was inflated before the damage is sound; the error waits until it is used.
            Err(e) => {
                let what = e.message().unwrap_or("not DEFLATE");
                self.failed = Some(malformed(
                    self.offset,
                    format!(
                        "the compressed data is damaged here ({what}; byte {} of the inflated \
                         log); what follows cannot be read",
                        self.inflate.total_out()
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Reads the header of a gzip member. Behind the first one anything else is passed over.
    fn read_member(&mut self) -> Result<Place, DecodeError> {
        let (begin, again) = (self.offset, self.trailer.is_some());
        let mut fixed = [0u8; 10];
        for slot in &mut fixed {
            match self.byte()? {
                Some(byte) => *slot = byte,
                None => return self.ends_in_member(begin, again),
            }
        }
        let [id1, id2, method, flags, ..] = fixed;
        if [id1, id2, method] != [0x1f, 0x8b, 8] {
            if again {
                self.more = true;
                return Ok(Place::End);
            }
            return Err(malformed(
                begin,
                "no gzip member begins behind the header; what follows cannot be read",
            ));
        }
        if !self.skip_optional(flags, begin)? {
            return self.ends_in_member(begin, again);
        }
        self.inflate.reset(false);
        self.crc = Crc::new();
        self.filled_from = self.offset;
        Ok(Place::Deflated)
    }

    fn ends_in_member(&mut self, begin: u64, again: bool) -> Result<Place, DecodeError> {
        if again {
            self.more |= self.offset > begin;
            return Ok(Place::End);
        }
        let what = "the file ends before the first compressed byte";
        Err(malformed(self.offset, what))
    }

    /// Passes over the parts of a gzip header that need not be there; false at the file's end.
    fn skip_optional(&mut self, flags: u8, begin: u64) -> Result<bool, DecodeError> {
        let mut left = 0u32;
        if flags & 4 != 0 {
            let (Some(low), Some(high)) = (self.byte()?, self.byte()?) else {
                return Ok(false);
            };
            left += u32::from(u16::from_le_bytes([low, high]));
        }
        for _ in 0..left {
            if self.byte()?.is_none() {
                return Ok(false);
            }
        }
        // Name and comment, each up to a zero.
        for _ in [8, 16].iter().filter(|flag| flags & **flag != 0) {
            loop {
                match self.byte()? {
                    None => return Ok(false),
                    Some(0) => break,
                    Some(_) if self.offset - begin > GZIP_HEADER_BYTES_MAX => {
                        return Err(malformed(begin, "the gzip header has no end"));
                    }
                    Some(_) => {}
                }
            }
        }
        // The header's own checksum.
        Ok(flags & 2 == 0 || (self.byte()?.is_some() && self.byte()?.is_some()))
    }

    fn read_trailer(&mut self) -> Result<Trailer, DecodeError> {
        let mut trailer = [0u8; 8];
        for slot in &mut trailer {
            match self.byte()? {
                Some(byte) => *slot = byte,
                None => return Ok(Trailer::Cut),
            }
        }
        let want = u64::from(self.crc.sum()) | u64::from(self.crc.amount()) << 32;
        Ok(match u64::from_le_bytes(trailer) == want {
            true => Trailer::Sound,
            false => Trailer::Wrong,
        })
    }

    fn byte(&mut self) -> Result<Option<u8>, DecodeError> {
        if !self.read_input()? {
            return Ok(None);
        }
        let byte = self.input.get(self.unused.start).copied();
        self.unused.start += 1;
        self.offset += 1;
        Ok(byte)
    }

    /// Whether there is input, after reading some if there was none.
    fn read_input(&mut self) -> Result<bool, DecodeError> {
        while self.unused.is_empty() {
            match self.src.read(&mut self.input) {
                Ok(0) => return Ok(false),
                Ok(bytes) => self.unused = 0..bytes,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(true)
    }
}

fn to_usize(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

pub(super) fn malformed(offset: u64, what: impl Into<String>) -> DecodeError {
    DecodeError::Malformed {
        line: None,
        offset,
        what: what.into(),
    }
}
