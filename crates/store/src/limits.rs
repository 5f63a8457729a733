//! Every bound of the store, in one place, each with what happens at it.

/// Longest segment that is taken, in stored bytes; a longer one is refused. Writers seal at 256 KiB
/// and one frame more, which is 3 MiB at the very most.
pub const SEGMENT_STORED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Stored bytes at which a pack is full and written.
pub const PACK_BYTES: u64 = 5 * 1024 * 1024;

/// Segments at which a pack is full, and above which a pack's table is called damaged.
pub const PACK_SEGMENTS_MAX: usize = 65_536;

/// Age of a pack's first segment, in nanoseconds, at which the pack is written though it is not
/// full: 30 s.
pub const PACK_AGE_NS: u64 = 30_000_000_000;

/// Stored bytes of packs that wait because a store fails; beyond them the archive answers "retry".
pub const WAITING_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Ends of chains that an archive remembers; beyond them those without waiting segments are
/// forgotten, and asked from the catalog when next needed.
pub const TIPS_MAX: usize = 100_000;

/// Times that a pack whose name is taken by other bytes gets another name; then it waits, and the
/// alarm is raised again at each attempt.
pub const PACK_ATTEMPTS_MAX: u8 = 8;

/// Longest blob; a longer one is refused, and so is a longer range of one.
pub const BLOB_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Blobs in one listing; a longer one is lowered to this.
pub const BLOB_LIST_MAX: usize = 10_000;

/// Blobs that are made durable together; further ones wait for the next group.
pub const BLOB_GROUP_MAX: usize = 256;

/// Files or directories of a group that are synced one by one; with more, the whole file system is,
/// with one call.
pub const BLOB_SYNC_EACH_MAX: usize = 4;

/// Heads that a catalog advances in one transaction; further ones wait for the next.
pub const CATALOG_ADVANCES_MAX: usize = 1024;

/// Rows of events that a catalog takes in one call; more are refused.
pub const CATALOG_EVENTS_MAX: usize = 16_384;

/// Connections that read a database at the same time; further readers wait.
pub const CATALOG_READERS_MAX: usize = 4;

/// Rows of one page; a query that wants more gets this many, and how to go on.
pub const QUERY_ROWS_MAX: usize = 1000;

/// Longest text in a row that is there to be searched by (user, host, kind, name, title, reason), in
/// bytes; a longer one is cut. The recording has it all.
pub const ROW_TEXT_BYTES_MAX: usize = 256;

/// Longest facts of an event's row, in bytes of JSON: what a document's bound is, so none is longer.
pub const ROW_FACTS_BYTES_MAX: usize = hansard_view::limits::DOCUMENT_BYTES_MAX;

/// Labels of a host that a session's row holds; further ones are not there to be found by.
pub const ROW_LABELS_MAX: usize = 32;

/// Rows of events that a projection gathers before it writes them.
pub const PROJECT_ROWS: usize = 8192;

/// Sessions whose header and counts a projection remembers; beyond them it writes what it has,
/// forgets all, and asks the stores.
pub const PROJECT_SESSIONS_MAX: usize = 10_000;

/// Memory of those headers, bytes; beyond it the same happens.
pub const PROJECT_HEADERS_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Segments that reindexing looks at in one round; with more, it reads the packs' tables again for
/// the next round.
pub const REINDEX_ENTRIES_MAX: usize = 250_000;

/// Problems that one reading of a session lists; further ones are only counted.
pub const PROBLEMS_LISTED_MAX: usize = 100;

/// Rows of events of deleted sessions that are removed in one transaction.
pub const SWEEP_ROWS: usize = 4096;

/// Doomed blobs, and expired sessions, that retention looks at at once.
pub const RETENTION_BATCH: usize = 100;

/// Share of a pack's bytes that must be dead, per cent, for it to be written again without them;
/// with less it waits for others of its sessions to expire.
pub const REPACK_DEAD_PERCENT: u64 = 50;
