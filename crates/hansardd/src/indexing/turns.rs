//! The thread that indexes: in turns over all sessions that have something new.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hansard_core::SessionId;
use hansard_store::catalog::Cursor;
use hansard_store::index::{IndexError, TantivyIndex};
use hansard_store::{Index, Query};

use super::session::Session;
use super::{Figures, Parts, size};
use crate::standing_back::Leisure;

/// Longest time between two looks at what there is to do.
const TURN: Duration = Duration::from_millis(500);

/// What was put is made durable so often at most. A crash makes it be read again.
const COMMIT_EVERY: Duration = Duration::from_secs(10);

/// Sessions that are read at a time. Of more, those that came later wait until one of these is over
/// or quiet: a screen and a block is in memory of each.
const OPEN_MAX: usize = 2048;

/// Sessions that are taken from the catalog at a time, when everything is compared.
const SWEPT_AT_ONCE: usize = 64;

/// A session of which nothing came for so long, and nothing is known to be recorded, is put away as
/// it is; should more come of it, it is read again from its beginning.
const QUIET: Duration = Duration::from_secs(600);

/// Pauses before what failed is tried again, doubling from the first to the last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));

/// How far the catalog was gone through.
enum Sweep {
    From(Option<Cursor>),
    Done,
}

pub(super) struct Turns {
    parts: Parts,
    figures: Arc<Mutex<Figures>>,
    sessions: BTreeMap<SessionId, Session>,
    /// Sessions with news for which there is no room yet.
    waiting: BTreeSet<SessionId>,
    sweep: Sweep,
    /// Sessions of which everything was put since the last commit: rung for, they are not read again,
    /// though the index does not count them yet.
    whole: BTreeSet<SessionId>,
    committed: Instant,
    is_checked: bool,
    events: u64,
    pause: Duration,
    leisure: Leisure,
}

impl Turns {
    pub(super) fn new(parts: Parts, figures: Arc<Mutex<Figures>>) -> Self {
        Self {
            parts,
            figures,
            sessions: BTreeMap::new(),
            waiting: BTreeSet::new(),
            sweep: Sweep::From(None),
            whole: BTreeSet::new(),
            committed: Instant::now(),
            is_checked: false,
            events: 0,
            pause: PAUSES.0,
            leisure: Leisure::begin(),
        }
    }

    pub(super) fn run(&mut self) {
        let mut wait = Duration::ZERO;
        loop {
            let turn = self.parts.news.take(wait);
            self.leisure = Leisure::begin();
            self.waiting.extend(turn.sessions);
            if turn.overflowed {
                self.sweep = Sweep::From(None);
            }
            if turn.is_stopping {
                // What is in full blocks is kept; the rest is read again at the next start.
                let _ = self.parts.shelf.index().and_then(|index| index.commit());
                return;
            }
            wait = match self.turn() {
                Ok(is_busy) => {
                    self.note(None);
                    self.parts.news.noted();
                    self.pause = PAUSES.0;
                    if is_busy { Duration::ZERO } else { TURN }
                }
                Err(error) => self.recover(&error),
            };
        }
    }

    /// One turn; answers whether there is more to do at once.
    fn turn(&mut self) -> Result<bool, IndexError> {
        let index = self.parts.shelf.index()?;
        if let Some(why) = self.parts.shelf.take_doubt() {
            return Err(IndexError::Damaged(why));
        }
        if !self.is_checked {
            index.check()?;
            self.is_checked = true;
        }
        self.sweep_on(&index)?;
        self.begin(&index)?;
        let mut is_busy = self.read_all(&index)?;
        is_busy |= matches!(self.sweep, Sweep::From(_)) && self.sessions.len() < OPEN_MAX;
        if self.committed.elapsed() >= COMMIT_EVERY {
            index.commit()?;
            self.whole.clear();
            self.committed = Instant::now();
        }
        Ok(is_busy)
    }

    /// Takes on sessions that have news, as far as there is room.
    fn begin(&mut self, index: &TantivyIndex) -> Result<(), IndexError> {
        for id in self.waiting.clone() {
            if let Some(session) = self.sessions.get_mut(&id) {
                session.is_behind = true;
            } else if self.sessions.len() >= OPEN_MAX {
                continue;
            } else if !self.whole.contains(&id) {
                let kept = index.kept(id)?;
                if !kept.is_whole {
                    self.sessions.insert(id, Session::new(id, kept));
                }
            }
            self.waiting.remove(&id);
        }
        Ok(())
    }

