//! One session that is written as messages of tlog: where it is read, and what is to be sent.

use std::time::{Duration, Instant};

use hansard_core::SessionId;
use hansard_export::tlog::{Bucket, Cursor, Options, Rate, Verdict, Writing};

use super::book::Book;
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
    /// Whether it was given up: nothing more is expected of it, and something may come all the same.
    is_given_up: bool,
    /// Whether anything was ever read.
    was_there: bool,
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
            is_given_up: false,
            was_there: false,
        }
    }

    /// Reads what is there, as far as there is room for its messages.
    pub(super) fn read(&mut self, from: &Followed, id: SessionId) -> Result<(), Trouble> {
        self.is_behind = false;
        self.is_given_up &= self.has_ended;
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

    /// Nothing more is expected of it. What waits and can be ended early is left to that, for it
    /// needs a mark; what cannot, has no mark that would make it the same again, is written all the
    /// same.
    pub(super) fn give_up(&mut self) {
        if self.writing.waits() && self.was_there {
            return;
        }
        if !self.was_there || !self.writing.is_written_out() {
            self.end();
        }
        self.is_given_up = true;
    }

    /// Takes leave of it in the book if everything of it was sent; answers whether it was. One that
    /// was given up is not done: where it was cut off from us, the rest of it comes some day.
    pub(super) fn leave(&self, id: SessionId, book: &Book) -> bool {
        let is_over = self.has_ended || self.is_given_up;
        if !is_over || self.is_behind || self.writing.ready().next().is_some() {
            return false;
        }
        match (self.has_ended, self.is_given_up) {
            (true, is_given_up) => book.finished(id, !is_given_up),
            (false, _) => book.put_by(id),
        }
        true
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use hansard_core::session::ClockQuality;
    use hansard_core::{Body, Event, Fields, Policy, Session as Header, Stream};
    use hansard_record::Environment;

    use super::*;

    const OPTIONS: Options = Options {
        payload_bytes: 2048,
        latency_ns: 1_000_000_000,
        input: false,
        output: true,
        window: true,
    };

    fn header() -> Header {
        Header {
            id: SessionId::new_v7(1, [0; 10]),
            parent: None,
            kind: "terminal".into(),
            subject: Fields::new().with("user", "anna"),
            origin: Fields::new(),
            target: Fields::new(),
            start_utc_ns: 0,
            clock: ClockQuality::Unknown,
            policy: Policy::default(),
            recorder_key: [0; 32],
            recorder: "test".into(),
        }
    }

    fn session(cursor: Cursor, texts: &[&str]) -> Session {
        let mut session = Session::new(OPTIONS, cursor);
        session.is_behind = false;
        let mut bodies = vec![Body::Start(Box::new(header()))];
        bodies.extend(texts.iter().map(|text| Body::Data {
            stream: Stream::Output,
            bytes: text.as_bytes().to_vec(),
        }));
        for (seq, body) in (0..).zip(bodies) {
            let at_ns = seq * 1000;
            let event = Event { seq, at_ns, body };
            session.writing.event(&event).unwrap();
            session.was_there = true;
        }
        session
    }

    fn messages(session: &Session) -> Vec<String> {
        let ready = session.writing.ready();
        ready
            .map(|m| String::from_utf8_lossy(m).into_owned())
            .collect()
    }

    #[test]
    fn one_that_was_given_up_goes_on_where_it_was() {
        let id = SessionId::new_v7(1, [0; 10]);
        let (book, _) = Book::open(Environment::real().disk, Path::new("/nowhere/tlog")).unwrap();
        book.came(id);
        book.news(Duration::ZERO);
        let mut first = session(Cursor::default(), &["one"]);
        // What waits is ended early first, which makes a mark.
        first.give_up();
        assert!(!first.leave(id, &book));
        assert!(first.end_early(Duration::ZERO));
        first.give_up();
        assert!(!first.leave(id, &book), "its message was not sent");
        let sent = messages(&first);
        assert!(sent.len() == 1 && sent[0].contains("one"), "{sent:?}");
        first.writing.settle();
        book.moved(id, first.writing.cursor());
        assert!(first.leave(id, &book));
        assert!(book.news(Duration::ZERO).is_empty());

        // An hour later the rest comes.
        book.came(id);
        assert!(book.news(Duration::ZERO).contains(&id));
        let cursor = book.cursor(id).unwrap();
        assert_eq!(&cursor, first.writing.cursor());
        let mut again = session(cursor, &["one", "two"]);
        again.end();
        let rest = messages(&again);
        assert!(rest.len() == 1 && rest[0].contains("two") && !rest[0].contains("one"));
        again.writing.settle();
        assert!(again.leave(id, &book));
        // Now it is done.
        book.came(id);
        assert!(book.news(Duration::ZERO).is_empty());
    }

    #[test]
    fn one_of_which_nothing_was_there_may_still_come() {
        let id = SessionId::new_v7(1, [0; 10]);
        let (book, _) = Book::open(Environment::real().disk, Path::new("/nowhere/tlog")).unwrap();
        book.came(id);
        book.news(Duration::ZERO);
        let mut session = Session::new(OPTIONS, Cursor::default());
        session.is_behind = false;
        session.give_up();
        assert!(session.leave(id, &book));
        assert_eq!(book.usage(), (0, 0));
        book.came(id);
        assert!(book.news(Duration::ZERO).contains(&id));
    }
}
