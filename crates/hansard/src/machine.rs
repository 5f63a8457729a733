//! `hansard host enable`, `disable`, `status`: how logins of this machine come to the recorder.
//!
//! Everything is changed through files that are replaced whole, and through `usermod`; doing the same
//! again changes nothing, and each change can be taken back. What an account's shell was before is
//! noted before it is changed.

mod accounts;
mod coverage;
mod daemon;
mod notes;
mod root;
mod shells;
mod sshd;
mod sssd;

use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::path::Path;

use hansard_view::escape_for_humans;

use crate::cli::{CoverageArgs, DisableArgs, DisableWay, EnableArgs, EnableWay};
use crate::failure::{Failure, STATUS_WRONG_USE};
use daemon::Logins;
use root::Root;

/// What SSSD names as the shell of whom it has recorded.
const TLOG: &str = "/usr/bin/tlog-rec-session";

/// Where a login looks for the daemon, and nowhere else.
const CAPTURE_SOCKET: &str = "/run/hansard/capture.sock";

/// Has logins recorded.
pub(crate) fn enable(args: &EnableArgs) -> Result<u8, Failure> {
    let root = Root::new(&args.root)?;
    let program = root.program(args.root.program.as_deref())?;
    answers_to(&program)?;
    if !args.unchecked && root.is_this_machine() {
        served(&daemon::ask(Path::new(CAPTURE_SOCKET)))?;
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

/// Under a name that the recorder does not know it is no login shell: everybody who is given it is
/// told how `hansard` is used, and out.
fn answers_to(path: &str) -> Result<(), Failure> {
    if crate::drop_in::is_shell(OsStr::new(path)) {
        return Ok(());
    }
    let message = format!(
        "the recorder does not answer to the name {}: who had it as a login shell could not log in",
        escape_for_humans(path)
    );
    Err(Failure::new(STATUS_WRONG_USE, message).hint(
        "install it as hansard-shell, and have logins recorded by \
         `hansard host enable shell` or `hansard host enable sshd`",
    ))
}

/// Who is given the recorder as a shell cannot log in without a daemon that serves logins.
fn served(logins: &Logins) -> Result<(), Failure> {
    let (message, hint) = match logins {
        Logins::Served => return Ok(()),
        Logins::Refused(why) => (
            format!("the daemon at {CAPTURE_SOCKET} would refuse logins: {why}"),
            "configure hansardd with `capture.shell` and restart it, or say --unchecked",
        ),
        Logins::Silent(why) => (
            format!(
                "the daemon does not answer at {CAPTURE_SOCKET} ({why}): logins would be refused"
            ),
            "start hansardd with `capture.shell` first, or say --unchecked",
        ),
    };
    Err(Failure::new(STATUS_WRONG_USE, message).hint(hint))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_given_to_no_daemon_that_refuses_them() {
        assert!(served(&Logins::Served).is_ok());
        for logins in [
            Logins::Refused("capture.shell is not configured".to_owned()),
            Logins::Silent("nobody".to_owned()),
        ] {
            let failure = served(&logins).unwrap_err();
            assert_eq!(failure.status, STATUS_WRONG_USE);
            assert!(failure.to_string().contains("capture.shell"), "{failure}");
        }
    }
}
