//! Logins: `hansard-shell` hands its terminal over, and the daemon holds it.
//!
//! The login's user can end the session and cannot do anything else to its record: the terminal's
//! descriptors are the daemon's, its device is root's while the session lasts, and what the user's
//! programs have is a terminal whose other end only the daemon has. Whatever is still attached to
//! that when the session ends is hung up by the kernel.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use hansard_core::policy::Policy;

mod kin;
mod login;
mod process;
mod remains;
mod slave;
mod stub;
mod terminals;
mod which;

pub(crate) use login::serve;
pub(crate) use process::groups;
pub use terminals::{Restored, Terminals};

use kin::Kin;

/// Whoever logs in, by the word of the system.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Who {
    /// Name of the account; its number where it has none.
    pub user: String,
    /// Its number.
    pub uid: u32,
    /// Names of the groups that the login's process is in; numbers where they have none.
    pub groups: Vec<String>,
    /// Kind of session: `terminal`, `exec`.
    pub kind: &'static str,
}

/// What becomes of what a session leaves running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnEnd {
    /// It lives on: without a terminal, as after any login.
    #[default]
    Leave,
    /// It is killed.
    Kill,
}

/// Under which terms a login goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Whether it is recorded. One that is not goes on as if we were not there.
    pub recorded: bool,
    /// What is kept, and what happens when that cannot be.
    pub policy: Policy,
    /// What the user is shown before the first byte, on a terminal. Empty: nothing.
    pub notice: String,
    /// How long nothing may pass before the session is ended; none is for ever.
    pub idle: Option<Duration>,
    /// What becomes of what it leaves running.
    pub on_end: OnEnd,
}

/// Decides about a login. MUST answer at once: it is asked at every login.
pub type Gate = Box<dyn Fn(&Who) -> Terms + Send + Sync>;

/// How logins are recorded.
pub struct Config {
    /// Who is recorded, and how.
    pub gate: Gate,
    /// Shells of accounts whose entry in the user database is `hansard-shell` itself.
    pub shells: BTreeMap<String, PathBuf>,
    /// The shell of all others of these.
    pub shell: PathBuf,
    /// Where it is noted which terminals are taken, for the next start: a directory that a restart
    /// of the machine empties.
    pub notes: PathBuf,
}

/// Records logins.
pub struct Logins {
    config: Config,
    terminals: Terminals,
    kin: Kin,
    /// Whether this system lets programs type into their own terminal.
    injects: bool,
}

impl fmt::Debug for Logins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logins")
            .field("notes", &self.config.notes)
            .finish_non_exhaustive()
    }
}

impl Logins {
    /// Gives back what terminals the last process had taken; then logins may come. Answers what
    /// was found.
    ///
    /// # Errors
    /// When the notes cannot be read or kept.
    pub fn new(config: Config) -> io::Result<(Self, Restored)> {
        let (terminals, restored) = Terminals::open(&config.notes)?;
        let logins = Self {
            config,
            terminals,
            kin: Kin::default(),
            injects: terminal_input_can_be_injected(),
        };
        Ok((logins, restored))
    }
}

/// Whether this system lets every program put input into its own terminal (`TIOCSTI`), past
/// whoever holds it. Kernels before 6.2 always do.
#[must_use]
pub fn terminal_input_can_be_injected() -> bool {
    std::fs::read_to_string("/proc/sys/dev/tty/legacy_tiocsti")
        .map_or(true, |text| text.trim() != "0")
}
