//! What the system's authentication modules (PAM) have to say of an account and a session: asked in a process
//! of its own, which then starts the program and stays until the session is over.
//!
//! Modules change whatever process calls them: its limits, groups, keys, its audit id, its place among control
//! groups. All that is meant for the session, so its program is started from there, and none of it is for a
//! daemon with other people's sessions in it. A crash of a module ends one session.
//!
//! Where somebody who is not in yet is asked something, the process is started anew for it. All others are forked from
//! one that was started for that: what is the same in all of them is in memory once.
//!
//! - this: the daemon's half; `kept`: the same of one that runs; `asked`: of somebody who signs in; `forks`: where
//!   processes come from; `keeper`: the process; `wire`: what both say
//! - `sys`: libpam, which is looked for when it is needed and not when this is built

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use crate::accounts::Account;
use crate::error::ShellError;

mod asked;
mod forks;
mod keeper;
mod kept;
mod sys;
mod wire;

pub use asked::{Answer, Prompt, Questions, Step};
pub use keeper::keep_session;
pub(crate) use kept::{Kept, Wants, start};
use wire::{Word, read, write};

/// How long modules may take over each of their answers. After it they have refused: a directory service
/// that hangs keeps nobody waiting for ever.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// Most text that modules may have shown, bytes; what follows is left out.
const SHOWN_BYTES_MAX: usize = 64 * 1024;

/// How sessions are kept, and who is asked about accounts.
#[derive(Debug, Clone)]
pub struct Keeper {
    program: Program,
    service: String,
    remote: String,
    forks: Arc<forks::ForkServer>,
}

/// What processes run: it calls [`keep_session`] with the number that follows these arguments.
#[derive(Debug, Clone)]
struct Program {
    path: PathBuf,
    args: Vec<OsString>,
}

impl Keeper {
    /// With the program that calls [`keep_session`] with the number that follows these arguments, and the service's
    /// name, a file in `/etc/pam.d`.
    #[must_use]
    pub fn new(path: PathBuf, args: Vec<OsString>, service: String) -> Self {
        let program = Program { path, args };
        Self {
            forks: Arc::new(forks::ForkServer::new(program.clone(), service.clone())),
            program,
            service,
            remote: String::new(),
        }
    }

    /// The same for somebody who comes from this address (`PAM_RHOST`).
    #[must_use]
    pub fn of(&self, remote: String) -> Self {
        Self {
            remote,
            ..self.clone()
        }
    }

    /// Asks whether an account may be used now. Waits for the answer.
    ///
    /// # Errors
    /// [`ShellError::Refused`]: it may not, with the reason, in the modules' own words where they have any;
    /// another: they cannot be asked, which is no leave either.
    pub fn admits(&self, account: &Account) -> Result<(), ShellError> {
        let word = Word::Account {
            service: self.service.clone(),
            user: account.name.clone(),
            remote: self.remote.clone(),
        };
        let (mut line, theirs) = line().map_err(unusable)?;
        let nothing = || File::options().read(true).write(true).open("/dev/null");
        let nothing = || nothing().map(OwnedFd::from).map_err(unusable);
        let nothing = [nothing()?, nothing()?, nothing()?];
        let process = self.forks.fork(theirs, nothing).map_err(unusable)?;
        let answer = write(&mut line, &word).and_then(|()| answered(&mut line, &mut String::new()));
        // One that hangs in a module, or is none of ours, is not waited for.
        if answer.is_err() {
            process.kill();
        }
        match answer.map_err(unusable)? {
            Word::Admitted => Ok(()),
            Word::Refused(why) => Err(ShellError::Refused(why)),
            _ => Err(unusable(io::ErrorKind::InvalidData.into())),
        }
    }
}

impl Program {
    /// Starts a process, with no program to be started by it; answers it and the line to it.
    fn started(&self) -> io::Result<(Child, UnixStream)> {
        let (ours, theirs) = line()?;
        let mut command = Command::new(&self.path);
        command
            .env_clear()
            .args(&self.args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        sys::hand_on(&mut command, &theirs);
        Ok((command.spawn()?, ours))
    }
}

/// A line to a process: the daemon's end, and the other.
fn line() -> io::Result<(UnixStream, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_read_timeout(Some(ANSWER_MAX))?;
    ours.set_write_timeout(Some(ANSWER_MAX))?;
    Ok((ours, theirs))
}

fn unusable(source: io::Error) -> ShellError {
    ShellError::Io {
        what: "ask the system's modules (PAM)",
        source,
    }
}

/// The next word that is no text to be shown; that is collected.
fn answered(line: &mut UnixStream, shown: &mut String) -> io::Result<Word> {
    loop {
        match read(line)? {
            Word::Shown(text) => {
                if shown.len() + text.len() <= SHOWN_BYTES_MAX {
                    shown.push_str(&text);
                }
            }
            word => return Ok(word),
        }
    }
}
