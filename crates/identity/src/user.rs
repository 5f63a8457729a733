//! A user who signs in at a service: a name, a role, a password, and a second factor.

pub mod passkey;
pub mod password;
pub mod totp;

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::limits::USER_NAME_BYTES_MAX;
use crate::role::Role;
use passkey::PasskeyRow;
use password::Password;
use totp::Totp;

/// What is kept of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserRow {
    /// The name to sign in with. What is recorded of an account of the same name is this user's own.
    pub name: String,
    /// The role that says what the user may at the service, by its fixed name.
    pub role: String,
    /// Other roles, which say what the user may over SSH; so may that one.
    #[serde(default)]
    pub roles: Vec<String>,
    /// What a password is checked against.
    pub password: Password,
    /// The second factor; `None` where an administrator decided to do without.
    pub totp: Option<Totp>,
    /// What signs in instead of password and second factor.
    #[serde(default)]
    pub passkeys: Vec<PasskeyRow>,
    /// When the user was made, UTC nanoseconds since 1970.
    pub created_ns: u64,
    /// By whom.
    pub created_by: String,
    /// When password or second factor were last set, UTC nanoseconds since 1970. Whoever signed in
    /// before that is signed out.
    pub changed_ns: u64,
}

impl UserRow {
    /// The role; `None` where the file names none that there is.
    #[must_use]
    pub fn role(&self) -> Option<Role> {
        self.role.parse().ok()
    }
}

/// A user as everybody else sees one: nothing that is checked against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// The role that says what the user may at the service.
    pub role: Role,
    /// Other roles, which say what the user may over SSH; so may that one.
    pub roles: Vec<String>,
    /// Whether a code is asked for besides the password.
    pub has_totp: bool,
    /// When the user was made, UTC nanoseconds since 1970.
    pub created_ns: u64,
    /// See [`UserRow::changed_ns`].
    pub changed_ns: u64,
}

impl User {
    /// All roles, by name.
    #[must_use]
    pub fn all_roles(&self) -> Vec<&str> {
        let others = self.roles.iter().map(String::as_str);
        std::iter::once(self.role.as_str()).chain(others).collect()
    }
}

/// Whether a user may have this name: it stands in paths, files and events as it is.
///
/// # Errors
/// `Malformed`, in words for who chose it.
pub fn check_name(name: &str) -> Result<(), Failure> {
    let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    let is_good = (1..=USER_NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(plain)
        && !name.starts_with(['.', '-']);
    if is_good {
        return Ok(());
    }
    Err(Failure::Malformed(format!(
        "a user's name has 1 to {USER_NAME_BYTES_MAX} letters, digits, `-`, `_` and `.`, and begins \
         with none of `-` and `.`"
    )))
}
