//! Where a text stood on the screen.

use std::collections::HashMap;
use std::fmt;
use std::ops::ControlFlow;

use avt::Line;
use avt::observer::{Observation, Observer};

use crate::index::{IndexError, Indexed};
use crate::limits::NEEDLE_BYTES_MAX;
use crate::replay::Replay;
use crate::screen::row_text;

/// A row of the screen that holds the text that was searched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// When it came to stand there.
    pub at_ns: u64,
    /// Number of the event that put it there.
    pub seq: u64,
    /// The row, from 0; `None` if it scrolled out of the screen within the same event.
    pub row: Option<usize>,
    /// The whole row.
    pub text: String,
}

/// Why there is nothing to search for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotANeedle;

impl fmt::Display for NotANeedle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a text of 1 to {NEEDLE_BYTES_MAX} bytes can be searched for, on one line"
        )
    }
}

impl std::error::Error for NotANeedle {}

/// Goes through a recording and finds rows that hold a text, as they appear: what stood on the
/// screen after an event, and what scrolled away within one. A row that moves is found once. A
/// text that was drawn and drawn over within one event is not found.
///
/// Holds one screen and one frame; goes only as far as it is asked to.
pub struct Search {
    replay: Replay,
    needle: String,
    /// Rows with the text that stood on the screen after the last event, and how often.
    standing: HashMap<String, usize>,
    found: std::vec::IntoIter<Match>,
    from_ns: u64,
    to_ns: u64,
    has_left_out: bool,
}

impl Search {
    /// Searches what happened behind `from_ns`, up to and including `to_ns`. Rows that stood there
    /// at `from_ns` already are not found.
    ///
    /// # Errors
    /// When the recording cannot be read. An unusable text is an error of [`check_needle`] before
    /// this; it finds nothing here.
    pub fn new(
        indexed: &mut Indexed,
        needle: &str,
        from_ns: u64,
        to_ns: u64,
    ) -> Result<Self, IndexError> {
        Ok(Self::behind(indexed.seek(from_ns)?, needle, from_ns, to_ns))
    }

    /// Searches from the very beginning.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn from_start(indexed: &Indexed, needle: &str, to_ns: u64) -> Self {
        Self::behind(Replay::new(indexed.recording().clone()), needle, 0, to_ns)
    }

    /// Searches behind the moment `from_ns`, at which this replay stands, up to and including `to_ns`.
    #[must_use]
    pub fn behind(replay: Replay, needle: &str, from_ns: u64, to_ns: u64) -> Self {
        let mut search = Self {
            replay,
            needle: needle.to_owned(),
            standing: HashMap::new(),
            found: Vec::new().into_iter(),
            from_ns,
            to_ns,
            has_left_out: false,
        };
        search.standing =
            search
                .rows_now()
                .into_iter()
                .fold(HashMap::new(), |mut map, (_, text)| {
                    *map.entry(text).or_default() += 1;
                    map
                });
        search
    }

    /// The next match, or `None`.
    ///
    /// # Errors
    /// When the recording cannot be read.
    pub fn next_match(&mut self) -> Result<Option<Match>, IndexError> {
        loop {
            if let ControlFlow::Break(found) = self.next_match_within(usize::MAX)? {
                return Ok(found);
            }
        }
    }

    /// As [`Self::next_match`], but gives up for now after this many events: the search goes on
    /// with the next call.
    ///
    /// # Errors
    /// As [`Self::next_match`].
    pub fn next_match_within(
        &mut self,
        events: usize,
    ) -> Result<ControlFlow<Option<Match>>, IndexError> {
        for _ in 0..events {
            if let Some(found) = self.found.next() {
                return Ok(ControlFlow::Break(Some(found)));
            }
            match self.replay.peek()? {
                Some(event) if event.at_ns <= self.to_ns => {}
                _ => return Ok(ControlFlow::Break(None)),
            }
            self.step()?;
        }
        Ok(ControlFlow::Continue(()))
    }

    /// How far the search has come, nanoseconds since the session's start.
    #[must_use]
    pub fn at_ns(&self) -> u64 {
        self.replay.at_ns().max(self.from_ns)
    }

    /// From now on goes no further than up to and including this moment.
    pub fn end_at(&mut self, to_ns: u64) {
        self.to_ns = self.to_ns.min(to_ns);
    }

    /// Whether more rows than are found scrolled away within one event.
    #[must_use]
    pub fn has_left_out(&self) -> bool {
        self.has_left_out
    }

    /// How many damaged places the search came upon, and passed over.
    #[must_use]
    pub fn damages_count(&self) -> u64 {
        self.replay.damages_count()
    }

    fn step(&mut self) -> Result<(), IndexError> {
        let mut gone = Gone {
            needle: &self.needle,
            rows: Vec::new(),
            dirty: false,
            has_left_out: false,
        };
        let Some(event) = self.replay.advance_with(&mut gone)? else {
            return Ok(());
        };
        let (rows, dirty) = (gone.rows, gone.dirty);
        self.has_left_out |= gone.has_left_out;
        if !dirty && rows.is_empty() {
            return Ok(());
        }
        let (at_ns, seq) = (event.at_ns, event.seq);
        let mut before = std::mem::take(&mut self.standing);
        let mut is_new = |text: &str| match before.get_mut(text) {
            Some(count) if *count > 0 => {
                *count -= 1;
                false
            }
            _ => true,
        };
        let mut found = Vec::new();
        for text in rows {
            if is_new(&text) {
                found.push(Match {
                    at_ns,
                    seq,
                    row: None,
                    text,
                });
            }
        }
        for (row, text) in self.rows_now() {
            if is_new(&text) {
                found.push(Match {
                    at_ns,
                    seq,
                    row: Some(row),
                    text: text.clone(),
                });
            }
            *self.standing.entry(text).or_default() += 1;
        }
        self.found = found.into_iter();
        Ok(())
    }

    /// Rows of the screen that hold the text.
    fn rows_now(&self) -> Vec<(usize, String)> {
        let rows = self.replay.screen().lines().map(row_text).enumerate();
        rows.filter(|(_, text)| text.contains(&self.needle))
            .collect()
    }
}

/// Whether a text can be searched for.
///
/// # Errors
/// When it is empty, too long, or spans lines.
pub fn check_needle(needle: &str) -> Result<(), NotANeedle> {
    let usable = !needle.is_empty() && needle.len() <= NEEDLE_BYTES_MAX;
    if usable && !needle.contains(char::is_control) {
        Ok(())
    } else {
        Err(NotANeedle)
    }
}

/// Most rows that scrolled away within one event and are found; more are passed over.
const GONE_ROWS_MAX: usize = 10_000;

/// Rows with the text that scrolled away, and whether anything changed at all.
struct Gone<'a> {
    needle: &'a str,
    rows: Vec<String>,
    dirty: bool,
    has_left_out: bool,
}

impl Observer for Gone<'_> {
    type Output = ();

    fn dirty(&mut self, _: std::ops::Range<usize>) {
        self.dirty = true;
    }

    fn evicted(&mut self, _: &mut Observation<'_>, line: &Line) {
        let is_full = self.rows.len() >= GONE_ROWS_MAX;
        if is_full && self.has_left_out {
            return;
        }
        let text = row_text(line);
        if text.contains(self.needle) {
            self.has_left_out |= is_full;
            if !is_full {
                self.rows.push(text);
            }
        }
    }

    fn end(&mut self, _: &mut Observation<'_>) {}
}
