//! The messages of the long stream between a host and a service; `formats/transport.md` in code.
//!
//! A message is its kind (1 byte), the length of its body (4 bytes, little-endian) and the body.
//! Nothing is allocated from a length that was not checked, and kinds that are not known are
//! skipped, so that a later version can say more to this one.

use std::fmt;
use std::marker::PhantomData;

use hansard_core::frame::{Frame, Part, Place};
use hansard_core::limits::FRAME_STORED_BYTES_MAX;
use hansard_core::wire::Malformed;
use hansard_core::{Seal, SessionId};

use crate::cut::cut;
use crate::order::Spot;

mod down;
mod policy;
pub(super) mod up;

pub use down::{Down, Problem, ProblemKind, Stored};
pub use policy::{
    Assembly, InForce, POLICY_BYTES_MAX, POLICY_PIECE_BYTES, PolicyPiece, PolicyText,
};
pub use up::{Hello, Up};

/// Version of the transport that this crate speaks. A peer that cannot speak it is told so, with
/// both numbers, and the connection ends.
pub const VERSION: u64 = 1;

/// Longest record in a part: the longest frame with the longest segment header. A longer one is
/// told as such ([`Up::TooLong`]) and skipped.
pub const PART_BYTES_MAX: usize = FRAME_STORED_BYTES_MAX + 128 * 1024;

/// Longest body of any other message that is known; a longer one ends the connection.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// Sessions that a `Hello` names; the others are known to the service from their parts.
pub const LIVE_SESSIONS_MAX: usize = 2048;

/// Longest text in a message, in bytes; a writer cuts it there, a reader refuses a longer one.
pub const TEXT_BYTES_MAX: usize = 1024;

/// Bytes before a message's body.
pub const HEAD_BYTES: usize = 5;

/// Bytes of a part's body before the record: session, segment, place.
const PART_HEAD_BYTES: usize = 24;

/// The index that stands for a seal.
const SEAL_INDEX: u32 = u32::MAX;

/// A buffer larger than this is given back when it is empty: a service has thousands of them.
const BUFFER_KEPT_BYTES: usize = 4 * 1024;

/// What a stream carries in one direction.
pub trait Message: Sized {
    /// The message with this kind and body; `None` when the kind is not known.
    ///
    /// # Errors
    /// When the body is not what the kind says.
    fn decode(kind: u8, body: &[u8]) -> Result<Option<Self>, Malformed>;

    /// What is said instead of a message whose body is too long to be read, when something can be
    /// said: its first bytes, and how long it claims to be.
    fn too_long(kind: u8, first: &[u8], body_bytes: u32) -> Option<Self>;

    /// Longest body of this kind that is read; `None` when the kind is not known.
    fn body_bytes_max(kind: u8) -> Option<usize>;
}

/// Takes a stream apart, whatever pieces it comes in.
#[derive(Debug)]
pub struct Decoder<M> {
    buffer: Vec<u8>,
    /// Bytes at the beginning of the buffer that are done with.
    done: usize,
    /// Bytes to come that are not wanted.
    skip: u64,
    message: PhantomData<M>,
}

impl<M> Default for Decoder<M> {
    fn default() -> Self {
        Self {
            buffer: Vec::new(),
            done: 0,
            skip: 0,
            message: PhantomData,
        }
    }
}

/// The head of a message, taken apart.
struct Head {
    kind: u8,
    body_bytes: u32,
}

impl<M: Message> Decoder<M> {
    /// At the beginning of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the stream. All messages SHOULD be taken out before more is pushed:
    /// then at most one message that is not complete is held, and what was pushed last.
    pub fn push(&mut self, bytes: &[u8]) {
        let skipped = usize::try_from(self.skip).map_or(bytes.len(), |skip| skip.min(bytes.len()));
        self.skip = self.skip.saturating_sub(skipped as u64);
        if self.done > 0 {
            self.buffer.drain(..self.done.min(self.buffer.len()));
            self.done = 0;
        }
        self.buffer
            .extend_from_slice(bytes.get(skipped..).unwrap_or_default());
    }

