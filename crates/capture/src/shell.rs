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
use std::sync::Arc;

use hansard_core::Gate;

mod kin;
mod login;
mod process;
mod remains;
mod slave;
mod stub;
mod terminals;
mod which;

pub use hansard_shell::CAPTURE_SOCKET;
pub(crate) use login::serve;
pub use terminals::{Restored, Terminals};

use kin::Kin;

/// How logins are recorded.
pub struct Config {
    /// Who is recorded, and how.
    pub gate: Arc<dyn Gate>,
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

    /// Whether this system lets every program put input into its own terminal (`TIOCSTI`), past
    /// whoever holds it.
    #[must_use]
    pub fn input_can_be_injected(&self) -> bool {
        self.injects
    }
}

/// Kernels before 6.2 always do, and have no such file.
fn terminal_input_can_be_injected() -> bool {
    std::fs::read_to_string("/proc/sys/dev/tty/legacy_tiocsti")
        .map_or(true, |text| text.trim() != "0")
}
