//! One message of the log, taken from its CBOR.
//!
//! Keys are matched as their decoder does it: as they are spelled, else without regard to case.
//! Keys that nobody knows are kept as they are.

use hansard_core::{Fields, Value};

use super::cbor::{self, Item, Items};
use super::table::{ENVELOPE, KEYS_MAX, Key, Kind, Row, find, number};
use crate::limits::CONTAINERSSH_FACT_BYTES_MAX;

/// Ends the key under which our encoder keeps the exact bytes of a text that is not UTF-8.
pub(super) const EXACT: &str = ".bytes";
/// The key under which our encoder keeps unknown keys that their decoder would stop at.
pub(super) const PACKED: &str = "hansard.extra";
/// Most elements of a list in a payload. More: the message is kept as it is.
const ELEMENTS_MAX: usize = hansard_core::limits::FIELDS_MAX;

/// A message.
#[derive(Debug)]
pub(super) struct Message {
    /// Nanoseconds since 1970, if it says so.
    pub(super) timestamp: Option<i64>,
    /// Connection id; text, or bytes if it is not UTF-8.
    pub(super) connection: Value,
    pub(super) channel: Option<u64>,
    /// Unknown keys of the message with their values, as they are.
    pub(super) extra: Vec<u8>,
    /// The same of its payload; of a message without payload, the payload.
    pub(super) payload_extra: Vec<u8>,
    pub(super) said: Said,
}

/// What a message says.
#[derive(Debug)]
pub(super) enum Said {
    /// Bytes of stream 0 (in), 1 (out) or 2 (errors); never none.
    Io {
        stream: u64,
        data: Vec<u8>,
    },
    Known {
        row: &'static Row,
        fields: Fields,
    },
    /// A type that is not in the table.
    Unknown {
        number: Value,
        raw: Vec<u8>,
    },
    /// It is CBOR, but no message as their decoder would take it.
    Odd {
        why: String,
        raw: Vec<u8>,
    },
    /// Longer than an event can be.
    TooLong {
        bytes: usize,
    },
}

impl Message {
    fn of(said: Said) -> Self {
        Self {
            timestamp: None,
            connection: Value::from(""),
            channel: None,
            extra: Vec::new(),
            payload_extra: Vec::new(),
            said,
        }
    }

    /// Bytes that it holds, about.
    pub(super) fn size(&self) -> usize {
        let said = match &self.said {
            Said::Io { data, .. } => data.len(),
            Said::Known { fields, .. } => fields.iter().map(|(_, value)| value_size(value)).sum(),
            Said::Unknown { raw, .. } | Said::Odd { raw, .. } => raw.len(),
            Said::TooLong { .. } => 0,
        };
        said + self.extra.len() + self.payload_extra.len() + value_size(&self.connection)
    }
}

fn value_size(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(values) => values.iter().map(|value| 32 + value_size(value)).sum(),
        Value::Uint(_) | Value::Int(_) | Value::Bool(_) => 8,
    }
}

/// Reads a message. `raw` is one whole map.
pub(super) fn read(raw: &[u8]) -> Message {
    let message = take_apart(raw);
    let size = match &message.said {
        Said::Io { .. } => 0,
        // Exact bytes of a text take its place: such a message is much longer than its event.
        Said::Known { .. } => message.size(),
        Said::Unknown { .. } | Said::Odd { .. } | Said::TooLong { .. } => raw.len(),
    };
    if size <= CONTAINERSSH_FACT_BYTES_MAX {
        return message;
    }
    Message {
        timestamp: message.timestamp,
        ..Message::of(Said::TooLong { bytes: raw.len() })
    }
}

