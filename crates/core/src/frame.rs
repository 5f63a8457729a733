//! Frames and seals as records: the only thing that moves and the only thing that is kept.
//!
//! Record layouts (all of them in `formats/segment.md`):
//!
//! - opening frame: magic · version · 2 bytes header length · 2 bytes prefix check · header ·
//!   varint payload length · 2 bytes head check · payload · 8 bytes checksum
//! - frame: `F7` · varint payload length · 2 bytes head check · payload · 8 bytes checksum
//! - seal: `9C` · varint payload length · 2 bytes head check · payload

use crate::id::SessionId;
use crate::limits::{FORMAT_VERSION, FRAME_STORED_BYTES_MAX, HEADER_BYTES_MAX};
use crate::seal::{Digest, PlaceOf, Seal, frame_digest, head_check, prefix_check};
use crate::wire::{
    Malformed, MessageReader, MessageWriter, Varint, get_varint, malformed, put_varint,
};

mod check;

pub use check::Sound;

/// First eight bytes of every segment, and so of every recording: not text, and damaged by any
/// transfer that takes it for text.
pub const MAGIC: [u8; 8] = [0x89, b'H', b'N', b'S', b'D', 0x0d, 0x0a, 0x1a];

pub(crate) const TAG_FRAME: u8 = 0xf7;
pub(crate) const TAG_SEAL: u8 = 0x9c;
pub(crate) const CHECKSUM_BYTES: usize = 8;
const CHECK_BYTES: usize = 2;
/// Magic, version, header length and the check over them: the same in every version.
const PREFIX_BYTES: usize = 13;

/// A frame as it is stored and moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The session.
    pub session: SessionId,
    /// The segment, from 0.
    pub segment: u32,
    /// The frame's number in its segment, from 0.
    pub index: u32,
    /// The record exactly as stored.
    pub bytes: Vec<u8>,
}

/// Where a part stands in its segment. Frames sort by index, the seal after them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// Frame with this index.
    Frame(u32),
    /// The seal.
    Seal,
}

/// What goes through a sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// A frame.
    Frame(Frame),
    /// A seal.
    Seal(Seal),
}

impl Part {
    /// The session.
    #[must_use]
    pub fn session(&self) -> SessionId {
        match self {
            Self::Frame(frame) => frame.session,
            Self::Seal(seal) => seal.session,
        }
    }

    /// The segment, from 0.
    #[must_use]
    pub fn segment(&self) -> u32 {
        match self {
            Self::Frame(frame) => frame.segment,
            Self::Seal(seal) => seal.segment,
        }
    }

    /// Where in the segment.
    #[must_use]
    pub fn place(&self) -> Place {
        match self {
            Self::Frame(frame) => Place::Frame(frame.index),
            Self::Seal(_) => Place::Seal,
        }
    }

    /// The record exactly as stored. A `.hansard` file is these, one after another.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Frame(frame) => &frame.bytes,
            Self::Seal(seal) => &seal.bytes,
        }
    }
}

/// What the opening frame says about its segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The session.
    pub session: SessionId,
    /// The segment's number, from 0.
    pub number: u32,
    /// Number of its first event.
    pub first_seq: u64,
    /// Time that its first event's delta is counted from, nanoseconds since the session's start.
    pub base_ns: u64,
    /// Digest of the segment before; [`crate::seal::NO_PREDECESSOR`] in segment 0.
    pub predecessor: Digest,
}

/// Method number of "not encrypted"; the others are reserved.
const METHOD_NONE: u64 = 0;

impl SegmentHeader {
    fn encode(&self) -> Vec<u8> {
        let mut m = MessageWriter::new();
        m.bytes(1, self.session.as_bytes())
            .uint(2, u64::from(self.number))
            .uint(3, self.first_seq)
            .uint(4, self.base_ns)
            .bytes(5, &self.predecessor);
        m.finish()
    }

