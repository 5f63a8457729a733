//! Host events: what the processes of a session really did, as the kernel saw it.
//!
//! A terminal shows what a program chose to show. Programs in the kernel ([`kernel`], written in C
//! under `ebpf/`) tell of each program that is started, file that is opened or changed, connection that is
//! made, and of what changes what a process may do. Each belongs to the session whose tag the process
//! carries, and goes into that session's own recording, by its own recorder.
//!
//! - [`HostEvents`]: the programs while they run, and the sessions that are watched
//! - [`Watched`]: one of these, until its recording ends
//!
//! - `arrivals`: logins that nobody hands over, found by the kernel
//! - [`Access`]: logins, failed logins, `sudo` and `su` of the host itself
//!
//! What the kernel could not hand over it counts, and the recording says so in a `Gap`.

use std::fmt;
use std::path::PathBuf;

use hansard_core::SessionId;
use hansard_core::event::{Body, Gap};
use hansard_core::policy::Watch;
use hansard_record::Recorder;

mod access;
mod address;
mod afterwards;
mod again;
mod arguments;
mod arrivals;
mod calls;
mod doors;
mod events;
mod facts;
mod fold;
mod kernel;
mod left;
mod left_out;
mod living;
mod pins;
mod record;
mod resolved;
mod sessions;
mod tag;
mod watch;

pub use access::{ACCESS_PER_MINUTE_MAX, Access, Source};
pub use afterwards::{AFTERWARDS_MAX, Tell};
pub(crate) use arrivals::{First, Found};
pub use doors::LOGIN_PROGRAMS_MAX;
pub use events::{Counted, HostEvents, Watched};
pub use kernel::{Missing, Support, support};
pub use left::NOT_STORED;
pub use left_out::{LEFT_OUT_MAX, LeftOut};

/// Least bytes that wait between kernel and daemon: 16 MiB, about 60,000 events. At the bound events
/// are lost, counted, and the recording has a gap.
pub const RING_BYTES_MIN: u32 = 16 * 1024 * 1024;

/// Most bytes of that ring that may be asked for: 1 GiB. More is refused by the configuration.
pub const RING_BYTES_MAX: u32 = 1024 * 1024 * 1024;

/// Bytes of a page, in which Teleport counts its buffers.
pub const PAGE_BYTES: u32 = 4096;

/// What is recorded, of every session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Programs that are started, how they end, and what changes what a process may do.
    pub command: bool,
    /// Files.
    pub disk: bool,
    /// Connections.
    pub network: bool,
    /// Size of the ring between kernel and daemon; made a power of two from [`RING_BYTES_MIN`] to
    /// [`RING_BYTES_MAX`].
    pub ring_bytes: u32,
    /// What of files and connections is not told.
    pub left_out: LeftOut,
    /// Names of the programs that let people in, `sshd`, `login`: what they start for somebody who has no
    /// recorder is followed as a session of its own. None: no such logins are looked for. At most
    /// [`LOGIN_PROGRAMS_MAX`].
    pub logins: Vec<String>,
    /// Pin the programs and what they know below this directory of a bpf file system, which is this daemon's
    /// alone: they stay when it ends, and tell what happened until the next one starts.
    pub pins: Option<PathBuf>,
    /// Keep the marks of processes in a table of their numbers, as where a kernel cannot keep them
    /// beside each process. Costs a little more; for tests.
    pub by_number: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            command: true,
            disk: true,
            network: true,
            ring_bytes: RING_BYTES_MIN,
            left_out: LeftOut::default(),
            logins: Vec::new(),
            pins: None,
            by_number: false,
        }
    }
}

impl Config {
    /// What is told of a session of which a policy says this.
    fn of(&self, watch: Watch) -> Switches {
        Switches {
            command: watch.command.unwrap_or(self.command),
            disk: watch.disk.unwrap_or(self.disk),
            network: watch.network.unwrap_or(self.network),
        }
    }
}

/// What is told of one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Switches {
    command: bool,
    disk: bool,
    network: bool,
}

impl Switches {
    /// With what these bits say besides.
    fn with(self, bits: u32) -> Self {
        Self {
            command: self.command || bits & 1 != 0,
            disk: self.disk || bits & 2 != 0,
            network: self.network || bits & 4 != 0,
        }
    }

    /// Bits of `ebpf/record.h`.
    fn bits(self) -> u32 {
        u32::from(self.command) | u32::from(self.disk) << 1 | u32::from(self.network) << 2
    }
}

/// Why host events are not recorded here: what is missing, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsupported {
    /// What is missing.
    pub what: String,
    /// What to do.
    pub next: String,
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "host events cannot be recorded here: {}", self.what)
    }
}

impl std::error::Error for Unsupported {}

/// Watches what the children of this user's process do, where host events are recorded; a recording whose host
/// events cannot be says so.
pub(crate) fn watch(
    host: Option<&HostEvents>,
    (uid, pid): (u32, Option<i32>),
    (session, recorder): (SessionId, &Recorder),
    policy: Watch,
) -> Option<Watched> {
    match host?.watch((uid, pid), (session, recorder.clone()), policy) {
        Ok(watched) => Some(watched),
        Err(why) => {
            let gap = Gap {
                cause: format!("host events are not recorded: {why}"),
                from_ns: recorder.now_ns(),
                ..Gap::default()
            };
            // A recording that failed ends its session when the next thing is recorded.
            let _ = recorder.witness(Body::Gap(gap));
            None
        }
    }
}
