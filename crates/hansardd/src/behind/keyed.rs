//! Passkeys of the users of a service.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use hansard_identity::Users as Kept;
use hansard_identity::user::passkey::{Passkey, check_label};
use hansard_identity::users::Standing;
use hansard_identity::webauthn::{Expected, host, made};
use hansard_record::clock::Clock;

use super::people::trouble;
use crate::api::passkeys::{Challenged, Checked, Offered, Passkeys};
use crate::api::problem::Trouble;
use crate::web::challenges::{Challenges, Purpose};

/// The passkeys of a service's users.
#[derive(Clone)]
pub struct Keyed {
    /// Where users are kept.
    pub users: Arc<Kept>,
    /// What waits to be signed.
    pub challenges: Arc<Challenges>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
}

impl Passkeys for Keyed {
    fn list(&self, user: &str) -> Result<Vec<Passkey>, Trouble> {
        Ok(self.users.passkeys(user))
    }

    fn challenge(&self, user: &str, place: (&str, IpAddr)) -> Result<Challenged, Trouble> {
        let handle = self.users.handle(user);
        let handle = handle.ok_or_else(|| Trouble::Conflict(format!("there is no user {user}")))?;
        let purpose = Purpose::Make(user.to_owned());
        let begun = self.challenges.begin(purpose, place, Instant::now());
        Ok(Challenged {
            challenge: begun.map_err(|e| Trouble::Retry(format!("no randomness: {e}")))?,
            host: host(place.0).to_owned(),
            handle,
            known: self.users.credentials(user),
        })
    }

    fn check(&self, user: &str, offered: &Offered) -> Result<Checked, Trouble> {
        check_label(&offered.label).map_err(trouble)?;
        let purpose = Purpose::Make(user.to_owned());
        let taken = self
            .challenges
            .take(&offered.challenge, &purpose, Instant::now());
        let origin = taken.ok_or_else(|| {
            Trouble::Refused(
                "passkey: nothing was asked, or it was answered before, or too late".to_owned(),
            )
        })?;
        let expected = Expected {
            challenge: &offered.challenge,
            origin: &origin,
        };
        let made = made(expected, &offered.client_data, &offered.attestation);
        Ok(Checked {
            made: made.map_err(|fault| Trouble::Refused(fault.as_str().to_owned()))?,
            host: expected.host().to_owned(),
            label: offered.label.clone(),
        })
    }

    fn keep(&self, user: (&str, &Standing), checked: &Checked) -> Result<Passkey, Trouble> {
        let named = (checked.host.as_str(), checked.label.as_str());
        let now_ns = self.clock.utc_ns();
        let kept = self.users.add_passkey(user, &checked.made, named, now_ns);
        kept.map_err(trouble)
    }

    fn check_label(&self, label: &str) -> Result<(), Trouble> {
        check_label(label).map_err(trouble)
    }

    fn rename(&self, user: &str, id: &str, label: &str) -> Result<bool, Trouble> {
        self.users.rename_passkey(user, id, label).map_err(trouble)
    }

    fn remove(&self, user: &str, id: &str) -> Result<bool, Trouble> {
        self.users.remove_passkey(user, id).map_err(trouble)
    }
}
