//! What is said on the capture socket, and how it is written.

use hansard_core::Session;
use hansard_core::body;
use hansard_core::event::{Body, End, Stream};
use hansard_core::wire::{Field, Malformed, MessageReader, MessageWriter};

use crate::handoff::VERSION;

/// Kind bytes, as in `formats/handoff.md`.
mod kind {
    pub(super) const OPEN: u8 = 0x01;
    pub(super) const DATA: u8 = 0x02;
    pub(super) const EVENT: u8 = 0x03;
    pub(super) const FLUSH: u8 = 0x04;
    pub(super) const CLOSE: u8 = 0x05;
    pub(super) const LOGIN: u8 = 0x06;
    pub(super) const CHANGED: u8 = 0x07;
    pub(super) const YIELD: u8 = 0x08;
    pub(super) const STARTED: u8 = 0x09;
    pub(super) const PROBE: u8 = 0x0a;
    pub(super) const OPENED: u8 = 0x81;
    pub(super) const REFUSED: u8 = 0x82;
    pub(super) const DURABLE: u8 = 0x83;
    pub(super) const CLOSED: u8 = 0x84;
    pub(super) const LOST: u8 = 0x85;
    pub(super) const END: u8 = 0x86;
    pub(super) const GRANTED: u8 = 0x87;
    pub(super) const DRAINED: u8 = 0x88;
    pub(super) const YIELDED: u8 = 0x89;
    pub(super) const READY: u8 = 0x8a;
    pub(super) const AGAIN: u8 = 0x8b;
}

/// From the program to the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromClient<'a> {
    /// The first message, and only the first.
    Open(Open),
    /// Bytes of a stream, at least one.
    Data {
        /// Which.
        stream: Stream,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// Any other event; its time is when it comes.
    Event(Body),
    /// To be answered with `Durable` and this number once everything before is durable.
    Flush(u64),
    /// The last message.
    Close(End),
    /// The first message, and only the first, of a login: its standard input, output and error come
    /// with it, for the daemon to hold.
    Login(Login),
    /// The terminal may have another size, or is ours again after a stop.
    Changed,
    /// The login is about to be stopped: the terminal's modes are to be put back until `Changed`.
    /// Answered with `Yielded`.
    Yield,
    /// The login's program runs as this process.
    Started(u64),
    /// The first message, and the only one: whether a login would be served. Answered with `Ready`
    /// or `Refused`.
    Probe,
}

/// How a login introduces itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// [`VERSION`].
    pub version: u64,
    /// What it says of itself, as in [`Open`]: all of it claims.
    pub claims: Box<Session>,
}

/// What a login is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// The header of its recording; none where the policy does not record this user: the login
    /// goes on with what it has, and no descriptors come.
    pub session: Option<Box<Session>>,
    /// The user's shell, an absolute path.
    pub shell: Vec<u8>,
    /// Which of the three descriptors that come with this is its controlling terminal: 0, 1 or 2.
    pub terminal: Option<u64>,
}

/// How a program introduces its session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// [`VERSION`].
    pub version: u64,
    /// What the program says: kind, origin, target, and in `policy` which switches it wishes.
    /// All of it claims; id, times, key and subject are not looked at.
    pub claims: Box<Session>,
}

/// From the daemon to the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromDaemon {
    /// The session is recorded from now on.
    Opened(Opened),
    /// It is not; why, in words. The connection ends.
    Refused(String),
    /// Everything before this flush is durable.
    Durable(u64),
    /// The recording is complete and durable. The connection ends.
    Closed(Closed),
    /// The recording failed; why, in words. The program must end its session. The connection ends.
    Lost(String),
    /// Somebody ends the session: the program must end it, and then close as ever.
    End {
        /// Why, in words.
        reason: String,
        /// Who.
        by: String,
    },
    /// The login may begin. Its standard input, output and error come with it.
    Granted(Granted),
    /// Everything that the login's program had written when it ended has been delivered, and the
    /// terminal is what it was before.
    Drained {
        /// Which streams could not be passed on, and why, in words; empty if none.
        fault: String,
    },
    /// The terminal's modes are what they were before.
    Yielded,
    /// Logins are served here. The connection ends.
    Ready,
    /// Another daemon holds the login now: what was said last may not have been heard, and is to be
    /// said again (`Started`, `Changed`, `Close` where the program has ended, `Yield` where that is
    /// waited for).
    Again,
}

/// The answer to [`Open`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The header of the recording: its id, and the policy in force.
    pub session: Box<Session>,
    /// What the user is to be told; may be empty.
    pub notice: String,
}

/// What a recording came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Closed {
    /// Gaps in it.
    pub gaps: u64,
    /// Bytes of data that are missing in them.
    pub missing_bytes: u64,
    /// Bytes of its frames and seals.
    pub stored_bytes: u64,
}

/// Appends a message: its length, its kind, and what `body` appends.
fn put(out: &mut Vec<u8>, kind: u8, body: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    out.push(kind);
    body(out);
    let length = out.len().saturating_sub(at).saturating_sub(4);
    let length = u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    for (to, byte) in out.iter_mut().skip(at).zip(length) {
        *to = byte;
    }
}

