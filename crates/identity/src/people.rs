//! X.509 for people: whoever signed in gets a certificate with which they are known at the service's web server for
//! some hours, without a password. Of an authority of its own: it is worth nothing between hosts and services, and
//! nothing for SSH.
//!
//! What a certificate says is who it is, and a digest of what the user was when it was issued: password, second
//! factor and roles. Whoever reads one MUST hold that against what the user is now ([`Person::is_still`]).

use std::path::Path;

use hansard_core::event::{Body, Fact};
use hansard_core::proof::is_signature;
use hansard_core::{Fields, Value};
use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::authority::{PublicKey, not_issued, params};
use crate::certificate::{BadCertificate, bad};
use crate::failure::Failure;
use crate::files::{self, Files, PUBLIC};
use crate::hex;
use crate::key::{PrivateKey, gone};
use crate::limits::{AUTHORITY_LIFE_S, CERTIFICATE_BYTES_MAX, PERSON_LIFE_S_MAX};
use crate::moment::iso;
use crate::name::check_cluster;
use crate::pem;
use crate::random::Random;
use crate::user::{User, check_name};

const KEY_FILE: &str = "people.key";
const CERTIFICATE_FILE: &str = "people.pem";

/// Ed25519 (RFC 8410).
const ED25519: &str = "1.3.101.112";

/// The authority that certifies people, with its private key.
#[derive(Debug)]
pub struct PeopleAuthority {
    issuer: Issuer<'static, KeyPair>,
    cluster: String,
    der: Vec<u8>,
    pem: String,
    public: [u8; 32],
}

/// A certificate that was issued to somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonIssued {
    /// In PEM.
    pub pem: String,
    /// Its serial number, lower-case hexadecimal.
    pub serial: String,
    /// Until when it holds, seconds since 1970.
    pub not_after_s: u64,
    /// For the service's own recording; to be durable before anybody is given the certificate.
    pub fact: Body,
}

/// Whoever a certificate is of that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The name.
    pub user: String,
    /// The certificate's serial number, lower-case hexadecimal.
    pub serial: String,
    /// From when it holds, UTC seconds since 1970.
    pub not_before_s: u64,
    /// Until when, that second included.
    pub not_after_s: u64,
    state: [u8; 32],
}

impl Person {
    /// Whether the certificate holds at this moment, of a user who is what they were.
    #[must_use]
    pub fn is_still(&self, user: &User, utc_ns: u64) -> bool {
        let now_s = utc_ns / NS;
        let holds = (self.not_before_s..=self.not_after_s).contains(&now_s);
        holds && self.user == user.name && self.state == state_of(user)
    }
}

/// Nanoseconds in a second.
const NS: u64 = 1_000_000_000;

/// What a user is, as far as it ends certificates when it changes.
fn state_of(user: &User) -> [u8; 32] {
    let (created, changed) = (user.created_ns.to_string(), user.changed_ns.to_string());
    let mut digest = Sha256::new();
    let facts = [user.name.as_str(), &created, &changed];
    for text in facts.into_iter().chain(user.all_roles()) {
        digest.update((text.len() as u64).to_be_bytes());
        digest.update(text);
    }
    digest.finalize().into()
}

/// What a certificate calls its owner; the authority has no name behind it.
fn uri(cluster: &str, user: &User) -> String {
    let state = hex::encode(&state_of(user));
    format!("hansard-user://{cluster}/{}/{state}", user.name)
}

/// Name and state of what a certificate says.
fn named(uri: &str, cluster: &str) -> Option<(String, [u8; 32])> {
    let (of, rest) = uri.strip_prefix("hansard-user://")?.split_once('/')?;
    let (name, state) = rest.split_once('/')?;
    check_name(name).ok()?;
    (of == cluster).then_some(())?;
    Some((name.to_owned(), hex::decode(state)?))
}

