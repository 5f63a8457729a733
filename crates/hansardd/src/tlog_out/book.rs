//! Which sessions are written as messages of tlog, and how far each has come: one small file, replaced
//! whole.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hansard_core::{Event, SessionId};
use hansard_export::tlog::Cursor;
use hansard_record::disk::{Disk, read_full_at, write_all_at};
use serde_json::{Value, json};

use crate::keeper::{Tap, TapTrouble, Told};

/// Sessions that are written at a time. Of one more, the oldest that was given up is forgotten, which
/// is written from its beginning should more of it come; where none was, the one more is not written
/// at all, which is counted and said.
pub const OPEN_MAX: usize = 10_000;

/// Sessions that are remembered to be written, the newest, so that the first start after their end
/// does not write them again.
pub const DONE_MAX: usize = 4096;

/// Largest file that is read. Ours never is as large; a larger one is not believed.
const BOOK_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Kinds of sessions that are nobody's doing: the diaries.
const DIARIES: [&str; 2] = ["host", "service"];

#[derive(Default)]
struct Inner {
    open: BTreeMap<SessionId, Cursor>,
    /// Of those, the ones that nothing more is expected of.
    given_up: BTreeSet<SessionId>,
    done: VecDeque<SessionId>,
    /// Of which something came since it was last asked.
    news: BTreeSet<SessionId>,
    /// Whether a session is open that the file does not know.
    is_new: bool,
    refused: u64,
    is_stopping: bool,
}

/// The book.
pub struct Book {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    inner: Mutex<Inner>,
    wake: Condvar,
    /// One writes the file at a time.
    writing: Mutex<()>,
}

impl Book {
    /// Opens it; one that is not there is empty. With what is wrong in it, if something is: then
    /// what it said is forgotten, and what is told from now on is written from its beginning.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn open(disk: Arc<dyn Disk>, path: &Path) -> io::Result<(Self, Option<String>)> {
        let (mut inner, wrong) = match read(&*disk, path)?.map(|text| parse(&text)) {
            None => (Inner::default(), None),
            Some(Ok(inner)) => (inner, None),
            Some(Err(line)) => {
                let wrong = format!("{}: line {line} is not understood", path.display());
                (Inner::default(), Some(wrong))
            }
        };
        inner.news = inner.open.keys().copied().collect();
        let book = Self {
            disk,
            path: path.to_owned(),
            inner: Mutex::new(inner),
            wake: Condvar::new(),
            writing: Mutex::new(()),
        };
        Ok((book, wrong))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something durable came of this session.
    pub fn came(&self, session: SessionId) {
        let mut inner = self.lock();
        if !inner.open.contains_key(&session) {
            if inner.done.contains(&session) {
                return;
            }
            if inner.open.len() >= OPEN_MAX
                && let Some(oldest) = inner.given_up.pop_first()
            {
                inner.open.remove(&oldest);
            }
            if inner.open.len() >= OPEN_MAX {
                inner.refused = inner.refused.saturating_add(1);
                return;
            }
            inner.open.insert(session, Cursor::default());
            inner.is_new = true;
        }
        inner.given_up.remove(&session);
        if inner.news.insert(session) {
            self.wake.notify_one();
        }
    }

    /// Sessions of which something came; waits for some at most so long.
    pub fn news(&self, at_most: Duration) -> BTreeSet<SessionId> {
        let inner = self.lock();
        let waiting = |inner: &mut Inner| inner.news.is_empty() && !inner.is_stopping;
        let waited = self.wake.wait_timeout_while(inner, at_most, waiting);
        let (mut inner, _) = waited.unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut inner.news)
    }

    /// How far a session had come.
    #[must_use]
    pub fn cursor(&self, session: SessionId) -> Option<Cursor> {
        self.lock().open.get(&session).cloned()
    }

    /// A session has come so far. Durable after the next [`Self::save`].
    pub fn moved(&self, session: SessionId, cursor: &Cursor) {
        if let Some(there) = self.lock().open.get_mut(&session) {
            cursor.clone_into(there);
        }
    }

    /// A session is written as far as it is here, and nothing more is expected of it. How far that
    /// is stays known while there is room, for what comes all the same.
    pub fn put_by(&self, session: SessionId) {
        let mut inner = self.lock();
        // Something came while it was given up.
        if inner.open.contains_key(&session) && !inner.news.contains(&session) {
            inner.given_up.insert(session);
        }
    }

    /// A session is written as far as it can be. With `is_whole` nothing more comes of it; without,
    /// it is written from its beginning if something does.
    pub fn finished(&self, session: SessionId, is_whole: bool) {
        let mut inner = self.lock();
        inner.open.remove(&session);
        inner.given_up.remove(&session);
        if !is_whole && inner.news.contains(&session) {
            inner.open.insert(session, Cursor::default());
        }
        if is_whole {
            if inner.done.len() >= DONE_MAX {
                inner.done.pop_front();
            }
            inner.done.push_back(session);
        }
    }

    /// How many sessions are open, and how many found no room.
    #[must_use]
    pub fn usage(&self) -> (usize, u64) {
        let inner = self.lock();
        (inner.open.len(), inner.refused)
    }

    /// Wakes whoever waits, now and from now on.
    pub fn stop(&self) {
        self.lock().is_stopping = true;
        self.wake.notify_all();
    }

    /// Whether [`Self::stop`] was called.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.lock().is_stopping
    }

    /// Makes everything that was said durable. A crash leaves the file before or after, and perhaps
    /// a draft beside it, which the next call replaces.
    ///
    /// # Errors
    /// When the disk fails; then it is as durable as before.
    pub fn save(&self) -> io::Result<()> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut inner = self.lock();
        let text = shown(&inner);
        let was_new = std::mem::take(&mut inner.is_new);
        drop(inner);
        let saved = self.replace(text.as_bytes());
        if saved.is_err() && was_new {
            self.lock().is_new = true;
        }
        saved
    }

    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        let draft = self.path.with_extension("draft");
        match self.disk.remove(&draft) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let file = self.disk.create_new(&draft)?;
        write_all_at(&*file, 0, bytes)?;
        file.sync_data()?;
        self.disk.rename(&draft, &self.path)?;
        let dir = self.path.parent().unwrap_or(Path::new("/"));
        self.disk.sync_dir(dir)
    }
}

