//! One record of the stream: a message that holds one event of many kinds, as a name and flat
//! fields, or as bytes of the terminal.

use hansard_core::limits::FIELDS_MAX;
use hansard_core::{Fields, Value};
use serde_json::{Map, Value as Json};

use super::table::{self, Kind, Spec};
use super::wire::{self, Malformed, Wire};
use super::{RAW, events, json, time};

/// What a record says.
#[derive(Debug)]
pub(super) struct Record {
    /// The event's name: what it says itself, or its number.
    pub(super) event: String,
    /// Its index in the session.
    pub(super) index: u64,
    /// Its moment.
    pub(super) utc_ns: Option<u64>,
    /// Bytes of the terminal, for `print`.
    pub(super) print: Option<Print>,
    pub(super) fields: Fields,
}

/// Bytes of the terminal.
#[derive(Debug)]
pub(super) struct Print {
    pub(super) data: Vec<u8>,
    pub(super) ms: u64,
}

/// A message up to this long is kept as it is beside its fields, if it says something unknown; of
/// a longer one only what every event says is read, so that both fit in one event of ours.
const BESIDE_BYTES_MAX: usize = 128 * 1024;

/// Text of this many bytes is taken from a message. Of one with more only what every event says
/// is read: as text in an object of JSON a byte can become six.
const SAID_BYTES_MAX: usize = 768 * 1024;

/// Reads a record.
pub(super) fn read(bytes: &[u8]) -> Result<Record, Malformed> {
    let mut member = None;
    let mut fields = wire::Fields::new(bytes);
    while let Some((number, wire)) = fields.next_field()? {
        // Of several the last counts, as everywhere in this encoding.
        if let Wire::Bytes(message) = wire {
            member = Some((number, message));
        }
    }
    let (number, message) = member.ok_or(Malformed("a record without an event"))?;
    if number == events::PRINT {
        return print(message);
    }
    let mut reading = Reading::default();
    let mut said = reading.flat(table::EVENT, message_at(message, 1)?)?;
    let index = said.get("ei").and_then(Json::as_u64).unwrap_or(0);
    let event = match said.remove("event") {
        Some(Json::String(name)) if !name.is_empty() && name != "print" => name,
        _ => format!("teleport.oneof.{number}"),
    };
    let known = match events::event(number) {
        Some(specs) => Some(reading.event(specs, message)?),
        None => None,
    };
    let odd = reading.odd || known.is_none();
    let large = reading.bytes_said > SAID_BYTES_MAX || (odd && message.len() > BESIDE_BYTES_MAX);
    if let (Some(mut known), false) = (known, large) {
        said.append(&mut known);
    }
    let mut fields = Fields::new();
    for (name, value) in said {
        json::push(&mut fields, name, value);
    }
    for (name, bytes) in reading.bytes.into_iter().filter(|_| !large) {
        fields.push(name, Value::Bytes(bytes));
    }
    if odd || large {
        fields.push("teleport.oneof", u64::from(number));
        fields.push(RAW, Value::Bytes(message.to_vec()));
    }
    let utc_ns = fields.text("time").and_then(time::parse);
    Ok(Record {
        event,
        index,
        utc_ns,
        print: None,
        fields,
    })
}

/// The bytes of the last field with this number; none are an empty message.
fn message_at(message: &[u8], wanted: u32) -> Result<&[u8], Malformed> {
    let mut found: &[u8] = &[];
    let mut fields = wire::Fields::new(message);
    while let Some((number, wire)) = fields.next_field()? {
        if let (true, Wire::Bytes(bytes)) = (number == wanted, wire) {
            found = bytes;
        }
    }
    Ok(found)
}

