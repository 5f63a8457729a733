//! Runs a program and records it: the choice between a terminal and pipes.

use rustix::stdio::{stdin, stdout};
use rustix::termios::isatty;

use crate::command::Command;
use crate::error::ShellError;
use crate::exit::Exit;
use crate::options::Options;
use crate::pipes::run_on_pipes;
use crate::pty_run::run_on_terminal;
use crate::tape::Tape;

/// How a program is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// On a terminal of its own.
    Terminal,
    /// Over pipes, standard output and error apart.
    Pipes,
}

impl Mode {
    /// What a session of this mode is called in its header.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Terminal => "terminal",
            Self::Pipes => "exec",
        }
    }
}

/// How [`run`] will run a program now: on a terminal of its own if standard input and standard
/// output are both terminals.
#[must_use]
pub fn mode() -> Mode {
    if isatty(stdin()) && isatty(stdout()) {
        Mode::Terminal
    } else {
        Mode::Pipes
    }
}

/// Runs a program on this process's standard input, output and error, records what passes, and
/// returns how it ended. Everything it wrote has been recorded and delivered by then; the terminal
/// is as it was before.
///
/// One run at a time in a process, and best in its main thread: it takes the process's signals.
///
/// # Errors
/// [`ShellError`]; its status is what the caller should end with.
pub fn run<T: Tape>(command: &Command, options: &Options, tape: &T) -> Result<Exit, ShellError> {
    if command.argv.is_empty() {
        return Err(ShellError::NoProgram);
    }
    match mode() {
        Mode::Terminal => run_on_terminal(command, options, tape),
        Mode::Pipes => run_on_pipes(command, options, tape),
    }
}
