//! Which keys targets may have: certificates of host authorities that are believed, and plain keys in a
//! file like OpenSSH's `known_hosts`. A key that is another than the file says is refused, always.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use russh::keys::ssh_key::certificate::CertType;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Algorithm, Certificate, HashAlg, PublicKey, PublicKeyOrCertificate};

use super::destination::Destination;
use crate::ssh::credentials::Authorities;
use crate::ssh::limits::KNOWN_HOSTS_BYTES_MAX;

/// Why a key is believed, as events say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ssh) enum Believed {
    /// An authority certified it.
    Certified,
    /// It is in the file.
    Known,
    /// It was the first of this target, and is in the file from now on.
    First,
}

impl Believed {
    pub(in crate::ssh) fn word(self) -> &'static str {
        match self {
            Self::Certified => "certified",
            Self::Known => "known",
            Self::First => "pinned",
        }
    }
}

/// What is known of targets' keys.
#[derive(Debug)]
pub(in crate::ssh) struct HostKeys {
    authorities: Authorities,
    file: PathBuf,
    takes_first: bool,
    /// Held while the file is read and added to: two connections never pin two keys of one target.
    writing: Mutex<()>,
}

impl HostKeys {
    /// # Errors
    /// An authority that cannot be read.
    pub(in crate::ssh) fn new(
        authorities: &[String],
        file: PathBuf,
        takes_first: bool,
    ) -> Result<Self, String> {
        Ok(Self {
            authorities: Authorities::read(authorities)?,
            file,
            takes_first,
            writing: Mutex::default(),
        })
    }

    /// Whether certificates are of any use.
    pub(in crate::ssh) fn has_authorities(&self) -> bool {
        !self.authorities.is_empty()
    }

    /// Whether somebody who administrates this said whose key it is. Lines of the file say nothing of who wrote
    /// them: while first keys are taken, any may be that of whoever answered first.
    pub(in crate::ssh) fn is_confirmed(&self, believed: Believed) -> bool {
        match believed {
            Believed::Certified => true,
            Believed::Known => !self.takes_first,
            Believed::First => false,
        }
    }

    /// Of what kind the keys are that are known of a target: it is asked for one of these.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(in crate::ssh) fn kinds(&self, of: &Destination) -> Result<Vec<Algorithm>, String> {
        let keys = known(&self.read()?, &of.known_as());
        Ok(keys.iter().map(|key| key.algorithm()).collect())
    }

    /// Judges what a target shows; an error is why nobody is led there.
    pub(in crate::ssh) fn judge(
        &self,
        of: &Destination,
        shown: &PublicKeyOrCertificate,
        now_s: u64,
    ) -> Result<Believed, String> {
        // A certificate that is not believed still shows a key, which the target has proved to have.
        let (key, wrong) = match shown {
            PublicKeyOrCertificate::Certificate(certificate) => {
                match self.certified(of, certificate, now_s) {
                    Ok(()) => return Ok(Believed::Certified),
                    Err(wrong) => (certificate.public_key(), Some((wrong, certificate))),
                }
            }
            PublicKeyOrCertificate::PublicKey { key, .. } => (key.key_data(), None),
        };
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let text = self.read()?;
        let name = of.known_as();
        let keys = known(&text, &name);
        if keys.contains(key) {
            return Ok(Believed::Known);
        }
        if !keys.is_empty() {
            return Err(format!(
                "its host key is another than the one that is known: somebody may be in between. If it \
                 was changed on purpose, take the line of {name} out of {}",
                self.file.display()
            ));
        }
        if let Some((wrong, certificate)) = wrong {
            // Somebody who is believed says that it is something else: that is not the first that is heard.
            let is_contradicted = self.authorities.has(certificate.signature_key());
            if is_contradicted || !self.takes_first {
                return Err(format!(
                    "{wrong}, and its key is not in {}",
                    self.file.display()
                ));
            }
        }
        if !self.takes_first {
            return Err(format!(
                "its host key is not known: write it into {} (ssh-keyscan), or have it certified",
                self.file.display()
            ));
        }
        self.pin(&text, &name, key)
            .map_err(|e| format!("its host key cannot be kept: {e}"))?;
        Ok(Believed::First)
    }

    /// All names of the host that shows a key which is believed: those of its certificate, if that is why, and
    /// those for which the file has the same key. Ports are none of them: whoever is locked is a host.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(in crate::ssh) fn names(
        &self,
        shown: &PublicKeyOrCertificate,
        believed: Believed,
    ) -> Result<Vec<String>, String> {
        let (key, certified) = match shown {
            PublicKeyOrCertificate::Certificate(certificate) => (
                certificate.public_key(),
                certificate.valid_principals().to_vec(),
            ),
            PublicKeyOrCertificate::PublicKey { key, .. } => (key.key_data(), Vec::new()),
        };
        let mut names = named(&self.read()?, key);
        if believed == Believed::Certified {
            names.extend(certified);
        }
        Ok(names)
    }

    fn certified(&self, of: &Destination, shown: &Certificate, now_s: u64) -> Result<(), String> {
        let signer = shown.signature_key();
        let wrong = if shown.cert_type() != CertType::Host {
            "its host certificate is a person's"
        } else if !self.authorities.has(signer) {
            "its host certificate is not signed by an authority that is believed"
        } else if !shown.valid_principals().contains(&of.host) {
            "its host certificate is for other names"
        } else if shown.critical_options().iter().next().is_some() {
            "its host certificate demands something unknown"
        } else {
            let signer = signer.fingerprint(HashAlg::Sha256);
            return shown
                .validate_at(now_s, [&signer])
                .map_err(|_| "its host certificate does not hold now".to_owned());
        };
        Err(wrong.to_owned())
    }

    fn read(&self) -> Result<String, String> {
        let cannot = |e: io::Error| format!("{} cannot be read: {e}", self.file.display());
        let file = match File::open(&self.file) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
            Err(e) => return Err(cannot(e)),
        };
        let mut text = String::new();
        let read = file
            .take(KNOWN_HOSTS_BYTES_MAX.saturating_add(1))
            .read_to_string(&mut text);
        read.map_err(cannot)?;
        match text.len() as u64 > KNOWN_HOSTS_BYTES_MAX {
            true => Err(cannot(io::Error::other(format!(
                "it has more than {KNOWN_HOSTS_BYTES_MAX} bytes"
            )))),
            false => Ok(text),
        }
    }

    /// Adds a line. A crash in the middle leaves half of one, which is no key and counts for nothing; the
    /// next begins on a line of its own.
    fn pin(&self, text: &str, name: &str, key: &KeyData) -> io::Result<()> {
        let line = PublicKey::new(key.clone(), "")
            .to_openssh()
            .map_err(io::Error::other)?;
        let begins = if text.is_empty() || text.ends_with('\n') {
            ""
        } else {
            "\n"
        };
        let line = format!("{begins}{name} {}\n", line.trim_end());
        if (text.len() + line.len()) as u64 > KNOWN_HOSTS_BYTES_MAX {
            return Err(io::Error::other(format!(
                "{} would have more than {KNOWN_HOSTS_BYTES_MAX} bytes",
                self.file.display()
            )));
        }
        let mut options = OpenOptions::new();
        let mut file = options
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&self.file)?;
        file.write_all(line.as_bytes())?;
        file.sync_all()
    }
}

