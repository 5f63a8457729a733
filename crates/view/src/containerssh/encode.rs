//! Writes a log of version 2.

use std::borrow::Cow;
use std::io::Write;

use flate2::{Compress, Compression, FlushCompress};
use hansard_core::{Event, Session, Value};

use super::cbor::{self, put_bool, put_head, put_int, put_null, put_string, put_text};
use super::inflate::MAGIC;
use super::message::{EXACT, PACKED};
use super::script::{Outgoing, Payload, Script, Sink};
use super::table::{ENVELOPE, Key, Kind};
use crate::codec::{EncodeError, Encoder};

/// Version of the log.
const VERSION: u64 = 2;
/// The header of a gzip member as their library writes it: no time, system unknown.
const MEMBER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// What a flush writes where nothing new came: an empty stored block.
const EMPTY_FLUSH: [u8; 5] = [0, 0, 0, 0xff, 0xff];

/// Writes a log of version 2, message by message as their encoder does: each is flushed, there is
/// one flush more at the end, and no trailer.
///
/// Their decoder stops at a text that is not UTF-8. Such a text is written with U+FFFD in the
/// place of what is none, and its bytes stand behind the payload's keys under its own key and
/// `.bytes`, which their decoder passes over and ours takes.
pub struct ContainerSshEncoder<W> {
    script: Script<Deflated<W>>,
}

impl<W: Write> ContainerSshEncoder<W> {
    /// An encoder that writes here.
    pub fn new(out: W) -> Self {
        Self {
            script: Script::new(Deflated {
                out,
                // Of small messages, each flushed, a higher level would write a fifth as many
                // bytes in the same time; of large ones it would save a third of the file.
                deflate: Compress::new(Compression::fast(), false),
                message: Vec::new(),
                packed: Vec::new(),
            }),
        }
    }
}

impl<W: Write> Encoder for ContainerSshEncoder<W> {
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

/// Writes messages as CBOR, deflated.
struct Deflated<W> {
    out: W,
    deflate: Compress,
    message: Vec<u8>,
    packed: Vec<u8>,
}

impl<W: Write> Deflated<W> {
    /// Compresses the message, flushes and writes it.
    fn write(&mut self) -> Result<(), EncodeError> {
        let mut rest = self.message.as_slice();
        loop {
            // More room than even incompressible bytes take, so that one turn is enough and the
            // flush stands there once.
            self.packed.clear();
            self.packed.reserve(rest.len() + rest.len() / 4 + 1024);
            let before = self.deflate.total_in();
            let flush = FlushCompress::Sync;
            let status = self.deflate.compress_vec(rest, &mut self.packed, flush);
            status.map_err(|e| EncodeError::Refused(format!("compressing a message: {e}")))?;
            self.out.write_all(&self.packed)?;
            let used = usize::try_from(self.deflate.total_in() - before).unwrap_or(usize::MAX);
            rest = rest.get(used..).unwrap_or(&[]);
            let full = self.packed.len() == self.packed.capacity();
            if rest.is_empty() && !full {
                return Ok(());
            }
        }
    }
}

impl<W: Write> Sink for Deflated<W> {
    fn begin(&mut self) -> Result<(), EncodeError> {
        self.out.write_all(MAGIC)?;
        self.out.write_all(&VERSION.to_le_bytes())?;
        Ok(self.out.write_all(&MEMBER)?)
    }

    fn message(&mut self, message: &Outgoing<'_>) -> Result<(), EncodeError> {
        self.message.clear();
        put_message(&mut self.message, message);
        self.write()
    }

    fn raw(&mut self, raw: &[u8], _error: &str) -> Result<(), EncodeError> {
        self.message.clear();
        self.message.extend_from_slice(raw);
        self.write()
    }

    fn gap(&mut self, message: &Outgoing<'_>, _what: &str) -> Result<(), EncodeError> {
        self.message(message)
    }

    fn trailer(&mut self) {}

