//! Reading certificates, strictly: only what our own authority issues is one.
//!
//! Whoever reads a certificate here learns what it says, and nothing about whether that is true:
//! [`Certificate::is_issued_by`] checks the signature and [`Certificate::is_valid_at`] the time.

use std::fmt;

use hansard_core::proof::is_signature;
use hansard_core::seal::SIGNATURE_BYTES;

use crate::der::{Element, Elements, tag};
use crate::extensions::Extensions;
use crate::limits::{CERTIFICATE_BYTES_MAX, SERIAL_BYTES_MAX};
use crate::moment;
use crate::name::check_name;
use crate::peer::{Peer, Principal};
use crate::pem;

/// An algorithm identifier: Ed25519, without parameters (RFC 8410 §3).
const ED25519: [u8; 7] = [0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];

/// A public key's information before the 32 bytes of the key (RFC 8410 §4).
const ED25519_KEY: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// Version 3.
const VERSION_3: [u8; 3] = [0x02, 0x01, 0x02];

/// The type of a common name, 2.5.4.3.
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];

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
    signature: [u8; SIGNATURE_BYTES],
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
        let (signed, signature) = unwrap(der)?;
        let mut fields = signed.inside();
        let version = fields.expect(tag::VERSION);
        if version.is_none_or(|version| version.content != VERSION_3) {
            return bad("not of version 3");
        }
        let serial = serial(fields.next())?;
        if fields.next().is_none_or(|a| a.whole != ED25519) {
            return bad("not signed with Ed25519");
        }
        let issuer = sequence(&mut fields)?;
        let (not_before_s, not_after_s) = validity(sequence(&mut fields)?)?;
        let subject = sequence(&mut fields)?;
        let key = sequence(&mut fields)?.whole.strip_prefix(&ED25519_KEY);
        let Some(Ok(key)) = key.map(<[u8; 32]>::try_from) else {
            return bad("the key is not an Ed25519 key");
        };
        let extensions = fields.expect(tag::EXTENSIONS);
        let Some(extensions) = extensions.filter(|_| fields.is_empty()) else {
            return bad("it has no extensions, or something besides them");
        };
        let extensions = Extensions::read(extensions.content)?;
        let purpose = extensions.purpose()?;
        let (cluster, principal) = extensions.named;
        Ok(Self {
            cluster,
            principal,
            name: common_name(subject.content)?,
            purpose,
            key,
            serial,
            not_before_s,
            not_after_s,
            subject: subject.whole.to_vec(),
            issuer: issuer.whole.to_vec(),
            signed: signed.whole.to_vec(),
            signature,
        })
    }

    /// Reads the one certificate in a PEM text, and answers its DER too. What stands around the
    /// block is ignored, as everywhere.
    ///
    /// # Errors
    /// When there is none, more than one, something else, or [`Certificate::read`] refuses it.
    pub fn from_pem(text: &[u8]) -> Result<(Self, Vec<u8>), BadCertificate> {
        // PEM takes four characters for three bytes, and a line's end for 64 of them.
        if text.len() > 4 * CERTIFICATE_BYTES_MAX {
            return bad(format!("longer than {CERTIFICATE_BYTES_MAX} bytes"));
        }
        let Some(der) = pem::decode(text, "CERTIFICATE") else {
            return bad("not one CERTIFICATE in PEM");
        };
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
        if is_signature(key, &self.signed, &self.signature) {
            return Ok(());
        }
        bad("the signature is not the authority's")
    }
}

/// Nanoseconds in a second.
const NS: u64 = 1_000_000_000;

/// The signed part and the signature. What is wrapped around the signed part is not signed itself:
/// there is one way to write it, or a certificate would have twins that are other bytes.
fn unwrap(der: &[u8]) -> Result<(Element<'_>, [u8; SIGNATURE_BYTES]), BadCertificate> {
    let Some(certificate) = Element::only(der, tag::SEQUENCE) else {
        return bad("not X.509 in DER");
    };
    let mut parts = certificate.inside();
    let signed = sequence(&mut parts)?;
    if parts.next().is_none_or(|a| a.whole != ED25519) {
        return bad("not signed with Ed25519");
    }
    let signature = parts.expect(tag::BIT_STRING).map(|bits| bits.content);
    let signature = match signature {
        // No unused bits, and nothing behind it.
        Some([0, signature @ ..]) if parts.is_empty() => signature.try_into().ok(),
        _ => None,
    };
    match signature {
        Some(signature) => Ok((signed, signature)),
        None => bad("not signed with Ed25519"),
    }
}

fn sequence<'a>(elements: &mut Elements<'a>) -> Result<Element<'a>, BadCertificate> {
    match elements.expect(tag::SEQUENCE) {
        Some(element) => Ok(element),
        None => bad("not X.509 in DER"),
    }
}

/// A positive number in its shortest form (RFC 5280 §4.1.2.2).
fn serial(element: Option<Element<'_>>) -> Result<String, BadCertificate> {
    let bytes = match element {
        Some(element) if element.tag == tag::INTEGER => element.content,
        _ => return bad("not X.509 in DER"),
    };
    let is_shortest = match bytes {
        [] | [0] => false,
        [0, second, ..] => *second >= 0x80,
        [first, ..] => *first < 0x80,
    };
    if !is_shortest || bytes.len() > SERIAL_BYTES_MAX {
        return bad("its serial number is not one");
    }
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}

/// From when and until when, UTC seconds since 1970.
fn validity(element: Element<'_>) -> Result<(u64, u64), BadCertificate> {
    let mut times = element.inside();
    let mut next = || match times.next() {
        Some(time) if time.tag == tag::UTC_TIME && time.content.len() == 13 => {
            moment::seconds(time.content)
        }
        Some(time) if time.tag == tag::GENERALIZED_TIME && time.content.len() == 15 => {
            moment::seconds(time.content)
        }
        _ => None,
    };
    match (next(), next()) {
        (Some(not_before), Some(not_after)) if times.is_empty() => Ok((not_before, not_after)),
        _ => bad("its times are none, or before 1970"),
    }
}

/// The one common name; no other part of a name means anything to us.
fn common_name(subject: &[u8]) -> Result<String, BadCertificate> {
    let attribute =
        Element::only(subject, tag::SET).and_then(|set| Element::only(set.content, tag::SEQUENCE));
    let Some(attribute) = attribute else {
        return bad("the subject is not one common name");
    };
    let mut parts = attribute.inside();
    match (parts.expect(tag::OID), parts.expect(tag::UTF8_STRING)) {
        (Some(oid), Some(name)) if oid.content == COMMON_NAME && parts.is_empty() => {
            match std::str::from_utf8(name.content) {
                Ok(name) if check_name(name).is_ok() => Ok(name.to_owned()),
                _ => bad("the common name has letters that names do not have"),
            }
        }
        _ => bad("the subject is not one common name"),
    }
}
