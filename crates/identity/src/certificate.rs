//! Reading certificates, strictly: only what our own authority issues is one.
//!
//! Whoever reads a certificate here learns what it says, and nothing about whether that is true:
//! [`Certificate::is_issued_by`] checks the signature and [`Certificate::is_valid_at`] the time.

use std::fmt;

use hansard_core::proof::is_signature;
use hansard_core::seal::SIGNATURE_BYTES;
use x509_parser::asn1_rs::{Oid, oid};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{ExtendedKeyUsage, GeneralName, ParsedExtension};
use x509_parser::parse_x509_certificate;
use x509_parser::pem::Pem;
use x509_parser::x509::AlgorithmIdentifier;

use crate::limits::{CERTIFICATE_BYTES_MAX, SERVER_NAMES_MAX};
use crate::name::{check_name, check_server_name};
use crate::peer::{Peer, Principal};

/// Ed25519, as key and as signature (RFC 8410).
const ED25519: Oid<'static> = oid!(1.3.101.112);

/// The purpose of a recorder key's certificate: signing documents (RFC 9336). It is neither of the
/// purposes that TLS asks for, so no TLS library takes such a certificate.
const DOCUMENT_SIGNING: Oid<'static> = oid!(1.3.6.1.5.5.7.3.36);

/// The bits of the key usage extension that say "signatures", and "signatures of certificates and
/// of lists of revoked ones" (RFC 5280 §4.2.1.3).
const USE_SIGNATURES: u16 = 1;
const USE_CERTIFICATES: u16 = (1 << 5) | (1 << 6);

/// What a certificate's key may be used for. Exactly one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Issuing certificates.
    Authority,
    /// Connecting to a service.
    Client,
    /// Being a service.
    Server,
    /// Signing recordings.
    Recorder,
}

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The cluster it belongs to.
    pub cluster: String,
    /// Who it is about.
    pub principal: Principal,
    /// The name of that, for people.
    pub name: String,
    /// What its key may do.
    pub purpose: Purpose,
    /// Its Ed25519 key.
    pub key: [u8; 32],
    /// Its serial number, lower-case hexadecimal.
    pub serial: String,
    /// From when it holds, UTC seconds since 1970.
    pub not_before_s: u64,
    /// Until when it holds, UTC seconds since 1970, that second included.
    pub not_after_s: u64,
    subject: Vec<u8>,
    issuer: Vec<u8>,
    signed: Vec<u8>,
    signature: Vec<u8>,
}

/// A certificate that is refused, and why, in words without anything that it says itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadCertificate(pub(crate) String);

impl fmt::Display for BadCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "certificate refused: {}", self.0)
    }
}

impl std::error::Error for BadCertificate {}

/// The refusal with this reason.
pub(crate) fn bad<T>(reason: impl Into<String>) -> Result<T, BadCertificate> {
    Err(BadCertificate(reason.into()))
}

