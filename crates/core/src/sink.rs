//! The one seam: where frames and seals go.

use std::fmt;

use crate::frame::Part;

/// How durable a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// On the receiver's own disk (local). A sender keeps its copy.
    L,
    /// In the archive (stored). A sender may forget its copy.
    S,
}

/// What a sink promises about the parts it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// How durable they are now.
    pub class: Class,
}

/// Why a sink did not take a part, sorted by what the caller does about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SinkError {
    /// Not now: keep the parts and offer the same bytes again later.
    Retry(String),
    /// Another part is already in this place. Never repeat; raise an alarm.
    Conflict(String),
    /// Never: this sink will not take it, however often it is offered.
    Refused(String),
}

impl fmt::Display for SinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry(why) | Self::Refused(why) => f.write_str(why),
            Self::Conflict(why) => write!(f, "conflict: {why}"),
        }
    }
}

impl std::error::Error for SinkError {}

/// Takes frames and seals and makes them durable.
///
/// Contract, in the words of RFC 2119:
///
/// - `put` MUST NOT return `Ok` before **all** given parts are durable at the class it returns,
///   so that losing power one instruction later loses none of them.
/// - Parts of one session MUST be offered in order: frame 0, 1, …, seal, then the next segment. A
///   sink MUST keep that order.
/// - Offering the very same part again MUST succeed and change nothing, before and after a crash.
/// - Offering different bytes for a place that is taken MUST fail with [`SinkError::Conflict`] and
///   change nothing.
/// - On any error the caller MUST assume that any prefix of the parts may be durable. It retries
///   with the very same bytes on `Retry`, and never on `Conflict` or `Refused`.
/// - A sender MUST NOT forget a part before a receipt of class [`Class::S`].
pub trait Sink {
    /// Makes all parts durable, in order. See the trait for the contract.
    ///
    /// # Errors
    /// As sorted by [`SinkError`].
    fn put(&mut self, parts: &[Part]) -> Result<Receipt, SinkError>;
}

impl<S: Sink + ?Sized> Sink for Box<S> {
    fn put(&mut self, parts: &[Part]) -> Result<Receipt, SinkError> {
        (**self).put(parts)
    }
}
