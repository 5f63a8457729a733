//! What a host or service keeps of itself: its two keys, its certificates, and the authority it
//! believes in. A directory of PEM files, so that no tool of ours is needed to look at them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hansard_core::seal::SigningKey;

use crate::authority::fingerprint;
use crate::certificate::{Certificate, Purpose};
use crate::failure::Failure;
use crate::files::{self, Files, PUBLIC};
use crate::host_id::HostId;
use crate::join::{JoinRequest, JoinResponse, RenewRequest};
use crate::key::{PrivateKey, gone};
use crate::peer::Peer;
use crate::random::Random;

const TLS_KEY: &str = "tls.key";
const RECORDER_KEY: &str = "recorder.key";
const AUTHORITY: &str = "authority.pem";
const TLS: &str = "tls.pem";
const RECORDER: &str = "recorder.pem";

/// Keys without certificates: a host that has not joined yet.
#[derive(Debug)]
pub struct HostKeys {
    directory: PathBuf,
    tls: PrivateKey,
    recorder: PrivateKey,
    files: Files,
}

/// A host or service that has joined.
#[derive(Debug)]
pub struct HostIdentity {
    keys: HostKeys,
    id: HostId,
    authority: (Certificate, Vec<u8>),
    tls: (Certificate, Vec<u8>),
    recorder: (Certificate, Vec<u8>),
}

impl HostKeys {
    /// Makes the keys of a host in `directory` (made if it is not there), readable for the owner
    /// only. Keys that are there stay: the same call after a crash finishes, and one that comes too
    /// often changes nothing.
    ///
    /// # Errors
    /// `Refused` when a file there is not a key, `Retry` when the disk fails.
    pub fn create(directory: &Path, random: &dyn Random) -> Result<Self, Failure> {
        Self::create_with(directory, random, Files::default())
    }

    pub(crate) fn create_with(
        directory: &Path,
        random: &dyn Random,
        files: Files,
    ) -> Result<Self, Failure> {
        files.make_directory(directory)?;
        let tls = PrivateKey::read_or_create(&directory.join(TLS_KEY), &files, random)?;
        let recorder = PrivateKey::read_or_create(&directory.join(RECORDER_KEY), &files, random)?;
        Ok(Self {
            directory: directory.to_owned(),
            tls,
            recorder,
            files,
        })
    }

    /// Opens the keys in `directory`.
    ///
    /// # Errors
    /// `Refused` when there are none or they are not keys, `Retry` when the disk fails.
    pub fn open(directory: &Path) -> Result<Self, Failure> {
        let key = |name: &str| {
            let path = directory.join(name);
            PrivateKey::read(&path)?.ok_or_else(|| {
                if directory.join(TLS).exists() {
                    let other = "or let this machine join again, in an empty data_dir";
                    return gone(&path, other);
                }
                let shown = path.display();
                Failure::Refused(format!(
                    "{shown}: there is no key; `hansardd init` makes it"
                ))
            })
        };
        Ok(Self {
            directory: directory.to_owned(),
            tls: key(TLS_KEY)?,
            recorder: key(RECORDER_KEY)?,
            files: Files::default(),
        })
    }

    /// The key for TLS.
    #[must_use]
    pub fn tls(&self) -> &PrivateKey {
        &self.tls
    }

    /// The key that signs recordings.
    #[must_use]
    pub fn recorder(&self) -> &PrivateKey {
        &self.recorder
    }

    /// What to ask a service for, with a token. `server_names` are of a service only.
    #[must_use]
    pub fn join_request(
        &self,
        token: &str,
        name: &str,
        labels: BTreeMap<String, String>,
        server_names: Vec<String>,
    ) -> JoinRequest {
        JoinRequest::new(token, name, labels, server_names, &self.tls, &self.recorder)
    }

    /// Keeps what the service answered, if all of it fits: signed by that authority, about our
    /// keys, holding now. `authority_der` is the authority that is believed in already: the one that
    /// a pin named, or the one of before. A crash in between leaves old certificates beside new
    /// ones, each of which holds by itself; the same answer, or another renewal, finishes.
    ///
    /// # Errors
    /// `Refused` for what does not fit, and nothing is kept; `Retry` when the disk fails.
    pub fn store(
        &self,
        response: &JoinResponse,
        authority_der: &[u8],
        utc_ns: u64,
    ) -> Result<(), Failure> {
        let (authority, der) = Certificate::from_pem(response.authority.as_bytes())?;
        authority.is_authority()?;
        if der != authority_der {
            return Err(Failure::Refused(
                "the answer comes from another authority than the one that is believed in".into(),
            ));
        }
        let (tls, _) = Certificate::from_pem(response.tls.as_bytes())?;
        let is_tls = matches!(tls.purpose, Purpose::Client | Purpose::Server);
        self.check(&tls, &authority, is_tls, &self.tls, response, utc_ns)?;
        if let Some(pem) = &response.recorder {
            let (recorder, _) = Certificate::from_pem(pem.as_bytes())?;
            let is_recorder = recorder.purpose == Purpose::Recorder;
            self.check(
                &recorder,
                &authority,
                is_recorder,
                &self.recorder,
                response,
                utc_ns,
            )?;
        }
        let put = |name: &str, pem: &str| {
            let path = self.directory.join(name);
            self.files.replace(&path, pem.as_bytes(), PUBLIC)
        };
        put(AUTHORITY, &response.authority)?;
        if let Some(pem) = &response.recorder {
            put(RECORDER, pem)?;
        }
        // Last: with this file, and not before, the host has joined.
        put(TLS, &response.tls)
    }

