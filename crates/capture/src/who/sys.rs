//! The list of who is logged in, as the C library reads and writes it.
//!
//! Unsafe because it is C: which file, and where in it, is one state of the whole process, so all of
//! it is done under one lock, and what is found is copied before the next call.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use super::Entry;

static LIST: Mutex<()> = Mutex::new(());

/// The list, opened at its beginning; closed when this is dropped.
struct Open(#[allow(dead_code)] MutexGuard<'static, ()>);

impl Open {
    /// `None` where there is none.
    fn new(list: &Path) -> Option<Self> {
        if !list.exists() {
            return None;
        }
        let name = CString::new(list.as_os_str().as_bytes()).ok()?;
        let lock = LIST.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the C library waits for the list's lock with an alarm, which must not end this
        // process when it comes late; nothing else here uses that signal.
        unsafe { libc::signal(libc::SIGALRM, libc::SIG_IGN) };
        // SAFETY: the name ends with a zero and is copied.
        let done = unsafe { libc::utmpxname(name.as_ptr()) };
        let open = Self(lock);
        open.rewind();
        (done == 0).then_some(open)
    }

    fn rewind(&self) {
        // SAFETY: changes the C library's state only, under our lock.
        unsafe { libc::setutxent() };
    }

    /// Who is logged in on a line.
    fn on(&self, line: &str) -> Option<libc::utmpx> {
        self.rewind();
        let mut wanted = blank();
        fill(&mut wanted.ut_line, line);
        // SAFETY: `wanted` is valid; what is found is valid until the next call, and copied by then.
        unsafe { libc::getutxline(&raw const wanted).as_ref().copied() }
    }

    /// Writes an entry over the one with the same id, or behind all others.
    fn put(&self, entry: &libc::utmpx) {
        self.rewind();
        // SAFETY: the entry is valid. One that could not be written is not in the list, and that is all.
        unsafe { libc::pututxline(entry) };
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { libc::endutxent() };
    }
}

/// Puts a terminal in.
pub(super) fn here(list: &Path, entry: &Entry) {
    let Some(open) = Open::new(list) else { return };
    // Where from stands in the outer terminal's entry alone.
    let outer = entry.outer.as_deref().and_then(|line| open.on(line));
    open.put(&of(outer.unwrap_or_else(blank), entry));
}

/// Makes an entry of a login.
fn of(mut new: libc::utmpx, entry: &Entry) -> libc::utmpx {
    new.ut_type = libc::USER_PROCESS;
    new.ut_pid = entry.pid;
    fill(&mut new.ut_line, &entry.line);
    fill(&mut new.ut_id, id(&entry.line));
    fill(&mut new.ut_user, &entry.user);
    if let Some(from) = entry.from {
        fill(&mut new.ut_host, &from.to_string());
        new.ut_addr_v6 = words_of(from);
    }
    stamp(&mut new);
    new
}

/// An address as the list has it: four words in the order of the network, of IPv4 the first alone.
fn words_of(from: IpAddr) -> [i32; 4] {
    let mut bytes = [0; 16];
    match from {
        IpAddr::V4(from) => bytes[..4].copy_from_slice(&from.octets()),
        IpAddr::V6(from) => bytes = from.octets(),
    }
    let mut words = [0; 4];
    for (word, four) in words.iter_mut().zip(bytes.chunks_exact(4)) {
        *word = four.try_into().map_or(0, i32::from_ne_bytes);
    }
    words
}

unsafe extern "C" {
    /// Appends to the list of all logins, under its lock (updwtmp(3)).
    fn updwtmpx(file: *const libc::c_char, entry: *const libc::utmpx);
}

/// Appends that a login began or ended.
pub(super) fn ever(wtmp: &Path, entry: &Entry, is_here: bool) {
    let mut new = of(blank(), entry);
    if !is_here {
        new.ut_type = libc::DEAD_PROCESS;
        fill(&mut new.ut_user, "");
        fill(&mut new.ut_host, "");
    }
    let Ok(name) = CString::new(wtmp.as_os_str().as_bytes()) else {
        return;
    };
    let _lock = LIST.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: the name ends with a zero, and the entry is valid. A file that is not there is not made.
    unsafe { updwtmpx(name.as_ptr(), &raw const new) };
}

/// A moment in words, by this machine's clock: `Mon Nov  2 15:04:05 2026`.
pub(super) fn in_words(utc_s: i64) -> String {
    // SAFETY: numbers, and a pointer, of which all zero is valid.
    let mut parts: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both are valid for the call.
    if unsafe { libc::localtime_r(&raw const utc_s, &raw mut parts) }.is_null() {
        return String::new();
    }
    let mut text = [0_u8; 64];
    // SAFETY: writes at most as many bytes as there are, and says how many.
    let len = unsafe {
        libc::strftime(
            text.as_mut_ptr().cast(),
            text.len(),
            c"%a %b %e %H:%M:%S %Y".as_ptr(),
            &raw const parts,
        )
    };
    String::from_utf8_lossy(text.get(..len).unwrap_or_default()).into_owned()
}

/// Says of a terminal that nobody is logged in there, if it still is this process that is.
pub(super) fn gone(list: &Path, line: &str, pid: i32) {
    let Some(open) = Open::new(list) else { return };
    let Some(mut entry) = open.on(line).filter(|entry| entry.ut_pid == pid) else {
        return;
    };
    entry.ut_type = libc::DEAD_PROCESS;
    fill(&mut entry.ut_user, "");
    fill(&mut entry.ut_host, "");
    stamp(&mut entry);
    open.put(&entry);
}

/// As `sshd` and `login` make them: a terminal has one entry, whoever wrote it.
fn id(line: &str) -> &str {
    let from = line.len().saturating_sub(4);
    line.get(from..).unwrap_or(line)
}

fn blank() -> libc::utmpx {
    // SAFETY: numbers only, of which all are valid.
    unsafe { std::mem::zeroed() }
}

fn stamp(entry: &mut libc::utmpx) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or_default();
    entry.ut_tv.tv_sec = now.as_secs().try_into().unwrap_or(0);
    entry.ut_tv.tv_usec = now.subsec_micros().try_into().unwrap_or(0);
}

