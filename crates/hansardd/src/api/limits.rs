//! Every bound of the API, each with what happens at it.

use std::time::Duration;

use super::places::Bounds;
use super::table::Op;

/// Connections of the admin socket at the same time; a further one is closed at once. More than
/// [`FOLLOWERS_MAX`], so that somebody can ask something while as many follow as may.
pub const CONNECTIONS_MAX: usize = 384;

/// Connections that are kept for root, whatever others do.
pub const CONNECTIONS_OF_ROOT: usize = 32;

/// Connections of one account that is not root; a further one is closed at once.
pub const CONNECTIONS_OF_ONE_MAX: usize = 64;

/// Connections of the admin socket.
pub(super) const CONNECTIONS: Bounds = Bounds {
    all: CONNECTIONS_MAX,
    kept: CONNECTIONS_OF_ROOT,
    own: CONNECTIONS_OF_ONE_MAX,
    own_first: CONNECTIONS_MAX,
};

/// Requests being answered at the same time, streams aside; further ones are told to come again.
pub const REQUESTS_MAX: usize = 32;

/// Of those, kept for administrators: whatever others ask for, they can lock them out.
pub const REQUESTS_OF_ADMINS: usize = 8;

/// Requests of one account, user or link that are being answered, administrators aside.
pub const REQUESTS_OF_ONE_MAX: usize = 8;

/// Requests being answered.
pub(super) const REQUESTS: Bounds = Bounds {
    all: REQUESTS_MAX,
    kept: REQUESTS_OF_ADMINS,
    own: REQUESTS_OF_ONE_MAX,
    own_first: REQUESTS_MAX,
};

/// Recordings being sent at the same time; further ones are told to come again.
pub const DOWNLOADS_MAX: usize = 16;

/// Of those, kept for administrators.
pub const DOWNLOADS_OF_ADMINS: usize = 4;

/// Recordings being sent to one account, user or link, administrators included.
pub const DOWNLOADS_OF_ONE_MAX: usize = 4;

/// Recordings being sent.
pub(super) const DOWNLOADS: Bounds = Bounds {
    all: DOWNLOADS_MAX,
    kept: DOWNLOADS_OF_ADMINS,
    own: DOWNLOADS_OF_ONE_MAX,
    own_first: DOWNLOADS_OF_ONE_MAX,
};

/// Films being made at the same time; further ones are told to come again. Each takes a processor and
/// up to 200 MiB. One account, user or link has one of them.
pub const FILMS_MAX: usize = 2;

/// Films being made.
pub(super) const FILMS: Bounds = Bounds {
    all: FILMS_MAX,
    kept: 0,
    own: 1,
    own_first: 1,
};

/// How long a recording is read for a film; one for which that does not do is refused. An answer that
/// is a film may take as long again.
pub const FILM_MAX: Duration = Duration::from_secs(120);

/// How long a recording is read before a copy of it is sent, so that what the copy lacks is said first; of one
/// for which that does not do, nothing is.
pub const LOOK_AHEAD_MAX: Duration = Duration::from_secs(60);

/// Streams that follow a session or the events at the same time; further ones are told to come
/// again. Each has a thread: half of those that the runtime has for what blocks.
pub const FOLLOWERS_MAX: usize = 256;

/// Of those, kept for administrators.
pub const FOLLOWERS_OF_ADMINS: usize = 32;

/// Streams of one account, user or link, administrators included: nobody keeps others from looking on.
pub const FOLLOWERS_OF_ONE_MAX: usize = 64;

/// Streams that follow something.
pub(super) const FOLLOWERS: Bounds = Bounds {
    all: FOLLOWERS_MAX,
    kept: FOLLOWERS_OF_ADMINS,
    own: FOLLOWERS_OF_ONE_MAX,
    own_first: FOLLOWERS_OF_ONE_MAX,
};

pub use super::refusals::{REFUSALS_TOLD_MAX, REFUSALS_WINDOW, REFUSED_USERS_MAX};

/// Bytes that hyper gathers for the head of a request; a longer head is refused.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Longest body of a request, in bytes; a longer one is refused.
pub const BODY_BYTES_MAX: usize = 16 * 1024;

/// Longest body of a request that brings a policy, in bytes: its text may be escaped; a longer one
/// is refused.
pub const POLICY_BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Longest value of a parameter, in bytes; a longer one is refused.
pub const PARAM_BYTES_MAX: usize = 1024;

/// How long a request's head, or its body, may take to arrive; then the connection is closed. An
/// idle connection is closed after the same time.
pub const ARRIVAL_MAX: Duration = Duration::from_secs(10);

/// How long an answer that is not a stream may take; then the caller is told to come again.
pub const ANSWER_MAX: Duration = Duration::from_secs(60);

/// The same for what a route does: a film is made before it is answered.
pub(super) const fn answer_max(op: Op) -> Duration {
    match op {
        Op::Export => FILM_MAX.saturating_mul(2),
        _ => ANSWER_MAX,
    }
}

/// How long whoever reads an answer, or a stream, may take nothing; then the connection is cut.
pub const SLOW_READER_MAX: Duration = Duration::from_secs(30);

/// How often it is asked whether somebody at the admin socket may still have an answer that goes on.
pub const AGAIN: Duration = Duration::from_secs(1);

/// Pieces of a stream that wait for its reader; with more, whoever makes them waits, too.
pub const STREAM_PIECES: usize = 4;

/// Bytes of a recording in one piece.
pub const PIECE_BYTES: usize = 64 * 1024;

/// A stream in which nothing happens says so this often, so that both ends know that the other is
/// there.
pub const HEARTBEAT: Duration = Duration::from_secs(5);

/// How long one wait for something new takes at most: how late a stream notices that the service
/// stops.
pub const WAIT_MAX: Duration = Duration::from_millis(500);

/// Documents of the event log that are taken at once.
pub const BATCH_MAX: usize = 256;

/// Rows of tokens and hosts on one page; the answer says how to go on.
pub const PAGE_MAX: usize = 1000;

/// Segments that were not made rows of yet are counted up to this many; the answer says "at least".
pub const BEHIND_MAX: usize = 1000;

/// How long connections get to finish when the service stops; then they are cut.
pub const STOP_MAX: Duration = Duration::from_secs(5);
