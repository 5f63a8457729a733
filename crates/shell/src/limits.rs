//! Every bound of this crate, in one place, each with what happens at it.

use std::time::Duration;

/// Most bytes read from a pipe before they are written on. At the bound they are recorded and
/// written out, and reading goes on afterwards.
pub(crate) const READ_BYTES: usize = 64 * 1024;

/// Most bytes read from a program's terminal before they are shown: two of the kernel's portions.
/// A pty holds less than 20 KiB, so with larger pieces the program waits while the screen is
/// written to, and the screen while the program is read from.
pub(crate) const READ_TERMINAL_BYTES: usize = 2 * 4095;

/// A read of a pty shorter than this means that the program has said all it had to say for now:
/// show it at once instead of asking the kernel for more. (A pty hands out 4095 bytes at most.)
pub(crate) const READ_SHORT_BYTES: usize = 2048;

/// Rounds of reading and showing without a look at keys and signals. At the bound one look is
/// taken, so an interrupt key waits for at most this many times [`READ_TERMINAL_BYTES`].
pub(crate) const ROUNDS_UNPOLLED_MAX: u32 = 16;

/// Most bytes typed and not yet taken by the program. At the bound no more are read from the
/// terminal, which makes whoever types wait.
pub(crate) const TYPED_BYTES: usize = 4096;

/// What is asked of the kernel as size of each pipe; a refusal changes nothing but speed.
pub(crate) const PIPE_BYTES: usize = 256 * 1024;

/// After the program's end, what it left behind in the terminal is read up to this many bytes
/// (the kernel keeps less than 100 KiB): a background process that never stops writing cannot keep
/// the session open.
pub(crate) const DRAIN_BYTES_MAX: usize = 512 * 1024;

/// How often it is asked who still holds an output pipe whose program has ended.
pub(crate) const HOLDERS_EVERY: Duration = Duration::from_millis(200);

/// How long a pipe may stay silent after its program's end when nobody can say who holds it. At
/// the bound the session ends.
pub(crate) const HOLDERS_UNKNOWN_MAX: Duration = Duration::from_secs(10);

/// Typed bytes are kept back from the recording for this long, and dropped when the terminal
/// turns out to hide them meanwhile.
pub(crate) const TYPED_HOLD: Duration = Duration::from_secs(1);

/// How often the terminal's modes are looked at while typed bytes are kept back.
pub(crate) const TYPED_LOOK_EVERY: Duration = Duration::from_millis(20);

/// Most typed bytes kept back. At the bound the oldest are stored at once, or, where only lines that were
/// shown are, the oldest lines dropped.
pub(crate) const TYPED_HELD_BYTES: usize = 64 * 1024;

/// Most typed bytes of a run that has no end yet, at a terminal that only passes keys on. At the bound they are forgotten, and
/// what comes until Enter.
pub(crate) const TYPED_OPEN_BYTES_MAX: usize = 4096;

/// An output later than this after a key is no answer to it.
pub(crate) const ANSWER_MAX: Duration = Duration::from_millis(250);

/// Outputs that follow upon each other within this are one.
pub(crate) const BURST_GAP: Duration = Duration::from_millis(30);

/// Where more than one output came by itself within this, none is taken for an answer, until for as long none did. More
/// than a second: clocks.
pub(crate) const CALM: Duration = Duration::from_millis(1250);

/// Most keys in a row without an answer, in a run that was answered.
pub(crate) const SILENT_KEYS_MAX: usize = 2;

/// So many keys in a row that were answered let a run be stored as far as them before it ends.
pub(crate) const ANSWERED_IN_A_ROW: usize = 4;

/// A longer output is no star in place of a key.
pub(crate) const MASK_BYTES_MAX: usize = 64;

/// Lines that wait and are looked for in an output; later ones are when those are settled.
pub(crate) const LINES_LOOK_MAX: usize = 32;

/// How long it is remembered which terminals are behind another, while the same group has that in its foreground.
pub(crate) const INNER_KEPT: Duration = Duration::from_millis(200);

/// Terminals behind one another, processes of a group, descriptors of a process, and terminals in all that are looked at;
/// what is beyond counts as not found.
pub(crate) const INNER_DEEP_MAX: usize = 4;
pub(crate) const INNER_PROCESSES_MAX: usize = 8;
pub(crate) const INNER_FDS_MAX: usize = 64;
pub(crate) const INNER_TERMINALS_MAX: usize = 8;

/// Bytes of the current output line that prompt patterns see: the last ones.
pub(crate) const LINE_BYTES: usize = 256;

/// The longest line that can be seen to have been shown. Where only such lines are stored, a longer one is
/// forgotten to its end.
pub(crate) const LINE_SHOWN_BYTES_MAX: usize = 2 * LINE_BYTES;

/// Of a large piece of output, only this many bytes at its end are looked at for a prompt.
pub(crate) const LINE_LOOK_BYTES: usize = 4096;

/// Longest prompt pattern; longer ones are refused.
pub(crate) const PATTERN_BYTES_MAX: usize = 1024;

/// When a session is ended from outside: after this long, a signal that the program ignored is
/// followed by a hangup.
pub(crate) const HANGUP_AFTER: Duration = Duration::from_secs(1);

/// Longest argument list kept in a session's header, in bytes; the rest is cut, and
/// `argv_truncated` says so.
pub(crate) const ARGV_BYTES_MAX: usize = 32 * 1024;

/// How often whoever holds a login's terminal looks at its size, and at who has it, by itself: a
/// login that is stopped says nothing. Until then a change that nobody tells is not seen.
pub(crate) const HELD_LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long a login tries to reach the daemon. At the bound it is refused.
pub(crate) const DAEMON_WAIT_MAX: Duration = Duration::from_secs(10);

/// How long a login waits between two attempts to reach the daemon.
pub(crate) const DAEMON_RETRY_EVERY: Duration = Duration::from_millis(100);

/// How long the daemon may take to grant a login beyond what it holds a session back, and to deliver output to whoever
/// hung up or was told to end. At the bound the login is refused, or ends undelivered and says so.
pub(crate) const GRANT_WAIT_MAX: Duration = Duration::from_secs(40);

/// How long a login's program has to end after it was hung up, before it is killed.
pub(crate) const LOGIN_GRACE: Duration = Duration::from_secs(2);

/// Longest list of accounts that may log in without a daemon, in bytes; of a longer one nothing
/// counts.
pub(crate) const LISTED_BYTES_MAX: u64 = 64 * 1024;

/// Longest entry of the user database that is taken from the system, in bytes; an account or a group
/// with a longer one is known by its number alone. (Of a group all members are in it.)
pub(crate) const ACCOUNT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Most groups of an account, the kernel's own bound; beyond it the first ones count.
pub(crate) const GROUPS_MAX: usize = 65_536;

/// Longest `/etc/tlog/tlog-rec-session.conf`, in bytes; of a longer one nothing counts, and `check`
/// says so.
pub(crate) const TLOG_CONF_BYTES_MAX: u64 = 64 * 1024;
