//! What a session is, what happened in it, and how that is framed, sealed and checked.
//!
//! Pure: no clock, no file, no socket, no randomness. Time, keys and identifiers are passed in, so
//! that whole runs can be repeated from a seed. The bytes this crate writes are described in
//! `formats/segment.md`, precisely enough for a reader in another language.
//!
//! The modules, in the order of the data:
//!
//! - [`session`]: the immutable header of a recording; [`policy`]: what was to be kept, and what
//!   happens when it cannot be; [`gate`]: for whom; [`access`]: what a person's roles give over SSH; [`lock`]: who gets nothing
//! - [`event`]: what happened; [`fields`]: flat named facts inside an event
//! - [`frame`]: events become durable frames; [`seal`]: frames are chained and signed
//! - [`writer`]: events → frames → seals; [`reader`]: the way back, for hostile bytes
//! - [`proof`]: signatures outside of seals
//! - [`writer`]: events → frames → seals, also after a recorder died; [`reader`]: the way back, for hostile bytes
//! - [`uid`]: identifiers of what is told about events
//! - [`verify`]: a recording's verdict; [`sink`]: where frames and seals go
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

pub mod access;
pub mod body;
mod columns;
pub mod event;
pub mod fields;
pub mod frame;
pub mod gate;
pub mod id;
pub mod limits;
pub mod lock;
pub mod policy;
pub mod proof;
pub mod reader;
pub mod seal;
pub mod session;
pub mod sink;
pub mod uid;
pub mod verify;
pub mod wire;
pub mod writer;

pub use access::{Access, ChannelKind, Granted};
pub use event::{Body, Event, Stream};
pub use fields::{Fields, Value};
pub use frame::{Frame, Part};
pub use gate::{Decision, Gate, Login};
pub use id::SessionId;
pub use lock::{Lockable, Locks};
pub use policy::{OnLoss, Policy};
pub use seal::Seal;
pub use session::Session;
pub use sink::{Class, Receipt, Sink, SinkError};
pub use uid::EventUid;
