//! `hansard user`: who signs in in a browser.

use std::io::{self, Write as _};

use hansard_view::escape_for_humans;
use serde_json::{Value, json};

use crate::cli::{UserArgs, UserCommand};
use crate::failure::{Failure, STATUS_WRONG_USE};
use crate::listing::{Listing, text, time};
use crate::secret::new_password;
use crate::service::{Align, Asked, Column, Service};

/// The roles of which everybody has one: they say what somebody may at the service.
const FIRST: [&str; 4] = ["admin", "auditor", "reviewer", "user"];

const COLUMNS: &[Column] = &[
    ("NAME", Align::Whole),
    ("ROLES", Align::Left),
    ("CODE", Align::Left),
    ("MADE (UTC)", Align::Left),
];

const LISTING: Listing = Listing {
    name: "users",
    columns: COLUMNS,
    cells,
    none: "no users; `hansard user add` adds one",
};

/// Adds, lists, removes users, or sets a password.
pub(crate) fn run(args: &UserArgs) -> Result<u8, Failure> {
    match &args.command {
        UserCommand::Add {
            name,
            roles,
            no_totp,
            json,
            service,
        } => {
            let (role, others) = parted(roles)?;
            let service = Service::new(service)?;
            let password = new_password(name)?;
            let wish = json!({
                "name": name, "role": role, "roles": others, "password": password, "totp": !no_totp,
            });
            let made = service.document(&Asked::post(&["users"], &wish))?;
            said(&made, *json)?;
        }
        UserCommand::Ls {
            page,
            json,
            service,
        } => LISTING.show(&Asked::get(&["users"]), service, page, *json)?,
        UserCommand::Roles {
            name,
            roles,
            json,
            service,
        } => {
            let wish = json!({ "roles": roles });
            let set = Asked::put(&["users", name, "roles"], &wish, None);
            let user = Service::new(service)?.document(&set)?;
            match json {
                true => writeln!(io::stdout(), "{user}")?,
                false => writeln!(
                    io::stdout(),
                    "user {} has the roles {}",
                    escape_for_humans(name),
                    escape_for_humans(&roles_of(&user))
                )?,
            }
        }
        UserCommand::Rm {
            name,
            reason,
            service,
        } => {
            let asked = Asked::delete(&["users", name]).with("reason", reason.as_deref());
            Service::new(service)?.document(&asked)?;
            writeln!(io::stdout(), "user {} is removed", escape_for_humans(name))?;
        }
        UserCommand::Passwd {
            name,
            new_totp,
            json,
            service,
        } => {
            let service = Service::new(service)?;
            let password = new_password(name)?;
            let wish = json!({ "password": password, "new_totp": new_totp });
            let set = service.document(&Asked::put(&["users", name, "password"], &wish, None))?;
            said(&set, *json)?;
        }
    }
    Ok(0)
}

/// The one role that says what somebody may at the service, and the others.
fn parted(roles: &[String]) -> Result<(&str, Vec<&str>), Failure> {
    let is_first = |role: &&str| FIRST.contains(role);
    let roles = || roles.iter().map(String::as_str);
    let mut first = roles().filter(is_first);
    let role = first.next().unwrap_or("user");
    if first.next().is_some() {
        let what = format!("a user has one of the roles {}", FIRST.join(", "));
        return Err(Failure::new(STATUS_WRONG_USE, what).hint("name one of them"));
    }
    Ok((role, roles().filter(|role| !is_first(role)).collect()))
}

/// All roles of a user, the one that says what they may at the service first.
fn roles_of(user: &Value) -> String {
    let others = user.get("roles").and_then(Value::as_array);
    let others = others.into_iter().flatten().filter_map(Value::as_str);
    let mut all = vec![text(user, "role")];
    all.extend(others.map(str::to_owned));
    all.join(", ")
}

/// The secret alone on standard output, so that it can be piped; what it is, beside it.
fn said(user: &Value, json: bool) -> Result<(), Failure> {
    if json {
        writeln!(io::stdout(), "{user}")?;
        return Ok(());
    }
    let name = text(user, "name");
    let name = escape_for_humans(&name);
    let uri = user.get("totp_uri").and_then(Value::as_str);
    let Some(uri) = uri else {
        let _ = writeln!(io::stderr(), "hansard: user {name}: the password is set");
        return Ok(());
    };
    let secret = text(user, "totp_secret");
    let _ = writeln!(
        io::stderr(),
        "hansard: user {name}: the secret for an authenticator is {}; as a link, which is not shown \
         again:",
        escape_for_humans(&secret)
    );
    writeln!(io::stdout(), "{}", escape_for_humans(uri))?;
    Ok(())
}

fn cells(row: &Value) -> Vec<String> {
    let has_code = row.get("totp").and_then(Value::as_bool);
    let code = if has_code == Some(true) { "yes" } else { "no" };
    vec![
        text(row, "name"),
        roles_of(row),
        code.to_owned(),
        time(row, "created"),
    ]
}
