//! What somebody who logs in at a terminal is shown before anything runs, and the machine's lists of who is and
//! was logged in, as sshd(8) has both.

use std::io::{self, Read as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use hansard_shell::Account;

use super::handler::now_s;
use crate::registry::cut;
use crate::who::{Entry, Listed, Who, last};

/// Most of the message of the day that is shown, bytes; the rest is cut.
const MOTD_BYTES_MAX: u64 = 64 * 1024;

/// The file in a home that says that its owner wants to be shown nothing.
const HUSH: &str = ".hushlogin";

/// Lists of logins. One that is not there is not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lists {
    /// Who is logged in: `/run/utmp`.
    pub utmp: PathBuf,
    /// Who was, all of them: `/var/log/wtmp`.
    pub wtmp: PathBuf,
    /// When each account was the last time: `/var/log/lastlog`.
    pub lastlog: PathBuf,
    /// A directory of the node's own, where it is noted what stands in the first by its doing.
    pub notes: PathBuf,
}

impl Lists {
    /// Ready to be written to.
    ///
    /// # Errors
    /// When there is no place for notes.
    pub(super) fn open(&self) -> io::Result<Who> {
        Who::open(&self.utmp, Some(&self.wtmp), &self.notes)
    }
}

/// A login at a terminal.
pub(super) struct Login<'a> {
    pub(super) account: &'a Account,
    pub(super) from: IpAddr,
    /// The terminal's path.
    pub(super) terminal: &'a Path,
    pub(super) pid: i32,
    /// Whether a command runs on it in the shell's stead.
    pub(super) is_command: bool,
}

/// Puts a login into the lists. Answers what it stands in until it is dropped, and what is shown: what modules
/// say, when the account was logged in to the last time, and the message of the day, if that is not theirs.
pub(super) fn begin(
    login: &Login<'_>,
    (who, lists): (Option<&Who>, Option<&Lists>),
    (modules, motd): (&str, Option<&Path>),
) -> (Option<Listed>, String) {
    let line = login.terminal.strip_prefix("/dev").ok();
    let line = line.and_then(Path::to_str).unwrap_or_default();
    let listed = who.map(|who| {
        who.list(Entry {
            line: line.to_owned(),
            user: login.account.name.clone(),
            pid: login.pid,
            outer: None,
            from: Some(login.from),
        })
    });
    let lastlog = lists.map(|lists| lists.lastlog.as_path());
    let at = (line, login.from);
    let last = lastlog.and_then(|file| last::login(file, login.account.uid, now_s(), at));
    if login.is_command || login.account.home.join(HUSH).exists() {
        return (listed, String::new());
    }
    let mut shown = modules.to_owned();
    for text in [last, motd.map(read)].into_iter().flatten() {
        if !shown.is_empty() && !shown.ends_with('\n') {
            shown.push('\n');
        }
        shown.push_str(&text);
    }
    (listed, shown)
}

/// A message of the day; one that cannot be read is none.
fn read(motd: &Path) -> String {
    let Ok(file) = std::fs::File::open(motd) else {
        return String::new();
    };
    let mut bytes = Vec::new();
    let _ = file.take(MOTD_BYTES_MAX).read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    cut(&text, usize::try_from(MOTD_BYTES_MAX).unwrap_or(usize::MAX))
}

/// As a terminal shows it, from the beginning of a line to the beginning of another.
pub(super) fn at_a_terminal(shown: &str) -> Vec<u8> {
    let lines = shown.lines().map(|line| format!("{line}\r\n"));
    lines.collect::<String>().into_bytes()
}
