//! ContainerSSH's audit log: versions 1 and 2 read, version 2 written, and the JSON lines that its
//! own decoder prints.
//!
//! One log is one SSH connection, and becomes one recording of kind `ssh`. Its message types and
//! the events they are here stand in one table (`table.rs`). What a message says beyond that
//! travels in fields named `containerssh.…`, so that a log that was imported is written again as
//! it was. Bytes of a stream are data events; which channel they belong to is said by a fact
//! `channel.data` before them wherever it changes.

mod cbor;
mod decode;
mod encode;
mod header;
mod inflate;
mod json;
mod log;
mod message;
mod script;
mod table;
#[cfg(test)]
mod tests;

pub use decode::ContainerSshDecoder;
pub use encode::ContainerSshEncoder;
pub use json::ContainerSshJsonEncoder;

use hansard_core::{Fields, Value};

/// Whether a file that begins like this is a ContainerSSH log.
#[must_use]
pub fn guess(beginning: &[u8]) -> bool {
    beginning.starts_with(b"ContainerSSH-Auditlog\0")
}

/// Fields that hold what a recording has no place for.
mod field {
    /// Number of the message type.
    pub(super) const TYPE: &str = "containerssh.type";
    /// In the header: version of the log, whose presence says that the recording was one.
    pub(super) const VERSION: &str = "containerssh.version";
    /// In the header: the connection id. In a fact: another than that.
    pub(super) const CONNECTION: &str = "containerssh.connection_id";
    /// Time of a message, nanoseconds since 1970, where the event's own time is another.
    pub(super) const TIMESTAMP: &str = "containerssh.timestamp";
    /// CBOR of keys, with their values, that nobody knows.
    pub(super) const EXTRA: &str = "containerssh.extra";
    /// The same inside the payload; or the payload of a type that has none.
    pub(super) const PAYLOAD_EXTRA: &str = "containerssh.payload_extra";
    /// CBOR of a whole message that is kept as it is.
    pub(super) const RAW: &str = "containerssh.raw";
    /// How many bytes of the data that follows are one message, where they are several events.
    pub(super) const BYTES: &str = "containerssh.bytes";
    /// Number of the SSH channel.
    pub(super) const CHANNEL: &str = "channel_id";
}

/// Events that are not in the table.
mod name {
    /// Which channel the data that follows belongs to.
    pub(super) const DATA: &str = "channel.data";
    /// A message of a type that is not known.
    pub(super) const UNKNOWN: &str = "containerssh.unknown";
    /// A message that is not made as its type demands.
    pub(super) const ODD: &str = "containerssh.odd";
    /// The file had a gzip trailer, which their writer never writes.
    pub(super) const TRAILER: &str = "containerssh.trailer";
}

/// The size that a terminal's or window's fields say, if it is one that a screen can have.
fn size_of(fields: &Fields) -> Option<(u16, u16)> {
    let side = |name| {
        let n = fields.get(name).and_then(Value::as_uint).unwrap_or(0);
        u16::try_from(n).unwrap_or(u16::MAX)
    };
    let size = (side("columns"), side("rows"));
    (size.0 > 0 && size.1 > 0).then_some(size)
}
