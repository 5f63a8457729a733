//! Who may sign in at a service: one small file for each user, replaced whole and durable before
//! anybody hears of it. A file that is damaged shuts out its user, and nobody else.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, MutexGuard, RwLockReadGuard};

use crate::failure::Failure;
use crate::limits::{PAGE_ROWS_MAX, USERS_MAX};
use crate::random::Random;
use crate::role::Role;
use crate::rows::{Row, Rows};
use crate::user::password::Password;
use crate::user::totp::{Checked, Totp};
use crate::user::{User, UserRow, check_name};
use crate::webauthn::Fault;

mod passkeys;
mod roles;
pub use passkeys::{Presented, Standing};
pub use roles::check_roles;

/// The users of one service.
pub struct Users {
    random: Arc<dyn Random>,
    rows: Rows<UserRow>,
}

impl Row for UserRow {
    const CALLED: (&'static str, &'static str) = ("user", "users");
    const MAX: usize = USERS_MAX;

    fn name(&self) -> &str {
        &self.name
    }

    fn check(&self) -> Result<(), &'static str> {
        match self.role() {
            Some(_) => Ok(()),
            None => Err("its role is none that there is"),
        }
    }
}

/// Why somebody was not let in. For the event only: outside all are the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignInFault {
    /// Nobody has this name.
    Unknown,
    /// The password is wrong.
    Password,
    /// The password is right, the code is not.
    Code,
    /// The code was right, and was used before.
    UsedCode,
    /// Nobody has this passkey.
    UnknownPasskey,
    /// Nothing was asked to be signed, or it was answered before, or too late.
    Challenge,
    /// The passkey does not count.
    Passkey(Fault),
    /// That the code is used up could not be kept, so it does not count.
    Disk(Failure),
}

impl SignInFault {
    /// In words for the event.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Unknown => "no such user",
            Self::Password => "wrong password",
            Self::Code => "wrong code",
            Self::UsedCode => "the code was used before",
            Self::UnknownPasskey => "passkey: nobody has it",
            Self::Challenge => "passkey: nothing was asked, or it was answered before, or too late",
            Self::Passkey(fault) => fault.as_str(),
            Self::Disk(_) => "the disk failed",
        }
    }
}

/// A user that was made, or whose password was set: the second factor's secret, said this once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewUser {
    /// The user.
    pub user: User,
    /// The secret for an authenticator, in base 32; `None` without a second factor.
    pub totp_secret: Option<String>,
}

impl Users {
    /// Opens the users in `directory`, which is made if it is not there; and what about it cannot be
    /// read, as names and reasons.
    ///
    /// # Errors
    /// `Conflict` with more than [`USERS_MAX`], `Retry` when the disk fails.
    pub fn open(
        directory: &Path,
        random: Arc<dyn Random>,
    ) -> Result<(Self, Vec<(String, String)>), Failure> {
        let (rows, unreadable) = Rows::open(directory)?;
        let users = Self { random, rows };
        Ok((users, unreadable))
    }

    /// Makes a user.
    ///
    /// # Errors
    /// `Malformed` for a name or password that none may have, `Conflict` when there is one of that
    /// name or there are [`USERS_MAX`], `Retry` when the disk fails.
    pub fn add(
        &self,
        name: &str,
        role: Role,
        password: &str,
        with_totp: bool,
        (by, utc_ns): (&str, u64),
    ) -> Result<NewUser, Failure> {
        check_name(name)?;
        let password = Password::new(password, &*self.random)?;
        let totp = with_totp.then(|| Totp::new(&*self.random)).transpose()?;
        let _writing = self.writing();
        if self.known().contains_key(name) {
            return Err(Failure::Conflict(format!("there is a user {name}")));
        }
        if self.known().len() >= USERS_MAX {
            let words = format!("there are {USERS_MAX} users: remove one first");
            return Err(Failure::Conflict(words));
        }
        let row = UserRow {
            name: name.to_owned(),
            role: role.as_str().to_owned(),
            roles: Vec::new(),
            password,
            totp,
            passkeys: Vec::new(),
            created_ns: utc_ns,
            created_by: by.to_owned(),
            changed_ns: utc_ns,
        };
        self.put(row)
    }

