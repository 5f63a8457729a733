//! Digests, the chain and signatures: what makes a segment evidence.
//!
//! A frame's digest covers the frame and its place (session, segment, index). A segment's digest
//! covers its predecessor's digest and the digests of its frames, in order. A seal states the
//! segment's digest and is signed with the recorder's key (Ed25519, RFC 8032).

use ed25519_dalek::{Signature, Signer, VerifyingKey};
use sha2::{Digest as _, Sha256};

use crate::id::SessionId;
use crate::wire::{Malformed, MessageReader, MessageWriter, Varint, get_varint, malformed};

/// A SHA-256 digest.
pub type Digest = [u8; 32];

/// The digest that stands for "no predecessor" in segment 0.
pub const NO_PREDECESSOR: Digest = [0; 32];

const FRAME_DOMAIN: &[u8] = b"hansard frame 1\0";
const PREFIX_DOMAIN: &[u8] = b"hansard prefix\0";
const HEAD_DOMAIN: &[u8] = b"hansard head 1\0";
const SEGMENT_DOMAIN: &[u8] = b"hansard segment 1\0";
const SEAL_DOMAIN: &[u8] = b"hansard seal 1\0";

/// Bytes of a signature.
pub const SIGNATURE_BYTES: usize = 64;

/// An Ed25519 key that signs seals. Its seed is never printed.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// The key with this 32-byte seed (RFC 8032 §5.1.5), which the caller drew at random or read.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(&seed))
    }

    /// Its public half.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// The key as the library has it, for signatures outside of seals.
    pub(crate) fn dalek(&self) -> &ed25519_dalek::SigningKey {
        &self.0
    }

    fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        self.0.sign(message).to_bytes()
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

/// The place of a frame or seal, which every digest covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PlaceOf {
    pub(crate) session: SessionId,
    pub(crate) segment: u32,
    pub(crate) index: u32,
}

impl PlaceOf {
    fn feed(&self, hash: &mut Sha256) {
        hash.update(self.session.as_bytes());
        hash.update(self.segment.to_le_bytes());
        hash.update(self.index.to_le_bytes());
    }
}

/// Two bytes that guard a record's head, so that a damaged length is not mistaken for a torn tail.
pub(crate) fn head_check(place: PlaceOf, head: &[u8]) -> [u8; 2] {
    let mut hash = Sha256::new_with_prefix(HEAD_DOMAIN);
    place.feed(&mut hash);
    hash.update(head);
    let digest: Digest = hash.finalize().into();
    [digest[0], digest[1]]
}

/// Two bytes that guard a segment's first eleven (magic, version, header length), whose session
/// is not known yet.
pub(crate) fn prefix_check(prefix: &[u8]) -> [u8; 2] {
    let digest: Digest = Sha256::new_with_prefix(PREFIX_DOMAIN)
        .chain_update(prefix)
        .finalize()
        .into();
    [digest[0], digest[1]]
}

/// Digest of a frame: head (check included) and stored payload.
pub(crate) fn frame_digest(place: PlaceOf, head: &[u8], payload: &[u8]) -> Digest {
    let mut hash = Sha256::new_with_prefix(FRAME_DOMAIN);
    place.feed(&mut hash);
    hash.update(head);
    hash.update(payload);
    hash.finalize().into()
}

/// Digest of a segment, fed with its frames' digests as they come.
#[derive(Debug, Clone)]
pub(crate) struct SegmentDigest {
    hash: Sha256,
    frames: u32,
}

impl SegmentDigest {
    pub(crate) fn new(session: SessionId, segment: u32, predecessor: &Digest) -> Self {
        let mut hash = Sha256::new_with_prefix(SEGMENT_DOMAIN);
        hash.update(session.as_bytes());
        hash.update(segment.to_le_bytes());
        hash.update(predecessor);
        Self { hash, frames: 0 }
    }

    pub(crate) fn frame(&mut self, digest: &Digest) {
        self.hash.update(digest);
        self.frames += 1;
    }

    pub(crate) fn frames(&self) -> u32 {
        self.frames
    }

    pub(crate) fn finish(mut self) -> Digest {
        self.hash.update(self.frames.to_le_bytes());
        self.hash.finalize().into()
    }
}

/// What a seal states about its segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The session.
    pub session: SessionId,
    /// The segment's number, from 0.
    pub segment: u32,
    /// How many frames it has.
    pub frames: u32,
    /// Number of the first event after it.
    pub next_seq: u64,
    /// When it was sealed, monotonic nanoseconds since the session's start.
    pub at_ns: u64,
    /// The segment's digest.
    pub digest: Digest,
    /// Public key of the signature.
    pub key: [u8; 32],
    /// Whether the recording ends here.
    pub is_final: bool,
}

