//! From a host's spool to a service, and the messages that travel between them.
//!
//! - [`wire`]: the messages of the long stream, byte by byte; pure, so that it can be fuzzed
//! - [`Forwarder`]: connects, sends what is in a spool in its order, and forgets what the service has
//!   in its archive; inside it what is sent next (`queue`), one connection (`stream`), how long to
//!   wait between two (`backoff`) and how far behind it is (`lag`)
//! - [`outgoing`]: bodies that are made while they are sent
//! - [`Endpoint`], [`post`]: where the service is; small requests there, to join and to renew
//! - [`PolicyPost`]: where the service's policy arrives, and where the host says which is in force
//! - [`Status`]: what it tells about itself

pub mod wire;

#[cfg(feature = "forward")]
mod backoff;
#[cfg(feature = "forward")]
mod endpoint;
#[cfg(feature = "forward")]
mod flow;
#[cfg(feature = "forward")]
mod forwarder;
#[cfg(feature = "forward")]
mod lag;
#[cfg(feature = "forward")]
mod outgoing;
#[cfg(feature = "forward")]
mod policy;
#[cfg(feature = "forward")]
mod queue;
#[cfg(feature = "forward")]
mod status;
#[cfg(feature = "forward")]
mod stream;

#[cfg(feature = "forward")]
pub use endpoint::{Connect, Endpoint, POST_BYTES_MAX, post};
#[cfg(feature = "forward")]
pub use forwarder::{Control, ForwardOptions, Forwarder, Hooks};
#[cfg(feature = "forward")]
pub use outgoing::{Outgoing, Pieces, ReaderGone, outgoing};
#[cfg(feature = "forward")]
pub use policy::PolicyPost;
#[cfg(feature = "forward")]
pub use queue::{Alarm, AlarmKind};
#[cfg(feature = "forward")]
pub use status::{Snapshot, Status};