fn take_apart(raw: &[u8]) -> Message {
    let odd = |why: String| {
        Message::of(Said::Odd {
            why,
            raw: kept(raw),
        })
    };
    let Some(Item::Map(items)) = cbor::parse(raw) else {
        return odd("the message is no map".to_owned());
    };
    let mut envelope = pick(items, &ENVELOPE);
    let [connection, timestamp, kind, payload, channel, ..] = envelope.values;
    let mut message = Message::of(Said::TooLong { bytes: raw.len() });
    // Their decoder makes zero of what is not there.
    message.timestamp = timestamp.map_or(Some(0), int);
    match text(connection, envelope.take_exact(0)) {
        Ok(connection) => message.connection = connection.unwrap_or(Value::from("")),
        Err(()) => return odd("its \"connectionId\" is no text".to_owned()),
    }
    match channel.map(cbor::parse) {
        None | Some(Some(Item::Null)) => {}
        Some(Some(Item::Uint(n))) => message.channel = Some(n),
        Some(_) => return odd("its \"channelId\" is no number".to_owned()),
    }
    if timestamp.is_some() && message.timestamp.is_none() {
        return odd("its \"timestamp\" is no number of nanoseconds".to_owned());
    }
    message.extra = envelope.extra();
    let number = match kind.map(cbor::parse) {
        None | Some(Some(Item::Null)) => Value::Uint(0),
        Some(Some(Item::Uint(n))) => Value::Uint(n),
        Some(Some(Item::Negative(n))) => match i64::try_from(n) {
            Ok(n) => Value::Int(-1 - n),
            Err(_) => return odd("its \"type\" is no number of 64 bits".to_owned()),
        },
        Some(_) => return odd("its \"type\" is no number".to_owned()),
    };
    let payload = payload.filter(|raw| !matches!(cbor::parse(raw), Some(Item::Null)));
    match number.as_uint().and_then(find) {
        Some(row) => {
            if let Err(why) = message.read_payload(row, payload) {
                // What it says besides is in its bytes.
                message.extra = Vec::new();
                message.payload_extra = Vec::new();
                message.said = Said::Odd {
                    why,
                    raw: kept(raw),
                };
            }
        }
        None => {
            message.extra = Vec::new();
            message.said = Said::Unknown {
                number,
                raw: kept(raw),
            };
        }
    }
    message
}

/// What is too long to be kept is not copied either.
fn kept(raw: &[u8]) -> Vec<u8> {
    match raw.len() {
        0..=CONTAINERSSH_FACT_BYTES_MAX => raw.to_vec(),
        _ => Vec::new(),
    }
}

impl Message {
    fn read_payload(&mut self, row: &'static Row, payload: Option<&[u8]>) -> Result<(), String> {
        let mut fields = Fields::new();
        let items = match payload.map(|payload| (payload, cbor::parse(payload))) {
            None => Items::default(),
            Some((payload, _)) if row.keys.is_empty() => {
                self.payload_extra = payload.to_vec();
                Items::default()
            }
            Some((_, Some(Item::Map(items)))) => items,
            Some(_) => return Err(format!("the payload of type {} is no map", row.number)),
        };
        let mut picked = pick(items, row.keys);
        if row.number == number::IO && self.read_io(&picked) {
            self.payload_extra = picked.extra();
            // What is not the stream's bytes must fit an event like everything else.
            if self.payload_extra.len() + self.extra.len() <= CONTAINERSSH_FACT_BYTES_MAX {
                return Ok(());
            }
        }
        for (at, key) in row.keys.iter().enumerate() {
            let raw = picked.values.get(at).copied().flatten();
            let exact = picked.take_exact(at);
            let value = value(key.kind, raw, exact).map_err(|()| {
                format!("\"{}\" of type {} is of another type", key.key, row.number)
            })?;
            if let Some(value) = value {
                fields.push(key.field, value);
            }
        }
        if !row.keys.is_empty() {
            self.payload_extra = picked.extra();
        }
        self.said = Said::Known { row, fields };
        Ok(())
    }