impl Statement {
    /// The statement and its signature, as a seal's payload.
    #[must_use]
    pub fn sign(&self, key: &SigningKey) -> Vec<u8> {
        let mut out = self.encode();
        let mut signed = SEAL_DOMAIN.to_vec();
        signed.extend_from_slice(&out);
        out.extend_from_slice(&key.sign(&signed));
        out
    }

    fn encode(&self) -> Vec<u8> {
        let mut m = MessageWriter::new();
        m.bytes(1, self.session.as_bytes())
            .uint(2, u64::from(self.segment))
            .uint(3, u64::from(self.frames))
            .uint(4, self.next_seq)
            .uint(5, self.at_ns)
            .bytes(6, &self.digest)
            .bytes(7, &self.key)
            .uint(8, u64::from(self.is_final));
        m.finish()
    }

    /// Reads a seal's payload and checks its signature against the key it names. Whether that key
    /// is the right one is for the caller to say.
    ///
    /// # Errors
    /// When it is no statement, or the signature does not fit.
    pub fn open(payload: &[u8]) -> Result<Self, Malformed> {
        let split = payload
            .len()
            .checked_sub(SIGNATURE_BYTES)
            .and_then(|n| payload.split_at_checked(n));
        let Some((message, signature)) = split else {
            return malformed("seal: too short for a signature");
        };
        let statement = Self::decode(message)?;
        let mut signed = SEAL_DOMAIN.to_vec();
        signed.extend_from_slice(message);
        let fits = VerifyingKey::from_bytes(&statement.key)
            .and_then(|key| key.verify_strict(&signed, &Signature::from_slice(signature)?));
        match fits {
            Ok(()) => Ok(statement),
            Err(_) => malformed("seal: the signature does not fit"),
        }
    }

    fn decode(message: &[u8]) -> Result<Self, Malformed> {
        let (mut session, mut digest, mut key) = (None, None, None);
        let (mut numbers, mut times) = ([None; 2], [None; 2]);
        let mut is_final = None;
        let mut reader = MessageReader::new(message);
        while let Some((number, field)) = reader.next_field()? {
            match number {
                1 => session = Some(SessionId::from_bytes(field.array("seal.session")?)),
                2 | 3 => {
                    let n = u32::try_from(field.uint("seal")?);
                    let slot = if number == 2 {
                        &mut numbers[0]
                    } else {
                        &mut numbers[1]
                    };
                    *slot = Some(n.map_err(|_| Malformed("seal: a number beyond 32 bits".into()))?);
                }
                4 => times[0] = Some(field.uint("seal.next_seq")?),
                5 => times[1] = Some(field.uint("seal.at_ns")?),
                6 => digest = Some(field.array("seal.digest")?),
                7 => key = Some(field.array("seal.key")?),
                8 => {
                    is_final = match field.uint("seal.final")? {
                        0 => Some(false),
                        1 => Some(true),
                        _ => return malformed("seal.final: neither 0 nor 1"),
                    }
                }
                _ => {}
            }
        }
        match (session, numbers, times, digest, key, is_final) {
            (
                Some(session),
                [Some(segment), Some(frames)],
                [Some(next_seq), Some(at_ns)],
                Some(digest),
                Some(key),
                Some(is_final),
            ) => Ok(Self {
                session,
                segment,
                frames,
                next_seq,
                at_ns,
                digest,
                key,
                is_final,
            }),
            _ => malformed("seal: a field is missing"),
        }
    }
}

/// A seal as it is stored and moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    /// The session.
    pub session: SessionId,
    /// The segment it seals.
    pub segment: u32,
    /// The record exactly as stored.
    pub bytes: Vec<u8>,
}

impl Seal {
    /// What it states, if it is one whole record in the place it claims and its signature fits.
    /// Whether that is true of the segment, only reading the segment tells.
    ///
    /// # Errors
    /// When it is none.
    pub fn statement(&self) -> Result<Statement, Malformed> {
        let Varint::Value(_, len) = get_varint(self.bytes.get(1..).unwrap_or_default()) else {
            return malformed("seal: its length cannot be read");
        };
        let payload_at = len.saturating_add(3);
        let statement = Statement::open(self.bytes.get(payload_at..).unwrap_or_default())?;
        let place = PlaceOf {
            session: self.session,
            segment: self.segment,
            index: statement.frames,
        };
        let stated = (statement.session, statement.segment);
        match crate::frame::parse_head(&self.bytes, Some(place)) {
            crate::frame::ParsedHead::Head(head)
                if head.kind == crate::frame::HeadKind::Seal
                    && (head.head_len, head.record_len()) == (payload_at, self.bytes.len())
                    && stated == (self.session, self.segment) =>
            {
                Ok(statement)
            }
            _ => malformed("seal: it is not the record it was said to be"),
        }
    }
}
