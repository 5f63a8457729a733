//! SFTP as it passes: an event for every file that was opened, with how much of it went which way and
//! its digest, and for everything that was changed, whether it was done or not.
//!
//! The program that serves it is OpenSSH's, run as the account; this only reads along. So what an event
//! says is what that program answered. A stream that cannot be read ends the session: what it would do
//! could not be recorded.

use std::collections::HashMap;

use hansard_core::event::Fact;
use hansard_core::{Body, Fields};

use super::limits::{SFTP_HANDLES_MAX, SFTP_PENDING_MAX};

mod file;
mod packet;

use file::Open;
use packet::{Packets, Reading, Unreadable};

/// Numbers of packets.
mod kind {
    pub(super) const OPEN: u8 = 3;
    pub(super) const CLOSE: u8 = 4;
    pub(super) const READ: u8 = 5;
    pub(super) const WRITE: u8 = 6;
    pub(super) const SETSTAT: u8 = 9;
    pub(super) const FSETSTAT: u8 = 10;
    pub(super) const OPENDIR: u8 = 11;
    pub(super) const REMOVE: u8 = 13;
    pub(super) const MKDIR: u8 = 14;
    pub(super) const RMDIR: u8 = 15;
    pub(super) const RENAME: u8 = 18;
    pub(super) const SYMLINK: u8 = 20;
    pub(super) const STATUS: u8 = 101;
    pub(super) const HANDLE: u8 = 102;
    pub(super) const DATA: u8 = 103;
    pub(super) const EXTENDED: u8 = 200;
}

/// What was done, as Teleport numbers it in `action`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Open = 1,
    SetStat = 7,
    OpenDirectory = 9,
    Remove = 11,
    MakeDirectory = 12,
    RemoveDirectory = 13,
    Rename = 16,
    SymbolicLink = 18,
    Link = 19,
}

/// A request whose answer is waited for.
#[derive(Debug)]
enum Request {
    /// A file or directory is opened.
    Opens {
        path: String,
        flags: u32,
        is_directory: bool,
    },
    /// Something is done to one name, or with two.
    Does {
        action: Action,
        path: String,
        target: Option<String>,
    },
    Reads {
        handle: Vec<u8>,
        offset: u64,
    },
    Writes {
        handle: Vec<u8>,
    },
    Closes {
        handle: Vec<u8>,
    },
    /// Something that this version does not know, or that is no concern of a record: its name.
    Extended(String),
}

/// Why nothing more is passed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stop(pub(super) String);

impl From<Unreadable> for Stop {
    fn from(why: Unreadable) -> Self {
        Self(format!("its SFTP cannot be read: {}", why.0))
    }
}

/// Reads along.
#[derive(Debug, Default)]
pub(super) struct Sftp {
    up: Packets,
    down: Packets,
    state: State,
}

#[derive(Debug, Default)]
struct State {
    pending: HashMap<u32, Request>,
    open: HashMap<Vec<u8>, Open>,
    said: Vec<Body>,
    is_begun: bool,
    totals: Totals,
}

#[derive(Debug, Default)]
struct Totals {
    files: u64,
    received: u64,
    sent: u64,
}

impl Sftp {
    /// What the client sends. Answers what there is to record, before it is passed on.
    pub(super) fn up(&mut self, bytes: &[u8]) -> Result<Vec<Body>, Stop> {
        let state = &mut self.state;
        self.up.feed(bytes, |kind, body| state.asked(kind, body))?;
        Ok(std::mem::take(&mut state.said))
    }

    /// What the server answers; likewise.
    pub(super) fn down(&mut self, bytes: &[u8]) -> Result<Vec<Body>, Stop> {
        let state = &mut self.state;
        self.down
            .feed(bytes, |kind, body| state.answered(kind, body))?;
        Ok(std::mem::take(&mut state.said))
    }