    /// The header, and whether the segment is encrypted.
    fn decode(bytes: &[u8]) -> Result<(Self, bool), Malformed> {
        let (mut session, mut number, mut predecessor) = (None, None, None);
        let (mut first_seq, mut base_ns, mut encrypted) = (None, None, false);
        let mut reader = MessageReader::new(bytes);
        while let Some((field_number, field)) = reader.next_field()? {
            match field_number {
                1 => session = Some(SessionId::from_bytes(field.array("header.session")?)),
                2 => number = u32::try_from(field.uint("header.segment")?).ok(),
                3 => first_seq = Some(field.uint("header.first_seq")?),
                4 => base_ns = Some(field.uint("header.base_ns")?),
                5 => predecessor = Some(field.array("header.predecessor")?),
                6 => encrypted = field.uint("header.encryption")? != METHOD_NONE,
                _ => {}
            }
        }
        match (session, number, first_seq, base_ns, predecessor) {
            (Some(session), Some(number), Some(first_seq), Some(base_ns), Some(predecessor)) => {
                let header = Self {
                    session,
                    number,
                    first_seq,
                    base_ns,
                    predecessor,
                };
                Ok((header, encrypted))
            }
            _ => malformed("segment header: a field is missing"),
        }
    }
}

/// Writes a frame record around a compressed payload. `header` makes it the opening frame.
pub(crate) fn encode_frame(
    place: PlaceOf,
    header: Option<&SegmentHeader>,
    payload: &[u8],
) -> (Frame, Digest) {
    let mut bytes = Vec::with_capacity(payload.len() + 24);
    match header {
        Some(header) => {
            bytes.extend_from_slice(&MAGIC);
            bytes.push(FORMAT_VERSION);
            let encoded = header.encode();
            // A header is some eighty bytes; sixteen bits are room for recipients' keys to come.
            let header_len = u16::try_from(encoded.len()).unwrap_or(u16::MAX);
            bytes.extend_from_slice(&header_len.to_le_bytes());
            let check = prefix_check(&bytes);
            bytes.extend_from_slice(&check);
            bytes.extend_from_slice(&encoded);
        }
        None => bytes.push(TAG_FRAME),
    }
    put_varint(&mut bytes, payload.len() as u64);
    let check = head_check(place, &bytes);
    bytes.extend_from_slice(&check);
    let digest = frame_digest(place, &bytes, payload);
    bytes.extend_from_slice(payload);
    bytes.extend(digest.iter().take(CHECKSUM_BYTES));
    let PlaceOf {
        session,
        segment,
        index,
    } = place;
    (
        Frame {
            session,
            segment,
            index,
            bytes,
        },
        digest,
    )
}

/// Writes a seal record; its place is the index after the last frame's.
pub(crate) fn encode_seal(place: PlaceOf, payload: &[u8]) -> Seal {
    let mut bytes = vec![TAG_SEAL];
    put_varint(&mut bytes, payload.len() as u64);
    let check = head_check(place, &bytes);
    bytes.extend_from_slice(&check);
    bytes.extend_from_slice(payload);
    Seal {
        session: place.session,
        segment: place.segment,
        bytes,
    }
}

/// What kind of record a head begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HeadKind {
    Opening(SegmentHeader),
    Frame,
    Seal,
}

/// A record's head, taken apart; lengths in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) kind: HeadKind,
    /// Head, check included.
    pub(crate) head_len: usize,
    pub(crate) payload_len: usize,
}

impl Head {
    /// Bytes of the whole record.
    pub(crate) fn record_len(&self) -> usize {
        let checksum = if self.kind == HeadKind::Seal {
            0
        } else {
            CHECKSUM_BYTES
        };
        self.head_len + self.payload_len + checksum
    }
}

/// What stands at the beginning of a slice that should hold a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ParsedHead {
    Head(Head),
    /// The slice ends inside a head that is right as far as it goes.
    Short,
    /// A segment of another format version.
    OtherVersion(u8),
    /// An encrypted segment, whose head is sound.
    Encrypted,
    Bad(String),
}

