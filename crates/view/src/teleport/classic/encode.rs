//! Writes a classic recording.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use hansard_core::event::{End, Fact, Gap};
use hansard_core::{Body, Event, Fields, Session, Value};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use super::super::time::{self, Clock};
use super::super::timeline::{FAMILY, GAP_BY_INDEX, GAP_EVENT, MARK_EVENT, family, size};
use super::super::{CLASSIC_NAME, STREAM_NAME, json};
use super::names::{self, Role};
use super::prints::Prints;
use super::written::{Object, plain, sorted, told_line, told_print};
use super::{KERNEL_EVENTS, PRINT_EVENT};
use crate::codec::{EncodeError, Encoder};
use crate::limits::{TELEPORT_LINE_BYTES_MAX, TELEPORT_VALUES_MAX};
use crate::lines::check_json_size;
use crate::parts::{Outputs, Part};

/// Longest session id that names files as it is.
const SID_BYTES_MAX: usize = 50;

type File = GzEncoder<Box<dyn Write>>;

/// Writes a classic recording: every event as a JSON line under Teleport's names, the bytes of
/// the terminal beside them. An event that was Teleport's is written as it was; one of ours gains
/// what every event of Teleport's has.
pub struct ClassicEncoder {
    outputs: Box<dyn Outputs>,
    session: Option<Box<Session>>,
    sid: String,
    /// Whether this was recorded by us, so that `session.start` and the like are to be made.
    ours: bool,
    /// The size of the terminal can still be a part of `session.start`.
    starting: bool,
    ended: bool,
    events: [Option<File>; 4],
    chunks: Option<File>,
    index: Option<Box<dyn Write>>,
    prints: Prints,
    kernel: [u64; 3],
    /// What the event before said of the print that follows it.
    told: Option<Fields>,
    /// The size that the event before said.
    size: Option<(u16, u16)>,
    line: Vec<u8>,
    clock: Clock,
}

impl ClassicEncoder {
    /// An encoder that creates its files here.
    #[must_use]
    pub fn new(outputs: Box<dyn Outputs>) -> Self {
        Self {
            outputs,
            session: None,
            sid: String::new(),
            ours: true,
            starting: false,
            ended: false,
            events: [None, None, None, None],
            chunks: None,
            index: None,
            prints: Prints::default(),
            kernel: [0; 3],
            told: None,
            size: None,
            line: Vec::new(),
            clock: Clock::default(),
        }
    }

    fn utc_ns(&self, at_ns: u64) -> u64 {
        let start_ns = self
            .session
            .as_ref()
            .map_or(0, |session| session.start_utc_ns);
        start_ns.saturating_add(at_ns)
    }

    /// Writes `session.start` of a session that we recorded.
    fn start(&mut self, size: Option<(u16, u16)>) -> Result<(), EncodeError> {
        if !std::mem::take(&mut self.starting) {
            return Ok(());
        }
        let Some(session) = self.session.clone() else {
            return Ok(());
        };
        let mut object = Object::new();
        object.insert("code".to_owned(), json!("T2000I"));
        if let Some((cols, rows)) = size {
            object.insert("size".to_owned(), json!(format!("{cols}:{rows}")));
        }
        let said = [&session.subject, &session.origin, &session.target];
        for name in [
            "addr.remote",
            "addr.local",
            "server_hostname",
            "server_id",
            "cluster_name",
        ] {
            if let Some(text) = said.iter().find_map(|fields| fields.text(name)) {
                object.insert(name.to_owned(), json!(text));
            }
        }
        let words = session.target.get("argv").or(session.target.get("command"));
        if let Some(command) = words.map(command) {
            object.insert("initial_command".to_owned(), command);
        }
        self.made("session.start", object, 0)
    }

    /// Writes an event that is made here.
    fn made(&mut self, event: &str, mut object: Object, at_ns: u64) -> Result<(), EncodeError> {
        self.complete(event, &mut object, at_ns);
        self.object(event, object, at_ns)
    }

