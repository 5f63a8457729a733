//! Whose files are, and what to do where they are somebody else's: the daemon works in a directory of
//! its own account, and whoever starts it as another one would leave files there that it cannot read.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use hansard_shell::account_of;

use crate::failure::{Failure, STATUS_FAILED, STATUS_NOT_READY, plain, shown};

/// Entries that are looked at for files of others; what comes behind them is not.
const ENTRIES_MAX: usize = 20_000;

/// This process's own account.
fn us() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// An account as people call it: by its name, else by its number.
pub(crate) fn called(uid: u32) -> String {
    account_of(uid).map_or_else(
        || uid.to_string(),
        |account| hansard_view::escape_for_humans(&account.name).into_owned(),
    )
}

/// What to do about a path that may not be used: it says who has what is in the way.
pub(crate) fn denied(path: &Path) -> String {
    let us = us();
    let there = path
        .ancestors()
        .find_map(|at| Some((at, fs::symlink_metadata(at).ok()?)));
    match there {
        Some((at, metadata)) if metadata.uid() != us => {
            let (owner, us, at) = (called(metadata.uid()), called(us), shown(at));
            format!(
                "{at} belongs to {owner}, and this is {us}: run it as {owner}, or have root give \
                 {us} what it needs (chown)"
            )
        }
        Some((at, metadata)) => format!(
            "{} has mode {:o}: see what keeps {} out",
            shown(at),
            metadata.mode() & 0o7777,
            called(us)
        ),
        None => "see what keeps it out: ls -ld".to_owned(),
    }
}

/// A directory that could not be made, which root can make for this account.
pub(crate) fn not_made(path: &Path, error: &io::Error, mode: u32) -> Failure {
    let mut failure = Failure::about(path, error);
    if error.kind() == ErrorKind::PermissionDenied {
        let (path, us) = (shown(path), called(us()));
        failure.next = format!("have root make it: install -d -m {mode:o} -o {us} {path}");
    }
    failure
}

/// That a data directory is this account's. What another one makes there, the daemon cannot read;
/// that holds for root as well, which nothing would stop.
pub(crate) fn is_ours(dir: &Path) -> Result<(), Failure> {
    let owner = fs::metadata(dir)
        .map_err(|e| Failure::about(dir, &e))?
        .uid();
    if owner == us() {
        return Ok(());
    }
    let (owner, us, dir) = (called(owner), called(us()), shown(dir));
    let what = format!("{dir} belongs to {owner}, and this is {us}");
    let next = format!(
        "run it as {owner}: sudo -u {owner} hansardd …; if the daemon is to be {us}'s from now on, \
         stop it and chown -R {us} {dir}"
    );
    Err(Failure::new(STATUS_NOT_READY, what, next))
}

/// What in a data directory belongs to others than the directory: how many, and one of them.
pub(crate) fn strange(dir: &Path) -> Option<(usize, PathBuf)> {
    let owner = fs::metadata(dir).ok()?.uid();
    let (mut waiting, mut seen, mut found) = (vec![dir.to_owned()], 0, Vec::new());
    while let Some(at) = waiting.pop() {
        for entry in fs::read_dir(&at).into_iter().flatten().flatten() {
            seen += 1;
            if seen > ENTRIES_MAX {
                waiting.clear();
                break;
            }
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            if metadata.uid() != owner {
                found.push(entry.path());
            } else if metadata.is_dir() {
                waiting.push(entry.path());
            }
        }
    }
    found.sort();
    Some((found.len(), found.first()?.clone()))
}

/// Whose data directory it is, where root stands before one that is another account's.
pub(crate) fn another(dir: &Path) -> Option<(u32, u32)> {
    let metadata = fs::metadata(dir).ok()?;
    (us() == 0 && metadata.uid() != 0).then(|| (metadata.uid(), metadata.gid()))
}

/// This program with these arguments, as another account; answers its exit status.
pub(crate) fn again_as((uid, gid): (u32, u32), args: &[&std::ffi::OsStr]) -> Result<u8, Failure> {
    let about = |e: io::Error| {
        let what = format!("hansardd cannot be run as {}: {}", called(uid), plain(&e));
        let next = format!("sudo -u {} hansardd init", called(uid));
        Failure::new(STATUS_FAILED, what, next)
    };
    let program = std::env::current_exe().map_err(about)?;
    let done = Command::new(program).args(args).uid(uid).gid(gid).status();
    let code = done.map_err(about)?.code();
    Ok(code
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(STATUS_FAILED))
}
