//! Passkeys, as a browser hands over what an authenticator says (W3C Web Authentication, level 2). No
//! attestation: which make an authenticator is of is not asked; one that signs its key with that key
//! itself (some do, whatever they are asked) says nothing of it either, and is held to what it signed. A user must have been verified by it,
//! by a finger, a face or a number, so that a passkey stands for password and second factor at once.

mod cbor;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ED25519, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::base64url;
use crate::limits::CREDENTIAL_BYTES_MAX;
use cbor::Item;

/// What must have been answered.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The bytes that were to be signed; whoever asks MUST take care that they are used once.
    pub challenge: &'a [u8],
    /// The origin of the page: scheme, host, and port.
    pub origin: &'a str,
}

impl Expected<'_> {
    /// The host of the origin, for which alone a passkey holds.
    #[must_use]
    pub fn host(&self) -> &str {
        host(self.origin)
    }
}

/// The keys that are taken, as COSE numbers them: ES256 and `EdDSA`.
pub const ALGORITHMS: [i64; 2] = [-7, -8];

/// The host of an origin.
#[must_use]
pub fn host(origin: &str) -> &str {
    let behind = origin.split_once("://").map_or("", |(_, rest)| rest);
    behind.split_once(':').map_or(behind, |(host, _)| host)
}

/// Why it does not count. For the event only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// What the browser signed for is no document of the kind.
    ClientData,
    /// It was asked for something else: to make a passkey, or to use one.
    Purpose,
    /// Something else was to be signed.
    Challenge,
    /// Another page asked.
    Origin,
    /// It was made for another host.
    Host,
    /// Nobody was there.
    Absent,
    /// Nobody showed who they are.
    Unverified,
    /// What the authenticator says cannot be read.
    Data,
    /// The authenticator says of what make it is, which was not asked, or what cannot be read of it.
    Attestation,
    /// A key of a kind that is not taken: ES256 and Ed25519 are.
    Algorithm,
    /// The signature is not of the passkey.
    Signature,
    /// The passkey counted no further: there may be a copy of it.
    Counter,
}

impl Fault {
    /// In words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientData => "passkey: the browser's part cannot be read",
            Self::Purpose => "passkey: it was asked for something else",
            Self::Challenge => "passkey: another challenge was signed",
            Self::Origin => "passkey: another page asked",
            Self::Host => "passkey: it is for another host",
            Self::Absent => "passkey: nobody was there",
            Self::Unverified => "passkey: the authenticator verified nobody",
            Self::Data => "passkey: the authenticator's part cannot be read",
            Self::Attestation => "passkey: an attestation that was not asked for",
            Self::Algorithm => "passkey: a key that is neither ES256 nor Ed25519",
            Self::Signature => "passkey: the signature is wrong",
            Self::Counter => "passkey: its counter did not go on: there may be a copy of it",
        }
    }
}

/// A public key that signatures are checked with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublicKey {
    algorithm: Algorithm,
    /// Hexadecimal: the point, uncompressed (SEC 1 §2.3.3), or the 32 bytes of Ed25519.
    bytes: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Algorithm {
    Es256,
    Ed25519,
}

impl PublicKey {
    /// Of COSE (RFC 9053 §7): with exactly what such a key has.
    fn of(item: &Item<'_>) -> Result<Self, Fault> {
        let number = |n| match item.numbered(n) {
            Some(Item::Int(value)) => Some(*value),
            _ => None,
        };
        let bytes = |n| match item.numbered(n) {
            Some(Item::Bytes(bytes)) => <[u8; 32]>::try_from(*bytes).ok(),
            _ => None,
        };
        let facts = (number(1), number(3), number(-1), item.entries());
        let (algorithm, key) = match facts {
            (Some(2), Some(-7), Some(1), 5) => {
                let (x, y) = bytes(-2).zip(bytes(-3)).ok_or(Fault::Algorithm)?;
                (Algorithm::Es256, [&[4][..], &x, &y].concat())
            }
            (Some(1), Some(-8), Some(6), 4) => {
                let x = bytes(-2).ok_or(Fault::Algorithm)?;
                (Algorithm::Ed25519, x.to_vec())
            }
            _ => return Err(Fault::Algorithm),
        };
        let bytes = crate::hex::encode(&key);
        Ok(Self { algorithm, bytes })
    }