    /// Adds what every event of Teleport's has.
    fn complete(&mut self, event: &str, object: &mut Object, at_ns: u64) {
        let kind = KERNEL_EVENTS.iter().position(|kernel| *kernel == event);
        let index = match kind.and_then(|kind| self.kernel.get(kind)) {
            Some(next) => *next,
            None => self.prints.next_index(),
        };
        let mut add = |name: &str, value: Json| {
            object.entry(name).or_insert(value);
        };
        add("ei", json!(index));
        add("time", json!(time::text_ms(self.utc_ns(at_ns))));
        add("sid", json!(self.sid));
        add("uid", json!(self.uid(event, index)));
        add("namespace", json!("default"));
        if let Some(session) = &self.session
            && !matches!(event, GAP_EVENT | MARK_EVENT)
        {
            for name in ["user", "login"] {
                if let Some(text) = session.subject.text(name) {
                    add(name, json!(text));
                }
            }
        }
    }

    /// An identifier of an event that is the same whenever the recording is written.
    fn uid(&self, event: &str, index: u64) -> String {
        let id = self.session.as_ref().map(|session| session.id.to_string());
        let named = format!("{} {event} {index}", id.unwrap_or_default());
        let digest = Sha256::digest(named.as_bytes());
        let mut text = String::new();
        for (i, byte) in digest.iter().take(16).enumerate() {
            let byte = match i {
                6 => byte & 0x0f | 0x80,
                8 => byte & 0x3f | 0x80,
                _ => *byte,
            };
            let dash = if matches!(i, 4 | 6 | 8 | 10) { "-" } else { "" };
            text.push_str(&format!("{dash}{byte:02x}"));
        }
        text
    }

    fn fact(&mut self, in_family: &str, fact: &Fact, at_ns: u64) -> Result<(), EncodeError> {
        match fact.event.as_str() {
            PRINT_EVENT => {
                self.told = Some(fact.fields.clone());
                // Only a print without bytes says how many; no event of ours would hold it.
                return match fact.fields.get("bytes") {
                    Some(_) => self.print(&[], at_ns),
                    None => Ok(()),
                };
            }
            // Its bytes are none of ours.
            "print" => return Ok(()),
            event => self.ended |= event == "session.end",
        }
        let mut object = json::write(&fact.fields);
        if in_family != family(&fact.event) {
            object.insert(FAMILY.to_owned(), json!(in_family));
        }
        if matches!(fact.event.as_str(), "session.start" | "resize") {
            self.size = fact.fields.text("size").and_then(size);
        }
        if self.ours {
            self.complete(&fact.event, &mut object, at_ns);
        }
        self.object(&fact.event, object, at_ns)
    }

    /// Writes a line.
    fn object(&mut self, event: &str, mut object: Object, at_ns: u64) -> Result<(), EncodeError> {
        object.insert("event".to_owned(), json!(event));
        let kind = KERNEL_EVENTS.iter().position(|kernel| *kernel == event);
        let index = object.get("ei").and_then(Json::as_u64);
        let first = match kind.and_then(|kind| self.kernel.get_mut(kind)) {
            Some(next) => {
                let first = index.unwrap_or(*next);
                *next = first.saturating_add(1);
                first
            }
            None => {
                let first = index.unwrap_or(self.prints.next_index());
                if let Some(index) = index {
                    self.prints.counted(index);
                }
                first
            }
        };
        self.line.clear();
        sorted(&mut self.line, &object)?;
        let fits = self.line.len() < TELEPORT_LINE_BYTES_MAX
            && check_json_size(&self.line, TELEPORT_VALUES_MAX).is_ok();
        if !fits {
            let left_out = json!(self.line.len());
            object.retain(|name, _| matches!(name.as_str(), "ei" | "sid" | "uid" | "event"));
            object.insert("time".to_owned(), json!(time::text_ms(self.utc_ns(at_ns))));
            object.insert("hansard.left_out".to_owned(), left_out);
            self.line.clear();
            sorted(&mut self.line, &object)?;
        }
        self.write_line(kind.map_or(0, |kind| kind + 1), first)
    }

