//! One event → one row; one header → what is listed of it.

use hansard_core::event::End;
use hansard_core::{Body, Event, Fields, Session, SessionId, Value};
use hansard_view::jsonl::event_json;
use serde_json::json;

use crate::catalog::rows::TIME_NS_MAX;
use crate::catalog::{EndFacts, EventRow, StartFacts};
use crate::limits::{ROW_FACTS_BYTES_MAX, ROW_TEXT_BYTES_MAX};

/// The row of an event that is not Data.
#[must_use]
pub fn event_row(session: SessionId, event: &Event, start: &StartFacts) -> EventRow {
    EventRow {
        session,
        seq: event.seq,
        ordinal: 0,
        time_ns: start.utc_ns(event.at_ns),
        name: cut(&event_name(&event.body)),
        user: start.user.clone(),
        host: start.host.clone(),
        kind: start.kind.clone(),
        facts: facts(event),
    }
}

/// The name an event is listed under: its own where it has one, Teleport's where that has one.
#[must_use]
pub fn event_name(body: &Body) -> String {
    match body {
        Body::Start(_) => "session.start".to_owned(),
        Body::End(_) => "session.end".to_owned(),
        Body::Data { .. } => "print".to_owned(),
        Body::Resize { .. } => "resize".to_owned(),
        Body::Clock { .. } => "clock".to_owned(),
        Body::Mark { .. } => "mark".to_owned(),
        Body::Gap(_) => "gap".to_owned(),
        Body::Unknown { kind, .. } => format!("unknown.{kind}"),
        Body::Auth(fact)
        | Body::Channel(fact)
        | Body::Command(fact)
        | Body::File(fact)
        | Body::Network(fact)
        | Body::Process(fact)
        | Body::Transfer(fact)
        | Body::Request(fact)
        | Body::Admin(fact) => fact.event.clone(),
    }
}

/// An event as JSON. Of a kind that we do not know only that it is there: its bytes may be what
/// rows must not hold.
fn facts(event: &Event) -> String {
    let text = match &event.body {
        Body::Unknown { kind, bytes } => json!({
            "seq": event.seq, "at_ns": event.at_ns, "family": "unknown", "kind": kind,
            "bytes": bytes.len(),
        })
        .to_string(),
        _ => event_json(event).to_string(),
    };
    if text.len() <= ROW_FACTS_BYTES_MAX {
        return text;
    }
    json!({
        "seq": event.seq, "at_ns": event.at_ns, "family": event.body.family(),
        "left_out_bytes": text.len(),
    })
    .to_string()
}

/// What is listed of a header.
#[must_use]
pub fn start_facts(session: &Session) -> StartFacts {
    let text = |fields: &Fields, names: &[&str]| {
        let found = names.iter().find_map(|name| fields.get(name));
        cut(&found.map(words).unwrap_or_default())
    };
    StartFacts {
        parent: session.parent,
        kind: cut(&session.kind),
        user: text(&session.subject, &["user", "login"]),
        login: text(&session.subject, &["login"]),
        host: text(&session.target, &["server_hostname"]),
        title: text(&session.target, &["title", "command", "argv"]),
        start_utc_ns: session.start_utc_ns.min(TIME_NS_MAX),
        recorder_key: session.recorder_key,
    }
}

/// What is listed of a session's end.
#[must_use]
pub fn end_facts(end: &End) -> EndFacts {
    EndFacts {
        reason: cut(&end.reason),
        exit_status: end.exit_status,
        signal: end.signal.as_deref().map(cut),
    }
}

/// A value as words to be found by; bytes that are no text are shown as far as they are.
fn words(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Bytes(bytes) => {
            let most = bytes.get(..ROW_TEXT_BYTES_MAX).unwrap_or(bytes);
            String::from_utf8_lossy(most).into_owned()
        }
        Value::Uint(n) => n.to_string(),
        Value::Int(n) => n.to_string(),
        Value::Bool(b) => b.to_string(),
        Value::List(values) => {
            let mut all = String::new();
            for value in values {
                if all.len() > ROW_TEXT_BYTES_MAX {
                    break;
                }
                if !all.is_empty() {
                    all.push(' ');
                }
                all.push_str(&words(value));
            }
            all
        }
    }
}

/// Text of at most [`ROW_TEXT_BYTES_MAX`] bytes.
pub(super) fn cut(text: &str) -> String {
    let mut end = text.len().min(ROW_TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use hansard_core::Policy;
    use hansard_core::event::Fact;
    use hansard_core::session::ClockQuality;

    use super::*;

    fn row(body: Body) -> EventRow {
        let session = SessionId::from_bytes([1; 16]);
        let event = Event {
            seq: 7,
            at_ns: 5,
            body,
        };
        event_row(session, &event, &StartFacts::unknown(session))
    }

    #[test]
    fn what_is_too_long_for_a_row_is_left_out_and_says_so() {
        let fact = |bytes: usize| {
            row(Body::Command(Fact {
                event: "é".repeat(400),
                fields: Fields::new().with("argv", "x".repeat(bytes)),
            }))
        };
        let small = fact(1000);
        assert!(small.facts.contains(&"x".repeat(1000)));
        assert_eq!(small.name, "é".repeat(128));
        let large = fact(70_000);
        assert!(large.facts.len() < 200, "{}", large.facts);
        assert!(
            large.facts.contains("\"left_out_bytes\":7"),
            "{}",
            large.facts
        );
    }

    #[test]
    fn a_kind_that_is_not_known_is_listed_without_its_bytes() {
        let unknown = row(Body::Unknown {
            kind: 200,
            bytes: b"what somebody typed".to_vec(),
        });
        assert_eq!(unknown.name, "unknown.200");
        assert!(unknown.facts.contains("\"bytes\":19"));
        assert!(!unknown.facts.contains("typed"));
    }

    #[test]
    fn a_header_is_listed_by_what_it_has() {
        let argv = ["git", "status"].map(|word| Value::Text(word.to_owned()));
        let mut target = Fields::new().with("server_hostname", "web-1");
        target.push("argv", Value::List(argv.to_vec()));
        let mut subject = Fields::new();
        subject.push("login", Value::Bytes(b"r\xffot".to_vec()));
        let start = start_facts(&Session {
            id: SessionId::from_bytes([1; 16]),
            parent: None,
            kind: "k".repeat(1000),
            subject,
            origin: Fields::new(),
            target,
            start_utc_ns: u64::MAX,
            clock: ClockQuality::Unknown,
            policy: Policy::default(),
            recorder_key: [3; 32],
            recorder: "test".to_owned(),
        });
        assert_eq!(
            (start.user.as_str(), start.login.as_str()),
            ("r\u{fffd}ot", "r\u{fffd}ot")
        );
        assert_eq!(
            (start.host.as_str(), start.title.as_str()),
            ("web-1", "git status")
        );
        assert_eq!((start.kind.len(), start.start_utc_ns), (256, TIME_NS_MAX));
        assert_eq!(start.utc_ns(u64::MAX), TIME_NS_MAX);
    }
}
