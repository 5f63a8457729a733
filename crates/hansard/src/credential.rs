//! `hansard credential`: private keys and passwords for targets of the SSH proxy that believe no authority.

use std::io::{self, Read as _, Write as _};
use std::path::Path;

use hansard_view::escape_for_humans;
use serde_json::{Value, json};

use crate::cli::{CredentialArgs, CredentialCommand, ServiceArgs};
use crate::failure::Failure;
use crate::listing::{Listing, text, time};
use crate::secret::new_password;
use crate::service::{Align, Asked, Column, Service};

/// Longest file of a private key that is read, bytes; a longer one the service would refuse.
const KEY_FILE_BYTES_MAX: u64 = 16 * 1024;

/// The status when some could not be sealed again: the key before is not given up.
const STATUS_LEFT: u8 = 1;

const COLUMNS: &[Column] = &[
    ("NAME", Align::Whole),
    ("TARGET", Align::Left),
    ("ACCOUNT", Align::Left),
    ("KIND", Align::Left),
    ("FINGERPRINT", Align::Whole),
    ("SET (UTC)", Align::Left),
    ("BY", Align::Left),
];

const LISTING: Listing = Listing {
    name: "credentials",
    columns: COLUMNS,
    cells,
    none: "no credential is kept",
};

/// Keeps, lists, replaces or removes credentials, or changes the key that seals them.
pub(crate) fn run(args: &CredentialArgs) -> Result<u8, Failure> {
    match &args.command {
        CredentialCommand::Add {
            name,
            target,
            login,
            key,
            json,
            service,
        } => {
            let service = Service::new(service)?;
            let (kind, secret) = given(key.as_deref(), &format!("{login} on {target}"))?;
            let wish = json!({
                "name": name, "target": target, "login": login, "kind": kind, "secret": secret,
            });
            let kept = service.document(&Asked::post(&["credentials"], &wish))?;
            said(&kept, *json)?;
        }
        CredentialCommand::Ls {
            page,
            json,
            service,
        } => LISTING.show(&Asked::get(&["credentials"]), service, page, *json)?,
        CredentialCommand::Replace {
            name,
            key,
            json,
            service,
        } => {
            let service = Service::new(service)?;
            let (kind, secret) = given(key.as_deref(), name)?;
            let wish = json!({ "kind": kind, "secret": secret });
            let kept = service.document(&Asked::put(&["credentials", name], &wish, None))?;
            said(&kept, *json)?;
        }
        CredentialCommand::Rm {
            name,
            reason,
            service,
        } => {
            let asked = Asked::delete(&["credentials", name]).with("reason", reason.as_deref());
            Service::new(service)?.document(&asked)?;
            let name = escape_for_humans(name);
            writeln!(io::stdout(), "credential {name} is removed")?;
        }
        CredentialCommand::Rotate { json, service } => return rotate(service, *json),
    }
    Ok(0)
}

/// What the secret is, and itself: of a key its file, otherwise a password, which is asked for.
fn given(key: Option<&Path>, of_what: &str) -> Result<(&'static str, String), Failure> {
    let Some(path) = key else {
        let password = new_password(of_what)?;
        return Ok(("password", password));
    };
    let mut text = String::new();
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(KEY_FILE_BYTES_MAX).read_to_string(&mut text));
    read.map_err(|e| Failure::about(path, &e))?;
    Ok(("key", text))
}

fn said(kept: &Value, json: bool) -> Result<(), Failure> {
    if json {
        writeln!(io::stdout(), "{kept}")?;
        return Ok(());
    }
    let shown = |field: &str| escape_for_humans(&text(kept, field)).into_owned();
    writeln!(
        io::stdout(),
        "credential {} is kept for {} on {}: {}",
        shown("name"),
        shown("login"),
        shown("target"),
        shown("fingerprint")
    )?;
    Ok(())
}

fn rotate(service: &ServiceArgs, json: bool) -> Result<u8, Failure> {
    let done = Service::new(service)?.document(&Asked::act(&["credential-key"]))?;
    let left = done.get("left").and_then(Value::as_array);
    let left: Vec<&Value> = left.into_iter().flatten().collect();
    if json {
        writeln!(io::stdout(), "{done}")?;
    } else {
        let sealed = done.get("sealed").and_then(Value::as_u64).unwrap_or(0);
        writeln!(
            io::stdout(),
            "{sealed} credentials are sealed with another key"
        )?;
    }
    for one in &left {
        let (name, why) = (text(one, "name"), text(one, "error"));
        let (name, why) = (escape_for_humans(&name), escape_for_humans(&why));
        let _ = writeln!(io::stderr(), "hansard: {name} was left as it is: {why}");
    }
    let is_finished = done.get("finished").and_then(Value::as_bool) == Some(true);
    if is_finished && left.is_empty() {
        return Ok(0);
    }
    let _ = writeln!(
        io::stderr(),
        "hansard: the key before is kept: put back, replace or remove what was left, and rotate again"
    );
    Ok(STATUS_LEFT)
}

fn cells(row: &Value) -> Vec<String> {
    vec![
        text(row, "name"),
        text(row, "target"),
        text(row, "login"),
        text(row, "kind"),
        text(row, "fingerprint"),
        time(row, "changed"),
        text(row, "changed_by"),
    ]
}
