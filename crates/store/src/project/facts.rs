//! One event → one row; one header → what is listed of it.

use hansard_core::event::End;
use hansard_core::session::ClockQuality;
use hansard_core::{Fields, Policy, Session, SessionId, Value};
use hansard_view::document::Document;

use crate::catalog::rows::TIME_NS_MAX;
use crate::catalog::{EndFacts, EventRow, StartFacts};
use crate::limits::{ROW_LABELS_MAX, ROW_TEXT_BYTES_MAX};

/// The row of a document.
#[must_use]
pub fn event_row(session: SessionId, document: Document) -> EventRow {
    EventRow {
        session,
        seq: document.seq,
        ordinal: document.ordinal,
        time_ns: document.time_ns.min(TIME_NS_MAX),
        name: document.event.to_owned(),
        user: bounded(document.user),
        host: bounded(document.host),
        kind: cut(&document.kind),
        facts: document.line,
    }
}

/// What stands for the header of a session whose first segment could not be read: what its
/// identifier says. Log, rows and whatever else is made of such a session are made with it.
#[must_use]
pub fn unknown_header(session: SessionId) -> Session {
    let start = StartFacts::unknown(session);
    Session {
        id: session,
        parent: None,
        kind: start.kind,
        subject: Fields::new(),
        origin: Fields::new(),
        target: Fields::new(),
        start_utc_ns: start.start_utc_ns,
        clock: ClockQuality::Unknown,
        policy: Policy::default(),
        recorder_key: start.recorder_key,
        recorder: String::new(),
    }
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
        labels: labels(session),
        start_utc_ns: session.start_utc_ns.min(TIME_NS_MAX),
        recorder_key: session.recorder_key,
    }
}

fn labels(session: &Session) -> Vec<String> {
    let said = match session.target.get("server_labels") {
        Some(Value::List(labels)) => labels.as_slice(),
        Some(label) => std::slice::from_ref(label),
        None => &[],
    };
    let some = said.iter().take(ROW_LABELS_MAX);
    some.map(|label| cut(&words(label).replace('\n', " ")))
        .collect()
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

/// The same text, of at most [`ROW_TEXT_BYTES_MAX`] bytes.
fn bounded(text: String) -> String {
    match text.len() > ROW_TEXT_BYTES_MAX {
        true => cut(&text),
        false => text,
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
    use hansard_core::event::Fact;
    use hansard_core::{Body, Event};
    use hansard_view::document::{Counted, Documents, Place};

    use super::*;
    use crate::limits::ROW_FACTS_BYTES_MAX;

    fn row(body: Body) -> EventRow {
        let header = unknown_header(SessionId::from_bytes([1; 16]));
        let mut documents = Documents::resume(Place::default(), &header, Counted::default());
        let event = Event {
            seq: 7,
            at_ns: 5,
            body,
        };
        event_row(header.id, documents.turn(&event).remove(0))
    }

    #[test]
    fn a_row_is_the_document_and_never_longer_than_its_bound() {
        let fact = |bytes: usize| {
            let argv = (0..40).map(|_| Value::from("x".repeat(bytes)));
            row(Body::Command(Fact {
                event: "session.command".to_owned(),
                fields: Fields::new()
                    .with("argv", Value::List(argv.collect()))
                    .with("user", "root")
                    .with("server_hostname", "h".repeat(1000)),
            }))
        };
        let small = fact(10);
        assert!(small.facts.contains(&"x".repeat(10)));
        assert_eq!(
            (small.name.as_str(), small.user.as_str()),
            ("session.command", "root")
        );
        assert_eq!((small.host.len(), small.kind.as_str()), (256, "unknown"));
        let large = fact(70_000);
        assert!(large.facts.len() <= ROW_FACTS_BYTES_MAX);
        assert!(large.facts.contains("\"truncated\":["), "{}", large.facts);
    }

    #[test]
    fn a_kind_that_is_not_known_is_listed_without_its_bytes() {
        let unknown = row(Body::Unknown {
            kind: 200,
            bytes: b"what somebody typed".to_vec(),
        });
        assert_eq!(unknown.name, "unknown");
        assert!(unknown.facts.contains("\"length\":19"));
        assert!(!unknown.facts.contains("typed"));
    }

    #[test]
    fn a_header_is_listed_by_what_it_has() {
        let argv = ["git", "status"].map(|word| Value::Text(word.to_owned()));
        let mut target = Fields::new().with("server_hostname", "web-1");
        target.push("argv", Value::List(argv.to_vec()));
        target.push(
            "server_labels",
            Value::List(vec!["env=prod".into(), "a\nb=c".into()]),
        );
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
        assert_eq!(start.labels, ["env=prod", "a b=c"]);
        assert_eq!((start.kind.len(), start.start_utc_ns), (256, TIME_NS_MAX));
        assert_eq!(start.utc_ns(u64::MAX), TIME_NS_MAX);
    }
}
