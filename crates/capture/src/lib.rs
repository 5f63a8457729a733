//! Where sessions come from: programs that hand their session over to the daemon.
//!
//! - [`local`]: the capture socket of a machine, and what runs on the other end of it
//! - [`shell`]: logins, whose terminal the daemon holds
//! - [`ssh`]: an SSH server on the host
//! - [`registry`]: the sessions that are being recorded now, to be listed, followed and ended
//! - [`host`]: what the processes of a session really did, as the kernel saw it
//! - [`limits`]: every bound, and what happens at it

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::cast_possible_truncation
    )
)]

pub mod host;
mod host_login;
pub mod limits;
pub mod local;
pub mod registry;
pub mod shell;
pub mod ssh;
mod who;

pub use registry::{NotRunning, Registry, RunningSession};
