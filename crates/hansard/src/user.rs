//! `hansard user`: who signs in in a browser.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

use hansard_view::escape_for_humans;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use serde_json::{Value, json};

use crate::cli::{PageArgs, ServiceArgs, UserArgs, UserCommand};
use crate::failure::{Failure, STATUS_WRONG_USE};
use crate::listing::{self, text, time};
use crate::service::{Align, Asked, Column, Service, Table};

/// Longest line that is taken for a password, bytes; of a longer one the service would refuse the
/// beginning.
const PASSWORD_BYTES_MAX: u64 = 4096;

const COLUMNS: &[Column] = &[
    ("NAME", Align::Whole),
    ("ROLE", Align::Left),
    ("CODE", Align::Left),
    ("MADE (UTC)", Align::Left),
];

/// Adds, lists, removes users, or sets a password.
pub(crate) fn run(args: &UserArgs) -> Result<u8, Failure> {
    match &args.command {
        UserCommand::Add {
            name,
            role,
            no_totp,
            json,
            service,
        } => {
            let service = Service::new(service)?;
            let password = password(name)?;
            let wish = json!({
                "name": name, "role": role, "password": password, "totp": !no_totp,
            });
            let made = service.document(&Asked::post(&["users"], &wish))?;
            said(&made, *json)?;
        }
        UserCommand::Ls {
            page,
            json,
            service,
        } => list(service, page, *json)?,
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
            let password = password(name)?;
            let wish = json!({ "password": password, "new_totp": new_totp });
            let set = service.document(&Asked::put(&["users", name, "password"], &wish, None))?;
            said(&set, *json)?;
        }
    }
    Ok(0)
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

/// Asks for a password, twice, without showing it; or reads one line where nobody can be asked.
fn password(name: &str) -> Result<String, Failure> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return line();
    }
    let quiet = Quiet::begin(&stdin)?;
    let ask = |what: &str| {
        let _ = write!(io::stderr(), "{what} for {}: ", escape_for_humans(name));
        let typed = line();
        let _ = writeln!(io::stderr());
        typed
    };
    let (first, second) = (ask("Password")?, ask("Again, the password")?);
    drop(quiet);
    if first == second {
        return Ok(first);
    }
    let what = "the two are not the same";
    Err(Failure::new(STATUS_WRONG_USE, what).hint("type it again"))
}

fn line() -> Result<String, Failure> {
    let mut line = String::new();
    let read = io::stdin()
        .lock()
        .take(PASSWORD_BYTES_MAX)
        .read_line(&mut line)?;
    if read == 0 {
        let what = "no password on standard input";
        return Err(Failure::new(STATUS_WRONG_USE, what).hint("type it, or pipe one line in"));
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// The terminal shows nothing that is typed until this is dropped.
struct Quiet(Termios);

impl Quiet {
    fn begin(stdin: &io::Stdin) -> Result<Self, Failure> {
        let before = tcgetattr(stdin).map_err(io::Error::from)?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        quiet.local_modes.insert(LocalModes::ECHONL);
        tcsetattr(stdin, OptionalActions::Flush, &quiet).map_err(io::Error::from)?;
        Ok(Self(before))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
    }
}

fn list(service: &ServiceArgs, page: &PageArgs, json: bool) -> Result<(), Failure> {
    let service = Service::new(service)?;
    let mut table = Table::new(COLUMNS);
    let shown = listing::each(&service, &Asked::get(&["users"]), "users", page, |row| {
        if json {
            writeln!(io::stdout(), "{row}")?;
        } else {
            let has_code = row.get("totp").and_then(Value::as_bool);
            let code = if has_code == Some(true) { "yes" } else { "no" };
            table.row(vec![
                text(row, "name"),
                text(row, "role"),
                code.to_owned(),
                time(row, "created"),
            ]);
        }
        Ok(())
    })?;
    if shown == 0 {
        let _ = writeln!(
            io::stderr(),
            "hansard: no users; `hansard user add` adds one"
        );
    } else if !json {
        write!(io::stdout(), "{}", table.text())?;
    }
    Ok(())
}
