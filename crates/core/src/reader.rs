//! Reads recordings: any bytes, in bounded memory, telling damage from an unfinished tail.
//!
//! Nothing is believed before it was checked: a length before it is inside its limit and its
//! head's check fits, a payload before its checksum fits, an event before its frame decoded whole.

use std::io::Read;

use crate::frame::{CHECKSUM_BYTES, Head, HeadKind, MAGIC, ParsedHead, SegmentHeader, parse_head};
use crate::id::SessionId;
use crate::seal::{Digest, NO_PREDECESSOR};

mod buffer;
#[cfg(test)]
mod hostile;
mod item;
mod parts;
pub(crate) mod segment;

use buffer::Buffer;
pub use item::{Damage, FrameItem, Item, ReadError, SealItem, Tail};
pub use parts::PartReader;
use segment::OpenSegment;

/// Reads a recording's records from a source of bytes.
pub struct Reader<R> {
    buffer: Buffer<R>,
    decoding: bool,
    following: bool,
    session: Option<SessionId>,
    segment: Option<OpenSegment>,
    chain: Chain,
    ended: Option<Tail>,
}

/// Where the chain of segments stands.
#[derive(Debug, Clone, Copy)]
struct Chain {
    /// Number and predecessor's digest that the next segment must have, unless reading began in
    /// the middle or after damage.
    next: Option<(u32, Digest)>,
    /// The next event's number and the last one's time, where known.
    next_event: Option<(u64, u64)>,
    /// No segment may have a lower number.
    lowest: u32,
    /// The final seal was seen.
    complete: bool,
    /// An `End` event was seen.
    ended: bool,
    /// Any segment was seen.
    any: bool,
}

/// A failed check, before its offset and place are added.
struct Bad {
    frame: Option<u32>,
    what: String,
    /// The record is sound in itself, only not what must come: reading goes on with it.
    sound: bool,
}

impl Bad {
    fn segment(what: String) -> Self {
        Self {
            frame: None,
            what,
            sound: false,
        }
    }

    fn in_frame(index: u32, what: String) -> Self {
        Self {
            frame: Some(index),
            what,
            sound: false,
        }
    }

    fn out_of_place(what: String) -> Self {
        Self {
            frame: None,
            what,
            sound: true,
        }
    }
}

impl<R: Read> Reader<R> {
    /// From the beginning of a recording.
    pub fn new(source: R) -> Self {
        Self {
            buffer: Buffer::new(source, 0),
            decoding: true,
            following: false,
            session: None,
            segment: None,
            chain: Chain {
                next: Some((0, NO_PREDECESSOR)),
                next_event: Some((0, 0)),
                lowest: 0,
                complete: false,
                ended: false,
                any: false,
            },
            ended: None,
        }
    }

    /// From the middle: `source` stands at `offset`, where a segment's opening frame begins.
    pub fn resume(source: R, offset: u64) -> Self {
        let mut reader = Self::new(source);
        reader.buffer = Buffer::new(reader.buffer.into_source(), offset);
        reader.chain.next = None;
        reader.chain.next_event = None;
        reader
    }

    /// Checks digests and signatures only; events stay compressed and unchecked.
    #[must_use]
    pub fn skip_decoding(mut self) -> Self {
        self.decoding = false;
        self
    }

    /// At the end of the bytes, [`Item::End`] means "for now": the next call looks for more.
    #[must_use]
    pub fn following(mut self) -> Self {
        self.following = true;
        self
    }

    /// The session all segments belong to, once one was seen.
    #[must_use]
    pub fn session(&self) -> Option<SessionId> {
        self.session
    }

