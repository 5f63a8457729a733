//! Reads a log.

use std::collections::BTreeSet;
use std::io::Read;

use hansard_core::event::{End, Fact, Gap};
use hansard_core::limits::FRAME_CUT_BYTES;
use hansard_core::{Body, Event, Fields, Stream, Value};

use super::header::{begins_session, describe};
use super::inflate::Trailer;
use super::log::Log;
use super::message::{Message, Said, is_not_utf8};
use super::table::{Row, Says, number};
use super::{field, name};
use crate::codec::{DecodeError, Decoder};
use crate::import::Import;
use crate::limits::{
    CONTAINERSSH_AHEAD_BYTES, CONTAINERSSH_AHEAD_MESSAGES, CONTAINERSSH_TERMINALS_MAX, SECONDS_MAX,
};
use crate::steps::{Ready, Steps};

/// Reads one log, which is one SSH connection, as one recording of kind `ssh`.
///
/// Every message becomes a fact that names its type, bytes of a stream become data, and a terminal
/// and its window become resizes as well. Neither an unknown type nor a text that is not UTF-8
/// hides what follows. Damage ends the reading with an error, after a `Gap` in its place.
pub struct ContainerSshDecoder<R> {
    log: Log<R>,
    import: Import,
    version: u64,
    /// Messages that are read and whose events are not made: those that the header is made from.
    ahead: Vec<Message>,
    started: bool,
    ready: Ready,
    connection: Value,
    base_ns: i64,
    at_ns: u64,
    /// The channel of the last data; nothing before the first.
    channel: Option<Option<u64>>,
    terminals: BTreeSet<u64>,
    /// A disconnect that was read: the recording's end, unless something follows it.
    disconnect: Option<Message>,
    exits: Vec<(Option<u8>, Option<String>)>,
    counts: Counts,
    notices: Vec<String>,
}

/// Messages of which something must be said.
#[derive(Debug, Default)]
struct Counts {
    messages: u64,
    unknown: u64,
    odd: u64,
    not_utf8: u64,
}

impl<R: Read> ContainerSshDecoder<R> {
    /// A decoder that reads a log from its beginning.
    pub fn new(src: R, import: Import) -> Self {
        Self {
            log: Log::new(src),
            import,
            version: 0,
            ahead: Vec::new(),
            started: false,
            ready: Ready::default(),
            connection: Value::from(""),
            base_ns: 0,
            at_ns: 0,
            channel: None,
            terminals: BTreeSet::new(),
            disconnect: None,
            exits: Vec::new(),
            counts: Counts::default(),
            notices: Vec::new(),
        }
    }

