//! Credentials for targets: for who administrates them, and for the proxy that uses them.

use std::sync::Arc;

use hansard_capture::ssh::{
    Credential, CredentialKind as KindThere, Credentials as ForProxy, check_target, key_fingerprint,
};
use hansard_identity::Credentials as Kept;
use hansard_identity::credentials::{
    CredentialKind, CredentialRow, CredentialWish as KeptWish, Given as KeptGiven, Prepared,
    Rotated,
};
use hansard_record::clock::Clock;

use super::people::trouble;
use crate::api::credentials::{CredentialWish, Credentials, Given};
use crate::api::problem::Trouble;
use crate::api::role::Caller;

/// The credentials of a service.
#[derive(Clone)]
pub struct Stored {
    /// Where they are kept.
    pub kept: Arc<Kept>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
}

/// What is given, judged: a key has to be one that can be used.
fn judged(given: Given) -> Result<KeptGiven, Trouble> {
    let unknown = || Trouble::Refused("kind: write key or password".to_owned());
    let kind = CredentialKind::of(&given.kind).ok_or_else(unknown)?;
    let bytes = given.secret.bytes();
    let fingerprint = match kind {
        CredentialKind::Key => Some(key_fingerprint(bytes).map_err(Trouble::Refused)?),
        CredentialKind::Password => {
            let text = std::str::from_utf8(bytes).unwrap_or_default();
            if text.chars().any(char::is_control) {
                let words = "a password is one line of text";
                return Err(Trouble::Refused(words.to_owned()));
            }
            None
        }
    };
    Ok(KeptGiven {
        kind,
        secret: given.secret,
        fingerprint,
    })
}

impl Credentials for Stored {
    fn prepare(&self, wish: CredentialWish, by: &Caller) -> Result<Prepared, Trouble> {
        let wrong = |why: String| Trouble::Refused(format!("target: {why}"));
        check_target(&wish.target).map_err(wrong)?;
        let wish = KeptWish {
            name: wish.name,
            target: wish.target,
            login: wish.login,
            given: judged(wish.given)?,
        };
        let now_ns = self.clock.utc_ns();
        self.kept.prepare(wish, (&by.user, now_ns)).map_err(trouble)
    }

    fn prepare_again(
        &self,
        name: &str,
        given: Given,
        by: &Caller,
    ) -> Result<Option<Prepared>, Trouble> {
        if self.kept.get(name).is_none() {
            return Ok(None);
        }
        let by = (by.user.as_str(), self.clock.utc_ns());
        let again = self.kept.prepare_again(name, judged(given)?, by);
        again.map_err(trouble)
    }

    fn keep(&self, prepared: Prepared) -> Result<(), Trouble> {
        self.kept.keep(prepared).map_err(trouble)
    }

    fn list(&self, after: Option<&str>, most: usize) -> Result<Vec<CredentialRow>, Trouble> {
        Ok(self.kept.list(after, most))
    }

    fn knows(&self, name: &str) -> Result<bool, Trouble> {
        Ok(self.kept.get(name).is_some())
    }

    fn remove(&self, name: &str) -> Result<bool, Trouble> {
        self.kept.remove(name).map_err(trouble)
    }

    fn rotate(&self) -> Result<Rotated, Trouble> {
        self.kept.rotate().map_err(trouble)
    }
}

impl ForProxy for Stored {
    fn of_login(&self, login: &str) -> Vec<(String, String)> {
        self.kept.of_login(login)
    }

    fn reveal(&self, name: &str, of: (&str, &str)) -> Result<Credential, String> {
        let (row, secret) = self.kept.reveal(name).map_err(|e| e.to_string())?;
        // Removed meanwhile, and kept again under the same name for something else.
        if (row.target.as_str(), row.login.as_str()) != of {
            return Err(format!(
                "the credential {name} is for {} on {} by now: ask again",
                row.login, row.target
            ));
        }
        Ok(Credential {
            name: row.name,
            kind: match row.kind {
                CredentialKind::Key => KindThere::Key,
                CredentialKind::Password => KindThere::Password,
            },
            fingerprint: row.fingerprint,
            secret: secret.bytes().to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use hansard_record::clock::RealClock;

    use super::*;

    #[test]
    fn a_name_that_stands_for_another_by_now_opens_nothing() {
        let name = format!("hansard-stored-{}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir(&dir).unwrap();
        let fill = |bytes: &mut [u8]| -> std::io::Result<()> {
            bytes.fill(7);
            Ok(())
        };
        let opened = Kept::open(&dir.join("all"), &dir.join("key"), Arc::new(fill));
        let stored = Stored {
            kept: Arc::new(opened.unwrap().0),
            clock: Arc::new(RealClock),
        };
        let keep = |target: &str, login: &str| {
            let wish = KeptWish {
                name: "web".into(),
                target: target.into(),
                login: login.into(),
                given: KeptGiven {
                    kind: CredentialKind::Password,
                    secret: login.to_owned().into(),
                    fingerprint: None,
                },
            };
            let row = stored.kept.prepare(wish, ("root", 1)).unwrap();
            stored.kept.keep(row).unwrap();
        };
        keep("web:22", "admin");
        let (_, rule) = stored.of_login("admin").remove(0);
        let opened = stored.reveal("web", (&rule, "admin")).unwrap();
        assert_eq!(opened.secret, b"admin");
        for (target, login) in [("web:22", "root"), ("db:22", "admin")] {
            assert!(stored.kept.remove("web").unwrap());
            keep(target, login);
            let why = stored.reveal("web", (&rule, "admin")).unwrap_err();
            assert!(why.contains(&format!("{login} on {target}")), "{why}");
            assert!(stored.reveal("web", (target, login)).is_ok());
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
