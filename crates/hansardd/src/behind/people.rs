//! Users who sign in, for who administrates them.

use std::sync::Arc;

use hansard_identity::Users as Kept;
use hansard_identity::failure::Failure;
use hansard_identity::user::{User, check_name, password};
use hansard_identity::users::{NewUser, check_roles};
use hansard_record::clock::Clock;

use super::certified::Definitions;
use super::defined::unknown;
use crate::api::problem::Trouble;
use crate::api::role::{Caller, Role};
use crate::api::users::{PasswordWish, UserMade, UserRow, UserWish, Users};

/// The users of a service.
#[derive(Clone)]
pub struct People {
    /// Where they are kept. Whoever is signed in is looked up there at each request.
    pub users: Arc<Kept>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Name of the cluster, which an authenticator shows.
    pub cluster: String,
    /// The roles that there are besides the four.
    pub definitions: Definitions,
}

pub(super) fn trouble(failure: Failure) -> Trouble {
    match failure {
        Failure::Retry(why) => Trouble::Retry(why),
        Failure::Conflict(why) => Trouble::Conflict(why),
        other => Trouble::Refused(other.to_string()),
    }
}

fn row(user: User) -> UserRow {
    UserRow {
        name: user.name,
        role: user.role,
        roles: user.roles,
        has_totp: user.has_totp,
        created_ns: user.created_ns,
    }
}

fn role(wish: &UserWish) -> Result<Role, Trouble> {
    let role = wish.role.parse::<Role>();
    role.map_err(|e| Trouble::Refused(format!("role: {e}")))
}

impl People {
    /// That each of these is one of the configuration. One that is not gives nothing, and whoever misspelt it
    /// would hear of it from the person who cannot get in. One that is to come is written down there first.
    fn are_defined(&self, roles: &[String]) -> Result<(), Trouble> {
        let next = "name one of them; another one is written into access.roles first";
        match roles
            .iter()
            .find_map(|role| unknown(role, &self.definitions))
        {
            Some(what) => Err(Trouble::NotNow(what, next)),
            None => Ok(()),
        }
    }

    fn made(&self, made: NewUser) -> UserMade {
        let name = made.user.name.clone();
        let totp = made.totp_secret.map(|secret| {
            let cluster: String = (self.cluster.bytes().map(escaped)).collect();
            let uri = format!(
                "otpauth://totp/Hansard%20{cluster}:{name}?secret={secret}&issuer=Hansard%20{cluster}"
            );
            (secret, uri)
        });
        UserMade {
            row: row(made.user),
            totp,
        }
    }
}

/// One byte of a name in a link (RFC 3986 §2.3). Names of users need none of it.
fn escaped(byte: u8) -> String {
    match byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    }
}

impl Users for People {
    fn list(&self, after: Option<&str>, most: usize) -> Result<Vec<UserRow>, Trouble> {
        let users = self.users.list(after, most);
        Ok(users.into_iter().map(row).collect())
    }

    fn check(&self, wish: &UserWish) -> Result<(), Trouble> {
        check_name(&wish.name).map_err(trouble)?;
        password::check(&wish.password).map_err(trouble)?;
        role(wish)?;
        self.check_roles(&wish.roles)?;
        match self.users.get(&wish.name) {
            Some(user) => Err(Trouble::Conflict(format!("there is a user {}", user.name))),
            None => Ok(()),
        }
    }

    fn get(&self, name: &str) -> Result<Option<UserRow>, Trouble> {
        Ok(self.users.get(name).map(row))
    }

    fn check_password(&self, wish: &PasswordWish) -> Result<(), Trouble> {
        password::check(&wish.password).map_err(trouble)
    }

    fn check_roles(&self, roles: &[String]) -> Result<(), Trouble> {
        check_roles(roles).map_err(trouble)?;
        self.are_defined(roles)
    }

    fn make(&self, wish: &UserWish, by: &Caller) -> Result<UserMade, Trouble> {
        let at = (by.user.as_str(), self.clock.utc_ns());
        let (name, password) = (wish.name.as_str(), wish.password.as_str());
        let made = self.users.add(name, role(wish)?, password, wish.totp, at);
        let mut made = made.map_err(trouble)?;
        // A crash between leaves a user who may less than was wanted.
        if !wish.roles.is_empty()
            && let Some(user) = self.users.set_roles(name, &wish.roles).map_err(trouble)?
        {
            made.user = user;
        }
        Ok(self.made(made))
    }

    fn set_roles(&self, name: &str, roles: &[String]) -> Result<Option<UserRow>, Trouble> {
        self.check_roles(roles)?;
        let set = self.users.set_roles(name, roles).map_err(trouble)?;
        Ok(set.map(row))
    }

    fn remove(&self, name: &str) -> Result<bool, Trouble> {
        self.users.remove(name).map_err(trouble)
    }

    fn set_password(&self, name: &str, wish: &PasswordWish) -> Result<Option<UserMade>, Trouble> {
        let now_ns = self.clock.utc_ns();
        let set = self
            .users
            .set_password(name, &wish.password, wish.new_totp, now_ns);
        Ok(set.map_err(trouble)?.map(|made| self.made(made)))
    }
}