    /// Sets a user's password, and another secret of the second factor if that is wanted, which takes
    /// the passkeys, too. Whoever is signed in as this user is signed out by it. `None` if there is no such user.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub fn set_password(
        &self,
        name: &str,
        password: &str,
        new_totp: bool,
        utc_ns: u64,
    ) -> Result<Option<NewUser>, Failure> {
        let password = Password::new(password, &*self.random)?;
        let totp = new_totp.then(|| Totp::new(&*self.random)).transpose()?;
        let _writing = self.writing();
        let Some(mut row) = self.known().get(name).cloned() else {
            return Ok(None);
        };
        row.password = password;
        if totp.is_some() {
            row.totp = totp;
            row.passkeys.clear();
        }
        // Later than before, also where a clock was set back: those who are signed in see it change.
        row.changed_ns = utc_ns.max(row.changed_ns.saturating_add(1));
        let mut set = self.put(row)?;
        set.totp_secret = set.totp_secret.filter(|_| new_totp);
        Ok(Some(set))
    }

    /// Removes a user; `false` if there is none of that name.
    ///
    /// # Errors
    /// `Retry` when the disk fails.
    pub fn remove(&self, name: &str) -> Result<bool, Failure> {
        let _writing = self.writing();
        if !self.known().contains_key(name) {
            return Ok(false);
        }
        self.rows.remove(name)?;
        Ok(true)
    }

    /// A user. Cheap: nothing is read from disk.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<User> {
        self.known().get(name).and_then(user_of)
    }

    /// Users by name, at most `limit` (and [`PAGE_ROWS_MAX`] and one more), after this one.
    #[must_use]
    pub fn list(&self, after: Option<&str>, limit: usize) -> Vec<User> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = after.map_or(Unbounded, Excluded);
        let known = self.known();
        let rest = known.range::<str, _>((from, Unbounded));
        rest.filter_map(|(_, row)| user_of(row))
            .take(limit.min(PAGE_ROWS_MAX.saturating_add(1)))
            .collect()
    }

    /// Lets in whoever knows the password and has the code, which is used up by it: durably, before
    /// this returns. As long for a name that nobody has as for any.
    ///
    /// # Errors
    /// Why not, for the event; whoever asked is to be told the same words whatever it is.
    pub fn sign_in(
        &self,
        name: &str,
        password: &str,
        code: &str,
        utc_ns: u64,
    ) -> Result<User, SignInFault> {
        let before = self.known().get(name).cloned();
        let Some(before) = before else {
            let _ = Password::nobody().fits(password);
            return Err(SignInFault::Unknown);
        };
        if !before.password.fits(password) {
            return Err(SignInFault::Password);
        }
        let _writing = self.writing();
        // Meanwhile the password may have been set, or the code been used.
        let now = self.known().get(name).cloned();
        let Some(mut row) = now.filter(|now| now.changed_ns == before.changed_ns) else {
            return Err(SignInFault::Password);
        };
        if let Some(totp) = row.totp.take() {
            row.totp = Some(match totp.check(code, utc_ns) {
                Checked::Good(step) => totp.used(step),
                Checked::Used => return Err(SignInFault::UsedCode),
                Checked::Wrong => return Err(SignInFault::Code),
            });
            self.put(row.clone()).map_err(SignInFault::Disk)?;
        }
        user_of(&row).ok_or(SignInFault::Unknown)
    }

    fn put(&self, row: UserRow) -> Result<NewUser, Failure> {
        let cannot = || Failure::Retry("a user cannot be written: no such role".to_owned());
        let user = user_of(&row).ok_or_else(cannot)?;
        let totp_secret = row.totp.as_ref().map(Totp::reveal);
        self.rows.put(row)?;
        Ok(NewUser { user, totp_secret })
    }

    fn writing(&self) -> MutexGuard<'_, ()> {
        self.rows.writing()
    }

    fn known(&self) -> RwLockReadGuard<'_, BTreeMap<String, UserRow>> {
        self.rows.known()
    }
}

fn user_of(row: &UserRow) -> Option<User> {
    Some(User {
        name: row.name.clone(),
        role: row.role()?,
        roles: row.roles.clone(),
        has_totp: row.totp.is_some(),
        created_ns: row.created_ns,
        changed_ns: row.changed_ns,
    })
}

#[cfg(test)]
mod tests;
