//! The catalog as one SQLite file that one process holds: write-ahead log, one thread that writes
//! and groups commits, a few connections that read beside it.
//!
//! Heads are committed with `synchronous = FULL`: `Ok` means that the log is synced. Rows are
//! committed with `NORMAL`: they may be lost with the power, and since the log is lost from its end
//! only, never while a head that came after them is kept.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use hansard_core::SessionId;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::blob::BlobName;
use crate::blob::fs::lock;
use crate::catalog::{
    Advanced, ArrivalCursor, Burial, Buried, Catalog, CatalogError, CountWish, Cursor, EventCounts,
    EventRow, Expiry, HostSessions, Move, Page, Quarantined, Query, Retention, SegmentRow,
    SegmentUpdate, SessionRow, Tombstone,
};
use crate::limits::{CATALOG_EVENTS_MAX, CATALOG_READERS_MAX};

mod counting;
mod read;
mod retention;
mod schema;
mod write;
mod writer;

use retention::{Act, Done};
use writer::{Job, Writer};

/// The file's name in its directory.
const FILE: &str = "catalog.sqlite";

/// The catalog.
pub struct SqliteCatalog {
    path: PathBuf,
    // Closed first: the last connection to close empties the log, which a reading one cannot.
    readers: Mutex<Readers>,
    returned: Condvar,
    writer: Writer,
    _lock: std::fs::File,
}

/// Connections that only read.
struct Readers {
    idle: Vec<Connection>,
    open: usize,
}

impl SqliteCatalog {
    /// Whether there is a catalog in this directory, sound or not. One without a byte is none: opening makes it.
    #[must_use]
    pub fn is_there(dir: &Path) -> bool {
        std::fs::metadata(dir.join(FILE)).is_ok_and(|file| file.len() > 0)
    }

    /// Opens the catalog in this directory, which must exist; a file that is not there is made.
    /// `holder` is who takes the lock, for the message to whoever tries next.
    ///
    /// # Errors
    /// `Retry`, naming the holder, when another process has it; `Damaged` when the file is no
    /// catalog or is broken; `Refused` when it is of a later version.
    pub fn open(dir: &Path, holder: &str) -> Result<Self, CatalogError> {
        let lock = lock(&dir.join("catalog.lock"), holder)
            .map_err(|e| CatalogError::Retry(e.to_string()))?;
        let path = dir.join(FILE);
        let connection = Connection::open(&path).map_err(|e| sorted(&e))?;
        schema::prepare(&connection)?;
        // SQLite makes its own files durable, but not the name of the first.
        std::fs::File::open(dir)
            .and_then(|dir| dir.sync_all())
            .map_err(|e| CatalogError::Retry(format!("{}: {e}", dir.display())))?;
        Ok(Self {
            path,
            writer: Writer::start(connection)?,
            readers: Mutex::new(Readers {
                idle: Vec::new(),
                open: 0,
            }),
            returned: Condvar::new(),
            _lock: lock,
        })
    }

    /// Reads every page and index and says what is wrong with them; takes a while.
    ///
    /// # Errors
    /// `Damaged` with the first thing that is wrong.
    pub fn check(&self) -> Result<(), CatalogError> {
        let found: String = self.read(|connection| {
            connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        })?;
        match found.as_str() {
            "ok" => Ok(()),
            wrong => Err(CatalogError::Damaged(format!(
                "the catalog {} is damaged: {wrong}",
                self.path.display()
            ))),
        }
    }

