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

/// Encoded payload of a message of tlog unless another is asked for: tlog's own default.
pub const TLOG_PAYLOAD_BYTES: usize = 2048;

/// Least payload of a message of tlog: the size of a terminal and one character fit. Less that is
/// asked for is taken for this.
pub const TLOG_PAYLOAD_BYTES_MIN: usize = 32;

/// Bytes of a tlog stream that become one event; what happened at once and is more becomes
/// several.
pub const TLOG_DATA_BYTES_MAX: usize = 256 * 1024;

/// Latest moment in a tlog, in milliseconds from its beginning (31 years). Later: an error.
pub const TLOG_MS_MAX: u64 = 1_000_000_000_000;

/// Longest name (host, recording, user, terminal) in a message of tlog. Longer: an error.
pub const TLOG_NAME_BYTES_MAX: usize = 4096;

/// Most other recordings of a tlog file that are named in a notice; more are only counted.
pub const TLOG_OTHERS_MAX: usize = 20;

/// Most notices of a decoder that wait to be taken; what comes then is left out. The client keeps
/// as many to tell them, and counts the rest.
pub const NOTICES_MAX: usize = 1000;

/// Longest message of a ContainerSSH log, in bytes of CBOR. Longer: an error; nothing behind it is
/// read.
pub const CONTAINERSSH_MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Longest such message that becomes an event by itself. What carries a stream's bytes is split
/// where it is longer; any other longer message is passed over, and a `Gap` stands in its place.
pub const CONTAINERSSH_FACT_BYTES_MAX: usize = 896 * 1024;

/// Deepest nesting of CBOR items, the same as ContainerSSH's own reader allows. Deeper: an error.
pub const CBOR_DEPTH_MAX: usize = 32;

/// Messages at the beginning of a ContainerSSH log that are looked through for who it was and what
/// they ran, before the recording's header is made. What comes later is not in the header.
pub const CONTAINERSSH_AHEAD_MESSAGES: usize = 64;

/// Bytes of such messages after which the header is made, however few they were.
pub const CONTAINERSSH_AHEAD_BYTES: usize = 64 * 1024;

/// Most channels of one connection that are remembered to have a terminal. The streams of further
/// ones are read as those of programs without a terminal.
pub const CONTAINERSSH_TERMINALS_MAX: usize = 4096;

/// Longest gzip header in front of a ContainerSSH log's messages. Longer: an error.
pub const GZIP_HEADER_BYTES_MAX: u64 = 64 * 1024;

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

/// Longest record of a Teleport stream; Teleport itself writes none above 64 KiB. Longer: an error.
pub const TELEPORT_RECORD_BYTES_MAX: usize = 512 * 1024;

/// Longest line of a classic Teleport recording, as [`TELEPORT_RECORD_BYTES_MAX`].
pub const TELEPORT_LINE_BYTES_MAX: usize = 704 * 1024;

/// Most values in one event of a Teleport recording. More: an error.
pub const TELEPORT_VALUES_MAX: usize = 8192;

/// Most files that one classic Teleport recording consists of. More: an error.
pub const TELEPORT_FILES_MAX: usize = 256;

/// Most members of a tar archive that are looked at. More: an error.
pub const TAR_MEMBERS_MAX: usize = 100_000;

/// Longest name or extended header in a tar archive. Longer: an error.
pub const TAR_NAME_BYTES_MAX: u64 = 64 * 1024;

/// Lines of a sudo session's timing that are looked at to tell whether sudo 1.8.7 wrote it, which
/// numbered the streams differently. What it only shows behind them is read as of other versions.
pub const SUDO_VERSION_LINES: usize = 10_000;

/// Longest event document, in bytes of JSON: what Teleport allows a line of its log. A field that
/// would not fit is left out, and the document names it.
pub const DOCUMENT_BYTES_MAX: usize = 64 * 1024;

/// Bytes of a document that are kept free to say what is missing from it.
pub const DOCUMENT_RESERVED_BYTES: usize = 16 * 1024;

/// Most fields of a document. More are left out, and the document says so.
pub const DOCUMENT_FIELDS_MAX: usize = 256;

/// Longest text in a document, in bytes before JSON escapes any. A longer one is cut, and the
/// document names its field.
pub const DOCUMENT_TEXT_BYTES_MAX: usize = 4096;

/// Longest text of a session that stands in each of its documents (its user, host, addresses), as
/// [`DOCUMENT_TEXT_BYTES_MAX`].
pub const DOCUMENT_PLACE_BYTES_MAX: usize = 256;

/// Most elements of a list in a document; the rest is cut, and the document names the field.
pub const DOCUMENT_LIST_MAX: usize = 256;

/// Bytes of all texts of such a list together, as [`DOCUMENT_LIST_MAX`].
pub const DOCUMENT_LIST_BYTES_MAX: usize = 16 * 1024;

/// Longest name of a field that the catalogue of documents does not know; a longer one is cut.
pub const DOCUMENT_NAME_BYTES_MAX: usize = 128;

/// Bytes of names that each of `truncated`, `left_out` and `withheld` lists; further ones are only
/// counted.
pub const DOCUMENT_NOTES_BYTES_MAX: usize = 4 * 1024;

/// Most people that the end of a session names; further ones are left out.
pub const DOCUMENT_PARTICIPANTS_MAX: usize = 32;

/// Of a recording whose header is damaged, bytes shown that are read on for the key that signed the first
/// sound segment: as many as a recorder puts into one. Beyond them the header has none.
pub const HEADERLESS_BYTES: u64 = 16 * 1024 * 1024;
