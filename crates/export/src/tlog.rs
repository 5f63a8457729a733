//! Sessions as messages of tlog while they are recorded, for what reads those: Cockpit, `tlog-play`,
//! a pipeline behind rsyslog.
//!
//! The daemon follows sessions and makes messages of them ([`Writing`]); a helper process, whose name
//! is the one by which Cockpit finds recordings in the journal, puts them in their [`Place`]. Between
//! them go batches ([`batch`]), each answered with how many messages are where they belong.
//!
//! **Repeats.** The same recording makes the same messages, so all that must be kept is the number of
//! the last one that was put in its place ([`Cursor`]). What was not answered is made and sent again.

pub mod batch;
mod message;
pub mod place;
mod rate;
mod writing;

pub use message::Labels;
pub use place::Place;
pub use rate::{Action, Bucket, Rate, Verdict};
pub use writing::{Cursor, MARKS_MAX, Options, Writing};
