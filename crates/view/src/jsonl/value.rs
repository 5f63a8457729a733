//! Fields and their values, and sessions, as JSON and back.

use hansard_core::limits::VALUE_DEPTH_MAX;
use hansard_core::session::ClockQuality;
use hansard_core::{Fields, OnLoss, Policy, Session, Value};
use serde_json::{Map, Value as Json, json};

use super::base64;

pub(super) type Object = Map<String, Json>;

/// Bytes as `text` where that is possible and not much longer, as `base64` otherwise.
pub(super) fn put_bytes(object: &mut Object, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) if escapes(bytes) * 5 <= bytes.len() => object.insert("text".into(), json!(text)),
        _ => object.insert("base64".into(), json!(base64::encode(bytes))),
    };
}

/// Bytes that JSON writes as six characters.
fn escapes(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .filter(|b| **b < 0x20 && !matches!(b, b'\n' | b'\r' | b'\t' | 0x08 | 0x0c))
        .count()
}

pub(super) fn get_bytes(object: &Object) -> Result<Vec<u8>, String> {
    match (object.get("text"), object.get("base64")) {
        (Some(Json::String(text)), None) => Ok(text.clone().into_bytes()),
        (None, Some(Json::String(text))) => {
            base64::decode(text).ok_or_else(|| "\"base64\" is not base64".to_owned())
        }
        _ => Err("one of the strings \"text\" and \"base64\" is needed".to_owned()),
    }
}

pub(super) fn get_text(object: &Object, key: &str) -> Result<String, String> {
    match object.get(key) {
        Some(Json::String(text)) => Ok(text.clone()),
        _ => Err(format!("a string \"{key}\" is needed")),
    }
}

pub(super) fn get_u64(object: &Object, key: &str) -> Result<u64, String> {
    object
        .get(key)
        .and_then(Json::as_u64)
        .ok_or_else(|| format!("a number \"{key}\" from 0 to {} is needed", u64::MAX))
}

pub(super) fn get_optional<T>(
    object: &Object,
    key: &str,
    read: impl FnOnce(&Object, &str) -> Result<T, String>,
) -> Result<Option<T>, String> {
    match object.get(key) {
        None | Some(Json::Null) => Ok(None),
        Some(_) => read(object, key).map(Some),
    }
}

pub(super) fn get_small<T: TryFrom<u64>>(object: &Object, key: &str) -> Result<T, String> {
    T::try_from(get_u64(object, key)?).map_err(|_| format!("\"{key}\" is too large"))
}

fn value_json(value: &Value) -> Json {
    match value {
        Value::Text(text) => json!(text),
        Value::Bytes(bytes) => json!({ "base64": base64::encode(bytes) }),
        Value::Uint(n) => json!(n),
        Value::Int(n) if *n < 0 => json!(n),
        Value::Int(n) => json!({ "int": n }),
        Value::Bool(b) => json!(b),
        Value::List(values) => Json::Array(values.iter().map(value_json).collect()),
    }
}

fn json_value(json: &Json, depth: usize) -> Result<Value, String> {
    match json {
        Json::String(text) => Ok(Value::Text(text.clone())),
        Json::Bool(b) => Ok(Value::Bool(*b)),
        Json::Number(n) => match (n.as_u64(), n.as_i64()) {
            (Some(n), _) => Ok(Value::Uint(n)),
            (None, Some(n)) => Ok(Value::Int(n)),
            _ => Err(format!("the number {n} is no whole number of 64 bits")),
        },
        Json::Array(values) if depth < VALUE_DEPTH_MAX => {
            let values = values.iter().map(|v| json_value(v, depth + 1));
            Ok(Value::List(values.collect::<Result<_, _>>()?))
        }
        Json::Array(_) => Err(format!("lists nested deeper than {VALUE_DEPTH_MAX}")),
        Json::Object(object) => match (object.len(), object.get("base64"), object.get("int")) {
            (1, Some(Json::String(text)), _) => base64::decode(text)
                .map(Value::Bytes)
                .ok_or_else(|| "\"base64\" is not base64".to_owned()),
            (1, _, Some(Json::Number(n))) => n
                .as_i64()
                .map(Value::Int)
                .ok_or_else(|| format!("{n} is no signed number")),
            _ => Err("an object as a value must be {\"base64\": …} or {\"int\": …}".to_owned()),
        },
        Json::Null => Err("null is no value".to_owned()),
    }
}

/// Fields as an object, or as pairs where a name stands twice.
pub(super) fn fields_json(fields: &Fields) -> Json {
    let mut object = Map::with_capacity(fields.len());
    for (name, value) in fields.iter() {
        if object.insert(name.to_owned(), value_json(value)).is_some() {
            return Json::Array(
                fields
                    .iter()
                    .map(|(name, value)| json!([name, value_json(value)]))
                    .collect(),
            );
        }
    }
    Json::Object(object)
}

