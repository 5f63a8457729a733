//! The thread that makes messages of tlog and has them written.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hansard_core::SessionId;
use hansard_export::tlog::batch::{BYTES_MAX, MESSAGES_MAX};
use hansard_export::tlog::{Options, Rate};
use hansard_record::clock::Clock;

use super::book::Book;
use super::helper::{Helper, Stopper};
use super::session::{Session, Taken, Trouble};
use crate::config::TlogExport;
use crate::follow::Followed;
use crate::journal::Journal;

/// Longest time between two looks at what waits.
const TURN: Duration = Duration::from_millis(200);

/// How far sessions have come is made durable so often at most; a crash repeats what was written
/// since.
const SAVE_EVERY: Duration = Duration::from_secs(1);

/// Sessions of which what reads them is kept from turn to turn. Of more, it is let go each time, and
/// their last segment is read again when something comes of them.
const READERS_MAX: usize = 256;

/// What reads a session is let go when nothing came of it for so long.
const PUT_BY: Duration = Duration::from_secs(10);

/// Messages that wait of all sessions together, at most but for those of one session: with more, none
/// is read further.
const READY_ALL_MAX: usize = 8192;

/// A session of which nothing is known to be recorded any more, and nothing came for so long, is
/// given up: what waits of it is written. Should more come, it goes on where it was, or, where the
/// book forgot it, from its beginning.
const GIVE_UP: Duration = Duration::from_secs(3600);

/// Pauses before what failed is tried again double from the first to the last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));

/// What it stands on.
pub struct Parts {
    /// Where sessions are read.
    pub followed: Followed,
    /// How far they have come.
    pub book: Arc<Book>,
    /// The daemon's log.
    pub journal: Journal,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// What was done.
#[derive(Debug, Default)]
pub struct Figures {
    /// Messages that are in their place.
    pub written: AtomicU64,
    /// Messages that were left out, over the limit.
    pub dropped: AtomicU64,
}

/// The thread, and what ends it.
pub struct Running {
    book: Arc<Book>,
    stopper: Stopper,
    thread: JoinHandle<()>,
    /// What it did.
    pub figures: Arc<Figures>,
}

impl Running {
    /// Ends it. What was not said to be written is written at the next start.
    pub fn stop(self) {
        self.book.stop();
        self.stopper.stop();
        let _ = self.thread.join();
    }
}

/// Begins to write.
///
/// # Errors
/// When there is no thread to be had.
pub fn start(parts: Parts, export: &TlogExport) -> io::Result<Running> {
    let figures = Arc::<Figures>::default();
    let helper = Helper::new(export);
    let (book, stopper) = (Arc::clone(&parts.book), helper.stopper());
    let mut turns = Turns::new(parts, export, helper, Arc::clone(&figures));
    let thread = std::thread::Builder::new()
        .name("tlog".to_owned())
        .spawn(move || turns.run())?;
    Ok(Running {
        book,
        stopper,
        thread,
        figures,
    })
}

struct Turns {
    parts: Parts,
    options: Options,
    limit: Rate,
    latency: Duration,
    helper: Helper,
    figures: Arc<Figures>,
    sessions: BTreeMap<SessionId, Session>,
    /// The session whose turn was last.
    last: Option<SessionId>,
    saved: Instant,
    is_unsaved: bool,
    /// After trouble: until when nothing is tried, and the pause after the next.
    paused: Option<(Instant, Duration)>,
    refused: u64,
}

impl Turns {
    fn new(parts: Parts, export: &TlogExport, helper: Helper, figures: Arc<Figures>) -> Self {
        let payload = usize::try_from(export.payload.0).unwrap_or(usize::MAX);
        let options = Options {
            payload_bytes: payload,
            latency_ns: export.latency.as_millis().saturating_mul(1_000_000),
            input: export.log.input,
            output: export.log.output,
            window: export.log.window,
        };
        let limit = Rate {
            rate: export.limit.rate.0,
            burst: export.limit.burst.0,
            action: export.limit.action,
        };
        Self {
            parts,
            options,
            limit,
            latency: export.latency.0,
            helper,
            figures,
            sessions: BTreeMap::new(),
            last: None,
            saved: Instant::now(),
            is_unsaved: false,
            paused: None,
            refused: 0,
        }
    }

    fn run(&mut self) {
        let book = Arc::clone(&self.parts.book);
        let mut wait = TURN;
        while !book.is_stopping() {
            for session in book.news(wait) {
                self.open(session);
            }
            let read = self.read();
            // A mark is durable before a message behind it is sent, so that the same number never
            // stands for two messages.
            let may_send = !self.end_early() || self.save();
            let more = may_send && self.send();
            self.finish();
            if self.is_unsaved && self.saved.elapsed() >= SAVE_EVERY {
                self.save();
            }
            // Where nothing can be read for want of room, or written for the limit, it is tried
            // again after a while.
            wait = match more || read {
                true => Duration::ZERO,
                false => TURN,
            };
        }
        if self.is_unsaved {
            self.save();
        }
    }

    /// Something came of a session.
    fn open(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.is_behind = true;
            return;
        }
        let Some(cursor) = self.parts.book.cursor(id) else {
            return;
        };
        let session = Session::new(self.options, cursor);
        self.sessions.insert(id, session);
    }

