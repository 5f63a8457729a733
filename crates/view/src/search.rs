//! Where a text stood on the screen.

use std::collections::HashMap;
use std::fmt;
use std::ops::ControlFlow;

use avt::observer::{Observation, Observer};
use avt::{Line, Operation};
use hansard_core::{Body, Event};

use crate::index::{IndexError, Indexed};
use crate::limits::NEEDLE_BYTES_MAX;
use crate::margins::Margins;
use crate::replay::Replay;
use crate::screen::{Screen, row_text};
use crate::scrolling::in_steps;

mod run;

use run::Run;

/// A row of the screen that holds the text that was searched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// When it came to stand there.
    pub at_ns: u64,
    /// Number of the event that put it there.
    pub seq: u64,
    /// The row in which it begins, from 0; `None` if it scrolled out of the screen within the same event.
    pub row: Option<usize>,
    /// The whole row, with those that it wraps into as far as the text that was searched for goes.
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
/// screen after an event, and what scrolled away within one, also where nothing is kept of it. A row
/// that moves is found once. A text that wraps is found where it begins. One that was drawn and drawn
/// over within one event is not found.
///
/// Holds one screen and one frame, and what scrolls away of a line that wraps, up to a bound; goes only as far as it is asked to.
pub struct Search {
    replay: Replay,
    margins: Margins,
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
        let mut standing = HashMap::new();
        for (_, text) in seen(Run::default(), replay.screen(), needle) {
            *standing.entry(text).or_default() += 1;
        }
        Self {
            margins: Margins::of(replay.screen()),
            replay,
            needle: needle.to_owned(),
            standing,
            found: Vec::new().into_iter(),
            from_ns,
            to_ns,
            has_left_out: false,
        }
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
        let Some(event) = self.replay.take_next()? else {
            return Ok(());
        };
        let mut found = Vec::new();
        match in_steps(self.replay.screen(), &self.margins, &event.body) {
            None => self.show(&event, &event.body, &mut found),
            Some(steps) => {
                for body in &steps {
                    self.show(&event, body, &mut found);
                }
            }
        }
        self.found = found.into_iter();
        Ok(())
    }

    /// Shows an event, or a step of it.
    fn show(&mut self, event: &Event, body: &Body, found: &mut Vec<Match>) {
        let mut gone = Gone {
            margins: &mut self.margins,
            needle: &self.needle,
            run: Run::default(),
            rows: Vec::new(),
            dirty: false,
            has_left_out: false,
        };
        self.replay.show(body, &mut gone);
        let Gone {
            run,
            rows,
            dirty,
            has_left_out,
            ..
        } = gone;
        self.has_left_out |= has_left_out;
        if !dirty && rows.is_empty() && run.is_empty() {
            return;
        }
        // Where those are that earlier steps have found is seen below.
        for earlier in &mut *found {
            earlier.row = None;
        }
        let mut before = std::mem::take(&mut self.standing);
        let rows = rows.into_iter().map(|text| (None, text));
        for (row, text) in rows.chain(seen(run, self.replay.screen(), &self.needle)) {
            if row.is_some() {
                *self.standing.entry(text.clone()).or_default() += 1;
            }
            match before.get_mut(&text) {
                Some(count) if *count > 0 => {
                    *count -= 1;
                    let mut earlier = found.iter_mut();
                    if let Some(same) = earlier.find(|m| m.row.is_none() && m.text == text) {
                        same.row = row;
                    }
                }
                _ if found.len() < FOUND_MAX => found.push(Match {
                    at_ns: event.at_ns,
                    seq: event.seq,
                    row,
                    text,
                }),
                _ => self.has_left_out = true,
            }
        }
    }
}

/// Rows with the text, and where they are: of these, which have left the screen above it, and of the screen.
fn seen(mut run: Run, screen: &Screen, needle: &str) -> Vec<(Option<usize>, String)> {
    let mut seen = Vec::new();
    for (row, line) in screen.lines().enumerate() {
        run.push(Some(row), line);
        if !line.is_wrapped() {
            run.take(needle, &mut seen);
        }
    }
    run.take(needle, &mut seen);
    seen
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

/// Most rows that are found in one event; more are passed over.
const FOUND_MAX: usize = 10_000;

/// Rows with the text that scrolled away, and whether anything changed at all.
struct Gone<'a> {
    margins: &'a mut Margins,
    needle: &'a str,
    /// Those whose line has not ended.
    run: Run,
    rows: Vec<String>,
    dirty: bool,
    has_left_out: bool,
}

impl Observer for Gone<'_> {
    type Output = ();

    fn before(&mut self, context: &mut Observation<'_>, operation: &Operation) {
        self.margins.note(operation, || context.terminal().size().1);
    }

    fn dirty(&mut self, _: std::ops::Range<usize>) {
        self.dirty = true;
    }

    fn evicted(&mut self, _: &mut Observation<'_>, line: &Line) {
        if self.rows.len() >= FOUND_MAX {
            self.has_left_out = self.has_left_out || row_text(line).contains(self.needle);
            return;
        }
        if self.run.is_empty() && !line.is_wrapped() {
            // Nearly all of them.
            let text = row_text(line);
            if text.contains(self.needle) {
                self.rows.push(text);
            }
            return;
        }
        let mut seen = Vec::new();
        self.run.push(None, line);
        if line.is_wrapped() {
            self.run.take_some(self.needle, &mut seen);
        } else {
            self.run.take(self.needle, &mut seen);
        }
        self.rows.extend(seen.into_iter().map(|(_, text)| text));
    }

    fn end(&mut self, _: &mut Observation<'_>) {}
}
