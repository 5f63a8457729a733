//! Credentials that are kept for targets which believe no authority.

use std::fmt;

use hansard_core::Fields;
use russh::keys::{Algorithm, HashAlg, PrivateKey};

use super::destination::Destination;
use crate::ssh::forward::Places;

/// Where credentials are kept, sealed.
pub trait Credentials: Send + Sync {
    /// Names of those for accounts of this name, each with the rule, `HOST:PORT`, that says for which targets.
    fn of_login(&self, login: &str) -> Vec<(String, String)>;

    /// One of them, opened. MUST be the one that was put there, and MUST be for this rule of targets and this
    /// account: the name may stand for another by now.
    ///
    /// # Errors
    /// Why it cannot be opened, in words.
    fn reveal(&self, name: &str, of: (&str, &str)) -> Result<Credential, String>;
}

/// What a credential is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialKind {
    /// A private key, as OpenSSH writes it, without a passphrase.
    Key,
    /// A password.
    Password,
}

/// A credential, opened. Its secret is overwritten when it is let go, and never printed.
pub struct Credential {
    /// By what people know it.
    pub name: String,
    /// What it is.
    pub kind: CredentialKind,
    /// What it is known by on record.
    pub fingerprint: String,
    /// The secret itself.
    pub secret: Vec<u8>,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({}, {})", self.name, self.fingerprint)
    }
}

impl Drop for Credential {
    fn drop(&mut self) {
        self.secret.fill(0);
        // Else it would not be written: nobody reads it afterwards.
        std::hint::black_box(&self.secret);
    }
}

impl Credential {
    /// The key, of one that is a key.
    pub(super) fn key(&self) -> Result<PrivateKey, String> {
        key(&self.secret)
    }

    /// The password, of one that is a password.
    pub(super) fn password(&self) -> Result<&str, String> {
        std::str::from_utf8(&self.secret).map_err(|_| "the password is no text".to_owned())
    }

    /// What an event says of it.
    pub(super) fn said(&self, fields: Fields) -> Fields {
        fields
            .with("name", self.name.as_str())
            .with("key", self.fingerprint.as_str())
    }
}

/// The fingerprint of a private key that can be used towards targets, as OpenSSH writes them.
///
/// # Errors
/// Why it cannot be used.
pub fn key_fingerprint(secret: &[u8]) -> Result<String, String> {
    let key = key(secret)?;
    Ok(key.public_key().fingerprint(HashAlg::Sha256).to_string())
}

/// Whether a rule can say for which targets a credential is.
///
/// # Errors
/// Why not.
pub fn check_target(rule: &str) -> Result<(), String> {
    Places::read(std::slice::from_ref(&rule.to_owned())).map(drop)
}

fn key(secret: &[u8]) -> Result<PrivateKey, String> {
    let no_key = "that is no private key as OpenSSH writes them (ssh-keygen)";
    let key = PrivateKey::from_openssh(secret).map_err(|_| no_key.to_owned())?;
    if key.is_encrypted() {
        return Err("the private key has a passphrase: take it off (ssh-keygen -p)".to_owned());
    }
    let algorithm = key.algorithm();
    match algorithm {
        Algorithm::Ed25519 | Algorithm::Ecdsa { .. } => Ok(key),
        _ => Err(format!(
            "keys of the kind {algorithm} are not used here, but Ed25519 and ECDSA"
        )),
    }
}

/// The credential for an account of a target: one that is for exactly this before one that is for several,
/// otherwise the first by its name. What a name stands for gives it none. Answers its name and its rule.
pub(super) fn chosen(
    kept: &dyn Credentials,
    login: &str,
    to: &Destination,
) -> Option<(String, String)> {
    let is_for = |rule: &String| {
        let places = Places::read(std::slice::from_ref(rule));
        places.is_ok_and(|places| places.has_as_written(&to.host, to.port))
    };
    let mut all = kept.of_login(login);
    all.retain(|(_, rule)| is_for(rule));
    let exactly = to.to_string();
    let exact = |(_, rule): &&(String, String)| rule.eq_ignore_ascii_case(&exactly);
    all.iter().find(exact).or(all.first()).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Kept(Vec<(&'static str, &'static str)>);

    impl Credentials for Kept {
        fn of_login(&self, _: &str) -> Vec<(String, String)> {
            let owned = |(name, rule): &(&str, &str)| ((*name).to_owned(), (*rule).to_owned());
            self.0.iter().map(owned).collect()
        }

        fn reveal(&self, name: &str, _: (&str, &str)) -> Result<Credential, String> {
            Err(name.to_owned())
        }
    }

    #[test]
    fn the_one_for_exactly_this_target_comes_first() {
        let kept = Kept(vec![
            ("all", "*:22"),
            ("broken", "nothing"),
            ("net", "10.0.0.0/8:22"),
            ("web", "Web1.example.org:22"),
        ]);
        for (host, port, name) in [
            ("web1.example.org", 22, Some("web")),
            ("web2.example.org", 22, Some("all")),
            ("10.1.2.3", 22, Some("all")),
            ("web1.example.org", 2222, None),
        ] {
            let to = Destination::of(host, port).unwrap();
            let chosen = chosen(&kept, "root", &to);
            let row = kept.0.iter().find(|row| Some(row.0) == name);
            let wanted = row.map(|(name, rule)| ((*name).to_owned(), (*rule).to_owned()));
            assert_eq!(chosen, wanted, "{host}");
        }
        let kept = Kept(vec![("net", "10.0.0.0/8:22")]);
        let of = |host| chosen(&kept, "root", &Destination::of(host, 22).unwrap());
        assert!(of("10.1.2.3").is_some_and(|(name, _)| name == "net"));
        // A name is none of the addresses that it may stand for.
        assert_eq!(of("localhost"), None);
    }

    #[test]
    fn a_credential_is_never_printed() {
        let credential = Credential {
            name: "web".into(),
            kind: CredentialKind::Password,
            fingerprint: "password:00".into(),
            secret: b"correct horse".to_vec(),
        };
        assert_eq!(format!("{credential:?}"), "Credential(web, password:00)");
    }
}
