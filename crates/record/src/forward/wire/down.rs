//! What a service says to a host.

use hansard_core::SessionId;
use hansard_core::seal::Digest;
use hansard_core::wire::{Field, Malformed, MessageReader, MessageWriter};

use super::{
    BODY_BYTES_MAX, Message, OtherVersion, PolicyPiece, VERSION, bounded_text, clipped, index_of,
    place_of, put_message,
};
use crate::order::Spot;

const WELCOME: u8 = 0x81;
const RECEIVED: u8 = 0x82;
const STORED: u8 = 0x83;
const PROBLEM: u8 = 0x84;
const BUSY: u8 = 0x85;
const FOLLOW: u8 = 0x86;
const END: u8 = 0x87;
const PONG: u8 = 0x88;
const BYE: u8 = 0x89;
const POLICY: u8 = 0x8a;

/// What the sender of a session's parts does about a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemKind {
    /// Offer them again later, from [`Problem::at`] on.
    Retry,
    /// Another part is in the place of one of them. Never repeat; raise an alarm.
    Conflict,
    /// They are not taken, however often they are offered.
    Refused,
}

impl ProblemKind {
    fn number(self) -> u64 {
        match self {
            Self::Retry => 1,
            Self::Conflict => 2,
            Self::Refused => 3,
        }
    }
}

/// A session whose parts are not taken. The other sessions of the connection go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The session.
    pub session: SessionId,
    /// What to do about it.
    pub kind: ProblemKind,
    /// The first part that was not taken; those of this session behind it were not taken either.
    pub at: Spot,
    /// Why, for people.
    pub why: String,
}

/// A segment of a session, and all before it, are in the archive (class S).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// The session.
    pub session: SessionId,
    /// The segment, from 0.
    pub segment: u32,
    /// The digest in the archived segment's seal, which binds all before it. `None` of a session that was
    /// deleted, of whose segments nothing is left but the last one's, and from a service that says none.
    pub digest: Option<Digest>,
}

impl Stored {
    /// Of a segment with this digest.
    #[must_use]
    pub fn new(session: SessionId, segment: u32, digest: Digest) -> Self {
        Self {
            session,
            segment,
            digest: Some(digest),
        }
    }

    /// Of two of one session the newer one counts.
    pub fn raise(&mut self, other: Self) {
        if self.segment < other.segment {
            *self = other;
        }
    }
}

/// What a service says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Down {
    /// The answer to a `Hello` of a version that is spoken here.
    Welcome {
        /// Version of the transport.
        version: u64,
        /// Program and version, for people.
        software: String,
    },
    /// All parts of this connection up to this ordinal are dealt with: on the receiver's disk
    /// (class L), or of a session for which a `Problem` was said before.
    Received {
        /// The ordinal, from 1.
        ordinal: u64,
    },
    /// A host may forget a segment, and all before it, if that is what it has itself.
    Stored(Stored),
    /// A session is not taken.
    Problem(Problem),
    /// Nothing is taken at the moment, and nothing is lost: what was sent is waiting here.
    Busy {
        /// How long to send nothing, in milliseconds.
        pause_ms: u64,
        /// Why, for people.
        why: String,
    },
    /// Somebody watches a session, or does so no longer: how quickly its frames are cut.
    Follow {
        /// The session.
        session: SessionId,
        /// Whether somebody watches.
        on: bool,
    },
    /// End a session.
    End {
        /// The session.
        session: SessionId,
        /// Why, for the recording and for who is ended.
        reason: String,
        /// Who asked for it.
        by: String,
    },
    /// The answer to a `Ping`, with its number.
    Pong(u64),
    /// A piece of the policy. Said only to a host that has said which one is in force there.
    Policy(PolicyPiece),
    /// The service ends the connection, and why.
    Bye {
        /// Why, for people.
        why: String,
    },
}

impl Down {
    /// The answer to a `Hello` of this version.
    #[must_use]
    pub fn welcome(software: &str) -> Self {
        Self::Welcome {
            version: VERSION,
            software: software.to_owned(),
        }
    }

    /// Whether the two can go on, when this is a `Welcome`.
    ///
    /// # Errors
    /// When it is of another version.
    pub fn check(&self) -> Result<(), OtherVersion> {
        match self {
            Self::Welcome { version, .. } if *version != VERSION => Err(OtherVersion {
                ours: VERSION,
                theirs: *version,
            }),
            _ => Ok(()),
        }
    }

    /// Appends the message to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut m = MessageWriter::new();
        let kind = match self {
            Self::Welcome { version, software } => {
                m.uint(1, *version).text(2, clipped(software));
                WELCOME
            }
            Self::Received { ordinal } => {
                m.uint(1, *ordinal);
                RECEIVED
            }
            Self::Stored(stored) => {
                m.bytes(1, stored.session.as_bytes())
                    .uint(2, u64::from(stored.segment));
                if let Some(digest) = &stored.digest {
                    m.bytes(3, digest);
                }
                STORED
            }
            Self::Problem(problem) => {
                m.bytes(1, problem.session.as_bytes())
                    .uint(2, problem.kind.number())
                    .uint(3, u64::from(problem.at.segment))
                    .uint(4, u64::from(index_of(problem.at.place)))
                    .text(5, clipped(&problem.why));
                PROBLEM
            }
            Self::Busy { pause_ms, why } => {
                m.uint(1, *pause_ms).text(2, clipped(why));
                BUSY
            }
            Self::Follow { session, on } => {
                m.bytes(1, session.as_bytes()).uint(2, u64::from(*on));
                FOLLOW
            }
            Self::End {
                session,
                reason,
                by,
            } => {
                m.bytes(1, session.as_bytes())
                    .text(2, clipped(reason))
                    .text(3, clipped(by));
                END
            }
            Self::Pong(number) => {
                m.uint(1, *number);
                PONG
            }
            Self::Policy(piece) => {
                m.uint(1, piece.version)
                    .uint(2, piece.total_bytes)
                    .uint(3, piece.offset)
                    .bytes(4, &piece.sha256)
                    .bytes(5, &piece.bytes);
                POLICY
            }
            Self::Bye { why } => {
                m.text(1, clipped(why));
                BYE
            }
        };
        put_message(out, kind, &m.finish());
    }
}

