//! The service's API and the client's commands against it: a real server on a unix socket, over
//! stores in memory.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    unreachable_pub
)]

mod changes;
mod client;
mod counts;
mod coverage;
mod crowd;
mod documents;
mod export;
mod follow;
mod holds;
mod keep;
mod looks;
mod own;
mod policy;
mod roles;
mod routes;
mod saved;
mod search;
mod service;
mod shares;
mod speak;
#[path = "../terminal/mod.rs"]
mod terminal;
