//! Logins: `hansard-shell` hands its terminal over, and the daemon holds it.
//!
//! The login's user can end the session and cannot do anything else to its record: the terminal's
//! descriptors are the daemon's, its device is root's while the session lasts, and what the user's
//! programs have is a terminal whose other end only the daemon has. Whatever is still attached to
//! that when the session ends is hung up by the kernel.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::sync::Arc;

use hansard_core::Gate;

mod again;
mod glass;
mod holding;
mod kept;
mod kin;
mod login;
mod process;
mod remains;
mod slave;
mod stub;
mod terminals;
mod which;

pub(crate) use again::go_on;
pub use again::{ENDED_WITHOUT_A_WORD, NOT_FOUND, RESTARTED, UNWATCHED};
pub use glass::{Broken, BrokenGlass, broken_glass, review_break_glass};
pub use hansard_shell::{BREAK_GLASS_DIR, CAPTURE_SOCKET, TLOG_CONF, TlogConf};
pub use kept::{DESCRIPTORS_OF_LOGIN, Found, Keeps, inherited};
pub(crate) use login::{logins, serve};
pub(crate) use process::{Process, groups};
pub(crate) use remains::Led;
pub use terminals::{Restored, Terminals};

use crate::who::Who;
use glass::Glass;
use kept::Places;
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
    /// The list of who is logged in, `/run/utmp`; where there is none, none is made.
    pub utmp: PathBuf,
    /// Where it is noted which accounts may log in without a daemon: `break-glass` beside the
    /// socket, where `hansard-shell` looks.
    pub break_glass: PathBuf,
    /// tlog's configuration, for logins by tlog's name: `/etc/tlog/tlog-rec-session.conf`.
    pub tlog_conf: PathBuf,
    /// Who keeps logins' descriptors for the daemon after this one, where somebody does: these
    /// logins outlive it.
    pub keeper: Option<Arc<dyn Keeps>>,
}

/// Records logins.
pub struct Logins {
    config: Config,
    terminals: Terminals,
    kin: Kin,
    who: Who,
    glass: Glass,
    /// How many more can be kept.
    places: Places,
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
        Self::going_on(config, &[])
    }

    /// The same, but these logins go on ([`crate::local::Server::go_on`]).
    ///
    /// # Errors
    /// As [`Logins::new`].
    pub fn going_on(config: Config, found: &[&Found]) -> io::Result<(Self, Restored)> {
        let outer: Vec<_> = found.iter().map(|found| found.outer.as_fd()).collect();
        let (terminals, restored) = Terminals::open_but(&config.notes, &outer)?;
        let who = Who::open(&config.utmp, None, &config.notes.with_extension("listed"))?;
        let glass = Glass::open(&config.break_glass)?;
        let logins = Self {
            places: Places::of(config.keeper.as_deref()),
            config,
            glass,
            terminals,
            kin: Kin::default(),
            who,
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

/// What taking a terminal needs, as bits of a capability set: `CAP_CHOWN`, `CAP_DAC_OVERRIDE`,
/// `CAP_FOWNER`.
const CAPABILITIES: u64 = 1 | 1 << 1 | 1 << 3;

/// Whether this process may make a login's terminal its own. One that may not records all the same,
/// and each recording says that the terminal could be written to beside it.
#[must_use]
pub fn may_take_terminals() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    has_capabilities(&status)
}

fn has_capabilities(status: &str) -> bool {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let set = line.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    set.is_some_and(|set| set & CAPABILITIES == CAPABILITIES)
}

/// Kernels before 6.2 always do, and have no such file.
fn terminal_input_can_be_injected() -> bool {
    std::fs::read_to_string("/proc/sys/dev/tty/legacy_tiocsti")
        .map_or(true, |text| text.trim() != "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_taken_with_three_capabilities() {
        for (set, may) in [
            ("CapEff:\t000001ffffffffff", true),
            ("CapEff:\t000000000000000b", true),
            ("CapEff:\t0000000000000009", false),
            ("CapEff:\t0000000000000000", false),
            ("CapPrm:\t000001ffffffffff", false),
        ] {
            assert_eq!(
                has_capabilities(&format!("Name:\tx\n{set}\n")),
                may,
                "{set}"
            );
        }
        // Of root, which runs tests in CI, the system says the same.
        let root = rustix::process::geteuid().is_root();
        assert!(!root || may_take_terminals());
    }
}
