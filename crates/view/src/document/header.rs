//! What a recording's header says, as fields of documents.

use std::sync::Arc;

use hansard_core::{Fields, Policy, Session, SessionId, Value};

use super::catalogue::PLACES;
use super::moment::Moment;
use super::turn::Place;
use super::value::{cut, words};
use crate::jsonl::base64;
use crate::limits::DOCUMENT_PLACE_BYTES_MAX;

/// The field of a header's target that has the certificate of the recorder's key, in DER.
const CERTIFICATE: &str = "recorder_certificate";

/// What is kept of a header while its events are turned.
pub(super) struct Header {
    pub(super) id: SessionId,
    /// Its identifier, as text.
    pub(super) sid: String,
    pub(super) kind: Arc<str>,
    pub(super) moment: Moment,
    pub(super) start_utc_ns: u64,
    /// Fields that stand in every document.
    pub(super) places: Vec<(&'static str, Value)>,
}

impl Header {
    pub(super) fn new(session: &Session, place: &Place) -> Self {
        let said = |name| {
            let groups = [&session.subject, &session.origin, &session.target];
            let found = groups.into_iter().find_map(|fields| fields.get(name));
            found.filter(|value| !is_empty(value)).map(short)
        };
        let mut places = Vec::new();
        for name in PLACES {
            let known = match name {
                "user" => said("user").or_else(|| said("login")),
                "server_id" => said(name).or(place.server_id.as_deref().map(Value::from)),
                "cluster_name" => said(name).or(place.cluster_name.as_deref().map(Value::from)),
                _ => said(name),
            };
            places.extend(known.map(|value| (name, value)));
        }
        Self {
            id: session.id,
            sid: session.id.to_string(),
            kind: cut(&session.kind, DOCUMENT_PLACE_BYTES_MAX).into(),
            moment: Moment::default(),
            start_utc_ns: session.start_utc_ns,
            places,
        }
    }

    /// The user, in words.
    pub(super) fn user(&self) -> Option<String> {
        let (_, user) = self.places.iter().find(|(name, _)| *name == "user")?;
        Some(words(user).into_owned())
    }

    /// See [`names`].
    pub(super) fn names(&self) -> (&'static str, &'static str) {
        names(&self.kind)
    }
}

/// The names of what begins and ends a session of this kind.
pub(super) fn names(kind: &str) -> (&'static str, &'static str) {
    match kind {
        "web" => ("app.session.start", "app.session.end"),
        "database" => ("db.session.start", "db.session.end"),
        "desktop" => (
            "windows.desktop.session.start",
            "windows.desktop.session.end",
        ),
        "host" | "service" => ("recording.start", "recording.end"),
        _ => ("session.start", "session.end"),
    }
}

pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Text(text) => text.is_empty(),
        Value::Bytes(bytes) => bytes.is_empty(),
        Value::List(values) => values.is_empty(),
        _ => false,
    }
}

/// A value that may be remembered: hardly longer than what of it will be shown. One byte more says
/// that it was cut.
fn short(value: &Value) -> Value {
    let most = DOCUMENT_PLACE_BYTES_MAX + 4;
    match value {
        Value::Bytes(bytes) => Value::Bytes(bytes.get(..most).unwrap_or(bytes).to_vec()),
        value => Value::Text(cut(&words(value), most).to_owned()),
    }
}

/// What the start of a session says besides what every document does.
pub(super) fn start_fields(session: &Session) -> Fields {
    let mut fields = Fields::new();
    if let Some(parent) = session.parent {
        fields.push("parent_sid", parent.to_string());
    }
    fields.push("clock", session.clock.as_str());
    fields.push("kept", kept(&session.policy));
    fields.push("on_loss", session.policy.on_loss.as_str());
    fields.push("strict", session.policy.strict);
    if session.policy.version > 0 {
        fields.push("policy_version", session.policy.version);
        fields.push("policy_rule", session.policy.rule.as_str());
    }
    fields.push("recorder", session.recorder.as_str());
    fields.push("recorder_key", hex(&session.recorder_key));
    for (group, said) in [&session.subject, &session.origin, &session.target]
        .into_iter()
        .enumerate()
    {
        for (name, value) in said.iter() {
            let name = match (group, name) {
                (0, "uid") => "user_uid",
                (2, "argv") => "initial_command",
                _ => name,
            };
            match value {
                // The very bytes, in letters that survive: as text they would be cut and mangled.
                Value::Bytes(der) if group == 2 && name == CERTIFICATE => {
                    fields.push(name, base64::encode(der));
                }
                _ => fields.push(name, value.clone()),
            }
        }
    }
    fields
}

fn kept(policy: &Policy) -> Value {
    let switches = [
        ("stdin", policy.stdin),
        ("keystrokes", policy.keystrokes),
        ("stdout", policy.stdout),
        ("stderr", policy.stderr),
        ("passwords", policy.passwords),
        ("forwarding", policy.forwarding),
        ("files", policy.files),
    ];
    let on = switches.into_iter().filter(|(_, on)| *on);
    Value::List(on.map(|(name, _)| Value::from(name)).collect())
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