/// Bytes and their moment; indexes and offsets follow from the order. Most records are these, so
/// they take a short way.
fn print(message: &[u8]) -> Result<Record, Malformed> {
    let (mut said, mut data, mut ms) = (&[][..], &[][..], 0);
    let mut fields = wire::Fields::new(message);
    while let Some(field) = fields.next_field()? {
        match field {
            (1, Wire::Bytes(bytes)) => said = bytes,
            (3, Wire::Bytes(bytes)) => data = bytes,
            (5, Wire::Number(n)) => ms = u64::try_from(n.cast_signed()).unwrap_or(0),
            _ => {}
        }
    }
    let (mut index, mut utc_ns) = (0, None);
    let mut fields = wire::Fields::new(said);
    while let Some(field) = fields.next_field()? {
        match field {
            (1, Wire::Number(n)) => index = u64::try_from(n.cast_signed()).unwrap_or(0),
            (5, Wire::Bytes(bytes)) => utc_ns = utc(bytes)?,
            _ => {}
        }
    }
    let data = data.to_vec();
    Ok(Record {
        event: "print".to_owned(),
        index,
        utc_ns,
        print: Some(Print { data, ms }),
        fields: Fields::new(),
    })
}

/// Reads messages by their tables.
#[derive(Default)]
struct Reading {
    /// Something was found that the tables do not know.
    odd: bool,
    /// How long the texts are in JSON, about.
    bytes_said: usize,
    bytes: Vec<(&'static str, Vec<u8>)>,
}

type Object = Map<String, Json>;

impl Reading {
    /// Fields of an event besides number 1.
    fn event(&mut self, specs: &[Spec], message: &[u8]) -> Result<Object, Malformed> {
        self.object(specs, message, 1)
    }

    fn flat(&mut self, specs: &[Spec], message: &[u8]) -> Result<Object, Malformed> {
        self.object(specs, message, 0)
    }

    /// The object of a message; the field `skipped` is somebody else's.
    fn object(
        &mut self,
        specs: &[Spec],
        message: &[u8],
        skipped: u32,
    ) -> Result<Object, Malformed> {
        let mut object = Object::new();
        for spec in specs {
            if let (true, Some(empty)) = (spec.always, empty(spec.kind)) {
                object.insert(spec.name.to_owned(), empty);
            } else if let Kind::Flat(specs) = spec.kind {
                object.append(&mut self.flat(specs, message_at(message, spec.number)?)?);
            }
        }
        let mut fields = wire::Fields::new(message);
        while let Some((number, wire)) = fields.next_field()? {
            match specs.iter().find(|spec| spec.number == number) {
                Some(Spec {
                    kind: Kind::Flat(_),
                    ..
                }) => {}
                Some(spec) => self.field(spec, wire, &mut object)?,
                None if number == skipped => {}
                None => self.odd = true,
            }
        }
        Ok(object)
    }

    fn field(&mut self, spec: &Spec, wire: Wire<'_>, object: &mut Object) -> Result<(), Malformed> {
        self.bytes_said += 16;
        let value = match (spec.kind, wire) {
            (Kind::Text, Wire::Bytes(bytes)) => self.text(bytes),
            (Kind::Bytes, Wire::Bytes(bytes)) => {
                self.bytes.push((spec.name, bytes.to_vec()));
                return Ok(());
            }
            (Kind::Uint, Wire::Number(n)) => Json::from(n),
            (Kind::Int, Wire::Number(n)) => Json::from(n.cast_signed()),
            (Kind::Bool, Wire::Number(n)) => Json::from(n != 0),
            (Kind::Time, Wire::Bytes(bytes)) => match moment(bytes)? {
                Some(text) => Json::from(text),
                None => return self.strange(),
            },
            (Kind::Wrapped, Wire::Bytes(bytes)) => Json::from(wrapped(bytes)?),
            (Kind::Object(specs), Wire::Bytes(bytes)) => Json::Object(self.flat(specs, bytes)?),
            (Kind::Texts, Wire::Bytes(bytes)) => {
                let text = self.text(bytes);
                return self.add(object, spec.name, text);
            }
            (Kind::Objects(specs), Wire::Bytes(bytes)) => {
                let inner = Json::Object(self.flat(specs, bytes)?);
                return self.add(object, spec.name, inner);
            }
            (Kind::Map, Wire::Bytes(bytes)) => return self.pair(object, spec.name, bytes),
            _ => return self.strange(),
        };
        object.insert(spec.name.to_owned(), value);
        Ok(())
    }

