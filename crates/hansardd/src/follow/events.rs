//! The events of a session that is followed.

use std::time::Duration;

use hansard_core::frame::{Part, Place};
use hansard_core::reader::PartReader;
use hansard_core::{Event, SessionId};

use super::{Follow, FollowError, Followed, Next};

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// Events of one frame, in order.
    Events(Vec<Event>),
    /// A segment, or the rest of it, is lost or damaged.
    Lost {
        /// Its number, from 0.
        segment: u32,
        /// What is wrong.
        what: String,
    },
    /// Nothing within the time that was given.
    Waiting,
    /// The session ended.
    End,
}

/// A follower that reads what it follows. Memory: a decompressor, and what [`Follow`] reads ahead.
pub struct Events {
    follow: Follow,
    reader: Option<PartReader>,
    /// Events with a lower number are left out.
    from_seq: u64,
    /// The segment that the next part is of, or is in.
    segment: u32,
}

impl Events {
    /// Follows from the beginning of a segment, leaving out events below a number.
    ///
    /// # Errors
    /// `Busy`.
    pub fn new(
        from: &Followed,
        session: SessionId,
        (segment, from_seq): (u32, u64),
    ) -> Result<Self, FollowError> {
        Ok(Self {
            follow: from.follow(session, segment)?,
            reader: None,
            from_seq,
            segment,
        })
    }

    /// The events of a session from [`Self::position`] on, for who is told elsewhere when to look
    /// again ([`Followed::look_through`]).
    #[must_use]
    pub fn look_through(
        from: &Followed,
        session: SessionId,
        (segment, from_seq): (u32, u64),
    ) -> Self {
        Self {
            follow: from.look_through(session, segment),
            reader: None,
            from_seq,
            segment,
        }
    }

    /// Where to begin, so that everything comes that did not come yet: in which segment, and from
    /// which event of it on.
    #[must_use]
    pub fn position(&self) -> (u32, u64) {
        (self.segment, self.from_seq)
    }

    /// The segment whose beginning the position after everything read so far can be reached from.
    #[must_use]
    pub fn segment(&self) -> u32 {
        self.segment
    }

    /// The next events; waits for them at most so long.
    ///
    /// # Errors
    /// See [`FollowError`].
    pub fn next(&mut self, at_most: Duration) -> Result<Told, FollowError> {
        loop {
            let part = match self.follow.next(at_most)? {
                Next::Part(part) => part,
                Next::Lost { segment, what, .. } => return Ok(self.lost(segment, what)),
                Next::Waiting => return Ok(Told::Waiting),
                Next::End => return Ok(Told::End),
            };
            match self.read(&part) {
                Ok(mut events) => {
                    events.retain(|event| event.seq >= self.from_seq);
                    if let Some(last) = events.last() {
                        self.from_seq = last.seq.saturating_add(1);
                        return Ok(Told::Events(events));
                    }
                }
                // Parts that are durable and not sound: the keeper puts them aside, which the next
                // call will be told.
                Err(what) => return Ok(self.lost(part.segment(), what)),
            }
        }
    }

    fn lost(&mut self, segment: u32, what: String) -> Told {
        self.reader = None;
        self.segment = segment.saturating_add(1);
        Told::Lost { segment, what }
    }

    fn read(&mut self, part: &Part) -> Result<Vec<Event>, String> {
        match (part.place(), &mut self.reader) {
            (Place::Seal, _) => {
                self.reader = None;
                // Behind the last segment nothing comes: who begins in it is told that it ends.
                if !is_final(part) {
                    self.segment = part.segment().saturating_add(1);
                }
                Ok(Vec::new())
            }
            (Place::Frame(0), _) => {
                let (reader, events) = PartReader::open(part.bytes()).map_err(|why| why.0)?;
                self.reader = Some(reader);
                self.segment = part.segment();
                Ok(events)
            }
            (Place::Frame(_), Some(reader)) => reader.frame(part.bytes()).map_err(|why| why.0),
            // Behind a frame that was not sound, up to the next segment.
            (Place::Frame(_), None) => Ok(Vec::new()),
        }
    }
}

fn is_final(part: &Part) -> bool {
    match part {
        Part::Seal(seal) => seal.statement().is_ok_and(|stated| stated.is_final),
        Part::Frame(_) => false,
    }
}
