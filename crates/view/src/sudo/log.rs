//! Who ran what: the session's `log.json`, or its `log`.

use std::io::Read;

use hansard_core::event::End;
use hansard_core::{Body, Session, Value};
use serde_json::{Map, Value as Json};

use super::{FOREIGN_EVENT, LOG, LOG_JSON, file};
use crate::codec::DecodeError;
use crate::import::Import;
use crate::limits::{HEADER_FIELDS_MAX, JSON_VALUES_MAX, SUDO_FACTS_BYTES_MAX, SUDO_LOG_BYTES_MAX};
use crate::lines::check_json_size;
use crate::parts::Inputs;

/// What is known of a session besides what happened in it.
pub(super) struct Described {
    pub(super) session: Session,
    pub(super) size: Option<Body>,
    /// How it ended, if that is said.
    pub(super) end: Option<End>,
    pub(super) notices: Vec<String>,
}

/// Reads `log.json`, or `log` where there is no JSON or it is damaged.
pub(super) fn read(inputs: &dyn Inputs, import: &Import) -> Result<Described, DecodeError> {
    let json = read_whole(inputs, LOG_JSON)?;
    let json = json.map(|json| from_json(&json, import).map_err(|what| malformed(LOG_JSON, &what)));
    let damage = match json {
        Some(Ok(described)) => return Ok(described),
        Some(Err(damage)) => Some(damage),
        None => None,
    };
    let log = read_whole(inputs, LOG)?;
    match (log, damage) {
        (None, Some(damage)) => Err(damage),
        (log, damage) => {
            let log = log.unwrap_or_default();
            let mut read = from_lines(&log, import).map_err(|what| malformed(LOG, &what))?;
            let told = damage.map(|damage| format!("{damage}; {LOG} was read instead"));
            read.notices.extend(told);
            Ok(read)
        }
    }
}

fn malformed(name: &str, what: &str) -> DecodeError {
    DecodeError::Malformed {
        line: None,
        offset: 0,
        what: format!("in {name}: {what}"),
    }
}

fn read_whole(inputs: &dyn Inputs, name: &str) -> Result<Option<Vec<u8>>, DecodeError> {
    let Some(file) = file::open(inputs, name)? else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    let limit = u64::try_from(SUDO_LOG_BYTES_MAX).unwrap_or(u64::MAX);
    file.src
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)?;
    if bytes.len() > SUDO_LOG_BYTES_MAX {
        let what = format!("longer than {SUDO_LOG_BYTES_MAX} bytes, the limit of this reader");
        return Err(malformed(name, &what));
    }
    Ok(Some(bytes))
}

/// Puts facts into a session, as many as fit a header that can be written.
struct Facts {
    session: Session,
    bytes: usize,
    fields: usize,
    left_out: usize,
}

impl Facts {
    fn new(import: &Import) -> Self {
        Self {
            session: import.session("sudo"),
            bytes: 0,
            fields: 0,
            left_out: 0,
        }
    }

    fn fits(&mut self, bytes: usize) -> bool {
        let all = self.bytes.saturating_add(bytes).saturating_add(16);
        let fits = all <= SUDO_FACTS_BYTES_MAX && self.fields < HEADER_FIELDS_MAX;
        if fits {
            (self.bytes, self.fields) = (all, self.fields + 1);
        } else {
            self.left_out += 1;
        }
        fits
    }

    fn subject(&mut self, name: &str, value: impl Into<Value>, bytes: usize) {
        if self.fits(bytes) {
            self.session.subject.push(name, value);
        }
    }

    fn origin(&mut self, name: &str, value: impl Into<Value>, bytes: usize) {
        if self.fits(bytes) {
            self.session.origin.push(name, value);
        }
    }

    fn target(&mut self, name: impl Into<String>, value: impl Into<Value>, bytes: usize) {
        if self.fits(bytes) {
            self.session.target.push(name, value);
        }
    }

    fn described(mut self, size: Option<(u16, u16)>, end: Option<End>) -> Described {
        let terminal = self.session.origin.get("tty").is_some();
        if !terminal {
            "exec".clone_into(&mut self.session.kind);
        }
        let mut notices = Vec::new();
        if self.left_out > 0 {
            notices.push(format!(
                "{} arguments, variables or other facts of the log are left out: more than \
                 {HEADER_FIELDS_MAX} of them, or than {SUDO_FACTS_BYTES_MAX} bytes",
                self.left_out
            ));
        }
        // Without a terminal, sudo writes the size that it would have had.
        let size = size.filter(|_| terminal);
        Described {
            session: self.session,
            size: size.map(|(cols, rows)| Body::Resize { cols, rows }),
            end,
            notices,
        }
    }
}

fn from_json(json: &[u8], import: &Import) -> Result<Described, String> {
    check_json_size(json, JSON_VALUES_MAX)?;
    let Json::Object(map) = serde_json::from_slice(json).map_err(|e| e.to_string())? else {
        return Err("not a JSON object".to_owned());
    };
    let mut facts = Facts::new(import);
    for (key, value) in &map {
        fact(&mut facts, key, value)?;
    }
    let number = |key: &str| u16::try_from(map.get(key)?.as_u64()?).ok();
    let size = number("columns").zip(number("lines"));
    Ok(facts.described(size, end(&map)))
}

