//! What the event log has somebody hear of. Each should become an event of the own recording.

use hansard_core::event::Fact;
use hansard_core::{Body, Fields, SessionId};

/// Something that is not only a line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Events of a session never came.
    Gap {
        /// The session.
        session: SessionId,
        /// Number of the first that is missing.
        from: u64,
        /// Number of the first after them.
        until: u64,
    },
    /// A file is about to be removed, being old.
    Removed {
        /// Its name.
        name: String,
        /// Its length.
        bytes: u64,
        /// Why.
        reason: String,
    },
}

impl Notice {
    /// The event.
    #[must_use]
    pub fn body(&self) -> Body {
        let (event, fields) = match self {
            Self::Gap {
                session,
                from,
                until,
            } => (
                "log.gap",
                Fields::new()
                    .with("recording", session.to_string())
                    .with("from_ei", *from)
                    .with("until_ei", *until),
            ),
            Self::Removed {
                name,
                bytes,
                reason,
            } => (
                "log.removed",
                Fields::new()
                    .with("path", name.as_str())
                    .with("bytes", *bytes)
                    .with("reason", reason.as_str()),
            ),
        };
        Body::Admin(Fact {
            event: event.to_owned(),
            fields,
        })
    }
}
