//! Logins as they happen on a machine: Debian's `sshd`, `su` and `sudo` start `hansard-shell` for an
//! account whose login shell it is, and `hansardd` records.
//!
//! `make test` runs each transfer a few times; `HANSARD_TORTURE=200` says how often.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

#[path = "../../../crates/shell/tests/outer/mod.rs"]
mod outer;
mod place;

mod commands;
mod drop_in;
mod found;
mod glass;
mod numbers;
mod pinned;
mod relayed;
mod restart;
mod sssd;
mod transfers;
mod trouble;
mod unprivileged;
mod users;
mod watched_again;
mod who;
