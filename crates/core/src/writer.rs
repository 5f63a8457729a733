//! Events → frames → sealed segments. Pure and deterministic: the same events, times and key give
//! the same bytes.

use std::fmt;

use crate::body;
use crate::columns::Columns;
use crate::event::{Body, End, Stream};
use crate::frame::{Part, SegmentHeader, encode_frame, encode_seal};
use crate::id::SessionId;
use crate::limits::{
    BODY_BYTES_MAX, FRAME_CUT_BYTES, FRAME_CUT_EVENTS, FRAME_CUT_NS, SEGMENT_SEAL_BYTES,
    SEGMENT_SEAL_NS, SEGMENT_SEAL_RAW_BYTES,
};
use crate::seal::{Digest, NO_PREDECESSOR, PlaceOf, SegmentDigest, SigningKey, Statement};
use crate::session::Session;

mod revive;
mod stream;

pub use revive::{LastSegment, ReviveError, Tip};
use stream::Compressor;

/// When frames are closed and segments sealed. The defaults are those of [`crate::limits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Raw bytes of a frame; at most 1 MiB is honoured.
    pub frame_bytes: usize,
    /// Events of a frame.
    pub frame_events: usize,
    /// Age of a frame's first event, nanoseconds.
    pub frame_ns: u64,
    /// Stored bytes of a segment.
    pub segment_bytes: u64,
    /// Raw bytes of a segment.
    pub segment_raw_bytes: u64,
    /// Age of a segment's first event, nanoseconds.
    pub segment_ns: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            frame_bytes: FRAME_CUT_BYTES,
            frame_events: FRAME_CUT_EVENTS,
            frame_ns: FRAME_CUT_NS,
            segment_bytes: SEGMENT_SEAL_BYTES,
            segment_raw_bytes: SEGMENT_SEAL_RAW_BYTES,
            segment_ns: SEGMENT_SEAL_NS,
        }
    }
}

/// Largest `Bounds::frame_bytes` that is honoured.
const FRAME_BYTES_MAX: usize = 1024 * 1024;

/// zstd level while data pours in: the recorder must not fall behind.
const LEVEL_BULK: i32 = 1;

/// zstd level while a person works: there is time, and most recordings are this.
const LEVEL_CALM: i32 = 7;

/// A segment that filled up faster than this is bulk; so will the next one be.
const BULK_SEGMENT_NS: u64 = 5_000_000_000;

/// Why an event was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteError {
    /// The encoded body is longer than [`BODY_BYTES_MAX`].
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// No reader would take it: it has too many fields, or a list that is too long or too deep.
    Unreadable(String),
    /// The recording has its `End` already.
    Ended,
    /// A second `Start`.
    SecondStart,
    /// The compressor failed, which it does only for want of memory.
    Compression(String),
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { bytes } => {
                write!(
                    f,
                    "an event of {bytes} bytes, where at most {BODY_BYTES_MAX} fit"
                )
            }
            Self::Unreadable(why) => write!(f, "an event that no reader takes: {why}"),
            Self::Ended => f.write_str("the recording has ended"),
            Self::SecondStart => f.write_str("a recording starts once"),
            Self::Compression(why) => write!(f, "compressing a frame: {why}"),
        }
    }
}

impl std::error::Error for WriteError {}

/// Turns one session's events into frames and seals.
pub struct SegmentWriter {
    session: SessionId,
    key: SigningKey,
    bounds: Bounds,
    compressor: Compressor,
    columns: Columns,
    scratch: Vec<u8>,
    compressed: Vec<u8>,
    parts: Vec<Part>,
    next_seq: u64,
    last_ns: u64,
    frame_first_ns: u64,
    segment: OpenSegment,
    ended: bool,
}

/// The segment being written.
struct OpenSegment {
    number: u32,
    predecessor: Digest,
    /// The digest, from the first frame on.
    started: Option<SegmentDigest>,
    /// Base time and first event's number, from the first event until the first frame is closed.
    open_header: Option<(u64, u64)>,
    first_ns: u64,
    stored_bytes: u64,
    raw_bytes: u64,
}

impl SegmentWriter {
    /// Begins a recording: its `Start` event is in the first part at once.
    ///
    /// # Errors
    /// When the header is longer than an event may be, or nobody could read it, or memory is short.
    pub fn new(session: Session, key: SigningKey, bounds: Bounds) -> Result<Self, WriteError> {
        let mut writer = Self::at_chain(session.id, key, bounds, (0, NO_PREDECESSOR))?;
        writer.push_encoded(0, &Body::Start(Box::new(session)))?;
        writer.cut()?;
        Ok(writer)
    }