    fn check(
        &self,
        certificate: &Certificate,
        authority: &Certificate,
        is_for_that: bool,
        key: &PrivateKey,
        response: &JoinResponse,
        utc_ns: u64,
    ) -> Result<(), Failure> {
        certificate.is_issued_by(authority)?;
        certificate.is_valid_at(utc_ns)?;
        let id = certificate.principal.id().map(|id| id.to_string());
        if !is_for_that || certificate.key != key.public() || id.as_ref() != Some(&response.id) {
            return Err(Failure::Refused(
                "the answer has a certificate of something else than was asked for".into(),
            ));
        }
        Ok(())
    }
}

impl HostIdentity {
    /// Opens the identity in `directory`; none if the host has keys but has not joined.
    ///
    /// # Errors
    /// `Refused` when keys are missing or files do not fit each other, `Retry` when the disk fails.
    /// That a certificate has expired is no error here: it can be renewed.
    pub fn open(directory: &Path) -> Result<Option<Self>, Failure> {
        let keys = HostKeys::open(directory)?;
        let read = |name: &str| {
            let pem = files::read(&directory.join(name))?;
            let read = pem.map(|pem| Certificate::from_pem(&pem)).transpose();
            read.map_err(|e| Failure::Refused(format!("{}: {e}", directory.join(name).display())))
        };
        let (Some(authority), Some(recorder), Some(tls)) =
            (read(AUTHORITY)?, read(RECORDER)?, read(TLS)?)
        else {
            return Ok(None);
        };
        authority.0.is_authority()?;
        for certificate in [&tls.0, &recorder.0] {
            certificate.is_issued_by(&authority.0)?;
        }
        let fits = tls.0.key == keys.tls.public()
            && recorder.0.key == keys.recorder.public()
            && tls.0.principal == recorder.0.principal
            && recorder.0.purpose == Purpose::Recorder;
        match tls.0.principal.id() {
            Some(id) if fits => Ok(Some(Self {
                keys,
                id,
                authority,
                tls,
                recorder,
            })),
            _ => Err(Failure::Refused(format!(
                "{}: keys and certificates do not fit each other; let the host join again",
                directory.display()
            ))),
        }
    }

    /// Its identifier.
    #[must_use]
    pub fn id(&self) -> HostId {
        self.id
    }

    /// Its cluster.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.tls.0.cluster
    }

    /// Who it is, as its TLS certificate says.
    #[must_use]
    pub fn peer(&self) -> Peer {
        self.tls.0.peer()
    }

    /// The directory it is kept in.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.keys.directory
    }

    /// Its keys.
    #[must_use]
    pub fn keys(&self) -> &HostKeys {
        &self.keys
    }

    /// The key that signs its recordings.
    #[must_use]
    pub fn recorder_key(&self) -> SigningKey {
        self.keys.recorder.signing()
    }

    /// The certificate of that key, in DER: what each recording's header carries.
    #[must_use]
    pub fn recorder_certificate(&self) -> &[u8] {
        &self.recorder.1
    }

    /// The authority's certificate, in DER.
    #[must_use]
    pub fn authority(&self) -> &[u8] {
        &self.authority.1
    }

    /// The TLS certificate, in DER.
    #[must_use]
    pub fn tls_certificate(&self) -> &[u8] {
        &self.tls.1
    }

    /// When to renew, UTC nanoseconds since 1970: from half of the TLS certificate's life on, later
    /// by up to a quarter of it. `jitter`, drawn once for each certificate, says how much, so that
    /// hosts that joined together do not come back together.
    #[must_use]
    pub fn renew_at_ns(&self, jitter: u32) -> u64 {
        let (from_s, to_s) = (self.tls.0.not_before_s, self.tls.0.not_after_s);
        let life_s = to_s.saturating_sub(from_s);
        let later_s = (u128::from(life_s / 4) * u128::from(jitter)) >> 32;
        let at_s = from_s + life_s / 2 + u64::try_from(later_s).unwrap_or(0);
        at_s.saturating_mul(1_000_000_000)
    }

    /// Whether it is time to renew; also where the certificate does not hold yet: it was issued while a clock was
    /// ahead that has been set right since, and nobody believes it until then.
    #[must_use]
    pub fn needs_renewal(&self, utc_ns: u64, jitter: u32) -> bool {
        utc_ns / 1_000_000_000 < self.tls.0.not_before_s || utc_ns >= self.renew_at_ns(jitter)
    }

    /// What to ask a service for when it is.
    #[must_use]
    pub fn renew_request(&self) -> RenewRequest {
        let authority = fingerprint(&self.authority.1);
        RenewRequest::new(self.id, authority, &self.keys.tls, &self.keys.recorder)
    }

    /// Keeps what the service answered to a renewal, and opens the identity again.
    ///
    /// # Errors
    /// As [`HostKeys::store`]; what was there stays.
    pub fn renewed(self, response: &JoinResponse, utc_ns: u64) -> Result<Self, Failure> {
        if response.id != self.id.to_string() {
            return Err(Failure::Refused("the answer is for another host".into()));
        }
        self.keys.store(response, &self.authority.1, utc_ns)?;
        let again = Self::open(&self.keys.directory)?;
        again.ok_or_else(|| Failure::Retry("the identity's files are gone".into()))
    }
}
