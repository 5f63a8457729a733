//! Teleport's events, one after another, as events of a recording: the header from the first,
//! moments from what each says, an end at the end.

use std::collections::VecDeque;

use hansard_core::event::{End, Fact, Gap};
use hansard_core::{Body, Event, Fields, Session, Stream, Value};

use crate::import::Import;

/// Cause of gaps that follow from Teleport's own numbers: what comes next says so itself.
pub(super) const GAP_BY_INDEX: &str = "events are missing here by Teleport's count";

/// Events of ours that Teleport has none for.
pub(super) const GAP_EVENT: &str = "hansard.gap";
pub(super) const MARK_EVENT: &str = "hansard.mark";
/// Field that names the family of an event whose name does not say it.
pub(super) const FAMILY: &str = "hansard.family";

/// From this index on an event stands outside the count: `session.data`, `session.upload`.
pub(super) const INDEX_OUTSIDE: u64 = 2_147_483_646;

/// Puts events in order and hands them out.
pub(super) struct Timeline {
    import: Import,
    format: &'static str,
    ready: VecDeque<(u64, Body)>,
    start_ns: Option<u64>,
    seq: u64,
    at_ns: u64,
    ended: Option<String>,
    end: End,
    /// The session that the recording's files name.
    sid: Option<String>,
}

impl Timeline {
    pub(super) fn new(import: Import, format: &'static str) -> Self {
        Self {
            import,
            format,
            ready: VecDeque::new(),
            start_ns: None,
            seq: 0,
            at_ns: 0,
            ended: None,
            end: End::default(),
            sid: None,
        }
    }

    /// The recording's files name this session.
    pub(super) fn named(&mut self, sid: String) {
        self.sid = Some(sid);
    }

    /// Which recording is meant.
    pub(super) fn rec(&self) -> Option<&str> {
        self.import.rec.as_deref()
    }

    pub(super) fn has_begun(&self) -> bool {
        self.start_ns.is_some()
    }

    /// UTC nanoseconds of the last event.
    pub(super) fn now_utc_ns(&self) -> u64 {
        self.start_ns.unwrap_or(0).saturating_add(self.at_ns)
    }

    /// The session, from its first event.
    pub(super) fn begin(&mut self, event: &str, fields: &Fields, utc_ns: Option<u64>) {
        let mut session = self.import.session(self.format);
        if let Some(start_ns) = utc_ns {
            session.start_utc_ns = start_ns;
        }
        // Where the files name the session, what one event says of it counts for that event only.
        if let Some(sid) = self.sid.as_deref().or(fields.text("sid")) {
            session.origin.push("sid", sid);
        }
        describe(&mut session, event, fields);
        self.start_ns = Some(session.start_utc_ns);
        self.ready.push_back((0, Body::Start(Box::new(session))));
    }

    /// What follows happened at this moment; not before what was before.
    pub(super) fn advance(&mut self, utc_ns: Option<u64>) {
        let at_ns = utc_ns.map(|ns| ns.saturating_sub(self.start_ns.unwrap_or(0)));
        self.at_ns = self.at_ns.max(at_ns.unwrap_or(0));
    }

    /// What follows happened this long after the session's start.
    pub(super) fn advance_to(&mut self, at_ns: u64) {
        self.at_ns = self.at_ns.max(at_ns);
    }

    pub(super) fn push(&mut self, body: Body) {
        self.ready.push_back((self.at_ns, body));
    }

    /// Bytes of the terminal; none are no event.
    pub(super) fn data(&mut self, bytes: Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let stream = Stream::Output;
        self.push(Body::Data { stream, bytes });
    }

    /// Events between the last one and this are missing.
    pub(super) fn missing(&mut self, events: u64, from_ns: u64) {
        self.push(Body::Gap(Gap {
            cause: GAP_BY_INDEX.to_owned(),
            from_ns,
            events: Some(events),
            ..Gap::default()
        }));
    }

    pub(super) fn at_ns(&self) -> u64 {
        self.at_ns
    }

    /// An event that is no bytes.
    pub(super) fn fact(&mut self, event: String, fields: Fields) {
        self.watch(&event, &fields);
        let size = match event.as_str() {
            "session.start" | "resize" => fields.text("size").and_then(size),
            _ => None,
        };
        let body = body(event, fields, self.at_ns);
        self.push(body);
        if let Some((cols, rows)) = size {
            self.push(Body::Resize { cols, rows });
        }
    }

    /// Remembers what an event says about the end.
    fn watch(&mut self, event: &str, fields: &Fields) {
        if event == "exec" {
            self.end.exit_status = fields.text("exitCode").and_then(|code| code.parse().ok());
        }
        if event.ends_with("session.end") {
            self.ended = Some(event.to_owned());
            if let Some(reason) = fields.text("reason") {
                self.end.reason = reason.to_owned();
            }
            let status = fields.get("exit_status").and_then(Value::as_uint);
            if let Some(status) = status.and_then(|status| u8::try_from(status).ok()) {
                self.end.exit_status = Some(status);
            }
            self.end.signal = fields.text("signal").map(str::to_owned);
        }
    }

    /// There is nothing more. Answers whether the recording itself says that it ended.
    pub(super) fn finish(&mut self) -> bool {
        let mut end = std::mem::take(&mut self.end);
        if end.reason.is_empty() {
            end.reason = match &self.ended {
                Some(_) => "ended".to_owned(),
                None => self.import.end().reason,
            };
        }
        self.push(Body::End(end));
        self.ended.is_some()
    }