    /// A writer that goes on after the segment with this digest, with the segment of this number.
    fn at_chain(
        session: SessionId,
        key: SigningKey,
        bounds: Bounds,
        (number, predecessor): (u32, Digest),
    ) -> Result<Self, WriteError> {
        Ok(Self {
            session,
            key,
            bounds: Bounds {
                frame_bytes: bounds.frame_bytes.min(FRAME_BYTES_MAX),
                ..bounds
            },
            compressor: Compressor::new(LEVEL_CALM),
            columns: Columns::default(),
            scratch: Vec::new(),
            compressed: Vec::new(),
            parts: Vec::new(),
            next_seq: 0,
            last_ns: 0,
            frame_first_ns: 0,
            segment: OpenSegment {
                number,
                predecessor,
                started: None,
                open_header: None,
                first_ns: 0,
                stored_bytes: 0,
                raw_bytes: 0,
            },
            ended: false,
        })
    }

    /// Adds an event at this time; a time before the last event's is raised to it.
    ///
    /// # Errors
    /// When the body is too long, is a second `Start`, or the recording has ended. Nothing has
    /// been added then.
    pub fn push(&mut self, at_ns: u64, body: &Body) -> Result<(), WriteError> {
        match body {
            Body::Start(_) => Err(WriteError::SecondStart),
            Body::Data { stream, bytes } => self.push_data(at_ns, *stream, bytes),
            Body::End(end) => self.finish(at_ns, end),
            _ => self.push_encoded(at_ns, body),
        }
    }

    /// Adds bytes of a stream, as several events where they are longer than a frame may be. No
    /// bytes are no event.
    ///
    /// # Errors
    /// When the recording has ended.
    pub fn push_data(
        &mut self,
        at_ns: u64,
        stream: Stream,
        bytes: &[u8],
    ) -> Result<(), WriteError> {
        if self.ended {
            return Err(WriteError::Ended);
        }
        for chunk in bytes.chunks(FRAME_CUT_BYTES) {
            let delta = self.advance(at_ns)?;
            self.columns.push_data(delta, stream, chunk);
            self.after_push()?;
        }
        Ok(())
    }

    /// Ends the recording: adds `End`, closes the frame, seals the segment as the final one.
    ///
    /// # Errors
    /// When it has ended already, or memory is short.
    pub fn finish(&mut self, at_ns: u64, end: &End) -> Result<(), WriteError> {
        self.add(at_ns, &Body::End(end.clone()))?;
        // From here on a frame that is full seals nothing by itself: the one seal is the final one.
        self.ended = true;
        self.close_frame()?;
        self.seal(self.last_ns);
        Ok(())
    }

