//! Every bound of the SSH node, and what happens at it.

use std::time::Duration;

/// Default of [`super::Config::connections_max`]. One more is closed before a byte is read, and told.
pub const CONNECTIONS_MAX: usize = 500;

/// Default of [`super::Config::unknown_max`]: connections of people who have not signed in. One more is
/// closed at once, so that a flood of strangers takes no place of those who are in.
pub const UNKNOWN_MAX: usize = 100;

/// Default of [`super::Config::unknown_of_address_max`]: the same of one address (of one /64 of IPv6).
pub const UNKNOWN_OF_ADDRESS_MAX: usize = 10;

/// Default of [`super::Config::login_grace`]. A connection that has not signed in by then is closed.
pub const LOGIN_GRACE: Duration = Duration::from_secs(60);

/// Attempts to sign in on one connection. After the last one it is closed.
pub(super) const ATTEMPTS_MAX: usize = 6;

/// Keys that one connection may offer; they cost no attempt, so they have a bound of their own.
pub(super) const OFFERS_MAX: usize = 4 * ATTEMPTS_MAX;

/// How long an attempt that fails takes at least, so that nothing is learnt from how long it took.
pub(super) const REJECTION_TIME: Duration = Duration::from_millis(100);

/// Channels of one connection at a time, as OpenSSH's `MaxSessions`. One more is refused.
pub(super) const CHANNELS_MAX: usize = 10;

/// Variables that are set in one channel; more are refused.
pub(super) const VARIABLES_MAX: usize = 64;

/// Longest name and value of a variable together, bytes; a longer one is refused.
pub(super) const VARIABLE_BYTES_MAX: usize = 16 * 1024;

/// Longest command, bytes; a longer one is refused.
pub(super) const COMMAND_BYTES_MAX: usize = 128 * 1024;

/// Longest type of a terminal, bytes; a longer one is refused.
pub(super) const TERM_BYTES_MAX: usize = 128;

/// Bytes that wait for one program to read them. At the bound nothing more is read from the connection,
/// until it does: its other channels wait as well (docs/ssh-node.md). While it reads nothing at all, as many
/// again come in, slowly (`room`).
pub(super) const INPUT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The longest packet that is sent or taken.
pub(super) const PACKET_BYTES: usize = 32 * 1024;

/// What is read at a time from a program, or from whoever a forward leads to: as much as a pipe holds.
pub(super) const PIECE_BYTES: usize = 64 * 1024;

/// Messages of a channel that may be on their way from the connection to what runs in it; one more is waited for, and
/// the connection with it. A connection that is over leaves as many behind at most.
pub(super) const CHANNEL_MESSAGES_MAX: usize = 100;

/// What waits for a program that has not been asked for yet, bytes: as much as a client may send into a new channel. More
/// ends the connection.
pub(super) const EARLY_BYTES_MAX: usize = WINDOW_BYTES as usize;

/// What a message counts there besides what is in it, bytes.
pub(super) const EARLY_MESSAGE_BYTES: usize = 256;

/// What a pipe to or from a program may hold once it was full, as much as one of anybody may by the system's own
/// bound. One that never pours keeps what it was made with (64 KiB).
pub(super) const PIPE_BYTES: usize = 1024 * 1024;

/// Pieces of input that are handed to a program at once; the others follow.
pub(super) const PIECES_AT_ONCE: usize = 64;

/// What is read of a connection at once while it pours.
pub(super) const GATHERED_BYTES: usize = 128 * 1024;

/// Bytes that wait for the recorder of what is no terminal, and so may pour. While a disk syncs a batch the next one
/// comes together; at the bound the stream waits. A daemon that is killed takes two of these with it at most, and no more
/// than usual where something has waited for a second ([`hansard_record::Options::queue_bytes`]).
pub(super) const STREAM_QUEUE_BYTES: usize = 4 * 1024 * 1024;

/// Most bytes that a peer may send into a new channel before it is told to go on.
pub(super) const WINDOW_BYTES: u32 = 2 * 1024 * 1024;

/// What a channel that streams is to reach over a long line, bytes per second.
pub(super) const STREAM_BYTES_PER_SECOND: u64 = 100_000_000;

/// The same at most once half of that has come in, in all channels of the connection, by how far away the peer is
/// (`distance`). It sends a window at most in the time of a round trip, and half of it where it has to wait for word:
/// 100 MB/s at 167 ms. Nothing is kept for it, for it is no promise of memory: what waits is bounded by [`INPUT_BYTES_MAX`],
/// [`FORWARD_BYTES_MAX`] and [`FAR_OUTPUT_BYTES_MAX`], and beyond them nothing is read.
pub(super) const STREAM_WINDOW_BYTES: u32 = 32 * 1024 * 1024;

/// How long a program has to end after it was hung up, before what is left is killed or left alone.
pub(super) const HANGUP_GRACE: Duration = Duration::from_secs(2);

/// How long output of a terminal is waited for after its program ended, while others that it started
/// still hold the terminal.
pub(super) const LAST_OUTPUT: Duration = Duration::from_millis(100);

