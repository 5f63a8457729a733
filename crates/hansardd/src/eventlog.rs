//! The event log: every event of every recording but Data, as one line of JSON each, in a file for
//! each day, with a link to the newest.
//!
//! It is computed from recordings and can be again ([`rebuild`]), but it promises more than a
//! projection: **each line exactly once**, whatever crashes when. The events of a session come in
//! order, and those of which no [`EventLog::sync`] said `Ok` come again; a repeat is known by session
//! and number. What makes that so is a [`cursor`] beside the files, and the lines behind it, which
//! are read at the start.
//!
//! - [`day`]: days and the names of their files; `file`: one file; [`link`]: `events.log`
//! - `sessions`: how far each session is; [`cursor`]: the same, durable; `recover`: what a crash left
//! - [`tidy`]: old files are compressed, older ones removed; not while the clock jumps
//!   ([`crate::steady`])
//! - [`rebuild`]: all files anew from the archive; `tap`: where the events come from

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use hansard_core::{Body, Event, Session, SessionId};
use hansard_record::clock::Clock;
use hansard_record::disk::Disk;
use hansard_view::document::Documents;

pub mod cursor;
pub mod day;
mod file;
pub mod known;
pub mod link;
pub mod notice;
pub mod rebuild;
mod recover;
mod sessions;
mod tap;
#[cfg(test)]
mod tests;
pub mod tidy;

use cursor::{Cursor, Place};
use day::Day;
use file::LogFile;
pub use known::Known;
use link::Link;
use notice::Notice;
use recover::Ahead;
use sessions::Sessions;
pub use sessions::{ENDED_MAX, SESSIONS_MAX, State};

/// Bytes of lines that are not durable yet, beyond which they are made so before more is taken; where
/// that fails, no more is taken.
pub const LINES_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Bytes of lines at which the system is given them, so that whoever follows the file sees them.
const WRITE_BYTES: usize = 64 * 1024;

/// Name of the link to the newest file.
pub const LINK: &str = "events.log";

/// Where an event log is, and what it stands on.
pub struct Parts {
    /// The file layer.
    pub disk: Arc<dyn Disk>,
    /// The clock that says which day it is.
    pub clock: Arc<dyn Clock>,
    /// What makes the link.
    pub link: Box<dyn Link>,
    /// Who knows how far a session is archived.
    pub known: Box<dyn Known>,
    /// Who is told what somebody must hear of; it should become an event of the own recording.
    pub notify: Box<dyn FnMut(Notice) + Send>,
}

/// Names of the files that are open, which is one but while the day turns; shared with what tidies
/// the others, which leaves these alone.
pub type Current = Arc<Mutex<Vec<String>>>;

/// The event log. One thread writes it.
///
/// Contract, in the words of RFC 2119:
///
/// - The events of a session MUST be given in order. After a crash they MUST be given again from the
///   first of which no `sync` that came after it said `Ok`, or from any earlier one.
/// - A line MUST be durable before [`EventLog::sync`] returns `Ok`, and stand in the log once. What
///   was given MUST NOT be forgotten elsewhere before.
/// - After an error whoever gives MUST give the same again, later. Nothing is skipped.
pub struct EventLog {
    parts: Parts,
    /// Directory of the link.
    root: PathBuf,
    /// Directory of the files, and its name.
    dir: PathBuf,
    service: String,
    day: Day,
    file: LogFile,
    sessions: Sessions,
    ahead: Ahead,
    cursor: Cursor,
    current: Current,
    link_due: bool,
    _lock: Box<dyn Send + Sync>,
}

impl EventLog {
    /// Opens the log of this service in `root`, which must exist, where the last one left it.
    ///
    /// # Errors
    /// `WouldBlock` when another process has it; otherwise what the system says.
    pub fn open(parts: Parts, root: &Path, service: &str) -> io::Result<Self> {
        let dir = root.join(service);
        let disk = &*parts.disk;
        disk.create_dir(&dir)?;
        disk.sync_dir(root)?;
        let lock = disk.lock(&dir.join("lock"), "the event log")?;
        let found = recover::find(disk, &dir)?;
        let day = Day::of(parts.clock.utc_ns());
        let current = Current::default();
        let file = open_file(disk, &dir, day, &current)?;
        let mut log = Self {
            cursor: Cursor::new(&dir),
            root: root.to_owned(),
            dir,
            service: service.to_owned(),
            day,
            file,
            sessions: found.sessions,
            ahead: found.ahead,
            current,
            link_due: true,
            _lock: lock,
            parts,
        };
        log.save()?;
        log.point();
        Ok(log)
    }

