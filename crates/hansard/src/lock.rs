//! `hansard lock`: whoever or whatever has no session, and gets none.

use std::io::{self, Write as _};

use hansard_view::escape_for_humans;
use serde_json::{Value, json};

use crate::cli::{LockArgs, LockCommand};
use crate::failure::Failure;
use crate::listing::{Listing, text, time};
use crate::service::{Align, Asked, Column, Service};

const COLUMNS: &[Column] = &[
    ("NAME", Align::Whole),
    ("LOCKED", Align::Left),
    ("UNTIL (UTC)", Align::Left),
    ("BY", Align::Left),
    ("MESSAGE", Align::Left),
];

const LISTING: Listing = Listing {
    name: "locks",
    columns: COLUMNS,
    cells,
    none: "nothing is locked",
};

/// Makes, lists or lifts locks.
pub(crate) fn run(args: &LockArgs) -> Result<u8, Failure> {
    match &args.command {
        LockCommand::Add {
            target,
            ttl,
            message,
            json,
            service,
        } => {
            let wish = json!({ "target": target, "message": message, "ttl_s": ttl });
            let lock = Service::new(service)?.document(&Asked::post(&["locks"], &wish))?;
            let name = text(&lock, "name");
            match json {
                true => writeln!(io::stdout(), "{lock}")?,
                // The name alone on standard output, so that it can be piped.
                false => writeln!(io::stdout(), "{}", escape_for_humans(&name))?,
            }
            let _ = writeln!(
                io::stderr(),
                "hansard: {} is locked; `hansard lock rm {}` lifts it",
                escape_for_humans(target),
                escape_for_humans(&name),
            );
            if let Some(note) = lock.get("note").and_then(Value::as_str) {
                let _ = writeln!(io::stderr(), "hansard: {}", escape_for_humans(note));
            }
        }
        LockCommand::Ls {
            page,
            json,
            service,
        } => LISTING.show(&Asked::get(&["locks"]), service, page, *json)?,
        LockCommand::Rm {
            name,
            reason,
            service,
        } => {
            let asked = Asked::delete(&["locks", name]).with("reason", reason.as_deref());
            Service::new(service)?.document(&asked)?;
            writeln!(io::stdout(), "lock {} is lifted", escape_for_humans(name))?;
        }
    }
    Ok(0)
}

fn cells(row: &Value) -> Vec<String> {
    vec![
        text(row, "name"),
        text(row, "target"),
        time(row, "expires"),
        text(row, "created_by"),
        text(row, "message"),
    ]
}
