//! What the kernel tells of what a session's processes do. Needs root, and a kernel that lets its
//! programs be loaded.
#![allow(
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

#[path = "../support/mod.rs"]
mod support;
mod watching;

mod choices;
mod commands;
mod files;
mod loss;
mod network;
mod object;
mod sessions;
mod tricks;
