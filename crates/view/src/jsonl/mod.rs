//! JSON lines: one object for each event, nothing lost.
//!
//! Every object has `seq`, `at_ns` and `family`; the first is the session, under `session`, and
//! has `"hansard": 1`. Bytes are `text` where they are UTF-8 and `base64` where they are not (or
//! where escapes would double their length). Fields are an object; where a name stands twice they
//! are a list of pairs. A number is unsigned, a negative one signed; a value that this would
//! change is an object with one key: `{"base64": …}` or `{"int": …}`.

pub mod base64;
mod decode;
mod encode;
mod value;

pub use decode::{JsonlDecoder, read_event};
pub use encode::{JsonlEncoder, event_json};

/// Version of this format, in the first line.
const VERSION: u64 = 1;

/// Longest line that is read; the longest that is written is shorter.
const JSONL_LINE_BYTES_MAX: usize = 8 * 1024 * 1024;
