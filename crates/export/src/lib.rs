//! Recordings and events on their way to others.
//!
//! What is sent is computed from durable parts and can be computed again; so nothing here keeps
//! anything but how far it has come. There is no clock and no thread in here: both are passed in.
//!
//! - [`tlog`]: sessions as messages of tlog, in a file, syslog or the journal

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

pub mod tlog;