/// The fields of any message of this direction, by number: numbers, a session, texts, a digest, bytes.
#[derive(Default)]
struct Fields {
    session: Option<SessionId>,
    numbers: [u64; 4],
    texts: [String; 5],
    sha256: Option<[u8; 32]>,
    bytes: Vec<u8>,
}

/// Which fields a kind has, by number: `s` a session, `n` a number, `t` a text, `d` a
/// digest, `b` bytes.
fn shape(kind: u8) -> Option<&'static [u8]> {
    match kind {
        WELCOME | BUSY => Some(b"nt"),
        RECEIVED | PONG => Some(b"n"),
        STORED => Some(b"snd"),
        FOLLOW => Some(b"sn"),
        PROBLEM => Some(b"snnnt"),
        END => Some(b"stt"),
        BYE => Some(b"t"),
        POLICY => Some(b"nnndb"),
        _ => None,
    }
}

impl Fields {
    fn read(body: &[u8], shape: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Self::default();
        let mut reader = MessageReader::new(body);
        while let Some((number, field)) = reader.next_field()? {
            let at = usize::try_from(number).unwrap_or(0).saturating_sub(1);
            fields.take(at, shape.get(at).copied(), field)?;
        }
        if shape.first() == Some(&b's') && fields.session.is_none() {
            return Err(Malformed("a message without its session".to_owned()));
        }
        Ok(fields)
    }

    fn take(&mut self, at: usize, shape: Option<u8>, field: Field<'_>) -> Result<(), Malformed> {
        match shape {
            Some(b's') => {
                let id = field.array("a message's session")?;
                self.session = Some(SessionId::from_bytes(id));
            }
            Some(b'n') => {
                let number = field.uint("a message's number")?;
                if let Some(slot) = self.numbers.get_mut(at) {
                    *slot = number;
                }
            }
            Some(b't') => {
                let text = bounded_text(field, "a message's text")?;
                if let Some(slot) = self.texts.get_mut(at) {
                    *slot = text;
                }
            }
            Some(b'd') => self.sha256 = Some(field.array("a message's digest")?),
            Some(b'b') => self.bytes = field.bytes("a message's bytes")?.to_owned(),
            _ => {}
        }
        Ok(())
    }
}

fn no_digest() -> Malformed {
    Malformed("a policy without its digest".to_owned())
}

fn small(number: u64) -> Result<u32, Malformed> {
    u32::try_from(number).map_err(|_| Malformed("a number beyond 32 bits".to_owned()))
}

fn problem(session: SessionId, numbers: [u64; 4], why: String) -> Result<Problem, Malformed> {
    let [_, kind, segment, index] = numbers;
    let kind = match kind {
        1 => ProblemKind::Retry,
        2 => ProblemKind::Conflict,
        // A kind to come is at least no reason to send the session on.
        _ => ProblemKind::Refused,
    };
    Ok(Problem {
        session,
        kind,
        at: Spot {
            segment: small(segment)?,
            place: place_of(small(index)?),
        },
        why,
    })
}

impl Message for Down {
    fn decode(kind: u8, body: &[u8]) -> Result<Option<Self>, Malformed> {
        let Some(shape) = shape(kind) else {
            return Ok(None);
        };
        let fields = Fields::read(body, shape)?;
        let session = fields.session.unwrap_or(SessionId::from_bytes([0; 16]));
        let [first, second, third, ..] = fields.numbers;
        let [text_1, text_2, text_3, _, text_5] = fields.texts;
        Ok(Some(match kind {
            WELCOME => Self::Welcome {
                version: first,
                software: text_2,
            },
            RECEIVED => Self::Received { ordinal: first },
            STORED => Self::Stored(Stored {
                session,
                segment: small(second)?,
                digest: fields.sha256,
            }),
            PROBLEM => Self::Problem(problem(session, fields.numbers, text_5)?),
            BUSY => Self::Busy {
                pause_ms: first,
                why: text_2,
            },
            FOLLOW => Self::Follow {
                session,
                on: second != 0,
            },
            END => Self::End {
                session,
                reason: text_2,
                by: text_3,
            },
            PONG => Self::Pong(first),
            POLICY => Self::Policy(PolicyPiece {
                version: first,
                total_bytes: second,
                offset: third,
                sha256: fields.sha256.ok_or_else(no_digest)?,
                bytes: fields.bytes,
            }),
            _ => Self::Bye { why: text_1 },
        }))
    }

    fn too_long(_kind: u8, _first: &[u8], _body_bytes: u32) -> Option<Self> {
        None
    }

    fn body_bytes_max(kind: u8) -> Option<usize> {
        shape(kind).map(|_| BODY_BYTES_MAX)
    }
}
