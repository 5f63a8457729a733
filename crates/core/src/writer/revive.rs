//! Goes on with a recording whose recorder died.
//!
//! The compressor's history is gone, so nothing more goes into the segment that was open: it is
//! sealed as it was found, and the next one begins. What was recorded stays as it is, byte for byte.

use std::fmt;

use crate::event::Body;
use crate::frame::{
    CHECKSUM_BYTES, Head, HeadKind, ParsedHead, Part, Place, SegmentHeader, parse_head,
};
use crate::id::SessionId;
use crate::reader::segment::{OpenSegment, check_order};
use crate::seal::{Digest, SegmentDigest, SigningKey, Statement};
use crate::session::Session;
use crate::writer::{Bounds, SegmentWriter, WriteError};

/// Where a session's chain of sealed segments ends: all that its next segment builds on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tip {
    /// The session.
    pub session: SessionId,
    /// Public key that signed it.
    pub key: [u8; 32],
    /// How many segments are sealed, which is the number of the next.
    pub segments: u32,
    /// Digest of the last one.
    pub digest: Digest,
    /// Number of the next event.
    pub next_seq: u64,
    /// Time of the last event, nanoseconds since the session's start. (A seal's own time may be
    /// later.)
    pub last_ns: u64,
    /// The last seal was the final one: nothing may follow.
    pub is_final: bool,
}

/// Why a recording cannot be gone on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReviveError {
    /// Another key signs this recording; only that one's holder may go on with it.
    NotOurs,
    /// It has its final seal.
    Ended,
    /// There is no sound opening frame, so nothing is known about the segment.
    NoHeader,
    /// A part that was durable is not what was recorded, or is missing.
    Damaged(String),
    /// The writer failed.
    Write(WriteError),
}

impl fmt::Display for ReviveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOurs => f.write_str("it is signed with another recorder's key"),
            Self::Ended => f.write_str("it has its final seal"),
            Self::NoHeader => f.write_str("its last segment has no sound beginning"),
            Self::Damaged(what) => write!(f, "its last segment is damaged: {what}"),
            Self::Write(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ReviveError {}

impl From<WriteError> for ReviveError {
    fn from(error: WriteError) -> Self {
        Self::Write(error)
    }
}

/// The last segment of a recording as it was found: every frame checked and decoded.
pub struct LastSegment {
    header: SegmentHeader,
    digest: SegmentDigest,
    next_seq: u64,
    last_ns: u64,
    start: Option<Box<Session>>,
    ended: bool,
    seal: Option<Statement>,
    kept: usize,
}

impl LastSegment {
    /// Reads the parts of one segment, in order: its opening frame first, its seal last if it has
    /// one. A last frame that is torn is left out, and MUST then be cut off wherever it lies:
    /// another will stand in its place.
    ///
    /// # Errors
    /// When a part is missing, in the wrong place, or damaged elsewhere than at the end.
    pub fn read(parts: &[Part]) -> Result<Self, ReviveError> {
        let Some((first, rest)) = parts.split_first() else {
            return Err(ReviveError::NoHeader);
        };
        let ParsedHead::Head(head) = parse_head(first.bytes(), None) else {
            return Err(ReviveError::NoHeader);
        };
        let HeadKind::Opening(header) = head.kind.clone() else {
            return Err(ReviveError::NoHeader);
        };
        if (header.session, header.number, Place::Frame(0))
            != (first.session(), first.segment(), first.place())
        {
            return Err(ReviveError::NoHeader);
        }
        let mut reading = Reading {
            segment: OpenSegment::new(&header).map_err(ReviveError::Damaged)?,
            start: None,
            ended: false,
        };
        let whole = first.bytes().len() == head.record_len();
        if !whole || reading.frame(first, &head).is_err() {
            return Err(ReviveError::NoHeader);
        }
        let (mut kept, mut seal) = (1, None);
        for (at, part) in rest.iter().enumerate() {
            let is_last = at + 1 == rest.len();
            match reading.part(part) {
                Ok(None) => kept += 1,
                Ok(Some(statement)) if is_last => {
                    kept += 1;
                    seal = Some(statement);
                }
                Ok(Some(_)) => return damaged("parts after its seal"),
                Err(Bad::Torn) if is_last => {}
                Err(Bad::Torn) => return damaged("a torn part before its end"),
                Err(Bad::Wrong(what)) => return damaged(what),
            }
        }
        let Reading {
            segment,
            start,
            ended,
        } = reading;
        let (digest, next_seq, last_ns) = segment.into_state();
        Ok(Self {
            header,
            digest,
            next_seq,
            last_ns,
            start,
            ended,
            seal,
            kept,
        })
    }

    /// How many of the parts are sound: all, or all but a torn last one.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.kept
    }

    /// The session's header, which only segment 0 holds.
    #[must_use]
    pub fn start(&self) -> Option<&Session> {
        self.start.as_deref()
    }

    /// The session.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.header.session
    }

    /// The segment's number.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.header.number
    }

    /// Time of the last event, nanoseconds since the session's start.
    #[must_use]
    pub fn last_ns(&self) -> u64 {
        self.last_ns
    }

    /// Where the chain ends, if this segment is sealed.
    #[must_use]
    pub fn tip(&self) -> Option<Tip> {
        let seal = self.seal.as_ref()?;
        Some(Tip {
            session: self.header.session,
            key: seal.key,
            segments: self.header.number.saturating_add(1),
            digest: seal.digest,
            next_seq: seal.next_seq,
            last_ns: self.last_ns,
            is_final: seal.is_final,
        })
    }
}

