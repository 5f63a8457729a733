//! Whether a segment is the one that must come next in its session, and the alarm where it is not.

use std::fmt;

use hansard_core::SessionId;
use hansard_core::seal::{Digest, NO_PREDECESSOR};

use crate::catalog::{SegmentRow, Tombstone};
use crate::segment::SegmentFacts;

/// What is wrong with a segment that is sound in itself. Each is either an attack or a fault that
/// somebody must look at: it is never repaired, and never only a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AlarmKind {
    /// Another segment is in this place already.
    Fork,
    /// It does not continue what is archived: its predecessor's digest, first event or base time
    /// is not that of the newest segment.
    BrokenChain,
    /// It is signed with another key than the session's.
    SecondWriter,
    /// It comes after the session's end.
    AfterEnd,
    /// Its bytes are those of another place: old bytes, offered as new.
    Misplaced,
    /// A stored blob is not what was stored.
    BlobDiffers,
}

impl AlarmKind {
    /// The word in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fork => "fork",
            Self::BrokenChain => "broken_chain",
            Self::SecondWriter => "second_writer",
            Self::AfterEnd => "after_end",
            Self::Misplaced => "misplaced",
            Self::BlobDiffers => "blob_differs",
        }
    }
}

/// A conflict, as a value that whoever called can raise as an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// What it is.
    pub kind: AlarmKind,
    /// The session that was claimed.
    pub session: SessionId,
    /// The segment that was claimed.
    pub segment: u32,
    /// In words.
    pub what: String,
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            session,
            segment,
            what,
            ..
        } = self;
        write!(f, "session {session}, segment {segment}: {what}")
    }
}

/// The end of a session's chain: what the next segment must continue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tip {
    /// Number of the newest segment.
    pub number: u32,
    /// Its digest.
    pub digest: Digest,
    /// Key that signed it, and must sign the next.
    pub key: [u8; 32],
    /// Number of the next event.
    pub next_seq: u64,
    /// Time of the last event.
    pub last_ns: u64,
    /// Nothing may follow.
    pub is_final: bool,
}

impl From<&SegmentFacts> for Tip {
    fn from(facts: &SegmentFacts) -> Self {
        Self {
            number: facts.number,
            digest: facts.digest,
            key: facts.key,
            next_seq: facts.next_seq,
            last_ns: facts.last_ns,
            is_final: facts.is_final,
        }
    }
}

impl From<&SegmentRow> for Tip {
    fn from(row: &SegmentRow) -> Self {
        Self {
            number: row.number,
            digest: row.digest,
            key: row.key,
            next_seq: row.next_seq,
            last_ns: row.last_ns,
            is_final: row.is_final,
        }
    }
}

/// Nothing follows what was deleted, whether it had ended or not.
impl From<&Tombstone> for Tip {
    fn from(tombstone: &Tombstone) -> Self {
        Self {
            number: tombstone.number,
            digest: tombstone.digest,
            key: tombstone.key,
            next_seq: tombstone.next_seq,
            last_ns: tombstone.last_ns,
            is_final: true,
        }
    }
}

/// Where a segment stands relative to the end of its chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// It is the next one.
    Next,
    /// Its place is taken: by itself, or by another.
    Earlier,
    /// One before it is missing. Where that is lost for good, it is the next all the same.
    TooEarly,
    /// It is in the next place and must not be.
    Wrong(Alarm),
}

/// Whether events that begin so may stand behind a chain that ends so, with others between that are
/// missing.
#[must_use]
pub fn continues(tip: &Tip, first_seq: u64, base_ns: u64) -> bool {
    first_seq >= tip.next_seq && base_ns >= tip.last_ns
}

/// Whether a segment continues the chain that ends so.
#[must_use]
pub fn turn(tip: Option<&Tip>, facts: &SegmentFacts) -> Turn {
    let wrong = |kind, what: &str| {
        Turn::Wrong(Alarm {
            kind,
            session: facts.session,
            segment: facts.number,
            what: what.to_owned(),
        })
    };
    let Some(tip) = tip else {
        return match facts.number {
            0 if (facts.predecessor, facts.first_seq, facts.base_ns) == (NO_PREDECESSOR, 0, 0) => {
                Turn::Next
            }
            0 => wrong(
                AlarmKind::BrokenChain,
                "the first segment continues another",
            ),
            _ => Turn::TooEarly,
        };
    };
    if facts.number <= tip.number {
        return Turn::Earlier;
    }
    if tip.is_final {
        return wrong(AlarmKind::AfterEnd, "the session has ended before it");
    }
    if facts.key != tip.key {
        return wrong(
            AlarmKind::SecondWriter,
            "another key has signed it than those before",
        );
    }
    if facts.number - tip.number > 1 {
        return match continues(tip, facts.first_seq, facts.base_ns) {
            true => Turn::TooEarly,
            false => wrong(
                AlarmKind::BrokenChain,
                "its events begin before the newest segment's end",
            ),
        };
    }
    if facts.predecessor != tip.digest {
        return wrong(
            AlarmKind::BrokenChain,
            "it continues another segment than the newest",
        );
    }
    if (facts.first_seq, facts.base_ns) != (tip.next_seq, tip.last_ns) {
        return wrong(
            AlarmKind::BrokenChain,
            "its events do not continue the newest segment's",
        );
    }
    Turn::Next
}