fn put_fields(out: &mut Vec<u8>, kind: u8, fields: impl FnOnce(&mut MessageWriter)) {
    let mut m = MessageWriter::new();
    fields(&mut m);
    put(out, kind, |out| out.extend_from_slice(&m.finish()));
}

fn header(session: &Session) -> Vec<u8> {
    let mut out = Vec::new();
    body::encode(&Body::Start(Box::new(session.clone())), &mut out);
    out
}

/// Appends data without a copy in between.
pub(crate) fn put_data(out: &mut Vec<u8>, stream: Stream, bytes: &[u8]) {
    put(out, kind::DATA, |out| {
        out.push(body::stream_kind(stream));
        out.extend_from_slice(bytes);
    });
}

impl FromClient<'_> {
    /// Appends it to `out`, with its length before it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Open(open) => put_fields(out, kind::OPEN, |m| {
                m.uint(1, open.version).bytes(2, &header(&open.claims));
            }),
            Self::Data { stream, bytes } => put_data(out, *stream, bytes),
            Self::Event(event) => put(out, kind::EVENT, |out| {
                let mut encoded = Vec::new();
                out.push(body::encode(event, &mut encoded));
                out.extend_from_slice(&encoded);
            }),
            Self::Flush(number) => put_fields(out, kind::FLUSH, |m| {
                m.uint(1, *number);
            }),
            Self::Close(end) => put(out, kind::CLOSE, |out| {
                body::encode(&Body::End(end.clone()), out);
            }),
            Self::Login(login) => put_fields(out, kind::LOGIN, |m| {
                m.uint(1, login.version).bytes(2, &header(&login.claims));
            }),
            Self::Changed => put(out, kind::CHANGED, |_| {}),
            Self::Yield => put(out, kind::YIELD, |_| {}),
            Self::Started(pid) => put_fields(out, kind::STARTED, |m| {
                m.uint(1, *pid);
            }),
            Self::Probe => put(out, kind::PROBE, |_| {}),
        }
    }
}

impl FromDaemon {
    /// Appends it to `out`, with its length before it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Opened(opened) => put_fields(out, kind::OPENED, |m| {
                m.bytes(1, &header(&opened.session)).text(2, &opened.notice);
            }),
            Self::Refused(why) => put_fields(out, kind::REFUSED, |m| {
                m.text(1, why);
            }),
            Self::Durable(number) => put_fields(out, kind::DURABLE, |m| {
                m.uint(1, *number);
            }),
            Self::Closed(closed) => put_fields(out, kind::CLOSED, |m| {
                m.uint(1, closed.gaps)
                    .uint(2, closed.missing_bytes)
                    .uint(3, closed.stored_bytes);
            }),
            Self::Lost(why) => put_fields(out, kind::LOST, |m| {
                m.text(1, why);
            }),
            Self::End { reason, by } => put_fields(out, kind::END, |m| {
                m.text(1, reason).text(2, by);
            }),
            Self::Granted(granted) => put_fields(out, kind::GRANTED, |m| {
                if let Some(session) = &granted.session {
                    m.bytes(1, &header(session));
                }
                m.bytes(2, &granted.shell);
                if let Some(terminal) = granted.terminal {
                    m.uint(3, terminal.saturating_add(1));
                }
            }),
            Self::Drained { fault } => put_fields(out, kind::DRAINED, |m| {
                m.text(1, fault);
            }),
            Self::Yielded => put(out, kind::YIELDED, |_| {}),
            Self::Ready => put(out, kind::READY, |_| {}),
            Self::Again => put(out, kind::AGAIN, |_| {}),
        }
    }

    /// Reads a message, its length taken off.
    ///
    /// # Errors
    /// When it is none of a daemon's.
    pub fn decode(message: &[u8]) -> Result<Self, Malformed> {
        let (kind, rest) = split(message)?;
        Ok(match kind {
            kind::OPENED => {
                let (mut session, mut notice) = (None, String::new());
                fields(rest, |number, field| {
                    match number {
                        1 => session = Some(decode_header(field.bytes("opened.session")?)?),
                        2 => notice = field.text("opened.notice")?,
                        _ => {}
                    }
                    Ok(())
                })?;
                match session {
                    Some(session) => Self::Opened(Opened { session, notice }),
                    None => return Err(Malformed("opened: no session".into())),
                }
            }
            kind::REFUSED => Self::Refused(texts(rest)?.0),
            kind::DURABLE => Self::Durable(numbers::<1>(rest)?[0]),
            kind::CLOSED => {
                let [gaps, missing_bytes, stored_bytes] = numbers(rest)?;
                Self::Closed(Closed {
                    gaps,
                    missing_bytes,
                    stored_bytes,
                })
            }
            kind::LOST => Self::Lost(texts(rest)?.0),
            kind::END => {
                let (reason, by) = texts(rest)?;
                Self::End { reason, by }
            }
            kind::GRANTED => Self::Granted(decode_granted(rest)?),
            kind::DRAINED => Self::Drained {
                fault: texts(rest)?.0,
            },
            kind::YIELDED => Self::Yielded,
            kind::READY => Self::Ready,
            kind::AGAIN => Self::Again,
            other => return Err(unknown(other)),
        })
    }
}

