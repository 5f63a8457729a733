//! Deleting, as SQL.

use hansard_core::SessionId;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use super::read::{
    SEGMENT_COLUMNS, SESSION_COLUMNS, id, lines, list, rows, segment, session, uint,
};
use super::write::int;
use crate::blob::BlobName;
use crate::catalog::{Burial, Buried, Expiry, Move, SegmentRow, SessionRow, StartFacts, Tombstone};
use crate::limits::PACK_SEGMENTS_MAX;

/// Something to be written.
#[derive(Clone)]
pub(super) enum Act {
    Hold(SessionId, bool),
    Date(u64),
    Bury(SessionId, Burial),
    Entomb(Box<Tombstone>),
    Sweep(usize),
    Relocate(Vec<Move>),
    Undoom(BlobName),
}

/// What became of it.
#[derive(Default)]
pub(super) enum Done {
    #[default]
    Nothing,
    Buried(Buried),
    Entombed(bool),
    Swept(u64),
}

pub(super) fn act(connection: &Connection, act: &Act) -> rusqlite::Result<Done> {
    match act {
        Act::Hold(session, true) => connection
            .execute(
                "INSERT INTO holds VALUES (?) ON CONFLICT DO NOTHING",
                [session.as_bytes()],
            )
            .map(|_| Done::Nothing),
        Act::Hold(session, false) => connection
            .execute("DELETE FROM holds WHERE session = ?", [session.as_bytes()])
            .map(|_| Done::Nothing),
        Act::Date(utc_ns) => connection
            .execute(
                "UPDATE sessions SET dated_ns = ?, dated_segments = segments
                 WHERE dated_segments <> segments",
                [int(*utc_ns)],
            )
            .map(|_| Done::Nothing),
        Act::Bury(session, burial) => bury(connection, *session, burial).map(Done::Buried),
        Act::Entomb(tombstone) => entomb(connection, tombstone).map(Done::Entombed),
        Act::Sweep(limit) => sweep(connection, *limit).map(Done::Swept),
        Act::Relocate(moves) => {
            for moved in moves {
                relocate(connection, moved)?;
            }
            Ok(Done::Nothing)
        }
        Act::Undoom(blob) => connection
            .execute("DELETE FROM doomed WHERE blob = ?", [blob.as_str()])
            .map(|_| Done::Nothing),
    }
}

/// All in the transaction that is open: a crash leaves the session or its tombstone.
fn bury(connection: &Connection, id: SessionId, burial: &Burial) -> rusqlite::Result<Buried> {
    let key = id.as_bytes();
    if let Some(tombstone) = tombstone(connection, id)? {
        return Ok(Buried::Already(Box::new(tombstone)));
    }
    let heads = super::read::heads(connection, &[id])?;
    let Some(head) = heads.into_iter().next().flatten() else {
        return Ok(Buried::Unknown);
    };
    let is = |sql: &str| connection.query_row(sql, [key], |row| row.get::<_, bool>(0));
    if is("SELECT EXISTS (SELECT 1 FROM holds WHERE session = ?)")? {
        return Ok(Buried::Held);
    }
    if is("SELECT EXISTS (SELECT 1 FROM segments WHERE session = ? AND waiting = 1)")? {
        return Ok(Buried::Waits);
    }
    let row = connection
        .query_row(
            &format!("SELECT {SESSION_COLUMNS} FROM sessions WHERE session = ?"),
            [key],
            session,
        )
        .optional()?;
    let row = row.unwrap_or_else(|| SessionRow::unknown(id));
    let tombstone = Tombstone::new(row, &head, burial.clone());
    insert(connection, &tombstone)?;
    connection.execute(
        "INSERT INTO doomed SELECT DISTINCT blob FROM segments WHERE session = ?
         ON CONFLICT DO NOTHING",
        [key],
    )?;
    connection.execute("DELETE FROM segments WHERE session = ?", [key])?;
    connection.execute("DELETE FROM sessions WHERE session = ?", [key])?;
    Ok(Buried::Done(Box::new(tombstone)))
}

fn entomb(connection: &Connection, told: &Tombstone) -> rusqlite::Result<bool> {
    let heads = super::read::heads(connection, &[told.session])?;
    let is_new =
        heads.iter().all(Option::is_none) && tombstone(connection, told.session)?.is_none();
    if is_new {
        insert(connection, told)?;
    }
    Ok(is_new)
}

