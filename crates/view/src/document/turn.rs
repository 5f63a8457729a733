//! The turn of events into documents.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use hansard_core::event::{End, Fact, Gap};
use hansard_core::session::ClockQuality;
use hansard_core::{Body, Event, EventUid, Fields, Session, Stream, Value};
use serde_json::Value as Json;

use super::catalogue::{Kind, MADE, PLACES, Row, Special, find, special};
use super::header::{Header, is_empty, names, start_fields};
use super::moment::Moment;
use super::sheet::{Finished, Sheet};
use super::value::{Said, words};
use crate::limits::{DOCUMENT_PARTICIPANTS_MAX, DOCUMENT_PLACE_BYTES_MAX};

/// What whoever makes documents knows of where recordings come from, for recordings that do not
/// say it themselves.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    /// Name of the cluster.
    pub cluster_name: Option<String>,
    /// Identifier of the host.
    pub server_id: Option<String>,
}

/// What was counted of a recording so far: what its end will say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counted {
    /// Bytes received from the user and recorded.
    pub rx: u64,
    /// Bytes sent to the user and recorded.
    pub tx: u64,
    /// Whether there was a terminal.
    pub terminal: bool,
    /// Whether commands, files or connections were recorded besides the screen.
    pub enhanced: bool,
    /// Who took part.
    pub participants: Vec<String>,
}

/// One document.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Number of the event in its session; `ei` in the document.
    pub seq: u64,
    /// Which of the documents of that event, from 0.
    pub ordinal: u32,
    /// Its identifier.
    pub uid: EventUid,
    /// When, UTC nanoseconds since 1970; `time` in the document.
    pub time_ns: u64,
    /// Name of the event.
    pub event: &'static str,
    /// Its code.
    pub code: &'static str,
    /// Who acted; `user` in the document, empty where it has none.
    pub user: String,
    /// On which host; `server_hostname` in the document, empty where it has none.
    pub host: String,
    /// Kind of the session; `kind` in the document.
    pub kind: Arc<str>,
    /// The document: an object of JSON on one line, without its end.
    pub line: String,
}

impl Document {
    /// The document, for whoever looks into it.
    #[must_use]
    pub fn json(&self) -> Json {
        serde_json::from_str(&self.line).unwrap_or_default()
    }
}

/// The document as one line, without its end.
impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

/// Turns the events of one recording, in their order, into documents. The same events give the
/// same documents, byte for byte.
pub struct Documents {
    place: Place,
    header: Option<Header>,
    counted: Counted,
}

impl Documents {
    /// For a recording from its beginning.
    #[must_use]
    pub fn new(place: Place) -> Self {
        Self {
            place,
            header: None,
            counted: Counted::default(),
        }
    }

    /// For the rest of a recording: its header, and what [`Documents::counted`] was before.
    #[must_use]
    pub fn resume(place: Place, session: &Session, counted: Counted) -> Self {
        Self {
            header: Some(Header::new(session, &place)),
            place,
            counted,
        }
    }

    /// What was counted so far.
    #[must_use]
    pub fn counted(&self) -> &Counted {
        &self.counted
    }

    /// What was counted, taken along.
    #[must_use]
    pub fn into_counted(self) -> Counted {
        self.counted
    }

    /// The documents of the next event: none for Data, and none for anything before the header.
    pub fn turn(&mut self, event: &Event) -> Vec<Document> {
        self.count(&event.body);
        if let Body::Start(session) = &event.body {
            let header = Header::new(session, &self.place);
            self.counted.terminal |= &*header.kind == "terminal";
            self.join(header.user());
            self.header = Some(header);
        }
        let Some(header) = &mut self.header else {
            return Vec::new();
        };
        let name = name_of(&event.body, &header.kind);
        let (fields, said) = match &event.body {
            Body::Start(session) => (Cow::Owned(start_fields(session)), None),
            Body::Data { .. } => return Vec::new(),
            Body::Resize { cols, rows } => {
                let size = Fields::new().with("size", format!("{cols}:{rows}"));
                (Cow::Owned(size), None)
            }
            Body::Clock {
                utc_ns,
                quality,
                reason,
            } => {
                let fields = header.clock_fields(event.at_ns, *utc_ns, *quality, reason);
                (Cow::Owned(fields), None)
            }
            Body::Mark { label } => (
                Cow::Owned(Fields::new().with("label", label.as_str())),
                None,
            ),
            Body::Gap(gap) => (Cow::Owned(header.gap_fields(gap)), None),
            Body::Unknown { kind, bytes } => {
                let fields = Fields::new().with("number", u64::from(*kind));
                (Cow::Owned(fields.with("length", count(bytes.len()))), None)
            }
            Body::End(end) => return header.end(&self.counted, event, end),
            Body::Auth(fact)
            | Body::Channel(fact)
            | Body::Command(fact)
            | Body::File(fact)
            | Body::Network(fact)
            | Body::Process(fact)
            | Body::Transfer(fact)
            | Body::Request(fact)
            | Body::Admin(fact) => {
                let said = (name != fact.event).then_some(fact.event.as_str());
                (Cow::Borrowed(&fact.fields), said)
            }
        };
        vec![header.document(event, 0, (name, said), &fields)]
    }

