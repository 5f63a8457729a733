//! The verdict on a recording.

use std::io::Read;

use crate::event::{Body, End};
use crate::reader::{Damage, Item, ReadError, Reader, Tail};
use crate::seal::Digest;
use crate::session::Session;

/// Most damages that are listed; further ones are only counted.
pub const DAMAGES_LISTED_MAX: usize = 100;

/// What a recording is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Complete and intact.
    Complete,
    /// Intact but unfinished: no end, or a torn or unsealed tail.
    Unfinished,
    /// Not what was recorded.
    Damaged,
}

impl Verdict {
    /// Exit status of `hansard verify`: 0, 1 or 3.
    #[must_use]
    pub fn exit_status(self) -> u8 {
        match self {
            Self::Complete => 0,
            Self::Unfinished => 1,
            Self::Damaged => 3,
        }
    }

    /// The word in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Unfinished => "unfinished",
            Self::Damaged => "damaged",
        }
    }
}

/// Everything that checking a recording found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The verdict.
    pub verdict: Verdict,
    /// The header, if its frame is sound.
    pub session: Option<Session>,
    /// Public keys that signed, in order of appearance. More than one, or one that is not the
    /// header's, is damage.
    pub signers: Vec<[u8; 32]>,
    /// Sealed segments.
    pub segments: u64,
    /// Sound frames.
    pub frames: u64,
    /// Sound events.
    pub events: u64,
    /// Sound events that a seal covers.
    pub events_sealed: u64,
    /// Bytes up to which everything is intact: the beginning of the first damage or torn record,
    /// or the end.
    pub intact_bytes: u64,
    /// Time of the last sound event before the first damage, nanoseconds since the start.
    pub intact_ns: u64,
    /// Raw bytes of all sound frames.
    pub raw_bytes: u64,
    /// Gaps that were recorded.
    pub gaps: u64,
    /// How the session ended.
    pub end: Option<End>,
    /// How the bytes end.
    pub tail: Tail,
    /// Digest of the last sealed segment: what a third party may note down.
    pub head: Option<Digest>,
    /// What is damaged, at most [`DAMAGES_LISTED_MAX`] places.
    pub damages: Vec<Damage>,
    /// How many places are damaged.
    pub damages_count: u64,
}

/// Checks a whole recording: every checksum, digest, signature and event.
///
/// # Errors
/// When the source fails or is no recording.
pub fn verify<R: Read>(source: R) -> Result<Report, ReadError> {
    let mut reader = Reader::new(source);
    let mut report = Report::nothing();
    // Sound events of the segment that is being read, which no seal covers yet.
    let mut unsealed = 0;
    loop {
        match reader.next_item()? {
            Item::Frame(frame) => {
                report.frames += 1;
                report.events += frame.events.len() as u64;
                unsealed += frame.events.len() as u64;
                report.raw_bytes += frame.raw_bytes;
                if report.damages_count == 0 {
                    report.intact_bytes = frame.offset + frame.stored_bytes;
                    report.intact_ns = frame.events.last().map_or(report.intact_ns, |e| e.at_ns);
                }
                for event in frame.events {
                    report.note(event.body);
                }
            }
            Item::Seal(seal) => {
                report.segments += 1;
                report.events_sealed += std::mem::take(&mut unsealed);
                report.head = Some(seal.digest);
                if report.damages_count == 0 {
                    report.intact_bytes = seal.end;
                }
                report.note_signer(seal.key, seal.segment, seal.offset);
            }
            Item::Damage(damage) => {
                // Reading goes on with the next segment.
                unsealed = 0;
                report.note_damage(damage);
            }
            Item::End(tail) => {
                report.tail = tail;
                report.verdict = match (report.damages_count, tail) {
                    (0, Tail::Complete) => Verdict::Complete,
                    (0, _) => Verdict::Unfinished,
                    _ => Verdict::Damaged,
                };
                return Ok(report);
            }
        }
    }
}

impl Report {
    /// The report on a recording of which there is not a byte any more. (Bytes that nobody says are
    /// a recording have none: [`ReadError::NotARecording`].)
    #[must_use]
    pub fn nothing() -> Self {
        Self {
            verdict: Verdict::Damaged,
            session: None,
            signers: Vec::new(),
            segments: 0,
            frames: 0,
            events: 0,
            events_sealed: 0,
            intact_bytes: 0,
            intact_ns: 0,
            raw_bytes: 0,
            gaps: 0,
            end: None,
            tail: Tail::NoEnd,
            head: None,
            damages: Vec::new(),
            damages_count: 0,
        }
    }

    fn note(&mut self, body: Body) {
        match body {
            Body::Start(session) => self.session = Some(*session),
            Body::Gap(_) => self.gaps += 1,
            Body::End(end) => self.end = Some(end),
            _ => {}
        }
    }

    fn note_signer(&mut self, key: [u8; 32], segment: u32, offset: u64) {
        let header_key = self.session.as_ref().map(|session| session.recorder_key);
        let first = self.signers.first().copied();
        if !self.signers.contains(&key) && self.signers.len() < DAMAGES_LISTED_MAX {
            self.signers.push(key);
        }
        if header_key.or(first).is_some_and(|expected| expected != key) {
            self.note_damage(Damage {
                offset,
                segment: Some(segment),
                frame: None,
                what: "seal: signed with another key than the recorder's".into(),
                resumed_at: None,
            });
        }
    }

    fn note_damage(&mut self, damage: Damage) {
        if self.damages_count == 0 {
            self.intact_bytes = self.intact_bytes.min(damage.offset);
        }
        self.damages_count += 1;
        if self.damages.len() < DAMAGES_LISTED_MAX {
            self.damages.push(damage);
        }
    }
}