pub(super) fn get_fields(object: &Object, key: &str) -> Result<Fields, String> {
    let mut fields = Fields::new();
    match object.get(key) {
        Some(Json::Object(values)) => {
            for (name, value) in values {
                fields.push(name.as_str(), json_value(value, 0)?);
            }
        }
        Some(Json::Array(pairs)) => {
            for pair in pairs {
                match pair.as_array().map(Vec::as_slice) {
                    Some([Json::String(name), value]) => {
                        fields.push(name.as_str(), json_value(value, 0)?);
                    }
                    _ => return Err(format!("\"{key}\" holds something that is no pair")),
                }
            }
        }
        None => {}
        Some(_) => return Err(format!("\"{key}\" must be an object or a list of pairs")),
    }
    Ok(fields)
}

fn get_object<'a>(object: &'a Object, key: &str) -> Result<&'a Object, String> {
    object
        .get(key)
        .and_then(Json::as_object)
        .ok_or_else(|| format!("an object \"{key}\" is needed"))
}

pub(super) fn session_json(session: &Session) -> Json {
    let mut object = Map::new();
    object.insert("id".into(), json!(session.id.to_string()));
    if let Some(parent) = session.parent {
        object.insert("parent".into(), json!(parent.to_string()));
    }
    object.insert("kind".into(), json!(session.kind));
    object.insert("subject".into(), fields_json(&session.subject));
    object.insert("origin".into(), fields_json(&session.origin));
    object.insert("target".into(), fields_json(&session.target));
    object.insert("start_utc_ns".into(), json!(session.start_utc_ns));
    object.insert("clock".into(), json!(session.clock.as_str()));
    object.insert("policy".into(), policy_json(&session.policy));
    object.insert("recorder_key".into(), json!(hex(&session.recorder_key)));
    object.insert("recorder".into(), json!(session.recorder));
    Json::Object(object)
}

pub(super) fn get_session(object: &Object) -> Result<Session, String> {
    let session = get_object(object, "session")?;
    let id = |text: String| text.parse().map_err(|e| format!("{e}"));
    Ok(Session {
        id: id(get_text(session, "id")?)?,
        parent: get_optional(session, "parent", get_text)?
            .map(id)
            .transpose()?,
        kind: get_text(session, "kind")?,
        subject: get_fields(session, "subject")?,
        origin: get_fields(session, "origin")?,
        target: get_fields(session, "target")?,
        start_utc_ns: get_u64(session, "start_utc_ns")?,
        clock: clock(&get_text(session, "clock")?)?,
        policy: policy(get_object(session, "policy")?)?,
        recorder_key: unhex(&get_text(session, "recorder_key")?)
            .ok_or("\"recorder_key\" must be 64 hexadecimal digits")?,
        recorder: get_text(session, "recorder")?,
    })
}

pub(super) fn clock(word: &str) -> Result<ClockQuality, String> {
    [
        ClockQuality::Unknown,
        ClockQuality::Synchronised,
        ClockQuality::Unsynchronised,
    ]
    .into_iter()
    .find(|quality| quality.as_str() == word)
    .ok_or_else(|| "an unknown quality of the clock".to_owned())
}

fn policy_json(policy: &Policy) -> Json {
    let mut json = json!({
        "stdin": policy.stdin, "keystrokes": policy.keystrokes, "stdout": policy.stdout,
        "stderr": policy.stderr, "passwords": policy.passwords,
        "forwarding": policy.forwarding, "files": policy.files,
        "on_loss": policy.on_loss.as_str(), "hold_ms_max": policy.hold_ms_max,
        "strict": policy.strict,
    });
    if let Some(object) = json.as_object_mut() {
        // Left out where there is nothing to say, as in the recording itself.
        let numbers = [
            ("idle_ms_max", policy.idle_ms_max),
            ("bulk_bytes_max", policy.bulk_bytes_max),
            ("version", policy.version),
        ];
        for (name, number) in numbers.into_iter().filter(|(_, number)| *number > 0) {
            object.insert(name.to_owned(), json!(number));
        }
        if !policy.rule.is_empty() {
            object.insert("rule".to_owned(), json!(policy.rule));
        }
    }
    json
}

fn policy(object: &Object) -> Result<Policy, String> {
    let switch = |key: &str| {
        object
            .get(key)
            .and_then(Json::as_bool)
            .ok_or_else(|| format!("a switch \"{key}\" is needed"))
    };
    let number = |key: &str| match object.contains_key(key) {
        true => get_u64(object, key),
        false => Ok(0),
    };
    Ok(Policy {
        stdin: switch("stdin")?,
        keystrokes: switch("keystrokes")?,
        stdout: switch("stdout")?,
        stderr: switch("stderr")?,
        passwords: switch("passwords")?,
        forwarding: switch("forwarding")?,
        files: switch("files")?,
        on_loss: OnLoss::parse(&get_text(object, "on_loss")?).ok_or("an unknown \"on_loss\"")?,
        hold_ms_max: get_u64(object, "hold_ms_max")?,
        strict: switch("strict")?,
        idle_ms_max: number("idle_ms_max")?,
        bulk_bytes_max: number("bulk_bytes_max")?,
        version: number("version")?,
        rule: match object.contains_key("rule") {
            true => get_text(object, "rule")?,
            false => String::new(),
        },
    })
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0u8; 32];
    if text.len() != 64 {
        return None;
    }
    for (i, digit) in text.chars().enumerate() {
        let digit = u8::try_from(digit.to_digit(16)?).ok()?;
        let slot = bytes.get_mut(i / 2)?;
        *slot = *slot << 4 | digit;
    }
    Some(bytes)
}