/// How long a connection's channels have to end after it is gone. At the bound it ends without them: their
/// recordings end with what there is, and say so.
pub(super) const CHANNELS_END_MAX: Duration = Duration::from_secs(10);

/// Forwarded connections of one SSH connection at a time; one more is refused.
pub(super) const FORWARDS_MAX: usize = 100;

/// Bytes of all forwards of one SSH connection that wait for those they go to. At the bound nothing more is
/// read from the connection until somebody takes some.
pub(super) const FORWARD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Ports and sockets that one SSH connection has listened at; one more is refused.
pub(super) const LISTENING_MAX: usize = 16;

/// Longest name of a protocol and longest cookie of a display, bytes; a longer one is refused.
pub(super) const X11_WORD_BYTES_MAX: usize = 256;

/// Highest number of a display's screen; a higher one is refused.
pub(super) const X11_SCREEN_MAX: u32 = 400;

/// How long an account's file of keys may take to be read; whoever shows a key meanwhile is refused.
pub(super) const KEYS_READ_MAX: Duration = Duration::from_secs(10);

/// How long xauth(1) has to take a cookie, which may wait for its file's lock. After it the display is refused.
pub(super) const XAUTH_MAX: std::time::Duration = std::time::Duration::from_secs(10);

/// How long a target of a forward has to take a connection, for each of its addresses, and how long a
/// client has to take one that came in for it. After it the forward is refused.
pub(super) const FORWARD_CONNECT_MAX: Duration = Duration::from_secs(10);

/// How long a target of the proxy may take for its handshake, and again to let in. After it the connection
/// is ended.
pub(super) const TARGET_HANDSHAKE_MAX: Duration = Duration::from_secs(20);

/// How long the agent of whoever goes to a target may take to answer, its owner being asked perhaps. After it
/// it is asked nothing more: what it answers late would be taken for something else.
pub(super) const AGENT_ANSWER_MAX: Duration = Duration::from_secs(60);

/// Keys of an agent that are offered to a target; OpenSSH's counts six attempts. Those after them are not tried.
pub(super) const AGENT_KEYS_MAX: usize = 5;

/// Times that a target may ask something when it is given a password as an answer. After it, it is left.
pub(super) const QUESTIONS_MAX: usize = 4;

/// How long a target may take to answer a request. After it the request is refused.
pub(super) const TARGET_ANSWER_MAX: Duration = Duration::from_secs(30);

/// Output of one program on a target that waits to be recorded and sent, bytes. At the bound nothing more
/// is read from the target until some was: the connection's other channels wait as well.
pub(super) const FAR_OUTPUT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Longest file of targets' keys, bytes. Nobody is led anywhere while it is longer.
pub(super) const KNOWN_HOSTS_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// How often somebody who says nothing is asked whether they are there.
pub(super) const ALIVE_EVERY: Duration = Duration::from_secs(30);

/// How often in a row that may go unanswered. After it the connection counts as gone.
pub(super) const ALIVE_MAX: usize = 3;

/// How long the library may read nothing of a client that has hung up. After it the connection counts as gone,
/// whatever it waits for.
pub(super) const HANGUP_IDLE_MAX: Duration = Duration::from_secs(5);

/// How long it may take to come to the end of what such a client sent before. After it the rest is not read.
pub(super) const HANGUP_READ_MAX: Duration = Duration::from_secs(120);

/// How long a stopping node waits for its connections. At the bound they are left to the next start,
/// which revives their recordings.
pub(super) const STOP_MAX: Duration = Duration::from_secs(15);

/// How often typed bytes that wait are looked at.
pub(super) const TYPED_LOOK_EVERY: Duration = Duration::from_millis(100);

/// Longest line of the library's own log that is looked at, bytes; the rest of it is cut.
pub(super) const SIGHTING_BYTES_MAX: usize = 1024;

/// Longest packet of SFTP, bytes (OpenSSH's own bound). A longer one ends the session.
pub(super) const SFTP_PACKET_BYTES_MAX: usize = 256 * 1024;

/// Requests of SFTP that wait for an answer at a time; more end the session. OpenSSH's client has 64 under
/// way, others ask for the attributes of all that a directory holds at once.
pub(super) const SFTP_PENDING_MAX: usize = 65_536;

/// Files that are open over SFTP at a time, in one channel; more end the session.
pub(super) const SFTP_HANDLES_MAX: usize = 1024;

/// What a terminal may show at once, and in each second again, whoever types: dozens of screens. One that shows more
/// pours.
pub(super) const CALM_BYTES: f64 = 256.0 * 1024.0;

/// What all terminals that pour show in a second together, for each processor of the machine, while somebody types at
/// another one. Beyond it they wait, and so do their programs. More than anybody reads; of lines of two bytes a MiB takes
/// 0.4 s of a processor, most of it in the kernel's terminals and in full text.
pub(super) const POURED_PER_PROCESSOR: f64 = 512.0 * 1024.0;

/// What is read at a time of a terminal that is held back so: a page, as much as a terminal hands out at once. Its
/// program goes on with as much as was read, and no longer.
pub(super) const HELD_BYTES: usize = 4096;

/// How long after a key somebody counts as one who types.
pub(super) const TYPING: Duration = Duration::from_secs(1);
