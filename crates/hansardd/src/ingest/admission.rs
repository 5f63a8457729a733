//! Who may connect.

use std::sync::Arc;

use hansard_identity::{Peer, Registry, tls};
use hansard_record::clock::Clock;
use rustls::pki_types::CertificateDer;

/// Says who may connect. Implementations MUST be quick and MUST NOT wait for a disk.
pub trait Admission: Send + Sync {
    /// Who showed these certificates, in a handshake that succeeded; none if it showed none.
    ///
    /// # Errors
    /// Why it is nobody, for people.
    fn peer_of(&self, shown: Option<&[CertificateDer<'_>]>) -> Result<Option<Peer>, String>;

    /// Whether this peer may be connected now. Asked when it connects, when
    /// [`Admission::changes`] has grown, and every few seconds for the end of its certificate.
    ///
    /// # Errors
    /// Why not, in words that may be shown to it.
    fn admit(&self, peer: &Peer) -> Result<(), String>;

    /// A number that MUST grow whenever the answer of [`Admission::admit`] may have changed, but
    /// for the passing of time.
    fn changes(&self) -> u64;
}

/// The registry of a cluster's authority.
pub struct RegistryAdmission {
    registry: Arc<Registry>,
    clock: Arc<dyn Clock>,
}

impl RegistryAdmission {
    /// By this registry, at the time of this clock.
    #[must_use]
    pub fn new(registry: Arc<Registry>, clock: Arc<dyn Clock>) -> Self {
        Self { registry, clock }
    }
}

impl Admission for RegistryAdmission {
    fn peer_of(&self, shown: Option<&[CertificateDer<'_>]>) -> Result<Option<Peer>, String> {
        let authority = &self.registry.authority().own().certificate;
        tls::peer_of(shown, authority, self.clock.utc_ns()).map_err(|e| e.to_string())
    }

    fn admit(&self, peer: &Peer) -> Result<(), String> {
        let admitted = self.registry.admit(peer, self.clock.utc_ns());
        admitted.map_err(|e| e.to_string())
    }

    fn changes(&self) -> u64 {
        self.registry.changes()
    }
}
