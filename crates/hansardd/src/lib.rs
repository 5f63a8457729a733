//! The daemon: records a host, keeps what many hosts recorded, and answers who may ask.

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

pub mod bell;
pub mod follow;
pub mod keeper;
pub mod live;
pub mod tee;