/// What is too long is cut; what is exactly as long has no zero behind it (utmp(5)).
fn fill(to: &mut [libc::c_char], text: &str) {
    to.fill(0);
    for (to, from) in to.iter_mut().zip(text.bytes()) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_in_the_list_until_its_process_is_gone() {
        let list = std::env::temp_dir().join(format!("hansard-utmp-{}", std::process::id()));
        std::fs::write(&list, "").unwrap();
        let size = size_of::<libc::utmpx>() as u64;
        let entries = || std::fs::metadata(&list).unwrap().len() / size;
        let entry = |line: &str, pid, outer: Option<&str>| Entry {
            line: line.to_owned(),
            user: "anna".to_owned(),
            pid,
            outer: outer.map(str::to_owned),
            from: None,
        };
        let on = |line: &str| Open::new(&list).unwrap().on(line);
        here(&list, &entry("pts/7", 41, None));
        here(&list, &entry("pts/8", 42, Some("pts/7")));
        assert_eq!(entries(), 2);
        assert_eq!(on("pts/8").unwrap().ut_pid, 42);
        gone(&list, "pts/8", 43);
        assert!(on("pts/8").is_some(), "of another process");
        gone(&list, "pts/8", 42);
        assert!(on("pts/8").is_none() && on("pts/7").is_some());
        here(&list, &entry("pts/8", 44, None));
        assert_eq!((entries(), on("pts/8").unwrap().ut_pid), (2, 44));
        let mut far = entry("pts/9", 46, None);
        far.from = Some("192.0.2.7".parse().unwrap());
        here(&list, &far);
        let found = on("pts/9").unwrap();
        assert_eq!(found.ut_addr_v6[0].to_ne_bytes(), [192, 0, 2, 7]);
        assert_eq!(
            &found.ut_host[..9],
            b"192.0.2.7".map(|byte| byte.cast_signed())
        );
        ever(&list, &far, true);
        ever(&list, &far, false);
        assert_eq!(entries(), 5);
        std::fs::remove_file(&list).unwrap();
        // Not made where there is none.
        here(&list, &entry("pts/9", 45, None));
        assert!(!list.exists());
    }
}
