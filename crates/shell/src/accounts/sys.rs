//! The system's user database, as the C library asks for it.
//!
//! Unsafe because it is C: what is found points into a buffer of ours, which is copied from before
//! anything else happens to it. The reentrant calls only, so any thread may ask.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, OsStr};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::ptr;

use super::Account;
use crate::limits::{ACCOUNT_BYTES_MAX, GROUPS_MAX};

/// What most entries have room in, in bytes; and how many groups most accounts are in.
const USUAL_BYTES: usize = 4096;
const USUAL_GROUPS: usize = 64;

pub(super) fn account_of(uid: u32) -> Option<Account> {
    // SAFETY: all pointers are valid for the call, the buffer for the length that is said.
    account(|entry, buffer, found| unsafe {
        libc::getpwuid_r(uid, entry, buffer.as_mut_ptr(), buffer.len(), found)
    })
}

pub(super) fn account_named(name: &str) -> Option<Account> {
    let name = CString::new(name).ok()?;
    // SAFETY: as above, and the name ends with a zero.
    account(|entry, buffer, found| unsafe {
        let name = name.as_ptr();
        libc::getpwnam_r(name, entry, buffer.as_mut_ptr(), buffer.len(), found)
    })
}

fn account(
    ask: impl Fn(*mut libc::passwd, &mut [libc::c_char], *mut *mut libc::passwd) -> i32,
) -> Option<Account> {
    entry(ask, |found: &libc::passwd| {
        Some(Account {
            name: text(found.pw_name).filter(|name| !name.is_empty())?,
            uid: found.pw_uid,
            gid: found.pw_gid,
            home: path(found.pw_dir),
            shell: path(found.pw_shell),
        })
    })
}

pub(super) fn group_of(gid: u32) -> Option<String> {
    // SAFETY: as above.
    let ask = |entry: *mut libc::group, buffer: &mut [libc::c_char], found: *mut _| unsafe {
        libc::getgrgid_r(gid, entry, buffer.as_mut_ptr(), buffer.len(), found)
    };
    entry(ask, |found| text(found.gr_name).filter(|n| !n.is_empty()))
}

/// Asks until the buffer is large enough, and takes what is wanted out of the answer. An entry
/// beyond the bound, and a service that fails, are as nothing found.
fn entry<E, T>(
    ask: impl Fn(*mut E, &mut [libc::c_char], *mut *mut E) -> i32,
    take: impl Fn(&E) -> Option<T>,
) -> Option<T> {
    let mut bytes = USUAL_BYTES;
    loop {
        let mut entry = MaybeUninit::<E>::uninit();
        let mut buffer: Vec<libc::c_char> = vec![0; bytes];
        let mut found = ptr::null_mut();
        match ask(entry.as_mut_ptr(), &mut buffer, &raw mut found) {
            0 => {
                // SAFETY: null, or `entry`, which has been filled in then and lives until the end of
                // this turn, as does the buffer that it points into.
                return take(unsafe { found.as_ref() }?);
            }
            libc::EINTR => {}
            libc::ERANGE if bytes < ACCOUNT_BYTES_MAX => bytes = bytes.saturating_mul(2),
            _ => return None,
        }
    }
}

pub(super) fn groups_of(name: &str, gid: u32) -> Vec<u32> {
    let Ok(name) = CString::new(name) else {
        return vec![gid];
    };
    let mut room = USUAL_GROUPS;
    loop {
        let mut groups = vec![gid; room];
        let Ok(mut count) = libc::c_int::try_from(room) else {
            return vec![gid];
        };
        // SAFETY: the name ends with a zero, and `count` says how many numbers there is room for.
        let done =
            unsafe { libc::getgrouplist(name.as_ptr(), gid, groups.as_mut_ptr(), &raw mut count) };
        if done >= 0 {
            groups.truncate(usize::try_from(count).unwrap_or(0));
            return groups;
        }
        if room >= GROUPS_MAX {
            return groups;
        }
        room = room.saturating_mul(4).min(GROUPS_MAX);
    }
}

fn text(of: *const libc::c_char) -> Option<String> {
    if of.is_null() {
        return None;
    }
    // SAFETY: not null, so it is a string that ends within the buffer.
    let text = unsafe { CStr::from_ptr(of) };
    text.to_str().ok().map(str::to_owned)
}

fn path(of: *const libc::c_char) -> PathBuf {
    if of.is_null() {
        return PathBuf::new();
    }
    // SAFETY: as above.
    let bytes = unsafe { CStr::from_ptr(of) }.to_bytes();
    PathBuf::from(OsStr::from_bytes(bytes))
}
