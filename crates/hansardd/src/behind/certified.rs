//! SSH certificates, of the cluster's authorities.

use std::sync::Arc;

use hansard_identity::failure::Failure;
use hansard_identity::random::Random;
use hansard_identity::ssh::{KeyLine, SshAuthorities, UserWish};
use hansard_record::clock::Clock;

use crate::api::problem::Trouble;
use crate::api::seams::{CertificateMade, CertificateWish, Certificates};

/// The authorities of a service, for people.
pub struct Certified {
    /// They sign.
    pub authorities: SshAuthorities,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Nonces and serial numbers.
    pub random: Arc<dyn Random>,
}

fn trouble(failure: Failure) -> Trouble {
    match failure {
        Failure::Retry(why) => Trouble::Retry(why),
        other => Trouble::Refused(other.to_string()),
    }
}

impl Certificates for Certified {
    fn make(&self, wish: &CertificateWish) -> Result<CertificateMade, Trouble> {
        let key: KeyLine = wish.key.parse().map_err(trouble)?;
        let wish = UserWish {
            user: wish.user.clone(),
            logins: wish.logins.clone(),
            key,
            life_s: wish.ttl_s,
            source_addresses: wish.source_addresses.clone(),
            force_command: wish.command.clone(),
        };
        let issued = self
            .authorities
            .issue_user(&wish, self.clock.utc_ns(), &*self.random)
            .map_err(trouble)?;
        Ok(CertificateMade {
            certificate: issued.line,
            serial: format!("{:016x}", issued.serial),
            expires_ns: issued.not_after_s.saturating_mul(1_000_000_000),
            fact: issued.fact,
        })
    }

    fn authorities(&self) -> [String; 2] {
        [self.authorities.user_line(), self.authorities.host_line()]
    }
}
