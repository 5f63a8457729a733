//! Teleport's session recordings: the stream of today, and the files of versions up to 4.3.
//!
//! Every event stays an event under Teleport's own name, with its flat JSON fields as they are;
//! bytes of the terminal become output, and `session.start` is also the header. What no field can
//! hold travels in fields named `teleport.…`, so that what was imported can be exported again.

pub mod classic;
mod events;
mod json;
mod oneof;
mod stream;
mod table;
pub(crate) mod time;
mod timeline;
mod wire;

pub use classic::{ClassicDecoder, ClassicEncoder, TarEncoder, TarInputs, guess_names, guess_tar};
pub use stream::{StreamDecoder, guess};

/// Prefix of fields that hold JSON as text.
const JSON: &str = "teleport.json.";

/// Name of the field that holds a message as it was.
const RAW: &str = "teleport.raw";

/// Names of these formats, as headers say where a recording came from.
const STREAM_NAME: &str = "teleport";
const CLASSIC_NAME: &str = "teleport-classic";
