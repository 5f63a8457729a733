//! Signing in, going to hosts by roles, and being locked out: the built programs, Debian's ssh and sshd.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod locking;
mod login;
mod place;
mod straight;
