//! Recordings as they are played in a browser, with keyframes, so that every moment is near.
//!
//! One that is over is read in the archive, where a moment costs a keyframe and a segment; its keyframes
//! are kept, and those of a long one made before anybody asks. One that goes on is copied into a file
//! without a name, with keyframes beside it, of which a crash leaves nothing.
//!
//! - `kept`: keyframes on the disk; `ahead`: who makes them before they are wanted; `survey`: timelines
//! - `moments`: screens, what changes behind them, where a text stood

pub mod ahead;
mod kept;
mod moments;
mod survey;

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Write as _};
use std::ops::ControlFlow;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hansard_core::SessionId;
use hansard_core::reader::ReadError;
use hansard_view::Indexed;
use hansard_view::index::{Index, IndexError, build};
use hansard_view::source::Source;

use crate::api::player::{Damaged, Found, Playing, Stretch, Timeline};
use crate::api::problem::Trouble;
use crate::api::seams::Recordings;

use kept::Kept;
pub(crate) use survey::happening;

/// Recordings that are ready to be played; a further one puts away the one that was not asked for
/// for the longest time.
pub const BOOKS_MAX: usize = 32;

/// Bytes of their copies, likewise.
pub const BOOKS_BYTES_MAX: u64 = 8 << 30;

/// Longest recording that is played, bytes as stored; a longer one is refused, and can be downloaded.
pub const BOOK_BYTES_MAX: u64 = 4 << 30;

/// Recordings of fewer bytes, as stored, are not made ready before they are wanted: that takes a tenth
/// of a second.
pub const AHEAD_BYTES_MIN: u64 = 512 << 10;

/// Recordings that are made ready at the same time; whoever wants a further one is told to come again.
pub const MAKING_MAX: usize = 2;

/// One that takes longer does not count among these any more: who recorded something that takes an emulator
/// minutes keeps nobody from seeing the recordings of others.
const MAKING_LONG: Duration = Duration::from_secs(10);

/// Recordings that are made ready at the same time with those that take long.
const MAKING_ALL_MAX: usize = 6;

/// After how long a recording that still grows is read again for who asks for all of it.
const GROWING: Duration = Duration::from_secs(3);

/// Everything that is played.
pub struct Player {
    from: Arc<dyn Recordings>,
    directory: PathBuf,
    kept: Kept,
    names: AtomicU64,
    shelf: Mutex<HashMap<SessionId, Place>>,
    making: Mutex<Making>,
}

struct Place {
    book: Arc<Mutex<Option<Book>>>,
    used: Instant,
    bytes: u64,
}

/// A recording with its keyframes. Clones are the same one: who reads in it keeps nobody else from that.
#[derive(Clone)]
struct Book {
    indexed: Arc<Indexed>,
    timeline: Arc<Timeline>,
    /// Of a copy; 0 where the archive is read.
    bytes: u64,
    made: Instant,
}

impl Book {
    /// Whether more may have come since: never to what is read in the archive.
    fn grows(&self) -> bool {
        self.bytes > 0 && !self.timeline.is_whole
    }
}

