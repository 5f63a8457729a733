//! What is kept of a run, and how it is guarded.

use std::time::Duration;

use hansard_core::policy::Policy;

use crate::prompt::Prompts;

/// How to record.
#[derive(Debug, Clone)]
pub struct Options {
    /// Keep what is piped in.
    pub stdin: bool,
    /// Keep what is typed at a terminal, as far as the terminal shows it.
    pub keystrokes: bool,
    /// Keep what is shown on a terminal or written to standard output.
    pub stdout: bool,
    /// Keep what is written to a standard error of its own.
    pub stderr: bool,
    /// Show nothing before it is durable.
    pub strict: bool,
    /// Prompts after which nothing typed is kept until Enter.
    pub prompts: Prompts,
    /// When a session is ended from outside or its record is lost: how long the program has to
    /// end after the hangup, before it is killed (or, after a terminal went away, left alone).
    pub grace: Duration,
}

impl Options {
    /// As a policy says, with the default prompts and a grace of two seconds.
    #[must_use]
    pub fn from_policy(policy: &Policy) -> Self {
        Self {
            stdin: policy.stdin,
            keystrokes: policy.keystrokes,
            stdout: policy.stdout,
            stderr: policy.stderr,
            strict: policy.strict,
            prompts: Prompts::default(),
            grace: Duration::from_secs(2),
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::from_policy(&Policy::default())
    }
}