impl<'a> FromClient<'a> {
    /// Reads a message, its length taken off.
    ///
    /// # Errors
    /// When it is none of a program's.
    pub fn decode(message: &'a [u8]) -> Result<Self, Malformed> {
        let (kind, rest) = split(message)?;
        Ok(match kind {
            kind::OPEN => {
                let (version, claims) = decode_open(rest)?;
                Self::Open(Open { version, claims })
            }
            kind::LOGIN => {
                let (version, claims) = decode_open(rest)?;
                Self::Login(Login { version, claims })
            }
            kind::CHANGED => Self::Changed,
            kind::YIELD => Self::Yield,
            kind::PROBE => Self::Probe,
            kind::STARTED => Self::Started(numbers::<1>(rest)?[0]),
            kind::DATA => {
                let (stream, bytes) = split(rest)?;
                let Some(stream) = body::stream_of(stream) else {
                    return Err(Malformed(format!("data of no stream, {stream:#04x}")));
                };
                if bytes.is_empty() {
                    return Err(Malformed("data without a byte".into()));
                }
                Self::Data { stream, bytes }
            }
            kind::EVENT => {
                let (kind, encoded) = split(rest)?;
                Self::Event(body::decode(kind, encoded)?)
            }
            kind::FLUSH => Self::Flush(numbers::<1>(rest)?[0]),
            kind::CLOSE => match body::decode(body::kind::END, rest)? {
                Body::End(end) => Self::Close(end),
                _ => return Err(Malformed("close: no end".into())),
            },
            other => return Err(unknown(other)),
        })
    }
}

fn unknown(kind: u8) -> Malformed {
    Malformed(format!("a message of kind {kind:#04x}, which is not known"))
}

/// The first byte and the rest.
fn split(bytes: &[u8]) -> Result<(u8, &[u8]), Malformed> {
    match bytes.split_first() {
        Some((first, rest)) => Ok((*first, rest)),
        None => Err(Malformed("an empty message".into())),
    }
}

fn fields<'a>(
    bytes: &'a [u8],
    mut each: impl FnMut(u32, Field<'a>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let mut reader = MessageReader::new(bytes);
    while let Some((number, field)) = reader.next_field()? {
        each(number, field)?;
    }
    Ok(())
}

/// The numbers of the fields 1 to `N`; 0 where one is missing.
fn numbers<const N: usize>(bytes: &[u8]) -> Result<[u64; N], Malformed> {
    let mut all = [0; N];
    fields(bytes, |number, field| {
        let at = usize::try_from(number).unwrap_or(0).wrapping_sub(1);
        if let Some(slot) = all.get_mut(at) {
            *slot = field.uint("number")?;
        }
        Ok(())
    })?;
    Ok(all)
}

/// The texts of the fields 1 and 2; empty where one is missing.
fn texts(bytes: &[u8]) -> Result<(String, String), Malformed> {
    let (mut first, mut second) = (String::new(), String::new());
    fields(bytes, |number, field| {
        match number {
            1 => first = field.text("text")?,
            2 => second = field.text("text")?,
            _ => {}
        }
        Ok(())
    })?;
    Ok((first, second))
}

fn decode_header(bytes: &[u8]) -> Result<Box<Session>, Malformed> {
    match body::decode(body::kind::START, bytes)? {
        Body::Start(session) => Ok(session),
        _ => Err(Malformed("no header".into())),
    }
}

/// Another version's opening need only be understood as far as its version.
fn decode_open(bytes: &[u8]) -> Result<(u64, Box<Session>), Malformed> {
    let (mut version, mut claims) = (0, None);
    fields(bytes, |number, field| {
        match number {
            1 => version = field.uint("open.version")?,
            2 if version == VERSION => claims = Some(decode_header(field.bytes("open.claims")?)?),
            _ => {}
        }
        Ok(())
    })?;
    match claims {
        // Said twice, the last counts.
        _ if version != VERSION => Err(Malformed(format!(
            "version {version} of the handoff, where this daemon speaks version {VERSION}"
        ))),
        Some(claims) => Ok((version, claims)),
        None => Err(Malformed("open: no claims".into())),
    }
}

fn decode_granted(bytes: &[u8]) -> Result<Granted, Malformed> {
    let (mut session, mut shell, mut terminal) = (None, Vec::new(), 0);
    fields(bytes, |number, field| {
        match number {
            1 => session = Some(decode_header(field.bytes("granted.session")?)?),
            2 => shell = field.bytes("granted.shell")?.to_owned(),
            3 => terminal = field.uint("granted.terminal")?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(Granted {
        session,
        shell,
        terminal: u64::checked_sub(terminal, 1),
    })
}
