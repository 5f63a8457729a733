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

/// What became of a change of keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rotated {
    /// How many were sealed again.
    pub sealed: usize,
    /// Those that could not be opened, by name, and why: they are as they were.
    pub left: Vec<(String, String)>,
}

/// The credentials of one service.
pub struct Credentials {
    rows: Rows<CredentialRow>,
    sealing: Sealing,
    random: Arc<dyn Random>,
}

impl Credentials {
    /// Opens those in `directory`, which is made if it is not there, with the key in the file `key`; and what
    /// about them cannot be read or opened, as names and reasons. A change of keys that was under way is
    /// finished.
    ///
    /// # Errors
    /// `Conflict` with more than [`CREDENTIALS_MAX`], `Retry` when the disk fails.
    pub fn open(
        directory: &Path,
        key: &Path,
        random: Arc<dyn Random>,
    ) -> Result<(Self, Vec<(String, String)>), Failure> {
        let (rows, mut unreadable) = Rows::open(directory)?;
        let all = Self {
            rows,
            sealing: Sealing::new(key, Arc::clone(&random)),
            random,
        };
        match all.sealing.is_changing() {
            Ok(true) => drop(all.rotate()?),
            Ok(false) => {}
            // Said of each, below.
            Err(Failure::Refused(_)) => {}
            Err(other) => return Err(other),
        }
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
    /// account, or there are [`CREDENTIALS_MAX`]; as [`Sealing::seal`] otherwise.
    pub fn prepare(
        &self,
        wish: CredentialWish,
        (by, utc_ns): (&str, u64),
    ) -> Result<CredentialRow, Failure> {
        check_name(&wish.name)?;
        check_name(&wish.login)?;
        if wish.target.len() > CREDENTIAL_TARGET_BYTES_MAX {
            return Err(Failure::Malformed(format!(
                "a target has at most {CREDENTIAL_TARGET_BYTES_MAX} bytes"
            )));
        }
        let known = self.known();
        if known.contains_key(&wish.name) {
            let words = format!("there is a credential {}", wish.name);
            return Err(Failure::Conflict(words));
        }
        let same = |row: &&CredentialRow| row.target == wish.target && row.login == wish.login;
        if let Some(same) = known.values().find(same) {
            return Err(Failure::Conflict(format!(
                "{} is for {} on {} already: replace or remove it",
                same.name, same.login, same.target
            )));
        }
        if known.len() >= CREDENTIALS_MAX {
            let words = format!("there are {CREDENTIALS_MAX} credentials: remove one first");
            return Err(Failure::Conflict(words));
        }
        drop(known);
        let by = by.to_owned();
        let facts = (wish.name, wish.target, wish.login);
        self.sealed(facts, wish.given, [(by.clone(), utc_ns), (by, utc_ns)])
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
    ) -> Result<Option<CredentialRow>, Failure> {
        let Some(was) = self.get(name) else {
            return Ok(None);
        };
        let made = (was.created_by, was.created_ns);
        let facts = (was.name, was.target, was.login);
        self.sealed(facts, given, [made, (by.to_owned(), utc_ns)])
            .map(Some)
    }

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
        row.sealed = self.sealing.seal(&row.bound(), &given.secret)?;
        Ok(row)
    }

    /// Keeps it, in the place of one of its name. A crash leaves the one or the other.
    ///
    /// # Errors
    /// `Retry` when the disk fails.
    pub fn keep(&self, row: CredentialRow) -> Result<(), Failure> {
        let _writing = self.rows.writing();
        self.rows.put(row)
    }

    /// Removes one; `false` if there is none of that name.
    ///
    /// # Errors
    /// `Retry` when the disk fails: it is there as before.
    pub fn remove(&self, name: &str) -> Result<bool, Failure> {
        let _writing = self.rows.writing();
        let was = self.known().contains_key(name);
        // Also one that could not be read, which has a file.
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
        let gone = || Failure::Refused(format!("there is no credential {name} any more"));
        let row = self.get(name).ok_or_else(gone)?;
        let secret =
            self.sealing
                .open(&row.bound(), &row.sealed)
                .map_err(|failure| match failure {
                    Failure::Refused(why) => {
                        Failure::Refused(format!("the credential {name} cannot be opened: {why}"))
                    }
                    other => other,
                })?;
        Ok((row, secret))
    }

    /// Seals all again with a new key, and gives up the old one. A crash leaves both keys, and the next
    /// [`Self::open`] goes on.
    ///
    /// # Errors
    /// `Retry` when the disk fails, `Refused` for a file that is no key: each is sealed with the one key or the
    /// other, and both are there.
    pub fn rotate(&self) -> Result<Rotated, Failure> {
        let _writing = self.rows.writing();
        self.sealing.begin_change()?;
        let newest = self.sealing.newest()?;
        let mut rotated = Rotated::default();
        let all: Vec<CredentialRow> = self.known().values().cloned().collect();
        for mut row in all {
            if Some(&row.sealed.key) == newest.as_ref() {
                continue;
            }
            match self.sealing.open(&row.bound(), &row.sealed) {
                Ok(secret) => {
                    row.sealed = self.sealing.seal(&row.bound(), &secret)?;
                    self.rows.put(row)?;
                    rotated.sealed += 1;
                }
                Err(Failure::Refused(why)) => rotated.left.push((row.name, why)),
                Err(other) => return Err(other),
            }
        }
        self.sealing.finish_change()?;
        Ok(rotated)
    }

    fn known(&self) -> RwLockReadGuard<'_, BTreeMap<String, CredentialRow>> {
        self.rows.known()
    }
}

#[cfg(test)]
mod tests;
