//! What happened at a registry, as events for the service's own recording.

use hansard_core::event::{Body, Fact};
use hansard_core::{Fields, Value};

use crate::authority::Issued;
use crate::certificate::Purpose;
use crate::host_row::{HostRow, Lock};
use crate::moment::iso;
use crate::token::{JoinAs, TokenRow};

fn fact(event: &str, fields: Fields) -> Fact {
    Fact {
        event: event.to_owned(),
        fields,
    }
}

/// Somebody joined, or was refused; `method` is `token` or `local`.
pub(crate) fn joined(row: &HostRow, method: &str, token: Option<&str>, again: bool) -> Body {
    let mut fields = Fields::new()
        .with("success", true)
        .with("host_id", row.id.as_str())
        .with("node_name", row.name.as_str())
        .with("role", row.role.as_str())
        .with("method", method);
    if let Some(token) = token {
        fields.push("token_name", token);
    }
    if again {
        fields.push("message", "it had joined before");
    }
    Body::Auth(fact("instance.join", fields))
}

/// Somebody was not let in. What the stranger said stands here only where it was checked.
pub(crate) fn not_joined(name: Option<&str>, token: Option<&str>, reason: &str) -> Body {
    let mut fields = Fields::new().with("success", false);
    if let Some(name) = name {
        fields.push("node_name", name);
    }
    fields.push("method", "token");
    if let Some(token) = token {
        fields.push("token_name", token);
    }
    Body::Auth(fact("instance.join", fields.with("error", reason)))
}

/// A renewal was refused.
pub(crate) fn not_renewed(id: Option<&str>, reason: &str) -> Body {
    let mut fields = Fields::new().with("success", false);
    if let Some(id) = id {
        fields.push("host_id", id);
    }
    Body::Auth(fact("instance.renew", fields.with("error", reason)))
}

/// A certificate was issued.
pub(crate) fn issued(issued: &Issued) -> Body {
    let certificate = &issued.certificate;
    let kind = match certificate.purpose {
        Purpose::Authority => "authority",
        Purpose::Client => "host",
        Purpose::Server => "service",
        Purpose::Recorder => "recorder",
    };
    let mut fields = Fields::new()
        .with("cert_type", kind)
        .with("name", certificate.name.as_str());
    if let Some(id) = certificate.principal.id() {
        fields.push("host_id", id.to_string());
    }
    let expires = certificate.not_after_s.saturating_mul(1_000_000_000);
    let fields = fields
        .with("serial", certificate.serial.as_str())
        .with("expires", iso(expires));
    Body::Admin(fact("cert.create", fields))
}

/// A token was made.
pub(crate) fn token_made(row: &TokenRow) -> Body {
    let fields = Fields::new()
        .with("name", row.id.as_str())
        .with("user", row.created_by.as_str())
        .with("expires", iso(row.expires_ns))
        .with("join_method", "token");
    Body::Admin(fact("join_token.create", with_role(fields, row.role)))
}

/// A token was removed before its end.
pub(crate) fn token_removed(row: &TokenRow, by: &str) -> Body {
    let fields = Fields::new().with("name", row.id.as_str()).with("user", by);
    Body::Admin(fact("join_token.delete", with_role(fields, row.role)))
}

/// A host was locked out.
pub(crate) fn locked(row: &HostRow, lock: &Lock) -> Body {
    let mut fields = Fields::new()
        .with("name", row.name.as_str())
        .with("target", row.id.as_str())
        .with("user", lock.by.as_str())
        .with("reason", lock.reason.as_str());
    if let Some(until) = lock.until_ns {
        fields.push("expires", iso(until));
    }
    if lock.revoked {
        fields.push("revoked", true);
    }
    Body::Admin(fact("lock.created", fields))
}

/// A lock was lifted.
pub(crate) fn unlocked(row: &HostRow, by: &str) -> Body {
    let fields = Fields::new()
        .with("name", row.name.as_str())
        .with("target", row.id.as_str())
        .with("user", by);
    Body::Admin(fact("lock.deleted", fields))
}

/// A file of the registry cannot be read; whoever it is about is shut out until it is repaired.
pub(crate) fn unreadable(id: &str, reason: &str) -> Body {
    let fields = Fields::new()
        .with("name", id)
        .with("success", false)
        .with("error", reason);
    Body::Admin(fact("registry.unreadable", fields))
}

fn with_role(fields: Fields, role: JoinAs) -> Fields {
    fields.with("roles", Value::List(vec![role.as_str().into()]))
}