impl Player {
    /// Plays recordings from there, with copies in `directory` and keyframes in `keyframes`, which are
    /// made if they are not there; what a crash left of copies goes.
    ///
    /// # Errors
    /// When a directory cannot be made.
    pub fn new(from: Arc<dyn Recordings>, directory: &Path, keyframes: &Path) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        for left in fs::read_dir(directory)? {
            // What stays takes room until it can be removed, and is never read.
            let _ = fs::remove_file(left?.path());
        }
        Ok(Self {
            from,
            directory: directory.to_owned(),
            kept: Kept::open(keyframes)?,
            names: AtomicU64::new(0),
            shelf: Mutex::default(),
            making: Mutex::default(),
        })
    }

    fn shelf(&self) -> MutexGuard<'_, HashMap<SessionId, Place>> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A recording that is ready; makes it ready first where it is not, or where it may have grown and
    /// `wants` what came since. Only who wants the same one waits for that.
    fn book(
        &self,
        session: SessionId,
        wants: impl FnOnce(&Book) -> bool,
    ) -> Result<Option<Book>, Trouble> {
        let shared = self.place(session);
        let mut book = shared.lock().unwrap_or_else(PoisonError::into_inner);
        let is_old = book
            .as_ref()
            .is_none_or(|book| book.grows() && book.made.elapsed() >= GROWING && wants(book));
        if is_old {
            let Some(made) = self.make(session)? else {
                self.shelf().remove(&session);
                return Ok(None);
            };
            let bytes = made.bytes;
            *book = Some(made);
            if let Some(place) = self.shelf().get_mut(&session) {
                place.bytes = bytes;
            }
        }
        Ok(book.clone())
    }

    /// The place of a recording on the shelf; room is made for it.
    fn place(&self, session: SessionId) -> Arc<Mutex<Option<Book>>> {
        let mut shelf = self.shelf();
        let now = Instant::now();
        let place = shelf.entry(session).or_insert_with(|| Place {
            book: Arc::default(),
            used: now,
            bytes: 0,
        });
        place.used = now;
        let book = Arc::clone(&place.book);
        loop {
            let bytes: u64 = shelf.values().map(|place| place.bytes).sum();
            if shelf.len() <= BOOKS_MAX && bytes <= BOOKS_BYTES_MAX {
                return book;
            }
            let others = shelf.iter().filter(|(id, _)| **id != session);
            let Some(idlest) = others
                .min_by_key(|(_, place)| place.used)
                .map(|(id, _)| *id)
            else {
                return book;
            };
            // Whoever reads it just now has it until they are done.
            shelf.remove(&idlest);
        }
    }

    /// Makes a recording that is over ready before it is wanted, if it is long; answers whether nothing
    /// is left to do about it.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    pub fn prepare(
        &self,
        session: SessionId,
        is_stopping: &dyn Fn() -> bool,
    ) -> Result<bool, Trouble> {
        let Some(recording) = self.from.whole(session)? else {
            return Ok(false);
        };
        let bytes = recording.len().map_err(|e| Trouble::Retry(e.to_string()))?;
        if !(AHEAD_BYTES_MIN..BOOK_BYTES_MAX).contains(&bytes) || self.kept.has(session) {
            return Ok(true);
        }
        // Who wants to see it meanwhile waits for this, and does not do the same beside it. Nor is
        // waited here for who does it already: a stop would wait too.
        let shared = self.place(session);
        let Ok(mut book) = shared.try_lock() else {
            return Ok(false);
        };
        // A copy that somebody had made before the archive had all of it goes with this daemon.
        if book.as_ref().is_none_or(|book| book.bytes > 0) {
            *book = match self.over(session, &recording, is_stopping) {
                Ok(made) => Some(made),
                // A disk that is full now is not tried every second; whoever plays it tries again.
                Err(Trouble::Retry(why)) if !is_stopping() => return Err(Trouble::Refused(why)),
                Err(other) => return Err(other),
            };
            if let Some(place) = self.shelf().get_mut(&session) {
                place.bytes = 0;
            }
        }
        Ok(true)
    }

    /// Takes away what there is of a session that was deleted.
    pub fn forget(&self, session: SessionId) {
        self.shelf().remove(&session);
        self.kept.forget_all(session);
    }

    /// Takes away what is kept of sessions that are not there any more.
    fn sweep(&self, is_stopping: &dyn Fn() -> bool) {
        for session in self.kept.sessions() {
            if is_stopping() {
                return;
            }
            // While the archive cannot be asked, nothing is known to be gone. What goes on is there, too.
            let is_gone = || matches!(self.from.open(session), Ok(None));
            if matches!(self.from.whole(session), Ok(None)) {
                match self.kept.damaged(session) {
                    Some(_) if !is_gone() => self.kept.forget(session),
                    _ => self.forget(session),
                }
            }
        }
    }

    fn make(&self, session: SessionId) -> Result<Option<Book>, Trouble> {
        match self.from.whole(session)? {
            Some(recording) => self.over(session, &recording, &|| false).map(Some),
            None => self.copied(session),
        }
    }

    /// A recording that is over.
    fn over(
        &self,
        session: SessionId,
        recording: &Source,
        is_stopping: &dyn Fn() -> bool,
    ) -> Result<Book, Trouble> {
        let (index, timeline) = match self.kept.get(session, recording) {
            Some(kept) => kept,
            None => {
                let bytes = recording.len();
                refuse_long(bytes.map_err(|e| Trouble::Retry(e.to_string()))?)?;
                let _turn = self.turn()?;
                let made = self.kept.make(session, recording, is_stopping);
                made.map_err(|e| trouble(&e))?
            }
        };
        let indexed = Indexed::new(Arc::clone(recording), index).map_err(|e| trouble(&e))?;
        Ok(self.noted(session, indexed, timeline, 0))
    }

    /// What is there of a recording that goes on.
    fn copied(&self, session: SessionId) -> Result<Option<Book>, Trouble> {
        let _turn = self.turn()?;
        let Some(mut reader) = self.from.open(session)? else {
            return Ok(None);
        };
        let failed = |e: &dyn std::fmt::Display| Trouble::Retry(format!("playing {session}: {e}"));
        let mut copy = self.nameless().map_err(|e| failed(&e))?;
        let mut most = (&mut reader).take(BOOK_BYTES_MAX);
        let bytes = io::copy(&mut most, &mut copy).map_err(|e| failed(&e))?;
        refuse_long(bytes)?;
        let recording: Source = Arc::new(copy);
        let file = self.nameless().map_err(|e| failed(&e))?;
        let mut out = BufWriter::with_capacity(256 * 1024, &file);
        let go_on = &mut |_: hansard_view::index::Progress| ControlFlow::Continue(());
        build(&recording, &mut out, go_on).map_err(|e| trouble(&e))?;
        out.flush().map_err(|e| failed(&e))?;
        drop(out);
        let index = Index::open(Arc::new(file)).map_err(|e| trouble(&e))?;
        let timeline = survey::survey(&recording, &index, &|| false);
        let timeline = timeline.map_err(|e| trouble(&e))?;
        let indexed = Indexed::new(recording, index).map_err(|e| trouble(&e))?;
        Ok(Some(self.noted(session, indexed, timeline, bytes)))
    }

    /// A recording that is ready, with what a check found wrong with it, whatever is seen of that by
    /// reading it.
    fn noted(&self, session: SessionId, indexed: Indexed, timeline: Timeline, bytes: u64) -> Book {
        let timeline = match self.kept.damaged(session) {
            Some(damaged) => survey::behind(timeline, &damaged),
            None => timeline,
        };
        Book {
            indexed: Arc::new(indexed),
            timeline: Arc::new(timeline),
            bytes,
            made: Instant::now(),
        }
    }

    /// What an error is for whoever asked. Keyframes that are not what was kept are made again by who
    /// asks next.
    fn doubt(&self, session: SessionId, error: &IndexError) -> Trouble {
        if let IndexError::Doubtful(_) = error {
            self.forget(session);
        }
        trouble(error)
    }

    /// Takes away what says that a recording is sound in which somebody met so many damaged places: it was
    /// damaged since, and who asks next is told. Where it is just being used, who meets them next does that.
    fn met(&self, session: SessionId, book: &Book, damages: u64) {
        if damages == 0 || book.timeline.damages > 0 {
            return;
        }
        let shared = self.shelf().get(&session).map(|of| Arc::clone(&of.book));
        let Some(mut now) = shared.as_ref().and_then(|shared| shared.try_lock().ok()) else {
            return;
        };
        // Somebody else may have made it anew by now.
        let is_it = |now: &Book| Arc::ptr_eq(&now.timeline, &book.timeline);
        if now.as_ref().is_some_and(is_it) {
            *now = None;
            self.kept.forget(session);
        }
    }

    /// A turn to make a recording ready.
    fn turn(&self) -> Result<Turn<'_>, Trouble> {
        let turn = Turn::take(&self.making, Instant::now());
        turn.ok_or_else(|| {
            let words = "other recordings are just being made ready to be played";
            Trouble::Busy(words.to_owned())
        })
    }

    /// A file whose name is gone before anything is written into it: a crash leaves nothing of what
    /// was in it, and nobody else opens it.
    fn nameless(&self) -> io::Result<File> {
        let n = self.names.fetch_add(1, Ordering::Relaxed);
        let path = self.directory.join(format!("{n}"));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        fs::remove_file(&path)?;
        Ok(file)
    }
}

