//! A program that was started by a process of its session, as the daemon has it.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rustix::process::Pid;

use super::forks::Forked;
use super::wire::{Session, Word, read, write};
use super::{Keeper, answered, line, unusable};
use crate::accounts::Account;
use crate::error::ShellError;
use crate::exit::{Ending, Exit, signal_name};

/// What is to run.
pub(crate) struct Wants<'a> {
    pub(crate) account: &'a Account,
    pub(crate) home: &'a Path,
    pub(crate) terminal: Option<&'a str>,
    pub(crate) arg0: &'a OsString,
    pub(crate) argv: &'a [OsString],
    pub(crate) env: Vec<(OsString, OsString)>,
}

/// The process of a session. It lets its program stay a zombie until this is dropped, and only then closes the
/// session: till then the program's number is its own.
#[derive(Debug)]
pub(crate) struct Kept {
    line: Mutex<UnixStream>,
    /// The line once more, for waiting.
    bell: UnixStream,
    ended: Mutex<Option<Exit>>,
}

/// A started program.
pub(crate) struct Started<T> {
    pub(crate) kept: Kept,
    pub(crate) pid: Pid,
    /// What `before` answered.
    pub(crate) answer: Option<T>,
    /// What modules have to say to the user.
    pub(crate) shown: String,
}

/// Opens a session and starts the program in it, on these standard descriptors.
/// What `before` is called with is the program's number; nothing of it runs until that returns.
///
/// # Errors
/// Nothing runs then, and the session is closed if it was open.
pub(crate) fn start<T>(
    keeper: &Keeper,
    given: [OwnedFd; 3],
    wants: Wants<'_>,
    before: Option<impl FnOnce(i32) -> T>,
) -> Result<Started<T>, ShellError> {
    let program = wants
        .argv
        .first()
        .map(|word| word.to_string_lossy().into_owned());
    let program = program.ok_or(ShellError::NoProgram)?;
    let session = Session {
        service: keeper.service.clone(),
        user: wants.account.name.clone(),
        remote: keeper.remote.clone(),
        terminal: wants.terminal.unwrap_or_default().to_owned(),
        uid: wants.account.uid,
        gid: wants.account.gid,
        home: wants.home.to_path_buf(),
        arg0: wants.arg0.clone(),
        argv: wants.argv.to_vec(),
        env: wants.env,
    };
    let (line, theirs) = line().map_err(unusable)?;
    let process = keeper.forks.fork(theirs, given).map_err(unusable)?;
    let mut starting = Starting { process, line };
    // Where it fails, the process hears that the line ends, closes what it opened, and ends.
    let (pid, answer, shown) =
        starting.begin(&program, &Word::Session(Box::new(session)), before)?;
    Ok(Started {
        kept: starting.kept().map_err(unusable)?,
        pid,
        answer,
        shown,
    })
}

/// One of which it is not known yet whether it runs.
struct Starting {
    process: Forked,
    line: UnixStream,
}

impl Starting {
    fn begin<T>(
        &mut self,
        program: &str,
        session: &Word,
        before: Option<impl FnOnce(i32) -> T>,
    ) -> Result<(Pid, Option<T>, String), ShellError> {
        let mut shown = String::new();
        write(&mut self.line, session).map_err(unusable)?;
        let pid = self.expects(program, &mut shown)?;
        let pid = pid.ok_or_else(|| unusable(io::ErrorKind::InvalidData.into()))?;
        let answer = before.map(|before| before(pid.as_raw_nonzero().get()));
        write(&mut self.line, &Word::Go).map_err(unusable)?;
        self.expects(program, &mut shown)?;
        Ok((pid, answer, shown))
    }

    /// Waits until it says that the program is there, with its number, or runs.
    fn expects(&mut self, program: &str, shown: &mut String) -> Result<Option<Pid>, ShellError> {
        match answered(&mut self.line, shown) {
            Ok(Word::Comes(pid)) => Ok(Pid::from_raw(pid)),
            Ok(Word::Runs) => Ok(None),
            Ok(Word::Refused(why)) => Err(ShellError::Refused(why)),
            Ok(Word::NotStarted(why)) => Err(ShellError::NotStarted {
                program: program.to_owned(),
                source: io::Error::other(why),
            }),
            Ok(_) => Err(unusable(io::ErrorKind::InvalidData.into())),
            Err(e) => {
                // It hangs in a module.
                self.process.kill();
                Err(unusable(e))
            }
        }
    }

    fn kept(self) -> io::Result<Kept> {
        self.line.set_nonblocking(true)?;
        let bell = self.line.try_clone()?;
        Ok(Kept {
            line: Mutex::new(self.line),
            bell,
            ended: Mutex::new(None),
        })
    }
}

impl Kept {
    /// Becomes readable when the program has ended.
    pub(crate) fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    /// How the program ended, if it has. Of one whose process is gone with it, that cannot be known.
    pub(crate) fn ended(&self) -> Option<Exit> {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if ended.is_none() {
            let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
            // A word is sent with one call: what has begun to come is there as a whole.
            *ended = match read(&mut *line) {
                Ok(Word::Ended { status, signal }) => Some(exit(status, signal)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => None,
                _ => Some(exit(u8::MAX, 0)),
            };
        }
        ended.clone()
    }
}

impl Drop for Kept {
    /// Lets it close the session, which it ends with.
    fn drop(&mut self) {
        let line = self.line.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = write(line, &Word::Over);
    }
}

fn exit(status: u8, signal: u8) -> Exit {
    Exit {
        status: if signal == 0 { status } else { 128 | signal },
        signal: (signal != 0).then(|| signal_name(signal)),
        ending: Ending::Program,
        left_behind: false,
        fault: None,
    }
}
