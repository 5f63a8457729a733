//! What a client asks for, and what may come as an answer to it.

use super::attributes::Attributes;
use super::file::{Files, Open};
use super::packet::{Reading, Unreadable};
use super::{Action, Stop};

/// Numbers of packets (draft-ietf-secsh-filexfer-02, section 3).
pub(super) mod kind {
    pub(in super::super) const INIT: u8 = 1;
    pub(in super::super) const VERSION: u8 = 2;
    pub(in super::super) const OPEN: u8 = 3;
    pub(in super::super) const CLOSE: u8 = 4;
    pub(in super::super) const READ: u8 = 5;
    pub(in super::super) const WRITE: u8 = 6;
    pub(super) const LSTAT: u8 = 7;
    pub(super) const FSTAT: u8 = 8;
    pub(in super::super) const SETSTAT: u8 = 9;
    pub(in super::super) const FSETSTAT: u8 = 10;
    pub(in super::super) const OPENDIR: u8 = 11;
    pub(super) const READDIR: u8 = 12;
    pub(in super::super) const REMOVE: u8 = 13;
    pub(in super::super) const MKDIR: u8 = 14;
    pub(in super::super) const RMDIR: u8 = 15;
    pub(super) const REALPATH: u8 = 16;
    pub(in super::super) const STAT: u8 = 17;
    pub(in super::super) const RENAME: u8 = 18;
    pub(super) const READLINK: u8 = 19;
    pub(in super::super) const SYMLINK: u8 = 20;
    pub(in super::super) const STATUS: u8 = 101;
    pub(in super::super) const HANDLE: u8 = 102;
    pub(in super::super) const DATA: u8 = 103;
    pub(in super::super) const NAME: u8 = 104;
    pub(in super::super) const ATTRS: u8 = 105;
    pub(in super::super) const EXTENDED: u8 = 200;
    pub(in super::super) const EXTENDED_REPLY: u8 = 201;
}

/// A request whose answer is waited for.
#[derive(Debug)]
pub(super) enum Request {
    /// A file or directory is opened.
    Opens(Box<Open>),
    /// Something is done to one name, or with two.
    Does {
        action: Action,
        path: String,
        target: Option<String>,
        wanted: Attributes,
    },
    /// Bytes of a file; `None`: of none that is open, which no honest answer has bytes of.
    Reads {
        file: Option<u64>,
        offset: u64,
    },
    Writes {
        file: u64,
    },
    Closes {
        file: u64,
    },
    /// A request that is not the draft's: its name, and the paths of what it is done to where they are known.
    Extended {
        name: String,
        paths: Option<[String; 2]>,
    },
    /// Looking at names and attributes, and reading directories: no file passes. It has a number that no other
    /// request may have meanwhile.
    Looks,
}

impl Request {
    /// What a packet asks for. The bytes of a write are taken into its file's account at once: they are passed on.
    ///
    /// # Errors
    /// It cannot be read, no record could be made of what would come of it, or version 3 has no such request.
    pub(super) fn read(kind: u8, body: &mut Reading<'_>, files: &mut Files) -> Result<Self, Stop> {
        let one = |action, path| Self::Does {
            action,
            path,
            target: None,
            wanted: Attributes::default(),
        };
        let with = |action, path, wanted| Self::Does {
            action,
            path,
            target: None,
            wanted,
        };
        Ok(match kind {
            kind::OPEN => {
                let mut open = Open::file(body.path()?, body.uint32()?);
                open.wanted = Attributes::read(body)?;
                Self::Opens(open)
            }
            kind::OPENDIR => Self::Opens(Open::directory(body.path()?)),
            kind::CLOSE => Self::Closes {
                file: files.closing(body.string()?).ok_or_else(not_open)?,
            },
            // Some clients (paramiko's read-ahead) still ask for bytes of a file that they have closed, and are
            // told that it is not open.
            kind::READ => Self::Reads {
                file: files.used(body.string()?),
                offset: body.uint64()?,
            },
            kind::WRITE => {
                let file = files.used(body.string()?).ok_or_else(not_open)?;
                let (offset, bytes) = (body.uint64()?, body.string()?);
                if let Some(open) = files.get(file) {
                    open.written.take(offset, bytes);
                }
                Self::Writes { file }
            }
            kind::SETSTAT => {
                let path = body.path()?;
                let wanted = Attributes::read(body)?;
                files.change(&path, &wanted);
                with(Action::SetStat, path, wanted)
            }
            kind::FSETSTAT => {
                let open = files.behind(body.string()?).ok_or_else(not_open)?;
                let wanted = Attributes::read(body)?;
                let path = open.path.clone();
                files.change(&path, &wanted);
                with(Action::SetStat, path, wanted)
            }
            kind::REMOVE => one(Action::Remove, body.path()?),
            kind::MKDIR => with(Action::MakeDirectory, body.path()?, Attributes::read(body)?),
            kind::RMDIR => one(Action::RemoveDirectory, body.path()?),
            kind::RENAME => two(Action::Rename, body)?,
            // OpenSSH's order, which is not the draft's: what it points to first.
            kind::SYMLINK => two(Action::SymbolicLink, body)?,
            kind::EXTENDED => extended(body, files)?,
            kind::LSTAT
            | kind::FSTAT
            | kind::READDIR
            | kind::REALPATH
            | kind::STAT
            | kind::READLINK => Self::Looks,
            _ => return Err(Unreadable("a request that version 3 does not have").into()),
        })
    }

