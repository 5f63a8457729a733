//! Events become frames, frames become segments, and none is lost on the way to a sink.
//!
//! The modules, in the order of the data:
//!
//! - [`recorder`]: the handle a capture gets, and its thread; inside it a bounded queue
//!   (`intake`), the steps of the thread (`worker`), and writer, sink and loss policy (`pump`)
//! - [`lost`]: what a capture is told when evidence is being lost
//! - [`file_sink`]: a recording as one file; [`spool`]: parts of many, until somebody has them for
//!   good; [`memory_sink`]: the one that fails on purpose
//! - [`forward`]: the way from a spool to a service; its messages are pure, the rest is the only part
//!   of this crate that is asynchronous (feature `forward`)
//! - [`open_sessions`]: which sessions are being recorded; [`revive`]: brings to an end what a
//!   recorder left open that died
//! - [`handoff`]: a program hands its session over to the daemon
//! - [`diary`]: the own recording of a host or service
//! - [`quarantine`]: parts that nobody takes
//! - [`order`]: the order that every sink keeps; [`conformance`]: what every sink must do, as a
//!   suite
//! - [`memory`]: giving back what is not used
//! - [`bulk`]: what pours beyond the budget of a stream is counted and hashed
//! - [`environment`]: [`clock`], [`disk`] and [`random`] source, which are passed in; [`sim`]: the
//!   same from a seed, with a disk that fails and loses its power

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::cast_possible_truncation,
        clippy::print_stdout
    )
)]

pub mod bulk;
pub mod clock;
pub mod conformance;
mod cut;
pub mod diary;
pub mod disk;
pub mod environment;
pub mod file_sink;
pub mod forward;
pub mod handoff;
mod intake;
pub mod lost;
pub mod memory;
pub mod memory_sink;
pub mod open_sessions;
pub mod order;
mod pump;
pub mod quarantine;
pub mod random;
pub mod real_disk;
pub mod recorder;
pub mod revive;
pub mod sim;
pub mod spool;
mod sys;
mod worker;

pub use diary::Diary;
pub use environment::Environment;
pub use file_sink::FileSink;
pub use lost::{Cause, Count, Lost, Summary};
pub use memory_sink::MemorySink;
pub use open_sessions::OpenSessions;
pub use recorder::{Group, Options, Recorder};
pub use spool::{Spool, SpoolOptions};