    fn count(&mut self, body: &Body) {
        match body {
            Body::Data { stream, bytes } => {
                let counted = &mut self.counted;
                let sum = match stream.is_shown() {
                    true => &mut counted.tx,
                    false => &mut counted.rx,
                };
                *sum = sum.saturating_add(count(bytes.len()));
                counted.terminal |= matches!(stream, Stream::Output | Stream::Keystrokes);
            }
            Body::Resize { .. } => self.counted.terminal = true,
            Body::Command(Fact { event, .. })
            | Body::File(Fact { event, .. })
            | Body::Network(Fact { event, .. })
            | Body::Process(Fact { event, .. }) => {
                self.counted.enhanced |= event.starts_with("session.");
            }
            Body::Channel(fact) if fact.event == "session.join" => {
                let user = fact.fields.get("user").map(|user| words(user).into_owned());
                self.join(user);
            }
            _ => {}
        }
    }

    fn join(&mut self, user: Option<String>) {
        let participants = &mut self.counted.participants;
        let Some(mut user) = user.filter(|user| !user.is_empty()) else {
            return;
        };
        user.truncate(super::value::cut(&user, DOCUMENT_PLACE_BYTES_MAX).len());
        if participants.len() < DOCUMENT_PARTICIPANTS_MAX && !participants.contains(&user) {
            participants.push(user);
        }
    }
}

/// The name of the first document that an event makes, in a session of this kind; `print` for Data,
/// which makes none.
#[must_use]
pub fn name_of(body: &Body, kind: &str) -> &'static str {
    let (fact, other) = match body {
        Body::Start(_) => return names(kind).0,
        Body::End(_) => return names(kind).1,
        Body::Data { .. } => return "print",
        Body::Resize { .. } => return "resize",
        Body::Clock { .. } => return "clock",
        Body::Mark { .. } => return "mark",
        Body::Gap(_) => return "gap",
        Body::Unknown { .. } => return "unknown",
        Body::Auth(fact) => (fact, "auth.other"),
        Body::Channel(fact) => (fact, "channel.other"),
        Body::Command(fact) => (fact, "command.other"),
        Body::File(fact) => (fact, "file.other"),
        Body::Network(fact) => (fact, "network.other"),
        Body::Process(fact) => (fact, "process.other"),
        Body::Transfer(fact) => (fact, "transfer.other"),
        Body::Request(fact) => (fact, "request.other"),
        Body::Admin(fact) => (fact, "admin.other"),
    };
    match find(&fact.event) {
        Some(row) if !MADE.contains(&row.name) && !row.name.ends_with(".other") => row.name,
        _ => other,
    }
}

impl Header {
    fn utc_ns(&self, at_ns: u64) -> u64 {
        self.start_utc_ns.saturating_add(at_ns)
    }

    fn clock_fields(&self, at_ns: u64, utc_ns: u64, quality: ClockQuality, reason: &str) -> Fields {
        let ahead = i128::from(utc_ns / 1_000_000) - i128::from(self.utc_ns(at_ns) / 1_000_000);
        Fields::new()
            .with("clock_time", text_ms(utc_ns))
            .with("clock", quality.as_str())
            .with("offset_ms", Value::Int(i64::try_from(ahead).unwrap_or(0)))
            .with("reason", reason)
    }

    fn gap_fields(&self, gap: &Gap) -> Fields {
        let mut fields = Fields::new()
            .with("cause", gap.cause.as_str())
            .with("from", text_ms(self.utc_ns(gap.from_ns)));
        for (name, lost) in [
            ("lost_events", gap.events),
            ("lost_bytes", gap.bytes),
            ("lost_bytes_max", gap.bytes_max),
        ] {
            if let Some(lost) = lost {
                fields.push(name, lost);
            }
        }
        fields
    }

    /// The end, and what went through.
    fn end(&mut self, counted: &Counted, event: &Event, end: &End) -> Vec<Document> {
        let people = counted
            .participants
            .iter()
            .map(|user| Value::from(user.as_str()));
        let mut fields = Fields::new()
            .with("session_start", text_ms(self.start_utc_ns))
            .with("session_stop", text_ms(self.utc_ns(event.at_ns)))
            .with("interactive", counted.terminal)
            .with("enhanced_recording", counted.enhanced)
            .with("participants", Value::List(people.collect()))
            .with("reason", end.reason.as_str());
        if let Some(status) = end.exit_status {
            fields.push("exit_status", u64::from(status));
        }
        if let Some(signal) = &end.signal {
            fields.push("signal", signal.as_str());
        }
        let (_, name) = self.names();
        let mut all = vec![self.document(event, 0, (name, None), &fields)];
        if name != "recording.end" || counted.rx > 0 || counted.tx > 0 {
            let fields = Fields::new().with("rx", counted.rx).with("tx", counted.tx);
            all.push(self.document(event, 1, ("session.data", None), &fields));
        }
        all
    }

