//! What a capture is told when its session is no longer being recorded, and what a recording came
//! to when it was closed.

use std::fmt;

use hansard_core::seal::Digest;

/// Evidence is being lost: the capture must end its session, by whatever path it has.
///
/// Every call on a recorder answers this from the first loss on. With `on_loss: continue` there is
/// no such error; what is missing becomes a `Gap`, and [`Summary::missing`] counts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// What kind of failure it was.
    pub cause: Cause,
    /// In words, naming the place: `/var/…: cannot sync: …`.
    pub detail: String,
    /// What was handed to the recorder and may not be durable: an upper bound.
    pub missing: Count,
}

/// Why recording ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The sink will never take the parts.
    Refused,
    /// The sink holds other bytes in the place of a part.
    Conflict,
    /// The sink could not take parts for as long as the policy allows.
    HeldTooLong,
    /// The recorder was closed before.
    Closed,
    /// The recorder itself failed: a mistake in this program, or no thread to be had.
    Broken,
}

/// Events, and the bytes of data among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// Events.
    pub events: u64,
    /// Bytes of data in them.
    pub bytes: u64,
}

impl Count {
    /// Adds one event with this many bytes of data.
    pub(crate) fn add(&mut self, bytes: usize) {
        self.add_of(bytes as u64);
    }

    /// Adds one event that stands for so many bytes of data.
    pub(crate) fn add_of(&mut self, bytes: u64) {
        self.events = self.events.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    pub(crate) fn minus(self, other: Self) -> Self {
        Self {
            events: self.events.saturating_sub(other.events),
            bytes: self.bytes.saturating_sub(other.bytes),
        }
    }
}

/// What became of everything that was handed to a recorder.
///
/// `produced = recorded + missing`, always. `recorded` counts what captures handed over, not what
/// the recorder adds by itself (Start, Clock, Gap, End).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Handed over by the capture.
    pub produced: Count,
    /// Of that, durable in the recording.
    pub recorded: Count,
    /// Of that, not in the recording: what its gaps stand for and what is after its last part.
    pub missing: Count,
    /// Gap events in the recording.
    pub gaps: u64,
    /// Frames given to the sink.
    pub frames: u64,
    /// Seals given to the sink.
    pub seals: u64,
    /// Bytes of frames and seals.
    pub stored_bytes: u64,
    /// Digest of the final seal, once the recording is complete.
    pub digest: Option<Digest>,
}

impl Lost {
    pub(crate) fn new(cause: Cause, detail: impl Into<String>) -> Self {
        Self {
            cause,
            detail: detail.into(),
            missing: Count::default(),
        }
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.cause {
            Cause::Refused => "the record was refused",
            Cause::Conflict => "the record conflicts with what is stored",
            Cause::HeldTooLong => "the record could not be stored in time",
            Cause::Closed => "the recording is closed",
            Cause::Broken => "the recorder failed",
        };
        write!(f, "{why}: {}", self.detail)?;
        match self.missing {
            Count { events: 0, .. } => Ok(()),
            Count { events, bytes } => {
                write!(
                    f,
                    " (up to {events} events with {bytes} bytes are not recorded)"
                )
            }
        }
    }
}

impl std::error::Error for Lost {}