    /// Whether a server that keeps to the protocol may answer this so.
    pub(super) fn may_have(&self, answer: &Answer<'_>) -> bool {
        match answer {
            Answer::Status(_) => true,
            Answer::Handle(_) => matches!(self, Self::Opens(_)),
            Answer::Data(_) => matches!(self, Self::Reads { .. }),
            // Some of OpenSSH's own requests are answered by names (`expand-path@openssh.com`).
            Answer::Names => matches!(self, Self::Looks | Self::Extended { .. }),
            Answer::Extended => matches!(self, Self::Extended { .. }),
        }
    }
}

fn not_open() -> Stop {
    Stop(
        "over SFTP a file is used by a handle that the server has not given out, or that is closed"
            .to_owned(),
    )
}

fn two(action: Action, body: &mut Reading<'_>) -> Result<Request, Unreadable> {
    Ok(Request::Does {
        action,
        path: body.path()?,
        target: Some(body.path()?),
        wanted: Attributes::default(),
    })
}

/// OpenSSH's own requests (its PROTOCOL, section 4). Of one that is not known the name is kept.
fn extended(body: &mut Reading<'_>, files: &mut Files) -> Result<Request, Stop> {
    let name = body.path()?;
    Ok(match name.as_str() {
        "posix-rename@openssh.com" => two(Action::Rename, body)?,
        "hardlink@openssh.com" => two(Action::Link, body)?,
        "lsetstat@openssh.com" => Request::Does {
            action: Action::SetStat,
            path: body.path()?,
            target: None,
            wanted: Attributes::read(body)?,
        },
        "copy-data" => {
            let from = body.string()?;
            let (_offset, _len) = (body.uint64()?, body.uint64()?);
            let from = files.behind(from).ok_or_else(not_open)?.path.clone();
            let to = files.behind(body.string()?).ok_or_else(not_open)?;
            to.written.breaks();
            let paths = Some([from, to.path.clone()]);
            Request::Extended { name, paths }
        }
        // What comes behind it would be another protocol.
        "version-select" => return Err(Unreadable("another version than 3 is chosen").into()),
        _ => Request::Extended { name, paths: None },
    })
}

/// What a server answers.
#[derive(Debug)]
pub(super) enum Answer<'a> {
    /// Its error; `None`: it went well.
    Status(Option<String>),
    /// What an opened file is called from now on.
    Handle(&'a [u8]),
    /// Bytes of a file.
    Data(&'a [u8]),
    /// Names or attributes.
    Names,
    /// What belongs to a request that is not the draft's.
    Extended,
}

impl<'a> Answer<'a> {
    /// What a packet answers, behind its number.
    ///
    /// # Errors
    /// It cannot be read, or is no answer.
    pub(super) fn read(kind: u8, body: &mut Reading<'a>) -> Result<Self, Unreadable> {
        Ok(match kind {
            kind::STATUS => Self::Status(status(body.uint32()?)),
            kind::HANDLE => Self::Handle(body.string()?),
            kind::DATA => Self::Data(body.string()?),
            kind::NAME | kind::ATTRS => Self::Names,
            kind::EXTENDED_REPLY => Self::Extended,
            _ => return Err(Unreadable("an answer that version 3 does not have")),
        })
    }
}

/// The error of a status; `None`: it went well.
fn status(code: u32) -> Option<String> {
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
    if code == 0 {
        return None;
    }
    let name = usize::try_from(code).ok().and_then(|code| NAMES.get(code));
    Some(name.map_or_else(|| format!("status {code}"), ToString::to_string))
}
