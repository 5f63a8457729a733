//! What is put on record of a request: who did, or tried, what to which thing, and why.

use axum::body::Bytes;
use hansard_core::event::Fact;
use hansard_core::{Body as EventBody, Fields, Value};

use super::params::Params;
use super::role::{Asker, Caller};
use super::router::Name;
use super::table::{EXPORTS, Noted};

/// Why, as the caller says it: a parameter, or in the body.
pub(super) fn reason(params: &Params, body: &Bytes) -> Option<String> {
    let said = params.text("reason").map(str::to_owned);
    said.or_else(|| {
        let body: serde_json::Value = serde_json::from_slice(body).ok()?;
        Some(body.get("reason")?.as_str()?.to_owned())
    })
}

/// The same, with the format that was asked for.
pub(super) fn said(noted: Noted, params: &Params) -> Noted {
    let asked = params.text("format");
    let known = EXPORTS.iter().copied().find(|known| asked == Some(*known));
    Noted {
        format: noted.format.map(|format| known.unwrap_or(format)),
        ..noted
    }
}

/// The event that says who did what to which thing, and why.
pub(super) fn event(
    noted: Noted,
    caller: &Caller,
    id: Option<&Name>,
    reason: Option<String>,
    success: bool,
) -> EventBody {
    let roles = match &caller.asker {
        Asker::Link(_) => Vec::new(),
        _ => vec![caller.role.as_str().into()],
    };
    let mut fields = Fields::new()
        .with("user", caller.user.as_str())
        .with("user_roles", Value::List(roles))
        .with("success", success);
    match &caller.asker {
        Asker::Process(peer) => {
            fields.push("user_uid", u64::from(peer.uid));
            if let Some(pid) = peer.pid.and_then(|pid| u64::try_from(pid).ok()) {
                fields.push("pid", pid);
            }
        }
        Asker::Browser(visitor) => {
            fields.push("addr.remote", visitor.address.to_string());
            if let Some(outside) = &visitor.outside {
                fields.push("issuer", outside.issuer.as_str());
                fields.push("subject", outside.subject.as_str());
            }
        }
        Asker::Link(guest) => {
            fields.push("addr.remote", guest.address.to_string());
            fields.push("share", guest.share.id.as_str());
            fields.push("shared_with", guest.share.viewer.as_str());
            fields.push("shared_by", guest.share.created_by.as_str());
            if let Some(over) = guest.over {
                fields.push("error", over.as_str());
            }
        }
    }
    match id {
        Some(Name::Session(id)) => fields.push("recording", id.to_string()),
        Some(Name::Other(name)) => {
            let field = match noted.event {
                event if event.starts_with("lock.") => "target",
                "recording.unshared" => "share",
                _ => "name",
            };
            fields.push(field, name.as_str());
        }
        None => {}
    }
    if let Some(format) = noted.format {
        fields.push("format", format);
    }
    if let Some(reason) = reason {
        fields.push("reason", reason);
    }
    EventBody::Admin(Fact {
        event: noted.event.to_owned(),
        fields,
    })
}
