//! One session that is written as messages of tlog: where it is read, and what is to be sent.

use std::time::{Duration, Instant};

use hansard_core::SessionId;
use hansard_export::tlog::{Bucket, Cursor, Options, Rate, Verdict, Writing};

use crate::follow::{Events, FollowError, Followed, Told};

/// Messages that are made and not sent of one session, at most but for those of one frame: with more
/// it is read no further.
const READY_MAX: usize = 256;

/// A session.
pub(super) struct Session {
    /// Where it is read; `None` while it is put by.
    events: Option<Events>,
    /// Where it goes on then.
    position: (u32, u64),
    pub(super) writing: Writing,
    bucket: Bucket,
    /// Its next message is not asked about before, on the clock of [`Session::take`].
    not_before_ns: u64,
    /// When something last came of it.
    pub(super) touched: Instant,
    /// Whether there may be more to read now.
    pub(super) is_behind: bool,
    has_ended: bool,
    /// Whether anything was ever read.
    pub(super) was_there: bool,
}

/// What becomes of the oldest messages of a session.
pub(super) struct Taken {
    pub(super) session: SessionId,
    /// `false` for one that is left out, over the limit.
    pub(super) is_sent: bool,
}

/// Why a session could not be read to where it is now.
pub(super) enum Trouble {
    /// It is tried again.
    Later(String),
    /// A part of it is missing among the messages.
    Lost(String),
}

impl Session {
    pub(super) fn new(options: Options, cursor: Cursor) -> Self {
        Self {
            events: None,
            position: (0, 0),
            writing: Writing::new(options, cursor),
            bucket: Bucket::default(),
            not_before_ns: 0,
            touched: Instant::now(),
            is_behind: true,
            has_ended: false,
            was_there: false,
        }
    }

    /// Reads what is there, as far as there is room for its messages.
    pub(super) fn read(&mut self, from: &Followed, id: SessionId) -> Result<(), Trouble> {
        self.is_behind = false;
        while !self.has_ended {
            if self.ready() >= READY_MAX {
                self.is_behind = true;
                break;
            }
            let events = self
                .events
                .get_or_insert_with(|| Events::look_through(from, id, self.position));
            match events.next(Duration::ZERO) {
                Ok(Told::Events(events)) => {
                    self.touched = Instant::now();
                    self.was_there = true;
                    for event in &events {
                        let made = self.writing.event(event);
                        made.map_err(|e| Trouble::Lost(e.to_string()))?;
                    }
                }
                Ok(Told::Lost { segment, what }) => {
                    self.is_behind = true;
                    self.was_there = true;
                    return Err(Trouble::Lost(format!("segment {segment}: {what}")));
                }
                Ok(Told::Waiting) => break,
                Ok(Told::End) => self.end(),
                Err(FollowError::Retry(why)) => {
                    self.is_behind = true;
                    return Err(Trouble::Later(why));
                }
                Err(e @ (FollowError::Busy | FollowError::Aside(_))) => {
                    return Err(Trouble::Later(e.to_string()));
                }
            }
        }
        Ok(())
    }

    /// Whether what reads it is in memory: far more than all else of it.
    pub(super) fn is_open(&self) -> bool {
        self.events.is_some()
    }

    /// Lets go what reads it. The segment that it is in is read again when more of it comes.
    pub(super) fn put_by(&mut self) {
        if let Some(events) = self.events.take() {
            self.position = events.position();
        }
    }

    /// Messages that are made and not sent.
    pub(super) fn ready(&self) -> usize {
        self.writing.ready().count()
    }

    /// Nothing more comes of it.
    pub(super) fn end(&mut self) {
        self.put_by();
        self.has_ended = true;
        self.is_behind = false;
        // Writing to memory does not fail, and the format holds everything.
        let _ = self.writing.end();
    }

    /// Whether everything of it was sent.
    pub(super) fn is_over(&self) -> bool {
        self.has_ended && self.writing.ready().next().is_none()
    }

    /// Ends the message that waits, if nothing came for so long; answers whether it did.
    pub(super) fn end_early(&mut self, latency: Duration) -> bool {
        let due = self.writing.waits() && !self.is_behind && self.touched.elapsed() >= latency;
        due && self.writing.end_early().is_ok()
    }

    /// Puts its oldest messages into a batch, as far as the limit lets them and there is room.
    pub(super) fn take(
        &mut self,
        (session, limit, now_ns): (SessionId, &Rate, u64),
        (room, bytes): (&mut usize, &mut usize),
        batch: (&mut Vec<Vec<u8>>, &mut Vec<Taken>),
    ) {
        if now_ns < self.not_before_ns {
            return;
        }
        let (messages, taken) = batch;
        for message in self.writing.ready() {
            if *room == 0 || (*bytes < message.len() && !messages.is_empty()) {
                break;
            }
            let is_sent = match self.bucket.ask(limit, message.len(), now_ns) {
                Verdict::Write => true,
                Verdict::Drop => false,
                Verdict::Wait { until_ns } => {
                    self.not_before_ns = until_ns;
                    break;
                }
            };
            taken.push(Taken { session, is_sent });
            if is_sent {
                *room = room.saturating_sub(1);
                *bytes = bytes.saturating_sub(message.len());
                messages.push(message.to_vec());
            }
        }
    }
}
