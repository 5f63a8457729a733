//! SSH certificates, of the cluster's authorities.

use std::sync::Arc;

use hansard_core::{Lockable, Locks as _};
use hansard_identity::access::{Definition, given};
use hansard_identity::failure::Failure;
use hansard_identity::random::Random;
use hansard_identity::ssh::{KeyLine, SshAuthorities, SshIssued, UserWish};
use hansard_identity::user::User;
use hansard_identity::users::Standing;
use hansard_identity::{PeopleAuthority, Users};
use hansard_record::clock::Clock;

use super::locked::Locked;
use crate::api::certificates::{OwnMade, OwnWish, Reached};
use crate::api::person::{People, PersonMade};
use crate::api::problem::Trouble;
use crate::api::seams::{CertificateMade, CertificateWish, Certificates};

/// What roles give, as the configuration in force says.
pub type Definitions = Arc<dyn Fn() -> Vec<Definition> + Send + Sync>;

/// The authorities of a service, for people.
pub struct Certified {
    /// They sign.
    pub authorities: SshAuthorities,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Nonces and serial numbers.
    pub random: Arc<dyn Random>,
    /// Who has which roles.
    pub users: Arc<Users>,
    /// It certifies people for the web server.
    pub people: Arc<PeopleAuthority>,
    /// What those give.
    pub definitions: Definitions,
    /// Whoever is locked gets none.
    pub locked: Option<Locked>,
    /// The proxy and the node of this machine, for those who get one.
    pub reached: [Option<Reached>; 2],
}

fn trouble(failure: Failure) -> Trouble {
    match failure {
        Failure::Retry(why) => Trouble::Retry(why),
        other => Trouble::Refused(other.to_string()),
    }
}

fn made(issued: SshIssued) -> CertificateMade {
    CertificateMade {
        certificate: issued.line,
        serial: format!("{:016x}", issued.serial),
        expires_ns: issued.not_after_s.saturating_mul(1_000_000_000),
        fact: issued.fact,
    }
}

impl Certified {
    fn issue(&self, wish: &UserWish) -> Result<CertificateMade, Trouble> {
        let now_ns = self.clock.utc_ns();
        let issued = self.authorities.issue_user(wish, now_ns, &*self.random);
        issued.map(made).map_err(trouble)
    }

    /// A user, as they are now, if they are still who was signed in by this: a certificate is of what somebody is
    /// when it is issued, and would outlive what is not theirs any more.
    fn signed_in(&self, user: &str, standing: &Standing) -> Result<User, Trouble> {
        let gone = || Trouble::Refused(format!("there is no user {user} any more"));
        let known = self.users.get(user).ok_or_else(gone)?;
        // What is set anew behind this is not of whom it is issued for.
        let is_same = known.changed_ns == standing.changed_ns;
        if !is_same || !self.users.stands(user, standing) {
            let words = "the password or the passkeys were set anew meanwhile: sign in again";
            return Err(Trouble::Refused(words.to_owned()));
        }
        Ok(known)
    }

    /// Whether one for this person and these accounts may be issued.
    fn unlocked(&self, user: &str, roles: &[String], logins: &[String]) -> Result<(), Trouble> {
        let Some(locked) = &self.locked else {
            return Ok(());
        };
        let of = |login: &str| Lockable {
            user: user.to_owned(),
            roles: roles.to_vec(),
            login: login.to_owned(),
            ..Lockable::default()
        };
        let logins = logins.iter().map(String::as_str);
        let mut all = std::iter::once("").chain(logins);
        match all.find_map(|login| locked.locked(&of(login))) {
            Some(why) => Err(Trouble::Refused(why)),
            None => Ok(()),
        }
    }
}

impl Certificates for Certified {
    fn make(&self, wish: &CertificateWish) -> Result<CertificateMade, Trouble> {
        self.unlocked(&wish.user, &[], &wish.logins)?;
        let key: KeyLine = wish.key.parse().map_err(trouble)?;
        self.issue(&UserWish {
            user: wish.user.clone(),
            logins: wish.logins.clone(),
            key,
            life_s: wish.ttl_s,
            source_addresses: wish.source_addresses.clone(),
            force_command: wish.command.clone(),
            access: None,
        })
    }

    fn make_own(
        &self,
        (user, standing): (&str, &Standing),
        wish: &OwnWish,
    ) -> Result<OwnMade, Trouble> {
        let known = self.signed_in(user, standing)?;
        let given = given(&(self.definitions)(), user, &known.all_roles()).map_err(trouble)?;
        let roles: Vec<String> = given.access.roles().map(str::to_owned).collect();
        let logins = given.access.logins();
        // Of an account that is locked the others are left: that one is refused where it is.
        self.unlocked(user, &roles, &[])?;
        let key: KeyLine = wish.key.parse().map_err(trouble)?;
        let made = self.issue(&UserWish {
            user: user.to_owned(),
            logins: logins.clone(),
            key,
            life_s: wish.ttl_s.min(given.life_s_max),
            access: Some(given.access),
            ..UserWish::default()
        })?;
        Ok(OwnMade {
            made,
            roles,
            logins,
        })
    }

    fn reached(&self) -> [Option<Reached>; 2] {
        self.reached.clone()
    }

    fn authorities(&self) -> [String; 2] {
        [self.authorities.user_line(), self.authorities.host_line()]
    }
}

impl People for Certified {
    fn make(
        &self,
        (user, standing): (&str, &Standing),
        key: [u8; 32],
        ttl_s: u64,
    ) -> Result<PersonMade, Trouble> {
        let known = self.signed_in(user, standing)?;
        let roles: Vec<String> = known.all_roles().into_iter().map(str::to_owned).collect();
        self.unlocked(user, &roles, &[])?;
        let now_ns = self.clock.utc_ns();
        let issued = self
            .people
            .issue(&known, key, ttl_s, now_ns, &*self.random)
            .map_err(trouble)?;
        Ok(PersonMade {
            certificate: issued.pem,
            authority: self.people.pem().to_owned(),
            serial: issued.serial,
            expires_ns: issued.not_after_s.saturating_mul(1_000_000_000),
            fact: issued.fact,
        })
    }
}
