//! `authorized_keys` (sshd(8)), read strictly: a file that others can write to counts as none, and a
//! line with an option that is not known lets nobody in.

use std::fs::File;
use std::io::Read as _;
use std::net::IpAddr;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use russh::keys::PublicKey;
use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::io::Errno;

use super::{List, may_come};

/// Longest file that is read, bytes; a longer one counts as none.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// What a line allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ssh) struct Authorized {
    pub(in crate::ssh) command: Option<String>,
    pub(in crate::ssh) terminal: bool,
    pub(in crate::ssh) forwarding: bool,
    pub(in crate::ssh) agent: bool,
    pub(in crate::ssh) x11: bool,
}

impl Authorized {
    /// The line of this key in an account's file; an error is why there is none that counts.
    pub(in crate::ssh) fn find(
        path: &Path,
        key: &PublicKey,
        from: IpAddr,
        owner: u32,
    ) -> Result<Self, String> {
        let text = read(path, owner)?;
        let mut why = "the key is not among the account's authorized keys".to_owned();
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            // A line that cannot be read is one of another program's, or nobody's.
            let Some((options, authorized)) = parts(line) else {
                continue;
            };
            if authorized.key_data() != key.key_data() {
                continue;
            }
            match Self::of(&options, from) {
                Ok(authorized) => return Ok(authorized),
                Err(refused) => why = refused,
            }
        }
        Err(why)
    }

    fn of(options: &[&str], from: IpAddr) -> Result<Self, String> {
        let mut allowed = Self {
            command: None,
            terminal: true,
            forwarding: true,
            agent: true,
            x11: true,
        };
        for option in options {
            let (name, value) = option.split_once('=').unwrap_or((*option, ""));
            let value = value.strip_prefix('"').unwrap_or(value);
            let value = value.strip_suffix('"').unwrap_or(value);
            match name.to_ascii_lowercase().as_str() {
                "restrict" => {
                    (allowed.terminal, allowed.forwarding, allowed.agent) = (false, false, false);
                    allowed.x11 = false;
                }
                "pty" => allowed.terminal = true,
                "port-forwarding" => allowed.forwarding = true,
                "no-pty" => allowed.terminal = false,
                "agent-forwarding" => allowed.agent = true,
                "no-agent-forwarding" => allowed.agent = false,
                "x11-forwarding" => allowed.x11 = true,
                "no-x11-forwarding" => allowed.x11 = false,
                "no-port-forwarding" => allowed.forwarding = false,
                "command" => allowed.command = Some(value.replace("\\\"", "\"")),
                "from" => may_come(List::From, value, from)?,
                // What it would allow is done for nobody.
                "no-user-rc" => {}
                other => return Err(format!("the key's option {other:?} is not known here")),
            }
        }
        Ok(allowed)
    }
}

/// A line's options and its key; `None` if it is none.
fn parts(line: &str) -> Option<(Vec<&str>, PublicKey)> {
    if let Ok(key) = PublicKey::from_openssh(line) {
        return Some((Vec::new(), key));
    }
    let mut options = Vec::new();
    let mut rest = line;
    loop {
        let end = end_of_option(rest)?;
        let (option, behind) = rest.split_at_checked(end)?;
        options.push(option);
        rest = behind.get(1..)?;
        if !behind.starts_with(',') {
            break;
        }
    }
    PublicKey::from_openssh(rest.trim_start())
        .ok()
        .map(|key| (options, key))
}

/// Where an option ends: at a comma, a space or a tab that is in no quotes. A quote with a backslash
/// before it ends none.
fn end_of_option(text: &str) -> Option<usize> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' if !is_escaped => is_quoted = !is_quoted,
            b',' | b' ' | b'\t' if !is_quoted => return Some(at),
            _ => {}
        }
        is_escaped = byte == b'\\' && !is_escaped;
    }
    None
}

/// Opens a file of an account's choice for reading, if it is a regular one. What else there may be is not even
/// opened: a FIFO would wait for somebody who writes, and opening a device may do something.
fn opened(path: &Path) -> Result<File, Errno> {
    let named = open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    if FileType::from_raw_mode(fstat(&named)?.st_mode) != FileType::RegularFile {
        return Err(Errno::INVAL);
    }
    // The very one that was looked at, whatever stands at its path by now.
    let same = format!("/proc/self/fd/{}", named.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    open(same, flags, Mode::empty()).map(File::from)
}

/// The file, if it and its directory are the account's or root's and nobody else can write to them.
fn read(path: &Path, owner: u32) -> Result<String, String> {
    let missing = || "the account has no authorized keys that can be read".to_owned();
    let mut file = opened(path).map_err(|e| match e {
        Errno::INVAL => {
            "the account's authorized keys are no regular file, so they count as none".into()
        }
        _ => missing(),
    })?;
    let about = [
        file.metadata().ok(),
        path.parent().and_then(|dir| dir.metadata().ok()),
    ];
    for about in about {
        let about = about.ok_or_else(missing)?;
        let is_own = about.uid() == owner || about.uid() == 0;
        if !is_own || about.mode() & 0o022 != 0 {
            return Err(
                "others can write to the account's authorized keys, so they count as none".into(),
            );
        }
    }
    let mut text = String::new();
    let read = file
        .by_ref()
        .take(FILE_BYTES_MAX + 1)
        .read_to_string(&mut text);
    match read {
        Ok(_) if text.len() as u64 <= FILE_BYTES_MAX => Ok(text),
        _ => Err(missing()),
    }
}
