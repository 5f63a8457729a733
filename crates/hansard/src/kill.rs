//! `hansard kill`: ends a session that is going on.

use std::io::{self, Write as _};

use serde_json::json;

use crate::cli::KillArgs;
use crate::failure::Failure;
use crate::service::{Asked, Service};

/// Ends it.
pub(crate) fn run(args: &KillArgs) -> Result<u8, Failure> {
    let id = args.session.to_string();
    let why = json!({ "reason": args.reason });
    Service::new(&args.service)?.document(&Asked::post(&["sessions", &id, "end"], &why))?;
    writeln!(io::stdout(), "session {id} was told to end")?;
    Ok(0)
}
