//! `hansard hold`: sessions that no rule deletes.

use std::io::{self, Write as _};

use serde_json::{Value, json};

use crate::cli::{HoldArgs, HoldCommand};
use crate::failure::Failure;
use crate::listing::{Listing, text};
use crate::service::{Align, Asked, Column, Service};

const COLUMNS: &[Column] = &[("SESSION", Align::Whole)];

const LISTING: Listing = Listing {
    name: "holds",
    columns: COLUMNS,
    cells,
    none: "no session is held",
};

/// Holds a session, lifts its hold, or lists what is held.
pub(crate) fn run(args: &HoldArgs) -> Result<u8, Failure> {
    match &args.command {
        HoldCommand::Add {
            session,
            reason,
            service,
        } => {
            let id = session.to_string();
            let asked = Asked::post(&["sessions", &id, "hold"], &json!({ "reason": reason }));
            Service::new(service)?.document(&asked)?;
            writeln!(io::stdout(), "session {id} is held: no rule deletes it")?;
        }
        HoldCommand::Ls {
            page,
            json,
            service,
        } => LISTING.show(&Asked::get(&["holds"]), service, page, *json)?,
        HoldCommand::Rm {
            session,
            reason,
            service,
        } => {
            let id = session.to_string();
            let asked = Asked::delete(&["sessions", &id, "hold"]).with("reason", reason.as_deref());
            Service::new(service)?.document(&asked)?;
            writeln!(io::stdout(), "the hold of session {id} is lifted")?;
        }
    }
    Ok(0)
}

fn cells(row: &Value) -> Vec<String> {
    vec![text(row, "sid")]
}