impl Certificate {
    /// Reads one certificate in DER.
    ///
    /// # Errors
    /// When it is not of the one form that an authority of ours issues: version 3, Ed25519 key and
    /// signature, one common name, exactly one URI that names a principal, one purpose that fits
    /// that principal, a basic constraint and key usage that fit the purpose, no wildcard, no
    /// extension twice, no critical extension that is not understood, nothing behind it.
    pub fn read(der: &[u8]) -> Result<Self, BadCertificate> {
        if der.len() > CERTIFICATE_BYTES_MAX {
            return bad(format!("longer than {CERTIFICATE_BYTES_MAX} bytes"));
        }
        let Ok((rest, x509)) = parse_x509_certificate(der) else {
            return bad("not X.509 in DER");
        };
        if !rest.is_empty() {
            return bad("bytes behind it");
        }
        check_algorithms(&x509)?;
        check_wrapping(der, &x509)?;
        let extensions = Extensions::read(&x509)?;
        let purpose = purpose_of(&extensions)?;
        let (cluster, principal) = extensions.named;
        let Ok(key) = <[u8; 32]>::try_from(&*x509.public_key().subject_public_key.data) else {
            return bad("the key is not an Ed25519 key");
        };
        let seconds = |time: x509_parser::time::ASN1Time| u64::try_from(time.timestamp());
        let validity = x509.validity();
        let (Ok(not_before_s), Ok(not_after_s)) =
            (seconds(validity.not_before), seconds(validity.not_after))
        else {
            return bad("it holds since before 1970");
        };
        Ok(Self {
            cluster,
            principal,
            name: common_name(&x509)?,
            purpose,
            key,
            serial: x509
                .raw_serial()
                .iter()
                .map(|b| format!("{b:02x}"))
                .collect(),
            not_before_s,
            not_after_s,
            subject: x509.subject().as_raw().to_vec(),
            issuer: x509.issuer().as_raw().to_vec(),
            signed: x509.tbs_certificate.as_ref().to_vec(),
            signature: x509.signature_value.data.to_vec(),
        })
    }

    /// Reads the one certificate in a PEM text, and answers its DER too. What stands around the
    /// block is ignored, as everywhere.
    ///
    /// # Errors
    /// When there is none, more than one, something else, or [`Certificate::read`] refuses it.
    pub fn from_pem(text: &[u8]) -> Result<(Self, Vec<u8>), BadCertificate> {
        let der = der_of_pem(text)?;
        Ok((Self::read(&der)?, der))
    }

    /// Whether this is a certificate of somebody (not of an authority) that `authority`, an
    /// authority's own certificate, has issued. Only an authority may sign: a host that signs
    /// certificates with its own key makes nothing that is believed.
    ///
    /// # Errors
    /// Why it is not.
    pub fn is_issued_by(&self, authority: &Self) -> Result<(), BadCertificate> {
        authority.is_authority()?;
        if self.purpose == Purpose::Authority {
            return bad("an authority's certificate where somebody else's is asked for");
        }
        if self.issuer != authority.subject || self.cluster != authority.cluster {
            return bad("issued by another authority");
        }
        self.is_signed_by(&authority.key)
    }

    /// Whether this is an authority's own certificate, signed by itself.
    ///
    /// # Errors
    /// Why it is not.
    pub fn is_authority(&self) -> Result<(), BadCertificate> {
        if self.purpose != Purpose::Authority || self.issuer != self.subject {
            return bad("not the certificate of an authority, which alone may issue others");
        }
        self.is_signed_by(&self.key)
    }

    /// Whether the certificate holds at this moment.
    ///
    /// # Errors
    /// When it does not hold yet, or any more.
    pub fn is_valid_at(&self, utc_ns: u64) -> Result<(), BadCertificate> {
        let now_s = utc_ns / NS;
        if now_s < self.not_before_s {
            return bad("it does not hold yet at that time; compare the clocks");
        }
        if now_s > self.not_after_s {
            return bad("it had expired at that time");
        }
        Ok(())
    }

    /// Who it is about.
    #[must_use]
    pub fn peer(&self) -> Peer {
        Peer {
            cluster: self.cluster.clone(),
            principal: self.principal,
            name: self.name.clone(),
            serial: self.serial.clone(),
            not_after_ns: self.not_after_s.saturating_mul(NS),
        }
    }

    fn is_signed_by(&self, key: &[u8; 32]) -> Result<(), BadCertificate> {
        if self.signature.len() == SIGNATURE_BYTES
            && is_signature(key, &self.signed, &self.signature)
        {
            return Ok(());
        }
        bad("the signature is not the authority's")
    }
}

/// Nanoseconds in a second.
const NS: u64 = 1_000_000_000;

