//! Who may have a session, and under which policy. A capture asks before it opens a recording.

use crate::policy::{OnEnd, Policy, Watch};

/// Whoever wants a session, by the word of the system (never their own).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Login {
    /// Name of the account.
    pub user: String,
    /// Its number.
    pub uid: u32,
    /// Names of its groups: the primary one and all others.
    pub groups: Vec<String>,
    /// Kind of session: `terminal`, `exec`.
    pub kind: String,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Whether the session is recorded. One that is not goes on without.
    pub recorded: bool,
    /// What is kept of it, how, until when, and which rule of which version said so: for the header.
    pub policy: Policy,
    /// What the user is shown before the first byte; empty: nothing.
    pub notice: String,
    /// Whether the user must accept the notice before the session goes on.
    pub accept: bool,
    /// What becomes of what the session leaves running.
    pub on_end: OnEnd,
    /// Whether the account may log in where nobody can record it: it is recorded in its own process
    /// then, and flagged.
    pub break_glass: bool,
    /// What is told of what its processes do, where host events are recorded.
    pub watch: Watch,
}

/// Decides.
///
/// An implementation MUST answer at once (it is asked at every login), from what it has: a host that
/// is cut off decides by the last policy it was given. It MUST NOT take the word of whoever asks for
/// anything but what [`Login`] says.
pub trait Gate: Send + Sync {
    /// Under which policy this login goes on.
    fn admit(&self, who: &Login) -> Decision;
}
