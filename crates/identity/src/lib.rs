//! Who is who in a cluster: its authority, its hosts and services, join tokens, roles.
//!
//! Two halves. What a client needs to check a signer is always there; what a daemon needs to issue,
//! join, renew and connect is behind the feature `authority`. Time and randomness are passed in.
//!
//! - [`certificate`]: reading certificates, strictly; [`peer`]: who they are about;
//!   [`recorder`]: whose key signed a recording
//! - [`host_id`], [`name`]: identifiers and what names may be; [`role`]: who may what
//! - [`limits`]: every bound, and what happens at it

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

pub mod certificate;
pub mod host_id;
pub mod limits;
pub mod name;
pub mod peer;
pub mod recorder;
pub mod role;

pub use certificate::{BadCertificate, Certificate, Purpose};
pub use host_id::HostId;
pub use peer::{Peer, Principal};
pub use recorder::check_recorder;
pub use role::{Role, Roles};
