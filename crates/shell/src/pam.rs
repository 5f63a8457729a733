//! What the system's authentication modules (PAM) have to say of an account and a session: asked in a process
//! of its own, which then starts the program and stays until the session is over.
//!
//! Modules change whatever process calls them: its limits, groups, keys, its audit id, its place among control
//! groups. All that is meant for the session, so its program is started from there, and none of it is for a
//! daemon with other people's sessions in it. A crash of a module ends one session.
//!
//! - this: the daemon's half; `kept`: the same of one that runs; `asked`: of somebody who signs in; `keeper`: the
//!   process; `wire`: what both say
//! - `sys`: libpam, which is looked for when it is needed and not when this is built

use std::ffi::OsString;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::accounts::Account;
use crate::error::ShellError;

mod asked;
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keeper {
    /// The program that calls [`keep_session`] with the number that follows these arguments.
    pub program: PathBuf,
    /// See above.
    pub args: Vec<OsString>,
    /// The service's name, a file in `/etc/pam.d`.
    pub service: String,
    /// Where the user comes from, an address (`PAM_RHOST`).
    pub remote: String,
}

impl Keeper {
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
        let (mut child, mut line) = self.started(self.alone())?;
        let answer = write(&mut line, &word).and_then(|()| answered(&mut line, &mut String::new()));
        // One that hangs in a module, or is none of ours, is not waited for.
        if answer.is_err() {
            let _ = child.kill();
        }
        drop(line);
        let _ = child.wait();
        match answer.map_err(unusable)? {
            Word::Admitted => Ok(()),
            Word::Refused(why) => Err(ShellError::Refused(why)),
            _ => Err(unusable(io::ErrorKind::InvalidData.into())),
        }
    }

    /// The process, with no program to be started by it.
    fn alone(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    /// Starts the process; answers it and the line to it.
    fn started(&self, mut command: Command) -> Result<(Child, UnixStream), ShellError> {
        let mut start = || {
            let (ours, theirs) = UnixStream::pair()?;
            ours.set_read_timeout(Some(ANSWER_MAX))?;
            ours.set_write_timeout(Some(ANSWER_MAX))?;
            command.env_clear().args(&self.args);
            sys::hand_on(&mut command, &theirs);
            Ok((command.spawn()?, ours))
        };
        start().map_err(unusable)
    }
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