    pub(super) fn pop(&mut self) -> Option<Event> {
        let (at_ns, body) = self.ready.pop_front()?;
        let seq = self.seq;
        self.seq += 1;
        Some(Event { seq, at_ns, body })
    }
}

/// Says in the header what the first event says of the session.
fn describe(session: &mut Session, event: &str, fields: &Fields) {
    let kube = fields.text("proto") == Some("kube");
    session.kind = match event.split('.').next().unwrap_or_default() {
        "session" | "resize" | "print" if kube => "kube",
        "app" => "web",
        "exec" => "exec",
        "windows" | "linux" | "desktop" => "desktop",
        "db" => "database",
        "session" if fields.text("size").is_none() && event == "session.start" => "exec",
        _ => "terminal",
    }
    .to_owned();
    let subject = ["user", "login"];
    let origin = ["addr.remote", "addr.local", "proto"];
    let target = [
        "server_hostname",
        "server_id",
        "server_addr",
        "cluster_name",
        "kubernetes_cluster",
        "kubernetes_pod_name",
        "kubernetes_pod_namespace",
        "app_name",
        "db_service",
        "db_name",
        "desktop_name",
        "desktop_addr",
    ];
    for (names, into) in [
        (&subject[..], &mut session.subject),
        (&origin[..], &mut session.origin),
        (&target[..], &mut session.target),
    ] {
        for (name, text) in names
            .iter()
            .filter_map(|name| Some((*name, fields.text(name)?)))
        {
            if !text.is_empty() {
                into.push(name, text);
            }
        }
    }
    match fields.get("initial_command") {
        Some(Value::List(words)) if !words.is_empty() => {
            session.target.push("argv", Value::List(words.clone()));
        }
        _ => {}
    }
}

/// `W:H`.
pub(super) fn size(text: &str) -> Option<(u16, u16)> {
    let (cols, rows) = text.split_once(':')?;
    Some((cols.parse().ok()?, rows.parse().ok()?))
}

/// The event as one of ours.
fn body(event: String, fields: Fields, at_ns: u64) -> Body {
    let ours = match event.as_str() {
        GAP_EVENT => gap(&fields, at_ns),
        MARK_EVENT => mark(&fields),
        _ => None,
    };
    if let Some(body) = ours {
        return body;
    }
    let natural = family(&event);
    let said = fields
        .text(FAMILY)
        .filter(|said| *said != natural)
        .map(str::to_owned);
    match said.and_then(|said| {
        fact(
            &said,
            Fact {
                event: event.clone(),
                fields: without_family(&fields),
            },
        )
    }) {
        Some(body) => body,
        None => fact(natural, Fact { event, fields }).unwrap_or(Body::Mark {
            label: String::new(),
        }),
    }
}

fn without_family(fields: &Fields) -> Fields {
    let mut kept = Fields::new();
    for (name, value) in fields.iter().filter(|(name, _)| *name != FAMILY) {
        kept.push(name, value.clone());
    }
    kept
}

/// A fact of the family with this name.
fn fact(family: &str, fact: Fact) -> Option<Body> {
    Some(match family {
        "auth" => Body::Auth(fact),
        "channel" => Body::Channel(fact),
        "command" => Body::Command(fact),
        "file" => Body::File(fact),
        "network" => Body::Network(fact),
        "process" => Body::Process(fact),
        "transfer" => Body::Transfer(fact),
        "request" => Body::Request(fact),
        "admin" => Body::Admin(fact),
        _ => return None,
    })
}

/// The family of Teleport's event of this name.
pub(super) fn family(event: &str) -> &'static str {
    match event {
        "session.command" | "exec" => "command",
        "session.disk" => "file",
        "session.network" => "network",
        "session.process_exit" => "process",
        "scp" | "sftp" | "sftp_summary" | "file_transfer_request" => "transfer",
        "auth" | "user.login" | "session.rejected" => "auth",
        "subsystem" | "client.disconnect" | "resize" | "x11-forward" | "agent-forward" | "port"
        | "print" | "teleport.print" => "channel",
        "session.start" | "session.join" | "session.leave" | "session.end" | "session.data"
        | "session.connect" => "channel",
        "kube.request" => "request",
        _ if event.starts_with("port.") => "channel",
        _ if event.starts_with("http.") || event.contains(".request") => "request",
        _ if event.ends_with(".query") => "request",
        _ if event.contains(".session.") || event.starts_with("desktop.") => "channel",
        _ => "admin",
    }
}

/// What the encoder adds to an event of its own.
const ADDED: [&str; 5] = ["ei", "time", "uid", "sid", "namespace"];

fn gap(fields: &Fields, at_ns: u64) -> Option<Body> {
    let mut gap = Gap::default();
    for (name, value) in fields.iter() {
        match (name, value) {
            ("cause", Value::Text(text)) => gap.cause.clone_from(text),
            ("from_ns", Value::Uint(n)) => gap.from_ns = *n,
            ("events", Value::Uint(n)) => gap.events = Some(*n),
            ("bytes", Value::Uint(n)) => gap.bytes = Some(*n),
            ("bytes_max", Value::Uint(n)) => gap.bytes_max = Some(*n),
            _ if ADDED.contains(&name) => {}
            _ => return None,
        }
    }
    (gap.from_ns <= at_ns && gap.cause != GAP_BY_INDEX).then_some(Body::Gap(gap))
}

fn mark(fields: &Fields) -> Option<Body> {
    let known = |name| name == "label" || ADDED.contains(&name);
    let label = fields.text("label")?.to_owned();
    fields
        .iter()
        .all(|(name, _)| known(name))
        .then_some(Body::Mark { label })
}
