//! `hansard ls`: sessions of the service.

use serde_json::Value as Json;

use crate::cli::{FilterArgs, LsArgs};
use crate::failure::Failure;
use crate::listing::{Listing, text, time};
use crate::moment;
use crate::service::{Align, Asked, Column};

const COLUMNS: &[Column] = &[
    ("SESSION", Align::Whole),
    ("START (UTC)", Align::Left),
    ("LENGTH", Align::Right),
    ("USER", Align::Left),
    ("HOST", Align::Left),
    ("KIND", Align::Left),
    ("END", Align::Left),
    ("TITLE", Align::Left),
];

const LISTING: Listing = Listing {
    name: "sessions",
    columns: COLUMNS,
    cells,
    none: "no such sessions",
};

/// Lists them.
pub(crate) fn run(args: &LsArgs) -> Result<u8, Failure> {
    let order = if args.oldest { "oldest" } else { "newest" };
    let asked = filtered(Asked::get(&["sessions"]), &args.filter).with("order", Some(order));
    LISTING.show(&asked, &args.service, &args.page, args.json)?;
    Ok(0)
}

/// The request with the filters.
pub(crate) fn filtered(asked: Asked, filter: &FilterArgs) -> Asked {
    let from = filter.from.or(filter.since).map(|time| time.text());
    let until = filter.until.map(|time| time.text());
    asked
        .with("from", from.as_deref())
        .with("until", until.as_deref())
        .with("user", filter.user.as_deref())
        .with("host", filter.host.as_deref())
        .with("kind", filter.kind.as_deref())
}

fn cells(row: &Json) -> Vec<String> {
    let user = match (text(row, "user"), text(row, "login")) {
        (user, login) if login.is_empty() || user == login => user,
        (user, login) => format!("{user} as {login}"),
    };
    let length = row.get("duration_ns").and_then(Json::as_u64).unwrap_or(0);
    vec![
        text(row, "sid"),
        time(row, "session_start"),
        moment::show(length / 1_000_000_000 * 1_000_000_000),
        user,
        text(row, "server_hostname"),
        text(row, "kind"),
        ended(row),
        text(row, "title"),
    ]
}

/// How a session ended, in few words.
pub(crate) fn ended(row: &Json) -> String {
    if row.get("ended").and_then(Json::as_bool) != Some(true) {
        return match text(row, "no_end") {
            why if why.is_empty() => "no end yet".to_owned(),
            why => format!("no end: {why}"),
        };
    }
    let gaps = row.get("gaps").and_then(Json::as_u64).unwrap_or(0);
    let mut words = match (text(row, "exit_status"), text(row, "signal")) {
        (status, _) if !status.is_empty() => format!("status {status}"),
        (_, signal) if !signal.is_empty() => format!("SIG{signal}"),
        _ => text(row, "reason"),
    };
    if gaps > 0 {
        words.push_str(&format!(", {gaps} gaps"));
    }
    words
}
