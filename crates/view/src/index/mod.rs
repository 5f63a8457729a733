//! Keyframes and a seek table beside a recording (`FILE.idx`), so that any moment is near.
//!
//! An index is a projection: made by whoever opens the recording, never by the recorder, and
//! thrown away and made again whenever it is absent or doubtful. It proves nothing: it has the
//! trust of whoever can write beside the recording, and `verify` never looks at it. A keyframe is
//! stored at most every [`KEYFRAME_OUTPUT_BYTES`] of output (at the first event behind that), and
//! every [`KEYFRAME_NS`] in which there was output; on screens of more than 20,000 cells the
//! latter only once an eighth as many bytes came, because a keyframe costs as much as the screen
//! is large, and behind [`KEYFRAMES_BY_TIME_MAX`] keyframes only with [`KEYFRAME_LATE_BYTES`] of
//! output, so that a hostile trickle does not make an index larger than its recording deserves.
//!
//! # Layout, version 1
//!
//! All numbers are little-endian. The file is, without gaps:
//!
//! | part | bytes |
//! |---|---|
//! | magic | `HNSDIDX` and the version, 1 |
//! | keyframes | one zstd frame each; inside, [`Screen::to_keyframe`]: version 1, columns (2 bytes), rows (2), number of bytes of an unfinished character (1) and these (3), state of the concealment tap (18), then the emulator's dump as UTF-8 |
//! | points | one zstd frame: for each, kind (1 byte), time (8), event (8), length of the label (2), label |
//! | table | 72 bytes for each keyframe, in order of time, see below |
//! | footer | 200 bytes, see below |
//!
//! A table entry: number of the next event (8), time of the event before it (8), file offset of
//! the opening frame of the segment that holds the next event (8), bytes of output before it (8),
//! offset of the keyframe in this file (8), its stored length (4), its length inside (4), segment
//! number (4), frame index (4), first 8 bytes of the SHA-256 of the stored keyframe, first 8
//! bytes of the SHA-256 of the entry's other bytes followed by its number in the table (8). The
//! entry with number 0 is the blank screen before event 0.
//!
//! The footer: magic and version (8), session (16), bytes of the recording that are covered (8),
//! SHA-256 of its first and of its last covered 4096 bytes, one after another (32), events (8),
//! time of the last (8), bytes of output (8), characters concealed (8), gaps (8), damaged places
//! (8), whether the recording's end was seen (8), offset of the points (8), their stored length
//! (4), their length inside (4), how many there are (4), how many were left out (4), first 8
//! bytes of the SHA-256 of their stored form (8), offset of the table (8), entries (8), SHA-256
//! of all that (32).
//!
//! Nothing but the footer is read to open an index; a seek reads O(log n) entries, one keyframe
//! and at most one segment of the recording.

mod build;
mod indexed;
mod layout;
mod open;

pub use build::{OnProgress, Progress, build, extend};
pub use indexed::{Indexed, index_path};
pub use layout::{Entry, Point, PointKind};
pub use open::{Index, IndexError};

#[cfg(doc)]
use crate::limits::{
    KEYFRAME_LATE_BYTES, KEYFRAME_NS, KEYFRAME_OUTPUT_BYTES, KEYFRAMES_BY_TIME_MAX,
};
#[cfg(doc)]
use crate::screen::Screen;
