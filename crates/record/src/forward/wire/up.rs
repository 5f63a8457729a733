//! What a host says to a service.

use hansard_core::SessionId;
use hansard_core::frame::Part;
use hansard_core::wire::{Malformed, MessageReader, MessageWriter};

use super::{
    BODY_BYTES_MAX, InForce, LIVE_SESSIONS_MAX, Message, OtherVersion, PART_BYTES_MAX,
    PART_HEAD_BYTES, VERSION, bounded_text, clipped, index_of, part_from, part_head, put_message,
};
use crate::order::Spot;

const HELLO: u8 = 0x01;
const PART: u8 = 0x02;
const PING: u8 = 0x03;
const IN_FORCE: u8 = 0x04;

/// The first message of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Version of the transport that the host speaks.
    pub version: u64,
    /// Program and version, for people: `hansardd 0.1.0`.
    pub software: String,
    /// Sessions that are being recorded; at most [`LIVE_SESSIONS_MAX`].
    pub live: Vec<SessionId>,
}

impl Hello {
    /// Of this version.
    #[must_use]
    pub fn new(software: &str, live: Vec<SessionId>) -> Self {
        Self {
            version: VERSION,
            software: software.to_owned(),
            live,
        }
    }

    /// Whether the two can go on.
    ///
    /// # Errors
    /// When the versions differ.
    pub fn check(&self) -> Result<(), OtherVersion> {
        match self.version {
            VERSION => Ok(()),
            theirs => Err(OtherVersion {
                ours: VERSION,
                theirs,
            }),
        }
    }

    fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let (mut version, mut software, mut live) = (0, String::new(), Vec::new());
        let mut reader = MessageReader::new(body);
        while let Some((number, field)) = reader.next_field()? {
            match number {
                1 => version = field.uint("hello.version")?,
                2 => software = bounded_text(field, "hello.software")?,
                3 => {
                    let bytes = field.bytes("hello.live")?;
                    let (ids, rest) = bytes.as_chunks::<16>();
                    if !rest.is_empty() || ids.len() > LIVE_SESSIONS_MAX {
                        return Err(Malformed("hello.live: not a list of sessions".to_owned()));
                    }
                    live = ids.iter().map(|id| SessionId::from_bytes(*id)).collect();
                }
                _ => {}
            }
        }
        Ok(Self {
            version,
            software,
            live,
        })
    }
}

/// What a host says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Up {
    /// Who speaks, and which version. Comes first, and once.
    Hello(Hello),
    /// A frame or a seal. The first has ordinal 1 of its connection, the next 2, and so on.
    Part(Part),
    /// A part that claims to be longer than [`PART_BYTES_MAX`]; it was skipped, and has an ordinal
    /// all the same. Never written.
    TooLong {
        /// Whose it claims to be.
        session: SessionId,
        /// Where it claims to stand.
        spot: Spot,
        /// How long it claims to be, in bytes.
        bytes: u32,
    },
    /// Is anybody there? Answered with the same number.
    Ping(u64),
    /// Which policy decides on this host. Said after the hello and at every change.
    InForce(InForce),
}

impl Up {
    /// Appends the message to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Hello(hello) => {
                let live: Vec<u8> = hello
                    .live
                    .iter()
                    .take(LIVE_SESSIONS_MAX)
                    .flat_map(|id| *id.as_bytes())
                    .collect();
                let mut m = MessageWriter::new();
                m.uint(1, hello.version).text(2, clipped(&hello.software));
                if !live.is_empty() {
                    m.bytes(3, &live);
                }
                put_message(out, HELLO, &m.finish());
            }
            Self::Part(part) => encode_part(out, part),
            Self::TooLong { .. } => {}
            Self::Ping(number) => {
                let mut m = MessageWriter::new();
                m.uint(1, *number);
                put_message(out, PING, &m.finish());
            }
            Self::InForce(now) => {
                let mut m = MessageWriter::new();
                m.uint(1, now.version).bytes(2, &now.sha256);
                if !now.trouble.is_empty() {
                    m.text(3, clipped(&now.trouble));
                }
                put_message(out, IN_FORCE, &m.finish());
            }
        }
    }
}

/// Appends a part to `out`, without a copy of it in between.
pub(crate) fn encode_part(out: &mut Vec<u8>, part: &Part) {
    let record = part.bytes();
    let length = u32::try_from(record.len().saturating_add(PART_HEAD_BYTES)).unwrap_or(u32::MAX);
    out.push(PART);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(part.session().as_bytes());
    out.extend_from_slice(&part.segment().to_le_bytes());
    out.extend_from_slice(&index_of(part.place()).to_le_bytes());
    out.extend_from_slice(record);
}

impl Message for Up {
    fn decode(kind: u8, body: &[u8]) -> Result<Option<Self>, Malformed> {
        match kind {
            HELLO => Hello::decode(body).map(|hello| Some(Self::Hello(hello))),
            PART => {
                let (session, spot, record) = part_head(body)?;
                let part = part_from(session, spot, record.to_vec());
                Ok(Some(Self::Part(part)))
            }
            PING => {
                let mut reader = MessageReader::new(body);
                let mut number = 0;
                while let Some((field_number, field)) = reader.next_field()? {
                    if field_number == 1 {
                        number = field.uint("ping.number")?;
                    }
                }
                Ok(Some(Self::Ping(number)))
            }
            IN_FORCE => {
                let mut reader = MessageReader::new(body);
                let mut now = InForce::default();
                while let Some((number, field)) = reader.next_field()? {
                    match number {
                        1 => now.version = field.uint("in_force.version")?,
                        2 => now.sha256 = field.array("in_force.sha256")?,
                        3 => now.trouble = bounded_text(field, "in_force.trouble")?,
                        _ => {}
                    }
                }
                Ok(Some(Self::InForce(now)))
            }
            _ => Ok(None),
        }
    }

    fn too_long(kind: u8, first: &[u8], body_bytes: u32) -> Option<Self> {
        let (session, spot, _) = part_head(first).ok().filter(|_| kind == PART)?;
        Some(Self::TooLong {
            session,
            spot,
            bytes: body_bytes,
        })
    }

    fn body_bytes_max(kind: u8) -> Option<usize> {
        match kind {
            HELLO | PING | IN_FORCE => Some(BODY_BYTES_MAX),
            PART => Some(PART_BYTES_MAX + PART_HEAD_BYTES),
            _ => None,
        }
    }
}