fn refuse_long(bytes: u64) -> Result<(), Trouble> {
    if bytes < BOOK_BYTES_MAX {
        return Ok(());
    }
    let words = "the recording is too long to be played here; download it";
    Err(Trouble::Refused(words.to_owned()))
}

/// Since when recordings are made ready, by the number of the turn.
#[derive(Default)]
struct Making {
    begun: BTreeMap<u64, Instant>,
    next: u64,
}

struct Turn<'a>(&'a Mutex<Making>, u64);

impl<'a> Turn<'a> {
    fn take(making: &'a Mutex<Making>, now: Instant) -> Option<Self> {
        let mut all = making.lock().unwrap_or_else(PoisonError::into_inner);
        let is_short = |begun: &&Instant| now.saturating_duration_since(**begun) < MAKING_LONG;
        let short = all.begun.values().filter(is_short).count();
        if short >= MAKING_MAX || all.begun.len() >= MAKING_ALL_MAX {
            return None;
        }
        let number = all.next;
        all.next += 1;
        all.begun.insert(number, now);
        Some(Self(making, number))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut making = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        making.begun.remove(&self.1);
    }
}

fn trouble(error: &IndexError) -> Trouble {
    match error {
        IndexError::Recording(ReadError::NotARecording) => {
            Trouble::Refused("nothing of the recording can be read".to_owned())
        }
        IndexError::Write(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            Trouble::Refused("its keyframes take too much room: download it".to_owned())
        }
        other => Trouble::Retry(other.to_string()),
    }
}

