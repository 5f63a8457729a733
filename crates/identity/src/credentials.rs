//! Credentials for machines that believe no authority: a private key or a password for an account there,
//! sealed, one small file each. What is sealed is bound to everything that the file says of it: neither
//! another target nor another account can be written beside it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, RwLockReadGuard};

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::hex;
use crate::limits::{
    CREDENTIAL_SECRET_BYTES_MAX, CREDENTIAL_TARGET_BYTES_MAX, CREDENTIALS_MAX, PAGE_ROWS_MAX,
};
use crate::name::check_name;
use crate::random::{Random, draw};
use crate::rows::{Row, Rows};
use crate::sealing::{Sealed, Sealing};
use crate::secret::Secret;

/// What is authenticated with each, before its own facts.
const BOUND: &str = "hansard-credential-1";

/// What a credential is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CredentialKind {
    /// A private key, as OpenSSH writes it, without a passphrase.
    Key,
    /// A password.
    Password,
}

impl CredentialKind {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Password => "password",
        }
    }

    /// The kind of this word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        [Self::Key, Self::Password]
            .into_iter()
            .find(|kind| kind.as_str() == word)
    }
}

/// A credential, as it is kept: everything but what is sealed may be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialRow {
    /// By what people know it.
    pub name: String,
    /// For which targets: a rule, `HOST:PORT`.
    pub target: String,
    /// For which account there.
    pub login: String,
    /// What it is.
    pub kind: CredentialKind,
    /// Of a key the fingerprint of its public half; of a password a mark that was drawn when it was set,
    /// since a digest of it could be tried out.
    pub fingerprint: String,
    /// When it was made, UTC nanoseconds since 1970.
    pub created_ns: u64,
    /// By whom.
    pub created_by: String,
    /// When its secret was set, UTC nanoseconds since 1970.
    pub changed_ns: u64,
    /// By whom.
    pub changed_by: String,
    sealed: Sealed,
}

impl Row for CredentialRow {
    const CALLED: (&'static str, &'static str) = ("credential", "credentials");
    const MAX: usize = CREDENTIALS_MAX;

    fn name(&self) -> &str {
        &self.name
    }

    fn check(&self) -> Result<(), &'static str> {
        Ok(())
    }
}

impl CredentialRow {
    /// Everything that the secret is bound to, so that no two rows have the same bytes.
    fn bound(&self) -> Vec<u8> {
        let (created, changed) = (self.created_ns.to_string(), self.changed_ns.to_string());
        let texts = [
            BOUND,
            &self.name,
            &self.target,
            &self.login,
            self.kind.as_str(),
            &self.fingerprint,
            &created,
            &self.created_by,
            &changed,
            &self.changed_by,
        ];
        let mut bytes = Vec::new();
        for text in texts {
            bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        bytes
    }
}

/// A credential that is wanted.
#[derive(Debug, Clone)]
pub struct CredentialWish {
    /// By what people know it: letters, digits, `.`, `_` and `-`.
    pub name: String,
    /// For which targets: a rule, which the caller has judged.
    pub target: String,
    /// For which account there.
    pub login: String,
    /// The secret.
    pub given: Given,
}

/// What is to be sealed.
#[derive(Debug, Clone)]
pub struct Given {
    /// What it is.
    pub kind: CredentialKind,
    /// The secret.
    pub secret: Secret,
    /// The fingerprint of a key's public half; of a password nothing.
    pub fingerprint: Option<String>,
}

/// A credential that is sealed and not kept yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    row: CredentialRow,
    /// What the one said that it takes the place of: another one there meanwhile is not replaced.
    was: Option<Vec<u8>>,
}

impl Prepared {
    /// As it will be kept.
    #[must_use]
    pub fn row(&self) -> &CredentialRow {
        &self.row
    }
}

/// What became of a change of keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rotated {
    /// How many were sealed again.
    pub sealed: usize,
    /// Those that could not be read or opened, by name, and why: they are as they were.
    pub left: Vec<(String, String)>,
    /// Whether the key before is given up: not while any is left, which it may be that opens it.
    pub finished: bool,
}

/// The credentials of one service.
pub struct Credentials {
    rows: Rows<CredentialRow>,
    /// Files that could not be read when they were opened, and why.
    unread: Vec<(String, String)>,
    sealing: Sealing,
    random: Arc<dyn Random>,
}

impl Credentials {
    /// Opens those in `directory`, which is made if it is not there, with the key in the file `key`; and what
    /// about them cannot be read or opened, as names and reasons. A change of keys that was under way goes on.
    ///
    /// # Errors
    /// `Conflict` with more than [`CREDENTIALS_MAX`], `Retry` when the disk fails.
    pub fn open(
        directory: &Path,
        key: &Path,
        random: Arc<dyn Random>,
    ) -> Result<(Self, Vec<(String, String)>), Failure> {
        let (rows, unread) = Rows::open(directory)?;
        let all = Self {
            rows,
            unread: unread.clone(),
            sealing: Sealing::new(key, Arc::clone(&random)),
            random,
        };
        match all.sealing.is_changing() {
            Ok(true) => {
                let left = all.rotate()?.left;
                return Ok((all, left));
            }
            Ok(false) => {}
            // Said of each, below.
            Err(Failure::Refused(_)) => {}
            Err(other) => return Err(other),
        }
        let mut unreadable = unread;
        for row in all.known().values() {
            if let Err(why) = all.sealing.open(&row.bound(), &row.sealed) {
                unreadable.push((row.name.clone(), why.to_string()));
            }
        }
        Ok((all, unreadable))
    }

