//! The two traits behind every format: events out as bytes, and bytes in as events.

use std::fmt;
use std::io;

use hansard_core::{Body, Event, Session};

/// Writes a recording in some format.
///
/// Contract: `begin` comes first and once, then `event` for every event after the first (the
/// session itself) in order, then `end` once. What was written so far is well-formed after each
/// call except where a format needs `end`. An encoder holds a bounded amount, whatever comes.
pub trait Encoder {
    /// The session starts.
    ///
    /// # Errors
    /// When the output fails, or the format cannot hold this.
    fn begin(&mut self, session: &Session) -> Result<(), EncodeError>;

    /// Something happened. What the format cannot express is left out.
    ///
    /// # Errors
    /// As [`Self::begin`].
    fn event(&mut self, event: &Event) -> Result<(), EncodeError>;

    /// There is nothing more (whether or not the recording had an end): writes what is held back
    /// and flushes.
    ///
    /// # Errors
    /// As [`Self::begin`].
    fn end(&mut self) -> Result<(), EncodeError>;
}

/// Reads a recording in some format.
///
/// Contract: the first event is `Start`, and only the first. Sequence numbers and times never
/// decrease. After an error or after `None` there is nothing more, and everything handed out
/// before is sound. A decoder holds a bounded amount, whatever the input is.
pub trait Decoder {
    /// The next event, or `None` at the end.
    ///
    /// # Errors
    /// When the input fails or is not of this format; the error says where.
    fn next_event(&mut self) -> Result<Option<Event>, DecodeError>;

    /// What was passed over since the last call, in sentences for people: damage, an end that is
    /// missing. An empty list for most formats.
    fn take_notices(&mut self) -> Vec<String> {
        Vec::new()
    }

    /// Whether any of what was passed over so far was damage: bytes that are not what was written,
    /// rather than an end that is missing. What notices say in words is for people only. MUST not
    /// become untrue again.
    fn is_damaged(&self) -> bool {
        false
    }
}

impl<E: Encoder + ?Sized> Encoder for Box<E> {
    fn begin(&mut self, session: &Session) -> Result<(), EncodeError> {
        (**self).begin(session)
    }

    fn event(&mut self, event: &Event) -> Result<(), EncodeError> {
        (**self).event(event)
    }

    fn end(&mut self) -> Result<(), EncodeError> {
        (**self).end()
    }
}

impl<D: Decoder + ?Sized> Decoder for Box<D> {
    fn next_event(&mut self) -> Result<Option<Event>, DecodeError> {
        (**self).next_event()
    }

    fn take_notices(&mut self) -> Vec<String> {
        (**self).take_notices()
    }

    fn is_damaged(&self) -> bool {
        (**self).is_damaged()
    }
}

impl<D: Decoder + ?Sized> Decoder for &mut D {
    fn next_event(&mut self) -> Result<Option<Event>, DecodeError> {
        (**self).next_event()
    }

    fn take_notices(&mut self) -> Vec<String> {
        (**self).take_notices()
    }

    fn is_damaged(&self) -> bool {
        (**self).is_damaged()
    }
}

/// Why nothing more could be written.
#[derive(Debug)]
pub enum EncodeError {
    /// The output failed.
    Io(io::Error),
    /// The format cannot hold this; the text says what.
    Refused(String),
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(e) => write!(f, "cannot write: {e}"),
            Self::Refused(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for EncodeError {}

impl From<io::Error> for EncodeError {
    fn from(e: io::Error) -> Self {
        Self::Io(e)
    }
}

/// Why nothing more could be read.
#[derive(Debug)]
pub enum DecodeError {
    /// The input failed.
    Io(io::Error),
    /// The input is not what it should be.
    Malformed {
        /// Number of the line from 1, in a format of lines.
        line: Option<u64>,
        /// Offset of the line or record in the input.
        offset: u64,
        /// What is wrong there, and what was expected.
        what: String,
    },
}

impl DecodeError {
    /// Whether nothing at all could be read, so that the input is probably of another format.
    #[must_use]
    pub fn is_at_the_beginning(&self) -> bool {
        matches!(self, Self::Malformed { offset: 0, .. })
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(e) => write!(f, "cannot read: {e}"),
            Self::Malformed {
                line: Some(line),
                offset,
                what,
            } => {
                write!(f, "line {line} (offset {offset}): {what}")
            }
            Self::Malformed {
                line: None,
                offset,
                what,
            } => write!(f, "offset {offset}: {what}"),
        }
    }
}

impl std::error::Error for DecodeError {}

impl From<io::Error> for DecodeError {
    fn from(e: io::Error) -> Self {
        Self::Io(e)
    }
}

/// Why a conversion stopped.
#[derive(Debug)]
pub enum CopyError {
    /// The input was sound up to here; what was sound has been written, and the output ended.
    Read(DecodeError),
    /// The output could not be written.
    Write(EncodeError),
}

impl fmt::Display for CopyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(e) => e.fmt(f),
            Self::Write(e) => e.fmt(f),
        }
    }
}

impl std::error::Error for CopyError {}

impl From<EncodeError> for CopyError {
    fn from(e: EncodeError) -> Self {
        Self::Write(e)
    }
}

/// Converts a whole recording and answers how many events it had. Everything that was sound
/// before an error in the input is in the output, which is ended properly.
///
/// # Errors
/// As sorted by [`CopyError`].
pub fn copy(from: &mut dyn Decoder, to: &mut dyn Encoder) -> Result<u64, CopyError> {
    let mut events = 0u64;
    let read = loop {
        match from.next_event() {
            Ok(Some(event)) => {
                events += 1;
                match &event.body {
                    Body::Start(session) => to.begin(session)?,
                    _ => to.event(&event)?,
                }
            }
            Ok(None) => break Ok(()),
            Err(e) => break Err(CopyError::Read(e)),
        }
    };
    if events > 0 {
        to.end()?;
    }
    read.map(|()| events)
}