    /// Bytes of a stream, the way they nearly always come.
    fn read_io(&mut self, picked: &Picked<'_>) -> bool {
        let [stream, data, ..] = picked.values;
        let stream = match stream.map(cbor::parse) {
            None => 0,
            Some(Some(Item::Uint(stream @ 0..=2))) => stream,
            Some(_) => return false,
        };
        match data.map(cbor::parse) {
            Some(Some(Item::Bytes(data))) if !data.is_empty() => {
                let data = data.into_owned();
                self.said = Said::Io { stream, data };
                true
            }
            _ => false,
        }
    }
}

/// The values of a map under the keys that are known, and the rest.
struct Picked<'a> {
    values: [Option<&'a [u8]>; KEYS_MAX],
    /// Key and value of the exact bytes of a text.
    exact: [Option<(&'a [u8], &'a [u8])>; KEYS_MAX],
    extra: Vec<u8>,
}

impl<'a> Picked<'a> {
    fn take_exact(&mut self, at: usize) -> Option<&'a [u8]> {
        let text = match cbor::parse(self.values.get(at).copied()??)? {
            Item::Text(text) => text,
            _ => return None,
        };
        let slot = self.exact.get_mut(at)?;
        let (_, raw) = (*slot)?;
        match cbor::parse(raw)? {
            // Only where one was made from the other.
            Item::Bytes(bytes)
                if std::str::from_utf8(&bytes).is_err()
                    && String::from_utf8_lossy(&bytes).as_bytes() == &*text =>
            {
                *slot = None;
                Some(raw)
            }
            _ => None,
        }
    }

    /// Keys with their values that were not taken.
    fn extra(&mut self) -> Vec<u8> {
        for (key, value) in self.exact.iter_mut().filter_map(Option::take) {
            self.extra.extend_from_slice(key);
            self.extra.extend_from_slice(value);
        }
        std::mem::take(&mut self.extra)
    }

    fn leave(&mut self, key: &[u8], value: &[u8]) {
        self.extra.extend_from_slice(key);
        self.extra.extend_from_slice(value);
    }
}

fn pick<'a>(mut items: Items<'a>, keys: &[Key]) -> Picked<'a> {
    let mut picked = Picked {
        values: [None; KEYS_MAX],
        exact: [None; KEYS_MAX],
        extra: Vec::new(),
    };
    // The key under which each value was found.
    let mut found: [Option<(&[u8], bool)>; KEYS_MAX] = [None; KEYS_MAX];
    while let (Some(key), Some(value)) = (items.next(), items.next()) {
        let Some(Item::Text(name)) = cbor::parse(key) else {
            picked.leave(key, value);
            continue;
        };
        let spelled = keys.iter().position(|k| k.key.as_bytes() == &*name);
        let at = spelled.or_else(|| {
            let alike = |k: &Key| k.key.as_bytes().eq_ignore_ascii_case(&name);
            keys.iter().position(alike)
        });
        let Some(at) = at else {
            leave_unknown(&mut picked, keys, &name, key, value);
            continue;
        };
        let (Some(slot), Some(found)) = (picked.values.get_mut(at), found.get_mut(at)) else {
            continue;
        };
        match (*slot, *found) {
            (Some(before), Some((before_key, false))) if spelled.is_some() => {
                *slot = Some(value);
                *found = Some((key, true));
                picked.leave(before_key, before);
            }
            (Some(_), _) => picked.leave(key, value),
            (None, _) => {
                *slot = Some(value);
                *found = Some((key, spelled.is_some()));
            }
        }
    }
    picked
}

fn leave_unknown<'a>(
    picked: &mut Picked<'a>,
    keys: &[Key],
    name: &[u8],
    key: &'a [u8],
    value: &'a [u8],
) {
    if name == PACKED.as_bytes()
        && let Some(Item::Bytes(pairs)) = cbor::parse(value)
        && is_pairs(&pairs)
    {
        picked.extra.extend_from_slice(&pairs);
        return;
    }
    let base = name.strip_suffix(EXACT.as_bytes());
    let at = base.and_then(|base| keys.iter().position(|k| k.key.as_bytes() == base));
    match at.and_then(|at| picked.exact.get_mut(at)) {
        Some(slot @ None) => *slot = Some((key, value)),
        _ => picked.leave(key, value),
    }
}

