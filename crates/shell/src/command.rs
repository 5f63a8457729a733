//! What to run.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;

/// A program with its arguments and surroundings.
#[derive(Debug, Clone, Default)]
pub struct Command {
    /// The program, searched in `PATH` if it has no slash, and its arguments. Never empty in a
    /// command that can be run.
    pub argv: Vec<OsString>,
    /// Name the program is told it was called by, instead of `argv[0]` (`-bash` for a login shell).
    pub arg0: Option<OsString>,
    /// Variables set in addition to the inherited ones.
    pub env: Vec<(OsString, OsString)>,
    /// Working directory, if not the inherited one.
    pub cwd: Option<PathBuf>,
}

impl Command {
    /// A command with inherited surroundings.
    pub fn new(argv: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }

    /// The program's name, for messages.
    #[must_use]
    pub fn program(&self) -> String {
        self.argv
            .first()
            .map(|p| p.to_string_lossy().into_owned())
            .unwrap_or_default()
    }

    /// The standard library's form of it, or nothing if there is no program.
    pub(crate) fn to_std(&self) -> Option<std::process::Command> {
        let (program, args) = self.argv.split_first()?;
        let mut command = std::process::Command::new(program);
        command
            .args(args)
            .envs(self.env.iter().map(|(k, v)| (k, v)));
        if let Some(arg0) = &self.arg0 {
            command.arg0(arg0);
        }
        if let Some(cwd) = &self.cwd {
            command.current_dir(cwd);
        }
        Some(command)
    }
}
