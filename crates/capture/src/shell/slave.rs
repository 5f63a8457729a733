//! The terminal that a login's programs get: the user's, as any login's is.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::fs::{Gid, Mode, Uid, fchmod, fchown};

use super::process::group_number;

/// The group whose members may write to terminals (`write`, `wall`).
const GROUP: &str = "tty";

/// Makes it the user's: else they could not open it by its name.
pub(super) fn give(slave: BorrowedFd<'_>, uid: u32) -> io::Result<()> {
    let group = group_number(GROUP);
    fchown(slave, Some(Uid::from_raw(uid)), group.map(Gid::from_raw))?;
    let mode = if group.is_some() { 0o620 } else { 0o600 };
    fchmod(slave, Mode::from_raw_mode(mode))?;
    Ok(())
}