    /// Runs something on a connection that only reads; waits while all are in use.
    fn read<T>(
        &self,
        act: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, CatalogError> {
        let connection = self.borrow()?;
        let done = act(&connection);
        let mut readers = self.readers();
        match &done {
            // It may be the connection that is broken: the next one is new.
            Err(_) => readers.open -= 1,
            Ok(_) => readers.idle.push(connection),
        }
        drop(readers);
        self.returned.notify_one();
        done.map_err(|e| sorted(&e))
    }

    fn borrow(&self) -> Result<Connection, CatalogError> {
        let mut readers = self.readers();
        loop {
            if let Some(connection) = readers.idle.pop() {
                return Ok(connection);
            }
            if readers.open < CATALOG_READERS_MAX {
                break;
            }
            readers = self
                .returned
                .wait(readers)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = Connection::open_with_flags(&self.path, flags);
        let opened = opened.map_err(|e| sorted(&e))?;
        readers.open += 1;
        Ok(opened)
    }

    fn readers(&self) -> MutexGuard<'_, Readers> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts a damaged catalog out of the way, for somebody to look at, so that the next one opened here
/// is empty and can be built anew. Answers where it is now; `None` where there was none.
///
/// # Errors
/// `WouldBlock` while somebody holds the catalog; otherwise what the system says. A crash in the
/// middle leaves the rest to the next call.
pub fn set_aside(dir: &Path, holder: &str) -> io::Result<Option<PathBuf>> {
    let _lock = lock(&dir.join("catalog.lock"), holder)?;
    let mut number = 1u32;
    let aside = loop {
        let aside = dir.join(format!("{FILE}.damaged-{number}"));
        if !aside.exists() {
            break aside;
        }
        number = number.saturating_add(1);
    };
    // The log goes first: a log without its file is no catalog, a file with another's log is worse.
    for end in ["-wal", "-shm"] {
        let from = dir.join(format!("{FILE}{end}"));
        if from.exists() {
            let mut to = aside.clone().into_os_string();
            to.push(end);
            std::fs::rename(from, to)?;
        }
    }
    match std::fs::rename(dir.join(FILE), &aside) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
        Ok(()) => {
            std::fs::File::open(dir)?.sync_all()?;
            Ok(Some(aside))
        }
    }
}

/// A database's error, sorted by what the caller does about it.
fn sorted(error: &rusqlite::Error) -> CatalogError {
    let why = format!("the catalog: {error}");
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => CatalogError::Damaged(why),
        Some(ErrorCode::TooBig | ErrorCode::TypeMismatch | ErrorCode::ParameterOutOfRange) => {
            CatalogError::Refused(why)
        }
        Some(_) => CatalogError::Retry(why),
        // What is in a row is not what was put there.
        None => CatalogError::Damaged(why),
    }
}

impl Catalog for SqliteCatalog {
    fn heads(&self, sessions: &[SessionId]) -> Result<Vec<Option<SegmentRow>>, CatalogError> {
        self.read(|connection| read::heads(connection, sessions))
    }

    fn advance(&self, rows: &[SegmentRow]) -> Result<Vec<Advanced>, CatalogError> {
        let rows: Arc<[SegmentRow]> = rows.into();
        self.writer.ask(|reply| Job::Advance(rows, reply))
    }

    fn segments(
        &self,
        session: SessionId,
        from: u32,
        limit: usize,
    ) -> Result<Vec<SegmentRow>, CatalogError> {
        self.read(|connection| read::segments(connection, session, from, limit))
    }

    fn arrived(
        &self,
        after: ArrivalCursor,
        limit: usize,
    ) -> Result<Vec<(ArrivalCursor, SegmentRow)>, CatalogError> {
        self.read(|connection| read::arrived(connection, after, limit))
    }

    fn referenced(&self, blobs: &[BlobName]) -> Result<Vec<bool>, CatalogError> {
        self.read(|connection| read::referenced(connection, blobs))
    }

    fn unprojected(&self, limit: usize) -> Result<Vec<SegmentRow>, CatalogError> {
        self.read(|connection| read::unprojected(connection, limit))
    }

    fn put_events(&self, rows: Arc<[EventRow]>) -> Result<(), CatalogError> {
        if rows.len() > CATALOG_EVENTS_MAX {
            return Err(CatalogError::Refused(
                "too many rows in one call".to_owned(),
            ));
        }
        self.writer.ask(|reply| Job::Events(rows, reply))
    }

    fn project(&self, updates: &[SegmentUpdate]) -> Result<(), CatalogError> {
        let updates: Arc<[SegmentUpdate]> = updates.into();
        self.writer.ask(|reply| Job::Project(updates, reply))
    }

    fn quarantine(
        &self,
        item: &Quarantined,
        segment: Option<(SessionId, u32)>,
    ) -> Result<(), CatalogError> {
        let item = item.clone();
        self.writer
            .ask(|reply| Job::Quarantine(item, segment, reply))
    }

