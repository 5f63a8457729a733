//! A recording as a film: screens painted in pixels, each for as long as it stood.
//!
//! - `canvas`: a screen in pixels of 256 colours; `gif`: the pictures as a file; `mp4`: what a program
//!   of the machine makes of that
//!
//! Pictures are taken where something changed, at most ten in a second; where nothing does, the film
//! goes on sooner. It is made in memory, so that whoever asks for one that is too long or too large is
//! told so before there is a file. Nothing here can be made to grow by a recording: a screen is
//! painted up to [`COLS_MAX`] columns and [`ROWS_MAX`] rows, a film is at most [`FILM_NS_MAX`] long and
//! [`FILM_BYTES_MAX`] large.

use std::fmt;
use std::io::{self, Write};

use hansard_core::{Body, Event, Session};

use crate::codec::{EncodeError, Encoder};
use crate::picture::Picture;
use crate::screen::Screen;

mod canvas;
mod gif;
mod mp4;

use canvas::Canvas;
use gif::Gif;

pub use mp4::ffmpeg;

/// Columns of a screen that are painted; what is right of them is not seen.
pub const COLS_MAX: u16 = 300;

/// Rows of a screen that are painted; what is below them is not seen.
pub const ROWS_MAX: u16 = 120;

/// Longest film, nanoseconds (10 min); a longer one is refused.
pub const FILM_NS_MAX: u64 = 600 * SECOND_NS;

/// Largest film, bytes (64 MiB), which are held in memory; a larger one is refused.
pub const FILM_BYTES_MAX: usize = 64 << 20;

/// How long a screen is shown that stood longer, nanoseconds (2 s).
pub const IDLE_NS_MAX: u64 = 2 * SECOND_NS;

/// Least time between two pictures, nanoseconds.
const PICTURE_NS: u64 = SECOND_NS / 10;

/// How long the last picture is shown, nanoseconds.
const LAST_NS: u64 = 2 * SECOND_NS;

const SECOND_NS: u64 = 1_000_000_000;

/// Which kind of file a film becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Made here.
    Gif,
    /// Made by Debian's ffmpeg, if that is there.
    Mp4,
}

/// Why there is no film.
#[derive(Debug)]
pub enum FilmError {
    /// It would be longer than [`FILM_NS_MAX`].
    TooLong,
    /// It would be larger than [`FILM_BYTES_MAX`].
    TooLarge,
    /// Nothing was recorded that has a screen.
    NoScreen,
    /// There is no ffmpeg on this machine.
    NoFfmpeg,
    /// ffmpeg did not make it; what it said.
    Ffmpeg(String),
    /// It cannot be spoken to.
    Io(io::Error),
}

impl fmt::Display for FilmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => f.write_str("the film would be longer than 10 minutes: take a stretch"),
            Self::TooLarge => f.write_str("the film would be larger than 64 MiB: take a shorter stretch"),
            Self::NoScreen => f.write_str("there is nothing on a screen that could be filmed"),
            Self::NoFfmpeg => f.write_str(
                "MP4 is made by ffmpeg, which is not on this machine: install Debian's package ffmpeg, \
                 or take a GIF, which needs nothing",
            ),
            Self::Ffmpeg(said) => write!(f, "ffmpeg did not make the film: {said}"),
            Self::Io(e) => write!(f, "ffmpeg: {e}"),
        }
    }
}

impl std::error::Error for FilmError {}

impl From<FilmError> for EncodeError {
    fn from(error: FilmError) -> Self {
        Self::Refused(error.to_string())
    }
}

/// Films what happens on a screen.
struct Film {
    screen: Screen,
    picture: Picture,
    canvas: Canvas,
    gif: Gif,
    /// Something has a screen at all.
    has_shown: bool,
    /// The screen is ahead of the last picture since this moment of the recording, nanoseconds.
    ahead_ns: Option<u64>,
    /// The moments of the last picture: of the recording, and of the film.
    since_ns: u64,
    film_ns: u64,
}

impl Film {
    fn new() -> Self {
        Self {
            screen: Screen::default(),
            picture: Picture::default(),
            canvas: Canvas::default(),
            gif: Gif::new(),
            has_shown: false,
            ahead_ns: None,
            since_ns: 0,
            film_ns: 0,
        }
    }

    fn event(&mut self, event: &Event) -> Result<(), FilmError> {
        if !matches!(event.body, Body::Data { .. } | Body::Resize { .. }) {
            return Ok(());
        }
        // What changes within a tenth of a second is one picture.
        let is_due = |ahead_ns: &u64| event.at_ns.saturating_sub(*ahead_ns) >= PICTURE_NS;
        if let Some(ahead_ns) = self.ahead_ns.filter(is_due) {
            self.shoot(ahead_ns)?;
        }
        self.screen.apply(&event.body);
        self.has_shown = true;
        self.ahead_ns.get_or_insert(event.at_ns);
        Ok(())
    }

    /// Takes a picture of the screen as it is since this moment of the recording.
    fn shoot(&mut self, at_ns: u64) -> Result<(), FilmError> {
        self.ahead_ns = None;
        let Some(change) = self.picture.change(&self.screen) else {
            return Ok(());
        };
        self.canvas.paint(&change);
        let stood_ns = at_ns.saturating_sub(self.since_ns);
        if !self.gif.is_empty() {
            let shown_ns = stood_ns.clamp(PICTURE_NS, IDLE_NS_MAX);
            self.film_ns = self.film_ns.saturating_add(shown_ns);
        }
        if self.film_ns > FILM_NS_MAX {
            return Err(FilmError::TooLong);
        }
        self.since_ns = at_ns;
        self.gif.shoot(&self.canvas, self.film_ns)
    }

    fn end(mut self) -> Result<Vec<u8>, FilmError> {
        if !self.has_shown {
            return Err(FilmError::NoScreen);
        }
        if let Some(ahead_ns) = self.ahead_ns {
            self.shoot(ahead_ns)?;
        }
        self.gif.end(self.film_ns.saturating_add(LAST_NS))
    }
}

/// Writes a film when the recording has ended; until then nothing is written.
pub struct FilmEncoder<W> {
    kind: Kind,
    film: Option<Film>,
    out: W,
}

impl<W: Write> FilmEncoder<W> {
    /// One that writes here.
    pub fn new(out: W, kind: Kind) -> Self {
        Self {
            kind,
            film: None,
            out,
        }
    }
}

impl<W: Write> Encoder for FilmEncoder<W> {
    fn begin(&mut self, _: &Session) -> Result<(), EncodeError> {
        if self.kind == Kind::Mp4 {
            ffmpeg()?;
        }
        self.film = Some(Film::new());
        Ok(())
    }

    fn event(&mut self, event: &Event) -> Result<(), EncodeError> {
        match &mut self.film {
            Some(film) => Ok(film.event(event)?),
            None => Ok(()),
        }
    }

    fn end(&mut self) -> Result<(), EncodeError> {
        let Some(film) = self.film.take() else {
            return Ok(());
        };
        let gif = film.end()?;
        let bytes = match self.kind {
            Kind::Gif => gif,
            Kind::Mp4 => mp4::of(gif)?,
        };
        self.out.write_all(&bytes)?;
        Ok(self.out.flush()?)
    }
}

#[cfg(test)]
mod tests;
