//! What the first messages say of a connection, for the recording's header.

use hansard_core::{Fields, Session, Value};

use super::message::{Message, Said};
use super::table::number;

/// Whether a message is where a program starts: who and what are known by then.
pub(super) fn begins_session(message: &Message) -> bool {
    match &message.said {
        Said::Io { .. } => true,
        Said::Known { row, .. } => matches!(
            row.number,
            number::EXEC | number::SHELL | number::SUBSYSTEM | number::DISCONNECT
        ),
        _ => false,
    }
}

/// What the first messages say of the connection.
pub(super) fn describe(messages: &[Message], session: &mut Session) {
    for message in messages {
        let Said::Known { row, fields } = &message.said else {
            continue;
        };
        let get = |name| fields.get(name).cloned();
        match row.number {
            number::CONNECT => {
                for name in ["addr.remote", "country"] {
                    push_once(&mut session.origin, name, get(name));
                }
            }
            // Signed in, by password, key or in the end.
            101 | 105 | number::HANDSHAKE => {
                for name in ["user", "login"] {
                    push_once(&mut session.subject, name, get("user"));
                }
            }
            number::PTY => push_once(&mut session.origin, "term", get("term")),
            number::ENV => {
                if let Some(name) = fields.text("name") {
                    let name = format!("env.{name}");
                    push_once(&mut session.target, &name, get("value"));
                }
            }
            number::EXEC => push_once(&mut session.target, "command", get("command")),
            number::SUBSYSTEM => push_once(&mut session.target, "subsystem", get("name")),
            _ => {}
        }
    }
}

fn push_once(fields: &mut Fields, name: &str, value: Option<Value>) {
    if let (None, Some(value)) = (fields.get(name), value) {
        fields.push(name, value);
    }
}
