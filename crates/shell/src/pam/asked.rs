//! What modules ask of somebody who signs in, and what they answer. Answers are nobody's but the modules': they
//! are in no recording, no message and no log, and are overwritten when they are not needed any more.

use std::fmt;
use std::io;
use std::os::unix::net::UnixStream;
use std::process::Child;

use super::wire::{Word, read, write};
use super::{Keeper, unusable};
use crate::error::ShellError;

/// Longest answer, bytes (`PAM_MAX_RESP_SIZE`). A longer one is none.
pub(super) const ANSWER_BYTES_MAX: usize = 512;

/// One question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// Its words.
    pub text: String,
    /// Whether what is typed may be seen.
    pub is_shown: bool,
}

/// One answer.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer(pub Vec<u8>);

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answer")
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.0.fill(0);
        // Else it would not be written: nobody reads it afterwards.
        std::hint::black_box(&self.0);
    }
}

/// Where an attempt to sign in stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Modules ask this, after these words; without questions somebody is shown the words only.
    Asks {
        /// What to show before.
        text: String,
        /// What to ask, in this order.
        prompts: Vec<Prompt>,
    },
    /// It is who they say, and the account may be used.
    Admitted,
    /// It is not, or may not; why, for the record.
    Refused(String),
}

/// Somebody who is being asked, in a process of its own, which ends when this is dropped.
#[derive(Debug)]
pub struct Questions {
    child: Child,
    line: UnixStream,
}

impl Keeper {
    /// Begins to ask somebody who wants to be this user. The first [`Questions::next`] has what is asked.
    ///
    /// # Errors
    /// The process cannot be started.
    pub fn asks(&self, user: &str) -> Result<Questions, ShellError> {
        let (child, line) = self.program.started().map_err(unusable)?;
        let mut questions = Questions { child, line };
        let word = Word::Authenticate {
            service: self.service.clone(),
            user: user.to_owned(),
            remote: self.remote.clone(),
        };
        write(&mut questions.line, &word).map_err(unusable)?;
        Ok(questions)
    }
}

impl Questions {
    /// Answers what was asked last, if something was, and waits for what comes of it.
    ///
    /// # Errors
    /// The modules say nothing in time, or their process is gone: nobody is let in.
    pub fn next(&mut self, answers: Option<Vec<Answer>>) -> Result<Step, ShellError> {
        if let Some(answers) = answers {
            write(&mut self.line, &Word::Answers(answers)).map_err(unusable)?;
        }
        match read(&mut self.line).map_err(unusable)? {
            Word::Asks { text, prompts } => Ok(Step::Asks { text, prompts }),
            Word::Admitted => Ok(Step::Admitted),
            Word::Refused(why) => Ok(Step::Refused(why)),
            _ => Err(unusable(io::ErrorKind::InvalidData.into())),
        }
    }
}

impl Drop for Questions {
    fn drop(&mut self) {
        // It may hang in a module, which nobody waits for; so may what a module started. It leads a
        // group of its own.
        let group = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
