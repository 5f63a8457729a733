//! Hosts and a service, over real TLS and a network that fails: what a host recorded is in the
//! service, in order, once, whatever happened on the way.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod cluster;
mod faults;
mod host;
mod hostile;
mod locks;
mod raw;
mod requests;
mod sends;
mod service;
mod sessions;
