//! The cluster's authority: one Ed25519 key that certifies hosts, services and recorder keys.

use std::path::Path;
use std::time::Duration;

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ED25519, PublicKeyData, SanType, SerialNumber,
    SignatureAlgorithm, date_time_ymd,
};
use sha2::{Digest as _, Sha256};

use crate::certificate::Certificate;
use crate::failure::Failure;
use crate::files::{self, Files, PUBLIC};
use crate::key::{PrivateKey, gone};
use crate::limits::{
    AUTHORITY_LIFE_S, CLOCK_SKEW_S, RECORDER_LIFE_S, SERVER_NAMES_MAX, TLS_LIFE_S, UTC_S_MAX,
};
use crate::name::{check_cluster, check_name, check_server_name};
use crate::peer::Principal;
use crate::random::{Random, draw};

const KEY_FILE: &str = "authority.key";
const CERTIFICATE_FILE: &str = "authority.pem";

/// A certificate that was issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// In DER.
    pub der: Vec<u8>,
    /// In PEM.
    pub pem: String,
    /// What it says.
    pub certificate: Certificate,
}

impl Issued {
    fn of(certificate: &rcgen::Certificate) -> Result<Self, Failure> {
        let der = certificate.der().to_vec();
        Ok(Self {
            // What we issue has to pass what we check, or nobody could use it.
            certificate: Certificate::read(&der)?,
            der,
            pem: certificate.pem(),
        })
    }
}

/// Who a certificate is for.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Host or service.
    pub principal: Principal,
    /// Its name.
    pub name: &'a str,
    /// Its public key.
    pub key: [u8; 32],
}

/// The authority of a cluster, with its private key.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    own: Issued,
}

impl Authority {
    /// Makes a new authority in `directory` (made if it is not there): its key, readable for the
    /// owner only, and its certificate. Nothing but this makes one. After a crash in the middle the
    /// same call finishes with the key that is there already, which has certified nothing yet.
    ///
    /// # Errors
    /// `Conflict` when there is an authority already, `Malformed` for the cluster's name or a clock
    /// that cannot be right, `Retry` when the disk fails.
    pub fn create(
        directory: &Path,
        cluster: &str,
        utc_ns: u64,
        random: &dyn Random,
    ) -> Result<Self, Failure> {
        Self::create_with(directory, cluster, utc_ns, random, &Files::default())
    }

    pub(crate) fn create_with(
        directory: &Path,
        cluster: &str,
        utc_ns: u64,
        random: &dyn Random,
        files: &Files,
    ) -> Result<Self, Failure> {
        check_cluster(cluster)?;
        files.make_directory(directory)?;
        let path = directory.join(CERTIFICATE_FILE);
        if files::read(&path)?.is_some() {
            let shown = path.display();
            return Err(Failure::Conflict(format!(
                "{shown}: the authority exists already, and is never replaced"
            )));
        }
        let key = PrivateKey::read_or_create(&directory.join(KEY_FILE), files, random)?;
        let key = key.issuing()?;
        let mut params = params(
            &Principal::Authority.uri(cluster),
            cluster,
            utc_ns,
            AUTHORITY_LIFE_S,
            random,
        )?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let own = params.self_signed(&key).map_err(not_issued)?;
        files.create(&path, own.pem().as_bytes(), PUBLIC)?;
        Self::with(Issued::of(&own)?, key)
    }

    /// Opens the authority in `directory`.
    ///
    /// # Errors
    /// `Refused` when there is none, or its files are not what they should be (then it says which).
    pub fn open(directory: &Path) -> Result<Self, Failure> {
        let missing = |path: &Path| {
            let shown = path.display();
            Failure::Refused(format!(
                "{shown}: there is no authority; `hansardd init` makes one"
            ))
        };
        let path = directory.join(CERTIFICATE_FILE);
        let pem = files::read(&path)?.ok_or_else(|| missing(&path))?;
        let (certificate, der) = Certificate::from_pem(&pem)?;
        certificate.is_authority()?;
        let key_path = directory.join(KEY_FILE);
        let key = PrivateKey::read(&key_path)?.ok_or_else(|| {
            let other = "there is no other for this cluster, whose hosts believe in this one: without it they join \
                         a new cluster";
            gone(&key_path, other)
        })?;
        if key.public() != certificate.key {
            let (key, path) = (key_path.display(), path.display());
            return Err(Failure::Refused(format!("{key}: not the key of {path}")));
        }
        let pem = String::from_utf8_lossy(&pem).into_owned();
        let own = Issued {
            der,
            pem,
            certificate,
        };
        Self::with(own, key.issuing()?)
    }

    fn with(own: Issued, key: KeyPair) -> Result<Self, Failure> {
        let der = rustls::pki_types::CertificateDer::from(own.der.as_slice());
        let issuer = Issuer::from_ca_cert_der(&der, key).map_err(not_issued)?;
        Ok(Self { issuer, own })
    }

    /// Its own certificate.
    #[must_use]
    pub fn own(&self) -> &Issued {
        &self.own
    }

