//! The immutable header of a recording: the body of its first event.

use crate::fields::Fields;
use crate::id::SessionId;
use crate::policy::Policy;

/// How far the wall clock could be trusted when it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClockQuality {
    /// Nobody said.
    #[default]
    Unknown,
    /// The kernel said that the clock is synchronised (NTP, PTP).
    Synchronised,
    /// The kernel said that it is not.
    Unsynchronised,
}

impl ClockQuality {
    /// The word in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Synchronised => "synchronised",
            Self::Unsynchronised => "unsynchronised",
        }
    }
}

/// What a recording is of, who acted, from where, on what, since when, under which policy and
/// signed by whom. Never changes after the session started.
///
/// `subject`, `origin` and `target` are flat fields under Teleport's names. Used by terminal
/// sessions: subject `user`, `login`, `uid`; origin `addr.remote`, `tty`, `term`, `ssh_connection`;
/// target `server_hostname`, `argv`, `command`, `cwd`, `shell`, `env.*`, `title`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Identifier, UUIDv7.
    pub id: SessionId,
    /// The session this one happened inside (connection of a channel, login of a nested login).
    pub parent: Option<SessionId>,
    /// What kind of session: `terminal` (a pty), `exec` (pipes); later `ssh`, `kube`, `web`, `host`,
    /// `service`.
    pub kind: String,
    /// Who acted.
    pub subject: Fields,
    /// Where they came from.
    pub origin: Fields,
    /// What they acted on.
    pub target: Fields,
    /// UTC time of the session's moment zero, nanoseconds since 1970-01-01T00:00:00Z.
    pub start_utc_ns: u64,
    /// How good that clock was.
    pub clock: ClockQuality,
    /// The policy in force.
    pub policy: Policy,
    /// Ed25519 public key that must have signed every seal (RFC 8032).
    pub recorder_key: [u8; 32],
    /// Program and version that recorded, such as `hansard 0.1.0`.
    pub recorder: String,
}

impl Session {
    /// About how much memory it takes. What it took as stored says nothing of that.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let fields = [&self.subject, &self.origin, &self.target].map(Fields::memory_bytes);
        let texts = [&self.kind, &self.recorder, &self.policy.rule].map(String::len);
        let all = fields.into_iter().chain(texts);
        all.fold(std::mem::size_of::<Self>(), usize::saturating_add)
    }
}
