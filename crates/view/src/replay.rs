//! A recording being gone through: its events, and the screen as they left it.

use std::collections::VecDeque;

use avt::observer::Observer;
use hansard_core::reader::{Damage, Item, ReadError, Reader, Tail};
use hansard_core::{Body, Event};

use crate::screen::Screen;
use crate::source::{Cursor, Source};

/// Most places of damage that are listed; more are counted.
const DAMAGES_MAX: usize = 1000;

/// Goes through a recording. Holds one frame of it.
pub struct Replay {
    reader: Reader<Cursor>,
    ready: VecDeque<Event>,
    screen: Screen,
    next_seq: u64,
    at_ns: u64,
    damages: Vec<Damage>,
    damages_count: u64,
    tail: Option<Tail>,
}

impl std::fmt::Debug for Replay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replay")
            .field("next_seq", &self.next_seq)
            .field("at_ns", &self.at_ns)
            .finish_non_exhaustive()
    }
}

impl Replay {
    /// From the beginning.
    #[must_use]
    pub fn new(source: Source) -> Self {
        Self::over(Reader::new(Cursor::new(source, 0)), Screen::default(), 0, 0)
    }

    /// From the middle: the segment at this offset holds event `next_seq`, before which the
    /// screen was this, since `at_ns`.
    pub(crate) fn resume(
        source: Source,
        segment_offset: u64,
        screen: Screen,
        next_seq: u64,
        at_ns: u64,
    ) -> Self {
        let reader = Reader::resume(Cursor::new(source, segment_offset), segment_offset);
        Self::over(reader, screen, next_seq, at_ns)
    }

    fn over(reader: Reader<Cursor>, screen: Screen, next_seq: u64, at_ns: u64) -> Self {
        Self {
            reader,
            ready: VecDeque::new(),
            screen,
            next_seq,
            at_ns,
            damages: Vec::new(),
            damages_count: 0,
            tail: None,
        }
    }

    /// At the end of the bytes, `None` means "for now": later calls look for more.
    #[must_use]
    pub fn following(mut self) -> Self {
        self.reader = self.reader.following();
        self
    }

    /// The next event, if there is one, without going past it.
    ///
    /// # Errors
    /// When the recording cannot be read, or is none.
    pub fn peek(&mut self) -> Result<Option<&Event>, ReadError> {
        while self.ready.is_empty() {
            match self.reader.next_item()? {
                Item::Frame(frame) => {
                    let events = frame.events.into_iter();
                    self.ready
                        .extend(events.filter(|event| event.seq >= self.next_seq));
                }
                Item::Seal(_) => {}
                Item::Damage(damage) => {
                    self.damages_count += 1;
                    if self.damages.len() < DAMAGES_MAX {
                        self.damages.push(damage);
                    }
                }
                Item::End(tail) => {
                    self.tail = Some(tail);
                    return Ok(None);
                }
            }
        }
        Ok(self.ready.front())
    }

    /// Goes past the next event and answers it; the screen is as the event left it.
    ///
    /// # Errors
    /// As [`Self::peek`].
    pub fn advance(&mut self) -> Result<Option<Event>, ReadError> {
        let event = self.take_next()?;
        if let Some(event) = &event {
            self.show(&event.body, &mut ());
        }
        Ok(event)
    }

    /// The next event, which is not shown yet: that is [`Self::show`], of all of it, before anything else.
    pub(crate) fn take_next(&mut self) -> Result<Option<Event>, ReadError> {
        if self.peek()?.is_none() {
            return Ok(None);
        }
        let event = self.ready.pop_front();
        if let Some(event) = &event {
            self.next_seq = event.seq.saturating_add(1);
            self.at_ns = event.at_ns;
        }
        Ok(event)
    }

    /// Shows an event that was taken, or a piece of it.
    pub(crate) fn show<O: Observer>(&mut self, body: &Body, observer: &mut O) {
        self.screen.apply_with(body, observer);
    }

    /// Goes past every event up to and including this moment.
    ///
    /// # Errors
    /// As [`Self::peek`].
    pub fn advance_to(&mut self, at_ns: u64) -> Result<(), ReadError> {
        while self.peek()?.is_some_and(|event| event.at_ns <= at_ns) {
            self.advance()?;
        }
        Ok(())
    }

    /// The screen now.
    #[must_use]
    pub fn screen(&self) -> &Screen {
        &self.screen
    }

    /// The screen now, for taking concealed text.
    pub fn screen_mut(&mut self) -> &mut Screen {
        &mut self.screen
    }

    /// Time of the last event gone past.
    #[must_use]
    pub fn at_ns(&self) -> u64 {
        self.at_ns
    }

    /// Number of the next event, if there is one.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// What was passed over because it is damaged.
    #[must_use]
    pub fn damages(&self) -> &[Damage] {
        &self.damages
    }

    /// How many places were damaged.
    #[must_use]
    pub fn damages_count(&self) -> u64 {
        self.damages_count
    }

    /// How the bytes end, once the end was reached.
    #[must_use]
    pub fn tail(&self) -> Option<Tail> {
        self.tail
    }
}

/// Bytes of this event that a viewer sees.
pub(crate) fn shown_bytes(body: &Body) -> u64 {
    match body {
        Body::Data { stream, bytes } if stream.is_shown() => {
            u64::try_from(bytes.len()).unwrap_or(u64::MAX)
        }
        _ => 0,
    }
}
