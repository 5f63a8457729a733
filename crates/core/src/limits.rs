//! Every bound of the format, in one place, each with what happens at it.
//!
//! Writers stay inside them; readers refuse what lies outside before they allocate for it.

/// Version of the segment format that this crate writes.
pub const FORMAT_VERSION: u8 = 1;

/// Raw bytes of events after which a writer closes the current frame. One event more may follow
/// than fits: a frame's raw size stays below [`FRAME_RAW_BYTES_MAX`].
pub const FRAME_CUT_BYTES: usize = 64 * 1024;

/// Events after which a writer closes the current frame.
pub const FRAME_CUT_EVENTS: usize = 8192;

/// Nanoseconds after its first event at which a writer closes the current frame: 900 ms, so that
/// it has 100 ms left to be durable within the 1 s that is promised.
pub const FRAME_CUT_NS: u64 = 900_000_000;

/// The same while somebody follows: 80 ms, of the 100 ms that are promised.
pub const FRAME_CUT_FOLLOWED_NS: u64 = 80_000_000;

/// Stored bytes after which a writer seals the current segment.
pub const SEGMENT_SEAL_BYTES: u64 = 256 * 1024;

/// Nanoseconds after its first event at which a writer seals the current segment: 60 s.
pub const SEGMENT_SEAL_NS: u64 = 60_000_000_000;

/// Raw bytes after which a writer seals the current segment, whatever they compressed to: keeps
/// the work to reach any moment inside a segment bounded.
pub const SEGMENT_SEAL_RAW_BYTES: u64 = 16 * 1024 * 1024;

/// Longest encoded body of one event. Data longer than this is split into several events by the
/// writer; any other body is refused with an error that names the limit.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Readers refuse a frame whose stored payload is declared longer than this.
pub const FRAME_STORED_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Readers stop decompressing a frame at this size and call it damaged.
pub const FRAME_RAW_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Readers refuse a frame that declares more events than this.
pub const FRAME_EVENTS_MAX: usize = 65_536;

/// Readers refuse a segment that holds more frames than this.
pub const SEGMENT_FRAMES_MAX: u32 = 1 << 20;

/// Readers refuse a segment that decompresses to more than this.
pub const SEGMENT_RAW_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Readers refuse a seal declared longer than this; a segment header's length has 16 bits.
pub const HEADER_BYTES_MAX: usize = 64 * 1024 - 1;

/// Readers refuse a zstd window larger than 2 to this power (8 MiB).
pub const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// Deepest nesting of lists inside a field's value.
pub const VALUE_DEPTH_MAX: usize = 4;

/// Memory that a session's header takes at most, bytes ([`crate::Session::memory_bytes`]). A file's may
/// take more; a daemon, which keeps those of many sessions at a time, takes none that does: of fields
/// that compress well, a few hundred stored bytes make a megabyte.
pub const SESSION_MEMORY_BYTES_MAX: usize = 512 * 1024;

/// Most fields in one event, and most elements in one list.
pub const FIELDS_MAX: usize = 4096;