    /// Seals a credential that is not kept yet, so that it can be put on record first.
    ///
    /// # Errors
    /// `Malformed` for what none may be, `Conflict` when there is one of that name, or for the same target and
    /// account, or there are [`CREDENTIALS_MAX`], or there are some and the key is gone; as [`Sealing::seal`]
    /// otherwise.
    pub fn prepare(
        &self,
        wish: CredentialWish,
        (by, utc_ns): (&str, u64),
    ) -> Result<Prepared, Failure> {
        check_name(&wish.name)?;
        check_name(&wish.login)?;
        if wish.target.len() > CREDENTIAL_TARGET_BYTES_MAX {
            return Err(Failure::Malformed(format!(
                "a target has at most {CREDENTIAL_TARGET_BYTES_MAX} bytes"
            )));
        }
        let _writing = self.rows.writing();
        self.check_free(&wish.name, (&wish.target, &wish.login))?;
        let by = by.to_owned();
        let facts = (wish.name, wish.target, wish.login);
        let row = self.sealed(facts, wish.given, [(by.clone(), utc_ns), (by, utc_ns)])?;
        Ok(Prepared { row, was: None })
    }

    /// The same with another secret in the place of the one that there is; `None` if there is none of that name.
    ///
    /// # Errors
    /// As [`Self::prepare`].
    pub fn prepare_again(
        &self,
        name: &str,
        given: Given,
        (by, utc_ns): (&str, u64),
    ) -> Result<Option<Prepared>, Failure> {
        let _writing = self.rows.writing();
        let Some(before) = self.get(name) else {
            return Ok(None);
        };
        let was = Some(before.bound());
        let made = (before.created_by, before.created_ns);
        let facts = (before.name, before.target, before.login);
        let row = self.sealed(facts, given, [made, (by.to_owned(), utc_ns)])?;
        Ok(Some(Prepared { row, was }))
    }

    /// Whether one more may be kept, of this name, for this target and account.
    fn check_free(&self, name: &str, (target, login): (&str, &str)) -> Result<(), Failure> {
        let known = self.known();
        if known.contains_key(name) {
            let words = format!("there is a credential {name}");
            return Err(Failure::Conflict(words));
        }
        let same = |row: &&CredentialRow| row.target == target && row.login == login;
        if let Some(same) = known.values().find(same) {
            return Err(Failure::Conflict(format!(
                "{} is for {login} on {target} already: replace or remove it",
                same.name
            )));
        }
        if known.len() >= CREDENTIALS_MAX {
            let words = format!("there are {CREDENTIALS_MAX} credentials: remove one first");
            return Err(Failure::Conflict(words));
        }
        Ok(())
    }

    /// A key may be made where there is nothing yet that another one sealed.
    fn check_key(&self) -> Result<(), Failure> {
        let is_empty = self.known().is_empty();
        if self.sealing.newest()?.is_some() || (is_empty && self.unread().is_empty()) {
            return Ok(());
        }
        Err(Failure::Conflict(
            "the key that seals credentials is gone: put its file back from a backup, or remove the \
             credentials that there are and add them again"
                .into(),
        ))
    }

    /// Files that could not be read, and are still there.
    fn unread(&self) -> Vec<(String, String)> {
        let known = self.known();
        let is_there = |(name, _): &&(String, String)| {
            let path = self.rows.path(name);
            !known.contains_key(name) && path.try_exists().unwrap_or(true)
        };
        self.unread.iter().filter(is_there).cloned().collect()
    }

    /// Whoever calls it holds the lock: a change of keys would leave what it seals behind, and the first key is
    /// made once.
    fn sealed(
        &self,
        (name, target, login): (String, String, String),
        given: Given,
        [(created_by, created_ns), (changed_by, changed_ns)]: [(String, u64); 2],
    ) -> Result<CredentialRow, Failure> {
        if !(1..=CREDENTIAL_SECRET_BYTES_MAX).contains(&given.secret.bytes().len()) {
            return Err(Failure::Malformed(format!(
                "a credential has 1 to {CREDENTIAL_SECRET_BYTES_MAX} bytes"
            )));
        }
        let fingerprint = match given.fingerprint {
            Some(fingerprint) => fingerprint,
            None => format!("password:{}", hex::encode(&draw::<8>(&*self.random)?)),
        };
        let mut row = CredentialRow {
            name,
            target,
            login,
            kind: given.kind,
            fingerprint,
            created_ns,
            created_by,
            changed_ns,
            changed_by,
            sealed: Sealed::default(),
        };
        self.check_key()?;
        self.sealing.make_first()?;
        row.sealed = self.sealing.seal(&row.bound(), &given.secret)?;
        Ok(row)
    }