/// DER of the one certificate in a PEM text.
fn der_of_pem(text: &[u8]) -> Result<Vec<u8>, BadCertificate> {
    // PEM takes four characters for three bytes, and a line's end for 64 of them.
    if text.len() > 4 * CERTIFICATE_BYTES_MAX {
        return bad(format!("longer than {CERTIFICATE_BYTES_MAX} bytes"));
    }
    let mut blocks = Pem::iter_from_buffer(text);
    match (blocks.next(), blocks.next()) {
        (Some(Ok(block)), None) if block.label == "CERTIFICATE" => Ok(block.contents),
        (Some(Ok(_)), None) => bad("the PEM block is not a CERTIFICATE"),
        (Some(Ok(_)), Some(_)) => bad("more than one PEM block"),
        _ => bad("no certificate in PEM"),
    }
}

fn check_algorithms(x509: &X509Certificate<'_>) -> Result<(), BadCertificate> {
    let is_ed25519 = |a: &AlgorithmIdentifier<'_>| a.algorithm == ED25519 && a.parameters.is_none();
    if x509.version().0 != 2 {
        return bad("not of version 3");
    }
    if !is_ed25519(&x509.public_key().algorithm) {
        return bad("the key is not an Ed25519 key");
    }
    if !is_ed25519(&x509.signature_algorithm) || !is_ed25519(&x509.tbs_certificate.signature) {
        return bad("not signed with Ed25519");
    }
    Ok(())
}

/// What stands between the signed part and the signature: an algorithm identifier of Ed25519, and a
/// bit string of 64 whole bytes (RFC 8410).
const BETWEEN: [u8; 10] = [0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x41, 0x00];

/// What is wrapped around the signed part is not signed itself, and the parser takes it in more than
/// one spelling: a certificate would have twins that are other bytes and mean the same.
fn check_wrapping(der: &[u8], x509: &X509Certificate<'_>) -> Result<(), BadCertificate> {
    let signature: &[u8] = &x509.signature_value.data;
    let content = [x509.tbs_certificate.as_ref(), &BETWEEN, signature].concat();
    let mut head = vec![0x30];
    match u16::try_from(content.len()).map(u16::to_be_bytes) {
        Ok([0, low @ 0..=0x7f]) => head.push(low),
        Ok([0, low]) => head.extend([0x81, low]),
        Ok([high, low]) => head.extend([0x82, high, low]),
        Err(_) => return bad(format!("longer than {CERTIFICATE_BYTES_MAX} bytes")),
    }
    if der.strip_prefix(head.as_slice()) == Some(content.as_slice()) {
        return Ok(());
    }
    bad("not written in the one way that DER has")
}

/// The one common name; no other part of a name means anything to us.
fn common_name(x509: &X509Certificate<'_>) -> Result<String, BadCertificate> {
    let mut attributes = x509.subject().iter_attributes();
    let mut names = x509.subject().iter_common_name();
    let (Some(name), None) = (names.next(), attributes.nth(1)) else {
        return bad("the subject is not one common name");
    };
    match name.as_str() {
        Ok(name) if check_name(name).is_ok() => Ok(name.to_owned()),
        _ => bad("the common name has letters that names do not have"),
    }
}

/// The extensions that mean something to us.
struct Extensions {
    is_authority: bool,
    uses: u16,
    purposes: Option<Purpose>,
    named: (String, Principal),
    has_server_names: bool,
}

