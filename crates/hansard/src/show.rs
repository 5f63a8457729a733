//! `hansard show`: what the service knows of a session, and what its recording is worth.

use std::io::{self, Write as _};

use hansard_view::escape_for_humans;
use serde_json::{Value as Json, json};

use crate::cli::ShowArgs;
use crate::failure::Failure;
use crate::listing::text;
use crate::service::{Asked, Service};
use crate::{events, ls, moment};

/// Shows it. The recording is checked where it is kept; `hansard verify` checks it here.
pub(crate) fn run(args: &ShowArgs) -> Result<u8, Failure> {
    let service = Service::new(&args.look.service)?;
    let id = args.session.to_string();
    if args.events {
        return events::of_session(&service, &id, args.json);
    }
    let reason = args.look.reason.as_deref();
    let session = service.document(&Asked::get(&["sessions", &id]).with("reason", reason))?;
    let asked = Asked::get(&["sessions", &id, "verify"]).with("reason", reason);
    let verified = service.document(&asked)?;
    if args.json {
        let both = json!({ "session": session, "verified": verified });
        writeln!(io::stdout(), "{both}")?;
    } else {
        write!(io::stdout(), "{}", as_text(&session, &verified))?;
    }
    Ok(0)
}

fn as_text(session: &Json, verified: &Json) -> String {
    let mut shown = format!("session {}\n", escape_for_humans(&text(session, "sid")));
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            shown.push_str(&format!("  {name:9} {}\n", escape_for_humans(value)));
        }
    };
    for (name, field) in [
        ("parent", "parent_sid"),
        ("kind", "kind"),
        ("user", "user"),
        ("login", "login"),
        ("host", "server_hostname"),
        ("title", "title"),
        ("started", "session_start"),
        ("stopped", "session_stop"),
    ] {
        line(name, &text(session, field));
    }
    let number = |of: &Json, name: &str| of.get(name).and_then(Json::as_u64).unwrap_or(0);
    line("length", &moment::show(number(session, "duration_ns")));
    let reason = text(session, "reason");
    let ended = ls::ended(session);
    let end = if reason.is_empty() || reason == ended {
        ended
    } else {
        format!("{reason}, {ended}")
    };
    line("end", &end);
    let counts = format!(
        "{} events in {} segments, {} of streams, {} stored, {} gaps",
        number(session, "events"),
        number(session, "segments"),
        moment::bytes(number(session, "data_bytes")),
        moment::bytes(number(session, "stored_bytes")),
        number(session, "gaps"),
    );
    line("listed", &counts);
    line("integrity", &integrity(verified));
    line("signer", &text(session, "recorder_key"));
    shown
}

/// The verdict of the service on what it keeps.
fn integrity(verified: &Json) -> String {
    let number = |name: &str| verified.get(name).and_then(Json::as_u64).unwrap_or(0);
    let verdict = match text(verified, "verdict").as_str() {
        "complete" => "complete and intact".to_owned(),
        "unfinished" => "intact, but unfinished".to_owned(),
        _ => {
            let until = moment::show(number("intact_ns"));
            let first = verified.pointer("/damages/0/what");
            let first = first.or_else(|| verified.pointer("/differences/0/what"));
            let what = first.and_then(Json::as_str).unwrap_or("not fresh");
            format!("damaged; intact up to {until}: {what}")
        }
    };
    let (events, sealed) = (number("events"), number("events_sealed"));
    let open = events.saturating_sub(sealed);
    format!("{verdict}; {events} events, {open} of them not sealed")
}
