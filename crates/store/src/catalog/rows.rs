//! The rows that are computed from segments.

use hansard_core::{EventUid, SessionId};
use hansard_view::document::Counted;

/// A session, as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// The session.
    pub session: SessionId,
    /// What its header says; of a session whose first segment could not be read, what its
    /// identifier says.
    pub start: StartFacts,
    /// Time of the last event, nanoseconds since the start.
    pub last_ns: u64,
    /// How it ended, once it did.
    pub end: Option<EndFacts>,
    /// Segments counted.
    pub segments: u64,
    /// Events in them.
    pub events: u64,
    /// Bytes of streams in them.
    pub data_bytes: u64,
    /// Bytes of the segments as they are stored.
    pub stored_bytes: u64,
    /// Gaps that were recorded.
    pub gaps: u64,
    /// What was counted so far of what the documents of its end will say.
    pub counted: Counted,
}

impl SessionRow {
    /// A session of which nothing is counted.
    #[must_use]
    pub fn unknown(session: SessionId) -> Self {
        Self {
            session,
            start: StartFacts::unknown(session),
            last_ns: 0,
            end: None,
            segments: 0,
            events: 0,
            data_bytes: 0,
            stored_bytes: 0,
            gaps: 0,
            counted: Counted::default(),
        }
    }
}

/// What a session's header says, as far as it is listed and searched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartFacts {
    /// The session this one happened inside.
    pub parent: Option<SessionId>,
    /// What kind of session.
    pub kind: String,
    /// Who acted: the subject's `user`, or its `login`.
    pub user: String,
    /// The account on the target: the subject's `login`.
    pub login: String,
    /// Where: the target's `server_hostname`.
    pub host: String,
    /// What was run, or a title that somebody gave: the target's `title` or `command`.
    pub title: String,
    /// Labels of the host, `name=value`: the target's `server_labels`.
    pub labels: Vec<String>,
    /// UTC time of the start, nanoseconds since 1970.
    pub start_utc_ns: u64,
    /// Public key of the recorder.
    pub recorder_key: [u8; 32],
}

impl StartFacts {
    /// What is known of a session whose header is missing: the millisecond in its identifier.
    #[must_use]
    pub fn unknown(session: SessionId) -> Self {
        let [a, b, c, d, e, f, ..] = *session.as_bytes();
        let unix_ms = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
        Self {
            parent: None,
            kind: "unknown".to_owned(),
            user: String::new(),
            login: String::new(),
            host: String::new(),
            title: String::new(),
            labels: Vec::new(),
            start_utc_ns: unix_ms.saturating_mul(1_000_000).min(TIME_NS_MAX),
            recorder_key: [0; 32],
        }
    }

    /// The UTC time of a moment of the session, nanoseconds since 1970, at most [`TIME_NS_MAX`].
    #[must_use]
    pub fn utc_ns(&self, at_ns: u64) -> u64 {
        self.start_utc_ns.saturating_add(at_ns).min(TIME_NS_MAX)
    }
}

/// Latest time that a row holds, in the year 2262; a later one is lowered to it.
pub const TIME_NS_MAX: u64 = i64::MAX as u64;

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndFacts {
    /// Why, in words.
    pub reason: String,
    /// Exit status of the program, if it exited.
    pub exit_status: Option<u8>,
    /// Name of the signal that ended it, if one did.
    pub signal: Option<String>,
}

/// What one segment adds to its session's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentUpdate {
    /// The session.
    pub session: SessionId,
    /// The segment's number.
    pub segment: u32,
    /// The session's header, in its first segment.
    pub start: Option<StartFacts>,
    /// Time of the segment's last event.
    pub last_ns: u64,
    /// The session's end, in its last segment.
    pub end: Option<EndFacts>,
    /// Events.
    pub events: u64,
    /// Bytes of streams.
    pub data_bytes: u64,
    /// Bytes as stored.
    pub stored_bytes: u64,
    /// Gaps.
    pub gaps: u64,
    /// What was counted up to its end.
    pub counted: Counted,
}

/// An event that is not Data, as it is listed: facts, never bytes of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    /// The session.
    pub session: SessionId,
    /// The event's number in it.
    pub seq: u64,
    /// Which of the rows that this event makes, from 0.
    pub ordinal: u32,
    /// UTC time, nanoseconds since 1970: the session's start and the event's monotonic time, so
    /// that a clock that is set does not move events.
    pub time_ns: u64,
    /// The event's name, as the document has it.
    pub name: String,
    /// User, host and kind, as the document has them, so that a database without joins finds the
    /// event.
    pub user: String,
    /// See `user`.
    pub host: String,
    /// See `user`.
    pub kind: String,
    /// The document: the bytes of its line in the event log.
    pub facts: String,
}

impl EventRow {
    /// The row's identifier.
    #[must_use]
    pub fn uid(&self) -> EventUid {
        EventUid::new(self.session, self.seq, self.ordinal)
    }
}
