//! Every bound of this crate, in one place, each with what happens at it.

/// Widest screen that is emulated. A wider terminal is shown with this many columns; the event
/// keeps the true size.
pub const SCREEN_COLS_MAX: u16 = 640;

/// Highest screen that is emulated, as [`SCREEN_COLS_MAX`].
pub const SCREEN_ROWS_MAX: u16 = 250;

/// Most cells that wrapping lines anew may copy: rows × columns² ÷ new columns. The emulator takes
/// memory for all of them; where there would be more, the screen is narrowed by halves, and what
/// leaves it is forgotten on the way.
pub const REFLOW_CELLS_MAX: usize = 2_000_000;

/// Size of a screen until something says otherwise.
pub const SCREEN_DEFAULT: (u16, u16) = (80, 24);

/// Longest line that a decoder of a line format accepts. A longer one is an error that names the
/// line; nothing behind it is read.
pub const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Longest header line of an asciicast. Longer: an error.
pub const HEADER_LINE_BYTES_MAX: usize = 1024 * 1024;

/// Most values (commas and opening brackets outside strings) in one line of JSON that is read
/// into memory as a whole. More: an error, before anything is allocated for them.
pub const JSON_VALUES_MAX: usize = 400_000;

/// Latest moment a foreign format may name, in seconds (31 years). Later: an error.
pub const SECONDS_MAX: f64 = 1e9;

/// Most header fields, or variables of an environment, taken from a foreign header. More: an
/// error.
pub const HEADER_FIELDS_MAX: usize = 1000;

/// Bytes of a raw stream that become one event.
pub const RAW_CHUNK_BYTES: usize = 32 * 1024;

/// Longest line of a transcript; a longer one is broken there.
pub const TRANSCRIPT_LINE_BYTES_MAX: usize = 64 * 1024;

/// Longest control sequence that the sanitizer passes on; a longer one is dropped.
pub const SEQUENCE_BYTES_MAX: usize = 256;

/// Bytes of output after which the index takes a keyframe.
pub const KEYFRAME_OUTPUT_BYTES: u64 = 256 * 1024;

/// Nanoseconds after the last keyframe at which the index takes another, if there was output.
pub const KEYFRAME_NS: u64 = 10_000_000_000;

/// Keyframes behind which time alone brings no more: then it also takes
/// [`KEYFRAME_LATE_BYTES`] of output.
pub const KEYFRAMES_BY_TIME_MAX: usize = 100_000;

/// See [`KEYFRAMES_BY_TIME_MAX`].
pub const KEYFRAME_LATE_BYTES: u64 = 64 * 1024;

/// Longest stored keyframe, compressed. A longer one in an index is called doubtful.
pub const KEYFRAME_STORED_BYTES_MAX: u32 = 8 * 1024 * 1024;

/// Longest keyframe, uncompressed. A longer one in an index is called doubtful.
pub const KEYFRAME_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Most marks, gaps and concealments that an index lists. More are counted only.
pub const POINTS_MAX: usize = 65_536;

/// Longest label kept in an index; a longer one is cut.
pub const POINT_LABEL_BYTES_MAX: usize = 256;

/// Longest text that can be searched for. Longer: an error.
pub const NEEDLE_BYTES_MAX: usize = 4096;

/// Most files in the directory of a recording. More: an error.
pub const FOLDER_NAMES_MAX: usize = 100_000;

/// Longest line of a timing file, and longest first line of a typescript. A longer line of timing
/// is an error; a longer first line is no header.
pub const TIMING_LINE_BYTES_MAX: usize = 160 * 1024;

/// Most bytes that the header of a typescript's timing may say in all. More: an error.
pub const TIMING_HEADER_BYTES_MAX: usize = 512 * 1024;

/// Longest last line of a typescript that can be its end. A longer one is taken for output.
pub const FOOTER_BYTES_MAX: usize = 1024;

/// Longest record of a ttyrec. A longer one is an error: its header is not one.
pub const TTYREC_RECORD_BYTES_MAX: u32 = 16 * 1024 * 1024;

/// Longest `log` or `log.json` of a sudo session. Longer: an error.
pub const SUDO_LOG_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Most bytes of arguments, environment and other facts taken from a sudo session's log; the rest
/// is left out with a notice, so that the recording's header stays one that can be written.
pub const SUDO_FACTS_BYTES_MAX: usize = 640 * 1024;

/// Most bytes of one sudo stream that are read behind what its timing tells of. The rest is left
/// out with a notice: little data can be compressed into very few bytes.
pub const SUDO_LEFT_OVER_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Lines of a sudo session's timing that are looked at to tell whether sudo 1.8.7 wrote it, which
/// numbered the streams differently. What it only shows behind them is read as of other versions.
pub const SUDO_VERSION_LINES: usize = 10_000;