fn insert(connection: &Connection, tombstone: &Tombstone) -> rusqlite::Result<()> {
    let Tombstone { start, burial, .. } = tombstone;
    connection.execute(
        "INSERT INTO tombstones VALUES
         (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)",
        params![
            tombstone.session.as_bytes(),
            start.parent.as_ref().map(SessionId::as_bytes),
            start.kind,
            start.user,
            start.login,
            start.host,
            start.title,
            lines(&start.labels),
            int(start.start_utc_ns),
            start.recorder_key,
            int(tombstone.last_ns),
            tombstone.number,
            tombstone.digest,
            tombstone.key,
            int(tombstone.next_seq),
            tombstone.is_final,
            int(tombstone.segments),
            int(tombstone.stored_bytes),
            burial.by,
            burial.why,
            int(burial.utc_ns)
        ],
    )?;
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Tombstone> {
    let parent: Option<[u8; 16]> = row.get(1)?;
    Ok(Tombstone {
        session: id(row, 0)?,
        start: StartFacts {
            parent: parent.map(SessionId::from_bytes),
            kind: row.get(2)?,
            user: row.get(3)?,
            login: row.get(4)?,
            host: row.get(5)?,
            title: row.get(6)?,
            labels: list(&row.get::<_, String>(7)?),
            start_utc_ns: uint(row, 8)?,
            recorder_key: row.get(9)?,
        },
        last_ns: uint(row, 10)?,
        number: row.get(11)?,
        digest: row.get(12)?,
        key: row.get(13)?,
        next_seq: uint(row, 14)?,
        is_final: row.get(15)?,
        segments: uint(row, 16)?,
        stored_bytes: uint(row, 17)?,
        burial: Burial {
            by: row.get(18)?,
            why: row.get(19)?,
            utc_ns: uint(row, 20)?,
        },
    })
}

fn tombstone(connection: &Connection, id: SessionId) -> rusqlite::Result<Option<Tombstone>> {
    connection
        .prepare("SELECT * FROM tombstones WHERE session = ?")?
        .query_row([id.as_bytes()], read)
        .optional()
}

pub(super) fn tombstones(
    connection: &Connection,
    sessions: &[SessionId],
) -> rusqlite::Result<Vec<Option<Tombstone>>> {
    sessions
        .iter()
        .map(|id| tombstone(connection, *id))
        .collect()
}

pub(super) fn held(connection: &Connection, sessions: &[SessionId]) -> rusqlite::Result<Vec<bool>> {
    let mut statement =
        connection.prepare("SELECT EXISTS (SELECT 1 FROM holds WHERE session = ?)")?;
    let mut held = |id: &SessionId| statement.query_row([id.as_bytes()], |row| row.get(0));
    sessions.iter().map(&mut held).collect()
}

/// Removes the first rows of one deleted session.
fn sweep(connection: &Connection, limit: usize) -> rusqlite::Result<u64> {
    loop {
        let next: Option<[u8; 16]> = connection
            .query_row(
                "SELECT session FROM tombstones WHERE unswept = 1 LIMIT 1",
                [],
                |row| row.get(0),
            )
            .optional()?;
        let Some(session) = next else {
            return Ok(0);
        };
        // The number of the first event that stays; events have one or two rows.
        let stays: Option<i64> = connection
            .query_row(
                "SELECT seq FROM events WHERE session = ? ORDER BY seq, ordinal LIMIT 1 OFFSET ?",
                params![session, rows(limit)],
                |row| row.get(0),
            )
            .optional()?;
        let swept = connection.execute(
            "DELETE FROM events WHERE session = ? AND seq < ?",
            params![session, stays.unwrap_or(i64::MAX)],
        )?;
        if swept > 0 {
            return Ok(swept as u64);
        }
        connection.execute("DELETE FROM events WHERE session = ?", [session])?;
        connection.execute(
            "UPDATE tombstones SET unswept = 0 WHERE session = ?",
            [session],
        )?;
    }
}

fn relocate(connection: &Connection, moved: &Move) -> rusqlite::Result<()> {
    let found = connection.execute(
        "UPDATE segments SET blob = ?, offset = ?, bytes = ?
         WHERE session = ? AND number = ? AND blob = ?",
        params![
            moved.to.blob.as_str(),
            int(moved.to.offset),
            int(moved.to.bytes),
            moved.session.as_bytes(),
            moved.number,
            moved.from.as_str()
        ],
    )?;
    if found > 0 {
        connection.execute(
            "INSERT INTO doomed VALUES (?) ON CONFLICT DO NOTHING",
            [moved.from.as_str()],
        )?;
    }
    Ok(())
}

pub(super) fn newest_date(connection: &Connection) -> rusqlite::Result<Option<u64>> {
    let newest: Option<i64> = connection.query_row(
        "SELECT max(dated_ns) FROM sessions WHERE dated_segments > 0",
        [],
        |row| row.get(0),
    )?;
    Ok(newest.and_then(|ns| u64::try_from(ns).ok()))
}

pub(super) fn doomed(
    connection: &Connection,
    after: Option<&BlobName>,
    limit: usize,
) -> rusqlite::Result<Vec<String>> {
    connection
        .prepare("SELECT blob FROM doomed WHERE blob > ? ORDER BY blob LIMIT ?")?
        .query_map(
            params![after.map_or("", BlobName::as_str), rows(limit)],
            |row| row.get(0),
        )?
        .collect()
}

pub(super) fn holds(
    connection: &Connection,
    after: Option<SessionId>,
    limit: usize,
) -> rusqlite::Result<Vec<SessionId>> {
    let after = after.map_or(Vec::new(), |after| after.as_bytes().to_vec());
    connection
        .prepare("SELECT session FROM holds WHERE session > ? ORDER BY session LIMIT ?")?
        .query_map(params![after, rows(limit)], |row| id(row, 0))?
        .collect()
}

pub(super) fn segments_in(
    connection: &Connection,
    blob: &BlobName,
) -> rusqlite::Result<Vec<SegmentRow>> {
    connection
        .prepare(&format!(
            "SELECT {SEGMENT_COLUMNS} FROM segments WHERE blob = ? ORDER BY session, number LIMIT ?"
        ))?
        .query_map(params![blob.as_str(), rows(PACK_SEGMENTS_MAX)], segment)?
        .collect()
}

pub(super) fn expired(
    connection: &Connection,
    expiry: &Expiry,
) -> rusqlite::Result<Vec<SessionRow>> {
    let mut text = format!(
        "SELECT {SESSION_COLUMNS} FROM sessions
         WHERE min(time_ns + last_ns, {}) < ? AND dated_ns < ? AND dated_segments = segments
         AND (end_reason IS NOT NULL OR dated_ns < ?)
         AND NOT EXISTS (SELECT 1 FROM holds WHERE holds.session = sessions.session)
         AND NOT EXISTS (SELECT 1 FROM segments WHERE segments.session = sessions.session
                         AND waiting = 1)",
        i64::MAX
    );
    let mut values = vec![
        Value::Integer(int(expiry.ended_before_ns)),
        Value::Integer(int(expiry.dated_before_ns)),
        Value::Integer(int(expiry.unended_dated_before_ns)),
    ];
    for (column, wanted) in [
        ("kind", &expiry.kind),
        ("host", &expiry.host),
        ("user", &expiry.user),
    ] {
        if let Some(wanted) = wanted {
            // The plus keeps it from the index: answers come by time.
            text.push_str(&format!(" AND +{column} = ?"));
            values.push(Value::Text(wanted.clone()));
        }
    }
    for label in &expiry.labels {
        text.push_str(" AND instr(labels, char(10) || ? || char(10)) > 0");
        values.push(Value::Text(label.clone()));
    }
    if let Some(after) = expiry.after {
        text.push_str(" AND (time_ns, session) > (?, ?)");
        values.push(Value::Integer(int(after.time_ns)));
        values.push(Value::Blob(after.session.as_bytes().to_vec()));
    }
    text.push_str(" ORDER BY time_ns, session LIMIT ?");
    values.push(Value::Integer(rows(expiry.rows_max())));
    connection
        .prepare(&text)?
        .query_map(params_from_iter(values), session)?
        .collect()
}