    /// Bytes of the recording that were read and judged so far.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.buffer.offset()
    }

    /// The next item.
    ///
    /// # Errors
    /// When the source fails, or at the beginning when the bytes are no recording or one of
    /// another version.
    pub fn next_item(&mut self) -> Result<Item, ReadError> {
        if let Some(tail) = self.ended {
            return Ok(Item::End(tail));
        }
        loop {
            if self.buffer.is_empty() && !self.buffer.fill()? {
                return match self.tail() {
                    Some(tail) => Ok(self.end(tail)),
                    None => Err(ReadError::NotARecording),
                };
            }
            let place = self.segment.as_ref().map(OpenSegment::next_place);
            match parse_head(self.buffer.bytes(), place) {
                ParsedHead::Head(head) => {
                    if self.buffer.bytes().len() >= head.record_len() {
                        return self.record(&head);
                    }
                }
                ParsedHead::Short => {}
                ParsedHead::Encrypted => return Err(ReadError::Encrypted),
                ParsedHead::OtherVersion(version) if !self.chain.any => {
                    return Err(ReadError::OtherVersion(version));
                }
                ParsedHead::OtherVersion(version) => {
                    return self.damage(format!("a segment of format version {version}"));
                }
                ParsedHead::Bad(why) => return self.bad_head(why),
            }
            if !self.buffer.fill()? {
                let offset = self.buffer.offset();
                return if self.chain.complete {
                    self.damage("bytes after the end of the recording".into())
                } else {
                    Ok(self.end(Tail::Torn { offset }))
                };
            }
        }
    }

    /// A whole record is in the buffer.
    fn record(&mut self, head: &Head) -> Result<Item, ReadError> {
        let checked = match &head.kind {
            HeadKind::Opening(header) => self.open(header, head),
            HeadKind::Frame => self.frame(head, None),
            HeadKind::Seal => self.seal(head),
        };
        match checked {
            Ok(item) => {
                self.buffer.consume(head.record_len());
                Ok(item)
            }
            Err(Bad {
                what, sound: true, ..
            }) => Ok(self.out_of_place(head, what)),
            Err(Bad { frame, what, .. }) => self.damage_in(frame, what),
        }
    }

    /// A sound segment that is not the one that must come: say so, and read it next.
    fn out_of_place(&mut self, head: &Head, what: String) -> Item {
        let number = match &head.kind {
            HeadKind::Opening(header) => Some(header.number),
            _ => None,
        };
        let offset = self.buffer.offset();
        let segment = self
            .segment
            .take()
            .map(|segment| segment.number())
            .or(number);
        self.chain.next = None;
        self.chain.next_event = None;
        Item::Damage(Damage {
            offset,
            segment,
            frame: None,
            what,
            resumed_at: Some(offset),
        })
    }

    /// A segment's opening frame: is it the one that must come?
    fn open(&mut self, header: &SegmentHeader, head: &Head) -> Result<Item, Bad> {
        let number = header.number;
        if self.chain.complete {
            return Err(Bad::segment(
                "a segment after the end of the recording".into(),
            ));
        }
        if self
            .session
            .is_some_and(|session| session != header.session)
        {
            return Err(Bad::segment(format!(
                "a segment of another session, {}",
                header.session
            )));
        }
        let lowest = self
            .segment
            .as_ref()
            .map_or(self.chain.lowest, |s| s.number().saturating_add(1));
        if number < lowest {
            return Err(Bad::segment(format!("segment {number} once more")));
        }
        if let Some(open) = &self.segment {
            return Err(Bad::out_of_place(format!(
                "segment {} has no seal",
                open.number()
            )));
        }
        if let Some((expected, predecessor)) = self.chain.next {
            if number != expected {
                let what = format!("segment {number} where {expected} must stand");
                return Err(Bad::out_of_place(what));
            }
            if header.predecessor != predecessor {
                let what = "its predecessor's digest is not that of the segment before";
                return Err(Bad::out_of_place(what.into()));
            }
        }
        if let Some((seq, at_ns)) = self.chain.next_event {
            if header.first_seq != seq {
                let what = format!("its first event is {}, not {seq}", header.first_seq);
                return Err(Bad::out_of_place(what));
            }
            if self.decoding && header.base_ns != at_ns {
                let what = "its base time is not the time of the event before";
                return Err(Bad::out_of_place(what.into()));
            }
        }
        let segment = OpenSegment::new(header).map_err(Bad::segment)?;
        self.segment = Some(segment);
        match self.frame(head, Some(header.clone())) {
            Ok(item) => {
                self.session = Some(header.session);
                self.chain.any = true;
                self.chain.lowest = header.number;
                Ok(item)
            }
            Err(bad) => {
                self.segment = None;
                Err(bad)
            }
        }
    }

    fn frame(&mut self, head: &Head, opening: Option<SegmentHeader>) -> Result<Item, Bad> {
        let record = self
            .buffer
            .bytes()
            .get(..head.record_len())
            .unwrap_or_default();
        let offset = self.buffer.offset();
        let Some(segment) = self.segment.as_mut() else {
            return Err(Bad::segment("a frame outside any segment".into()));
        };
        let index = segment.next_place().index;
        let bad = |what: String| Bad::in_frame(index, what);
        let payload = segment
            .check(record, head.head_len, CHECKSUM_BYTES)
            .map_err(bad)?;
        let (mut events, mut raw_bytes) = (Vec::new(), 0);
        if self.decoding {
            if self.chain.ended {
                return Err(bad("a frame after the session's end".into()));
            }
            (events, raw_bytes) = segment.decode(payload).map_err(bad)?;
            self.chain.ended = segment::check_order(&events, segment.session()).map_err(bad)?;
        }
        Ok(Item::Frame(FrameItem {
            opening,
            segment: segment.number(),
            index,
            offset,
            stored_bytes: record.len() as u64,
            raw_bytes,
            events,
        }))
    }

    fn seal(&mut self, head: &Head) -> Result<Item, Bad> {
        let end = head.head_len + head.payload_len;
        let payload = self
            .buffer
            .bytes()
            .get(head.head_len..end)
            .unwrap_or_default();
        let offset = self.buffer.offset();
        let Some(segment) = self.segment.as_ref() else {
            return Err(Bad::segment("a seal outside any segment".into()));
        };
        let statement = segment
            .check_seal(payload, self.decoding)
            .map_err(Bad::segment)?;
        if self.decoding && statement.is_final != self.chain.ended {
            let what = if self.chain.ended {
                "an end without the final seal"
            } else {
                "a final seal without an end"
            };
            return Err(Bad::segment(what.into()));
        }
        self.chain.next = Some((statement.segment.saturating_add(1), statement.digest));
        self.chain.next_event = Some((statement.next_seq, segment.at_ns()));
        self.chain.lowest = statement.segment.saturating_add(1);
        self.chain.complete = statement.is_final;
        self.segment = None;
        Ok(Item::Seal(SealItem {
            segment: statement.segment,
            offset,
            end: offset + head.record_len() as u64,
            frames: statement.frames,
            next_seq: statement.next_seq,
            at_ns: statement.at_ns,
            digest: statement.digest,
            key: statement.key,
            is_final: statement.is_final,
        }))
    }

    fn bad_head(&mut self, why: String) -> Result<Item, ReadError> {
        if self.chain.complete {
            return self.damage("bytes after the end of the recording".into());
        }
        if self.chain.any || self.begins_like_a_recording() {
            return self.damage(why);
        }
        // Not even a damaged magic: a recording only if a sound segment follows soon.
        match self.damage(why)? {
            item @ Item::Damage(Damage {
                resumed_at: Some(_),
                ..
            }) => Ok(item),
            _ => Err(ReadError::NotARecording),
        }
    }

    /// Whether at least half of the magic is there.
    fn begins_like_a_recording(&self) -> bool {
        let same = self
            .buffer
            .bytes()
            .iter()
            .zip(MAGIC)
            .filter(|(a, b)| **a == *b)
            .count();
        self.buffer.offset() == 0 && same >= MAGIC.len() / 2 || self.buffer.offset() > 0
    }

    fn damage(&mut self, what: String) -> Result<Item, ReadError> {
        let frame = self
            .segment
            .as_ref()
            .map(|segment| segment.next_place().index);
        self.damage_in(frame, what)
    }

    /// Something is wrong with the record at the buffer's beginning: find the next sound segment.
    /// A record that is lost to zeros up to the end of the bytes is a torn tail: file systems leave
    /// those when power fails before the last write was durable.
    fn damage_in(&mut self, frame: Option<u32>, what: String) -> Result<Item, ReadError> {
        let offset = self.buffer.offset();
        let place = self.segment.as_ref().map(OpenSegment::next_place);
        let record_end = match parse_head(self.buffer.bytes(), place) {
            ParsedHead::Head(head) => offset + head.record_len() as u64,
            _ => offset,
        };
        let segment = self.segment.take().map(|segment| segment.number());
        let (session, lowest) = (self.session, self.chain.lowest);
        let sound = |bytes: &[u8]| match parse_head(bytes, None) {
            ParsedHead::Head(Head {
                kind: HeadKind::Opening(header),
                ..
            }) => {
                session.is_none_or(|session| session == header.session)
                    && header.number >= lowest
                    && segment != Some(header.number)
            }
            _ => false,
        };
        let limit = if self.chain.any {
            u64::MAX
        } else {
            buffer::FIRST_SCAN_BYTES
        };
        let scan = self.buffer.scan(limit, sound)?;
        let may_be_torn = self.chain.any && !self.chain.complete;
        if may_be_torn && scan.lost_to_zeros(offset, record_end) {
            return Ok(self.end(Tail::Torn { offset }));
        }
        self.chain.next = None;
        self.chain.next_event = None;
        self.chain.lowest = segment.map_or(self.chain.lowest, |n| n.saturating_add(1));
        if scan.found.is_none() {
            self.ended = Some(Tail::Torn { offset });
        }
        let named = segment.or_else(|| self.chain.any.then_some(self.chain.lowest));
        Ok(Item::Damage(Damage {
            offset,
            segment: named,
            frame,
            what,
            resumed_at: scan.found,
        }))
    }

    /// How the bytes end, if they end here; `None` where there were none.
    fn tail(&self) -> Option<Tail> {
        match (&self.segment, self.chain.complete) {
            (Some(_), _) => Some(Tail::Unsealed),
            (None, true) => Some(Tail::Complete),
            (None, false) if self.chain.any => Some(Tail::NoEnd),
            (None, false) => None,
        }
    }

    fn end(&mut self, tail: Tail) -> Item {
        if !self.following || tail == Tail::Complete {
            self.ended = Some(tail);
        }
        Item::End(tail)
    }
}
