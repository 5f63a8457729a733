//! The SSH node, as Debian's own client finds it and as nobody's own client does.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

#[path = "../support/mod.rs"]
mod support;

mod abuse;
mod authorized;
mod clients;
mod coverage;
mod debian;
mod files;
mod forged;
mod forwards;
mod gets_in;
mod gone;
mod hostile;
mod inside;
mod locked;
mod odd;
mod paramiko;
mod pours;
mod proxied;
mod refused;
mod roles;
mod runs;
mod shown;
mod site;
mod unread;
mod watched;
mod x11;
