//! What hosts send comes in here: HTTP/2 over TLS 1.3, both sides authenticated.
//!
//! - [`gate`]: may this host write that session; [`admission`]: may it connect at all
//! - [`depot`]: where parts go, and what is in the archive already
//! - [`connections`]: who is connected; the way to tell a host something
//! - [`note`]: what happened here that has to become an event
//! - [`limits`]: every bound, and what happens at it
//! - inside: accepting (`accept`), requests (`requests`), one long stream (`stream`), and what
//!   becomes of the parts in it (`taker`)
//!
//! A host that sends too much, too slowly or nothing at all costs itself: what is read and not yet
//! durable is bounded for each connection and for all of them, and who is over it is not read from.
//! Disks are waited for in turn of asking, so a heavy host gets one batch in before the others had
//! theirs.

pub mod admission;
pub mod connections;
pub mod depot;
pub mod gate;
pub mod limits;
pub mod note;

mod accept;
mod figures;
mod requests;
pub mod shares;
mod sparingly;
mod stream;
mod taker;
mod times;
mod waiting;
mod working;

pub use accept::{Ingest, Parts};
pub use admission::{Admission, RegistryAdmission};
pub use connections::{Connected, Connections, Control, NotSent, To};
pub use depot::Depot;
pub use figures::{Figures, Snapshot};
pub use gate::{Gate, KeyGate, Ruling};
pub use note::{Cause, Note, Witness};
pub use requests::Answer;
pub use shares::Shares;
pub use sparingly::Sparingly;