    /// What is left to say at the end: files that nobody closed, and the sum.
    pub(super) fn over(&mut self) -> Vec<Body> {
        let state = &mut self.state;
        for (_, mut open) in std::mem::take(&mut state.open) {
            open.error
                .get_or_insert_with(|| "it was not closed".to_owned());
            state.closed(open);
        }
        let totals = &state.totals;
        let fields = Fields::new()
            .with("files", totals.files)
            .with("rx", totals.received)
            .with("tx", totals.sent);
        state.said.push(transfer("sftp_summary", fields));
        std::mem::take(&mut state.said)
    }
}

impl State {
    fn asked(&mut self, kind: u8, body: &[u8]) -> Result<(), Stop> {
        if !std::mem::replace(&mut self.is_begun, true) {
            // The version, which has no number.
            return Ok(());
        }
        let mut body = Reading(body);
        let id = body.uint32()?;
        let Some(request) = self.read(kind, &mut body)? else {
            return Ok(());
        };
        if self.pending.len() >= SFTP_PENDING_MAX {
            return Err(Stop(format!(
                "{SFTP_PENDING_MAX} requests of SFTP wait for an answer, no more may"
            )));
        }
        if self.pending.insert(id, request).is_some() {
            return Err(Unreadable("two requests have one number").into());
        }
        Ok(())
    }

    fn read(&mut self, kind: u8, body: &mut Reading<'_>) -> Result<Option<Request>, Unreadable> {
        let one = |action, path| Request::Does {
            action,
            path,
            target: None,
        };
        Ok(Some(match kind {
            kind::OPEN => Request::Opens {
                path: body.path()?,
                flags: body.uint32()?,
                is_directory: false,
            },
            kind::OPENDIR => Request::Opens {
                path: body.path()?,
                flags: 0,
                is_directory: true,
            },
            kind::CLOSE => Request::Closes {
                handle: body.string()?.to_vec(),
            },
            kind::READ => Request::Reads {
                handle: body.string()?.to_vec(),
                offset: body.uint64()?,
            },
            kind::WRITE => {
                let (handle, offset) = (body.string()?.to_vec(), body.uint64()?);
                let data = body.string()?;
                if let Some(open) = self.open.get_mut(&handle) {
                    open.written.take(offset, data);
                }
                Request::Writes { handle }
            }
            kind::SETSTAT => one(Action::SetStat, body.path()?),
            kind::FSETSTAT => {
                let open = self.open.get(body.string()?);
                one(
                    Action::SetStat,
                    open.map(|open| open.path.clone()).unwrap_or_default(),
                )
            }
            kind::REMOVE => one(Action::Remove, body.path()?),
            kind::MKDIR => one(Action::MakeDirectory, body.path()?),
            kind::RMDIR => one(Action::RemoveDirectory, body.path()?),
            kind::RENAME => two(Action::Rename, body)?,
            // OpenSSH's order, which is not the draft's: what it points to first.
            kind::SYMLINK => two(Action::SymbolicLink, body)?,
            kind::EXTENDED => extended(body)?,
            // Looking at names and attributes, and reading directories: no file passes.
            _ => return Ok(None),
        }))
    }

