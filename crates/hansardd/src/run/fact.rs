//! What the daemon itself has to say, as events of its own recording. Names and fields are in
//! docs/events.md.

use hansard_core::fields::{Fields, Value};
use hansard_core::{Body, event::Fact};

use crate::capacity::{Crossing, Fullness};
use crate::config::change::Change;

fn admin(event: &str, fields: Fields) -> Body {
    Body::Admin(Fact {
        event: event.to_owned(),
        fields,
    })
}

fn list<'a>(texts: impl IntoIterator<Item = &'a str>) -> Value {
    Value::List(
        texts
            .into_iter()
            .map(|t| Value::Text(t.to_owned()))
            .collect(),
    )
}

/// The daemon began its work.
#[must_use]
pub fn start(roles: &[&str], recorder_key: &str, recovered: u64) -> Body {
    let fields = Fields::new()
        .with("roles", list(roles.iter().copied()))
        .with("recorder_key", recorder_key)
        .with("recovered", Value::Uint(recovered))
        .with("server_version", env!("CARGO_PKG_VERSION"));
    admin("daemon.start", fields)
}

/// It ends; `error` is why, if nobody told it to.
#[must_use]
pub fn stop(roles: &[&str], error: Option<&str>) -> Body {
    let fields = Fields::new().with("roles", list(roles.iter().copied()));
    let fields = match error {
        None => fields.with("reason", "told to stop"),
        Some(error) => fields
            .with("success", Value::Bool(false))
            .with("error", error),
    };
    admin("daemon.stop", fields)
}

/// The configuration was read again.
#[must_use]
pub fn reload(path: &str, outcome: Result<&[Change], &str>) -> Body {
    let fields = Fields::new().with("path", path);
    let fields = match outcome {
        Ok(changes) => {
            let keys = |live: bool| {
                let changed = changes.iter().filter(move |change| change.live == live);
                list(changed.map(|change| change.key.as_str()))
            };
            fields
                .with("changed", keys(true))
                .with("needs_restart", keys(false))
                .with("success", Value::Bool(true))
        }
        Err(why) => fields
            .with("success", Value::Bool(false))
            .with("error", why),
    };
    admin("daemon.reload", fields)
}

/// Something got fuller, or less full.
#[must_use]
pub fn capacity(crossing: &Crossing) -> Body {
    let limit = crossing.filling.used.saturating_add(crossing.filling.free);
    // The catalogue has three levels; that there is nothing left is said besides.
    let level = match crossing.now {
        Fullness::Full => Fullness::Critical,
        other => other,
    };
    let fields = Fields::new()
        .with("level", level.as_str())
        .with("place", crossing.what.as_str())
        .with(
            "used_percent",
            Value::Uint(u64::from(crossing.filling.percent())),
        );
    let fields = match crossing.what.ends_with("inodes") {
        true => fields,
        false => fields
            .with("used_bytes", Value::Uint(crossing.filling.used))
            .with("limit_bytes", Value::Uint(limit)),
    };
    let fields = match crossing.now {
        Fullness::Full => fields.with("message", "full"),
        _ => fields,
    };
    admin("capacity", fields)
}

/// The catalog was damaged and is built anew.
#[must_use]
pub fn catalog_damaged(path: &str, reason: &str) -> Body {
    let fields = Fields::new().with("path", path).with("reason", reason);
    admin("catalog.damaged", fields)
}

/// The catalog was built anew.
#[must_use]
pub fn catalog_rebuilt(segments: u64, events: u64, quarantined: u64, after_loss: u64) -> Body {
    let fields = Fields::new()
        .with("segments", Value::Uint(segments))
        .with("events", Value::Uint(events))
        .with("quarantined", Value::Uint(quarantined))
        .with("lost_segments", Value::Uint(after_loss));
    admin("catalog.rebuilt", fields)
}

/// A recording was brought to an end after its recorder died.
#[must_use]
pub fn recovered(recording: &str, reason: &str, lost_bytes_max: Option<u64>) -> Body {
    let fields = Fields::new()
        .with("recording", recording)
        .with("reason", reason);
    let fields = match lost_bytes_max {
        Some(bytes) => fields.with("lost_bytes_max", Value::Uint(bytes)),
        None => fields,
    };
    admin("recording.recovered", fields)
}

/// Something that somebody must look at.
#[must_use]
pub fn alarm(kind: &str, recording: Option<&str>, segment: Option<u32>, reason: &str) -> Body {
    let fields = Fields::new().with("alarm", kind).with("reason", reason);
    let fields = match recording {
        Some(recording) => fields.with("recording", recording),
        None => fields,
    };
    let fields = match segment {
        Some(segment) => fields.with("segment", Value::Uint(u64::from(segment))),
        None => fields,
    };
    admin("alarm", fields)
}

/// An alarm of the keeper's.
#[must_use]
pub fn raised(raised: &crate::keeper::Raised) -> Body {
    let session = raised.session.map(|session| session.to_string());
    let Body::Admin(mut fact) = alarm(
        raised.matter.as_str(),
        session.as_deref(),
        raised.segment,
        &raised.what,
    ) else {
        return alarm(raised.matter.as_str(), None, None, &raised.what);
    };
    if let Some(kept) = &raised.kept {
        fact.fields.push("path", crate::failure::shown(kept));
    }
    Body::Admin(fact)
}
