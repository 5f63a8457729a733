//! The extensions of our certificates, and what they say together.

use crate::certificate::{BadCertificate, Purpose, bad};
use crate::der::{Element, Elements, tag};
use crate::limits::{EXTENSIONS_MAX, SERVER_NAMES_MAX};
use crate::name::check_server_name;
use crate::peer::Principal;

/// The extensions that mean something to us (RFC 5280 §4.2.1), by their identifiers in DER.
const SUBJECT_KEY: &[u8] = &[0x55, 0x1d, 0x0e];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
const NAMES: &[u8] = &[0x55, 0x1d, 0x11];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const AUTHORITY_KEY: &[u8] = &[0x55, 0x1d, 0x23];
const EXTENDED_USAGE: &[u8] = &[0x55, 0x1d, 0x25];

/// Purposes: connecting, being connected to (RFC 5280 §4.2.1.12).
const CLIENT_AUTH: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02];
const SERVER_AUTH: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];

/// The purpose of a recorder key's certificate: signing documents (RFC 9336). It is neither of the
/// purposes that TLS asks for, so no TLS library takes such a certificate.
const DOCUMENT_SIGNING: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x24];

/// Key usages, as bit strings: signatures; certificates and lists of revoked ones.
const USE_SIGNATURES: &[u8] = &[0x07, 0x80];
const USE_CERTIFICATES: &[u8] = &[0x01, 0x06];

/// What a certificate's extensions say.
pub(crate) struct Extensions {
    is_authority: bool,
    usage: KeyUsage,
    extended: Option<Purpose>,
    pub(crate) named: (String, Principal),
    has_server_names: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum KeyUsage {
    Signatures,
    Certificates,
}

/// What was read so far.
#[derive(Default)]
struct Read<'a> {
    seen: Vec<&'a [u8]>,
    is_authority: Option<bool>,
    usage: Option<KeyUsage>,
    extended: Option<Purpose>,
    names: Option<((String, Principal), bool)>,
}

impl Extensions {
    /// Reads the content of a certificate's field of extensions.
    pub(crate) fn read(content: &[u8]) -> Result<Self, BadCertificate> {
        let Some(all) = Element::only(content, tag::SEQUENCE) else {
            return bad(MALFORMED);
        };
        let (mut all, mut read) = (all.inside(), Read::default());
        while !all.is_empty() {
            let Some(extension) = all.expect(tag::SEQUENCE) else {
                return bad(MALFORMED);
            };
            read.take(&extension)?;
        }
        match (read.is_authority, read.usage, read.names) {
            (Some(is_authority), Some(usage), Some((named, has_server_names))) => Ok(Self {
                is_authority,
                usage,
                extended: read.extended,
                named,
                has_server_names,
            }),
            _ => bad("basic constraints, key usage or alternative name is missing"),
        }
    }

    /// What the key may do, if everything that is said about it fits together.
    pub(crate) fn purpose(&self) -> Result<Purpose, BadCertificate> {
        let principal = &self.named.1;
        if self.has_server_names && self.extended != Some(Purpose::Server) {
            return bad("names of a server in the certificate of none");
        }
        if self.is_authority {
            let fits = *principal == Principal::Authority
                && self.extended.is_none()
                && self.usage == KeyUsage::Certificates;
            return if fits {
                Ok(Purpose::Authority)
            } else {
                bad("an authority (CA:TRUE) that names itself something else")
            };
        }
        if self.usage != KeyUsage::Signatures {
            return bad("its key may be used for something else than signatures");
        }
        match (principal, self.extended) {
            (Principal::Host(_), Some(purpose @ (Purpose::Client | Purpose::Recorder)))
            | (Principal::Service(_), Some(purpose @ (Purpose::Server | Purpose::Recorder))) => {
                Ok(purpose)
            }
            _ => bad("its purpose does not fit who it is about"),
        }
    }
}

const MALFORMED: &str = "an extension is malformed";