    fn answered(&mut self, kind: u8, body: &[u8]) -> Result<(), Stop> {
        let mut body = Reading(body);
        let id = body.uint32()?;
        let Some(request) = self.pending.remove(&id) else {
            return Ok(());
        };
        let error = match kind {
            kind::STATUS => status(&mut body)?,
            _ => None,
        };
        match request {
            Request::Opens {
                path,
                flags,
                is_directory,
            } => {
                let open = Open {
                    path,
                    flags,
                    is_directory,
                    ..Open::default()
                };
                if kind == kind::HANDLE {
                    let handle = body.string()?.to_vec();
                    if self.open.len() >= SFTP_HANDLES_MAX {
                        return Err(Stop(format!("{SFTP_HANDLES_MAX} files are open over SFTP")));
                    }
                    self.open.insert(handle, open);
                } else {
                    let error = Some(error.unwrap_or_else(|| "not opened".to_owned()));
                    self.closed(Open { error, ..open });
                }
            }
            Request::Does {
                action,
                path,
                target,
            } => self.did(action, path, target, error),
            Request::Reads { handle, offset } if kind == kind::DATA => {
                let data = body.string()?;
                if let Some(open) = self.open.get_mut(&handle) {
                    open.read.take(offset, data);
                }
            }
            // The end of a file is an error to SFTP, and none to anybody else.
            Request::Reads { .. } => {}
            Request::Writes { handle } => {
                if let (Some(open), Some(error)) = (self.open.get_mut(&handle), error) {
                    open.error.get_or_insert(error);
                }
            }
            Request::Closes { handle } => {
                if let Some(mut open) = self.open.remove(&handle) {
                    open.error = open.error.or(error);
                    self.closed(open);
                }
            }
            Request::Extended(name) => {
                let fields = Fields::new().with("message", name);
                self.said.push(transfer(
                    "sftp",
                    super::fact::outcome(fields, error.as_deref()),
                ));
            }
        }
        Ok(())
    }

    fn closed(&mut self, open: Open) {
        let action = match open.is_directory {
            true => Action::OpenDirectory,
            false => Action::Open,
        };
        let mut fields = Fields::new()
            .with("action", (action as u8).to_string())
            .with("path", open.path)
            .with("flags", u64::from(open.flags));
        let (read, written) = (open.read, open.written);
        self.totals.received = self.totals.received.saturating_add(written.bytes);
        self.totals.sent = self.totals.sent.saturating_add(read.bytes);
        if !open.is_directory {
            self.totals.files = self.totals.files.saturating_add(1);
            fields.push("rx", written.bytes);
            fields.push("tx", read.bytes);
            let digest = match written.bytes {
                0 => read.sha256(),
                _ => written.sha256(),
            };
            if let Some(digest) = digest {
                fields.push("sha256", digest);
            }
        }
        let fields = super::fact::outcome(fields, open.error.as_deref());
        self.said.push(transfer("sftp", fields));
    }

    fn did(&mut self, action: Action, path: String, target: Option<String>, error: Option<String>) {
        let mut fields = Fields::new()
            .with("action", (action as u8).to_string())
            .with("path", path);
        if let Some(target) = target {
            fields.push("target_path", target);
        }
        let fields = super::fact::outcome(fields, error.as_deref());
        self.said.push(transfer("sftp", fields));
    }
}

fn two(action: Action, body: &mut Reading<'_>) -> Result<Request, Unreadable> {
    Ok(Request::Does {
        action,
        path: body.path()?,
        target: Some(body.path()?),
    })
}

/// OpenSSH's own requests (its PROTOCOL, section 4). Of one that is not known the name is kept.
fn extended(body: &mut Reading<'_>) -> Result<Request, Unreadable> {
    let name = body.path()?;
    match name.as_str() {
        "posix-rename@openssh.com" => two(Action::Rename, body),
        "hardlink@openssh.com" => two(Action::Link, body),
        "lsetstat@openssh.com" => Ok(Request::Does {
            action: Action::SetStat,
            path: body.path()?,
            target: None,
        }),
        _ => Ok(Request::Extended(name)),
    }
}

/// The error of a status; `None`: it went well.
fn status(body: &mut Reading<'_>) -> Result<Option<String>, Unreadable> {
    const NAMES: [&str; 9] = [
        "",
        "end of file",
        "no such file",
        "permission denied",
        "failure",
        "bad message",
        "no connection",
        "connection lost",
        "not supported",
    ];
    let code = body.uint32()?;
    if code == 0 {
        return Ok(None);
    }
    let name = usize::try_from(code).ok().and_then(|code| NAMES.get(code));
    Ok(Some(name.map_or_else(
        || format!("status {code}"),
        ToString::to_string,
    )))
}

fn transfer(event: &str, fields: Fields) -> Body {
    Body::Transfer(Fact {
        event: event.to_owned(),
        fields,
    })
}

#[cfg(test)]
#[path = "sftp/tests.rs"]
mod tests;