    /// The next message, or `None` until more bytes come.
    ///
    /// # Errors
    /// When the stream cannot be read any further.
    pub fn next_message(&mut self) -> Result<Option<M>, Malformed> {
        loop {
            let Some(Head { kind, body_bytes }) = self.head() else {
                self.shrink();
                return Ok(None);
            };
            let rest = self.rest().get(HEAD_BYTES..).unwrap_or_default();
            let wanted = usize::try_from(body_bytes).unwrap_or(usize::MAX);
            match M::body_bytes_max(kind) {
                Some(max) if wanted <= max => {
                    let Some(body) = rest.get(..wanted) else {
                        return Ok(None);
                    };
                    let message = M::decode(kind, body)?;
                    self.consume(u64::from(body_bytes));
                    if message.is_some() {
                        return Ok(message);
                    }
                }
                Some(max) => {
                    if rest.len() < PART_HEAD_BYTES {
                        return Ok(None);
                    }
                    let Some(message) = M::too_long(kind, rest, body_bytes) else {
                        return Err(Malformed(format!(
                            "a message of kind {kind:#04x} with {body_bytes} bytes, where at most \
                             {max} are allowed"
                        )));
                    };
                    self.consume(u64::from(body_bytes));
                    return Ok(Some(message));
                }
                None => self.consume(u64::from(body_bytes)),
            }
        }
    }

    /// Bytes that the message now coming in will have taken when it is complete; 0 between
    /// messages. Who is short of memory asks before it reads on.
    #[must_use]
    pub fn wanted_bytes(&self) -> usize {
        let Some(Head { kind, body_bytes }) = self.head() else {
            return self.rest().len();
        };
        match (M::body_bytes_max(kind), usize::try_from(body_bytes)) {
            (Some(max), Ok(wanted)) if wanted <= max => HEAD_BYTES.saturating_add(wanted),
            _ => HEAD_BYTES,
        }
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.done..).unwrap_or_default()
    }

    fn head(&self) -> Option<Head> {
        let (&kind, rest) = self.rest().split_first()?;
        let body_bytes = u32::from_le_bytes(*rest.first_chunk()?);
        Some(Head { kind, body_bytes })
    }

    /// Goes behind a message, of which not all may have come.
    fn consume(&mut self, body_bytes: u64) {
        let there = self.rest().len() as u64;
        let all = body_bytes.saturating_add(HEAD_BYTES as u64);
        self.skip = all.saturating_sub(there);
        let taken = usize::try_from(all.min(there)).unwrap_or(usize::MAX);
        self.done = self.done.saturating_add(taken);
    }

    fn shrink(&mut self) {
        if self.rest().is_empty() {
            self.done = 0;
            self.buffer.clear();
            if self.buffer.capacity() > BUFFER_KEPT_BYTES {
                self.buffer = Vec::new();
            }
        }
    }
}

/// Appends a message. A body is built by this crate and is never longer than 32 bits can say.
fn put_message(out: &mut Vec<u8>, kind: u8, body: &[u8]) {
    out.push(kind);
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(body);
}

fn index_of(place: Place) -> u32 {
    match place {
        Place::Frame(index) => index,
        Place::Seal => SEAL_INDEX,
    }
}

fn place_of(index: u32) -> Place {
    match index {
        SEAL_INDEX => Place::Seal,
        index => Place::Frame(index),
    }
}

/// A part's head: whose it is, and where it stands there.
fn part_head(body: &[u8]) -> Result<(SessionId, Spot, &[u8]), Malformed> {
    let short = || Malformed("a part shorter than its head".to_owned());
    let (session, rest) = body.split_first_chunk::<16>().ok_or_else(short)?;
    let (segment, rest) = rest.split_first_chunk::<4>().ok_or_else(short)?;
    let (index, record) = rest.split_first_chunk::<4>().ok_or_else(short)?;
    let spot = Spot {
        segment: u32::from_le_bytes(*segment),
        place: place_of(u32::from_le_bytes(*index)),
    };
    Ok((SessionId::from_bytes(*session), spot, record))
}

fn part_from(session: SessionId, spot: Spot, bytes: Vec<u8>) -> Part {
    let segment = spot.segment;
    match spot.place {
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

/// A text as it goes into a message: at most [`TEXT_BYTES_MAX`], cut between characters.
fn clipped(text: &str) -> &str {
    cut(text, TEXT_BYTES_MAX)
}

/// A text out of a message.
fn bounded_text(
    field: hansard_core::wire::Field<'_>,
    what: &'static str,
) -> Result<String, Malformed> {
    let text = field.text(what)?;
    if text.len() > TEXT_BYTES_MAX {
        return Err(Malformed(format!("{what}: longer than {TEXT_BYTES_MAX}")));
    }
    Ok(text)
}

/// Two peers that do not speak the same version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OtherVersion {
    /// What this side speaks.
    pub ours: u64,
    /// What the other side said.
    pub theirs: u64,
}

impl fmt::Display for OtherVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ours, theirs } = self;
        let older = if ours < theirs { "this" } else { "the other" };
        write!(
            f,
            "this side speaks version {ours} of the transport, the other side version {theirs}: \
             bring {older} side up to date"
        )
    }
}

impl std::error::Error for OtherVersion {}

#[cfg(test)]
mod tests;
