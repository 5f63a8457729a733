//! Whether a part is what it says, by itself: for whoever takes parts from others.

use super::{
    CHECK_BYTES, CHECKSUM_BYTES, HeadKind, ParsedHead, Part, Place, SegmentHeader, parse_head,
};
use crate::limits::FORMAT_VERSION;
use crate::seal::{PlaceOf, Statement, frame_digest};
use crate::wire::{Malformed, Varint, get_varint, malformed};

/// A part that is sound by itself. Whether it continues its session is for the chain to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sound {
    /// Frame 0 of a segment, with what it says about it.
    Opening(SegmentHeader),
    /// Any other frame.
    Frame,
    /// A seal. Its signature fits the key that it names; whether that is the right key is for the
    /// caller to say.
    Seal(Box<Statement>),
}

impl Part {
    /// Checks that the record is one whole frame or seal, that it belongs in the place it claims,
    /// and that its checksum or signature fits. Decompresses nothing.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn check(&self) -> Result<Sound, Malformed> {
        match self.place() {
            Place::Frame(index) => self.check_frame(index),
            Place::Seal => self.check_seal(),
        }
    }

    fn check_frame(&self, index: u32) -> Result<Sound, Malformed> {
        let bytes = self.bytes();
        let place = self.place_of(index);
        let head = match parse_head(bytes, Some(place)) {
            ParsedHead::Head(head) if head.kind != HeadKind::Seal => head,
            ParsedHead::Head(_) => return malformed("a seal in the place of a frame"),
            ParsedHead::Short => return malformed("a frame that is cut off"),
            ParsedHead::OtherVersion(version) => {
                return malformed(format!(
                    "a segment of format version {version}, where {FORMAT_VERSION} is read"
                ));
            }
            ParsedHead::Encrypted => return malformed("an encrypted segment"),
            ParsedHead::Bad(why) => return malformed(why),
        };
        let (opening, payload) = bytes.split_at_checked(head.head_len).unwrap_or_default();
        let is_whole = bytes.len() == head.record_len();
        let Some((payload, checksum)) = payload
            .split_at_checked(head.payload_len)
            .filter(|_| is_whole)
        else {
            return malformed("a frame that is not as long as it says");
        };
        if !frame_digest(place, opening, payload).starts_with(checksum)
            || checksum.len() != CHECKSUM_BYTES
        {
            return malformed("a frame that does not match its checksum");
        }
        match head.kind {
            HeadKind::Opening(header)
                if index == 0
                    && header.session == place.session
                    && header.number == place.segment =>
            {
                Ok(Sound::Opening(header))
            }
            HeadKind::Frame if index > 0 => Ok(Sound::Frame),
            _ => malformed("a frame in another's place"),
        }
    }

    fn check_seal(&self) -> Result<Sound, Malformed> {
        let bytes = self.bytes();
        // Where a seal stands is known from its statement, so that is read before its head can be
        // checked: behind the tag, the length and the check.
        let statement = match get_varint(bytes.get(1..).unwrap_or_default()) {
            Varint::Value(_, len) => bytes.get(1 + len + CHECK_BYTES..),
            Varint::Short | Varint::Bad => None,
        };
        let Some(Ok(statement)) = statement.map(Statement::open) else {
            return malformed("no seal, or one whose signature does not fit");
        };
        if statement.session != self.session() || statement.segment != self.segment() {
            return malformed("a seal in another's place");
        }
        match parse_head(bytes, Some(self.place_of(statement.frames))) {
            ParsedHead::Head(head)
                if head.kind == HeadKind::Seal && head.record_len() == bytes.len() =>
            {
                Ok(Sound::Seal(Box::new(statement)))
            }
            _ => malformed("a seal whose head does not match its check"),
        }
    }

    fn place_of(&self, index: u32) -> PlaceOf {
        PlaceOf {
            session: self.session(),
            segment: self.segment(),
            index,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{End, Stream};
    use crate::frame::Frame;
    use crate::session::ClockQuality;
    use crate::writer::{Bounds, SegmentWriter};
    use crate::{Fields, Policy, Seal, Session, SessionId};

    fn parts() -> Vec<Part> {
        let key = crate::seal::SigningKey::from_seed([1; 32]);
        let session = Session {
            id: SessionId::from_bytes([3; 16]),
            parent: None,
            kind: "terminal".into(),
            subject: Fields::new(),
            origin: Fields::new(),
            target: Fields::new(),
            start_utc_ns: 1,
            clock: ClockQuality::Unknown,
            policy: Policy::default(),
            recorder_key: key.public(),
            recorder: String::new(),
        };
        let bounds = Bounds {
            frame_events: 2,
            segment_bytes: 300,
            ..Bounds::default()
        };
        let mut writer = SegmentWriter::new(session, key, bounds).unwrap();
        for n in 0..12u8 {
            writer
                .push_data(u64::from(n), Stream::Output, &[n; 50])
                .unwrap();
        }
        writer.finish(20, &End::default()).unwrap();
        writer.parts()
    }

    fn moved(part: &Part, session: SessionId, segment: u32, place: Place) -> Part {
        let bytes = part.bytes().to_vec();
        match place {
            Place::Frame(index) => Part::Frame(Frame {
                session,
                segment,
                index,
                bytes,
            }),
            Place::Seal => Part::Seal(Seal {
                session,
                segment,
                bytes,
            }),
        }
    }

    #[test]
    fn what_a_writer_writes_is_sound_and_nothing_else_is() {
        let parts = parts();
        let seals = parts.iter().filter(|p| p.place() == Place::Seal).count();
        assert!(seals > 1 && parts.len() > seals * 2);
        for part in &parts {
            let sound = part.check().unwrap();
            let is_seal = matches!(sound, Sound::Seal(_));
            let is_opening = matches!(sound, Sound::Opening(_));
            assert_eq!(is_seal, part.place() == Place::Seal);
            assert_eq!(is_opening, part.place() == Place::Frame(0));

            let (session, segment, place) = (part.session(), part.segment(), part.place());
            let other = match place {
                Place::Frame(index) => Place::Frame(index + 1),
                Place::Seal => Place::Frame(1),
            };
            assert!(moved(part, session, segment, other).check().is_err());
            assert!(moved(part, session, segment + 1, place).check().is_err());
            let stranger = SessionId::from_bytes([4; 16]);
            assert!(moved(part, stranger, segment, place).check().is_err());
            for at in 0..part.bytes().len() {
                let mut changed = part.clone();
                match &mut changed {
                    Part::Frame(frame) => frame.bytes[at] ^= 1,
                    Part::Seal(seal) => seal.bytes[at] ^= 1,
                }
                assert!(changed.check().is_err(), "byte {at} of {place:?}");
            }
            let mut short = part.clone();
            let mut long = part.clone();
            match (&mut short, &mut long) {
                (Part::Frame(short), Part::Frame(long)) => {
                    short.bytes.pop();
                    long.bytes.push(0);
                }
                (Part::Seal(short), Part::Seal(long)) => {
                    short.bytes.pop();
                    long.bytes.push(0);
                }
                _ => unreachable!(),
            }
            assert!(short.check().is_err() && long.check().is_err());
        }
    }
}
