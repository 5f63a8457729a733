//! The first line of a cast, and the session it describes.

use hansard_core::{Fields, Session, Value};
use serde_json::{Map, Value as Json, json};

use super::CastVersion;
use crate::import::Import;
use crate::limits::{HEADER_FIELDS_MAX, SCREEN_DEFAULT, SECONDS_MAX};

/// Fields of the session's target that hold JSON of a header, under this prefix. A key that would
/// look like one inside `term` has a dot more before it.
const KEPT: &str = "asciicast.";
/// The same for keys inside version 3's `term`.
const KEPT_TERM: &str = "asciicast.term.";

/// What a header says.
pub(super) struct Header {
    pub(super) session: Session,
    pub(super) cols: u16,
    pub(super) rows: u16,
}

/// Reads a header.
pub(super) fn read(json: &Json, version: CastVersion, import: &Import) -> Result<Header, String> {
    let Json::Object(map) = json else {
        return Err("the header is not a JSON object".to_owned());
    };
    check_version(map, version)?;
    let mut session = import.session(version.name());
    let (cols, rows) = match version {
        CastVersion::V2 => (dimension(map, "width")?, dimension(map, "height")?),
        CastVersion::V3 => read_term(map, &mut session)?,
    };
    if map.len() > HEADER_FIELDS_MAX {
        return Err(format!("more than {HEADER_FIELDS_MAX} header fields"));
    }
    for (key, value) in map {
        read_field(key, value, version, &mut session)?;
    }
    Ok(Header {
        session,
        cols,
        rows,
    })
}

fn check_version(map: &Map<String, Json>, version: CastVersion) -> Result<(), String> {
    match map.get("version").and_then(Json::as_u64) {
        Some(found) if found == version.number() => Ok(()),
        Some(found) => Err(format!(
            "this is asciicast version {found}, not {}; name the format it has (--from)",
            version.number()
        )),
        None => Err("no \"version\" in the first line: not an asciicast header".to_owned()),
    }
}

fn dimension(map: &Map<String, Json>, key: &str) -> Result<u16, String> {
    let value = map.get(key).and_then(Json::as_u64);
    value
        .and_then(|n| u16::try_from(n).ok())
        .ok_or_else(|| format!("the header's \"{key}\" must be a number from 0 to 65535"))
}

fn read_term(map: &Map<String, Json>, session: &mut Session) -> Result<(u16, u16), String> {
    let Some(Json::Object(term)) = map.get("term") else {
        return Err("the header has no object \"term\"".to_owned());
    };
    if term.len() > HEADER_FIELDS_MAX {
        return Err(format!("more than {HEADER_FIELDS_MAX} fields in \"term\""));
    }
    for (key, value) in term {
        match (key.as_str(), value) {
            ("cols" | "rows", _) => {}
            ("type", Json::String(name)) => session.origin.push("term", name.as_str()),
            ("version", Json::String(name)) => session.origin.push("term_version", name.as_str()),
            ("theme", _) => keep(session, "theme", value),
            _ => keep(session, &format!("term.{key}"), value),
        }
    }
    Ok((dimension(term, "cols")?, dimension(term, "rows")?))
}

fn keep(session: &mut Session, key: &str, value: &Json) {
    session
        .target
        .push(format!("{KEPT}{key}"), value.to_string());
}

fn read_field(
    key: &str,
    value: &Json,
    version: CastVersion,
    session: &mut Session,
) -> Result<(), String> {
    match (key, value) {
        ("version", _) => {}
        ("width" | "height", _) if version == CastVersion::V2 => {}
        ("term", _) if version == CastVersion::V3 => {}
        ("timestamp", Json::Number(n)) => session.start_utc_ns = timestamp(n)?,
        ("command" | "title", Json::String(text)) => session.target.push(key, text.as_str()),
        ("tags", Json::Array(tags)) if tags.iter().all(Json::is_string) => {
            let tags = tags
                .iter()
                .filter_map(Json::as_str)
                .map(Value::from)
                .collect();
            session.target.push("tags", Value::List(tags));
        }
        ("env", Json::Object(env)) if env.values().all(Json::is_string) => {
            if env.len() > HEADER_FIELDS_MAX {
                return Err(format!(
                    "more than {HEADER_FIELDS_MAX} variables in \"env\""
                ));
            }
            for (name, value) in env {
                session
                    .target
                    .push(format!("env.{name}"), value.as_str().unwrap_or_default());
            }
        }
        (_, Json::Null) => {}
        // Of the wrong type, but a cast may say it and go on.
        _ if key.starts_with('.') || key.starts_with("term.") => {
            keep(session, &format!(".{key}"), value);
        }
        _ => keep(session, key, value),
    }
    Ok(())
}