    /// When something must be closed, nanoseconds since the session's start: the open frame, or
    /// the segment. `None` while nothing waits for either.
    #[must_use]
    pub fn due_ns(&self) -> Option<u64> {
        let frame = (self.columns.count > 0)
            .then(|| self.frame_first_ns.saturating_add(self.bounds.frame_ns));
        let segment = self
            .segment
            .started
            .is_some()
            .then(|| self.segment.first_ns.saturating_add(self.bounds.segment_ns));
        match (frame, segment) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Closes and seals what is due by now.
    ///
    /// # Errors
    /// When memory is short.
    pub fn tick(&mut self, now_ns: u64) -> Result<(), WriteError> {
        let frame_due = self.frame_first_ns.saturating_add(self.bounds.frame_ns);
        let segment_due = self.segment.first_ns.saturating_add(self.bounds.segment_ns);
        let seal = self.segment.started.is_some() && now_ns >= segment_due;
        if self.columns.count > 0 && (seal || now_ns >= frame_due) {
            self.close_frame()?;
        }
        // Closing the frame may have sealed the segment by its size.
        if seal && self.segment.started.is_some() {
            self.seal_and_continue(now_ns)?;
            if self.columns.count == 0 {
                self.rest();
            }
        }
        Ok(())
    }

    /// Closes the open frame now, if there is one.
    ///
    /// # Errors
    /// When memory is short.
    pub fn cut(&mut self) -> Result<(), WriteError> {
        self.close_frame()
    }

    /// Closes and seals all there is, without an end: no more will come, and nobody says that it ended. The
    /// recording is unfinished, and all of it is signed.
    ///
    /// # Errors
    /// When memory is short.
    pub fn seal_unfinished(&mut self) -> Result<(), WriteError> {
        self.close_frame()?;
        self.seal_and_continue(self.last_ns)
    }

    /// Changes how long a frame may stay open (1 s; 100 ms while somebody follows).
    pub fn set_frame_ns(&mut self, frame_ns: u64) {
        self.bounds.frame_ns = frame_ns;
    }

    /// Takes the finished frames and seals, in order.
    #[must_use]
    pub fn parts(&mut self) -> Vec<Part> {
        std::mem::take(&mut self.parts)
    }

    /// Events and raw bytes in the frame that is still open.
    #[must_use]
    pub fn pending(&self) -> (usize, usize) {
        match self.columns.count {
            0 => (0, 0),
            count => (count, self.columns.raw_len()),
        }
    }

    /// Number of the next event.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Time of the last event, nanoseconds since the session's start.
    #[must_use]
    pub fn last_ns(&self) -> u64 {
        self.last_ns
    }

    fn push_encoded(&mut self, at_ns: u64, body: &Body) -> Result<(), WriteError> {
        self.add(at_ns, body)?;
        self.after_push()
    }

    fn add(&mut self, at_ns: u64, body: &Body) -> Result<(), WriteError> {
        if self.ended {
            return Err(WriteError::Ended);
        }
        let mut encoded = Vec::new();
        let kind = body::encode(body, &mut encoded);
        if encoded.len() > BODY_BYTES_MAX {
            return Err(WriteError::TooLong {
                bytes: encoded.len(),
            });
        }
        // One event that a reader refuses costs its frame, and all that is archived behind it.
        body::decode(kind, &encoded).map_err(|e| WriteError::Unreadable(e.to_string()))?;
        let delta = self.advance(at_ns)?;
        self.columns.push(delta, kind, &encoded);
        Ok(())
    }

    /// Gives the next event its number and time. What is due by then is closed first, so that no
    /// frame spans more time than its bound.
    fn advance(&mut self, at_ns: u64) -> Result<u64, WriteError> {
        let at_ns = at_ns.max(self.last_ns);
        self.tick(at_ns)?;
        if self.columns.count == 0 {
            self.frame_first_ns = at_ns;
            if self.segment.started.is_none() {
                self.segment.first_ns = at_ns;
                self.segment.open_header = Some((self.last_ns, self.next_seq));
            }
        }
        let delta = at_ns - self.last_ns;
        self.last_ns = at_ns;
        self.next_seq += 1;
        Ok(delta)
    }

    fn after_push(&mut self) -> Result<(), WriteError> {
        let full = self.columns.raw_len() >= self.bounds.frame_bytes
            || self.columns.count >= self.bounds.frame_events;
        if full { self.close_frame() } else { Ok(()) }
    }

    fn close_frame(&mut self) -> Result<(), WriteError> {
        if self.columns.count == 0 {
            return Ok(());
        }
        self.compress()?;
        let segment = self.segment.number;
        let opening = self.segment.open_header.take();
        let header = opening.map(|(base_ns, first_seq)| SegmentHeader {
            session: self.session,
            number: segment,
            first_seq,
            base_ns,
            predecessor: self.segment.predecessor,
        });
        let digest = self.segment.started.get_or_insert_with(|| {
            SegmentDigest::new(self.session, segment, &self.segment.predecessor)
        });
        let place = PlaceOf {
            session: self.session,
            segment,
            index: digest.frames(),
        };
        let (frame, frame_digest) = encode_frame(place, header.as_ref(), &self.compressed);
        digest.frame(&frame_digest);
        self.segment.stored_bytes += frame.bytes.len() as u64;
        self.segment.raw_bytes += self.columns.raw_len() as u64;
        self.parts.push(Part::Frame(frame));
        self.columns.clear();
        let full = self.segment.stored_bytes >= self.bounds.segment_bytes
            || self.segment.raw_bytes >= self.bounds.segment_raw_bytes;
        if full && !self.ended {
            self.seal_and_continue(self.last_ns)
        } else {
            Ok(())
        }
    }

    fn seal_and_continue(&mut self, now_ns: u64) -> Result<(), WriteError> {
        let bulk = now_ns.saturating_sub(self.segment.first_ns) < BULK_SEGMENT_NS;
        self.seal(now_ns);
        self.compressor
            .begin(if bulk { LEVEL_BULK } else { LEVEL_CALM })
    }

    /// Gives back what only a segment needs that is being written: of many sessions most do nothing.
    fn rest(&mut self) {
        self.compressor.rest();
        self.columns = Columns::default();
        self.scratch = Vec::new();
        self.compressed = Vec::new();
    }

    fn seal(&mut self, now_ns: u64) {
        let Some(digest) = self.segment.started.take() else {
            return;
        };
        let number = self.segment.number;
        let frames = digest.frames();
        let digest = digest.finish();
        let statement = Statement {
            session: self.session,
            segment: number,
            frames,
            next_seq: self.next_seq,
            at_ns: now_ns.max(self.last_ns),
            digest,
            key: self.key.public(),
            is_final: self.ended,
        };
        let place = PlaceOf {
            session: self.session,
            segment: number,
            index: frames,
        };
        self.parts
            .push(Part::Seal(encode_seal(place, &statement.sign(&self.key))));
        self.segment = OpenSegment {
            number: number + 1,
            predecessor: digest,
            started: None,
            open_header: None,
            first_ns: self.last_ns,
            stored_bytes: 0,
            raw_bytes: 0,
        };
    }

    /// Compresses the open frame into `self.compressed`, ending on a block boundary so that a
    /// reader has all of it.
    fn compress(&mut self) -> Result<(), WriteError> {
        let pieces = self.columns.pieces(&mut self.scratch);
        self.compressed.clear();
        self.compressed
            .reserve(zstd_safe::compress_bound(self.columns.raw_len()) + 64);
        let [head, bodies] = pieces;
        self.compressor.piece(&mut self.compressed, head, false)?;
        self.compressor.piece(&mut self.compressed, bodies, true)
    }
}
