//! From a host's spool to a service, and the messages that travel between them.
//!
//! - [`wire`]: the messages of the long stream, byte by byte; pure, so that it can be fuzzed

pub mod wire;