fn fact(facts: &mut Facts, key: &str, value: &Json) -> Result<(), String> {
    match (key, value) {
        ("columns" | "lines" | "exit_value" | "signal", _) => {}
        ("timestamp", Json::Object(said)) => {
            let number = |key: &str| said.get(key).and_then(Json::as_u64);
            let seconds = number("seconds").ok_or("the timestamp has no seconds")?;
            let start = seconds.checked_mul(1_000_000_000);
            let start = start.and_then(|ns| ns.checked_add(number("nanoseconds").unwrap_or(0)));
            facts.session.start_utc_ns =
                start.ok_or_else(|| format!("the timestamp {seconds} is beyond the year 2554"))?;
        }
        ("submituser", Json::String(text)) => facts.subject("user", text.as_str(), text.len()),
        ("runuser", Json::String(text)) => facts.subject("login", text.as_str(), text.len()),
        ("runuid", Json::Number(n)) if n.is_u64() => {
            facts.subject("uid", n.as_u64().unwrap_or_default(), 8);
        }
        ("ttyname", Json::String(text)) => facts.origin("tty", text.as_str(), text.len()),
        ("submithost", Json::String(text)) => {
            facts.target("server_hostname", text.as_str(), text.len());
        }
        ("submitcwd", Json::String(text)) => facts.target("cwd", text.as_str(), text.len()),
        ("runargv", Json::Array(words)) if words.iter().all(Json::is_string) => {
            let mut argv = Vec::new();
            for word in words.iter().filter_map(Json::as_str) {
                if facts.fits(word.len()) {
                    argv.push(Value::from(word));
                }
            }
            facts.target("argv", Value::List(argv), 0);
        }
        ("runenv", Json::Array(variables)) if variables.iter().all(Json::is_string) => {
            for (name, value) in variables.iter().filter_map(|v| v.as_str()?.split_once('=')) {
                if name == "TERM" {
                    facts.origin("term", value, value.len());
                }
                facts.target(format!("env.{name}"), value, name.len() + value.len());
            }
        }
        (_, Json::String(text)) => {
            facts.target(
                format!("{FOREIGN_EVENT}.{key}"),
                text.as_str(),
                key.len() + text.len(),
            );
        }
        _ => {
            let text = value.to_string();
            let bytes = key.len() + text.len();
            facts.target(format!("{FOREIGN_EVENT}.{key}"), text, bytes);
        }
    }
    Ok(())
}

/// How it ended, where a version of sudo says so.
fn end(map: &Map<String, Json>) -> Option<End> {
    let exit = map.get("exit_value").and_then(Json::as_u64);
    let exit_status = exit.and_then(|n| u8::try_from(n).ok());
    let signal = map.get("signal").and_then(Json::as_str);
    let signal = signal.map(|name| name.trim_start_matches("SIG").to_owned());
    let reason = match (&signal, exit_status) {
        (Some(_), _) => "signalled",
        (None, Some(_)) => "exited",
        (None, None) => return None,
    };
    Some(End {
        reason: reason.to_owned(),
        // The status beside a signal is 128 and its number, which the signal says better.
        exit_status: exit_status.filter(|_| signal.is_none()),
        signal,
    })
}

/// Reads the three lines of `log`: `seconds:user:runas:group:tty:lines:cols`, the directory, and
/// the command.
fn from_lines(log: &[u8], import: &Import) -> Result<Described, String> {
    let mut lines = log.splitn(3, |b| *b == b'\n');
    let mut next = || Some(lines.next()?.trim_ascii_end()).filter(|line| !line.is_empty());
    let first = next().ok_or("the file is empty")?;
    let mut parts = first.split(|b| *b == b':');
    let mut part = || parts.next().filter(|part| !part.is_empty());
    let mut facts = Facts::new(import);
    let start = part().and_then(crate::seconds::parse_moment);
    facts.session.start_utc_ns = start.ok_or("the first line does not begin with a time")?;
    if let Some(user) = part() {
        facts.subject("user", Value::from_os_bytes(user), user.len());
    }
    if let Some(user) = part() {
        facts.subject("login", Value::from_os_bytes(user), user.len());
    }
    if let Some(group) = part() {
        facts.target("sudo.rungroup", Value::from_os_bytes(group), group.len());
    }
    if let Some(tty) = part().filter(|tty| *tty != b"unknown") {
        facts.origin("tty", Value::from_os_bytes(tty), tty.len());
    }
    let mut number = || u16::try_from(crate::seconds::number(part()?)?).ok();
    let (rows, cols) = (number(), number());
    if let Some(cwd) = next() {
        facts.target("cwd", Value::from_os_bytes(cwd), cwd.len());
    }
    if let Some(command) = next() {
        facts.target("command", Value::from_os_bytes(command), command.len());
    }
    Ok(facts.described(cols.zip(rows), None))
}
