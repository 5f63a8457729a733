//! What the API stands on in a running service: its seams ([`crate::api::seams`]) over the archive,
//! what is not archived yet, the event log, the registry of hosts and what is being recorded.

mod accounts;
mod certified;
mod defined;
mod ending;
mod following;
mod held;
mod joined;
mod keyed;
mod linked;
mod listed;
mod locked;
mod logged;
mod people;
mod recorded;
mod searched;
mod stored;

pub use accounts::Accounts;
pub use certified::{Certified, Definitions};
pub use ending::{EndHere, EndThere};
pub use following::Watched;
pub use held::Held;
pub use joined::{Joined, Presence, Present, Tell};
pub use keyed::Keyed;
pub use linked::Linked;
pub use listed::Listed;
pub use locked::{Locked, LockingOut};
pub use logged::Logged;
pub use people::People;
pub use recorded::Recorded;
pub use searched::Searched;
pub use stored::Stored;