impl PeopleAuthority {
    /// The authority in the directory of the cluster's own; made where there never was one: its certificate
    /// outlives a key that is gone, and that is not made anew. A crash in the middle leaves a key, which has
    /// certified nothing yet and which the next call takes.
    ///
    /// # Errors
    /// `Refused` for files that are none, or not each other's, and for a key that is gone or that others may read;
    /// `Retry` when the disk fails.
    pub fn open(
        directory: &Path,
        cluster: &str,
        utc_ns: u64,
        random: &dyn Random,
    ) -> Result<Self, Failure> {
        check_cluster(cluster)?;
        let files = Files::default();
        let (path, key_path) = (directory.join(CERTIFICATE_FILE), directory.join(KEY_FILE));
        let text = files::read(&path)?;
        let private = match (PrivateKey::read(&key_path)?, &text) {
            (Some(private), _) => private,
            (None, None) => PrivateKey::read_or_create(&key_path, &files, random)?,
            (None, Some(_)) => {
                let other = format!(
                    "remove {} as well to have another made, which ends all certificates of `hansard login` \
                     for the service",
                    path.display()
                );
                return Err(gone(&key_path, &other));
            }
        };
        let text = match text {
            Some(text) => text,
            None => {
                let made = own(&private, cluster, utc_ns, random)?;
                files.create(&path, made.as_bytes(), PUBLIC)?;
                made.into_bytes()
            }
        };
        let shown = path.display();
        let unusable = || {
            Failure::Refused(format!(
                "{shown}: not the certificate of the authority for people of {cluster}, or not of its key"
            ))
        };
        let der = pem::decode(&text, "CERTIFICATE").ok_or_else(unusable)?;
        let read = Read::of(&der).map_err(|_| unusable())?;
        let public = private.public();
        let is_ours = read.key == public
            && is_signature(&public, &read.signed, &read.signature)
            && read.uris == [format!("hansard-user://{cluster}")];
        if !is_ours {
            return Err(unusable());
        }
        let certificate = CertificateDer::from(der.as_slice());
        let issuer = Issuer::from_ca_cert_der(&certificate, private.issuing()?);
        Ok(Self {
            issuer: issuer.map_err(not_issued)?,
            cluster: cluster.to_owned(),
            pem: String::from_utf8(text).map_err(|_| unusable())?,
            der,
            public,
        })
    }

    /// Its own certificate in DER, for whoever asks for certificates of people.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The same in PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for somebody's key, for at most [`PERSON_LIFE_S_MAX`].
    ///
    /// # Errors
    /// `Malformed` for a life that none has or a clock that cannot be right, `Refused` for the authority's own key,
    /// `Retry` without randomness.
    pub fn issue(
        &self,
        user: &User,
        key: [u8; 32],
        life_s: u64,
        utc_ns: u64,
        random: &dyn Random,
    ) -> Result<PersonIssued, Failure> {
        if life_s == 0 || life_s > PERSON_LIFE_S_MAX {
            return Err(Failure::Malformed(format!(
                "a person's certificate holds for 1 to {PERSON_LIFE_S_MAX} seconds"
            )));
        }
        if key == self.public {
            let words = "that is the key of the authority, which nobody signs in with";
            return Err(Failure::Refused(words.into()));
        }
        let named = uri(&self.cluster, user);
        let mut params = params(&named, &user.name, utc_ns, life_s, random)?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let issued = params
            .signed_by(&PublicKey(key), &self.issuer)
            .map_err(not_issued)?;
        // What we issue has to pass what we check.
        let person = self.read(issued.der())?;
        let roles = user.all_roles().into_iter().map(Value::from).collect();
        let fields = Fields::new()
            .with("cert_type", "x509_user")
            .with("name", user.name.as_str())
            .with("serial", person.serial.as_str())
            .with("key", hex::encode(&key))
            .with("roles", Value::List(roles))
            .with("expires", iso(person.not_after_s.saturating_mul(NS)));
        Ok(PersonIssued {
            pem: issued.pem(),
            serial: person.serial,
            not_after_s: person.not_after_s,
            fact: Body::Admin(Fact {
                event: "cert.create".to_owned(),
                fields,
            }),
        })
    }

