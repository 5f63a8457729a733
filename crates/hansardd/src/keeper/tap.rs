//! Where the events of recordings go on their way into the archive: the event log, for one.

use std::fmt;

use hansard_core::{Event, Session, SessionId};

use crate::tee::Source;

/// Whose events are told.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// The session.
    pub session: SessionId,
    /// Its header; `None` only where the archive has lost the segment that held it.
    pub header: Option<&'a Session>,
    /// Who offered it.
    pub source: &'a Source,
    /// The segment that the events are in, from 0.
    pub segment: u32,
}

/// Why a tap did not do what it was asked. It is asked the same again later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TapTrouble(pub String);

impl fmt::Display for TapTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TapTrouble {}

/// Takes the events of every session, in order, before they are archived.
///
/// Contract, in the words of RFC 2119:
///
/// - The keeper MUST tell the events of a session in their order, all events of a frame together,
///   and none that was told before in its life, but for calls that failed.
/// - After a start, events of segments that are archived are not told again. Those of segments that
///   are not are told again from the segment's first event on: a tap that wants each event once
///   MUST keep, as durably as what it makes of events, the number of the next event of each session
///   that it has not seen, and leave out what comes with a lower one.
/// - `sync` MUST NOT return `Ok` before everything that was told is durable. The keeper MUST call it
///   before it gives a segment to the archive, so that nothing is archived that a tap could lose.
/// - On an error any part of what was told may have been taken. The keeper MUST repeat the very same
///   call until it succeeds and tell nothing else meanwhile; a tap MUST bear that.
/// - A call MUST NOT wait for the keeper, and SHOULD NOT wait for a network: while it lasts, nothing
///   is archived.
pub trait Tap: Send {
    /// Takes events of one frame. Before `sync` they may be anywhere.
    ///
    /// # Errors
    /// When they could not be taken for now: the disk is full.
    fn events(&mut self, told: &Told<'_>, events: &[Event]) -> Result<(), TapTrouble>;

    /// Makes everything that was told durable.
    ///
    /// # Errors
    /// When that failed.
    fn sync(&mut self) -> Result<(), TapTrouble>;
}
