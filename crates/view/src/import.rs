//! What a foreign recording does not say about itself, given by whoever imports it.

use hansard_core::event::End;
use hansard_core::session::ClockQuality;
use hansard_core::{Fields, Policy, Session, SessionId};

/// Reason of the end that an import adds where the format has none and the input was complete.
pub const IMPORTED_END: &str = "end of imported recording";

/// Identity of an imported recording. Clock and randomness are the caller's.
#[derive(Debug, Clone)]
pub struct Import {
    /// Identifier of the new session.
    pub id: SessionId,
    /// Start of the session where the format does not say, UTC nanoseconds since 1970.
    pub start_utc_ns: u64,
    /// Program and version that imports, such as `hansard 0.1.0`.
    pub recorder: String,
    /// Which recording is meant where a file holds several: tlog's `rec`, Teleport's session id.
    /// Nothing: the first.
    pub rec: Option<String>,
}

impl Import {
    /// A header that knows only this much; `origin` says which format it came from.
    pub(crate) fn session(&self, format: &str) -> Session {
        Session {
            id: self.id,
            parent: None,
            kind: "terminal".to_owned(),
            subject: Fields::new(),
            origin: Fields::new().with("imported_from", format),
            target: Fields::new(),
            start_utc_ns: self.start_utc_ns,
            clock: ClockQuality::Unknown,
            policy: Policy::default(),
            recorder_key: [0; 32],
            recorder: self.recorder.clone(),
        }
    }

    /// The end of a complete import.
    #[allow(clippy::unused_self)] // an importer may come to say more than this
    pub(crate) fn end(&self) -> End {
        End {
            reason: IMPORTED_END.to_owned(),
            exit_status: None,
            signal: None,
        }
    }
}