/// The names of a line and its key; what is none has none.
fn parts(line: &str) -> Option<(&str, KeyData)> {
    let (names, key) = line.trim().split_once(' ')?;
    let key = PublicKey::from_openssh(key.trim()).ok()?;
    Some((names, key.key_data().clone()))
}

/// The hosts for which lines have this key, as [`known`] understands them.
fn named(text: &str, key: &KeyData) -> Vec<String> {
    let of_key = text.lines().filter_map(parts).filter(|(_, of)| of == key);
    let names = of_key.flat_map(|(names, _)| names.split(','));
    let plain = names.filter(|name| !name.contains(['*', '?', '!', '|']));
    let hosts = plain.map(|name| {
        let within = name.strip_prefix('[').and_then(|name| name.split_once(']'));
        within.map_or(name, |(host, _port)| host).to_owned()
    });
    hosts.collect()
}

/// The keys that lines have for exactly this name. Hashed names and patterns are none, and neither are
/// lines with a mark (`@revoked`, `@cert-authority`).
fn known(text: &str, name: &str) -> Vec<KeyData> {
    let keys = text.lines().filter_map(|line| {
        let (names, key) = parts(line)?;
        let is_of = names.split(',').any(|one| one.eq_ignore_ascii_case(name));
        is_of.then_some(key)
    });
    keys.collect()
}

#[cfg(test)]
mod tests {
    use russh::keys::PrivateKey;
    use russh::keys::ssh_key::certificate::Builder;
    use russh::keys::ssh_key::private::Ed25519Keypair;

    use super::*;

