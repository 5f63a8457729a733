//! The recordings of Teleport up to 4.3: a file of raw bytes, files of events as JSON lines, and
//! an index, in a directory or in a tar archive.

mod chunks;
mod decode;
mod encode;
mod lines;
mod names;
mod prints;
mod tar;
mod tar_out;
mod written;

pub use decode::ClassicDecoder;
pub use encode::ClassicEncoder;
pub use names::guess_names;
pub use tar::{TarInputs, guess_tar};
pub use tar_out::TarEncoder;

/// Name of the event that says what of a `print` event cannot be told from the bytes and their
/// moment.
const PRINT_EVENT: &str = "teleport.print";

/// The events that have files and counts of their own.
const KERNEL_EVENTS: [&str; 3] = ["session.command", "session.disk", "session.network"];
