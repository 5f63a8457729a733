//! Reads one segment part by part, as its parts come, with the very checks of [`super::Reader`].

use super::segment::{OpenSegment, check_order};
use crate::event::Event;
use crate::frame::{CHECKSUM_BYTES, Head, HeadKind, ParsedHead, SegmentHeader, parse_head};
use crate::seal::Statement;
use crate::wire::{Malformed, malformed};

/// A segment that is being read. Memory: a decompressor with its window, at most some
/// [`crate::limits::ZSTD_WINDOW_LOG_MAX`] and usually 1.3 MiB, of which only what was used is
/// resident.
///
/// After an error nothing more can be read with it.
pub struct PartReader {
    header: SegmentHeader,
    segment: OpenSegment,
    ended: bool,
    raw_bytes: u64,
}

impl PartReader {
    /// Begins with a segment's opening frame, whose events are answered too.
    ///
    /// # Errors
    /// When it is not one sound opening frame, from its first byte to its last.
    pub fn open(record: &[u8]) -> Result<(Self, Vec<Event>), Malformed> {
        let head = match parse_head(record, None) {
            ParsedHead::Head(head) => head,
            other => return Err(not_a_record(&other)),
        };
        let HeadKind::Opening(header) = &head.kind else {
            return malformed("a frame or seal outside any segment");
        };
        let mut reader = Self {
            header: header.clone(),
            segment: OpenSegment::new(header).map_err(Malformed)?,
            ended: false,
            raw_bytes: 0,
        };
        let events = reader.decode(record, &head)?;
        Ok((reader, events))
    }

    /// What the opening frame says about the segment.
    #[must_use]
    pub fn header(&self) -> &SegmentHeader {
        &self.header
    }

    /// Frames read so far, which is the index of the next.
    #[must_use]
    pub fn frames(&self) -> u32 {
        self.segment.next_place().index
    }

    /// Bytes that the frames so far decompressed to.
    #[must_use]
    pub fn raw_bytes(&self) -> u64 {
        self.raw_bytes
    }

    /// Time of the last event so far, nanoseconds since the session's start.
    #[must_use]
    pub fn last_ns(&self) -> u64 {
        self.segment.at_ns()
    }

    /// The next frame's events.
    ///
    /// # Errors
    /// When it is not the segment's next frame, sound, from its first byte to its last.
    pub fn frame(&mut self, record: &[u8]) -> Result<Vec<Event>, Malformed> {
        let head = self.head(record)?;
        match head.kind {
            HeadKind::Frame => self.decode(record, &head),
            HeadKind::Opening(_) => malformed("a second opening frame"),
            HeadKind::Seal => malformed("a seal where a frame must stand"),
        }
    }

    /// What the seal states, when it fits everything that was read and its signature fits. Whether
    /// its key is the right one is for the caller to say.
    ///
    /// # Errors
    /// When it is not this segment's seal, from its first byte to its last.
    pub fn seal(&self, record: &[u8]) -> Result<Statement, Malformed> {
        let head = self.head(record)?;
        if head.kind != HeadKind::Seal {
            return malformed("a frame where the seal must stand");
        }
        let payload = record.get(head.head_len..).unwrap_or_default();
        let statement = self.segment.check_seal(payload, true).map_err(Malformed)?;
        match (statement.is_final, self.ended) {
            (false, true) => malformed("an end without the final seal"),
            (true, false) => malformed("a final seal without an end"),
            _ => Ok(statement),
        }
    }

    fn head(&self, record: &[u8]) -> Result<Head, Malformed> {
        match parse_head(record, Some(self.segment.next_place())) {
            ParsedHead::Head(head) if head.record_len() == record.len() => Ok(head),
            ParsedHead::Head(_) => malformed("a part is not one whole record"),
            other => Err(not_a_record(&other)),
        }
    }

    fn decode(&mut self, record: &[u8], head: &Head) -> Result<Vec<Event>, Malformed> {
        if head.record_len() != record.len() {
            return malformed("a part is not one whole record");
        }
        let payload = self
            .segment
            .check(record, head.head_len, CHECKSUM_BYTES)
            .map_err(Malformed)?;
        if self.ended {
            return malformed("a frame after the session's end");
        }
        let (events, raw_bytes) = self.segment.decode(payload).map_err(Malformed)?;
        self.raw_bytes = self.raw_bytes.saturating_add(raw_bytes);
        self.ended = check_order(&events, self.segment.session()).map_err(Malformed)?;
        Ok(events)
    }
}

