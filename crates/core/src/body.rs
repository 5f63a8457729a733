//! How the body of an event is written and read: one kind byte, and a message or plain bytes.

mod policy;

use self::policy::{decode_policy, encode_policy};
use crate::event::{Body, End, Fact, Gap, Stream};
use crate::fields::{Fields, Value};
use crate::id::SessionId;
use crate::limits::{FIELDS_MAX, VALUE_DEPTH_MAX};
use crate::policy::Policy;
use crate::session::{ClockQuality, Session};
use crate::wire::{Field, Malformed, MessageReader, MessageWriter, malformed, unzigzag, zigzag};

/// Kind bytes of the families, as in `formats/segment.md`.
pub mod kind {
    #![allow(missing_docs)] // each is the family of its name
    pub const START: u8 = 0x01;
    pub const AUTH: u8 = 0x02;
    pub const CHANNEL: u8 = 0x03;
    pub const COMMAND: u8 = 0x04;
    pub const FILE: u8 = 0x05;
    pub const NETWORK: u8 = 0x06;
    pub const PROCESS: u8 = 0x07;
    pub const TRANSFER: u8 = 0x08;
    pub const REQUEST: u8 = 0x09;
    pub const ADMIN: u8 = 0x0a;
    pub const CLOCK: u8 = 0x0b;
    pub const MARK: u8 = 0x0c;
    pub const GAP: u8 = 0x0d;
    pub const END: u8 = 0x0e;
    pub const RESIZE: u8 = 0x0f;
    pub const OUTPUT: u8 = 0x10;
    pub const STDOUT: u8 = 0x11;
    pub const STDERR: u8 = 0x12;
    pub const STDIN: u8 = 0x13;
    pub const KEYSTROKES: u8 = 0x14;
}

/// The kind byte of a stream's data.
#[must_use]
pub fn stream_kind(stream: Stream) -> u8 {
    match stream {
        Stream::Output => kind::OUTPUT,
        Stream::Stdout => kind::STDOUT,
        Stream::Stderr => kind::STDERR,
        Stream::Stdin => kind::STDIN,
        Stream::Keystrokes => kind::KEYSTROKES,
    }
}

/// The stream whose data has this kind byte.
#[must_use]
pub fn stream_of(kind: u8) -> Option<Stream> {
    Stream::ALL.into_iter().find(|s| stream_kind(*s) == kind)
}

/// Appends the encoded body to `out` and answers its kind byte.
pub fn encode(body: &Body, out: &mut Vec<u8>) -> u8 {
    let (kind, message) = match body {
        Body::Data { stream, bytes } => {
            out.extend_from_slice(bytes);
            return stream_kind(*stream);
        }
        Body::Unknown { kind, bytes } => {
            out.extend_from_slice(bytes);
            return *kind;
        }
        Body::Start(session) => (kind::START, encode_session(session)),
        Body::Auth(fact) => (kind::AUTH, encode_fact(fact)),
        Body::Channel(fact) => (kind::CHANNEL, encode_fact(fact)),
        Body::Command(fact) => (kind::COMMAND, encode_fact(fact)),
        Body::File(fact) => (kind::FILE, encode_fact(fact)),
        Body::Network(fact) => (kind::NETWORK, encode_fact(fact)),
        Body::Process(fact) => (kind::PROCESS, encode_fact(fact)),
        Body::Transfer(fact) => (kind::TRANSFER, encode_fact(fact)),
        Body::Request(fact) => (kind::REQUEST, encode_fact(fact)),
        Body::Admin(fact) => (kind::ADMIN, encode_fact(fact)),
        Body::Clock {
            utc_ns,
            quality,
            reason,
        } => {
            let mut m = MessageWriter::new();
            m.uint(1, *utc_ns)
                .uint(2, clock_code(*quality))
                .text(3, reason);
            (kind::CLOCK, m.finish())
        }
        Body::Mark { label } => {
            let mut m = MessageWriter::new();
            m.text(1, label);
            (kind::MARK, m.finish())
        }
        Body::Gap(gap) => (kind::GAP, encode_gap(gap)),
        Body::End(end) => (kind::END, encode_end(end)),
        Body::Resize { cols, rows } => {
            let mut m = MessageWriter::new();
            m.uint(1, u64::from(*cols)).uint(2, u64::from(*rows));
            (kind::RESIZE, m.finish())
        }
    };
    out.extend_from_slice(&message);
    kind
}