    /// One document: what is its own, what is the session's, what the event says. `said` is the name
    /// that the event was recorded under, where that is another.
    fn document(
        &mut self,
        event: &Event,
        ordinal: u32,
        (name, said): (&'static str, Option<&str>),
        fields: &Fields,
    ) -> Document {
        let row = find(name);
        let code = code_of(row, fields);
        let uid = EventUid::new(self.id, event.seq, ordinal);
        let time_ns = self.utc_ns(event.at_ns);
        let mut sheet = Sheet::new();
        sheet.put_text("event", name);
        sheet.put_text("code", code);
        sheet.put_text("uid", &uid.to_string());
        sheet.put_text("time", self.moment.text_ms(time_ns));
        sheet.put("ei", &Said::Uint(event.seq));
        sheet.put_text("sid", &self.sid);
        sheet.put_text("kind", &self.kind);
        let taken = self.put_places(&mut sheet, fields);
        if let Some(said) = said {
            sheet.put_short(
                "event_name",
                &said.into(),
                Kind::Text,
                DOCUMENT_PLACE_BYTES_MAX,
            );
        }
        for (i, (field, value)) in fields.iter().enumerate() {
            let is_code = field == "code" && value.as_text() == Some(code);
            if !taken.contains(&i) && !is_code {
                put_field(&mut sheet, row, field, value);
            }
        }
        let Finished { line, user, host } = sheet.finish();
        Document {
            seq: event.seq,
            ordinal,
            uid,
            time_ns,
            event: name,
            code,
            user,
            host,
            kind: Arc::clone(&self.kind),
            line,
        }
    }

    /// Who and where: as the event says, else as the session does. Answers which fields of the event
    /// are done with.
    fn put_places(&self, sheet: &mut Sheet, fields: &Fields) -> Vec<usize> {
        let mut taken = Vec::new();
        for place in PLACES {
            let own = fields
                .iter()
                .enumerate()
                .find(|(_, (name, _))| *name == place);
            if let Some((i, (_, value))) = own {
                let empty = is_empty(value);
                let most = DOCUMENT_PLACE_BYTES_MAX;
                if empty || sheet.put_short(place, value, Kind::Text, most) {
                    taken.push(i);
                }
                if !empty && sheet.has(place) {
                    continue;
                }
            }
            if let Some((_, value)) = self.places.iter().find(|(name, _)| *name == place) {
                sheet.put_short(place, value, Kind::Text, DOCUMENT_PLACE_BYTES_MAX);
            }
        }
        taken
    }
}

/// Adds what an event says under one name.
fn put_field(sheet: &mut Sheet, row: Option<&Row>, name: &str, value: &Value) {
    let bare = ["teleport.json.", "claimed."]
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix))
        .unwrap_or(name);
    let known = row.and_then(|row| row.field(name));
    if special(bare) == Some(Special::Withheld)
        || known.is_some_and(|field| field.kind == Kind::Withheld)
    {
        return sheet.withhold(name);
    }
    let special = special(name);
    if special == Some(Special::Own) {
        return sheet.put_other("source.", name, value);
    }
    if special == Some(Special::Note) || sheet.has(name) {
        return sheet.put_other("x.", name, value);
    }
    match known {
        Some(field) if sheet.put_value(name, value, field.kind) => {}
        None if name.starts_with("env.") && !matches!(value, Value::List(_)) => {
            sheet.put_other("", name, value);
        }
        None if name.starts_with("claimed.") => sheet.put_other("", name, value),
        _ => sheet.put_other("x.", name, value),
    }
}

/// The code of an event of this row that says this.
fn code_of(row: Option<&Row>, fields: &Fields) -> &'static str {
    let Some(row) = row else {
        return "";
    };
    let matches = |field: &str, wanted: &str| {
        let value = fields.get(field);
        value.is_some_and(|value| !is_empty(value) && words(value) == wanted)
    };
    row.code(fields.text("code"), outcome(fields), matches)
}

/// Whether it succeeded, if that is said.
fn outcome(fields: &Fields) -> Option<bool> {
    if let Some(Value::Bool(success)) = fields.get("success") {
        return Some(*success);
    }
    let says = |name| fields.get(name).is_some_and(|value| !is_empty(value));
    if says("error") || says("exitError") {
        return Some(false);
    }
    match fields.get("exitCode") {
        Some(Value::Text(code)) if !code.is_empty() => Some(code == "0"),
        Some(Value::Uint(code)) => Some(*code == 0),
        Some(Value::Int(code)) => Some(*code == 0),
        _ => None,
    }
}

/// RFC 3339 in UTC, to the millisecond that has begun.
fn text_ms(utc_ns: u64) -> String {
    Moment::default().text_ms(utc_ns).to_owned()
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