    fn end(&mut self) -> Result<(), EncodeError> {
        self.out.write_all(&EMPTY_FLUSH)?;
        Ok(self.out.flush()?)
    }
}

fn put_message(out: &mut Vec<u8>, message: &Outgoing<'_>) {
    let [connection, timestamp, kind, payload, channel] = ENVELOPE;
    let mut map = Map::default();
    map.put(connection, Some(message.connection));
    map.begin(timestamp.key);
    put_int(&mut map.pairs, message.timestamp);
    map.begin(kind.key);
    put_head(&mut map.pairs, cbor::UINT, message.row.number);
    map.begin(payload.key);
    put_payload(&mut map.pairs, message);
    map.begin(channel.key);
    match message.channel {
        Some(n) => put_head(&mut map.pairs, cbor::UINT, n),
        None => put_null(&mut map.pairs),
    }
    map.finish(out, message.extra);
}

fn put_payload(out: &mut Vec<u8>, message: &Outgoing<'_>) {
    let keys = message.row.keys;
    if keys.is_empty() {
        // A payload where there should be none.
        return match cbor::split(message.payload_extra) {
            Some((item, [])) if cbor::is_utf8(item) => out.extend_from_slice(item),
            _ => put_null(out),
        };
    }
    let mut map = Map::default();
    match (&message.payload, keys) {
        (Payload::Io { stream, data }, [first, second, ..]) => {
            map.begin(first.key);
            put_head(&mut map.pairs, cbor::UINT, *stream);
            map.begin(second.key);
            put_string(&mut map.pairs, cbor::BYTES, data);
        }
        (Payload::Io { .. }, _) => {}
        (Payload::Fields(fields), _) => {
            for key in keys {
                map.put(*key, fields.get(key.field));
            }
        }
    }
    map.finish(out, message.payload_extra);
}

/// A map being put together: how many pairs it has is known at its end only.
#[derive(Default)]
struct Map {
    count: u64,
    pairs: Vec<u8>,
    /// Exact bytes of texts that are not UTF-8, which come behind everything else.
    exact: Vec<u8>,
}

impl Map {
    fn begin(&mut self, key: &str) {
        self.count += 1;
        put_text(&mut self.pairs, key);
    }

    fn put(&mut self, key: Key, value: Option<&Value>) {
        self.begin(key.key);
        let out = &mut self.pairs;
        match (key.kind, value) {
            (Kind::Text, _) => {
                let bytes = string_of(value);
                let text = String::from_utf8_lossy(&bytes);
                put_text(out, &text);
                if let Cow::Owned(_) = text {
                    self.count += 1;
                    put_text(&mut self.exact, &format!("{}{EXACT}", key.key));
                    put_string(&mut self.exact, cbor::BYTES, &bytes);
                }
            }
            (Kind::Bytes, None) | (Kind::List(_), None) => put_null(out),
            (Kind::Bytes, _) => put_string(out, cbor::BYTES, &string_of(value)),
            (Kind::Uint, Some(Value::Uint(n))) => put_head(out, cbor::UINT, *n),
            (Kind::Uint, _) => put_head(out, cbor::UINT, 0),
            (Kind::Bool, value) => put_bool(out, value == Some(&Value::Bool(true))),
            (Kind::List(keys), Some(Value::List(elements))) => put_list(out, keys, elements),
            (Kind::List(_), Some(_)) => put_null(out),
        }
    }

    fn finish(mut self, out: &mut Vec<u8>, extra: &[u8]) {
        let pairs = count_pairs(extra);
        if pairs > 0 && cbor::is_utf8(extra) {
            self.count += pairs;
            self.exact.extend_from_slice(extra);
        } else if pairs > 0 {
            self.count += 1;
            put_text(&mut self.exact, PACKED);
            put_string(&mut self.exact, cbor::BYTES, extra);
        }
        put_head(out, cbor::MAP, self.count);
        out.extend_from_slice(&self.pairs);
        out.extend_from_slice(&self.exact);
    }
}

fn put_list(out: &mut Vec<u8>, keys: &[Key], elements: &[Value]) {
    let length = u64::try_from(elements.len()).unwrap_or(u64::MAX);
    put_head(out, cbor::LIST, length);
    for element in elements {
        let values = match element {
            Value::List(values) => values.as_slice(),
            _ => &[],
        };
        let mut map = Map::default();
        for (at, key) in keys.iter().enumerate() {
            map.put(*key, values.get(at));
        }
        match values.get(keys.len()) {
            Some(Value::Bytes(extra)) => map.finish(out, extra),
            _ => map.finish(out, &[]),
        }
    }
}

/// How many keys with their values these bytes are; none if they are anything else.
fn count_pairs(extra: &[u8]) -> u64 {
    let (mut rest, mut items) = (extra, 0u64);
    while let Some((_, more)) = cbor::split(rest) {
        rest = more;
        items += 1;
    }
    match rest.is_empty() && items.is_multiple_of(2) {
        true => items / 2,
        false => 0,
    }
}

/// A value as the bytes of a string.
pub(super) fn string_of(value: Option<&Value>) -> Cow<'_, [u8]> {
    match value {
        Some(Value::Text(text)) => Cow::Borrowed(text.as_bytes()),
        Some(Value::Bytes(bytes)) => Cow::Borrowed(bytes),
        Some(Value::Uint(n)) => Cow::Owned(n.to_string().into_bytes()),
        Some(Value::Int(n)) => Cow::Owned(n.to_string().into_bytes()),
        Some(Value::Bool(b)) => Cow::Owned(b.to_string().into_bytes()),
        Some(Value::List(_)) | None => Cow::Borrowed(&[]),
    }
}