fn not_a_record(parsed: &ParsedHead) -> Malformed {
    Malformed(match parsed {
        ParsedHead::Bad(why) => why.clone(),
        ParsedHead::Encrypted => "an encrypted segment, which this version cannot read".to_owned(),
        ParsedHead::OtherVersion(version) => format!("a segment of format version {version}"),
        ParsedHead::Short | ParsedHead::Head(_) => "a part breaks off inside its head".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Item, Reader};
    use super::*;
    use crate::event::{Body, End, Stream};
    use crate::fields::Fields;
    use crate::frame::Part;
    use crate::id::SessionId;
    use crate::policy::Policy;
    use crate::seal::SigningKey;
    use crate::session::{ClockQuality, Session};
    use crate::writer::{Bounds, SegmentWriter};

    fn segments() -> Vec<Vec<Part>> {
        let key = SigningKey::from_seed([5; 32]);
        let session = Session {
            id: SessionId::from_bytes([5; 16]),
            parent: None,
            kind: "terminal".into(),
            subject: Fields::new(),
            origin: Fields::new(),
            target: Fields::new(),
            start_utc_ns: 1,
            clock: ClockQuality::Unknown,
            policy: Policy::default(),
            recorder_key: key.public(),
            recorder: "test".into(),
        };
        let bounds = Bounds {
            frame_events: 2,
            segment_bytes: 300,
            ..Bounds::default()
        };
        let mut writer = SegmentWriter::new(session, key, bounds).unwrap();
        for i in 0..24u64 {
            let text = format!("line {i} {:x}\r\n", i.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            writer
                .push_data(i * 1000, Stream::Output, text.as_bytes())
                .unwrap();
            writer
                .push(i * 1000, &Body::Resize { cols: 80, rows: 24 })
                .unwrap();
        }
        writer.finish(30_000, &End::default()).unwrap();
        let parts = writer.parts();
        parts
            .chunk_by(|a, b| a.segment() == b.segment())
            .map(<[Part]>::to_vec)
            .collect()
    }

    /// What the reader of whole bytes says of one segment: its events and its seal's digest.
    fn whole(parts: &[Vec<u8>]) -> Option<(Vec<Event>, [u8; 32])> {
        let bytes = parts.concat();
        let mut reader = Reader::resume(bytes.as_slice(), 0);
        let mut events = Vec::new();
        loop {
            match reader.next_item().ok()? {
                Item::Frame(frame) => events.extend(frame.events),
                Item::Seal(seal) => {
                    let all = seal.end == bytes.len() as u64;
                    return all.then_some((events, seal.digest));
                }
                Item::Damage(_) | Item::End(_) => return None,
            }
        }
    }

    fn by_parts(parts: &[Vec<u8>]) -> Option<(Vec<Event>, [u8; 32])> {
        let (seal, frames) = parts.split_last()?;
        let (first, frames) = frames.split_first()?;
        let (mut reader, mut events) = PartReader::open(first).ok()?;
        for frame in frames {
            events.extend(reader.frame(frame).ok()?);
        }
        let statement = reader.seal(seal).ok()?;
        assert_eq!(reader.frames(), statement.frames);
        Some((events, statement.digest))
    }

    #[test]
    fn parts_read_one_by_one_are_what_the_reader_of_whole_bytes_reads() {
        let segments = segments();
        assert!(segments.len() > 3);
        for parts in segments {
            let parts: Vec<Vec<u8>> = parts.iter().map(|p| p.bytes().to_vec()).collect();
            assert!(whole(&parts).is_some());
            assert_eq!(by_parts(&parts), whole(&parts));
        }
    }

    #[test]
    fn both_refuse_whatever_was_changed() {
        let segments = segments();
        let last = segments.last().unwrap();
        let parts: Vec<Vec<u8>> = last.iter().map(|p| p.bytes().to_vec()).collect();
        for (i, part) in parts.iter().enumerate() {
            for at in 0..part.len() {
                let mut changed = parts.clone();
                changed[i][at] ^= 0x10;
                assert_eq!(by_parts(&changed), None, "part {i}, byte {at}");
                assert_eq!(whole(&changed), None, "part {i}, byte {at}");
            }
            let mut cut = parts.clone();
            cut[i].pop();
            assert_eq!(by_parts(&cut), None);
            let mut missing = parts.clone();
            missing.remove(i);
            assert_eq!((by_parts(&missing), whole(&missing)), (None, None));
            if i + 1 < parts.len() {
                let mut swapped = parts.clone();
                swapped.swap(i, i + 1);
                assert_eq!((by_parts(&swapped), whole(&swapped)), (None, None));
            }
        }
        // A record and a half in one part is one recording, but not one record.
        let mut joined = parts.clone();
        let second = joined.remove(1);
        joined[0].extend_from_slice(&second);
        assert_eq!(by_parts(&joined), None);
    }
}