/// Whether these bytes are keys and values, one after another, that had to be packed.
fn is_pairs(pairs: &[u8]) -> bool {
    let (mut rest, mut items) = (pairs, 0usize);
    while let Some((_, more)) = cbor::split(rest) {
        rest = more;
        items += 1;
    }
    rest.is_empty() && items > 0 && items.is_multiple_of(2) && !cbor::is_utf8(pairs)
}

/// A value as ours; nothing where it is null or not there.
fn value(kind: Kind, raw: Option<&[u8]>, exact: Option<&[u8]>) -> Result<Option<Value>, ()> {
    let Some(raw) = raw else {
        return Ok(None);
    };
    Ok(Some(match (kind, cbor::parse(raw)) {
        (_, Some(Item::Null)) => return Ok(None),
        (Kind::Text, _) => return text(Some(raw), exact),
        (Kind::Bytes, Some(Item::Bytes(bytes))) => Value::Bytes(bytes.into_owned()),
        (Kind::Uint, Some(Item::Uint(n))) => Value::Uint(n),
        (Kind::Bool, Some(Item::Bool(b))) => Value::Bool(b),
        (Kind::List(keys), Some(Item::List(items))) => Value::List(elements(keys, items)?),
        _ => return Err(()),
    }))
}

fn text(raw: Option<&[u8]>, exact: Option<&[u8]>) -> Result<Option<Value>, ()> {
    match (raw.map(cbor::parse), exact.map(cbor::parse)) {
        (_, Some(Some(Item::Bytes(bytes)))) => Ok(Some(Value::from_os_bytes(&bytes))),
        (None | Some(Some(Item::Null)), _) => Ok(None),
        (Some(Some(Item::Text(text))), _) => Ok(Some(Value::from_os_bytes(&text))),
        _ => Err(()),
    }
}

/// Each element as a list of its values in the order of the keys, and its unknown keys if there
/// are any.
fn elements(keys: &[Key], items: Items<'_>) -> Result<Vec<Value>, ()> {
    let mut elements = Vec::new();
    for raw in items {
        if elements.len() == ELEMENTS_MAX {
            return Err(());
        }
        let items = match cbor::parse(raw) {
            Some(Item::Map(items)) => items,
            Some(Item::Null) => Items::default(),
            _ => return Err(()),
        };
        let mut picked = pick(items, keys);
        let mut values = Vec::with_capacity(keys.len());
        for (at, key) in keys.iter().enumerate() {
            let raw = picked.values.get(at).copied().flatten();
            let exact = picked.take_exact(at);
            let zero = match key.kind {
                Kind::Bool => Value::Bool(false),
                _ => Value::from(""),
            };
            values.push(value(key.kind, raw, exact)?.unwrap_or(zero));
        }
        let extra = picked.extra();
        if !extra.is_empty() {
            values.push(Value::Bytes(extra));
        }
        elements.push(Value::List(values));
    }
    Ok(elements)
}

fn int(raw: &[u8]) -> Option<i64> {
    match cbor::parse(raw)? {
        Item::Uint(n) => i64::try_from(n).ok(),
        Item::Negative(n) => i64::try_from(n).ok().map(|n| -1 - n),
        Item::Null => Some(0),
        _ => None,
    }
}

/// Whether a text, here or inside a list, was kept as bytes because it is not UTF-8.
pub(super) fn is_not_utf8(kind: Kind, value: Option<&Value>) -> bool {
    match (kind, value) {
        (Kind::Text, Some(Value::Bytes(_))) => true,
        (Kind::List(keys), Some(Value::List(elements))) => elements.iter().any(|element| {
            let Value::List(values) = element else {
                return false;
            };
            let mut pairs = keys.iter().zip(values);
            pairs.any(|(key, value)| is_not_utf8(key.kind, Some(value)))
        }),
        _ => false,
    }
}