    /// Answers whether anything came, and there may be more.
    fn read(&mut self) -> bool {
        let mut came = false;
        let journal = &self.parts.journal;
        let mut ready: usize = self.sessions.values().map(Session::ready).sum();
        let mut open = self.sessions.values().filter(|s| s.is_open()).count();
        for id in self.in_turn() {
            let Some(session) = self.sessions.get_mut(&id) else {
                continue;
            };
            let was_open = session.is_open();
            if session.is_behind && ready < READY_ALL_MAX {
                let (before, touched) = (session.ready(), session.touched);
                match session.read(&self.parts.followed, id) {
                    Ok(()) => {}
                    Err(Trouble::Later(why)) => journal.warning(
                        "a session cannot be read for tlog now",
                        &[("session", &id), ("error", &why)],
                    ),
                    Err(Trouble::Lost(what)) => journal.error(
                        "a part of a session is missing among the messages of tlog",
                        &[("session", &id), ("error", &what)],
                    ),
                }
                ready = ready.saturating_add(session.ready().saturating_sub(before));
                came |= session.is_behind && session.touched != touched;
            }
            let is_one_too_many = !was_open && open >= READERS_MAX;
            if is_one_too_many || session.touched.elapsed() >= PUT_BY {
                session.put_by();
            }
            match (was_open, session.is_open()) {
                (false, true) => open = open.saturating_add(1),
                (true, false) => open = open.saturating_sub(1),
                _ => {}
            }
        }
        let refused = self.parts.book.usage().1;
        if refused > self.refused {
            self.refused = refused;
            journal.error(
                "too many sessions at a time: not all are written as tlog",
                &[("most", &super::book::OPEN_MAX)],
            );
        }
        came
    }

    /// Answers whether there are new marks.
    fn end_early(&mut self) -> bool {
        let mut ended = false;
        for (id, session) in &mut self.sessions {
            if session.end_early(self.latency) {
                self.parts.book.moved(*id, session.writing.cursor());
                ended = true;
            }
        }
        self.is_unsaved |= ended;
        ended
    }

    fn save(&mut self) -> bool {
        self.saved = Instant::now();
        match self.parts.book.save() {
            Ok(()) => {
                self.is_unsaved = false;
                true
            }
            Err(e) => {
                let words = "how far tlog's messages have come cannot be kept";
                self.parts.journal.error(words, &[("error", &e)]);
                false
            }
        }
    }

    /// All sessions, beginning behind the one whose messages were sent last.
    fn in_turn(&self) -> Vec<SessionId> {
        let mut turn: Vec<SessionId> = self.sessions.keys().copied().collect();
        let after = self
            .last
            .map_or(0, |last| self.sessions.range(..=last).count());
        let after = after.min(turn.len());
        turn.rotate_left(after);
        turn
    }

    /// Sends a batch; answers whether there may be another at once.
    fn send(&mut self) -> bool {
        if self.paused.is_some_and(|(until, _)| Instant::now() < until) {
            return false;
        }
        let (mut messages, mut taken) = (Vec::new(), Vec::new());
        let (mut room, mut bytes) = (MESSAGES_MAX, BYTES_MAX);
        let now_ns = self.parts.clock.monotonic_ns();
        for id in self.in_turn() {
            if let Some(session) = self.sessions.get_mut(&id) {
                let count = taken.len();
                let what = (id, &self.limit, now_ns);
                session.take(what, (&mut room, &mut bytes), (&mut messages, &mut taken));
                if taken.len() > count {
                    self.last = Some(id);
                }
            }
        }
        if taken.is_empty() {
            return false;
        }
        let answer = match messages.is_empty() {
            true => Ok((0, None)),
            false => self.helper.send(&messages).map(|a| (a.done, a.trouble)),
        };
        let (done, trouble) = answer.unwrap_or_else(|e| (0, Some(format!("the helper: {e}"))));
        self.settle(&taken, done);
        match trouble {
            None => self.resume(),
            Some(why) => self.pause(&why),
        }
        self.paused.is_none()
    }

    /// So many of what was sent is in its place; what was left out before it is left out.
    fn settle(&mut self, taken: &[Taken], mut done: usize) {
        for one in taken {
            if one.is_sent && done == 0 {
                break;
            }
            let counted = match one.is_sent {
                true => {
                    done = done.saturating_sub(1);
                    &self.figures.written
                }
                false => &self.figures.dropped,
            };
            counted.fetch_add(1, Ordering::Relaxed);
            if let Some(session) = self.sessions.get_mut(&one.session) {
                session.writing.settle();
                self.parts.book.moved(one.session, session.writing.cursor());
                self.is_unsaved = true;
            }
        }
    }

    fn pause(&mut self, why: &str) {
        let pause = match self.paused {
            Some((_, next)) => next,
            None => {
                let words = "messages of tlog cannot be written and wait";
                self.parts.journal.warning(words, &[("error", &why)]);
                PAUSES.0
            }
        };
        let next = pause.saturating_mul(2).min(PAUSES.1);
        self.paused = Some((Instant::now() + pause, next));
    }

    fn resume(&mut self) {
        if self.paused.take().is_some() {
            let words = "messages of tlog are written again";
            self.parts.journal.notice(words, &[]);
        }
    }

    /// Takes away what is over, and what nothing more comes of.
    fn finish(&mut self) {
        let book = &self.parts.book;
        let live = &self.parts.followed.live;
        for (id, session) in &mut self.sessions {
            let is_quiet = session.touched.elapsed() >= GIVE_UP && !session.is_behind;
            if is_quiet && live.standing(*id).is_none() {
                session.give_up();
            }
        }
        let before = self.sessions.len();
        self.sessions
            .retain(|id, session| !session.leave(*id, book));
        self.is_unsaved |= self.sessions.len() < before;
    }
}