impl Playing for Player {
    fn checked(&self, session: SessionId, damaged: Option<&Damaged>) {
        if damaged.is_none() && self.kept.damaged(session).is_none() {
            return;
        }
        // A note that cannot be written, on a full disk, is missed after the next check or restart only: what
        // was made before goes in any case. Taken away last, so that nobody makes it again without the note.
        let _ = self.kept.note(session, damaged);
        self.shelf().remove(&session);
        self.kept.forget(session);
    }

    fn timeline(&self, session: SessionId) -> Result<Option<Arc<Timeline>>, Trouble> {
        let book = self.book(session, |_| true)?;
        Ok(book.map(|book| book.timeline))
    }

    fn stretch(
        &self,
        session: SessionId,
        from_ns: u64,
        until_ns: u64,
    ) -> Result<Option<Stretch>, Trouble> {
        // What is behind the end of what is there may have come since.
        let is_behind = |book: &Book| from_ns > book.timeline.duration_ns;
        let Some(book) = self.book(session, is_behind)? else {
            return Ok(None);
        };
        let found = moments::stretch(&book.indexed, from_ns, until_ns);
        let mut found = found.map_err(|e| self.doubt(session, &e))?;
        found.duration_ns = book.timeline.duration_ns;
        self.met(session, &book, found.damages);
        Ok(Some(found))
    }

    fn find(
        &self,
        session: SessionId,
        needle: &str,
        from_ns: u64,
    ) -> Result<Option<Found>, Trouble> {
        let Some(book) = self.book(session, |_| false)? else {
            return Ok(None);
        };
        let found = moments::find(&book.indexed, needle, from_ns);
        let found = found.map_err(|e| self.doubt(session, &e))?;
        self.met(session, &book, found.damages);
        Ok(Some(found))
    }
}

#[cfg(test)]
mod tests;
