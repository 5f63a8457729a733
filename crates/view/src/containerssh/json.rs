//! Writes the JSON lines that ContainerSSH's own decoder prints, with the rules of Go's
//! `encoding/json`.

use std::io::Write;

use hansard_core::{Event, Session, Value};

use super::encode::string_of;
use super::script::{Outgoing, Payload, Script, Sink};
use super::table::{Key, Kind};
use crate::codec::{EncodeError, Encoder};
use crate::jsonl::base64;

/// Writes one line for each message. What cannot be read stands there as `{"error": "…"}`, in our
/// own words; unlike theirs, this output goes on behind it where there is more.
pub struct ContainerSshJsonEncoder<W> {
    script: Script<Lines<W>>,
}

impl<W: Write> ContainerSshJsonEncoder<W> {
    /// An encoder that writes here.
    pub fn new(out: W) -> Self {
        Self {
            script: Script::new(Lines {
                out,
                line: Vec::new(),
                trailer: false,
            }),
        }
    }
}

impl<W: Write> Encoder for ContainerSshJsonEncoder<W> {
    fn begin(&mut self, session: &Session) -> Result<(), EncodeError> {
        self.script.begin(session)
    }

    fn event(&mut self, event: &Event) -> Result<(), EncodeError> {
        self.script.event(event)
    }

    fn end(&mut self) -> Result<(), EncodeError> {
        self.script.end()
    }
}

struct Lines<W> {
    out: W,
    line: Vec<u8>,
    trailer: bool,
}

impl<W: Write> Lines<W> {
    fn error(&mut self, what: &str) -> Result<(), EncodeError> {
        self.line.clear();
        self.line.extend_from_slice(b"{\"error\":");
        put_string(&mut self.line, what.as_bytes());
        self.line.extend_from_slice(b"}\n");
        Ok(self.out.write_all(&self.line)?)
    }
}

impl<W: Write> Sink for Lines<W> {
    fn begin(&mut self) -> Result<(), EncodeError> {
        Ok(())
    }

    fn message(&mut self, message: &Outgoing<'_>) -> Result<(), EncodeError> {
        self.line.clear();
        put_message(&mut self.line, message);
        Ok(self.out.write_all(&self.line)?)
    }

    fn raw(&mut self, _raw: &[u8], error: &str) -> Result<(), EncodeError> {
        self.error(error)
    }

    fn gap(&mut self, _message: &Outgoing<'_>, what: &str) -> Result<(), EncodeError> {
        self.error(what)
    }

    fn trailer(&mut self) {
        self.trailer = true;
    }

    fn end(&mut self) -> Result<(), EncodeError> {
        if self.trailer {
            self.error("failed to decode messages (EOF)")?;
        }
        Ok(self.out.flush()?)
    }
}

fn put_message(out: &mut Vec<u8>, message: &Outgoing<'_>) {
    let row = message.row;
    out.extend_from_slice(b"{\"connectionId\":");
    put_string(out, &string_of(Some(message.connection)));
    put_number(out, ",\"timestamp\":", message.timestamp);
    put_number(out, ",\"type\":", row.number);
    out.extend_from_slice(b",\"typeId\":");
    put_string(out, row.name.as_bytes());
    out.extend_from_slice(b",\"typeName\":");
    put_string(out, row.title.as_bytes());
    out.extend_from_slice(b",\"payload\":");
    match (&message.payload, row.keys) {
        (_, []) => out.extend_from_slice(b"null"),
        (Payload::Fields(fields), keys) => {
            put_object(out, keys.iter().map(|key| (key, fields.get(key.field))));
        }
        (Payload::Io { stream, data }, _) => {
            put_number(out, "{\"stream\":", *stream);
            out.extend_from_slice(b",\"data\":\"");
            base64::append(data, out);
            out.extend_from_slice(b"\"}");
        }
    }
    match message.channel {
        Some(channel) => put_number(out, ",\"channelId\":", channel),
        None => out.extend_from_slice(b",\"channelId\":null"),
    }
    out.extend_from_slice(b"}\n");
}

fn put_number(out: &mut Vec<u8>, before: &str, n: impl ToString) {
    out.extend_from_slice(before.as_bytes());
    out.extend_from_slice(n.to_string().as_bytes());
}

/// An object of the payload's keys in their order; what is not there is Go's zero value.
fn put_object<'a>(out: &mut Vec<u8>, pairs: impl Iterator<Item = (&'a Key, Option<&'a Value>)>) {
    let mut before = b'{';
    for (key, value) in pairs {
        out.push(before);
        before = b',';
        put_string(out, key.key.as_bytes());
        out.push(b':');
        put_value(out, key.kind, value);
    }
    out.push(b'}');
}

fn put_value(out: &mut Vec<u8>, kind: Kind, value: Option<&Value>) {
    match (kind, value) {
        (Kind::Text, _) => put_string(out, &string_of(value)),
        (Kind::Bytes | Kind::List(_), None) => out.extend_from_slice(b"null"),
        (Kind::Bytes, _) => {
            out.push(b'"');
            base64::append(&string_of(value), out);
            out.push(b'"');
        }
        (Kind::Uint, Some(Value::Uint(n))) => put_number(out, "", *n),
        (Kind::Uint, _) => out.push(b'0'),
        (Kind::Bool, value) => put_number(out, "", value == Some(&Value::Bool(true))),
        (Kind::List(keys), Some(Value::List(elements))) => {
            out.push(b'[');
            for (at, element) in elements.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                let values = match element {
                    Value::List(values) => values.as_slice(),
                    _ => &[],
                };
                let value = |(at, key)| (key, values.get(at));
                put_object(out, keys.iter().enumerate().map(value));
            }
            out.push(b']');
        }
        (Kind::List(_), Some(_)) => out.extend_from_slice(b"null"),
    }
}

/// A string as Go writes it: safe inside HTML, and each byte that is not UTF-8 is U+FFFD.
fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for chunk in bytes.utf8_chunks() {
        put_escaped(out, chunk.valid());
        for _ in chunk.invalid() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    out.push(b'"');
}

fn put_escaped(out: &mut Vec<u8>, text: &str) {
    let special =
        |c: char| matches!(c, '"' | '\\' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}') || c < ' ';
    let mut rest = text;
    while let Some(at) = rest.find(special) {
        let (plain, tail) = rest.split_at(at);
        out.extend_from_slice(plain.as_bytes());
        let mut chars = tail.chars();
        match chars.next() {
            Some('"') => out.extend_from_slice(b"\\\""),
            Some('\\') => out.extend_from_slice(b"\\\\"),
            Some('\n') => out.extend_from_slice(b"\\n"),
            Some('\r') => out.extend_from_slice(b"\\r"),
            Some('\t') => out.extend_from_slice(b"\\t"),
            Some('\u{8}') => out.extend_from_slice(b"\\b"),
            Some('\u{c}') => out.extend_from_slice(b"\\f"),
            Some(c) => out.extend_from_slice(format!("\\u{:04x}", u32::from(c)).as_bytes()),
            None => {}
        }
        rest = chars.as_str();
    }
    out.extend_from_slice(rest.as_bytes());
}
