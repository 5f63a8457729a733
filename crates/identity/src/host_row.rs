//! What a registry knows of a host or service.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::hex;
use crate::host_id::HostId;
use crate::limits::CLOCK_SKEW_S;
use crate::peer::Principal;
use crate::token::JoinAs;

/// One host or service that joined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostRow {
    /// Its identifier.
    pub id: String,
    /// What it joined as.
    pub role: JoinAs,
    /// Its name, for people.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Names it is reached under; of a service only.
    pub server_names: Vec<String>,
    /// The key that its recordings are signed with.
    pub recorder: RecorderKey,
    /// When it joined first, UTC nanoseconds since 1970.
    pub joined_ns: u64,
    /// Serial number of the last TLS certificate, hexadecimal.
    pub tls_serial: String,
    /// Until when that holds, UTC nanoseconds since 1970.
    pub tls_not_after_ns: u64,
    /// Whether it is locked out.
    pub lock: Option<Lock>,
}

/// A key that signs recordings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecorderKey {
    /// The Ed25519 public key, hexadecimal.
    pub key: String,
    /// Serial number of its last certificate, hexadecimal.
    pub serial: String,
    /// When that was issued, UTC nanoseconds since 1970.
    pub issued_ns: u64,
    /// Until when that holds, UTC nanoseconds since 1970.
    pub not_after_ns: u64,
}

impl RecorderKey {
    /// Whether there should be another certificate: half of this one's life is over, or it was issued while a clock
    /// was ahead that has been set right since.
    pub(crate) fn is_due(&self, utc_ns: u64) -> bool {
        let is_early = utc_ns.saturating_add(CLOCK_SKEW_S * 1_000_000_000) < self.issued_ns;
        is_early || utc_ns >= self.issued_ns / 2 + self.not_after_ns / 2
    }
}

/// That a host is locked out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// Why.
    pub reason: String,
    /// Who did it.
    pub by: String,
    /// When, UTC nanoseconds since 1970.
    pub since_ns: u64,
    /// Until when, UTC nanoseconds since 1970, if not until it is lifted.
    pub until_ns: Option<u64>,
    /// Whether it is for ever: such a host never comes back under its identifier or keys.
    pub revoked: bool,
}

impl Lock {
    /// Whether it holds at this moment.
    #[must_use]
    pub fn holds_at(&self, utc_ns: u64) -> bool {
        self.revoked || self.until_ns.is_none_or(|until| utc_ns < until)
    }
}

impl HostRow {
    /// The identifier, if the row has one that is one.
    #[must_use]
    pub fn host_id(&self) -> Option<HostId> {
        self.id.parse().ok()
    }

    /// Whether it is locked out at this moment.
    #[must_use]
    pub fn is_locked_at(&self, utc_ns: u64) -> bool {
        self.lock.as_ref().is_some_and(|lock| lock.holds_at(utc_ns))
    }

    /// Whether this is the key that its recordings are signed with.
    #[must_use]
    pub fn has_recorder_key(&self, key: &[u8; 32]) -> bool {
        self.recorder.key == hex::encode(key)
    }

    /// How certificates name it.
    pub(crate) fn principal(&self, id: HostId) -> Principal {
        match self.role {
            JoinAs::Host => Principal::Host(id),
            JoinAs::Service => Principal::Service(id),
        }
    }
}
