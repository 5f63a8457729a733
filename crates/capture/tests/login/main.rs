//! Logins of an unprivileged user whose terminal the daemon holds. The daemon is this process, and
//! root, as the daemon of a machine is.
#![allow(
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

#[path = "../../../shell/tests/outer/mod.rs"]
mod outer;
#[path = "../support/mod.rs"]
mod support;
mod world;

mod abuse;
mod again;
mod ends;
mod pipes;
mod refused;
mod terminal;
mod watched;
