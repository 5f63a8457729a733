//! Every bound of ingest, in one place, each with what happens at it.

use std::time::Duration;

/// Connections at the same time, of so many hosts at most: one that comes again is there twice until
/// its old connection has ended. One more is closed at once.
#[must_use]
pub fn connections_max(hosts_max: usize) -> usize {
    hosts_max.saturating_mul(2).saturating_add(STRANGERS_MAX)
}

/// Connections of one host; with one more, the oldest is ended.
pub const PEER_CONNECTIONS_MAX: usize = 4;

/// Connections that are shaking hands or have shown no certificate; one more is closed at once.
pub const STRANGERS_MAX: usize = 256;

/// The same from one address.
pub const STRANGERS_PER_ADDRESS_MAX: usize = 32;

/// How long TLS may take; then the connection is closed.
pub const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// How long a connection may live without a stream; then it is closed.
pub const STREAMLESS_MAX: Duration = Duration::from_secs(20);

/// Requests at the same time on one connection; further ones are refused by HTTP/2.
pub const REQUESTS_MAX: u32 = 4;

/// Bytes of a request's headers; with more it is refused by HTTP/2.
pub const HEADERS_BYTES_MAX: u32 = 16 * 1024;

/// Bytes of the body of a small request; a longer one is answered with 413.
pub const SMALL_BODY_BYTES_MAX: usize = 64 * 1024;

/// How long the body of a small request may take; then it is answered with 408.
pub const SMALL_BODY_MAX: Duration = Duration::from_secs(10);

/// Small requests that are worked on at the same time; further ones wait.
pub const SMALL_REQUESTS_MAX: usize = 8;

/// Bytes that a host may have sent and we have not read, and so what HTTP/2 holds for one
/// connection; at it, the host waits. Two thousand hosts that come back at once fill 128 MiB.
pub const WINDOW_BYTES: u32 = 64 * 1024;

/// Bytes that wait to be sent to one host; at it, nothing more is said to it.
pub const SEND_BUFFER_BYTES: usize = 16 * 1024;

/// How long a host may take to read what was said to it; then the connection is ended.
pub const SAY_MAX: Duration = Duration::from_secs(30);

/// Silence of a host, which pings every 10 s, after which the connection is ended.
pub const SILENCE_MAX: Duration = Duration::from_secs(60);

/// How long one message longer than [`FREE_BYTES`] may take; then the connection is ended.
pub const LARGE_MESSAGE_MAX: Duration = Duration::from_secs(60);

/// Bytes of parts that are put together; further ones go into the next batch.
pub const BATCH_BYTES: usize = 256 * 1024;

/// Parts that are put together.
pub const BATCH_PARTS: usize = 512;

/// Bytes that a connection may gather without asking.
pub const FREE_BYTES: usize = 32 * 1024;

/// Bytes beyond those that all connections together may gather; at it, they wait their turn.
pub const GATHERED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Batches that are put at the same time; further ones wait in turn of asking.
pub const PUTS_MAX: usize = 32;

/// First and longest wait before a batch that did not fit on the disk is put again.
pub const PUT_AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// How often a host that is not read from is told so.
pub const BUSY_EVERY: Duration = Duration::from_secs(5);

/// How long a host that is told so sends nothing new.
pub const BUSY_PAUSE: Duration = Duration::from_secs(1);

/// Sessions that one connection remembers. With more, one that is complete so far is forgotten,
/// which costs a look into the catalog when it goes on; if there is none, a new one is to be
/// offered again later.
pub const SESSIONS_MAX: usize = 4096;

/// Controls that wait to be said to one host; one more is not taken.
pub const CONTROLS_MAX: usize = 64;

/// How often a connection looks whether a segment was stored that nobody told it of.
pub const LOOK_EVERY: Duration = Duration::from_secs(30);

/// How often it is looked whether somebody was locked out.
pub const ADMISSION_EVERY: Duration = Duration::from_millis(500);

/// How often it is looked whether a certificate has ended or a lock has begun with time.
pub const EXPIRY_EVERY: Duration = Duration::from_secs(5);

/// Strangers turned away that are told of in one second; the others are only counted.
pub const STRANGERS_TOLD_MAX: u32 = 5;

/// Sessions of one host of which is told within an hour that they are not taken, as many as one connection
/// remembers; others are only counted.
pub const NOT_TAKEN_TOLD_MAX: u32 = 4096;