impl Extensions {
    fn read(x509: &X509Certificate<'_>) -> Result<Self, BadCertificate> {
        let Ok(all) = x509.extensions_map() else {
            return bad("an extension stands there twice");
        };
        let (mut is_authority, mut uses, mut purposes, mut named) = (None, None, None, None);
        for extension in all.values() {
            match extension.parsed_extension() {
                ParsedExtension::BasicConstraints(basic) => {
                    if !basic.ca && basic.path_len_constraint.is_some() {
                        return bad("a path's length without being an authority");
                    }
                    is_authority = Some(basic.ca);
                }
                ParsedExtension::KeyUsage(usage) => uses = Some(usage.flags),
                ParsedExtension::ExtendedKeyUsage(purpose) => {
                    purposes = Some(extended_purpose(purpose)?);
                }
                ParsedExtension::SubjectAlternativeName(names) => {
                    named = Some(read_names(&names.general_names)?);
                }
                ParsedExtension::SubjectKeyIdentifier(_)
                | ParsedExtension::AuthorityKeyIdentifier(_) => {}
                ParsedExtension::ParseError { .. } => return bad("an extension is malformed"),
                _ if extension.critical => {
                    return bad("a critical extension that is not understood");
                }
                _ => {}
            }
        }
        match (is_authority, uses, named) {
            (Some(is_authority), Some(uses), Some((named, has_server_names))) => Ok(Self {
                is_authority,
                uses,
                purposes,
                named,
                has_server_names,
            }),
            _ => bad("basic constraints, key usage or alternative name is missing"),
        }
    }
}

/// The one purpose of a certificate that is not an authority's.
fn extended_purpose(purpose: &ExtendedKeyUsage<'_>) -> Result<Purpose, BadCertificate> {
    let others = purpose.any
        || purpose.code_signing
        || purpose.email_protection
        || purpose.time_stamping
        || purpose.ocsp_signing;
    match (
        purpose.client_auth,
        purpose.server_auth,
        purpose.other.as_slice(),
    ) {
        (true, false, []) if !others => Ok(Purpose::Client),
        (false, true, []) if !others => Ok(Purpose::Server),
        (false, false, [oid]) if !others && *oid == DOCUMENT_SIGNING => Ok(Purpose::Recorder),
        _ => bad("not exactly one of the purposes that our certificates have"),
    }
}

/// The one URI, and whether DNS names or addresses stand beside it.
fn read_names(names: &[GeneralName<'_>]) -> Result<((String, Principal), bool), BadCertificate> {
    if names.len() > SERVER_NAMES_MAX + 1 {
        return bad(format!("more than {SERVER_NAMES_MAX} names"));
    }
    let (mut named, mut has_server_names) = (None, false);
    for name in names {
        match name {
            GeneralName::URI(uri) => match Principal::parse(uri) {
                Some((cluster, principal)) if named.is_none() => {
                    named = Some((cluster.to_owned(), principal));
                }
                Some(_) => return bad("more than one URI"),
                None => return bad("its URI names no principal of a cluster"),
            },
            GeneralName::DNSName(dns) if check_server_name(dns).is_ok() => has_server_names = true,
            GeneralName::IPAddress(bytes) if matches!(bytes.len(), 4 | 16) => {
                has_server_names = true;
            }
            _ => return bad("a name that our certificates do not have, or a wildcard"),
        }
    }
    match named {
        Some(named) => Ok((named, has_server_names)),
        None => bad("no URI that names a principal"),
    }
}

/// What the key may do, if everything that is said about it fits together.
fn purpose_of(said: &Extensions) -> Result<Purpose, BadCertificate> {
    let principal = &said.named.1;
    if said.has_server_names && said.purposes != Some(Purpose::Server) {
        return bad("names of a server in the certificate of none");
    }
    if said.is_authority {
        let fits = *principal == Principal::Authority
            && said.purposes.is_none()
            && said.uses == USE_CERTIFICATES;
        return if fits {
            Ok(Purpose::Authority)
        } else {
            bad("an authority (CA:TRUE) that names itself something else")
        };
    }
    if said.uses != USE_SIGNATURES {
        return bad("its key may be used for something else than signatures");
    }
    match (principal, said.purposes) {
        (Principal::Host(_), Some(purpose @ (Purpose::Client | Purpose::Recorder)))
        | (Principal::Service(_), Some(purpose @ (Purpose::Server | Purpose::Recorder))) => {
            Ok(purpose)
        }
        _ => bad("its purpose does not fit who it is about"),
    }
}
