//! The central policy: set once at the service, pushed to hosts, and what decides on each of them.
//!
//! - [`files`]: its versions on disk
//! - [`in_force`]: what decides on this machine: the newest policy it was given, else its configuration
//! - [`central`]: the service's side: setting, looking, trying out
//! - [`taking`]: the host's side: what the service sends is made durable and put in force

pub mod central;
pub mod files;
pub mod in_force;
pub mod taking;

pub use central::Central;
pub use files::{PolicyFiles, Stored};
pub use in_force::InForce;
