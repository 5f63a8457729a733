//! Writes JSON lines.

use std::io::Write;

use hansard_core::event::{End, Fact, Gap};
use hansard_core::{Body, Event, Session};
use serde_json::{Map, Value as Json, json};

use super::VERSION;
use super::value::{Object, fields_json, put_bytes, session_json};
use crate::codec::{EncodeError, Encoder};

/// Writes one object for each event.
pub struct JsonlEncoder<W> {
    out: W,
}

impl<W: Write> JsonlEncoder<W> {
    /// An encoder that writes here.
    pub fn new(out: W) -> Self {
        Self { out }
    }
}

impl<W: Write> Encoder for JsonlEncoder<W> {
    fn begin(&mut self, session: &Session) -> Result<(), EncodeError> {
        let start = Event {
            seq: 0,
            at_ns: 0,
            body: Body::Start(Box::new(session.clone())),
        };
        writeln!(self.out, "{}", event_json(&start))?;
        Ok(())
    }

    fn event(&mut self, event: &Event) -> Result<(), EncodeError> {
        writeln!(self.out, "{}", event_json(event))?;
        Ok(())
    }

    fn end(&mut self) -> Result<(), EncodeError> {
        Ok(self.out.flush()?)
    }
}

/// One event as the object that stands on its line.
#[must_use]
pub fn event_json(event: &Event) -> Json {
    let mut object = Map::new();
    if matches!(event.body, Body::Start(_)) {
        object.insert("hansard".into(), json!(VERSION));
    }
    object.insert("seq".into(), json!(event.seq));
    object.insert("at_ns".into(), json!(event.at_ns));
    object.insert("family".into(), json!(event.body.family()));
    put_body(&mut object, &event.body);
    Json::Object(object)
}

fn put_body(object: &mut Object, body: &Body) {
    match body {
        Body::Start(session) => put(object, "session", session_json(session)),
        Body::Auth(fact)
        | Body::Channel(fact)
        | Body::Command(fact)
        | Body::File(fact)
        | Body::Network(fact)
        | Body::Process(fact)
        | Body::Transfer(fact)
        | Body::Request(fact)
        | Body::Admin(fact) => put_fact(object, fact),
        Body::Data { stream, bytes } => {
            put(object, "stream", json!(stream.as_str()));
            put_bytes(object, bytes);
        }
        Body::Resize { cols, rows } => {
            put(object, "cols", json!(cols));
            put(object, "rows", json!(rows));
        }
        Body::Clock {
            utc_ns,
            quality,
            reason,
        } => {
            put(object, "utc_ns", json!(utc_ns));
            put(object, "quality", json!(quality.as_str()));
            put(object, "reason", json!(reason));
        }
        Body::Mark { label } => put(object, "label", json!(label)),
        Body::Gap(gap) => put_gap(object, gap),
        Body::End(end) => put_end(object, end),
        Body::Unknown { kind, bytes } => {
            put(object, "kind", json!(kind));
            put_bytes(object, bytes);
        }
    }
}

fn put(object: &mut Object, key: &str, value: Json) {
    object.insert(key.to_owned(), value);
}

fn put_some<T: Into<Json>>(object: &mut Object, key: &str, value: Option<T>) {
    if let Some(value) = value {
        put(object, key, value.into());
    }
}

fn put_fact(object: &mut Object, fact: &Fact) {
    put(object, "event", json!(fact.event));
    put(object, "fields", fields_json(&fact.fields));
}

fn put_gap(object: &mut Object, gap: &Gap) {
    put(object, "cause", json!(gap.cause));
    put(object, "from_ns", json!(gap.from_ns));
    put_some(object, "events", gap.events);
    put_some(object, "bytes", gap.bytes);
    put_some(object, "bytes_max", gap.bytes_max);
}

fn put_end(object: &mut Object, end: &End) {
    put(object, "reason", json!(end.reason));
    put_some(object, "exit_status", end.exit_status);
    put_some(object, "signal", end.signal.clone());
}
