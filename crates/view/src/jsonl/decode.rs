//! Reads JSON lines.

use std::io::Read;

use hansard_core::event::{End, Fact, Gap};
use hansard_core::{Body, Event, Stream};
use serde_json::Value as Json;

use super::value::{
    Object, clock, get_bytes, get_fields, get_optional, get_session, get_small, get_text, get_u64,
};
use super::{JSONL_LINE_BYTES_MAX, VERSION};
use crate::codec::{DecodeError, Decoder};
use crate::limits::JSON_VALUES_MAX;
use crate::lines::{Lines, check_json_size};

/// Reads what [`super::JsonlEncoder`] wrote.
pub struct JsonlDecoder<R> {
    lines: Lines<R>,
    last: Option<(u64, u64)>,
    done: bool,
}

impl<R: Read> JsonlDecoder<R> {
    /// A decoder that reads here.
    pub fn new(src: R) -> Self {
        Self {
            lines: Lines::new(src),
            last: None,
            done: false,
        }
    }

    fn read(&mut self) -> Result<Option<Event>, DecodeError> {
        loop {
            if !self.lines.advance(JSONL_LINE_BYTES_MAX)? {
                return match self.last {
                    Some(_) => Ok(None),
                    None => Err(self.lines.malformed("the file is empty, so no recording")),
                };
            }
            if !self.lines.line().iter().all(u8::is_ascii_whitespace) {
                break;
            }
        }
        let line = self.lines.line();
        check_json_size(line, JSON_VALUES_MAX).map_err(|what| self.lines.malformed(what))?;
        let json: Json = serde_json::from_slice(line)
            .map_err(|e| self.lines.not_json("an event in JSON", &e))?;
        let event = read_event(&json).map_err(|what| self.lines.malformed(what))?;
        self.check_order(&event)
            .map_err(|what| self.lines.malformed(what))?;
        Ok(Some(event))
    }

    fn check_order(&mut self, event: &Event) -> Result<(), String> {
        match (self.last, &event.body) {
            (None, Body::Start(_)) if event.seq == 0 && event.at_ns == 0 => {}
            (None, Body::Start(_)) => return Err("a session starts with event 0 at 0".to_owned()),
            (None, _) => return Err("the first line must be the session (\"start\")".to_owned()),
            (Some(_), Body::Start(_)) => return Err("a second session in one file".to_owned()),
            (Some((seq, at_ns)), _) if event.seq <= seq || event.at_ns < at_ns => {
                return Err(format!(
                    "event {} stands after event {seq} but is older",
                    event.seq
                ));
            }
            (Some(_), _) => {}
        }
        self.last = Some((event.seq, event.at_ns));
        Ok(())
    }
}

impl<R: Read> Decoder for JsonlDecoder<R> {
    fn next_event(&mut self) -> Result<Option<Event>, DecodeError> {
        if self.done {
            return Ok(None);
        }
        let event = self.read();
        self.done = !matches!(event, Ok(Some(_)));
        event
    }
}

/// The event that [`super::event_json`] wrote. Whether it stands in its place is the caller's to check.
///
/// # Errors
/// What is wrong with it, in words.
pub fn read_event(json: &Json) -> Result<Event, String> {
    let object = json.as_object().ok_or("the line is no JSON object")?;
    let body = read_body(object)?;
    Ok(Event {
        seq: get_u64(object, "seq")?,
        at_ns: get_u64(object, "at_ns")?,
        body,
    })
}

fn read_body(object: &Object) -> Result<Body, String> {
    Ok(match get_text(object, "family")?.as_str() {
        "start" => {
            let version = get_u64(object, "hansard")?;
            if version != VERSION {
                return Err(format!(
                    "version {version} of this format; this program reads {VERSION}"
                ));
            }
            Body::Start(Box::new(get_session(object)?))
        }
        "auth" => Body::Auth(fact(object)?),
        "channel" => Body::Channel(fact(object)?),
        "command" => Body::Command(fact(object)?),
        "file" => Body::File(fact(object)?),
        "network" => Body::Network(fact(object)?),
        "process" => Body::Process(fact(object)?),
        "transfer" => Body::Transfer(fact(object)?),
        "request" => Body::Request(fact(object)?),
        "admin" => Body::Admin(fact(object)?),
        "data" => {
            let stream = Stream::parse(&get_text(object, "stream")?).ok_or("an unknown stream")?;
            Body::Data {
                stream,
                bytes: get_bytes(object)?,
            }
        }
        "resize" => Body::Resize {
            cols: get_small(object, "cols")?,
            rows: get_small(object, "rows")?,
        },
        "clock" => Body::Clock {
            utc_ns: get_u64(object, "utc_ns")?,
            quality: clock(&get_text(object, "quality")?)?,
            reason: get_text(object, "reason")?,
        },
        "mark" => Body::Mark {
            label: get_text(object, "label")?,
        },
        "gap" => Body::Gap(Gap {
            cause: get_text(object, "cause")?,
            from_ns: get_u64(object, "from_ns")?,
            events: get_optional(object, "events", get_u64)?,
            bytes: get_optional(object, "bytes", get_u64)?,
            bytes_max: get_optional(object, "bytes_max", get_u64)?,
        }),
        "end" => Body::End(End {
            reason: get_text(object, "reason")?,
            exit_status: get_optional(object, "exit_status", get_small)?,
            signal: get_optional(object, "signal", get_text)?,
        }),
        "unknown" => Body::Unknown {
            kind: get_small(object, "kind")?,
            bytes: get_bytes(object)?,
        },
        _ => return Err("a family of events that this program does not know".to_owned()),
    })
}

fn fact(object: &Object) -> Result<Fact, String> {
    Ok(Fact {
        event: get_text(object, "event")?,
        fields: get_fields(object, "fields")?,
    })
}