/// Reads a body of this kind. An unknown kind is not an error: it is carried as it is.
///
/// # Errors
/// When the bytes are no message of that kind.
pub fn decode(kind: u8, bytes: &[u8]) -> Result<Body, Malformed> {
    if let Some(stream) = stream_of(kind) {
        if bytes.is_empty() {
            return malformed("data without a byte");
        }
        return Ok(Body::Data {
            stream,
            bytes: bytes.to_owned(),
        });
    }
    Ok(match kind {
        kind::START => Body::Start(Box::new(decode_session(bytes)?)),
        kind::AUTH => Body::Auth(decode_fact(bytes)?),
        kind::CHANNEL => Body::Channel(decode_fact(bytes)?),
        kind::COMMAND => Body::Command(decode_fact(bytes)?),
        kind::FILE => Body::File(decode_fact(bytes)?),
        kind::NETWORK => Body::Network(decode_fact(bytes)?),
        kind::PROCESS => Body::Process(decode_fact(bytes)?),
        kind::TRANSFER => Body::Transfer(decode_fact(bytes)?),
        kind::REQUEST => Body::Request(decode_fact(bytes)?),
        kind::ADMIN => Body::Admin(decode_fact(bytes)?),
        kind::CLOCK => decode_clock(bytes)?,
        kind::MARK => decode_mark(bytes)?,
        kind::GAP => Body::Gap(decode_gap(bytes)?),
        kind::END => Body::End(decode_end(bytes)?),
        kind::RESIZE => decode_resize(bytes)?,
        _ => Body::Unknown {
            kind,
            bytes: bytes.to_owned(),
        },
    })
}

/// Calls `each` for every field; a field that `each` does not know it ignores (later versions may
/// add fields, never change one).
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

fn clock_code(quality: ClockQuality) -> u64 {
    match quality {
        ClockQuality::Unknown => 0,
        ClockQuality::Synchronised => 1,
        ClockQuality::Unsynchronised => 2,
    }
}

fn clock_quality(code: u64) -> ClockQuality {
    match code {
        1 => ClockQuality::Synchronised,
        2 => ClockQuality::Unsynchronised,
        _ => ClockQuality::Unknown,
    }
}

