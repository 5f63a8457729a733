//! Every bound of this crate, in one place, each with what happens at it.

use std::time::Duration;

/// Default of [`crate::local::Config::connections_max`].
pub const CONNECTIONS_MAX: usize = 1024;

/// Default of [`crate::local::Config::connections_of_user_max`].
pub const CONNECTIONS_OF_USER_MAX: usize = 128;

/// How many connections of one user are few. Of all places that there are a share is kept for users with fewer: one in
/// [`PLACES_KEPT_OF`], at least [`PLACES_KEPT_MIN`], at most half. Others are refused there, with that word.
pub(crate) const PLACES_FEW: usize = 8;

/// See [`PLACES_FEW`].
pub(crate) const PLACES_KEPT_OF: usize = 5;

/// See [`PLACES_FEW`].
pub(crate) const PLACES_KEPT_MIN: usize = 16;

/// How long a program may take to introduce its session. At the bound it is refused.
pub(crate) const OPEN_WAIT_MAX: Duration = Duration::from_secs(10);

/// How long a program may refuse to read an answer. At the bound it counts as gone.
pub(crate) const ANSWER_WAIT_MAX: Duration = Duration::from_secs(5);

/// Default of [`crate::local::Config::end_wait`]: a program hangs what it runs up, and
/// kills it after two seconds.
pub const END_WAIT_MAX: Duration = Duration::from_secs(10);

/// Default of [`crate::local::Config::stop_wait`].
pub const STOP_WAIT_MAX: Duration = Duration::from_secs(5);

/// How long a stopping daemon waits for recordings to become durable, beyond what their policy
/// holds. At the bound they are left to the next start, which revives them.
pub const STOP_DURABLE_MAX: Duration = Duration::from_secs(5);

/// Refusals that come within this time of one that was told are counted, and told with the next
/// one after it: nobody fills the diary by knocking.
pub(crate) const REFUSED_EVERY: Duration = Duration::from_secs(1);

/// How often a stopping daemon looks whose time is over.
pub(crate) const STOP_LOOK_EVERY: Duration = Duration::from_millis(200);

/// How long nothing is accepted after the system had no descriptor or thread for a connection.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Longest reason and name that whoever ends a session may give, in bytes. The rest is cut.
pub(crate) const REASON_BYTES_MAX: usize = 1024;

/// Longest command line shown in a list of sessions, in bytes. The rest is cut.
pub(crate) const COMMAND_BYTES_MAX: usize = 256;

/// How long a login, and its recording's end, waits until it is written in the list of who is logged
/// in, which everybody may lock. At the bound it goes on, and is written later.
pub(crate) const WRITTEN_WAIT_MAX: Duration = Duration::from_secs(1);

/// Most changes that wait to be written to that list. At the bound logins are not listed.
pub(crate) const LISTED_WAITING_MAX: usize = 1024;
