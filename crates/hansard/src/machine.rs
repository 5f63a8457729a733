//! `hansard host enable`, `disable`, `status`: how logins of this machine come to the recorder.
//!
//! Everything is changed through files that are replaced whole, and through `usermod`; doing the same
//! again changes nothing, and each change can be taken back. What an account's shell was before is
//! noted before it is changed.

mod accounts;
mod coverage;
mod notes;
mod root;
mod shells;
mod sshd;
mod sssd;

use std::io::{self, Write as _};
use std::os::unix::net::UnixStream;

use hansard_view::escape_for_humans;

use crate::cli::{CoverageArgs, DisableArgs, DisableWay, EnableArgs, EnableWay};
use crate::failure::{Failure, STATUS_WRONG_USE};
use root::Root;

/// What SSSD names as the shell of whom it has recorded.
const TLOG: &str = "/usr/bin/tlog-rec-session";

/// Where a login looks for the daemon, and nowhere else.
const CAPTURE_SOCKET: &str = "/run/hansard/capture.sock";

/// Has logins recorded.
pub(crate) fn enable(args: &EnableArgs) -> Result<u8, Failure> {
    let root = Root::new(&args.root)?;
    let program = root.program(args.root.program.as_deref())?;
    if !args.unchecked && root.is_this_machine() && !daemon_answers() {
        let message =
            format!("the daemon does not answer at {CAPTURE_SOCKET}: logins would be refused");
        return Err(Failure::new(STATUS_WRONG_USE, message)
            .hint("start hansardd with `capture.shell` first, or say --unchecked"));
    }
    let said = match &args.way {
        EnableWay::Shell { users, all } => shells::enable(&root, &program, users, *all)?,
        EnableWay::Sshd { user, group } => {
            sshd::enable(&root, &program, (user, group), args.unchecked)?
        }
        EnableWay::Sssd {
            scope,
            user,
            group,
            exclude_user,
            exclude_group,
        } => {
            let names = [user, group, exclude_user, exclude_group];
            sssd::enable(&root, &program, scope, names.map(Vec::as_slice))?
        }
    };
    say(&said)
}

/// Takes it back.
pub(crate) fn disable(args: &DisableArgs) -> Result<u8, Failure> {
    let root = Root::new(&args.root)?;
    let said = match &args.way {
        DisableWay::Shell { users } => {
            let (said, stuck) = shells::disable(&root, users)?;
            if !stuck.is_empty() {
                say(&said)?;
                let why = escape_for_humans(&stuck.join("; ")).into_owned();
                return Err(Failure::new(STATUS_WRONG_USE, why));
            }
            said
        }
        DisableWay::Sshd => sshd::disable(&root)?,
        DisableWay::Sssd => sssd::disable(&root)?,
    };
    say(&said)
}

/// Says what is covered and what is not.
pub(crate) fn status(args: &CoverageArgs) -> Result<u8, Failure> {
    let root = Root::new(&args.root)?;
    let coverage = coverage::look(&root, args.root.program.as_deref())?;
    match args.json {
        true => writeln!(io::stdout(), "{}", coverage.json())?,
        false => write!(io::stdout(), "{}", coverage.text())?,
    }
    Ok(0)
}

fn say(lines: &[String]) -> Result<u8, Failure> {
    for line in lines {
        writeln!(io::stdout(), "{}", escape_for_humans(line))?;
    }
    Ok(0)
}

fn daemon_answers() -> bool {
    UnixStream::connect(CAPTURE_SOCKET).is_ok()
}

/// Names of accounts and groups that stand in configurations: nothing that means more there.
fn plain_names(names: &[String]) -> Result<(), Failure> {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '$' | '@' | '+');
    let wrong = names
        .iter()
        .find(|name| name.is_empty() || name.starts_with('-') || !name.chars().all(is_plain));
    match wrong {
        None => Ok(()),
        Some(name) => Err(Failure::new(
            STATUS_WRONG_USE,
            format!(
                "{} is not a name of an account or group",
                escape_for_humans(name)
            ),
        )),
    }
}
