//! The tables, and how a connection that writes is set up.

use rusqlite::Connection;

use super::sorted;
use crate::catalog::CatalogError;

/// `HNSC`: what file(1) and we know the file by.
const APPLICATION_ID: i32 = 0x484e_5343;

/// Version of the tables. Another version is built anew from the blobs, never altered in place.
const VERSION: i32 = 3;

/// Segments are appended as they come, so that advancing many sessions touches few pages; all that
/// is scattered is one narrow index. So are events, the bulk of it all: whole documents are never
/// moved to make room between others. The indices of sessions end in their key, so that each answers its
/// filter in the order of the listing; those of events end in the time, and only events of the same
/// nanosecond are sorted by whoever asks. Numbers of segments are cursors of their arrival, so none is
/// used twice (`AUTOINCREMENT`).
const TABLES: &str = "
CREATE TABLE segments (
    id INTEGER PRIMARY KEY AUTOINCREMENT, session BLOB NOT NULL, number INTEGER NOT NULL,
    predecessor BLOB NOT NULL, digest BLOB NOT NULL,
    content BLOB NOT NULL, signed_by BLOB NOT NULL, next_seq INTEGER NOT NULL,
    last_ns INTEGER NOT NULL, is_final INTEGER NOT NULL, after_loss INTEGER NOT NULL,
    blob TEXT NOT NULL, offset INTEGER NOT NULL, bytes INTEGER NOT NULL,
    waiting INTEGER NOT NULL
);
CREATE UNIQUE INDEX segments_place ON segments (session, number);
CREATE INDEX segments_waiting ON segments (waiting) WHERE waiting = 1;
CREATE INDEX segments_blob ON segments (blob);
CREATE TABLE sessions (
    session BLOB PRIMARY KEY, parent BLOB, kind TEXT NOT NULL, user TEXT NOT NULL,
    login TEXT NOT NULL, host TEXT NOT NULL, title TEXT NOT NULL, time_ns INTEGER NOT NULL,
    recorder_key BLOB NOT NULL, last_ns INTEGER NOT NULL, end_reason TEXT, exit_status INTEGER,
    signal TEXT, segments INTEGER NOT NULL, events INTEGER NOT NULL,
    data_bytes INTEGER NOT NULL, stored_bytes INTEGER NOT NULL, gaps INTEGER NOT NULL,
    labels TEXT NOT NULL, rx INTEGER NOT NULL, tx INTEGER NOT NULL, terminal INTEGER NOT NULL,
    enhanced INTEGER NOT NULL, participants TEXT NOT NULL,
    dated_ns INTEGER NOT NULL, dated_segments INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX sessions_undated ON sessions (session) WHERE dated_segments <> segments;
CREATE INDEX sessions_time ON sessions (time_ns, session);
CREATE INDEX sessions_user ON sessions (user, time_ns, session);
CREATE INDEX sessions_host ON sessions (host, time_ns, session);
CREATE TABLE events (
    id INTEGER PRIMARY KEY, session BLOB NOT NULL, seq INTEGER NOT NULL,
    ordinal INTEGER NOT NULL, time_ns INTEGER NOT NULL, name TEXT NOT NULL,
    user TEXT NOT NULL, host TEXT NOT NULL, kind TEXT NOT NULL, facts TEXT NOT NULL
);
CREATE UNIQUE INDEX events_place ON events (session, seq, ordinal);
CREATE INDEX events_time ON events (time_ns);
CREATE INDEX events_user ON events (user, time_ns);
CREATE INDEX events_host ON events (host, time_ns);
CREATE INDEX events_name ON events (name, time_ns);
CREATE TABLE holds (session BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE tombstones (
    session BLOB PRIMARY KEY, parent BLOB, kind TEXT NOT NULL, user TEXT NOT NULL,
    login TEXT NOT NULL, host TEXT NOT NULL, title TEXT NOT NULL, labels TEXT NOT NULL,
    time_ns INTEGER NOT NULL, recorder_key BLOB NOT NULL, last_ns INTEGER NOT NULL,
    number INTEGER NOT NULL, digest BLOB NOT NULL, signed_by BLOB NOT NULL,
    next_seq INTEGER NOT NULL, is_final INTEGER NOT NULL, segments INTEGER NOT NULL,
    stored_bytes INTEGER NOT NULL, by_whom TEXT NOT NULL, why TEXT NOT NULL,
    deleted_ns INTEGER NOT NULL, unswept INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX tombstones_unswept ON tombstones (session) WHERE unswept = 1;
CREATE TABLE doomed (blob TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE quarantine (what TEXT PRIMARY KEY, reason TEXT NOT NULL) WITHOUT ROWID;
";

/// Sets a writing connection up, and makes the tables in an empty file.
pub(super) fn prepare(connection: &Connection) -> Result<(), CatalogError> {
    let set_up = || -> rusqlite::Result<(i32, i32)> {
        connection.execute_batch(
            // What is deleted is deleted: rows of sessions that are gone leave no bytes behind.
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;
             PRAGMA wal_autocheckpoint = 16000; PRAGMA cache_size = -32768;",
        )?;
        let number = |what| connection.pragma_query_value(None, what, |row| row.get(0));
        Ok((number("application_id")?, number("user_version")?))
    };
    match set_up().map_err(|e| sorted(&e))? {
        (APPLICATION_ID, VERSION) => quick_look(connection),
        (APPLICATION_ID, version) => Err(CatalogError::Refused(format!(
            "a catalog of version {version}; this program knows version {VERSION}"
        ))),
        (0, 0) => make(connection).map_err(|e| sorted(&e)),
        _ => Err(CatalogError::Damaged(
            "the catalog is some other database".to_owned(),
        )),
    }
}

/// A crash in the middle leaves an empty file: all or nothing is committed.
fn make(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!(
        "BEGIN IMMEDIATE; {TABLES}
         PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}; COMMIT;"
    ))
}

/// Touches the root of every table, so that a file that is mostly gone is known at once. What lies
/// deeper is found by whoever reads it.
fn quick_look(connection: &Connection) -> Result<(), CatalogError> {
    for table in [
        "segments",
        "sessions",
        "events",
        "holds",
        "tombstones",
        "doomed",
        "quarantine",
    ] {
        let looked = connection.query_row(
            &format!("SELECT EXISTS (SELECT 1 FROM {table})"),
            [],
            |row| row.get::<_, bool>(0),
        );
        looked.map_err(|e| match sorted(&e) {
            // A table that is not there makes no other kind of error.
            CatalogError::Retry(why) => CatalogError::Damaged(why),
            other => other,
        })?;
    }
    Ok(())
}