    /// What COSE calls its way of signing.
    fn number(&self) -> i64 {
        match self.algorithm {
            Algorithm::Es256 => -7,
            Algorithm::Ed25519 => -8,
        }
    }

    fn check(&self, message: &[u8], signature: &[u8]) -> Result<(), Fault> {
        let wrong = |_| Fault::Signature;
        match self.algorithm {
            Algorithm::Es256 => {
                let key: [u8; 65] = crate::hex::decode(&self.bytes).ok_or(Fault::Signature)?;
                let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key);
                key.verify(message, signature).map_err(wrong)
            }
            Algorithm::Ed25519 => {
                let key: [u8; 32] = crate::hex::decode(&self.bytes).ok_or(Fault::Signature)?;
                let key = UnparsedPublicKey::new(&ED25519, key);
                key.verify(message, signature).map_err(wrong)
            }
        }
    }
}

/// A passkey that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Its identifier, as the authenticator chose it.
    pub credential: Vec<u8>,
    /// What its signatures are checked with.
    pub key: PublicKey,
    /// How often it was used, as it says; 0 if it does not count.
    pub counter: u32,
}

/// What the browser says it was asked.
#[derive(Deserialize)]
struct ClientData {
    #[serde(rename = "type")]
    purpose: String,
    challenge: String,
    origin: String,
    #[serde(default, rename = "crossOrigin")]
    cross_origin: bool,
}

/// A passkey, as it was made for this page (§7.1). Mostly the key signs nothing yet: that it is the
/// authenticator's shows when it is used.
///
/// # Errors
/// Why it does not count.
pub fn made(expected: Expected<'_>, client_data: &[u8], attestation: &[u8]) -> Result<Made, Fault> {
    check_client(expected, client_data, "webauthn.create")?;
    let (object, rest) = Item::read(attestation).ok_or(Fault::Data)?;
    let Some(Item::Bytes(bytes)) = object.named("authData") else {
        return Err(Fault::Data);
    };
    let data = Data::read(bytes)?;
    data.check(expected)?;
    let (Some((credential, key)), []) = (data.made, rest) else {
        return Err(Fault::Data);
    };
    let key = PublicKey::of(&key)?;
    check_statement(&object, &key, &signed(bytes, client_data))?;
    Ok(Made {
        credential: credential.to_vec(),
        key,
        counter: data.counter,
    })
}

/// What an authenticator says for a key: nothing (§8.7), or that the key itself signed it (§8.2, without
/// certificates). All else would have to be believed by who knows makes.
fn check_statement(object: &Item<'_>, key: &PublicKey, signed: &[u8]) -> Result<(), Fault> {
    let statement = object.named("attStmt").ok_or(Fault::Attestation)?;
    match (object.named("fmt"), statement.entries()) {
        (Some(Item::Text("none")), 0) if *statement == Item::Map(Vec::new()) => Ok(()),
        (Some(Item::Text("packed")), 2) => {
            let said = (statement.named("alg"), statement.named("sig"));
            let (Some(Item::Int(number)), Some(Item::Bytes(signature))) = said else {
                return Err(Fault::Attestation);
            };
            match *number == key.number() {
                true => key.check(signed, signature),
                false => Err(Fault::Attestation),
            }
        }
        _ => Err(Fault::Attestation),
    }
}

/// What is signed: the authenticator's part, and the digest of the browser's.
fn signed(data: &[u8], client_data: &[u8]) -> Vec<u8> {
    [data, &Sha256::digest(client_data)].concat()
}

