//! Whom `--trust` names, and whether they signed.

use std::io::Read as _;
use std::path::Path;

use hansard_core::verify::Report;
use hansard_core::{Session, Value};
use hansard_identity::recorder::CERTIFICATE_FIELD;
use hansard_identity::{Certificate, Peer, check_recorder};

use crate::failure::{Failure, STATUS_WRONG_USE, shown};
use crate::key::public_key;

/// A certificate's or key's file is far shorter.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Whom the caller trusts.
#[derive(Default)]
pub(crate) struct Anchors {
    /// Public keys of signers.
    keys: Vec<[u8; 32]>,
    /// Certificates of authorities, DER.
    authorities: Vec<Vec<u8>>,
}

/// Whether the signer is one that was named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Nobody was named.
    Unchecked,
    /// One whose key was named.
    Key,
    /// One whom an authority that was named has certified.
    Certified(Peer),
    /// Neither, and why.
    Untrusted(String),
}

impl Trust {
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Unchecked => "unchecked",
            Self::Key | Self::Certified(_) => "trusted",
            Self::Untrusted(_) => "not trusted",
        }
    }
}

impl Anchors {
    /// Reads the files of `--trust`, each a public key or an authority's certificate in PEM.
    pub(crate) fn read<'a>(files: impl Iterator<Item = &'a Path>) -> Result<Self, Failure> {
        let mut anchors = Self::default();
        for path in files {
            let (file, _) = crate::source::open_file(path)?;
            let mut text = Vec::new();
            file.take(FILE_BYTES_MAX)
                .read_to_end(&mut text)
                .map_err(|e| Failure::about(path, &e))?;
            let words = String::from_utf8_lossy(&text);
            if words.contains("-----BEGIN CERTIFICATE-----") {
                anchors.authorities.push(authority(path, &text)?);
            } else {
                anchors.keys.push(public_key(path, &words)?);
            }
        }
        Ok(anchors)
    }

    /// Whether they vouch for who signed this recording: for all of them, if they are several.
    pub(crate) fn judge(&self, report: &Report) -> Trust {
        if self.keys.is_empty() && self.authorities.is_empty() {
            return Trust::Unchecked;
        }
        let mut judged = Trust::Untrusted("nothing is signed".to_owned());
        for signer in &report.signers {
            judged = self.vouch(signer, report.session.as_ref());
            if matches!(judged, Trust::Untrusted(_)) {
                break;
            }
        }
        judged
    }

    fn vouch(&self, signer: &[u8; 32], session: Option<&Session>) -> Trust {
        if self.keys.contains(signer) {
            return Trust::Key;
        }
        if self.authorities.is_empty() {
            return Trust::Untrusted("its key is none of those that --trust names".to_owned());
        }
        let Some(session) = session else {
            return Trust::Untrusted("the header is not sound".to_owned());
        };
        let Some(Value::Bytes(certificate)) = session.target.get(CERTIFICATE_FIELD) else {
            return Trust::Untrusted("the recording carries no certificate".to_owned());
        };
        let mut why = String::new();
        for authority in &self.authorities {
            match check_recorder(certificate, authority, signer, session.start_utc_ns) {
                Ok(peer) => return Trust::Certified(peer),
                Err(error) => why = error.to_string(),
            }
        }
        Trust::Untrusted(why)
    }
}

fn authority(path: &Path, text: &[u8]) -> Result<Vec<u8>, Failure> {
    let read = Certificate::from_pem(text).and_then(|(certificate, der)| {
        certificate.is_authority()?;
        Ok(der)
    });
    read.map_err(|error| {
        Failure::new(STATUS_WRONG_USE, format!("{}: {error}", shown(path))).hint(
            "--trust takes the certificate of a cluster's authority (authority.pem), or the public \
             key of one signer",
        )
    })
}