    fn write_line(&mut self, kind: usize, first: u64) -> Result<(), EncodeError> {
        self.line.push(b'\n');
        let is_new = self.events.get(kind).is_some_and(Option::is_none);
        if is_new {
            let file = self.create(Role::Events(kind, first))?;
            if let Some(slot) = self.events.get_mut(kind) {
                *slot = Some(file);
            }
        }
        if let Some(Some(file)) = self.events.get_mut(kind) {
            file.write_all(&self.line)?;
        }
        Ok(())
    }

    /// Creates a file, which the index names.
    fn create(&mut self, role: Role) -> io::Result<File> {
        let name = names::name(&self.sid, role);
        let (index, offset) = match role {
            Role::Chunks(offset) => (0, offset),
            Role::Events(_, index) => (index, 0),
            Role::Index | Role::Completed => (0, 0),
        };
        if self.index.is_none() {
            let index = names::name(&self.sid, Role::Index);
            self.index = Some(self.outputs.create(Part::Inside(&index))?);
        }
        if let Some(lines) = &mut self.index {
            let line = json!({
                "file_name": name, "type": names::kind(role), "index": index, "offset": offset,
            });
            writeln!(lines, "{line}")?;
        }
        let out = self.outputs.create(Part::Inside(&name))?;
        Ok(GzEncoder::new(out, Compression::fast()))
    }

    /// Bytes of the terminal: the bytes, and a line that says when.
    fn print(&mut self, bytes: &[u8], at_ns: u64) -> Result<(), EncodeError> {
        let expected = self.prints.expect(self.utc_ns(at_ns));
        let mut print = expected;
        let len = u64::try_from(bytes.len()).unwrap_or(0);
        self.line.clear();
        match self.told.take() {
            None => plain(&mut self.line, self.clock.text_ms(print.utc_ns), len, print)?,
            Some(told) => {
                let mut told = json::write(&told);
                print = told_print(&told, expected);
                told_line(&mut self.line, &mut told, len, print)?;
            }
        }
        let (first, offset) = (print.index, print.offset);
        self.prints.printed(print, len);
        self.write_line(0, first)?;
        if self.chunks.is_none() {
            self.chunks = Some(self.create(Role::Chunks(offset))?);
        }
        if let Some(chunks) = &mut self.chunks {
            chunks.write_all(bytes)?;
        }
        Ok(())
    }

    fn resize(&mut self, cols: u16, rows: u16, at_ns: u64) -> Result<(), EncodeError> {
        let said = json!({ "code": "T2002I", "size": format!("{cols}:{rows}") });
        self.made("resize", object(said), at_ns)
    }

    fn gap(&mut self, gap: &Gap, at_ns: u64) -> Result<(), EncodeError> {
        let mut said = object(json!({ "cause": gap.cause, "from_ns": gap.from_ns }));
        for (name, n) in [
            ("events", gap.events),
            ("bytes", gap.bytes),
            ("bytes_max", gap.bytes_max),
        ] {
            if let Some(n) = n {
                said.insert(name.to_owned(), json!(n));
            }
        }
        self.made(GAP_EVENT, said, at_ns)
    }

    fn finish_session(&mut self, end: &End, at_ns: u64) -> Result<(), EncodeError> {
        if !self.ours || self.ended {
            return Ok(());
        }
        let Some(session) = self.session.clone() else {
            return Ok(());
        };
        let enhanced = self.events.iter().skip(1).any(Option::is_some);
        let mut said = object(json!({
            "code": "T2004I", "enhanced_recording": enhanced,
            "interactive": session.kind == "terminal",
            "participants": session.subject.text("user").into_iter().collect::<Vec<_>>(),
            "session_start": time::text_ms(session.start_utc_ns),
            "session_stop": time::text_ms(self.utc_ns(at_ns)), "reason": end.reason,
        }));
        if let Some(status) = end.exit_status {
            said.insert("exit_status".to_owned(), json!(status));
        }
        if let Some(signal) = &end.signal {
            said.insert("signal".to_owned(), json!(signal));
        }
        self.made("session.end", said, at_ns)
    }