/// Takes a record's head apart. `place` is where an ordinary frame or seal would stand; without
/// one, only an opening frame is sound.
pub(crate) fn parse_head(bytes: &[u8], place: Option<PlaceOf>) -> ParsedHead {
    let Some(&tag) = bytes.first() else {
        return ParsedHead::Short;
    };
    if matches!(tag, TAG_FRAME | TAG_SEAL) {
        return match place {
            Some(place) => parse_inner_head(bytes, tag, place),
            None => ParsedHead::Bad("a frame or seal outside any segment".into()),
        };
    }
    if bytes.iter().zip(MAGIC).any(|(a, b)| *a != b) {
        return ParsedHead::Bad("not the beginning of a frame, a seal or a segment".into());
    }
    match parse_opening_head(bytes) {
        Ok(Some(head)) => ParsedHead::Head(head),
        Ok(None) => ParsedHead::Short,
        Err(OpeningError::Encrypted) => ParsedHead::Encrypted,
        Err(OpeningError::OtherVersion(version)) => ParsedHead::OtherVersion(version),
        Err(OpeningError::Bad(why)) => ParsedHead::Bad(why),
    }
}

fn parse_inner_head(bytes: &[u8], tag: u8, place: PlaceOf) -> ParsedHead {
    let (kind, payload_max) = match tag {
        TAG_FRAME => (HeadKind::Frame, FRAME_STORED_BYTES_MAX),
        _ => (HeadKind::Seal, HEADER_BYTES_MAX),
    };
    match get_length(bytes, 1, payload_max) {
        Ok(Some((payload_len, after))) => match checked(bytes, after, place) {
            Ok(Some(head_len)) => ParsedHead::Head(Head {
                kind,
                head_len,
                payload_len,
            }),
            Ok(None) => ParsedHead::Short,
            Err(why) => ParsedHead::Bad(why),
        },
        Ok(None) => ParsedHead::Short,
        Err(why) => ParsedHead::Bad(why),
    }
}

enum OpeningError {
    OtherVersion(u8),
    Encrypted,
    Bad(String),
}

impl From<String> for OpeningError {
    fn from(why: String) -> Self {
        Self::Bad(why)
    }
}

fn parse_opening_head(bytes: &[u8]) -> Result<Option<Head>, OpeningError> {
    let Some((prefix, check)) = bytes
        .get(..PREFIX_BYTES)
        .and_then(|b| b.split_at_checked(11))
    else {
        return Ok(None);
    };
    if check != prefix_check(prefix) {
        return Err(OpeningError::Bad(
            "a segment's first bytes do not match their check".into(),
        ));
    }
    let &[.., version, low, high] = prefix else {
        return Ok(None);
    };
    if version != FORMAT_VERSION {
        return Err(OpeningError::OtherVersion(version));
    }
    let header_len = usize::from(u16::from_le_bytes([low, high]));
    let after = PREFIX_BYTES;
    let Some(header) = bytes.get(after..after + header_len) else {
        return Ok(None);
    };
    let (header, encrypted) =
        SegmentHeader::decode(header).map_err(|why| OpeningError::Bad(why.0))?;
    let Some((payload_len, after)) = get_length(bytes, after + header_len, FRAME_STORED_BYTES_MAX)?
    else {
        return Ok(None);
    };
    let place = PlaceOf {
        session: header.session,
        segment: header.number,
        index: 0,
    };
    let Some(head_len) = checked(bytes, after, place)? else {
        return Ok(None);
    };
    if encrypted {
        return Err(OpeningError::Encrypted);
    }
    Ok(Some(Head {
        kind: HeadKind::Opening(header),
        head_len,
        payload_len,
    }))
}

/// Reads a length at `at`; answers it and where it ends, or `None` when the slice is too short.
fn get_length(bytes: &[u8], at: usize, max: usize) -> Result<Option<(usize, usize)>, String> {
    match get_varint(bytes.get(at..).unwrap_or_default()) {
        Varint::Value(n, len) => match usize::try_from(n) {
            Ok(n) if n <= max => Ok(Some((n, at + len))),
            _ => Err(format!(
                "a length of {n} bytes where at most {max} are allowed"
            )),
        },
        Varint::Short => Ok(None),
        Varint::Bad => Err("a length that is not a minimal varint".into()),
    }
}

/// Checks the head that ends at `at`; answers its length with the check.
fn checked(bytes: &[u8], at: usize, place: PlaceOf) -> Result<Option<usize>, String> {
    let Some(check) = bytes.get(at..at + CHECK_BYTES) else {
        return Ok(None);
    };
    if check == head_check(place, bytes.get(..at).unwrap_or_default()) {
        Ok(Some(at + CHECK_BYTES))
    } else {
        Err("its head does not match its check, or it stands in another's place".into())
    }
}