fn timestamp(n: &serde_json::Number) -> Result<u64, String> {
    if let Some(seconds) = n.as_u64() {
        return seconds
            .checked_mul(1_000_000_000)
            .ok_or_else(|| format!("the header's timestamp {n} is beyond the year 2554"));
    }
    match n.as_f64() {
        Some(seconds) if (0.0..SECONDS_MAX * 18.0).contains(&seconds) => {
            Ok(super::decode::ns(seconds))
        }
        _ => Err(format!(
            "the header's timestamp {n} is not a time after 1970"
        )),
    }
}

/// The header of this session, on one line without its end.
pub(super) fn write(session: &Session, size: Option<(u16, u16)>, version: CastVersion) -> String {
    let (cols, rows) = size.unwrap_or(SCREEN_DEFAULT);
    let mut map = Map::new();
    map.insert("version".into(), json!(version.number()));
    match version {
        CastVersion::V2 => {
            map.insert("width".into(), json!(cols));
            map.insert("height".into(), json!(rows));
        }
        CastVersion::V3 => {
            map.insert("term".into(), write_term(session, cols, rows));
        }
    }
    map.insert(
        "timestamp".into(),
        json!(session.start_utc_ns / 1_000_000_000),
    );
    for (name, value) in kept(session, KEPT) {
        if !written_elsewhere(name, version) {
            let key = name.strip_prefix('.').unwrap_or(name);
            map.insert(key.to_owned(), value);
        }
    }
    if let Some(command) = command_line(session) {
        map.insert("command".into(), json!(command));
    }
    if let Some(title) = session.target.text("title") {
        map.insert("title".into(), json!(title));
    }
    if let Some(Value::List(tags)) = session.target.get("tags") {
        let tags: Vec<_> = tags.iter().map(text_of).collect();
        map.insert("tags".into(), json!(tags));
    }
    let env = environment(session, version);
    if !env.is_empty() {
        map.insert("env".into(), Json::Object(env));
    }
    Json::Object(map).to_string()
}

/// Keys that must not come from what an import kept: they are written from the session itself, or
/// belong to the other version.
fn written_elsewhere(name: &str, version: CastVersion) -> bool {
    match (name, version) {
        ("version" | "timestamp" | "command" | "title" | "env" | "width" | "height", _) => true,
        ("theme" | "duration" | "term", CastVersion::V3) => true,
        _ => name.starts_with("term."),
    }
}

fn write_term(session: &Session, cols: u16, rows: u16) -> Json {
    let mut term = Map::new();
    term.insert("cols".into(), json!(cols));
    term.insert("rows".into(), json!(rows));
    if let Some(name) = session
        .origin
        .text("term")
        .or(session.target.text("env.TERM"))
    {
        term.insert("type".into(), json!(name));
    }
    if let Some(name) = session.origin.text("term_version") {
        term.insert("version".into(), json!(name));
    }
    if let Some((_, theme)) = kept(session, KEPT).find(|(name, _)| *name == "theme") {
        term.insert("theme".into(), theme);
    }
    for (name, value) in kept(session, KEPT_TERM) {
        term.entry(name).or_insert(value);
    }
    Json::Object(term)
}

/// JSON that an import kept under this prefix.
fn kept<'a>(session: &'a Session, prefix: &'a str) -> impl Iterator<Item = (&'a str, Json)> {
    session.target.iter().filter_map(move |(name, value)| {
        let name = name.strip_prefix(prefix)?;
        Some((name, serde_json::from_str(value.as_text()?).ok()?))
    })
}

fn environment(session: &Session, version: CastVersion) -> Map<String, Json> {
    let mut env = Map::new();
    for (name, value) in session.target.iter() {
        if let Some(name) = name.strip_prefix("env.") {
            env.insert(name.to_owned(), json!(text_of(value)));
        }
    }
    if let (CastVersion::V2, Some(term)) = (version, session.origin.text("term")) {
        env.entry("TERM").or_insert_with(|| json!(term));
    }
    env
}

/// The command line: as it was said, or put together from its words.
pub(crate) fn command_line(session: &Session) -> Option<String> {
    if let Some(command) = session.target.text("command") {
        return Some(command.to_owned());
    }
    match session.target.get("argv") {
        Some(Value::List(words)) if !words.is_empty() => {
            let words: Vec<_> = words.iter().map(|word| quoted(&text_of(word))).collect();
            Some(words.join(" "))
        }
        _ => None,
    }
}

fn text_of(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Uint(n) => n.to_string(),
        Value::Int(n) => n.to_string(),
        Value::Bool(b) => b.to_string(),
        Value::List(values) => values.iter().map(text_of).collect::<Vec<_>>().join(" "),
    }
}

/// A word as a shell would take it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Fields of an event that a cast had under an unknown code.
pub(super) fn foreign_fields(code: String, data: String) -> Fields {
    Fields::new().with("code", code).with("data", data)
}
