//! The daemon: records a host, keeps what many hosts recorded, and answers who may ask.
//!
//! From the ground up:
//!
//! - [`config`]: what the file says; [`check`]: what contradicts itself in it; [`data_dir`], [`init`],
//!   [`doctor`]: the directory of everything durable, made and looked at
//! - [`stores`], [`tee`], [`live`], [`keeper`], [`eventlog`], [`follow`]: what is taken, kept, told
//! - [`api`], [`behind`], [`join`]: what people and hosts ask; [`policy`]: who is recorded, and how
//! - [`tlog_out`]: what is sent on to others
//! - [`api`], [`behind`], [`join`]: what people and hosts ask
//! - [`run`]: all of it as one process; [`signals`], [`notify`], [`journal`], [`metrics`],
//!   [`capacity`]: what runs it, and is told how it goes
//! - [`cli`], [`command`]: the command line

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
pub mod handed;
pub mod indexing;
pub mod ingest;
pub mod init;
pub mod join;
pub mod journal;
pub mod keeper;
pub mod live;
pub mod metrics;
pub mod notify;
mod owner;
pub mod player;
pub mod policy;
mod private_keys;
pub mod retention;
pub mod run;
pub mod signals;
mod standing_back;
pub mod steady;
pub mod stores;
pub mod tee;
pub mod timed_disk;
pub mod tlog_out;
pub mod web;
mod working;
