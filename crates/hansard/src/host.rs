//! `hansard host`: the hosts that joined.

use std::io::{self, Write as _};

use hansard_view::escape_for_humans;
use serde_json::{Value as Json, json};

use crate::cli::{HostArgs, HostCommand};
use crate::failure::Failure;
use crate::listing::{Listing, text, time};
use crate::machine;
use crate::service::{Align, Asked, Column, Service};

const COLUMNS: &[Column] = &[
    ("HOST", Align::Whole),
    ("NAME", Align::Left),
    ("STATE", Align::Left),
    ("POLICY", Align::Right),
    ("LAST SEEN (UTC)", Align::Left),
    ("CERTIFICATE UNTIL (UTC)", Align::Left),
    ("LABELS", Align::Left),
];

const LISTING: Listing = Listing {
    name: "hosts",
    columns: COLUMNS,
    cells,
    none: "no host has joined; `hansard token create` makes what one joins with",
};

/// Lists hosts, locks one out or lifts its lock; or sees to the logins of this machine.
pub(crate) fn run(args: &HostArgs) -> Result<u8, Failure> {
    match &args.command {
        HostCommand::Enable(args) => return machine::enable(args),
        HostCommand::Disable(args) => return machine::disable(args),
        HostCommand::Status(args) => return machine::status(args),
        HostCommand::Ls {
            page,
            json,
            service,
        } => LISTING.show(&Asked::get(&["hosts"]), service, page, *json)?,
        HostCommand::Lock {
            id,
            reason,
            service,
        } => {
            let asked = Asked::post(&["hosts", id, "lock"], &json!({ "reason": reason }));
            Service::new(service)?.document(&asked)?;
            writeln!(io::stdout(), "host {} is locked out", escape_for_humans(id))?;
        }
        HostCommand::Unlock {
            id,
            reason,
            service,
        } => {
            let asked = Asked::delete(&["hosts", id, "lock"]).with("reason", reason.as_deref());
            Service::new(service)?.document(&asked)?;
            writeln!(
                io::stdout(),
                "the lock of host {} is lifted",
                escape_for_humans(id)
            )?;
        }
    }
    Ok(0)
}

/// The version that decides there, and whether that is the newest it was sent.
fn policy(row: &Json) -> String {
    match text(row, "policy_trouble").as_str() {
        "" => text(row, "policy_version"),
        trouble => format!("{}: {trouble}", text(row, "policy_version")),
    }
}

fn cells(row: &Json) -> Vec<String> {
    let is = |name: &str| row.get(name).and_then(Json::as_bool) == Some(true);
    let state = match (is("locked"), is("this_service"), is("connected")) {
        (true, ..) => format!("locked: {}", text(row, "lock_reason")),
        (_, true, _) => "this service".to_owned(),
        (.., true) => "connected".to_owned(),
        (.., false) => "away".to_owned(),
    };
    let labels = row.get("labels").and_then(Json::as_object);
    let labels: Vec<String> = labels
        .into_iter()
        .flatten()
        .map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()))
        .collect();
    vec![
        text(row, "host_id"),
        text(row, "node_name"),
        state,
        policy(row),
        time(row, "last_seen"),
        time(row, "certificate_expires"),
        labels.join(" "),
    ]
}
