//! What the journal's fields say about a message.

use serde_json::Value;

/// Whose a message is, as its own text says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// The recording's name.
    pub rec: String,
    /// The user who was recorded.
    pub user: String,
    /// The audit session.
    pub session: u64,
    /// The message's number in its recording, from 1.
    pub id: u64,
}

impl Labels {
    /// Reads them; `None` where this is no message of tlog.
    #[must_use]
    pub fn of(message: &[u8]) -> Option<Self> {
        let message: Value = serde_json::from_slice(message).ok()?;
        let text = |key| message.get(key)?.as_str().map(str::to_owned);
        Some(Self {
            rec: text("rec")?,
            user: text("user")?,
            session: message.get("session")?.as_u64()?,
            id: message.get("id")?.as_u64()?,
        })
    }
}
