//! What of a session is kept, and what happens when it cannot be.
//!
//! [`set`]: the rules from which a host decides that; [`decide`]: deciding it, for one login.

pub mod decide;
pub mod set;

pub use decide::Decider;
pub use set::{OnEnd, PolicySet, Rule, Scope, Selector, Settings, Watch};

/// What a source does while its record cannot be made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnLoss {
    /// End the session at once.
    End,
    /// Hold the session back (it waits) for at most [`Policy::hold_ms_max`], then end it.
    #[default]
    Hold,
    /// Let it go on unrecorded; what is missing becomes a `Gap` event.
    Continue,
}

impl OnLoss {
    /// The word in configuration and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::End => "end",
            Self::Hold => "hold",
            Self::Continue => "continue",
        }
    }

    /// The policy named by this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::End, Self::Hold, Self::Continue]
            .into_iter()
            .find(|p| p.as_str() == word)
    }
}

/// What somebody who is recorded is told where nothing else is set.
pub const NOTICE_SHIPPED: &str = "This session is recorded.";

/// Most bytes of one stream that a host keeps of a session without a terminal where nothing else is set
/// ([`Policy::bulk_bytes_max`]): more than what somebody reads, less than what somebody copies.
pub const BULK_BYTES_SHIPPED: u64 = 16 * 1024 * 1024;

/// The policy in force for a session, kept in its header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// What is piped into a program (no terminal).
    pub stdin: bool,
    /// What is typed at a terminal. Off unless somebody decided otherwise.
    pub keystrokes: bool,
    /// What a program shows on a terminal or writes to a pipe.
    pub stdout: bool,
    /// What a program writes to standard error when that is a pipe of its own.
    pub stderr: bool,
    /// Credentials inside protocols (never what a terminal hides: that is not kept at all).
    pub passwords: bool,
    /// Bytes inside forwarded connections.
    pub forwarding: bool,
    /// Content of transferred files.
    pub files: bool,
    /// What happens when the record cannot be made durable.
    pub on_loss: OnLoss,
    /// Longest time a session is held back, in milliseconds.
    pub hold_ms_max: u64,
    /// Strict mode: nothing is shown before it is durable.
    pub strict: bool,
    /// Longest time without an event before the session is ended, in milliseconds; 0: for ever.
    pub idle_ms_max: u64,
    /// Most bytes of one stream that are kept of a session without a terminal; of what follows only
    /// what trickles is, the rest is counted and hashed (`stream.omitted` and `Gap` events). What a
    /// terminal shows is kept whatever this says. 0: no bound.
    pub bulk_bytes_max: u64,
    /// Version of the central policy that decided; 0: there was none, the host's configuration did.
    pub version: u64,
    /// Name of the rule that decided; empty: none did, the defaults hold.
    pub rule: String,
}

impl Default for Policy {
    /// Where nobody has a policy, as in a recording that somebody makes for themselves: everything shown
    /// is kept, nothing typed is. A host also bounds streams ([`BULK_BYTES_SHIPPED`]).
    fn default() -> Self {
        Self {
            stdin: true,
            keystrokes: false,
            stdout: true,
            stderr: true,
            passwords: false,
            forwarding: false,
            files: false,
            on_loss: OnLoss::Hold,
            hold_ms_max: 30_000,
            strict: false,
            idle_ms_max: 0,
            bulk_bytes_max: 0,
            version: 0,
            rule: String::new(),
        }
    }
}