fn decode_clock(bytes: &[u8]) -> Result<Body, Malformed> {
    let (mut utc_ns, mut quality, mut reason) = (0, ClockQuality::Unknown, String::new());
    fields(bytes, |number, field| {
        match number {
            1 => utc_ns = field.uint("clock.utc_ns")?,
            2 => quality = clock_quality(field.uint("clock.quality")?),
            3 => reason = field.text("clock.reason")?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(Body::Clock {
        utc_ns,
        quality,
        reason,
    })
}

fn decode_mark(bytes: &[u8]) -> Result<Body, Malformed> {
    let mut label = String::new();
    fields(bytes, |number, field| {
        if number == 1 {
            label = field.text("mark.label")?;
        }
        Ok(())
    })?;
    Ok(Body::Mark { label })
}

fn decode_resize(bytes: &[u8]) -> Result<Body, Malformed> {
    let (mut cols, mut rows) = (0u64, 0u64);
    fields(bytes, |number, field| {
        match number {
            1 => cols = field.uint("resize.cols")?,
            2 => rows = field.uint("resize.rows")?,
            _ => {}
        }
        Ok(())
    })?;
    match (u16::try_from(cols), u16::try_from(rows)) {
        (Ok(cols), Ok(rows)) => Ok(Body::Resize { cols, rows }),
        _ => malformed(format!("resize: {cols}x{rows} is larger than 65535x65535")),
    }
}

fn encode_gap(gap: &Gap) -> Vec<u8> {
    let mut m = MessageWriter::new();
    m.text(1, &gap.cause).uint(2, gap.from_ns);
    for (number, value) in [(3, gap.events), (4, gap.bytes), (5, gap.bytes_max)] {
        if let Some(value) = value {
            m.uint(number, value);
        }
    }
    m.finish()
}

fn decode_gap(bytes: &[u8]) -> Result<Gap, Malformed> {
    let mut gap = Gap::default();
    fields(bytes, |number, field| {
        match number {
            1 => gap.cause = field.text("gap.cause")?,
            2 => gap.from_ns = field.uint("gap.from_ns")?,
            3 => gap.events = Some(field.uint("gap.events")?),
            4 => gap.bytes = Some(field.uint("gap.bytes")?),
            5 => gap.bytes_max = Some(field.uint("gap.bytes_max")?),
            _ => {}
        }
        Ok(())
    })?;
    Ok(gap)
}

fn encode_end(end: &End) -> Vec<u8> {
    let mut m = MessageWriter::new();
    m.text(1, &end.reason);
    if let Some(status) = end.exit_status {
        m.uint(2, u64::from(status));
    }
    if let Some(signal) = &end.signal {
        m.bytes(3, signal.as_bytes());
    }
    m.finish()
}

fn decode_end(bytes: &[u8]) -> Result<End, Malformed> {
    let mut end = End::default();
    fields(bytes, |number, field| {
        match number {
            1 => end.reason = field.text("end.reason")?,
            2 => match u8::try_from(field.uint("end.exit_status")?) {
                Ok(status) => end.exit_status = Some(status),
                Err(_) => return malformed("end.exit_status: larger than 255"),
            },
            3 => end.signal = Some(field.text("end.signal")?),
            _ => {}
        }
        Ok(())
    })?;
    Ok(end)
}

fn encode_value(value: &Value) -> Vec<u8> {
    let mut m = MessageWriter::new();
    match value {
        Value::Text(text) => m.bytes(1, text.as_bytes()),
        Value::Bytes(bytes) => m.bytes(2, bytes),
        Value::Uint(n) => m.uint(3, *n),
        Value::Int(n) => m.uint(4, zigzag(*n)),
        Value::Bool(b) => m.uint(5, u64::from(*b)),
        Value::List(list) => {
            let mut inner = MessageWriter::new();
            for value in list {
                inner.bytes(1, &encode_value(value));
            }
            m.bytes(6, &inner.finish())
        }
    };
    m.finish()
}

fn decode_value(bytes: &[u8], depth: usize) -> Result<Value, Malformed> {
    let mut reader = MessageReader::new(bytes);
    let Some((number, field)) = reader.next_field()? else {
        return malformed("value: empty");
    };
    let value = match number {
        1 => Value::Text(field.text("value")?),
        2 => Value::Bytes(field.bytes("value")?.to_owned()),
        3 => Value::Uint(field.uint("value")?),
        4 => Value::Int(unzigzag(field.uint("value")?)),
        5 => match field.uint("value")? {
            0 => Value::Bool(false),
            1 => Value::Bool(true),
            _ => return malformed("value: a truth value is 0 or 1"),
        },
        6 if depth >= VALUE_DEPTH_MAX => {
            return malformed(format!("value: lists nested deeper than {VALUE_DEPTH_MAX}"));
        }
        6 => {
            let mut list = Vec::new();
            fields(field.bytes("value")?, |number, element| {
                if number != 1 {
                    return malformed(format!(
                        "value: a list's elements are field 1, not {number}"
                    ));
                }
                if list.len() >= FIELDS_MAX {
                    return malformed(format!("value: more than {FIELDS_MAX} elements"));
                }
                list.push(decode_value(element.bytes("element")?, depth + 1)?);
                Ok(())
            })?;
            Value::List(list)
        }
        other => return malformed(format!("value: type {other} is not known")),
    };
    match reader.next_field()? {
        None => Ok(value),
        Some(_) => malformed("value: more than one"),
    }
}

fn encode_fields(fields: &Fields) -> Vec<u8> {
    let mut m = MessageWriter::new();
    for (name, value) in fields.iter() {
        m.bytes(1, name.as_bytes()).bytes(2, &encode_value(value));
    }
    m.finish()
}

fn decode_fields(bytes: &[u8]) -> Result<Fields, Malformed> {
    let mut out = Fields::new();
    let mut name: Option<String> = None;
    fields(bytes, |number, field| {
        match (number, name.take()) {
            (1, None) => name = Some(field.text("field name")?),
            (2, Some(name)) => {
                if out.len() >= FIELDS_MAX {
                    return malformed(format!("more than {FIELDS_MAX} fields"));
                }
                out.push(name, decode_value(field.bytes("field value")?, 0)?);
            }
            _ => return malformed("fields: names and values must alternate"),
        }
        Ok(())
    })?;
    match name {
        None => Ok(out),
        Some(name) => malformed(format!("field {name:?} has no value")),
    }
}

fn encode_fact(fact: &Fact) -> Vec<u8> {
    let mut m = MessageWriter::new();
    m.text(1, &fact.event)
        .bytes(2, &encode_fields(&fact.fields));
    m.finish()
}

fn decode_fact(bytes: &[u8]) -> Result<Fact, Malformed> {
    let mut fact = Fact {
        event: String::new(),
        fields: Fields::new(),
    };
    fields(bytes, |number, field| {
        match number {
            1 => fact.event = field.text("event")?,
            2 => fact.fields = decode_fields(field.bytes("fields")?)?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(fact)
}

fn encode_session(session: &Session) -> Vec<u8> {
    let mut m = MessageWriter::new();
    m.bytes(1, session.id.as_bytes());
    if let Some(parent) = &session.parent {
        m.bytes(2, parent.as_bytes());
    }
    m.text(3, &session.kind)
        .bytes(4, &encode_fields(&session.subject))
        .bytes(5, &encode_fields(&session.origin))
        .bytes(6, &encode_fields(&session.target))
        .uint(7, session.start_utc_ns)
        .uint(8, clock_code(session.clock))
        .bytes(9, &encode_policy(&session.policy))
        .bytes(10, &session.recorder_key)
        .text(11, &session.recorder);
    m.finish()
}

fn decode_session(bytes: &[u8]) -> Result<Session, Malformed> {
    let mut id = None;
    let mut session = Session {
        id: SessionId::from_bytes([0; 16]),
        parent: None,
        kind: String::new(),
        subject: Fields::new(),
        origin: Fields::new(),
        target: Fields::new(),
        start_utc_ns: 0,
        clock: ClockQuality::Unknown,
        policy: Policy::default(),
        recorder_key: [0; 32],
        recorder: String::new(),
    };
    fields(bytes, |number, field| {
        match number {
            1 => id = Some(SessionId::from_bytes(field.array("session.id")?)),
            2 => session.parent = Some(SessionId::from_bytes(field.array("session.parent")?)),
            3 => session.kind = field.text("session.kind")?,
            4 => session.subject = decode_fields(field.bytes("session.subject")?)?,
            5 => session.origin = decode_fields(field.bytes("session.origin")?)?,
            6 => session.target = decode_fields(field.bytes("session.target")?)?,
            7 => session.start_utc_ns = field.uint("session.start")?,
            8 => session.clock = clock_quality(field.uint("session.clock")?),
            9 => session.policy = decode_policy(field.bytes("session.policy")?)?,
            10 => session.recorder_key = field.array("session.recorder_key")?,
            11 => session.recorder = field.text("session.recorder")?,
            _ => {}
        }
        Ok(())
    })?;
    match id {
        Some(id) => Ok(Session { id, ..session }),
        None => malformed("session without id"),
    }
}
