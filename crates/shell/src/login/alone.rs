//! Break-glass: a login that no daemon can hold, of an account that may get in all the same. It is
//! recorded here, in the user's own process, and the recording says so.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use hansard_core::policy::BULK_BYTES_SHIPPED;
use hansard_core::seal::SigningKey;
use hansard_core::{Session, SessionId};
use hansard_record::{Environment, FileSink, Options as RecorderOptions, Recorder};
use rustix::process::getuid;

use super::{Asked, claims};
use crate::accounts::{account_named, account_of};
use crate::error::ShellError;
use crate::exit::Exit;
use crate::limits::LISTED_BYTES_MAX;
use crate::options::Options;
use crate::run::run;

/// The accounts that may get in without a daemon, one a line; `#` begins a comment. Root's, and
/// nobody else may write to it.
const LISTED: &str = "/etc/hansard/break-glass";

/// Beside the daemon's socket: a file for each account of which the policy last said so, named by
/// its number.
const NOTED: &str = "break-glass";

/// Where these recordings are left for an administrator. Everybody may make a file there, which is
/// theirs alone (mode 1777).
pub const BREAK_GLASS_DIR: &str = "/var/spool/hansard";

/// Whether this process's user may get in without a daemon.
pub(super) fn is_allowed(socket: &Path) -> bool {
    let notes = socket.parent().map(|dir| dir.join(NOTED));
    may_break_glass(&notes.unwrap_or_default(), getuid().as_raw())
}

/// Whether an account may get in without a daemon: by a note on it in this directory, the policy's last
/// word, or by the machine's own list.
#[must_use]
pub fn may_break_glass(notes: &Path, uid: u32) -> bool {
    notes.join(uid.to_string()).is_file() || is_listed(Path::new(LISTED), uid)
}

fn is_listed(list: &Path, uid: u32) -> bool {
    let is_roots = |found: &fs::Metadata| found.uid() == 0 && found.mode() & 0o022 == 0;
    let is_small = |found: &fs::Metadata| found.len() <= LISTED_BYTES_MAX;
    let found = fs::symlink_metadata(list);
    if !found.is_ok_and(|found| found.is_file() && is_roots(&found) && is_small(&found)) {
        return false;
    }
    let listed = fs::read_to_string(list).unwrap_or_default();
    // The own name first: who stands in the machine's own files waits for no directory service.
    let own = account_of(uid).map(|account| account.name);
    let has_number = |name| account_named(name).is_some_and(|account| account.uid == uid);
    names(&listed).any(|name| own.as_deref() == Some(name)) || names(&listed).any(has_number)
}

fn names(listed: &str) -> impl Iterator<Item = &str> {
    listed
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim())
        .filter(|name| !name.is_empty())
}

/// Runs the login and records it here; `why` there is no daemon goes into the record. Answers the
/// status to end with, or why nobody gets in.
pub(super) fn record(asked: &Asked, dir: &Path, why: &str) -> Result<Exit, String> {
    let refused = |what: &dyn std::fmt::Display| {
        format!(
            "hansard: no daemon is there, and this login cannot be recorded without one: {what}"
        )
    };
    let env = Environment::real();
    let (mut seed, mut random) = ([0_u8; 32], [0_u8; 10]);
    env.random.fill(&mut seed).map_err(|e| refused(&e))?;
    env.random.fill(&mut random).map_err(|e| refused(&e))?;
    let key = SigningKey::from_seed(seed);
    let shell = shell();
    let mut session = header(asked, shell.as_os_str(), &env, key.public());
    session.id = SessionId::new_v7(session.start_utc_ns / 1_000_000, random);
    session.target.push("break_glass", why);
    let file = dir.join(format!("{}.hansard", session.id));
    let about = |e: std::io::Error| refused(&format!("{}: {e}", file.display()));
    let sink = FileSink::create(&file, &*env.disk).map_err(about)?;
    let options = Options::from_policy(&session.policy);
    let sink = Box::new(sink);
    let recorder = Recorder::open(session, key, sink, &env, RecorderOptions::default());
    let recorder = recorder.map_err(|lost| refused(&lost))?;
    let ran = run(&asked.command(shell.as_os_str()), &options, &recorder);
    let end = match &ran {
        Ok(exit) => exit.end(),
        Err(error) => hansard_core::event::End {
            reason: error.to_string(),
            ..Default::default()
        },
    };
    // What could not be kept is a gap in the file, or its missing end, and said of it by `verify`.
    let closed = recorder.close(end);
    let exit = ran.map_err(|e: ShellError| format!("hansard: {e}"))?;
    closed.map_err(|lost| format!("hansard: the recording failed: {lost}"))?;
    Ok(exit)
}

fn header(asked: &Asked, shell: &OsStr, env: &Environment, key: [u8; 32]) -> Session {
    let mut argv = vec![shell.to_owned()];
    argv.extend(asked.args.iter().cloned());
    let mut session = claims::of(&argv);
    session.start_utc_ns = env.clock.utc_ns();
    session.clock = env.clock.quality();
    session.recorder_key = key;
    // A login of the host all the same: a copy through it is not to fill the disk of the others.
    session.policy.bulk_bytes_max = BULK_BYTES_SHIPPED;
    session
}

/// The daemon would have said which one.
fn shell() -> PathBuf {
    let shells = fs::read_to_string("/etc/shells").unwrap_or_default();
    let bash = OsString::from("/bin/bash");
    match shells.lines().any(|line| OsStr::new(line.trim()) == bash) && Path::new(&bash).exists() {
        true => bash.into(),
        false => PathBuf::from("/bin/sh"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_listed_by_name() {
        let listed = "# who\n anna \n\nben # the other one\n";
        assert_eq!(names(listed).collect::<Vec<_>>(), ["anna", "ben"]);
        assert!(!is_listed(Path::new("/nonexistent"), 0));
    }
}
