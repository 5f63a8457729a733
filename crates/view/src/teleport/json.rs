//! Teleport's flat JSON as fields, and back. What no field can hold (objects, fractions, null)
//! travels as its own text under a name that says so.

use hansard_core::limits::FIELDS_MAX;
use hansard_core::{Fields, Value};
use serde_json::{Map, Value as Json};

use super::{JSON, table};
use crate::jsonl::base64;

/// Takes the fields of an object but `event`, which is answered.
pub(super) fn read(object: Map<String, Json>) -> Result<(String, Fields), String> {
    if object.len() > FIELDS_MAX {
        return Err(format!(
            "more than {FIELDS_MAX} fields, the limit of this reader"
        ));
    }
    let mut fields = Fields::new();
    let mut event = None;
    for (name, value) in object {
        match (name.as_str(), value) {
            ("event", Json::String(text)) => event = Some(text),
            (_, value) => push(&mut fields, name, value),
        }
    }
    match event {
        Some(event) => Ok((event, fields)),
        None => Err("an event has a text \"event\" that names it; this line has none".to_owned()),
    }
}

/// Adds a value under this name.
pub(super) fn push(fields: &mut Fields, name: String, json: Json) {
    let reserved = name.starts_with(JSON);
    match value(&json) {
        Some(value) if !reserved => fields.push(name, value),
        _ => fields.push(format!("{JSON}{name}"), json.to_string()),
    }
}

fn value(json: &Json) -> Option<Value> {
    match json {
        // Lists of more than plain values would take far more room in an event than their text.
        Json::Array(values) if values.len() <= FIELDS_MAX => {
            let values = values.iter().map(scalar);
            Some(Value::List(values.collect::<Option<_>>()?))
        }
        _ => scalar(json),
    }
}

fn scalar(json: &Json) -> Option<Value> {
    match json {
        Json::String(text) => Some(Value::Text(text.clone())),
        Json::Bool(b) => Some(Value::Bool(*b)),
        Json::Number(n) => match (n.as_u64(), n.as_i64()) {
            (Some(n), _) => Some(Value::Uint(n)),
            (None, Some(n)) => Some(Value::Int(n)),
            (None, None) => None,
        },
        Json::Array(_) | Json::Object(_) | Json::Null => None,
    }
}

/// The fields as an object, in their order. Of names that stand twice the first is kept.
pub(super) fn write(fields: &Fields) -> Map<String, Json> {
    let mut object = Map::new();
    for (name, value) in fields.iter().filter(|(name, _)| *name != "event") {
        let kept = name.strip_prefix(JSON).zip(value.as_text());
        let kept = kept.and_then(|(name, text)| Some((name, serde_json::from_str(text).ok()?)));
        let (name, json) = kept.unwrap_or_else(|| (name, json_of(name, value)));
        object.entry(name).or_insert(json);
    }
    object
}

fn json_of(name: &str, value: &Value) -> Json {
    match value {
        Value::Text(text) => Json::from(text.as_str()),
        Value::Bytes(bytes) if table::BYTES.contains(&name) => Json::from(base64::encode(bytes)),
        // A path or argument that is no UTF-8: JSON has no bytes, and Teleport does the same.
        Value::Bytes(bytes) => Json::from(String::from_utf8_lossy(bytes)),
        Value::Uint(n) => Json::from(*n),
        Value::Int(n) => Json::from(*n),
        Value::Bool(b) => Json::from(*b),
        Value::List(values) => values.iter().map(|value| json_of(name, value)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(text: &str) -> Map<String, Json> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn every_value_comes_back() {
        let text = r#"{"event":"x","ei":7,"n":-3,"f":2.5,"ok":false,"none":null,"argv":["a",""],
            "deep":[["a"],{}],"server_labels":{"a.b":"c"},"teleport.json.ei":"8","teleport.json.q":"\"","":""}"#;
        let (event, fields) = read(object(text)).unwrap();
        assert_eq!(event, "x");
        assert_eq!(fields.get("ei"), Some(&Value::Uint(7)));
        assert_eq!(
            fields.text("teleport.json.server_labels"),
            Some(r#"{"a.b":"c"}"#)
        );
        let mut back = write(&fields);
        back.insert("event".to_owned(), Json::from("x"));
        assert_eq!(back, object(text));
    }

    #[test]
    fn what_json_cannot_hold() {
        let fields = Fields::new()
            .with("path", Value::Bytes(b"a\xff".to_vec()))
            .with("data", Value::Bytes(b"a\xff".to_vec()))
            .with("path", "second")
            .with("event", "no");
        assert_eq!(
            Json::Object(write(&fields)).to_string(),
            "{\"path\":\"a\u{fffd}\",\"data\":\"Yf8=\"}"
        );
        assert!(read(object("{\"ei\":0}")).is_err());
        assert!(read(object("{\"event\":0}")).is_err());
    }
}
