//! The daemon: records a host, keeps what many hosts recorded, and answers who may ask.
//!
//! - [`config`]: what the file says; [`check`]: what contradicts itself in it

#![forbid(unsafe_code)]
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

pub mod api;
pub mod behind;
pub mod bell;
pub mod capacity;
pub mod check;
pub mod cli;
pub mod command;
pub mod config;
pub mod data_dir;
pub mod doctor;
pub mod eventlog;
pub mod failure;
pub mod follow;
pub mod ingest;
pub mod init;
pub mod join;
pub mod journal;
pub mod keeper;
pub mod live;
pub mod metrics;
pub mod notify;
pub mod run;
pub mod signals;
pub mod retention;
pub mod steady;
pub mod stores;
pub mod tee;
pub mod timed_disk;