impl<'a> Read<'a> {
    /// Takes one extension: identifier, whether it is critical, value.
    fn take(&mut self, extension: &Element<'a>) -> Result<(), BadCertificate> {
        let mut parts = extension.inside();
        let Some(oid) = parts.expect(tag::OID) else {
            return bad(MALFORMED);
        };
        let mut value = parts.next();
        let mut critical = false;
        if let Some(said) = value.filter(|v| v.tag == tag::BOOLEAN) {
            // That it is not critical is said by not saying it.
            if said.content != [0xff] {
                return bad(MALFORMED);
            }
            (critical, value) = (true, parts.next());
        }
        let value = value.filter(|v| v.tag == tag::OCTET_STRING && parts.is_empty());
        let Some(value) = value.map(|v| v.content) else {
            return bad(MALFORMED);
        };
        if self.seen.contains(&oid.content) || self.seen.len() == EXTENSIONS_MAX {
            return bad("an extension stands there twice, or there are too many");
        }
        self.seen.push(oid.content);
        match oid.content {
            BASIC_CONSTRAINTS => self.is_authority = Some(basic_constraints(value)?),
            KEY_USAGE => self.usage = Some(key_usage(value)?),
            EXTENDED_USAGE => self.extended = Some(extended_purpose(value)?),
            NAMES => self.names = Some(read_names(value)?),
            // Hints for finding an issuer; the signature decides.
            SUBJECT_KEY | AUTHORITY_KEY => {}
            _ if critical => return bad("a critical extension that is not understood"),
            _ => {}
        }
        Ok(())
    }
}

/// Whether it is an authority's. An authority may say how many others may stand between it and
/// those it certifies; for us that is none, whatever it says.
fn basic_constraints(value: &[u8]) -> Result<bool, BadCertificate> {
    let Some(constraints) = Element::only(value, tag::SEQUENCE) else {
        return bad(MALFORMED);
    };
    let mut parts = constraints.inside();
    match (parts.next(), parts.next()) {
        (None, _) if constraints.content.is_empty() => Ok(false),
        // Not the one spelling that DER has, but the one that `rcgen` writes.
        (Some(ca), None) if ca.whole == [tag::BOOLEAN, 1, 0] && parts.is_empty() => Ok(false),
        (Some(ca), None) if ca.whole == [tag::BOOLEAN, 1, 0xff] && parts.is_empty() => Ok(true),
        (Some(ca), Some(between))
            if ca.whole == [tag::BOOLEAN, 1, 0xff]
                && matches!(between.whole, [tag::INTEGER, 1, 0..=0x7f])
                && parts.is_empty() =>
        {
            Ok(true)
        }
        _ => bad(MALFORMED),
    }
}

fn key_usage(value: &[u8]) -> Result<KeyUsage, BadCertificate> {
    match Element::only(value, tag::BIT_STRING).map(|bits| bits.content) {
        Some(USE_SIGNATURES) => Ok(KeyUsage::Signatures),
        Some(USE_CERTIFICATES) => Ok(KeyUsage::Certificates),
        _ => bad("its key may be used for something that our certificates are not for"),
    }
}

/// The one purpose of a certificate that is not an authority's.
fn extended_purpose(value: &[u8]) -> Result<Purpose, BadCertificate> {
    let purpose = Element::only(value, tag::SEQUENCE)
        .and_then(|purposes| Element::only(purposes.content, tag::OID));
    match purpose.map(|purpose| purpose.content) {
        Some(CLIENT_AUTH) => Ok(Purpose::Client),
        Some(SERVER_AUTH) => Ok(Purpose::Server),
        Some(DOCUMENT_SIGNING) => Ok(Purpose::Recorder),
        _ => bad("not exactly one of the purposes that our certificates have"),
    }
}

/// The one URI, and whether DNS names or addresses stand beside it.
fn read_names(value: &[u8]) -> Result<((String, Principal), bool), BadCertificate> {
    let Some(names) = Element::only(value, tag::SEQUENCE) else {
        return bad(MALFORMED);
    };
    let mut names: Elements<'_> = names.inside();
    let (mut named, mut server_names) = (None, 0);
    while !names.is_empty() {
        let Some(name) = names.next() else {
            return bad(MALFORMED);
        };
        let text = std::str::from_utf8(name.content).unwrap_or_default();
        match name.tag {
            tag::URI => match Principal::parse(text) {
                Some((cluster, principal)) if named.is_none() => {
                    named = Some((cluster.to_owned(), principal));
                }
                Some(_) => return bad("more than one URI"),
                None => return bad("its URI names no principal of a cluster"),
            },
            tag::DNS if check_server_name(text).is_ok() => server_names += 1,
            tag::ADDRESS if matches!(name.content.len(), 4 | 16) => server_names += 1,
            _ => return bad("a name that our certificates do not have, or a wildcard"),
        }
        if server_names > SERVER_NAMES_MAX {
            return bad(format!("more than {SERVER_NAMES_MAX} names"));
        }
    }
    match named {
        Some(named) => Ok((named, server_names > 0)),
        None => bad("no URI that names a principal"),
    }
}