    /// Bytes that are held for what comes next.
    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        let body = |(_, body): &(u64, Body)| match body {
            Body::Data { bytes, .. } => bytes.capacity(),
            _ => 100,
        };
        self.log.held_bytes() + self.ready.iter().map(body).sum::<usize>()
    }

    /// Looks through the first messages, and makes the header and their events.
    fn start(&mut self) -> Result<(), DecodeError> {
        self.version = self.log.open()?;
        let mut bytes = 0;
        let read = loop {
            if self.ahead.len() == CONTAINERSSH_AHEAD_MESSAGES || bytes > CONTAINERSSH_AHEAD_BYTES {
                break Ok(true);
            }
            match self.log.next_message() {
                Ok(Some(message)) => {
                    let enough = begins_session(&message);
                    bytes += message.size();
                    self.ahead.push(message);
                    if enough {
                        break Ok(true);
                    }
                }
                Ok(None) => break Ok(false),
                Err(e) => break Err(e),
            }
        };
        self.make_header();
        for message in std::mem::take(&mut self.ahead) {
            self.take(message);
        }
        if !read? {
            self.finish();
        }
        Ok(())
    }

    fn make_header(&mut self) {
        let times = self.ahead.iter().filter_map(|message| message.timestamp);
        let first_ns = times.filter_map(|ns| u64::try_from(ns).ok());
        let first_ns = first_ns.into_iter().find(|ns| *ns > 0);
        let mut session = self.import.session("containerssh");
        session.kind = "ssh".to_owned();
        session.start_utc_ns = first_ns.unwrap_or(session.start_utc_ns);
        self.base_ns = i64::try_from(session.start_utc_ns).unwrap_or(i64::MAX);
        let sound = |message: &&Message| !matches!(message.said, Said::Odd { .. });
        if let Some(message) = self.ahead.iter().find(sound) {
            self.connection = message.connection.clone();
        }
        describe(&self.ahead, &mut session);
        session.origin.push(field::VERSION, self.version);
        session
            .origin
            .push(field::CONNECTION, self.connection.clone());
        self.started = true;
        self.ready.push_back((0, Body::Start(Box::new(session))));
    }

    fn step(&mut self) -> Result<(), DecodeError> {
        if !self.started {
            return self.start();
        }
        match self.log.next_message()? {
            Some(message) => self.take(message),
            None => self.finish(),
        }
        Ok(())
    }

    /// Makes the events of a message.
    fn take(&mut self, message: Message) {
        if let Some(disconnect) = self.disconnect.take() {
            self.put_fact(disconnect);
        }
        self.counts.messages += 1;
        let plain = message.extra.is_empty() && message.payload_extra.is_empty();
        match &message.said {
            Said::Io { .. } => self.put_data(message),
            Said::TooLong { bytes } => {
                let bytes = *bytes;
                self.put_too_long(&message, bytes);
            }
            Said::Known { row, .. }
                if row.number == number::DISCONNECT
                    && plain
                    && message.channel.is_none()
                    && message.connection == self.connection
                    && self.at(message.timestamp).1.is_none() =>
            {
                self.disconnect = Some(message);
            }
            _ => self.put_fact(message),
        }
    }

    /// When something happened: the moment here, and what the log says where that is another.
    fn at(&self, timestamp: Option<i64>) -> (u64, Option<i64>) {
        let Some(timestamp) = timestamp else {
            return (self.at_ns, None);
        };
        let since = i128::from(timestamp) - i128::from(self.base_ns);
        #[allow(clippy::cast_possible_truncation)] // 1e18
        let latest = (SECONDS_MAX * 1e9) as i128;
        match u64::try_from(since) {
            Ok(at_ns) if at_ns >= self.at_ns && since <= latest => (at_ns, None),
            // A clock that ran backwards, or far ahead: time stands still here.
            _ => (self.at_ns, Some(timestamp)),
        }
    }

    /// What of a message's frame is not as usual, and its moment.
    fn frame(&mut self, message: &Message, fields: &mut Fields) {
        let (at_ns, timestamp) = self.at(message.timestamp);
        self.at_ns = at_ns;
        if let Some(timestamp) = timestamp {
            fields.push(field::TIMESTAMP, Value::Int(timestamp));
        }
        if message.connection != self.connection {
            fields.push(field::CONNECTION, message.connection.clone());
        }
        for (name, extra) in [
            (field::EXTRA, &message.extra),
            (field::PAYLOAD_EXTRA, &message.payload_extra),
        ] {
            if !extra.is_empty() {
                fields.push(name, Value::Bytes(extra.clone()));
            }
        }
    }

    fn put(&mut self, body: Body) {
        self.ready.push_back((self.at_ns, body));
    }

    /// Makes the fact of any message but data.
    fn put_fact(&mut self, message: Message) {
        let mut frame = Fields::new();
        self.frame(&message, &mut frame);
        let (event, fields) = match message.said {
            Said::Known { row, fields } => {
                return self.put_known(row, message.channel, &fields, &frame);
            }
            Said::Unknown { number, raw } => {
                self.counts.unknown += 1;
                let fields = Fields::new().with(field::TYPE, number);
                (name::UNKNOWN, fields.with(field::RAW, Value::Bytes(raw)))
            }
            Said::Odd { why, raw } => {
                self.counts.odd += 1;
                let fields = Fields::new().with("error", why);
                (name::ODD, fields.with(field::RAW, Value::Bytes(raw)))
            }
            Said::Io { .. } | Said::TooLong { .. } => return,
        };
        self.put(Body::Channel(Fact {
            event: event.to_owned(),
            fields,
        }));
    }

    fn put_known(
        &mut self,
        row: &'static Row,
        channel: Option<u64>,
        payload: &Fields,
        frame: &Fields,
    ) {
        let mut fields = Fields::new().with(field::TYPE, row.number);
        if let Some(channel) = channel {
            fields.push(field::CHANNEL, channel);
        }
        for (name, value) in payload.iter() {
            fields.push(name, value.clone());
        }
        let mut texts = row.keys.iter();
        if texts.any(|key| is_not_utf8(key.kind, payload.get(key.field))) {
            self.counts.not_utf8 += 1;
        }
        for says in row.says {
            match says {
                Says::Method(method) => fields.push("method", *method),
                Says::Success(success) => fields.push("success", *success),
            }
        }
        for (name, value) in frame.iter() {
            fields.push(name, value.clone());
        }
        let size = match row.number {
            number::PTY | number::WINDOW => super::size_of(&fields),
            _ => None,
        };
        self.follow(row.number, channel, &fields);
        self.put(row.family.body(Fact {
            event: row.event.to_owned(),
            fields,
        }));
        if let Some((cols, rows)) = size {
            self.put(Body::Resize { cols, rows });
        }
    }

    /// Keeps in mind which channels have a terminal, and how programs ended.
    fn follow(&mut self, kind: u64, channel: Option<u64>, fields: &Fields) {
        match (kind, channel) {
            (number::PTY, Some(channel)) if self.terminals.len() < CONTAINERSSH_TERMINALS_MAX => {
                self.terminals.insert(channel);
            }
            (number::CLOSE | number::OPENED, Some(channel)) => {
                self.terminals.remove(&channel);
            }
            // With two of them it is not said which was the connection's.
            (number::EXIT, _) if self.exits.len() < 2 => {
                let status = fields.get("exitStatus").and_then(Value::as_uint);
                let status = status.unwrap_or(0);
                self.exits.push((u8::try_from(status).ok(), None));
            }
            (number::EXIT_SIGNAL, _) if self.exits.len() < 2 => {
                let signal = fields.text("signal").map(str::to_owned);
                self.exits.push((None, signal));
            }
            _ => {}
        }
    }

    fn put_data(&mut self, message: Message) {
        let mut frame = Fields::new();
        self.frame(&message, &mut frame);
        let Said::Io { stream, data } = message.said else {
            return;
        };
        if data.len() > FRAME_CUT_BYTES {
            // Our own format would split it; this says what belongs together.
            frame.push(field::BYTES, u64::try_from(data.len()).unwrap_or(u64::MAX));
        }
        if self.channel != Some(message.channel) || !frame.is_empty() {
            self.channel = Some(message.channel);
            let mut fields = Fields::new();
            if let Some(channel) = message.channel {
                fields.push(field::CHANNEL, channel);
            }
            for (name, value) in frame.iter() {
                fields.push(name, value.clone());
            }
            self.put(Body::Channel(Fact {
                event: name::DATA.to_owned(),
                fields,
            }));
        }
        let terminal = message.channel.is_some_and(|n| self.terminals.contains(&n));
        let stream = match (stream, terminal) {
            (0, true) => Stream::Keystrokes,
            (0, false) => Stream::Stdin,
            (1, true) => Stream::Output,
            (1, false) => Stream::Stdout,
            _ => Stream::Stderr,
        };
        if data.len() <= FRAME_CUT_BYTES {
            self.put(Body::Data {
                stream,
                bytes: data,
            });
            return;
        }
        for piece in data.chunks(FRAME_CUT_BYTES) {
            self.put(Body::Data {
                stream,
                bytes: piece.to_vec(),
            });
        }
    }

    fn put_too_long(&mut self, message: &Message, bytes: usize) {
        let from_ns = self.at_ns;
        self.at_ns = self.at(message.timestamp).0;
        self.put(Body::Gap(Gap {
            cause: format!("a message of {bytes} bytes is longer than an event can be"),
            from_ns,
            events: Some(1),
            bytes: u64::try_from(bytes).ok(),
            bytes_max: None,
        }));
    }

    /// The log ended, by a disconnect or without.
    fn finish(&mut self) {
        self.ready.finish();
        self.notices.extend(self.log.take_notices());
        self.notices.extend(self.counts.notices());
        if let Some(trailer) = self.log.trailer() {
            let word = match trailer {
                Trailer::Sound => "sound",
                Trailer::Wrong => "wrong",
                Trailer::Cut => "cut",
            };
            let fields = Fields::new().with("gzip", word);
            self.put(Body::Channel(Fact {
                event: name::TRAILER.to_owned(),
                fields,
            }));
        }
        let Some(disconnect) = self.disconnect.take() else {
            let what = "the log has no disconnect: the connection's recording was not finished";
            self.notices.push(what.to_owned());
            return;
        };
        self.at_ns = self.at(disconnect.timestamp).0;
        let (exit_status, signal) = match self.exits.as_slice() {
            [one] => one.clone(),
            _ => (None, None),
        };
        self.put(Body::End(End {
            reason: "disconnected".to_owned(),
            exit_status,
            signal,
        }));
    }

    /// Nothing more can be read: what was held is handed out, and a gap stands for the rest.
    fn fail(&mut self, error: DecodeError) {
        self.ready.finish();
        if !self.started {
            self.make_header();
        }
        if let Some(disconnect) = self.disconnect.take() {
            self.put_fact(disconnect);
        }
        self.notices.extend(self.log.take_notices());
        self.notices.extend(self.counts.notices());
        self.put(Body::Gap(Gap {
            cause: error.to_string(),
            from_ns: self.at_ns,
            ..Gap::default()
        }));
        self.ready.fail(error);
    }
}

impl Counts {
    fn notices(&self) -> Vec<String> {
        let of = self.messages;
        let notice = |count: u64, what: &str| {
            (count > 0).then(|| format!("{count} of {of} messages {what}, kept as they are"))
        };
        [
            notice(
                self.unknown,
                "are of a type that this program does not know",
            ),
            notice(self.odd, "are not made as their type demands"),
            notice(self.not_utf8, "hold text that is not UTF-8"),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl<R: Read> Steps for ContainerSshDecoder<R> {
    fn ready(&mut self) -> &mut Ready {
        &mut self.ready
    }

    fn take_step(&mut self) -> Result<(), DecodeError> {
        if let Err(e) = self.step() {
            self.fail(e);
        }
        Ok(())
    }
}

impl<R: Read> Decoder for ContainerSshDecoder<R> {
    fn next_event(&mut self) -> Result<Option<Event>, DecodeError> {
        self.next_of_steps()
    }

    fn take_notices(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notices)
    }

    fn is_damaged(&self) -> bool {
        self.log.is_damaged()
    }
}
