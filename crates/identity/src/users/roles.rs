//! Roles of users that say what they may over SSH.

use super::Users;
use crate::access::check_role_name;
use crate::failure::Failure;
use crate::limits::USER_ROLES_MAX;
use crate::role::Role;
use crate::user::User;

/// Whether somebody may have these roles, besides the one that says what they may at the service.
///
/// # Errors
/// `Malformed`, in words for who chose them.
pub fn check_roles(roles: &[String]) -> Result<(), Failure> {
    let malformed = |what: String| Err(Failure::Malformed(what));
    if roles.len() > USER_ROLES_MAX {
        return malformed(format!("a user has at most {USER_ROLES_MAX} roles more"));
    }
    for (at, name) in roles.iter().enumerate() {
        check_role_name(name)?;
        if name.parse::<Role>().is_ok() {
            return malformed(format!(
                "{name} is one of the four roles, of which a user has one"
            ));
        }
        if roles.iter().take(at).any(|other| other == name) {
            return malformed(format!("the role {name} is named twice"));
        }
    }
    Ok(())
}

impl Users {
    /// Gives a user these roles in the place of those there are, besides the one that says what the user may
    /// at the service. Nobody is signed out by it: they count when a certificate is issued. `None` if there
    /// is no such user.
    ///
    /// # Errors
    /// `Malformed` as [`check_roles`], `Retry` when the disk fails.
    pub fn set_roles(&self, name: &str, roles: &[String]) -> Result<Option<User>, Failure> {
        check_roles(roles)?;
        let _writing = self.writing();
        let Some(mut row) = self.known().get(name).cloned() else {
            return Ok(None);
        };
        roles.clone_into(&mut row.roles);
        Ok(Some(self.put(row)?.user))
    }
}
