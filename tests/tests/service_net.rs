//! A service and two hosts in networks of their own: what the service shows of them, what happens
//! when a wire is cut, and when a disk is full on either side. Needs root.
//!
//! `HANSARD_TORTURE` gives the longest partition in seconds: 10, 60 and 600 are tried, up to it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stdout
)]

#[path = "service/audit.rs"]
mod audit;
#[path = "service_net/cluster.rs"]
mod cluster;
#[path = "service_net/full.rs"]
mod full;
#[path = "service_net/full_long.rs"]
mod full_long;
#[path = "service/load.rs"]
mod load;
#[path = "service_net/net.rs"]
mod net;
#[allow(dead_code, reason = "of a pair, only how a service is asked")]
#[path = "service/pair.rs"]
mod pair;
#[path = "service_net/partitions.rs"]
mod partitions;
#[path = "service_net/two_hosts.rs"]
mod two_hosts;
#[path = "service_net/volume.rs"]
mod volume;
