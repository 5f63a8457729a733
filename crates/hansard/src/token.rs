//! `hansard token`: tokens that hosts join with.

use std::io::{self, Write as _};

use hansard_view::escape_for_humans;
use serde_json::{Value, json};

use crate::cli::{TokenArgs, TokenCommand};
use crate::failure::Failure;
use crate::listing::{Listing, text, time};
use crate::service::{Align, Asked, Column, Service};

const COLUMNS: &[Column] = &[
    ("NAME", Align::Whole),
    ("ROLE", Align::Left),
    ("EXPIRES (UTC)", Align::Left),
    ("USES LEFT", Align::Right),
];

const LISTING: Listing = Listing {
    name: "tokens",
    columns: COLUMNS,
    cells,
    none: "no tokens; `hansard token create` makes one",
};

/// Makes, lists or removes tokens.
pub(crate) fn run(args: &TokenArgs) -> Result<u8, Failure> {
    match &args.command {
        TokenCommand::Create {
            role,
            ttl,
            uses,
            json,
            service,
        } => {
            let wish = json!({ "role": role, "ttl_s": ttl, "uses": uses });
            let made = Service::new(service)?.document(&Asked::post(&["tokens"], &wish))?;
            if *json {
                writeln!(io::stdout(), "{made}")?;
                return Ok(0);
            }
            // The token alone on standard output, so that it can be piped.
            writeln!(io::stdout(), "{}", escape_for_humans(&text(&made, "token")))?;
            let _ = writeln!(
                io::stderr(),
                "hansard: token {} holds until {}, for {} uses; it is not shown again",
                escape_for_humans(&text(&made, "name")),
                escape_for_humans(&time(&made, "expires")),
                escape_for_humans(&text(&made, "uses_left")),
            );
        }
        TokenCommand::Ls {
            page,
            json,
            service,
        } => LISTING.show(&Asked::get(&["tokens"]), service, page, *json)?,
        TokenCommand::Rm { name, service } => {
            Service::new(service)?.document(&Asked::delete(&["tokens", name]))?;
            writeln!(io::stdout(), "token {} is removed", escape_for_humans(name))?;
        }
    }
    Ok(0)
}

fn cells(row: &Value) -> Vec<String> {
    vec![
        text(row, "name"),
        text(row, "role"),
        time(row, "expires"),
        text(row, "uses_left"),
    ]
}
