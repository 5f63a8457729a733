//! Passkeys of users: made by whoever is signed in, and enough to sign in by themselves.

use sha2::{Digest as _, Sha256};

use super::{SignInFault, Users, user_of};
use crate::base64url;
use crate::failure::Failure;
use crate::limits::PASSKEYS_MAX;
use crate::user::passkey::{Passkey, PasskeyRow, check_label};
use crate::user::{User, UserRow};
use crate::webauthn::{self, Expected, Made, Said};

/// What a browser says when somebody signs in with a passkey.
#[derive(Debug, Clone, Copy)]
pub struct Presented<'a> {
    /// The passkey's identifier.
    pub credential: &'a [u8],
    /// Whose it is, as the authenticator says, if it does.
    pub handle: Option<&'a [u8]>,
    /// What was signed.
    pub said: Said<'a>,
}

/// What somebody's being signed in stands on: it ends when this does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// When what the user signs in with was last set ([`User::changed_ns`]).
    pub changed_ns: u64,
    /// The name of the passkey that let them in, if one did.
    pub passkey: Option<String>,
}

/// What an authenticator knows a user by: no name, and another one for another user of the same name.
fn handle(row: &UserRow) -> [u8; 32] {
    let text = format!("hansard user {} {}", row.name, row.created_ns);
    Sha256::digest(text).into()
}

fn is_by(row: &UserRow, standing: &Standing) -> bool {
    let has = |id: &String| row.passkeys.iter().any(|passkey| passkey.id() == *id);
    row.changed_ns == standing.changed_ns && standing.passkey.as_ref().is_none_or(has)
}

impl Users {
    /// What an authenticator knows this user by.
    #[must_use]
    pub fn handle(&self, name: &str) -> Option<[u8; 32]> {
        self.known().get(name).map(handle)
    }

    /// A user's passkeys, in the order they were made, and their identifiers.
    #[must_use]
    pub fn passkeys(&self, name: &str) -> Vec<Passkey> {
        let known = self.known();
        let rows = known.get(name).map(|row| row.passkeys.as_slice());
        let rows = rows.unwrap_or_default();
        rows.iter().map(PasskeyRow::passkey).collect()
    }

    /// The identifiers of a user's passkeys, as authenticators know them, in base 64 for
    /// addresses.
    #[must_use]
    pub fn credentials(&self, name: &str) -> Vec<String> {
        let known = self.known();
        let rows = known.get(name).map(|row| row.passkeys.as_slice());
        let rows = rows.unwrap_or_default();
        rows.iter().map(|row| row.credential.clone()).collect()
    }

    /// Whether a user is still who was signed in by this.
    #[must_use]
    pub fn stands(&self, name: &str, standing: &Standing) -> bool {
        let known = self.known();
        known.get(name).is_some_and(|row| is_by(row, standing))
    }

    /// Gives a passkey to a user who is signed in by this: whoever was by what is not theirs any more, and
    /// held a request open meanwhile, gets none.
    ///
    /// # Errors
    /// `Malformed` for what it may not be called, `Conflict` when there is no such user, they are not signed
    /// in by that any more, somebody has it already, or the user has [`PASSKEYS_MAX`]; `Retry` when the disk fails.
    pub fn add_passkey(
        &self,
        (name, standing): (&str, &Standing),
        made: &Made,
        (host, label): (&str, &str),
        utc_ns: u64,
    ) -> Result<Passkey, Failure> {
        check_label(label)?;
        let passkey = PasskeyRow::new(made, host, label, utc_ns);
        let _writing = self.writing();
        if self.holder(&passkey.credential).is_some() {
            let words = "the passkey is known already";
            return Err(Failure::Conflict(words.to_owned()));
        }
        let mut row = self.row(name)?;
        if !is_by(&row, standing) {
            let words = "the password or the passkeys were set anew meanwhile: sign in again";
            return Err(Failure::Conflict(words.to_owned()));
        }
        if row.passkeys.len() >= PASSKEYS_MAX {
            let words = format!("a user has {PASSKEYS_MAX} passkeys at most: remove one first");
            return Err(Failure::Conflict(words));
        }
        let added = passkey.passkey();
        row.passkeys.push(passkey);
        self.put(row)?;
        Ok(added)
    }

    /// Calls a user's passkey something else; `false` if there is none of that name.
    ///
    /// # Errors
    /// As [`Self::add_passkey`].
    pub fn rename_passkey(&self, name: &str, id: &str, label: &str) -> Result<bool, Failure> {
        check_label(label)?;
        let _writing = self.writing();
        let mut row = self.row(name)?;
        let Some(passkey) = row.passkeys.iter_mut().find(|passkey| passkey.id() == id) else {
            return Ok(false);
        };
        label.clone_into(&mut passkey.label);
        self.put(row)?;
        Ok(true)
    }

    /// Takes a passkey from a user: it signs nobody in from now on. `false` if there is none of that
    /// name.
    ///
    /// # Errors
    /// As [`Self::add_passkey`].
    pub fn remove_passkey(&self, name: &str, id: &str) -> Result<bool, Failure> {
        let _writing = self.writing();
        let mut row = self.row(name)?;
        let before = row.passkeys.len();
        row.passkeys.retain(|passkey| passkey.id() != id);
        if row.passkeys.len() == before {
            return Ok(false);
        }
        self.put(row)?;
        Ok(true)
    }

    /// Lets in whoever has a passkey, and showed to it who they are: instead of password and code. How
    /// far it counted is durable before this returns. Also says what their being signed in stands on.
    ///
    /// # Errors
    /// Whose it is, where somebody has it, and why not: for the event.
    pub fn sign_in_by_passkey(
        &self,
        expected: Expected<'_>,
        presented: Presented<'_>,
        utc_ns: u64,
    ) -> Result<(User, Standing), (Option<String>, SignInFault)> {
        let credential = base64url::encode(presented.credential);
        let _writing = self.writing();
        let Some(mut row) = self.holder(&credential) else {
            return Err((None, SignInFault::UnknownPasskey));
        };
        let name = row.name.clone();
        let refused = |fault| (Some(name.clone()), fault);
        if presented.handle.is_some_and(|said| said != handle(&row)) {
            return Err(refused(SignInFault::UnknownPasskey));
        }
        let mut passkeys = row.passkeys.iter_mut();
        let found = passkeys.find(|passkey| passkey.credential == credential);
        let passkey = found.ok_or_else(|| refused(SignInFault::UnknownPasskey))?;
        let counted = webauthn::used(expected, presented.said, &passkey.key, passkey.counter);
        passkey.counter = counted.map_err(|fault| refused(SignInFault::Passkey(fault)))?;
        passkey.used_ns = Some(utc_ns);
        let standing = Standing {
            passkey: Some(passkey.id()),
            changed_ns: row.changed_ns,
        };
        let user = user_of(&row).ok_or_else(|| refused(SignInFault::Unknown))?;
        let kept = self.put(row);
        kept.map_err(|failure| refused(SignInFault::Disk(failure)))?;
        Ok((user, standing))
    }

    fn row(&self, name: &str) -> Result<UserRow, Failure> {
        let row = self.known().get(name).cloned();
        row.ok_or_else(|| Failure::Conflict(format!("there is no user {name}")))
    }

    /// Whose this passkey is.
    fn holder(&self, credential: &str) -> Option<UserRow> {
        let known = self.known();
        let is_its = |row: &&UserRow| row.passkeys.iter().any(|p| p.credential == credential);
        known.values().find(is_its).cloned()
    }
}

#[cfg(test)]
mod tests;
