//! Who runs what from where: the header's fields for a terminal session.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;

use hansard_core::fields::{Fields, Value};
use rustix::stdio::{stderr, stdin, stdout};

use crate::accounts::account_of;
use crate::limits::ARGV_BYTES_MAX;

/// The three groups of a session's fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Description {
    /// Who acts: `user`, `login`, `uid`.
    pub subject: Fields,
    /// Where from: `addr.remote`, `tty`, `term`, `ssh_connection`.
    pub origin: Fields,
    /// On what: `server_hostname`, `argv`, `command`, `cwd`, `shell`.
    pub target: Fields,
}

/// Describes this process about to run these arguments. What cannot be found out is left out.
#[must_use]
pub fn describe(argv: &[OsString]) -> Description {
    Description {
        subject: subject(),
        origin: origin(),
        target: target(argv),
    }
}

fn subject() -> Fields {
    let uid = rustix::process::getuid().as_raw();
    subject_of(uid, login_uid("self"))
}

/// Who acts: the user with this number, who logged in as `login` (itself, where nobody did). Waits for
/// the user database.
#[must_use]
pub fn subject_of(uid: u32, login: Option<u32>) -> Fields {
    let name = |uid: u32| account_of(uid).map_or_else(|| uid.to_string(), |account| account.name);
    Fields::new()
        .with("user", name(uid))
        .with("login", name(login.unwrap_or(uid)))
        .with("uid", u64::from(uid))
}

/// Who logged in for a process (its number, or `self`), which `su` and `sudo` do not change;
/// `None` where nobody did or the system does not say.
#[must_use]
pub fn login_uid(process: &str) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/{process}/loginuid")).ok()?;
    let login = text.trim().parse().ok()?;
    (login != u32::MAX).then_some(login)
}

fn origin() -> Fields {
    let mut fields = Fields::new();
    if let Some(connection) = env::var_os("SSH_CONNECTION") {
        let bytes = connection.as_bytes();
        if let Some(address) = bytes.split(|b| *b == b' ').next().filter(|a| !a.is_empty()) {
            fields.push("addr.remote", Value::from_os_bytes(address));
        }
        fields.push("ssh_connection", Value::from_os_bytes(bytes));
    }
    let tty = [stdin(), stdout(), stderr()]
        .into_iter()
        .find_map(|fd| rustix::termios::ttyname(fd, Vec::new()).ok());
    if let Some(tty) = tty {
        fields.push("tty", Value::from_os_bytes(tty.as_bytes()));
    }
    if let Some(term) = env::var_os("TERM") {
        fields.push("term", Value::from_os_bytes(term.as_bytes()));
    }
    fields
}

fn target(argv: &[OsString]) -> Fields {
    let host = rustix::system::uname();
    let mut fields = Fields::new().with(
        "server_hostname",
        Value::from_os_bytes(host.nodename().to_bytes()),
    );
    let mut room = ARGV_BYTES_MAX;
    let mut kept = Vec::new();
    for arg in argv {
        let bytes = arg.as_bytes();
        kept.push(Value::from_os_bytes(
            bytes.get(..room.min(bytes.len())).unwrap_or_default(),
        ));
        if bytes.len() >= room {
            break;
        }
        room -= bytes.len();
        room = room.saturating_sub(1);
        if room == 0 || kept.len() >= hansard_core::limits::FIELDS_MAX {
            break;
        }
    }
    let whole = kept.len() == argv.len()
        && argv.iter().map(|a| a.len() + 1).sum::<usize>() <= ARGV_BYTES_MAX;
    fields.push("argv", Value::List(kept));
    if !whole {
        fields.push("argv_truncated", true);
    }
    let mut line = argv.join(OsStr::new(" ")).as_bytes().to_vec();
    line.truncate(ARGV_BYTES_MAX);
    fields.push("command", Value::from_os_bytes(&line));
    if let Ok(cwd) = env::current_dir() {
        fields.push("cwd", Value::from_os_bytes(cwd.as_os_str().as_bytes()));
    }
    if let Some(shell) = env::var_os("SHELL") {
        fields.push("shell", Value::from_os_bytes(shell.as_bytes()));
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_kept_as_they_are_up_to_the_bound() {
        let told = describe(&["vi".into(), "a b".into()]);
        let argv = Value::List(vec!["vi".into(), "a b".into()]);
        assert_eq!(told.target.get("argv"), Some(&argv));
        assert_eq!(told.target.text("command"), Some("vi a b"));
        assert!(told.target.get("argv_truncated").is_none());
        assert!(told.subject.get("uid").is_some());

        let long = describe(&["x".into(), "y".repeat(ARGV_BYTES_MAX).into(), "z".into()]);
        let Some(Value::List(argv)) = long.target.get("argv") else {
            panic!("no argv")
        };
        assert_eq!(argv.len(), 2);
        assert_eq!(long.target.get("argv_truncated"), Some(&Value::Bool(true)));
    }
}
