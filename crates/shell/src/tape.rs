//! What this crate needs of a recorder.

use std::fmt;
use std::os::fd::BorrowedFd;

use hansard_core::event::{Body, Stream};

/// The record can no longer be kept, and policy says that the session must not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TapeLost(pub String);

impl fmt::Display for TapeLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TapeLost {}

/// Takes what happens in a session, in order.
///
/// `data` and `event` MUST return without waiting for compression or a disk as long as there is
/// room to keep what they were given; when there is none they MAY wait (that is back-pressure on
/// the program). `Err` means that the session must end. A policy that goes on unrecorded never
/// returns it.
pub trait Tape {
    /// Bytes of a stream.
    ///
    /// # Errors
    /// [`TapeLost`] when the session must end.
    fn data(&self, stream: Stream, bytes: &[u8]) -> Result<(), TapeLost>;

    /// Any other event.
    ///
    /// # Errors
    /// [`TapeLost`] when the session must end.
    fn event(&self, body: Body) -> Result<(), TapeLost>;

    /// Waits until everything so far is durable.
    ///
    /// # Errors
    /// [`TapeLost`] when the session must end.
    fn flush(&self) -> Result<(), TapeLost>;

    /// A descriptor that becomes readable, and stays so, when [`Tape::check`] has something to say:
    /// a session in which nothing happens hears of it that way. `None` where nothing ever comes
    /// that the other calls do not tell.
    fn bell(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Whether the session may go on.
    ///
    /// # Errors
    /// [`TapeLost`] when it must end.
    fn check(&self) -> Result<(), TapeLost> {
        Ok(())
    }
}

impl Tape for hansard_record::handoff::HandoffTape {
    fn data(&self, stream: Stream, bytes: &[u8]) -> Result<(), TapeLost> {
        self.data(stream, bytes)
            .map_err(|gone| TapeLost(gone.to_string()))
    }

    fn event(&self, body: Body) -> Result<(), TapeLost> {
        self.event(body).map_err(|gone| TapeLost(gone.to_string()))
    }

    fn flush(&self) -> Result<(), TapeLost> {
        self.flush().map_err(|gone| TapeLost(gone.to_string()))
    }

    fn bell(&self) -> Option<BorrowedFd<'_>> {
        Some(self.bell())
    }

    fn check(&self) -> Result<(), TapeLost> {
        self.check().map_err(|gone| TapeLost(gone.to_string()))
    }
}

impl Tape for hansard_record::Recorder {
    fn data(&self, stream: Stream, bytes: &[u8]) -> Result<(), TapeLost> {
        self.data(stream, bytes)
            .map_err(|lost| TapeLost(lost.to_string()))
    }

    fn event(&self, body: Body) -> Result<(), TapeLost> {
        self.event(body).map_err(|lost| TapeLost(lost.to_string()))
    }

    fn flush(&self) -> Result<(), TapeLost> {
        self.flush().map_err(|lost| TapeLost(lost.to_string()))
    }
}