/// What an authenticator says with a passkey.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    /// The browser's part, as it was signed for.
    pub client_data: &'a [u8],
    /// The authenticator's part.
    pub data: &'a [u8],
    /// Its signature over both.
    pub signature: &'a [u8],
}

/// Whether this is said with the passkey of this key, which counted to `counter` before (§7.2); how
/// far it counted now.
///
/// # Errors
/// Why it does not count.
pub fn used(
    expected: Expected<'_>,
    said: Said<'_>,
    key: &PublicKey,
    counter: u32,
) -> Result<u32, Fault> {
    check_client(expected, said.client_data, "webauthn.get")?;
    let data = Data::read(said.data)?;
    data.check(expected)?;
    key.check(&signed(said.data, said.client_data), said.signature)?;
    // One that does not count says 0 each time.
    if (data.counter, counter) != (0, 0) && data.counter <= counter {
        return Err(Fault::Counter);
    }
    Ok(data.counter)
}

fn check_client(expected: Expected<'_>, bytes: &[u8], purpose: &str) -> Result<(), Fault> {
    let data: ClientData = serde_json::from_slice(bytes).map_err(|_| Fault::ClientData)?;
    if data.purpose != purpose {
        return Err(Fault::Purpose);
    }
    if data.challenge != base64url::encode(expected.challenge) {
        return Err(Fault::Challenge);
    }
    // A page within another site's page is not ours.
    if data.origin != expected.origin || data.cross_origin {
        return Err(Fault::Origin);
    }
    Ok(())
}

/// What an authenticator says (§6.1).
struct Data<'a> {
    host_sha256: &'a [u8],
    flags: u8,
    counter: u32,
    /// Identifier and key of a passkey that was made just now.
    made: Option<(&'a [u8], Item<'a>)>,
}

/// Somebody was there.
const PRESENT: u8 = 1;
/// Who it is was verified.
const VERIFIED: u8 = 1 << 2;
/// The passkey may be copied to other devices of its owner.
const ELIGIBLE: u8 = 1 << 3;
/// It was.
const BACKED_UP: u8 = 1 << 4;
/// A passkey that was made stands behind.
const HAS_KEY: u8 = 1 << 6;
/// Extensions stand behind.
const HAS_EXTENSIONS: u8 = 1 << 7;

impl<'a> Data<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, Fault> {
        Self::parse(bytes).ok_or(Fault::Data)
    }

    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (host_sha256, rest) = bytes.split_at_checked(32)?;
        let (&flags, rest) = rest.split_first()?;
        let (counter, mut rest) = rest.split_first_chunk::<4>()?;
        let mut made = None;
        if flags & HAS_KEY != 0 {
            // The make of the authenticator, which we do not ask.
            let (_make, behind) = rest.split_at_checked(16)?;
            let (length, behind) = behind.split_first_chunk::<2>()?;
            let length = usize::from(u16::from_be_bytes(*length));
            let (credential, behind) = behind.split_at_checked(length)?;
            let (key, behind) = Item::read(behind)?;
            let fits = (1..=CREDENTIAL_BYTES_MAX).contains(&credential.len());
            made = Some((credential, key)).filter(|_| fits);
            made.as_ref()?;
            rest = behind;
        }
        if flags & HAS_EXTENSIONS != 0 {
            let (_extensions, behind) = Item::read(rest)?;
            rest = behind;
        }
        let is_sound = flags & BACKED_UP == 0 || flags & ELIGIBLE != 0;
        (rest.is_empty() && is_sound).then_some(Self {
            host_sha256,
            flags,
            counter: u32::from_be_bytes(*counter),
            made,
        })
    }

    fn check(&self, expected: Expected<'_>) -> Result<(), Fault> {
        let host: [u8; 32] = Sha256::digest(expected.host()).into();
        if self.host_sha256 != host {
            return Err(Fault::Host);
        }
        if self.flags & PRESENT == 0 {
            return Err(Fault::Absent);
        }
        if self.flags & VERIFIED == 0 {
            return Err(Fault::Unverified);
        }
        Ok(())
    }
}