    /// Takes the next events of a session, whose header this is. Events that are in the log are
    /// passed over; where some are missing, somebody is told.
    ///
    /// # Errors
    /// Nothing was taken, or all: give the same again later.
    pub fn events(&mut self, header: &Session, events: &[Event]) -> io::Result<()> {
        let Some(first) = events.first() else {
            return Ok(());
        };
        if self.file.waiting() > LINES_BYTES_MAX {
            self.sync()?;
        }
        self.turn_day()?;
        let state = self.state_of(header.id, first.seq)?;
        let mut next_seq = state.next_seq;
        let mut documents = Documents::resume(known::place(), header, state.counted);
        for event in events.iter().filter(|event| event.seq >= state.next_seq) {
            if event.seq > next_seq {
                self.tell(Notice::Gap {
                    session: header.id,
                    from: next_seq,
                    until: event.seq,
                });
            }
            let there = self.there(header.id, event.seq);
            for document in documents.turn(event).iter().skip(there) {
                self.file.push(document);
            }
            next_seq = event.seq.saturating_add(1);
        }
        let counted = documents.into_counted();
        let has_ended = state.has_ended
            || matches!(events.last(), Some(event) if matches!(event.body, Body::End(_)));
        let state = State {
            next_seq,
            counted,
            has_ended,
        };
        self.sessions.put(header.id, state);
        if self.file.waiting() >= WRITE_BYTES {
            // It is repeated by the next sync, which says what is wrong.
            let _ = self.file.write();
        }
        Ok(())
    }

    /// Makes everything durable that was given before.
    ///
    /// # Errors
    /// Nothing is known of what was given since the last call that succeeded; it is kept, and the
    /// next call tries all of it again. Until then nothing of it must be forgotten elsewhere.
    pub fn sync(&mut self) -> io::Result<()> {
        let had_lines = self.file.waiting() > 0;
        self.file.sync()?;
        if had_lines || self.sessions.has_changed() {
            self.save()?;
        }
        Ok(())
    }

    /// Shows what was given to whoever follows the file, and turns the page at midnight. To be
    /// called about once a second.
    ///
    /// # Errors
    /// As [`EventLog::sync`].
    pub fn tick(&mut self) -> io::Result<()> {
        self.turn_day()?;
        if self.link_due {
            self.point();
        }
        self.file.write()
    }

    /// No event of this session comes again: it has ended, and nobody has a copy of it that is not
    /// archived. To be called after that is durable; where it never is, room is made when it must be.
    pub fn settled(&mut self, session: SessionId) {
        self.sessions.forget(session);
        self.ahead.remove(&session);
    }

    /// The files that are open, for [`tidy::Tidy`].
    #[must_use]
    pub fn current(&self) -> Current {
        self.current.clone()
    }

    /// Sessions that are remembered.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    fn tell(&mut self, notice: Notice) {
        (self.parts.notify)(notice);
    }

    /// How far a session is. One that is not remembered is new, or the archive knows it.
    fn state_of(&mut self, session: SessionId, first: u64) -> io::Result<State> {
        if let Some(state) = self.sessions.get(session) {
            return Ok(state.clone());
        }
        // What is in the log behind the cursor belongs to a session that had begun after it.
        if first == 0 && self.ahead.contains_key(&session) {
            return Ok(State::default());
        }
        let known = self.parts.known.known(session)?;
        Ok(
            known.map_or_else(State::default, |(next_seq, counted)| State {
                next_seq,
                counted,
                has_ended: false,
            }),
        )
    }

    /// How many documents of this event are in the log already.
    fn there(&mut self, session: SessionId, seq: u64) -> usize {
        match self.ahead.get(&session).copied() {
            Some((last, _)) if seq < last => usize::MAX,
            Some((last, documents)) if seq == last => {
                self.ahead.remove(&session);
                usize::try_from(documents).unwrap_or(usize::MAX)
            }
            Some(_) => {
                self.ahead.remove(&session);
                0
            }
            None => 0,
        }
    }

    /// Goes on in another file if it is another day, whichever way the clock went. Everything is
    /// durable in the old file first, so that after a crash at most one file ends in doubt.
    fn turn_day(&mut self) -> io::Result<()> {
        let day = Day::of(self.parts.clock.utc_ns());
        if day == self.day {
            return Ok(());
        }
        self.sync()?;
        // A crash after this leaves an empty file, which is as good as none.
        let before = self.day;
        let file = open_file(&*self.parts.disk, &self.dir, day, &self.current)?;
        let old = std::mem::replace(&mut self.file, file);
        self.day = day;
        if let Err(e) = self.save() {
            (self.file, self.day) = (old, before);
            self.current_is(before);
            return Err(e);
        }
        self.current_is(day);
        self.point();
        Ok(())
    }

    fn current_is(&self, day: Day) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        *current = vec![day.file_name()];
    }

    /// Writes the cursor. All lines are durable.
    fn save(&mut self) -> io::Result<()> {
        self.file.sync()?;
        let place = Place {
            file: self.day.file_name(),
            offset: self.file.synced(),
        };
        self.cursor
            .save(&*self.parts.disk, (&mut self.sessions, &self.ahead), &place)
    }

    /// Lets the link name today's file. That it fails costs no line: it is tried again.
    fn point(&mut self) {
        let target = Path::new(&self.service).join(self.day.file_name());
        let pointed = self.parts.link.point(&self.root.join(LINK), &target);
        self.link_due = pointed.is_err();
    }
}

/// Opens a day's file, and says that it is the one.
fn open_file(disk: &dyn Disk, dir: &Path, day: Day, current: &Current) -> io::Result<LogFile> {
    // Held while it is opened, so that nobody tidies it away meanwhile.
    let mut current = current.lock().unwrap_or_else(PoisonError::into_inner);
    let file = LogFile::open(disk, dir, &day.file_name())?;
    current.push(day.file_name());
    Ok(file)
}