    /// Compares the next sessions of the catalog with what the index has.
    fn sweep_on(&mut self, index: &TantivyIndex) -> Result<(), IndexError> {
        let Sweep::From(after) = &self.sweep else {
            return Ok(());
        };
        let is_full = self.sessions.len() + self.waiting.len() >= OPEN_MAX / 2;
        if is_full {
            return Ok(());
        }
        let query = Query {
            newest_first: true,
            after: *after,
            limit: SWEPT_AT_ONCE,
            ..Query::default()
        };
        let page = self.parts.catalog.sessions(&query);
        let page = page.map_err(|e| IndexError::Retry(e.to_string()))?;
        for row in page.rows {
            if !index.kept(row.session)?.is_whole {
                self.waiting.insert(row.session);
            }
        }
        self.sweep = match page.next {
            Some(next) => Sweep::From(Some(next)),
            None => Sweep::Done,
        };
        Ok(())
    }

    fn read_all(&mut self, index: &TantivyIndex) -> Result<bool, IndexError> {
        let mut is_busy = false;
        let mut deleted = Vec::new();
        for (id, session) in &mut self.sessions {
            if session.is_behind {
                let (from, own) = (&self.parts.followed, &self.parts.key);
                let done = session.read(from, index, (own, &mut self.leisure))?;
                self.events = self.events.saturating_add(done.events);
                deleted.extend(done.deleted);
                is_busy |= session.is_behind;
            }
            session.show(index)?;
            if session.touched.elapsed() >= self.parts.rest_after && !session.is_behind {
                session.rest();
            }
            let is_quiet = session.touched.elapsed() >= QUIET && !session.is_behind;
            if is_quiet && self.parts.followed.live.standing(*id).is_none() {
                session.finish(index, false)?;
            }
            if self.parts.news.is_stopping() {
                break;
            }
        }
        // Told before it was done: what is deleted is found no more, also when it is not gone yet.
        index.forget(&deleted)?;
        let whole = self
            .sessions
            .iter()
            .filter(|(_, session)| session.is_whole());
        self.whole.extend(whole.map(|(id, _)| *id));
        self.sessions
            .retain(|id, session| !session.is_over() && !deleted.contains(id));
        Ok(is_busy)
    }

    /// What failed is tried again; what is damaged is thrown away and made again.
    fn recover(&mut self, error: &IndexError) -> Duration {
        let words = error.to_string();
        let is_new = self.note(Some(words.clone()));
        // What is remembered of sessions may be ahead of what was put.
        self.waiting.extend(self.sessions.keys().copied());
        self.sessions.clear();
        self.whole.clear();
        self.sweep = Sweep::From(None);
        if is_new {
            let log = &self.parts.journal;
            log.warning("nothing is indexed for now", &[("error", &words)]);
        }
        if let IndexError::Damaged(_) = error {
            match self.parts.shelf.begin_anew() {
                Ok(()) => {
                    let log = &self.parts.journal;
                    let done = "the full-text index is begun anew from the recordings";
                    log.warning(done, &[("error", &words)]);
                    return Duration::ZERO;
                }
                Err(e) => {
                    self.note(Some(e.to_string()));
                }
            }
        }
        let pause = self.pause;
        self.pause = pause.saturating_mul(2).min(PAUSES.1);
        pause
    }

    /// Tells how it is; answers whether the trouble is a new one.
    fn note(&self, trouble: Option<String>) -> bool {
        let index = self.parts.shelf.index();
        let (blocks, bytes) = index.map(|index| size(&*index)).unwrap_or_default();
        let mut figures = self.figures.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = figures.trouble != trouble;
        // Where something is wrong the sweep begins again, whatever it had done.
        let is_swept = trouble.is_none() && matches!(self.sweep, Sweep::Done);
        let is_behind = !self.waiting.is_empty() || self.sessions.values().any(|s| s.is_behind);
        *figures = Figures {
            blocks,
            bytes,
            events: self.events,
            sessions: self.sessions.len() as u64,
            is_caught_up: is_swept && !is_behind,
            trouble,
        };
        is_new
    }
}