    fn quarantined(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Quarantined>, CatalogError> {
        self.read(|connection| read::quarantined(connection, after, limit))
    }

    fn sessions(&self, query: &Query) -> Result<Page<SessionRow>, CatalogError> {
        query.is_of_sessions()?;
        let rows = self.read(|connection| read::sessions(connection, query))?;
        Ok(query.page(rows, Cursor::of_session))
    }

    fn events(&self, query: &Query) -> Result<Page<EventRow>, CatalogError> {
        let rows = self.read(|connection| read::events(connection, query))?;
        Ok(query.page(rows, Cursor::of_event))
    }

    fn hosts(&self, after: Option<&str>, limit: usize) -> Result<Vec<HostSessions>, CatalogError> {
        self.read(|connection| counting::hosts(connection, after, limit))
    }

    fn count_events(&self, wish: &CountWish) -> Result<EventCounts, CatalogError> {
        self.read(|connection| counting::count_events(connection, wish))
    }
}

impl SqliteCatalog {
    fn retain(&self, act: Act) -> Result<Done, CatalogError> {
        self.writer.ask(|reply| Job::Retain(act, reply))
    }
}

impl Retention for SqliteCatalog {
    fn hold(&self, session: SessionId, held: bool) -> Result<(), CatalogError> {
        self.retain(Act::Hold(session, held)).map(drop)
    }

    fn holds(
        &self,
        after: Option<SessionId>,
        limit: usize,
    ) -> Result<Vec<SessionId>, CatalogError> {
        self.read(|connection| retention::holds(connection, after, limit))
    }

    fn held(&self, sessions: &[SessionId]) -> Result<Vec<bool>, CatalogError> {
        self.read(|connection| retention::held(connection, sessions))
    }

    fn date(&self, utc_ns: u64) -> Result<(), CatalogError> {
        self.retain(Act::Date(utc_ns)).map(drop)
    }

    fn expired(&self, expiry: &Expiry) -> Result<Vec<SessionRow>, CatalogError> {
        self.read(|connection| retention::expired(connection, expiry))
    }

    fn bury(&self, session: SessionId, burial: &Burial) -> Result<Buried, CatalogError> {
        match self.retain(Act::Bury(session, burial.clone()))? {
            Done::Buried(buried) => Ok(buried),
            _ => Err(CatalogError::Retry(
                "the catalog answered nothing".to_owned(),
            )),
        }
    }

    fn newest_date(&self) -> Result<Option<u64>, CatalogError> {
        self.read(retention::newest_date)
    }

    fn entomb(&self, tombstone: &Tombstone) -> Result<bool, CatalogError> {
        match self.retain(Act::Entomb(Box::new(tombstone.clone())))? {
            Done::Entombed(is_new) => Ok(is_new),
            _ => Ok(false),
        }
    }

    fn tombstones(&self, sessions: &[SessionId]) -> Result<Vec<Option<Tombstone>>, CatalogError> {
        self.read(|connection| retention::tombstones(connection, sessions))
    }

    fn sweep(&self, limit: usize) -> Result<u64, CatalogError> {
        match self.retain(Act::Sweep(limit))? {
            Done::Swept(rows) => Ok(rows),
            _ => Ok(0),
        }
    }

    fn doomed(
        &self,
        after: Option<&BlobName>,
        limit: usize,
    ) -> Result<Vec<BlobName>, CatalogError> {
        let names = self.read(|connection| retention::doomed(connection, after, limit))?;
        let parse = |name: &String| {
            BlobName::parse(name).map_err(|e| CatalogError::Damaged(format!("the catalog: {e}")))
        };
        names.iter().map(parse).collect()
    }

    fn segments_in(&self, blob: &BlobName) -> Result<Vec<SegmentRow>, CatalogError> {
        self.read(|connection| retention::segments_in(connection, blob))
    }

    fn relocate(&self, moves: &[Move]) -> Result<(), CatalogError> {
        self.retain(Act::Relocate(moves.to_vec())).map(drop)
    }

    fn undoom(&self, blob: &BlobName) -> Result<(), CatalogError> {
        self.retain(Act::Undoom(blob.clone())).map(drop)
    }
}