    fn strange(&mut self) -> Result<(), Malformed> {
        self.odd = true;
        Ok(())
    }

    /// Text should be UTF-8; where it is not, the message is kept beside it.
    fn text(&mut self, bytes: &[u8]) -> Json {
        self.odd |= std::str::from_utf8(bytes).is_err();
        let escaped = bytes.iter().filter(|b| **b < 0x20).count();
        self.bytes_said += bytes.len() + 5 * escaped + 16;
        Json::from(String::from_utf8_lossy(bytes))
    }

    fn add(&mut self, object: &mut Object, name: &str, value: Json) -> Result<(), Malformed> {
        let list = object
            .entry(name)
            .or_insert_with(|| Json::Array(Vec::new()));
        match list {
            Json::Array(list) if list.len() < FIELDS_MAX => list.push(value),
            _ => self.odd = true,
        }
        Ok(())
    }

    fn pair(&mut self, object: &mut Object, name: &str, bytes: &[u8]) -> Result<(), Malformed> {
        const PAIR: &[Spec] = &[
            Spec {
                number: 1,
                name: "k",
                kind: Kind::Text,
                always: true,
            },
            Spec {
                number: 2,
                name: "v",
                kind: Kind::Text,
                always: true,
            },
        ];
        let mut pair = self.flat(PAIR, bytes)?;
        let map = object
            .entry(name)
            .or_insert_with(|| Json::Object(Object::new()));
        match (map, pair.remove("k"), pair.remove("v")) {
            (Json::Object(map), Some(Json::String(key)), Some(value)) if map.len() < FIELDS_MAX => {
                map.insert(key, value);
            }
            _ => self.odd = true,
        }
        Ok(())
    }
}

/// What stands in JSON for a field that is not there.
fn empty(kind: Kind) -> Option<Json> {
    Some(match kind {
        Kind::Text => Json::from(""),
        Kind::Uint | Kind::Int => Json::from(0u64),
        Kind::Bool => Json::from(false),
        Kind::Texts => Json::Array(Vec::new()),
        _ => return None,
    })
}

fn moment(message: &[u8]) -> Result<Option<String>, Malformed> {
    let (seconds, nanos) = parts(message)?;
    Ok(time::text(seconds, nanos))
}

/// Nanoseconds since 1970.
fn utc(message: &[u8]) -> Result<Option<u64>, Malformed> {
    let (seconds, nanos) = parts(message)?;
    let whole = u64::try_from(seconds)
        .ok()
        .and_then(|s| s.checked_mul(1_000_000_000));
    let whole = whole.filter(|_| nanos < 1_000_000_000);
    Ok(whole.and_then(|whole| whole.checked_add(u64::from(nanos))))
}

/// Seconds and nanoseconds.
fn parts(message: &[u8]) -> Result<(i64, u32), Malformed> {
    let (mut seconds, mut nanos) = (0, 0);
    let mut fields = wire::Fields::new(message);
    while let Some(field) = fields.next_field()? {
        match field {
            (1, Wire::Number(n)) => seconds = n.cast_signed(),
            (2, Wire::Number(n)) => nanos = n,
            _ => {}
        }
    }
    Ok((seconds, u32::try_from(nanos).unwrap_or(u32::MAX)))
}

fn wrapped(message: &[u8]) -> Result<u64, Malformed> {
    let mut value = 0;
    let mut fields = wire::Fields::new(message);
    while let Some(field) = fields.next_field()? {
        if let (1, Wire::Number(n)) = field {
            value = n;
        }
    }
    Ok(value)
}