    fn shown(seed: u8) -> PublicKeyOrCertificate {
        let key = PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]));
        PublicKeyOrCertificate::PublicKey {
            key: key.public_key().clone(),
            hash_alg: None,
        }
    }

    #[test]
    fn the_first_key_is_kept_and_another_is_refused() {
        let dir = std::env::temp_dir().join(format!("hansard-known-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let file = dir.join("known_hosts");
        let keys = |takes_first| HostKeys::new(&[], file.clone(), takes_first).unwrap();
        let (web, other) = (
            Destination::of("web", 22).unwrap(),
            Destination::of("web", 2222).unwrap(),
        );
        assert!(keys(false).judge(&web, &shown(1), 0).is_err());
        assert_eq!(keys(true).judge(&web, &shown(1), 0), Ok(Believed::First));
        assert_eq!(keys(false).judge(&web, &shown(1), 0), Ok(Believed::Known));
        let changed = keys(true).judge(&web, &shown(2), 0).unwrap_err();
        assert!(changed.contains("another"), "{changed}");
        // A line that a crash cut short is no key, and none is lost to it.
        let mut text = std::fs::read_to_string(&file).unwrap();
        text.push_str("[web]:2222 ssh-ed25519 AAAAC3Nza");
        std::fs::write(&file, text).unwrap();
        assert_eq!(keys(true).judge(&other, &shown(3), 0), Ok(Believed::First));
        assert_eq!(keys(true).judge(&other, &shown(3), 0), Ok(Believed::Known));
        assert_eq!(keys(true).judge(&web, &shown(1), 0), Ok(Believed::Known));
        assert_eq!(keys(true).kinds(&web).unwrap(), [Algorithm::Ed25519]);
        // Of a key that may be the first that was heard nobody said whose it is.
        for (takes_first, believed, is_confirmed) in [
            (true, Believed::Certified, true),
            (true, Believed::Known, false),
            (true, Believed::First, false),
            (false, Believed::Certified, true),
            (false, Believed::Known, true),
        ] {
            let keys = keys(takes_first);
            assert_eq!(keys.is_confirmed(believed), is_confirmed, "{believed:?}");
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_host_is_all_that_its_key_is_known_as() {
        let dir = std::env::temp_dir().join(format!("hansard-names-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let file = dir.join("known_hosts");
        let [own, other] = [1, 2].map(|seed| {
            let key = PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]));
            key.public_key().to_openssh().unwrap()
        });
        let lines = format!(
            "web,[192.0.2.7]:2222 {own}\n|1|aGFzaA==|aGFzaA== {own}\n*.example.org {own}\ndb {other}\n\
             @revoked old {own}\n[2001:db8::1]:22 {own}\n"
        );
        std::fs::write(&file, lines).unwrap();
        let keys = HostKeys::new(&[], file.clone(), false).unwrap();
        let names = keys.names(&shown(1), Believed::Known).unwrap();
        assert_eq!(names, ["web", "192.0.2.7", "2001:db8::1"]);
        assert_eq!(keys.names(&shown(3), Believed::First).unwrap(), [""; 0]);
        // Only what an authority says that is believed.
        let web = certified(2, 9, "web");
        let names = keys.names(&web, Believed::Known).unwrap();
        assert_eq!(names, ["db"]);
        let names = keys.names(&web, Believed::Certified).unwrap();
        assert_eq!(names, ["db", "web"]);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    /// The key of this seed, certified by that of another for a name.
    fn certified(seed: u8, by: u8, name: &str) -> PublicKeyOrCertificate {
        let [key, signer] =
            [seed, by].map(|seed| PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32])));
        let mut builder = Builder::new([0; 16], key.public_key(), 0, 1000).unwrap();
        builder.cert_type(CertType::Host).unwrap();
        builder.valid_principal(name).unwrap();
        PublicKeyOrCertificate::Certificate(builder.sign(&signer).unwrap())
    }

    #[test]
    fn a_certificate_that_is_not_believed_is_the_key_in_it() {
        let name = format!("hansard-certified-{}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir(&dir).unwrap();
        let file = dir.join("known_hosts");
        let authority = PrivateKey::from(Ed25519Keypair::from_seed(&[9; 32]));
        let authority = authority.public_key().to_openssh().unwrap();
        let keys = |takes_first| {
            HostKeys::new(std::slice::from_ref(&authority), file.clone(), takes_first).unwrap()
        };
        let web = Destination::of("web", 22).unwrap();
        let judged = |takes_first, shown| keys(takes_first).judge(&web, &shown, 1);
        let refused = |takes_first, shown, why: &str| {
            let said = judged(takes_first, shown).unwrap_err();
            assert!(said.contains(why), "{said}");
            assert!(!file.exists() || keys(false).kinds(&web).unwrap().len() == 1);
        };
        assert_eq!(
            judged(false, certified(1, 9, "web")),
            Ok(Believed::Certified)
        );
        refused(false, certified(1, 8, "web"), "not signed by an authority");
        // An authority says that this is another machine.
        refused(true, certified(1, 9, "db"), "for other names");
        assert!(!file.exists());
        assert_eq!(judged(true, certified(1, 8, "web")), Ok(Believed::First));
        for (by, name) in [(8, "web"), (9, "db")] {
            assert_eq!(judged(false, certified(1, by, name)), Ok(Believed::Known));
            refused(true, certified(2, by, name), "another");
        }
        assert_eq!(
            keys(false).judge(&web, &certified(1, 9, "web"), 2000),
            Ok(Believed::Known)
        );
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