    /// Whoever this certificate is of, if this authority issued it. Whether it holds now is another question:
    /// [`Person::is_still`].
    ///
    /// # Errors
    /// Why it is not one of a person.
    pub fn read(&self, der: &[u8]) -> Result<Person, BadCertificate> {
        let read = Read::of(der)?;
        if !is_signature(&self.public, &read.signed, &read.signature) {
            return bad("not issued by the authority for people");
        }
        if read.is_authority || !read.is_for_clients {
            return bad("not one of a person");
        }
        let [uri] = read.uris.as_slice() else {
            return bad("it does not name exactly one person");
        };
        let Some((user, state)) = named(uri, &self.cluster) else {
            return bad("it does not name a person of this cluster");
        };
        Ok(Person {
            user,
            state,
            serial: read.serial,
            not_before_s: read.not_before_s,
            not_after_s: read.not_after_s,
        })
    }
}

/// The authority's own certificate, in PEM.
fn own(
    private: &PrivateKey,
    cluster: &str,
    utc_ns: u64,
    random: &dyn Random,
) -> Result<String, Failure> {
    let (uri, name) = (
        format!("hansard-user://{cluster}"),
        format!("people of {cluster}"),
    );
    let mut params = params(&uri, &name, utc_ns, AUTHORITY_LIFE_S, random)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let own = params
        .self_signed(&private.issuing()?)
        .map_err(not_issued)?;
    Ok(own.pem())
}

/// What a certificate says that concerns us.
struct Read {
    key: [u8; 32],
    serial: String,
    not_before_s: u64,
    not_after_s: u64,
    uris: Vec<String>,
    is_authority: bool,
    is_for_clients: bool,
    signed: Vec<u8>,
    signature: [u8; 64],
}

impl Read {
    fn of(der: &[u8]) -> Result<Self, BadCertificate> {
        let wrong = || BadCertificate("not X.509 with keys of Ed25519".into());
        if der.len() > CERTIFICATE_BYTES_MAX {
            return bad(format!("longer than {CERTIFICATE_BYTES_MAX} bytes"));
        }
        let (rest, read) = X509Certificate::from_der(der).map_err(|_| wrong())?;
        let key = read.public_key();
        let algorithms = [&key.algorithm, &read.signature_algorithm];
        let is_ed25519 = algorithms
            .iter()
            .all(|one| one.algorithm.to_id_string() == ED25519);
        if !rest.is_empty() || !is_ed25519 {
            return Err(wrong());
        }
        let names = read.subject_alternative_name().map_err(|_| wrong())?;
        let names = names.map(|names| names.value.general_names.as_slice());
        let uris = names.unwrap_or_default().iter().map(|name| match name {
            GeneralName::URI(uri) => Ok((*uri).to_owned()),
            _ => Err(wrong()),
        });
        let usage = read.extended_key_usage().map_err(|_| wrong())?;
        let second = |time: x509_parser::time::ASN1Time| {
            u64::try_from(time.timestamp()).map_err(|_| wrong())
        };
        Ok(Self {
            key: (&*key.subject_public_key.data)
                .try_into()
                .map_err(|_| wrong())?,
            serial: hex::encode(read.raw_serial()),
            not_before_s: second(read.validity().not_before)?,
            not_after_s: second(read.validity().not_after)?,
            uris: uris.collect::<Result<_, _>>()?,
            is_authority: read.is_ca(),
            is_for_clients: usage.is_some_and(|usage| usage.value.client_auth),
            signed: read.tbs_certificate.as_ref().to_vec(),
            signature: (&*read.signature_value.data)
                .try_into()
                .map_err(|_| wrong())?,
        })
    }
}

#[cfg(test)]
mod tests;
