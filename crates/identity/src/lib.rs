//! Who is who in a cluster: its authority, its hosts and services, join tokens, roles.
//!
//! Two halves. What a client needs to check a signer is always there; what a daemon needs to issue,
//! join, renew and connect is behind the feature `authority`. Time and randomness are passed in.
//!
//! - [`certificate`]: reading certificates, strictly ([`pem`] around them); [`peer`]: who they are about;
//!   [`recorder`]: whose key signed a recording
//! - [`host_id`], [`name`]: identifiers and what names may be; [`role`]: who may what
//! - [`limits`]: every bound, and what happens at it
//!
//! With `authority`: `authority` issues certificates, `registry` knows who joined, `join` is what
//! goes over the wire, `host_identity` what a host keeps, `tls` how they connect; `ssh` certifies people
//! and hosts for SSH, `access` says what roles give there, `locks` who gets nothing. `user` and `users` are
//! the people who sign in at a service; `people` is X.509 for them; `share` and `shares` are links for people who do not; `webauthn`: passkeys; `oidc`:
//! what the tokens of OpenID Connect are worth. `credentials` are for machines that believe no authority, kept by
//! `sealing` each `secret`.

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

#[cfg(feature = "authority")]
pub mod access;
#[cfg(feature = "authority")]
pub mod authority;
#[cfg(feature = "authority")]
pub mod base64url;
pub mod certificate;
#[cfg(feature = "authority")]
pub mod credentials;
mod der;
#[cfg(feature = "authority")]
pub mod device;
mod extensions;
#[cfg(feature = "authority")]
mod fact;
#[cfg(feature = "authority")]
pub mod failure;
#[cfg(feature = "authority")]
mod files;
#[cfg(feature = "authority")]
pub mod hex;
pub mod host_id;
#[cfg(feature = "authority")]
pub mod host_identity;
#[cfg(feature = "authority")]
pub mod host_row;
#[cfg(feature = "authority")]
pub mod join;
#[cfg(feature = "authority")]
pub mod key;
pub mod limits;
#[cfg(feature = "authority")]
pub mod locks;
pub mod moment;
pub mod name;
#[cfg(feature = "authority")]
pub mod oidc;
pub mod peer;
pub mod pem;
#[cfg(feature = "authority")]
pub mod people;
#[cfg(feature = "authority")]
pub mod places;
#[cfg(feature = "authority")]
pub mod random;
pub mod recorder;
#[cfg(feature = "authority")]
pub mod registry;
pub mod role;
#[cfg(feature = "authority")]
mod rows;
#[cfg(feature = "authority")]
pub mod saved;
#[cfg(feature = "authority")]
pub mod sealing;
#[cfg(feature = "authority")]
pub mod secret;
#[cfg(feature = "authority")]
pub mod share;
#[cfg(feature = "authority")]
pub mod shares;
#[cfg(feature = "authority")]
pub mod ssh;
#[cfg(feature = "authority")]
pub mod tls;
#[cfg(feature = "authority")]
pub mod token;
#[cfg(feature = "authority")]
pub mod user;
#[cfg(feature = "authority")]
pub mod users;
#[cfg(feature = "authority")]
pub mod webauthn;

#[cfg(feature = "authority")]
pub use authority::{Authority, Issued, Subject};
pub use certificate::{BadCertificate, Certificate, Purpose};
#[cfg(feature = "authority")]
pub use credentials::Credentials;
#[cfg(feature = "authority")]
pub use device::Devices;
#[cfg(feature = "authority")]
pub use failure::Failure;
pub use host_id::HostId;
#[cfg(feature = "authority")]
pub use host_identity::{HostIdentity, HostKeys};
#[cfg(feature = "authority")]
pub use locks::Locks;
pub use peer::{Peer, Principal};
#[cfg(feature = "authority")]
pub use people::{PeopleAuthority, Person};
#[cfg(feature = "authority")]
pub use places::Places;
pub use recorder::check_recorder;
#[cfg(feature = "authority")]
pub use registry::Registry;
pub use role::{Role, Roles};
#[cfg(feature = "authority")]
pub use saved::{Saved, SavedSearches};
#[cfg(feature = "authority")]
pub use shares::Shares;
#[cfg(feature = "authority")]
pub use users::Users;
