//! How a program hands its session over to the daemon on its machine: messages on a stream socket.
//! Every byte is described in `formats/handoff.md`.
//!
//! ```text
//! program ── data ──▶ HandoffTape ── buffer ──▶ socket ──▶ daemon: Recorder ──▶ spool
//!                        ▲                        │
//!                        └── durable, lost, end ◀─┘
//! ```
//!
//! The daemon numbers, times and seals; what the program says of itself is a claim. [`message`] is
//! what is said, [`HandoffTape`] the program's half; the daemon's half is in the crate `capture`.

use std::io::{self, Read};

use hansard_core::limits::BODY_BYTES_MAX;
use hansard_core::wire::Malformed;

pub mod descriptors;
pub mod message;
mod tape;

pub use descriptors::Incoming;
pub use message::{Closed, FromClient, FromDaemon, Granted, Login, Open, Opened};
pub use tape::{Gone, HandoffTape, NotOpened};

/// Version of these messages; a daemon refuses another, and says which it speaks.
pub const VERSION: u64 = 1;

/// Longest message, its kind included: an event's kind and its body. A longer one is not read, and
/// ends the connection.
pub const MESSAGE_BYTES_MAX: usize = BODY_BYTES_MAX + 16;

/// Longest opening message and answer to it: a header with a long command line. A longer one is
/// not read.
pub const OPEN_BYTES_MAX: usize = 256 * 1024;

/// Most data in one message; more is sent as several.
pub const DATA_BYTES_MAX: usize = 64 * 1024;

/// What a program keeps for the daemon besides what is being written to the socket. When it is
/// full, the program waits.
pub const BUFFER_BYTES: usize = 512 * 1024;

/// What is asked of the kernel as the size of the socket's buffer. It takes twice that, and counts
/// its own costs into it.
pub const SOCKET_BYTES: usize = 128 * 1024;

/// Most bytes of data that are in no recorder when either side dies: the program's buffer, the one
/// being written, the socket's, and the message being read.
pub const LOSS_BYTES_MAX: u64 = (2 * BUFFER_BYTES + 2 * SOCKET_BYTES + 2 * DATA_BYTES_MAX) as u64;

/// Bytes before a message: its length, little-endian.
const LENGTH_BYTES: usize = 4;

/// Why a message was not read.
#[derive(Debug)]
pub enum ReadFailed {
    /// The socket failed, or ended inside a message.
    Io(io::Error),
    /// The other side does not keep to the protocol.
    Malformed(Malformed),
}

impl std::fmt::Display for ReadFailed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Malformed(what) => what.fmt(f),
        }
    }
}

impl std::error::Error for ReadFailed {}

impl From<io::Error> for ReadFailed {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Malformed> for ReadFailed {
    fn from(error: Malformed) -> Self {
        Self::Malformed(error)
    }
}

/// Reads the next message into `buffer` (kind first), which grows only as bytes really come.
/// `false` is an end between two messages.
///
/// # Errors
/// When the source fails or ends inside a message, or the message is longer than `max`.
pub fn read_message<R: Read>(
    source: &mut R,
    buffer: &mut Vec<u8>,
    max: usize,
) -> Result<bool, ReadFailed> {
    let mut length = [0; LENGTH_BYTES];
    let mut got = 0;
    while let Some(rest) = length.get_mut(got..).filter(|rest| !rest.is_empty()) {
        match source.read(rest) {
            Ok(0) if got == 0 => return Ok(false),
            Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            Ok(n) => got += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e.into()),
        }
    }
    let length = u32::from_le_bytes(length);
    match usize::try_from(length) {
        Ok(length) if (1..=max).contains(&length) => {}
        _ => {
            let what = format!("a message of {length} bytes where 1 to {max} are allowed");
            return Err(Malformed(what).into());
        }
    }
    buffer.clear();
    let read = source.take(u64::from(length)).read_to_end(buffer)?;
    if read as u64 != u64::from(length) {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    Ok(true)
}
