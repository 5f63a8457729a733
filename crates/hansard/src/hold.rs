//! `hansard hold`: sessions that no rule deletes.

use std::io::{self, Write as _};

use serde_json::json;

use crate::cli::{HoldArgs, HoldCommand, PageArgs, ServiceArgs};
use crate::failure::Failure;
use crate::listing::{self, text};
use crate::service::{Align, Asked, Column, Service, Table};

const COLUMNS: &[Column] = &[("SESSION", Align::Whole)];

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
        } => list(service, page, *json)?,
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

fn list(service: &ServiceArgs, page: &PageArgs, json: bool) -> Result<(), Failure> {
    let service = Service::new(service)?;
    let mut table = Table::new(COLUMNS);
    let shown = listing::each(&service, &Asked::get(&["holds"]), "holds", page, |row| {
        if json {
            writeln!(io::stdout(), "{row}")?;
        } else {
            table.row(vec![text(row, "sid")]);
        }
        Ok(())
    })?;
    if shown == 0 {
        let _ = writeln!(io::stderr(), "hansard: no session is held");
    } else if !json {
        write!(io::stdout(), "{}", table.text())?;
    }
    Ok(())
}