    /// The cluster's name.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.own.certificate.cluster
    }

    /// SHA-256 of its certificate in DER: what a joining host is told to expect (`--ca-pin`).
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        fingerprint(&self.own.der)
    }

    /// A host's certificate for connecting to services, for [`TLS_LIFE_S`].
    ///
    /// # Errors
    /// As [`Authority::issue_server`].
    pub fn issue_client(
        &self,
        subject: Subject<'_>,
        utc_ns: u64,
        random: &dyn Random,
    ) -> Result<Issued, Failure> {
        let mut params = self.leaf(subject, utc_ns, TLS_LIFE_S, random)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(params, subject)
    }

    /// A service's certificate for being connected to under `server_names` (DNS names without
    /// wildcard, IP addresses), for [`TLS_LIFE_S`].
    ///
    /// # Errors
    /// `Malformed` for names that are not allowed, `Refused` when the authority does not hold at
    /// that time, `Retry` without randomness.
    pub fn issue_server(
        &self,
        subject: Subject<'_>,
        server_names: &[String],
        utc_ns: u64,
        random: &dyn Random,
    ) -> Result<Issued, Failure> {
        check_server_names(server_names)?;
        let mut params = self.leaf(subject, utc_ns, TLS_LIFE_S, random)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        for name in server_names {
            params.subject_alt_names.push(match name.parse() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(ia5(name)?),
            });
        }
        self.issue(params, subject)
    }

    /// The certificate of a key that signs recordings, for [`RECORDER_LIFE_S`]. It is of no use for
    /// TLS.
    ///
    /// # Errors
    /// As [`Authority::issue_server`].
    pub fn issue_recorder(
        &self,
        subject: Subject<'_>,
        utc_ns: u64,
        random: &dyn Random,
    ) -> Result<Issued, Failure> {
        let mut params = self.leaf(subject, utc_ns, RECORDER_LIFE_S, random)?;
        // id-kp-documentSigning (RFC 9336).
        let signing = vec![1, 3, 6, 1, 5, 5, 7, 3, 36];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Other(signing)];
        self.issue(params, subject)
    }

    fn leaf(
        &self,
        subject: Subject<'_>,
        utc_ns: u64,
        life_s: u64,
        random: &dyn Random,
    ) -> Result<CertificateParams, Failure> {
        check_name(subject.name)?;
        if subject.principal == Principal::Authority {
            return Err(Failure::Refused("an authority certifies no other".into()));
        }
        let own = &self.own.certificate;
        own.is_valid_at(utc_ns).map_err(|_| {
            Failure::Refused("the cluster's authority does not hold now; check the clock".into())
        })?;
        // Nothing outlives who vouches for it.
        let left_s = own.not_after_s.saturating_sub(utc_ns / 1_000_000_000);
        let uri = subject.principal.uri(self.cluster());
        let mut params = params(&uri, subject.name, utc_ns, life_s.min(left_s), random)?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        Ok(params)
    }

    fn issue(&self, params: CertificateParams, subject: Subject<'_>) -> Result<Issued, Failure> {
        let key = PublicKey(subject.key);
        let issued = params.signed_by(&key, &self.issuer).map_err(not_issued)?;
        let issued = Issued::of(&issued)?;
        issued.certificate.is_issued_by(&self.own.certificate)?;
        Ok(issued)
    }
}

/// SHA-256 of a certificate in DER.
#[must_use]
pub fn fingerprint(der: &[u8]) -> [u8; 32] {
    Sha256::digest(der).into()
}

/// Checks the names that a service wants to be reached under.
pub(crate) fn check_server_names(names: &[String]) -> Result<(), Failure> {
    if names.is_empty() || names.len() > SERVER_NAMES_MAX {
        return Err(Failure::Malformed(format!(
            "a service has 1 to {SERVER_NAMES_MAX} names that it is reached under"
        )));
    }
    for name in names {
        check_server_name(name)?;
    }
    Ok(())
}

/// What all certificates have. They begin a little earlier than now, since clocks differ.
pub(crate) fn params(
    uri: &str,
    name: &str,
    utc_ns: u64,
    life_s: u64,
    random: &dyn Random,
) -> Result<CertificateParams, Failure> {
    let now_s = utc_ns / 1_000_000_000;
    if !(CLOCK_SKEW_S..=UTC_S_MAX).contains(&now_s) {
        return Err(Failure::Malformed("the clock cannot be right".into()));
    }
    let epoch = date_time_ymd(1970, 1, 1);
    let mut params = CertificateParams::default();
    params.not_before = epoch + Duration::from_secs(now_s - CLOCK_SKEW_S);
    params.not_after = epoch + Duration::from_secs(now_s + life_s);
    let mut serial: [u8; 16] = draw(random)?;
    // Positive and of constant length: the first bit is clear, the second is set (RFC 5280 §4.1.2.2).
    serial[0] = (serial[0] & 0x3f) | 0x40;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.subject_alt_names = vec![SanType::URI(ia5(uri)?)];
    Ok(params)
}

fn ia5(text: &str) -> Result<Ia5String, Failure> {
    Ia5String::try_from(text).map_err(not_issued)
}

pub(crate) fn not_issued(error: rcgen::Error) -> Failure {
    Failure::Refused(format!("no certificate can be issued: {error}"))
}

/// An Ed25519 public key, as the library wants it.
pub(crate) struct PublicKey(pub(crate) [u8; 32]);

impl PublicKeyData for PublicKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ED25519
    }
}
