//! The turn of events into documents.

use std::fmt;

use hansard_core::event::{End, Fact, Gap};
use hansard_core::session::ClockQuality;
use hansard_core::{Body, Event, EventUid, Fields, Session, SessionId, Stream, Value};
use serde_json::{Value as Json, json};

use super::catalogue::{Kind, MADE, NOTES, OWN, PLACES, Row, WITHHELD, find};
use super::header::{Header, is_empty, start_fields};
use super::sheet::Sheet;
use super::value::words;
use crate::limits::{DOCUMENT_PARTICIPANTS_MAX, DOCUMENT_PLACE_BYTES_MAX};
use crate::teleport::time;

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
    /// The document.
    pub json: Json,
}

/// The document as one line, without its end.
impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.json, f)
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
            self.counted.terminal |= header.kind == "terminal";
            self.join(header.user());
            self.header = Some(header);
        }
        let Some(header) = &self.header else {
            return Vec::new();
        };
        let name = name_of(&event.body, &header.kind);
        let one = |fields: &Fields| vec![header.document(event, 0, (name, None), fields)];
        match &event.body {
            Body::Start(session) => one(&start_fields(session)),
            Body::Data { .. } => Vec::new(),
            Body::Resize { cols, rows } => {
                one(&Fields::new().with("size", format!("{cols}:{rows}")))
            }
            Body::Clock {
                utc_ns,
                quality,
                reason,
            } => one(&header.clock_fields(event.at_ns, *utc_ns, *quality, reason)),
            Body::Mark { label } => one(&Fields::new().with("label", label.as_str())),
            Body::Gap(gap) => one(&header.gap_fields(gap)),
            Body::Unknown { kind, bytes } => one(&Fields::new()
                .with("number", u64::from(*kind))
                .with("length", count(bytes.len()))),
            Body::End(end) => self.end(header, event, end),
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
                vec![header.document(event, 0, (name, said), &fact.fields)]
            }
        }
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

    /// The end, and what went through.
    fn end(&self, header: &Header, event: &Event, end: &End) -> Vec<Document> {
        let counted = &self.counted;
        let people = counted
            .participants
            .iter()
            .map(|user| Value::from(user.as_str()));
        let mut fields = Fields::new()
            .with("session_start", text_ms(header.start_utc_ns))
            .with("session_stop", text_ms(header.utc_ns(event.at_ns)))
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
        let (_, name) = header.names();
        let mut all = vec![header.document(event, 0, (name, None), &fields)];
        if name != "recording.end" || counted.rx > 0 || counted.tx > 0 {
            let fields = Fields::new().with("rx", counted.rx).with("tx", counted.tx);
            all.push(header.document(event, 1, ("session.data", None), &fields));
        }
        all
    }
}

/// The name of the first document that an event makes, in a session of this kind; `print` for Data,
/// which makes none.
#[must_use]
pub fn name_of(body: &Body, kind: &str) -> &'static str {
    let names = |kind: &str| {
        let header = Header {
            id: SessionId::from_bytes([0; 16]),
            kind: kind.to_owned(),
            start_utc_ns: 0,
            places: Vec::new(),
        };
        header.names()
    };
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

    /// One document: what is its own, what is the session's, what the event says. `said` is the name
    /// that the event was recorded under, where that is another.
    fn document(
        &self,
        event: &Event,
        ordinal: u32,
        (name, said): (&'static str, Option<&str>),
        fields: &Fields,
    ) -> Document {
        let code = code_of(name, fields);
        let uid = EventUid::new(self.id, event.seq, ordinal);
        let time_ns = self.utc_ns(event.at_ns);
        let mut sheet = Sheet::default();
        sheet.put("event", json!(name));
        sheet.put("code", json!(code));
        sheet.put("uid", json!(uid.to_string()));
        sheet.put("time", json!(text_ms(time_ns)));
        sheet.put("ei", json!(event.seq));
        sheet.put("sid", json!(self.id.to_string()));
        sheet.put("kind", json!(self.kind));
        let taken = self.put_places(&mut sheet, fields);
        if let Some(said) = said {
            sheet.put_short(
                "event_name",
                &said.into(),
                Kind::Text,
                DOCUMENT_PLACE_BYTES_MAX,
            );
        }
        let row = find(name);
        for (i, (field, value)) in fields.iter().enumerate() {
            let is_code = field == "code" && value.as_text() == Some(code);
            if !taken.contains(&i) && !is_code {
                put_field(&mut sheet, row, field, value);
            }
        }
        Document {
            seq: event.seq,
            ordinal,
            uid,
            time_ns,
            event: name,
            code,
            json: Json::Object(sheet.finish()),
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
    if WITHHELD.iter().any(|field| field.name == bare)
        || known.is_some_and(|field| field.kind == Kind::Withheld)
    {
        return sheet.withhold(name);
    }
    if OWN.contains(&name) {
        return sheet.put_other("source.", name, value);
    }
    if NOTES.contains(&name) || sheet.has(name) {
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

/// The code of an event of this name that says this.
fn code_of(name: &str, fields: &Fields) -> &'static str {
    let Some(row) = find(name) else {
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
    let (seconds, ms) = (utc_ns / 1_000_000_000, utc_ns / 1_000_000 % 1000);
    let whole = time::text(i64::try_from(seconds).unwrap_or(0), 0).unwrap_or_default();
    format!("{}.{ms:03}Z", whole.trim_end_matches('Z'))
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