fn read(disk: &dyn Disk, path: &Path) -> io::Result<Option<String>> {
    let file = match disk.open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let len = file.size()?.min(BOOK_BYTES_MAX);
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    let read = read_full_at(&*file, 0, &mut bytes)?;
    bytes.truncate(read);
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// One line of JSON for each session.
fn shown(inner: &Inner) -> String {
    let mut text = String::new();
    let mut line = |value: Value| {
        text.push_str(&value.to_string());
        text.push('\n');
    };
    for (session, cursor) in &inner.open {
        let session = session.to_string();
        line(json!({"session": session, "last_id": cursor.last_id, "marks": cursor.marks}));
    }
    for session in &inner.done {
        line(json!({"done": session.to_string()}));
    }
    text
}

/// With the number of a line that is not understood.
fn parse(text: &str) -> Result<Inner, usize> {
    let mut inner = Inner::default();
    for (number, line) in text.lines().enumerate() {
        let understood = serde_json::from_str::<Value>(line)
            .ok()
            .and_then(|line| take(&line, &mut inner));
        understood.ok_or(number.saturating_add(1))?;
    }
    Ok(inner)
}

fn take(line: &Value, inner: &mut Inner) -> Option<()> {
    if let Some(done) = line.get("done") {
        inner.done.push_back(done.as_str()?.parse().ok()?);
        return Some(());
    }
    let marks = line.get("marks")?.as_array()?.iter();
    let cursor = Cursor {
        last_id: line.get("last_id")?.as_u64()?,
        marks: marks.map(Value::as_u64).collect::<Option<_>>()?,
    };
    let session = line.get("session")?.as_str()?.parse().ok()?;
    inner.open.insert(session, cursor);
    Some(())
}

/// The book as a tap of the keeper's: what is not in it is not archived.
pub struct BookTap(pub Arc<Book>);

impl Tap for BookTap {
    fn events(&mut self, told: &Told<'_>, _: &[Event]) -> Result<(), TapTrouble> {
        let kind = told.header.map_or("", |header| header.kind.as_str());
        if !DIARIES.contains(&kind) {
            self.0.came(told.session);
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), TapTrouble> {
        if !self.0.lock().is_new {
            return Ok(());
        }
        let saved = self.0.save();
        saved.map_err(|e| TapTrouble(format!("{}: {e}", self.0.path.display())))
    }
}

#[cfg(test)]
mod tests {
    use hansard_record::Environment;

    use super::*;

    fn id(n: u8) -> SessionId {
        SessionId::new_v7(1_700_000_000_000, [n; 10])
    }

    #[test]
    fn what_was_saved_is_there_again() {
        let dir = std::env::temp_dir().join(format!("hansard-book-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("tlog");
        let disk = Environment::real().disk;
        let open = || Book::open(Arc::clone(&disk), &path).unwrap();
        let (book, wrong) = open();
        assert_eq!(wrong, None);
        for n in 0..3 {
            book.came(id(n));
        }
        let cursor = Cursor {
            last_id: 7,
            marks: vec![3, 9],
        };
        book.moved(id(1), &cursor);
        book.finished(id(2), true);
        book.save().unwrap();
        book.moved(id(0), &cursor);

        let (book, _) = open();
        assert_eq!(book.cursor(id(0)), Some(Cursor::default()));
        assert_eq!(book.cursor(id(1)), Some(cursor));
        assert_eq!(book.cursor(id(2)), None);
        // What was open is looked at without being told; what is done is not begun again.
        book.came(id(2));
        assert_eq!(book.news(Duration::ZERO), BTreeSet::from([id(0), id(1)]));
        assert_eq!(book.usage(), (2, 0));

        std::fs::write(&path, "{\"done\":\"x\"}\n").unwrap();
        let (book, wrong) = open();
        assert!(wrong.unwrap().contains("line 1 is not understood"));
        assert_eq!(book.usage(), (0, 0));
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_full_book_says_so() {
        let disk = Environment::real().disk;
        let (book, _) = Book::open(disk, Path::new("/nowhere/tlog")).unwrap();
        for n in 0..=OPEN_MAX as u64 {
            book.came(SessionId::new_v7(n, [0; 10]));
        }
        assert_eq!(book.usage(), (OPEN_MAX, 1));
        // One that was given up makes room.
        book.news(Duration::ZERO);
        let (given_up, more) = (SessionId::new_v7(7, [0; 10]), id(0));
        book.put_by(given_up);
        book.came(more);
        assert_eq!(book.usage(), (OPEN_MAX, 1));
        assert_eq!(book.cursor(given_up), None);
        assert!(book.cursor(more).is_some());
        assert!(book.save().is_err());
    }
}
