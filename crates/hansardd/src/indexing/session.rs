//! One session that is read into blocks.

use std::time::{Duration, Instant};

use hansard_core::event::Fact;
use hansard_core::{Body, Event, SessionId, Value};
use hansard_store::index::{BlockWriter, Index, IndexError, Kept, Whose};
use hansard_store::project::unknown_header;
use hansard_view::text::{Text, Texts};

use super::SEARCH_EVENT;
use crate::follow::{Events, FollowError, Followed, Told};
use crate::standing_back::Leisure;

/// Frames that are read of a session before it is another's turn.
const FRAMES_PER_TURN: usize = 64;

/// After so long it is another's turn as well: what pours lines takes its time, and others are to be found meanwhile.
const TURN_MAX: Duration = Duration::from_millis(250);

/// A session that goes on is shown anew so often at most.
const SHOW_EVERY: Duration = Duration::from_secs(1);

/// What one turn with a session came to.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) events: u64,
    /// Sessions that were deleted, as it says.
    pub(super) deleted: Vec<SessionId>,
}

/// A session.
pub(super) struct Session {
    id: SessionId,
    /// `None` while it rests.
    events: Option<Events>,
    /// Where it goes on after a rest.
    position: (u32, u64),
    texts: Texts,
    /// `None` once it is over.
    writer: Option<BlockWriter>,
    /// Blocks below this number are in the index for good, and are not put again.
    kept: u32,
    ready: Vec<Text>,
    /// What was read and is left for the next turn.
    unread: std::vec::IntoIter<Event>,
    /// Whether nothing more can come of it.
    is_ended: bool,
    /// Whether it is of this daemon's own recordings.
    is_own: bool,
    shown: Option<Instant>,
    /// Whether something came since it was shown.
    is_changed: bool,
    /// Whether there may be more to read now.
    pub(super) is_behind: bool,
    pub(super) touched: Instant,
}

impl Session {
    /// From its beginning, whatever the index has of it: the screen has to be made again.
    pub(super) fn new(id: SessionId, kept: Kept) -> Self {
        Self {
            id,
            events: None,
            position: (0, 0),
            texts: Texts::new(),
            writer: Some(BlockWriter::new(Whose::of(&unknown_header(id)))),
            // The last one may have been closed because nothing came for long.
            kept: kept.blocks.saturating_sub(1),
            ready: Vec::new(),
            unread: Vec::new().into_iter(),
            is_ended: false,
            is_own: false,
            shown: None,
            is_changed: false,
            is_behind: true,
            touched: Instant::now(),
        }
    }

    /// Whether everything that came of it was put, and it is not read any further.
    pub(super) fn is_over(&self) -> bool {
        self.writer.is_none()
    }

    /// The same, and nothing more can come of it.
    pub(super) fn is_whole(&self) -> bool {
        self.is_over() && self.is_ended
    }

    /// Reads what there is, for a turn. After an error what was read stays read, and the block that
    /// could not be put is made again with the session.
    pub(super) fn read(
        &mut self,
        from: &Followed,
        index: &dyn Index,
        (own, leisure): (&[u8; 32], &mut Leisure),
    ) -> Result<Done, IndexError> {
        let mut done = Done::default();
        self.is_behind = false;
        let began = Instant::now();
        for _ in 0..FRAMES_PER_TURN {
            // An event of some kilobytes may be a second's work for the emulator.
            while began.elapsed() < TURN_MAX
                && let Some(event) = self.unread.next()
            {
                self.turn(&event, own, &mut done);
                self.put(index)?;
                leisure.rest();
            }
            if began.elapsed() >= TURN_MAX {
                break;
            }
            let (id, position) = (self.id, self.position);
            let events = self
                .events
                .get_or_insert_with(|| Events::look_through(from, id, position));
            match events.next(Duration::ZERO) {
                Ok(Told::Events(events)) => {
                    self.touched = Instant::now();
                    self.is_changed = true;
                    self.unread = events.into_iter();
                }
                // The text of what is lost is lost; the next segment goes on.
                Ok(Told::Lost { .. }) => {
                    if let Some(writer) = &mut self.writer {
                        writer.note_passed_over();
                    }
                }
                Ok(Told::Waiting) => return Ok(done),
                Ok(Told::End) => {
                    self.finish(index, true)?;
                    return Ok(done);
                }
                Err(FollowError::Retry(why)) => return Err(IndexError::Retry(why)),
                Err(FollowError::Busy | FollowError::Aside(_)) => return Ok(done),
            }
        }
        self.is_behind = true;
        Ok(done)
    }

    /// Gives back the memory of reading, most of what a session that does nothing would take: a
    /// decompressor with its window. When more comes, the segment that it is in is read again.
    pub(super) fn rest(&mut self) {
        if let Some(events) = self.events.take() {
            self.position = events.position();
        }
    }

    fn turn(&mut self, event: &Event, own: &[u8; 32], done: &mut Done) {
        done.events += 1;
        match &event.body {
            Body::Start(header) => {
                self.is_own = header.recorder_key == *own;
                if let Some(writer) = &mut self.writer {
                    writer.set_whose(Whose::of(header));
                }
            }
            Body::Admin(fact) if fact.event == SEARCH_EVENT => return,
            Body::Admin(fact) if self.is_own => done.deleted.extend(deleted(fact)),
            _ => {}
        }
        let before = self.texts.passed_over();
        self.texts.turn(event, &mut self.ready);
        if self.texts.passed_over() > before
            && let Some(writer) = &mut self.writer
        {
            writer.note_passed_over();
        }
    }

    /// Puts what is ready into blocks, and full blocks into the index.
    fn put(&mut self, index: &dyn Index) -> Result<(), IndexError> {
        let Some(writer) = &mut self.writer else {
            return Ok(());
        };
        for text in self.ready.drain(..) {
            if let Some(full) = writer.push(text)
                && full.number >= self.kept
            {
                index.put(full)?;
            }
        }
        Ok(())
    }

    /// Shows what is not in a full block yet, and what stands there now, if it is time to.
    pub(super) fn show(&mut self, index: &dyn Index) -> Result<(), IndexError> {
        let is_due = self.shown.is_none_or(|at| at.elapsed() >= SHOW_EVERY);
        let Some(writer) = self.writer.as_ref().filter(|_| self.is_changed && is_due) else {
            return Ok(());
        };
        if writer.number() < self.kept {
            return Ok(());
        }
        let mut standing = Vec::new();
        self.texts.standing(&mut standing);
        index.put(writer.open(standing))?;
        self.shown = Some(Instant::now());
        self.is_changed = false;
        Ok(())
    }

    /// Nothing more comes of it, or nothing came for long: what there is is put for good.
    pub(super) fn finish(&mut self, index: &dyn Index, is_whole: bool) -> Result<(), IndexError> {
        self.texts.finish(&mut self.ready);
        self.put(index)?;
        self.is_ended = is_whole;
        if let Some(writer) = self.writer.take() {
            let mut last = writer.finish();
            last.is_last = is_whole;
            if last.number >= self.kept {
                index.put(last)?;
            }
        }
        Ok(())
    }
}

/// The session that an event of the service says was deleted for good.
fn deleted(fact: &Fact) -> Option<SessionId> {
    let was_not = fact.fields.get("success") == Some(&Value::Bool(false));
    if fact.event != "recording.deleted" || was_not {
        return None;
    }
    fact.fields.text("recording")?.parse().ok()
}