    /// Keeps it, in the place of the one that it was prepared for. A crash leaves the one or the other.
    ///
    /// # Errors
    /// `Conflict` where what it was prepared for is no longer so: another took its name or its account, the one it
    /// replaces was replaced or removed, or the key that sealed it was given up; `Retry` when the disk fails.
    pub fn keep(&self, Prepared { row, was }: Prepared) -> Result<(), Failure> {
        let _writing = self.rows.writing();
        if was.is_none() {
            self.check_free(&row.name, (&row.target, &row.login))?;
        } else if self.known().get(&row.name).map(CredentialRow::bound) != was {
            let name = &row.name;
            return Err(Failure::Conflict(format!(
                "the credential {name} was replaced or removed meanwhile: look at it, and try again"
            )));
        }
        match self.sealing.open(&row.bound(), &row.sealed) {
            Ok(_) => self.rows.put(row),
            Err(Failure::Refused(_)) => Err(Failure::Conflict(
                "the key that seals credentials was changed meanwhile: try again".into(),
            )),
            Err(other) => Err(other),
        }
    }

    /// Removes one; `false` if there is none of that name.
    ///
    /// # Errors
    /// `Retry` when the disk fails: it is there as before.
    pub fn remove(&self, name: &str) -> Result<bool, Failure> {
        let _writing = self.rows.writing();
        // Also one that could not be read, which has a file.
        let was = self.get(name).is_some() || self.unread().iter().any(|(one, _)| one == name);
        self.rows.remove(name)?;
        Ok(was)
    }

    /// The one of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<CredentialRow> {
        self.known().get(name).cloned()
    }

    /// By name, at most `limit` (and [`PAGE_ROWS_MAX`] and one more), after this one.
    #[must_use]
    pub fn list(&self, after: Option<&str>, limit: usize) -> Vec<CredentialRow> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = after.map_or(Unbounded, Excluded);
        let known = self.known();
        let rest = known.range::<str, _>((from, Unbounded));
        rest.map(|(_, row)| row.clone())
            .take(limit.min(PAGE_ROWS_MAX.saturating_add(1)))
            .collect()
    }

    /// Names and targets of those for accounts of this name, by name.
    #[must_use]
    pub fn of_login(&self, login: &str) -> Vec<(String, String)> {
        let known = self.known();
        let of = known.values().filter(|row| row.login == login);
        of.map(|row| (row.name.clone(), row.target.clone()))
            .collect()
    }

    /// One with its secret, for whoever uses it now.
    ///
    /// # Errors
    /// `Refused` if there is none of that name, or it cannot be opened; as [`Sealing::open`] otherwise.
    pub fn reveal(&self, name: &str) -> Result<(CredentialRow, Secret), Failure> {
        let opened = || {
            let gone = || Failure::Refused(format!("there is no credential {name} any more"));
            let row = self.get(name).ok_or_else(gone)?;
            let secret = self.sealing.open(&row.bound(), &row.sealed);
            let secret = secret.map_err(|failure| match failure {
                Failure::Refused(why) => {
                    Failure::Refused(format!("the credential {name} cannot be opened: {why}"))
                }
                other => other,
            })?;
            Ok((row, secret))
        };
        match opened() {
            // A change of keys may have come between the row and its key.
            Err(Failure::Refused(_)) => {
                let _writing = self.rows.writing();
                opened()
            }
            other => other,
        }
    }

    /// Seals all again with a new key, and gives up the old one, unless some cannot be read or opened: the old one
    /// stays beside the new one then, and the next call or [`Self::open`] goes on with that change. So it does
    /// after a crash, which leaves both keys.
    ///
    /// # Errors
    /// `Conflict` where there are some and the key is gone, `Retry` when the disk fails, `Refused` for a file that
    /// is no key: each is sealed with the one key or the other, and both are there.
    pub fn rotate(&self) -> Result<Rotated, Failure> {
        let _writing = self.rows.writing();
        self.check_key()?;
        self.sealing.begin_change()?;
        let newest = self.sealing.newest()?;
        let mut rotated = Rotated {
            left: self.unread(),
            ..Rotated::default()
        };
        let all: Vec<CredentialRow> = self.known().values().cloned().collect();
        for mut row in all {
            match self.sealing.open(&row.bound(), &row.sealed) {
                Ok(_) if Some(&row.sealed.key) == newest.as_ref() => {}
                Ok(secret) => {
                    row.sealed = self.sealing.seal(&row.bound(), &secret)?;
                    self.rows.put(row)?;
                    rotated.sealed += 1;
                }
                Err(Failure::Refused(why)) => rotated.left.push((row.name, why)),
                Err(other) => return Err(other),
            }
        }
        rotated.finished = rotated.left.is_empty();
        if rotated.finished {
            self.sealing.finish_change()?;
        }
        Ok(rotated)
    }

    fn known(&self) -> RwLockReadGuard<'_, BTreeMap<String, CredentialRow>> {
        self.rows.known()
    }
}

#[cfg(test)]
mod tests;
