//! The system's journal: what root's own programs say of logins there, in the words that they chose.
//!
//! `journalctl` follows it; it knows every form that a journal can have. Taken are only entries whose
//! sender the journal itself knows to be root's (`_UID`, `_COMM`): what a user writes there, under
//! whatever name, is nothing of this.

use std::io::{PipeReader, Read as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use hansard_core::event::Body;

use super::{Deed, Heard, Source, Teller, access, hear, now_ns};

mod sudo;

/// What follows the journal.
const JOURNALCTL: &str = "/usr/bin/journalctl";

/// Where journals are: of this boot, and kept ones.
const JOURNALS: [&str; 2] = ["/run/log/journal", "/var/log/journal"];

/// Longest entry that is read, bytes. A longer one is none of these, and is skipped with an alarm.
const ENTRY_BYTES_MAX: usize = 256 * 1024;

/// What is asked for: root's programs, by their names.
const WANTED: [&str; 8] = [
    "_UID=0",
    "_COMM=sshd",
    "_COMM=sshd-session",
    "_COMM=sshd-auth",
    "_COMM=login",
    "_COMM=sudo",
    "_COMM=su",
    "_COMM=runuser",
];

/// `journalctl`, while it follows.
pub(super) struct Follower {
    child: Child,
    said: ChildStdout,
}

impl Follower {
    /// Starts it, from now on.
    ///
    /// # Errors
    /// Why there is nothing to be followed.
    pub(super) fn start() -> Result<Self, String> {
        if !JOURNALS.iter().any(|dir| Path::new(dir).is_dir()) {
            return Err("there is no journal".to_owned());
        }
        let mut command = Command::new(JOURNALCTL);
        command
            .args(["--quiet", "--follow", "--lines=0", "--output=export"])
            .arg("--output-fields=MESSAGE,_PID,_COMM,_UID,_AUDIT_SESSION,_AUDIT_LOGINUID")
            .args(WANTED)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command
            .spawn()
            .map_err(|e| format!("{JOURNALCTL} does not start ({e})"))?;
        let said = child.stdout.take();
        let said = said.ok_or_else(|| format!("{JOURNALCTL} says nothing"))?;
        Ok(Self { child, said })
    }

    /// Tells what is said there, until the other end of the pipe is gone.
    pub(super) fn listen(mut self, stopped: &PipeReader, teller: &mut Teller) {
        let mut entries = Entries::default();
        let mut lines = sudo::Lines::default();
        let mut chunk = [0; 8192];
        loop {
            let wait_ns = lines.are_waiting().then_some(sudo::WAIT_NS);
            match hear(&self.said, stopped, wait_ns) {
                Heard::Words => {}
                Heard::Nothing => {
                    tell_all(lines.due(now_ns()), teller);
                    continue;
                }
                Heard::End => return tell_all(lines.rest(), teller),
            }
            match self.said.read(&mut chunk) {
                Ok(length @ 1..) => entries.add(chunk.get(..length).unwrap_or_default()),
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                // It ended, which it does not by itself.
                _ => {
                    tell_all(lines.rest(), teller);
                    let why = "the journal is not followed any more: journalctl ended".to_owned();
                    teller.alarm(why);
                    return;
                }
            }
            while let Some(entry) = entries.next() {
                tell_all(lines.take(entry, now_ns()), teller);
            }
            if entries.is_too_long() {
                entries = Entries::default();
                teller.alarm("an entry of the journal was too long to be read".to_owned());
            }
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        // One that has ended already is waited for all the same.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Entries in the journal's export format, as they come in.
#[derive(Default)]
struct Entries(Vec<u8>);

/// Fields of one entry.
type Entry = Vec<(String, String)>;

impl Entries {
    fn add(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn is_too_long(&self) -> bool {
        self.0.len() > ENTRY_BYTES_MAX
    }

    /// The next one that is whole.
    fn next(&mut self) -> Option<Entry> {
        let (entry, length) = entry(&self.0)?;
        self.0.drain(..length);
        Some(entry)
    }
}

/// The first entry, and how long it is; `None` where it is not whole.
fn entry(bytes: &[u8]) -> Option<(Entry, usize)> {
    let mut fields = Entry::new();
    let mut rest = bytes;
    loop {
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let (line, after) = rest.split_at_checked(end)?;
        rest = after.get(1..)?;
        if line.is_empty() {
            return Some((fields, bytes.len().saturating_sub(rest.len())));
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match line.iter().position(|byte| *byte == b'=') {
            Some(at) => {
                let (name, value) = line.split_at_checked(at)?;
                fields.push((text(name), text(value.get(1..)?)));
            }
            // A value with a newline in it: its length before it, and a newline behind it.
            None => {
                let (length, after) = rest.split_first_chunk()?;
                let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
                let (value, after) = after.split_at_checked(length)?;
                fields.push((text(line), text(value)));
                rest = after.get(1..)?;
            }
        }
    }
}

/// What a field of an entry says; nothing where it has none.
fn field<'a>(entry: &'a Entry, name: &str) -> &'a str {
    let found = entry.iter().find(|(known, _)| known == name);
    found.map_or("", |(_, value)| value.as_str())
}

fn tell_all(lines: Vec<sudo::Line>, teller: &mut Teller) {
    let at_ns = now_ns();
    for body in lines.iter().filter_map(told) {
        teller.tell(body, at_ns);
    }
}

/// What an entry says, if it is about access.
fn told(line: &sudo::Line) -> Option<Body> {
    let field = |name: &'static str| field(&line.entry, name);
    if field("_UID") != "0" {
        return None;
    }
    let message = field("MESSAGE");
    let deed = Deed::of_program(field("_COMM"))?;
    let said = match deed {
        Deed::Login => secure_shell(message).or_else(|| console(message))?,
        Deed::Sudo => sudo::said(message, line.is_whole)?,
        Deed::Su => su(message)?,
    };
    let source = Source::Journal.to_string();
    let texts = [
        ("user", said.user),
        ("login", said.login),
        ("addr.remote", said.address),
        ("method", said.method),
        ("terminal", said.terminal),
        ("command", said.command),
        ("cwd", said.cwd),
        ("program", field("_COMM")),
        ("error", said.error),
        ("message", said.message),
        ("source", &source),
    ];
    let number = |name: &'static str| field(name).parse::<u64>().ok();
    let numbers = [
        ("pid", number("_PID")),
        ("audit_session_id", number("_AUDIT_SESSION")),
        ("login_uid", number("_AUDIT_LOGINUID")),
    ];
    let numbers = numbers
        .iter()
        .filter_map(|(name, number)| Some((*name, (*number)?)));
    let numbers: Vec<(&str, u64)> = numbers.collect();
    let success = said.is_known.then_some(said.error.is_empty());
    Some(access(deed, success, &texts, &numbers))
}

/// What a message says; empty: nothing.
struct Said<'a> {
    user: &'a str,
    login: &'a str,
    address: &'a str,
    method: &'a str,
    terminal: &'a str,
    command: &'a str,
    cwd: &'a str,
    error: &'a str,
    /// As it was written, where it could say several things.
    message: &'a str,
    /// Whether it says what came of it: then an error, or none.
    is_known: bool,
}

impl Default for Said<'_> {
    fn default() -> Self {
        Self {
            user: "",
            login: "",
            address: "",
            method: "",
            terminal: "",
            command: "",
            cwd: "",
            error: "",
            message: "",
            is_known: true,
        }
    }
}

/// `Accepted publickey for anna from 192.0.2.7 port 50000 ssh2`, `Failed password for invalid user x from …`,
/// `Connection closed by authenticating user x 192.0.2.7 port 1 [preauth]`. The name is whatever somebody
/// typed: the address is looked for from the end.
fn secure_shell(message: &str) -> Option<Said<'_>> {
    if let Some(rest) = message
        .strip_prefix("Connection closed by ")
        .or_else(|| message.strip_prefix("Disconnected from "))
    {
        let rest = rest
            .strip_prefix("authenticating user ")
            .or_else(|| rest.strip_prefix("invalid user "))?;
        let (before, _) = rest.rsplit_once(" port ")?;
        let (login, address) = before.rsplit_once(' ')?;
        return Some(Said {
            login,
            address,
            error: "left without having been let in",
            ..Said::default()
        });
    }
    let (is_accepted, rest) = match message.strip_prefix("Accepted ") {
        Some(rest) => (true, rest),
        None => (false, message.strip_prefix("Failed ")?),
    };
    let (method, rest) = rest.split_once(" for ")?;
    let (before, _) = rest.rsplit_once(" port ")?;
    let (login, address) = before.rsplit_once(" from ")?;
    Some(Said {
        login: login.strip_prefix("invalid user ").unwrap_or(login),
        address,
        method,
        error: if is_accepted { "" } else { "refused" },
        ..Said::default()
    })
}

/// `LOGIN ON tty1 BY anna`, `ROOT LOGIN ON tty1`, `FAILED LOGIN (1) on '/dev/tty1' FOR 'anna', Authentication
/// failure`.
fn console(message: &str) -> Option<Said<'_>> {
    if let Some(rest) = message.strip_prefix("FAILED LOGIN ") {
        let (_, rest) = rest.split_once(" on '")?;
        let (terminal, rest) = rest.split_once("' FOR '")?;
        let (login, error) = rest.rsplit_once("', ")?;
        return Some(Said {
            login,
            terminal,
            error,
            ..Said::default()
        });
    }
    let (login, terminal) = match message.strip_prefix("ROOT LOGIN ON ") {
        Some(terminal) => ("root", terminal),
        None => {
            let (terminal, login) = message.strip_prefix("LOGIN ON ")?.split_once(" BY ")?;
            (login, terminal)
        }
    };
    Some(Said {
        login: login.split(' ').next().unwrap_or(login),
        terminal: terminal.split(' ').next().unwrap_or(terminal),
        ..Said::default()
    })
}

/// `(to root) anna on pts/1`, `FAILED SU (to root) anna on pts/1`.
fn su(message: &str) -> Option<Said<'_>> {
    let (is_refused, rest) = match message.strip_prefix("FAILED SU ") {
        Some(rest) => (true, rest),
        None => (false, message),
    };
    let (login, rest) = rest.strip_prefix("(to ")?.split_once(") ")?;
    let (user, terminal) = rest.rsplit_once(" on ")?;
    Some(Said {
        user,
        login,
        terminal,
        error: if is_refused { "refused" } else { "" },
        ..Said::default()
    })
}

#[cfg(test)]
mod tests;