fn damaged<T>(what: impl Into<String>) -> Result<T, ReviveError> {
    Err(ReviveError::Damaged(what.into()))
}

/// A segment while it is read part by part.
struct Reading {
    segment: OpenSegment,
    start: Option<Box<Session>>,
    ended: bool,
}

enum Bad {
    /// It stops before its end, or its bytes do not match its checksum.
    Torn,
    Wrong(String),
}

impl Reading {
    /// Reads a part after the first; answers the statement of a seal.
    fn part(&mut self, part: &Part) -> Result<Option<Statement>, Bad> {
        let place = self.segment.next_place();
        let stands = match part.place() {
            Place::Frame(index) => index == place.index,
            Place::Seal => true,
        };
        if !stands || part.session() != place.session || part.segment() != place.segment {
            return Err(Bad::Wrong(format!("frame {} is missing", place.index)));
        }
        let ParsedHead::Head(head) = parse_head(part.bytes(), Some(place)) else {
            return Err(Bad::Torn);
        };
        let is_seal = part.place() == Place::Seal;
        let fits = (head.kind == HeadKind::Seal) == is_seal
            && !matches!(head.kind, HeadKind::Opening(_))
            && part.bytes().len() == head.record_len();
        if !fits {
            return Err(Bad::Torn);
        }
        if !is_seal {
            return self.frame(part, &head).map(|()| None);
        }
        let payload = part.bytes().get(head.head_len..).unwrap_or_default();
        let checked = self.segment.check_seal(payload, true);
        let statement = checked.map_err(Bad::Wrong)?;
        if statement.is_final != self.ended {
            return Err(Bad::Wrong("its seal and its end disagree".into()));
        }
        Ok(Some(statement))
    }

    fn frame(&mut self, part: &Part, head: &Head) -> Result<(), Bad> {
        if self.ended {
            return Err(Bad::Wrong("a frame after the session's end".into()));
        }
        let payload = self
            .segment
            .check(part.bytes(), head.head_len, CHECKSUM_BYTES)
            .map_err(|_| Bad::Torn)?;
        let (events, _) = self.segment.decode(payload).map_err(Bad::Wrong)?;
        self.ended = check_order(&events, self.segment.session()).map_err(Bad::Wrong)?;
        for event in events {
            if let Body::Start(session) = event.body {
                self.start = Some(session);
            }
        }
        Ok(())
    }
}

impl SegmentWriter {
    /// Goes on with a recording after its last segment: one that is open is sealed first, and that
    /// seal is the first part. `recorder_key` is the key in the session's header.
    ///
    /// Where the session's `End` was recorded already, the seal is the final one, and nothing may
    /// follow ([`SegmentWriter::is_ended`]).
    ///
    /// # Errors
    /// When it is another's, has ended, or memory is short.
    pub fn revive(
        last: LastSegment,
        recorder_key: [u8; 32],
        key: SigningKey,
        bounds: Bounds,
    ) -> Result<Self, ReviveError> {
        let named = last.start().map(|session| session.recorder_key);
        let is_ours = recorder_key == key.public() && named.is_none_or(|k| k == recorder_key);
        if !is_ours {
            return Err(ReviveError::NotOurs);
        }
        if let Some(tip) = last.tip() {
            return Self::after(&tip, key, bounds);
        }
        let chain = (last.header.number, last.header.predecessor);
        let mut writer = Self::at_chain(last.header.session, key, bounds, chain)?;
        writer.next_seq = last.next_seq;
        writer.last_ns = last.last_ns;
        writer.ended = last.ended;
        writer.segment.started = Some(last.digest);
        writer.seal(last.last_ns);
        Ok(writer)
    }

    /// Goes on with a recording of which nothing is at hand but where its chain ends.
    ///
    /// # Errors
    /// When it is another's, has ended, or memory is short.
    pub fn after(tip: &Tip, key: SigningKey, bounds: Bounds) -> Result<Self, ReviveError> {
        if tip.key != key.public() {
            return Err(ReviveError::NotOurs);
        }
        if tip.is_final {
            return Err(ReviveError::Ended);
        }
        let chain = (tip.segments, tip.digest);
        let mut writer = Self::at_chain(tip.session, key, bounds, chain)?;
        writer.next_seq = tip.next_seq;
        writer.last_ns = tip.last_ns;
        writer.segment.first_ns = tip.last_ns;
        Ok(writer)
    }

    /// Whether the recording has its `End`.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// Digest of the last sealed segment; [`crate::seal::NO_PREDECESSOR`] before the first seal.
    #[must_use]
    pub fn head(&self) -> Digest {
        self.segment.predecessor
    }
}