    fn body(&mut self, event: &Event) -> Result<(), EncodeError> {
        let at_ns = event.at_ns;
        match &event.body {
            Body::Data { stream, bytes } if stream.is_shown() && !bytes.is_empty() => {
                self.print(bytes, at_ns)
            }
            Body::Resize { cols, rows } => self.resize(*cols, *rows, at_ns),
            Body::Gap(gap) if gap.cause == GAP_BY_INDEX => Ok(()),
            Body::Gap(gap) => self.gap(gap, at_ns),
            Body::Mark { label } => self.made(MARK_EVENT, object(json!({ "label": label })), at_ns),
            Body::End(end) => self.finish_session(end, at_ns),
            Body::Auth(fact)
            | Body::Channel(fact)
            | Body::Command(fact)
            | Body::File(fact)
            | Body::Network(fact)
            | Body::Process(fact)
            | Body::Transfer(fact)
            | Body::Request(fact)
            | Body::Admin(fact) => self.fact(event.body.family(), fact, at_ns),
            // Typed and piped input has no place here, nor has the clock.
            _ => Ok(()),
        }
    }
}

fn object(json: Json) -> Object {
    match json {
        Json::Object(object) => object,
        _ => Object::new(),
    }
}

/// The words of a command.
fn command(value: &Value) -> Json {
    match value {
        Value::List(_) => json_words(value),
        _ => Json::Array(vec![json_words(value)]),
    }
}

fn json_words(value: &Value) -> Json {
    let fields = Fields::new().with("argv", value.clone());
    json::write(&fields).remove("argv").unwrap_or(Json::Null)
}

/// A session id that can name files: Teleport's own if it is harmless, else ours.
fn sid(session: &Session) -> String {
    let harmless = |sid: &&str| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        (1..=SID_BYTES_MAX).contains(&sid.len()) && !sid.starts_with('.') && sid.bytes().all(plain)
    };
    match session.origin.text("sid").filter(harmless) {
        Some(sid) => sid.to_owned(),
        None => session.id.to_string(),
    }
}

impl Encoder for ClassicEncoder {
    fn begin(&mut self, session: &Session) -> Result<(), EncodeError> {
        let from = session.origin.text("imported_from");
        self.ours = !matches!(from, Some(STREAM_NAME | CLASSIC_NAME));
        self.starting = self.ours;
        self.sid = sid(session);
        self.session = Some(Box::new(session.clone()));
        Ok(())
    }

    fn event(&mut self, event: &Event) -> Result<(), EncodeError> {
        if let Body::Resize { cols, rows } = &event.body {
            let size = (*cols, *rows);
            if self.starting {
                return self.start(Some(size));
            }
            if self.size.take() == Some(size) {
                return Ok(());
            }
        }
        let is_start = matches!(&event.body, Body::Channel(fact) if fact.event == "session.start");
        match is_start {
            true => self.starting = false,
            false => self.start(None)?,
        }
        let told = self.told.is_some();
        self.size = None;
        self.body(event)?;
        // What was said of a print is about the very next event.
        if told && !matches!(&event.body, Body::Channel(fact) if fact.event == PRINT_EVENT) {
            self.told = None;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), EncodeError> {
        self.start(None)?;
        for file in self.events.iter_mut().chain([&mut self.chunks]) {
            if let Some(file) = file.take() {
                file.finish()?.flush()?;
            }
        }
        if let Some(mut index) = self.index.take() {
            index.flush()?;
        }
        Ok(())
    }
}
