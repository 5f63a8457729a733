//! What reading a recording brings to light, one after another.

use std::fmt;
use std::io;

use crate::event::Event;
use crate::frame::SegmentHeader;
use crate::seal::Digest;

/// Why reading cannot go on at all.
#[derive(Debug)]
pub enum ReadError {
    /// The source failed.
    Io(io::Error),
    /// These bytes are no recording.
    NotARecording,
    /// A recording of a format version that this program does not know.
    OtherVersion(u8),
    /// A segment is encrypted, which this version cannot read.
    Encrypted,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::NotARecording => f.write_str("not a Hansard recording"),
            Self::Encrypted => f.write_str(
                "an encrypted Hansard recording, which this program cannot read; a newer one is needed",
            ),
            Self::OtherVersion(version) => write!(
                f,
                "a Hansard recording of format version {version}; this program reads version 1, a newer one is needed"
            ),
        }
    }
}

impl std::error::Error for ReadError {}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A frame that was checked and, unless decoding is off, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameItem {
    /// The segment's header, in its opening frame.
    pub opening: Option<SegmentHeader>,
    /// Segment number.
    pub segment: u32,
    /// Frame index in the segment.
    pub index: u32,
    /// Where the record begins, bytes from the beginning of the recording.
    pub offset: u64,
    /// Bytes of the whole record.
    pub stored_bytes: u64,
    /// Bytes after decompression; 0 when decoding is off.
    pub raw_bytes: u64,
    /// Its events; empty when decoding is off.
    pub events: Vec<Event>,
}

/// A seal that fits its segment and whose signature fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealItem {
    /// Segment number.
    pub segment: u32,
    /// Where the record begins.
    pub offset: u64,
    /// Where it ends: everything before was checked.
    pub end: u64,
    /// Frames in the segment.
    pub frames: u32,
    /// Number of the next event.
    pub next_seq: u64,
    /// When it was sealed, nanoseconds since the session's start.
    pub at_ns: u64,
    /// The segment's digest.
    pub digest: Digest,
    /// Public key that signed. Whether it is the right one is for the caller to say.
    pub key: [u8; 32],
    /// Whether the recording ends here.
    pub is_final: bool,
}

/// A place where the recording is not what was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Where, bytes from the beginning of the recording.
    pub offset: u64,
    /// In which segment, as far as known.
    pub segment: Option<u32>,
    /// In which frame of it, as far as known. `None` with a segment: its seal, or the whole.
    pub frame: Option<u32>,
    /// What is wrong, in words.
    pub what: String,
    /// Where the next sound segment begins, if one was found.
    pub resumed_at: Option<u64>,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "damaged at byte {}", self.offset)?;
        match (self.segment, self.frame) {
            (Some(segment), Some(frame)) => write!(f, " (segment {segment}, frame {frame})")?,
            (Some(segment), None) => write!(f, " (segment {segment})")?,
            _ => {}
        }
        write!(f, ": {}", self.what)
    }
}

/// How the bytes end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// With the final seal.
    Complete,
    /// With a seal, but not the final one: the recorder had not ended the session.
    NoEnd,
    /// With frames that no seal covers yet.
    Unsealed,
    /// Inside a record, which begins at this byte: its writer was cut off.
    Torn {
        /// Where the incomplete record begins.
        offset: u64,
    },
}

/// What is read, one after another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A sound frame.
    Frame(FrameItem),
    /// A sound seal.
    Seal(SealItem),
    /// Damage; reading goes on at the next sound segment.
    Damage(Damage),
    /// The end of the bytes; for ever after, or when following, for now.
    End(Tail),
}
