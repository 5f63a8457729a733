//! A segment that comes part by part: its events are had as they come, and at its seal it is the
//! [`SealedSegment`] that [`SealedSegment::from_parts`] would make, without decoding it again.

use hansard_core::Event;
use hansard_core::frame::{Part, SegmentHeader};
use hansard_core::reader::PartReader;
use hansard_core::seal::Statement;
use sha2::{Digest as _, Sha256};

use super::{Check, SealedSegment, SegmentFacts, Unfit, malformed, too_long};
use crate::chain::{Alarm, AlarmKind};
use crate::limits::SEGMENT_STORED_BYTES_MAX;

/// A segment without its seal yet. Memory: its bytes so far, and a decompressor.
pub struct GrowingSegment {
    reader: PartReader,
    bytes: Vec<u8>,
    check: Check,
}

impl GrowingSegment {
    /// Begins with the opening frame; answers its events too.
    ///
    /// # Errors
    /// See [`Unfit`].
    pub fn open(part: &Part) -> Result<(Self, Vec<Event>), Unfit> {
        let opened = PartReader::open(part.bytes());
        let (reader, events) = opened.map_err(|why| malformed(why.0))?;
        let mut growing = Self {
            reader,
            bytes: Vec::new(),
            check: Check::default(),
        };
        growing.take(part)?;
        growing.check.note(&events);
        Ok((growing, events))
    }

    /// What the opening frame says about the segment.
    #[must_use]
    pub fn header(&self) -> &SegmentHeader {
        self.reader.header()
    }

    /// Frames so far, which is the index of the next.
    #[must_use]
    pub fn frames(&self) -> u32 {
        self.reader.frames()
    }

    /// Stored bytes so far.
    #[must_use]
    pub fn stored_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes that the frames so far decompressed to.
    #[must_use]
    pub fn raw_bytes(&self) -> u64 {
        self.reader.raw_bytes()
    }

    /// Takes the next frame; answers its events.
    ///
    /// # Errors
    /// See [`Unfit`]. Nothing more can be taken then.
    pub fn frame(&mut self, part: &Part) -> Result<Vec<Event>, Unfit> {
        let events = self.reader.frame(part.bytes());
        let events = events.map_err(|why| malformed(why.0))?;
        self.take(part)?;
        self.check.note(&events);
        Ok(events)
    }

    /// Takes the seal: the segment is whole.
    ///
    /// # Errors
    /// See [`Unfit`].
    pub fn seal(mut self, part: &Part) -> Result<SealedSegment, Unfit> {
        let stated = self.reader.seal(part.bytes());
        let stated = stated.map_err(|why| malformed(why.0))?;
        self.take(part)?;
        let Statement {
            next_seq,
            digest,
            key,
            is_final,
            ..
        } = stated;
        let header = self.reader.header();
        let facts = SegmentFacts {
            session: header.session,
            number: header.number,
            predecessor: header.predecessor,
            digest,
            content: Sha256::digest(&self.bytes).into(),
            key,
            first_seq: header.first_seq,
            next_seq,
            base_ns: header.base_ns,
            last_ns: self.reader.last_ns(),
            is_final,
        };
        self.check.conclude(&facts)?;
        Ok(SealedSegment::new(self.bytes, facts))
    }

    /// Where a part says that it stands must be where its bytes say.
    fn take(&mut self, part: &Part) -> Result<(), Unfit> {
        let header = self.reader.header();
        if (part.session(), part.segment()) != (header.session, header.number) {
            return Err(Unfit::Alarm(Alarm {
                kind: AlarmKind::Misplaced,
                session: part.session(),
                segment: part.segment(),
                what: format!(
                    "the bytes offered are those of segment {} of {}",
                    header.number, header.session
                ),
            }));
        }
        let length = self.bytes.len().saturating_add(part.bytes().len());
        if length > SEGMENT_STORED_BYTES_MAX {
            return Err(too_long(length));
        }
        self.bytes.extend_from_slice(part.bytes());
        Ok(())
    }
}
