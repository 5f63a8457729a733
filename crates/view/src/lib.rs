//! Recordings to and from things people read.
//!
//! Everything here is computed from a recording and can be thrown away and computed again.
//!
//! - [`mod@format`]: the formats by name, and which one some bytes are; [`codec`]: the two traits
//!   behind them
//! - [`screen`]: what a terminal showed at a moment; [`index`]: keyframes and a seek table in a
//!   sidecar, so that any moment is near; [`search`]: where a text stood on the screen
//! - [`text`]: what there is to find in a session, with its moments; [`question`]: what is asked for,
//!   and whether a text is that
//! - [`cell`]: the same screen cell by cell, for painting
//! - [`sanitize`]: what of a recording a viewer's terminal may be sent; [`escape`]: the same for
//!   names in listings
//! - [`clip`]: a stretch of a recording as one of its own; [`film`]: one to be looked at anywhere
//! - [`document`]: events as flat JSON, under Teleport's names
//! - [`mod@open`]: recordings opened and created; [`parts`]: those of several files
//! - [`limits`]: every bound, and what happens at it
//!
//! The screen of a recording at one moment, from an index that is made if it is not there:
//!
//! ```no_run
//! use std::ops::ControlFlow;
//! use hansard_view::Indexed;
//!
//! let path = std::path::Path::new("session.hansard");
//! let mut recording = Indexed::open(path, &mut |_| ControlFlow::Continue(()))?;
//! let moment = recording.seek(90_000_000_000)?;
//! println!("{}", moment.screen().text());
//! # Ok::<(), hansard_view::index::IndexError>(())
//! ```

#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::cast_possible_truncation,
        clippy::print_stdout
    )
)]

pub mod calendar;
pub mod cast;
pub mod cell;
pub mod clip;
pub mod codec;
mod conceal;
pub mod containerssh;
pub mod document;
pub mod escape;
mod fill;
pub mod film;
pub mod format;
mod heavy;
pub mod import;
pub mod index;
pub mod jsonl;
pub mod limits;
mod lines;
mod margins;
pub mod nearest;
pub mod open;
pub mod parts;
pub mod picture;
pub mod question;
pub mod raw;
pub mod replay;
pub mod sanitize;
pub mod screen;
mod scrolling;
pub mod search;
mod seconds;
pub mod segments;
pub mod source;
mod steps;
pub mod sudo;
mod svg;
pub mod teleport;
pub mod text;
pub mod tlog;
pub mod transcript;
pub mod ttyrec;
pub mod typescript;
pub mod utf8;

pub use cell::{Cell, Color, Style};
pub use clip::Clip;
pub use codec::{CopyError, DecodeError, Decoder, EncodeError, Encoder, copy};
pub use escape::{escape_for_humans, escape_shown};
pub use format::Format;
pub use import::Import;
pub use index::Indexed;
pub use nearest::nearest;
pub use open::{OpenError, Opened, open};
pub use picture::Picture;
pub use replay::Replay;
pub use sanitize::Sanitizer;
pub use screen::Screen;
