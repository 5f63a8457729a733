//! From events to messages: what both outputs are told to write.
//!
//! A recording that was a log is written from its facts, each of which names its type. Any other
//! recording becomes the log that ContainerSSH would have made of it: one connection with one
//! session channel.

use std::mem;

use hansard_core::event::{End, Fact, Gap};
use hansard_core::{Body, Event, Fields, Session, Stream, Value};

use super::table::{Row, find, number};
use super::{field, name, size_of};
use crate::cast::{command_line, gap_label};
use crate::codec::EncodeError;
use crate::limits::{CONTAINERSSH_MESSAGE_BYTES_MAX, SCREEN_DEFAULT};

/// A message to write.
pub(super) struct Outgoing<'a> {
    pub(super) connection: &'a Value,
    pub(super) timestamp: i64,
    pub(super) row: &'static Row,
    pub(super) payload: Payload<'a>,
    pub(super) channel: Option<u64>,
    pub(super) extra: &'a [u8],
    pub(super) payload_extra: &'a [u8],
}

/// What is in it.
pub(super) enum Payload<'a> {
    /// Fields under our names.
    Fields(&'a Fields),
    /// Bytes of a stream.
    Io { stream: u64, data: &'a [u8] },
}

/// Where messages are written.
pub(super) trait Sink {
    fn begin(&mut self) -> Result<(), EncodeError>;
    fn message(&mut self, message: &Outgoing<'_>) -> Result<(), EncodeError>;
    /// A message that was kept as it is, and what their decoder would say of it.
    fn raw(&mut self, raw: &[u8], error: &str) -> Result<(), EncodeError>;
    /// Something is missing here: a message that says so, and the words.
    fn gap(&mut self, message: &Outgoing<'_>, what: &str) -> Result<(), EncodeError>;
    /// The log had a trailer that their decoder stumbles over at the end.
    fn trailer(&mut self);
    fn end(&mut self) -> Result<(), EncodeError>;
}

/// Tells a sink what to write.
pub(super) struct Script<S> {
    pub(super) sink: S,
    /// Version of the log that this was; nothing if it was none.
    version: Option<u64>,
    /// The session of any other recording, until its beginning is written.
    opening: Option<Box<Session>>,
    connection: Value,
    start_ns: u64,
    at_ns: u64,
    /// Channel of the data that follows.
    channel: Option<u64>,
    /// What else the next data's message says.
    frame: Fields,
    /// Data of which more belongs to the same message.
    joined: Vec<u8>,
    joined_stream: u64,
    /// The resize that a message just written implies.
    implied: Option<(u16, u16)>,
    requests: u64,
    disconnected: bool,
}

impl<S: Sink> Script<S> {
    pub(super) fn new(sink: S) -> Self {
        Self {
            sink,
            version: None,
            opening: None,
            connection: Value::from(""),
            start_ns: 0,
            at_ns: 0,
            channel: None,
            frame: Fields::new(),
            joined: Vec::new(),
            joined_stream: 0,
            implied: None,
            requests: 0,
            disconnected: false,
        }
    }

    pub(super) fn begin(&mut self, session: &Session) -> Result<(), EncodeError> {
        self.start_ns = session.start_utc_ns;
        self.version = session.origin.get(field::VERSION).and_then(Value::as_uint);
        self.sink.begin()?;
        if self.version.is_some() {
            if let Some(id) = session.origin.get(field::CONNECTION) {
                self.connection = id.clone();
            }
            return Ok(());
        }
        let id = session.id.as_bytes().iter().map(|b| format!("{b:02x}"));
        self.connection = Value::from(id.collect::<String>());
        self.opening = Some(Box::new(session.clone()));
        self.connect(session)
    }

    pub(super) fn event(&mut self, event: &Event) -> Result<(), EncodeError> {
        if !matches!(event.body, Body::Data { .. }) {
            self.put_joined()?;
        }
        self.at_ns = event.at_ns.max(self.at_ns);
        let implied = self.implied.take();
        if let Body::Resize { cols, rows } = event.body {
            return match (self.opening.take(), implied) {
                (Some(session), _) => self.open(&session, Some((cols, rows))),
                (None, Some(size)) if size == (cols, rows) => Ok(()),
                _ => self.window(cols, rows),
            };
        }
        self.open_without_size()?;
        match &event.body {
            Body::Data { stream, bytes } => self.data(*stream, bytes),
            Body::Gap(gap) => self.gap(gap),
            Body::End(end) => self.end_session(end),
            Body::Auth(fact) | Body::Channel(fact) | Body::Command(fact) | Body::Network(fact) => {
                self.fact(fact)
            }
            _ => Ok(()),
        }
    }

    pub(super) fn end(&mut self) -> Result<(), EncodeError> {
        self.put_joined()?;
        self.open_without_size()?;
        self.sink.end()
    }

    fn timestamp(&self) -> i64 {
        i64::try_from(self.start_ns.saturating_add(self.at_ns)).unwrap_or(i64::MAX)
    }

    /// Writes a message of our own making.
    fn say(&mut self, kind: u64, channel: Option<u64>, fields: Fields) -> Result<(), EncodeError> {
        let Some(row) = find(kind) else {
            return Ok(());
        };
        self.sink.message(&Outgoing {
            connection: &self.connection,
            timestamp: self.timestamp(),
            row,
            payload: Payload::Fields(&fields),
            channel,
            extra: &[],
            payload_extra: &[],
        })
    }

    /// The same, a numbered request in the session channel.
    fn request(&mut self, kind: u64, fields: Fields) -> Result<(), EncodeError> {
        let fields = fields.with("requestId", self.requests);
        self.requests = self.requests.saturating_add(1);
        self.say(kind, Some(0), fields)
    }

    fn connect(&mut self, session: &Session) -> Result<(), EncodeError> {
        let mut fields = Fields::new().with("country", "XX");
        if let Some(address) = session.origin.get("addr.remote") {
            fields.push("addr.remote", address.clone());
        }
        self.say(number::CONNECT, None, fields)?;
        let subject = &session.subject;
        let mut fields = Fields::new();
        if let Some(user) = subject.get("login").or(subject.get("user")) {
            fields.push("user", user.clone());
        }
        self.say(number::HANDSHAKE, None, fields)?;
        let fields = Fields::new().with("channelType", "session");
        self.say(number::OPENED, Some(0), fields)
    }

    fn open_without_size(&mut self) -> Result<(), EncodeError> {
        match self.opening.take() {
            Some(session) => self.open(&session, None),
            None => Ok(()),
        }
    }

    /// The session channel of a recording that was no log: terminal, environment, program.
    fn open(&mut self, session: &Session, size: Option<(u16, u16)>) -> Result<(), EncodeError> {
        self.channel = Some(0);
        if session.kind == "terminal" || size.is_some() {
            let (cols, rows) = size.unwrap_or(SCREEN_DEFAULT);
            let term = session.origin.get("term");
            let term = term.or(session.target.get("env.TERM")).cloned();
            let fields = sized(cols, rows)
                .with("term", term.unwrap_or(Value::from("")))
                .with("modelist", Value::Bytes(Vec::new()));
            self.request(number::PTY, fields)?;
        }
        for (name, value) in session.target.iter() {
            if let Some(name) = name.strip_prefix("env.") {
                let fields = Fields::new()
                    .with("name", name)
                    .with("value", value.clone());
                self.request(number::ENV, fields)?;
            }
        }
        let command = match session.target.get("command") {
            Some(command) => Some(command.clone()),
            None => command_line(session).map(Value::from),
        };
        match command {
            Some(command) => self.request(number::EXEC, Fields::new().with("command", command)),
            None => self.request(number::SHELL, Fields::new()),
        }
    }

    fn window(&mut self, cols: u16, rows: u16) -> Result<(), EncodeError> {
        self.request(number::WINDOW, sized(cols, rows))
    }

    fn data(&mut self, stream: Stream, data: &[u8]) -> Result<(), EncodeError> {
        let stream = match stream {
            Stream::Stdin | Stream::Keystrokes => 0,
            Stream::Output | Stream::Stdout => 1,
            Stream::Stderr => 2,
        };
        let whole = self.frame.get(field::BYTES).and_then(Value::as_uint);
        let whole = whole.map_or(0, |n| usize::try_from(n).unwrap_or(usize::MAX));
        if self.joined_stream != stream {
            self.put_joined()?;
        }
        if self.joined.is_empty() && data.len() >= whole {
            return self.io(stream, data);
        }
        self.joined_stream = stream;
        self.joined.extend_from_slice(data);
        if self.joined.len() >= whole.min(CONTAINERSSH_MESSAGE_BYTES_MAX) {
            self.put_joined()?;
        }
        Ok(())
    }

    /// Writes data that was waiting for more of its message, however much there is.
    fn put_joined(&mut self) -> Result<(), EncodeError> {
        if self.joined.is_empty() {
            return Ok(());
        }
        let joined = mem::take(&mut self.joined);
        self.io(self.joined_stream, &joined)
    }

    fn io(&mut self, stream: u64, data: &[u8]) -> Result<(), EncodeError> {
        let Some(row) = find(number::IO) else {
            return Ok(());
        };
        let frame = mem::take(&mut self.frame);
        self.framed(row, Payload::Io { stream, data }, self.channel, &frame)
    }

    /// Writes a message with what is said of its frame.
    fn framed(
        &mut self,
        row: &'static Row,
        payload: Payload<'_>,
        channel: Option<u64>,
        frame: &Fields,
    ) -> Result<(), EncodeError> {
        let timestamp = match frame.get(field::TIMESTAMP) {
            Some(Value::Int(n)) => *n,
            Some(Value::Uint(n)) => i64::try_from(*n).unwrap_or(i64::MAX),
            _ => self.timestamp(),
        };
        self.sink.message(&Outgoing {
            connection: frame.get(field::CONNECTION).unwrap_or(&self.connection),
            timestamp,
            row,
            payload,
            channel,
            extra: bytes_of(frame, field::EXTRA),
            payload_extra: bytes_of(frame, field::PAYLOAD_EXTRA),
        })
    }

    fn fact(&mut self, fact: &Fact) -> Result<(), EncodeError> {
        let fields = &fact.fields;
        let kind = fields.get(field::TYPE);
        if let Some(Value::Bytes(raw)) = fields.get(field::RAW) {
            let error = match (fact.event.as_str(), kind) {
                (name::UNKNOWN, Some(Value::Uint(n))) => format!("invalid message type: {n}"),
                (name::UNKNOWN, Some(Value::Int(n))) => format!("invalid message type: {n}"),
                _ => fields.text("error").unwrap_or("no message").to_owned(),
            };
            return self.sink.raw(raw, &error);
        }
        let channel = fields.get(field::CHANNEL).and_then(Value::as_uint);
        match (kind.and_then(Value::as_uint).and_then(find), &*fact.event) {
            (Some(row), _) => {
                self.disconnected |= row.number == number::DISCONNECT;
                if matches!(row.number, number::PTY | number::WINDOW) {
                    self.implied = size_of(fields);
                }
                self.framed(row, Payload::Fields(fields), channel, fields)
            }
            (None, name::DATA) if self.version.is_some() => {
                self.channel = channel;
                self.frame = fields.clone();
                Ok(())
            }
            (None, name::TRAILER) => {
                // Their reader of version 1 stops before it gets there.
                if self.version == Some(2) {
                    self.sink.trailer();
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn gap(&mut self, gap: &Gap) -> Result<(), EncodeError> {
        let Some(row) = find(number::GLOBAL_UNKNOWN) else {
            return Ok(());
        };
        let label = gap_label(gap);
        let what = match self.version {
            Some(_) => &gap.cause,
            None => &label,
        };
        let fields = Fields::new().with("requestType", label.as_str());
        let message = Outgoing {
            connection: &self.connection,
            timestamp: self.timestamp(),
            row,
            payload: Payload::Fields(&fields),
            channel: None,
            extra: &[],
            payload_extra: &[],
        };
        self.sink.gap(&message, what)
    }

    fn end_session(&mut self, end: &End) -> Result<(), EncodeError> {
        let told = mem::replace(&mut self.disconnected, true);
        // The end of what was such a log is a disconnect of its own, however many stand before it.
        if told && self.version.is_none() {
            return Ok(());
        }
        if self.version.is_none() {
            match (&end.signal, end.exit_status) {
                (Some(signal), _) => {
                    let fields = Fields::new().with("signal", signal.as_str());
                    self.say(number::EXIT_SIGNAL, Some(0), fields)?;
                }
                (None, Some(status)) => {
                    let fields = Fields::new().with("exitStatus", u64::from(status));
                    self.say(number::EXIT, Some(0), fields)?;
                }
                (None, None) => {}
            }
            self.say(number::CLOSE, Some(0), Fields::new())?;
        }
        self.say(number::DISCONNECT, None, Fields::new())
    }
}

fn sized(cols: u16, rows: u16) -> Fields {
    Fields::new()
        .with("columns", u64::from(cols))
        .with("rows", u64::from(rows))
}

fn bytes_of<'a>(fields: &'a Fields, name: &str) -> &'a [u8] {
    match fields.get(name) {
        Some(Value::Bytes(bytes)) => bytes,
        _ => &[],
    }
}
