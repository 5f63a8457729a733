//! Rows as JSON: flat, under Teleport's names where it has one.

use hansard_core::verify::Verdict;
use hansard_identity::hex::encode as hex;
use hansard_store::catalog::{EventRow, SessionRow};
use serde_json::{Map, Value as Json, json};

use super::seams::{HostRow, TokenRow, Verified};
use super::time;

type Object = Map<String, Json>;

fn put(object: &mut Object, name: &str, value: impl Into<Json>) {
    object.insert(name.to_owned(), value.into());
}

/// A session, as it is listed; and why nothing comes of it, if it has no end.
pub(super) fn session(row: &SessionRow, no_end: Option<String>) -> Json {
    let start = &row.start;
    let mut object = Object::new();
    put(&mut object, "sid", row.session.to_string());
    if let Some(parent) = start.parent {
        put(&mut object, "parent_sid", parent.to_string());
    }
    put(&mut object, "kind", start.kind.clone());
    put(&mut object, "user", start.user.clone());
    put(&mut object, "login", start.login.clone());
    put(&mut object, "server_hostname", start.host.clone());
    put(&mut object, "title", start.title.clone());
    put(&mut object, "session_start", time::text(start.start_utc_ns));
    put(
        &mut object,
        "last_event",
        time::text(start.utc_ns(row.last_ns)),
    );
    put(&mut object, "duration_ns", row.last_ns);
    put(&mut object, "ended", row.end.is_some());
    if let Some(why) = no_end {
        put(&mut object, "no_end", why);
    }
    if let Some(end) = &row.end {
        put(
            &mut object,
            "session_stop",
            time::text(start.utc_ns(row.last_ns)),
        );
        put(&mut object, "reason", end.reason.clone());
        if let Some(status) = end.exit_status {
            put(&mut object, "exit_status", status);
        }
        if let Some(signal) = &end.signal {
            put(&mut object, "signal", signal.clone());
        }
    }
    put(&mut object, "segments", row.segments);
    put(&mut object, "events", row.events);
    put(&mut object, "data_bytes", row.data_bytes);
    put(&mut object, "stored_bytes", row.stored_bytes);
    put(&mut object, "gaps", row.gaps);
    put(&mut object, "recorder_key", hex(&start.recorder_key));
    Json::Object(object)
}

/// An event. A row that holds a document is that document; one that holds facts only is given the
/// same frame around them.
pub(super) fn event(row: &EventRow) -> Json {
    let facts = serde_json::from_str::<Json>(&row.facts).unwrap_or_default();
    if facts.get("uid").is_some() && facts.get("event").is_some() {
        return facts;
    }
    let mut object = Object::new();
    put(&mut object, "event", row.name.clone());
    put(&mut object, "uid", row.uid().to_string());
    put(&mut object, "time", time::text(row.time_ns));
    put(&mut object, "ei", row.seq);
    put(&mut object, "sid", row.session.to_string());
    put(&mut object, "kind", row.kind.clone());
    put(&mut object, "user", row.user.clone());
    put(&mut object, "server_hostname", row.host.clone());
    put(&mut object, "facts", facts);
    Json::Object(object)
}

/// What checking a session came to.
pub(super) fn verified(sid: &str, found: &Verified) -> Json {
    let report = &found.report;
    let verdict = match report.verdict {
        Verdict::Complete if !found.is_intact() => Verdict::Damaged,
        Verdict::Unfinished if !found.is_intact() => Verdict::Damaged,
        verdict => verdict,
    };
    let damages: Vec<Json> = report
        .damages
        .iter()
        .map(|d| json!({ "offset": d.offset, "segment": d.segment, "frame": d.frame, "what": d.what }))
        .collect();
    let differences: Vec<Json> = found
        .differences
        .iter()
        .map(|d| json!({ "segment": d.segment, "what": d.what }))
        .collect();
    json!({
        "sid": sid,
        "verdict": verdict.as_str(),
        "signers": report.signers.iter().map(|key| hex(key)).collect::<Vec<_>>(),
        "segments": report.segments,
        "events": report.events,
        "events_sealed": report.events_sealed,
        "intact_ns": report.intact_ns,
        "gaps": report.gaps,
        "head": report.head.as_ref().map(|digest| hex(digest)),
        "archived_segment": found.newest.map(|(number, _)| number),
        "archived_head": found.newest.map(|(_, digest)| hex(&digest)),
        "differences": differences,
        "damages": damages,
        "damages_count": report.damages_count,
    })
}

/// A token, without its secret.
pub(super) fn token(row: &TokenRow) -> Object {
    let mut object = Object::new();
    put(&mut object, "name", row.name.clone());
    put(&mut object, "role", row.role.clone());
    put(&mut object, "expires", time::text(row.expires_ns));
    put(&mut object, "uses_left", row.uses_left);
    object
}

/// A host.
pub(super) fn host(row: &HostRow) -> Json {
    json!({
        "host_id": row.id,
        "node_name": row.name,
        "role": row.role,
        "this_service": row.is_here,
        "labels": row.labels,
        "connected": row.connected,
        "last_seen": row.seen_ns.map(time::text),
        "certificate_expires": row.certificate_ns.map(time::text),
        "locked": row.locked.is_some(),
        "lock_reason": row.locked,
        "policy_version": row.policy_version,
        "policy_trouble": row.policy_trouble,
    })
}
