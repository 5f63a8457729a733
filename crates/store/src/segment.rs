//! A sealed segment: all of its frames and its seal, checked by themselves. Whether it is the one
//! that must come is [`crate::chain`]'s question.

use std::fmt;

use hansard_core::event::Body;
use hansard_core::frame::Part;
use hansard_core::reader::{FrameItem, Item, Reader, SealItem};
use hansard_core::seal::Digest;
use hansard_core::{Event, SessionId};
use sha2::{Digest as _, Sha256};

use crate::chain::{Alarm, AlarmKind};
use crate::limits::SEGMENT_STORED_BYTES_MAX;

mod growing;

pub use growing::GrowingSegment;

/// Why bytes are no segment to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfit {
    /// They are not one sound, sealed segment. Offering them again will not help.
    Malformed(String),
    /// They are sound, but not what they were said to be: an old segment in a new place, or a
    /// recording signed by another than its header names.
    Alarm(Alarm),
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(why) => f.write_str(why),
            Self::Alarm(alarm) => alarm.fmt(f),
        }
    }
}

/// What a sealed segment says about itself, every word of it covered by its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentFacts {
    /// The session.
    pub session: SessionId,
    /// The segment's number, from 0.
    pub number: u32,
    /// Digest of the segment before.
    pub predecessor: Digest,
    /// Its own digest, as its seal states it.
    pub digest: Digest,
    /// SHA-256 of all its bytes, the seal's included: two segments of one digest may have seals
    /// that differ.
    pub content: Digest,
    /// Public key that signed it.
    pub key: [u8; 32],
    /// Number of its first event.
    pub first_seq: u64,
    /// Number of the first event after it.
    pub next_seq: u64,
    /// Time its first event's is counted from: that of the event before, nanoseconds since the
    /// session's start.
    pub base_ns: u64,
    /// Time of its last event.
    pub last_ns: u64,
    /// Whether the recording ends here.
    pub is_final: bool,
}

/// A segment that was checked: checksums, digest, signature, and every event decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSegment {
    bytes: Vec<u8>,
    facts: SegmentFacts,
    is_after_loss: bool,
}

impl SealedSegment {
    /// The segment these parts make: its frames from the first, and its seal. Where the parts say
    /// they stand must be where their bytes say.
    ///
    /// # Errors
    /// See [`Unfit`].
    pub fn from_parts(parts: &[Part]) -> Result<Self, Unfit> {
        let length: usize = parts.iter().map(|part| part.bytes().len()).sum();
        if length > SEGMENT_STORED_BYTES_MAX {
            return Err(too_long(length));
        }
        let mut bytes = Vec::with_capacity(length);
        for part in parts {
            bytes.extend_from_slice(part.bytes());
        }
        let segment = Self::from_bytes(bytes)?;
        let facts = &segment.facts;
        let misplaced = parts
            .iter()
            .find(|part| (part.session(), part.segment()) != (facts.session, facts.number));
        match misplaced {
            None => Ok(segment),
            Some(part) => Err(Unfit::Alarm(Alarm {
                kind: AlarmKind::Misplaced,
                session: part.session(),
                segment: part.segment(),
                what: format!(
                    "the bytes offered are those of segment {} of {}",
                    facts.number, facts.session
                ),
            })),
        }
    }

    /// The segment that is these bytes, from the first to the last.
    ///
    /// # Errors
    /// See [`Unfit`].
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, Unfit> {
        if bytes.len() > SEGMENT_STORED_BYTES_MAX {
            return Err(too_long(bytes.len()));
        }
        let mut check = Check::default();
        let facts = walk(&bytes, |events| {
            check.note(&events);
            Ok::<(), Unfit>(())
        })?;
        check.conclude(&facts)?;
        Ok(Self::new(bytes, facts))
    }

    /// What was checked.
    fn new(bytes: Vec<u8>, facts: SegmentFacts) -> Self {
        Self {
            bytes,
            facts,
            is_after_loss: false,
        }
    }

    /// Segments before it are lost for good: an archive takes it though it does not continue what is
    /// there. To be said only by who knows that nobody has them any more.
    pub fn set_after_loss(&mut self) {
        self.is_after_loss = true;
    }

    /// See [`SealedSegment::set_after_loss`].
    #[must_use]
    pub fn is_after_loss(&self) -> bool {
        self.is_after_loss
    }

    /// Its bytes, exactly as they were sealed.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What it says about itself.
    #[must_use]
    pub fn facts(&self) -> &SegmentFacts {
        &self.facts
    }
}

/// Reads the one segment that begins these bytes, giving every frame's events to `take`, and
/// answers its facts. Bytes after it are an error.
///
/// # Errors
/// `Malformed` as [`Unfit`], or what `take` said.
pub fn walk<E: From<Unfit>>(
    bytes: &[u8],
    mut take: impl FnMut(Vec<Event>) -> Result<(), E>,
) -> Result<SegmentFacts, E> {
    let mut reader = Reader::resume(bytes, 0);
    let mut opening = None;
    let mut last_ns = 0;
    loop {
        match reader.next_item().map_err(|e| malformed(e.to_string()))? {
            Item::Frame(FrameItem {
                opening: header,
                events,
                ..
            }) => {
                if let Some(header) = header {
                    last_ns = header.base_ns;
                    opening = Some(header);
                }
                last_ns = events.last().map_or(last_ns, |e| e.at_ns);
                take(events)?;
            }
            Item::Seal(seal) => {
                let Some(header) = opening else {
                    return Err(malformed("a seal without frames".into()).into());
                };
                if seal.end != bytes.len() as u64 {
                    let why = format!("{} bytes after its seal", bytes.len() as u64 - seal.end);
                    return Err(malformed(why).into());
                }
                let SealItem {
                    next_seq,
                    digest,
                    key,
                    is_final,
                    ..
                } = seal;
                return Ok(SegmentFacts {
                    session: header.session,
                    number: header.number,
                    predecessor: header.predecessor,
                    digest,
                    content: Sha256::digest(bytes).into(),
                    key,
                    first_seq: header.first_seq,
                    next_seq,
                    base_ns: header.base_ns,
                    last_ns,
                    is_final,
                });
            }
            Item::Damage(damage) => return Err(malformed(damage.to_string()).into()),
            Item::End(_) => return Err(malformed("it has no seal".into()).into()),
        }
    }
}

/// What is checked of a segment's events beyond what the reader does.
#[derive(Default)]
struct Check {
    recorder_key: Option<[u8; 32]>,
}

impl Check {
    fn note(&mut self, events: &[Event]) {
        if let Some(Event {
            body: Body::Start(session),
            ..
        }) = events.first()
        {
            self.recorder_key = Some(session.recorder_key);
        }
    }

    fn conclude(&self, facts: &SegmentFacts) -> Result<(), Unfit> {
        // Numbers and times of 63 bits, so that every database can hold them: 292 years.
        if i64::try_from(facts.next_seq.max(facts.last_ns)).is_err() {
            return Err(malformed("a number or a time beyond 63 bits".into()));
        }
        match self.recorder_key {
            Some(key) if key != facts.key => Err(Unfit::Alarm(Alarm {
                kind: AlarmKind::SecondWriter,
                session: facts.session,
                segment: facts.number,
                what: "it is signed with another key than its header names".to_owned(),
            })),
            _ => Ok(()),
        }
    }
}

fn malformed(why: String) -> Unfit {
    Unfit::Malformed(format!("no sound segment: {why}"))
}

fn too_long(length: usize) -> Unfit {
    malformed(format!(
        "{length} bytes, where at most {SEGMENT_STORED_BYTES_MAX} are taken"
    ))
}
