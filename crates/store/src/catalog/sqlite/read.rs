//! What is read: one function for each question, with every value bound and none in the text.

use hansard_core::SessionId;
use hansard_view::document::Counted;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use super::write::int;
use crate::blob::BlobName;
use crate::catalog::{
    ArrivalCursor, EndFacts, EventRow, Place, Quarantined, Query, SegmentRow, SessionRow,
    StartFacts,
};

pub(super) const SEGMENT_COLUMNS: &str = "session, number, predecessor, digest, content, signed_by, next_seq, \
     last_ns, is_final, after_loss, blob, offset, bytes";

/// Columns of a session's row, in the order that [`session`] reads them.
pub(super) const SESSION_COLUMNS: &str = "session, parent, kind, user, login, host, title, time_ns, \
     recorder_key, last_ns, end_reason, exit_status, signal, segments, events, data_bytes, \
     stored_bytes, gaps, labels, rx, tx, terminal, enhanced, participants";

pub(super) fn heads(
    connection: &Connection,
    sessions: &[SessionId],
) -> rusqlite::Result<Vec<Option<SegmentRow>>> {
    let mut statement = connection.prepare(&format!(
        "SELECT {SEGMENT_COLUMNS} FROM segments WHERE session = ? ORDER BY number DESC LIMIT 1"
    ))?;
    sessions
        .iter()
        .map(|session| {
            statement
                .query_row([session.as_bytes()], segment)
                .optional()
        })
        .collect()
}

pub(super) fn segments(
    connection: &Connection,
    session: SessionId,
    from: u32,
    limit: usize,
) -> rusqlite::Result<Vec<SegmentRow>> {
    connection
        .prepare(&format!(
            "SELECT {SEGMENT_COLUMNS} FROM segments WHERE session = ? AND number >= ?
             ORDER BY number LIMIT ?"
        ))?
        .query_map(params![session.as_bytes(), from, rows(limit)], segment)?
        .collect()
}

pub(super) fn arrived(
    connection: &Connection,
    after: ArrivalCursor,
    limit: usize,
) -> rusqlite::Result<Vec<(ArrivalCursor, SegmentRow)>> {
    connection
        .prepare(&format!(
            "SELECT {SEGMENT_COLUMNS}, id FROM segments WHERE id > ? ORDER BY id LIMIT ?"
        ))?
        .query_map(params![int(after.0), rows(limit)], |row| {
            Ok((ArrivalCursor(uint(row, 13)?), segment(row)?))
        })?
        .collect()
}

pub(super) fn unprojected(
    connection: &Connection,
    limit: usize,
) -> rusqlite::Result<Vec<SegmentRow>> {
    connection
        .prepare(&format!(
            "SELECT {SEGMENT_COLUMNS} FROM segments WHERE waiting = 1 ORDER BY id LIMIT ?"
        ))?
        .query_map([rows(limit)], segment)?
        .collect()
}

pub(super) fn referenced(
    connection: &Connection,
    blobs: &[BlobName],
) -> rusqlite::Result<Vec<bool>> {
    let mut statement =
        connection.prepare("SELECT EXISTS (SELECT 1 FROM segments WHERE blob = ?)")?;
    blobs
        .iter()
        .map(|blob| statement.query_row([blob.as_str()], |row| row.get(0)))
        .collect()
}

pub(super) fn quarantined(
    connection: &Connection,
    after: Option<&str>,
    limit: usize,
) -> rusqlite::Result<Vec<Quarantined>> {
    connection
        .prepare("SELECT what, reason FROM quarantine WHERE what > ? ORDER BY what LIMIT ?")?
        .query_map(params![after.unwrap_or_default(), rows(limit)], |row| {
            Ok(Quarantined {
                what: row.get(0)?,
                reason: row.get(1)?,
            })
        })?
        .collect()
}

/// Sessions that answer the query, one more than its page has.
pub(super) fn sessions(
    connection: &Connection,
    query: &Query,
) -> rusqlite::Result<Vec<SessionRow>> {
    let (text, values) = Select::new(query, &["time_ns", "session"])
        .finish(&format!("SELECT {SESSION_COLUMNS} FROM sessions"));
    connection
        .prepare(&text)?
        .query_map(params_from_iter(values), session)?
        .collect()
}

/// Events that answer the query, one more than its page has. Inside a session the order of time is
/// that of the numbers, which the table itself has.
pub(super) fn events(connection: &Connection, query: &Query) -> rusqlite::Result<Vec<EventRow>> {
    let order: &[&str] = match query.session {
        Some(_) => &["seq", "ordinal"],
        None => &["time_ns", "session", "seq", "ordinal"],
    };
    let (text, values) = Select::new(query, order)
        .finish("SELECT session, seq, ordinal, time_ns, name, user, host, kind, facts FROM events");
    connection
        .prepare(&text)?
        .query_map(params_from_iter(values), event)?
        .collect()
}

/// A query as SQL: conditions, in the order of their values.
struct Select<'q> {
    query: &'q Query,
    order: &'q [&'q str],
    conditions: Vec<String>,
    values: Vec<Value>,
}

impl<'q> Select<'q> {
    /// `order` are the columns of a row's place. The first equality chooses the index; a plus keeps
    /// the others from it, so that no answer has to be sorted.
    fn new(query: &'q Query, order: &'q [&'q str]) -> Self {
        let mut select = Self {
            query,
            order,
            conditions: Vec::new(),
            values: Vec::new(),
        };
        let text = |word: &Option<String>| word.clone().map(Value::Text);
        let session = query.session.map(|id| Value::Blob(id.as_bytes().to_vec()));
        for (column, value) in [
            ("session", session),
            ("user", text(&query.user)),
            ("host", text(&query.host)),
            ("name", text(&query.name)),
            ("kind", text(&query.kind)),
        ] {
            if let Some(value) = value {
                let plus = if select.conditions.is_empty() {
                    ""
                } else {
                    "+"
                };
                select.push(&format!("{plus}{column} = ?"), value);
            }
        }
        if let Some(field) = query.recording_in_facts() {
            select.push("instr(facts, ?) > 0", Value::Text(field));
        }
        if let Some(from) = query.from_ns {
            select.push("time_ns >= ?", Value::Integer(int(from)));
        }
        if let Some(until) = query.until_ns.filter(|until| i64::try_from(*until).is_ok()) {
            select.push("time_ns < ?", Value::Integer(int(until)));
        }
        if let Some(after) = query.after {
            let behind = if query.newest_first { "<" } else { ">" };
            let marks = vec!["?"; order.len()].join(", ");
            let order = order.join(", ");
            select
                .conditions
                .push(format!("({order}) {behind} ({marks})"));
            for column in select.order {
                select.values.push(match *column {
                    "time_ns" => Value::Integer(int(after.time_ns)),
                    "session" => Value::Blob(after.session.as_bytes().to_vec()),
                    "seq" => Value::Integer(int(after.seq)),
                    _ => Value::Integer(i64::from(after.ordinal)),
                });
            }
        }
        select
    }

    fn push(&mut self, condition: &str, value: Value) {
        self.conditions.push(condition.to_owned());
        self.values.push(value);
    }

    fn finish(mut self, select: &str) -> (String, Vec<Value>) {
        let conditions = match self.conditions.is_empty() {
            true => "TRUE".to_owned(),
            false => self.conditions.join(" AND "),
        };
        let order = match self.query.newest_first {
            true => self.order.join(" DESC, ") + " DESC",
            false => self.order.join(", "),
        };
        let limit = self.query.rows_max().saturating_add(1);
        self.values.push(Value::Integer(rows(limit)));
        let text = format!("{select} WHERE {conditions} ORDER BY {order} LIMIT ?");
        (text, self.values)
    }
}

pub(super) fn rows(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

pub(super) fn id(row: &Row<'_>, column: usize) -> rusqlite::Result<SessionId> {
    row.get(column).map(SessionId::from_bytes)
}

/// A count or time; a negative one was never written.
pub(super) fn uint(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let n: i64 = row.get(column)?;
    u64::try_from(n).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, n))
}

pub(super) fn segment(row: &Row<'_>) -> rusqlite::Result<SegmentRow> {
    let blob: String = row.get(10)?;
    let blob = BlobName::parse(&blob).map_err(|e| {
        rusqlite::Error::FromSqlConversionFailure(10, rusqlite::types::Type::Text, Box::new(e))
    })?;
    Ok(SegmentRow {
        session: id(row, 0)?,
        number: row.get(1)?,
        predecessor: row.get(2)?,
        digest: row.get(3)?,
        content: row.get(4)?,
        key: row.get(5)?,
        next_seq: uint(row, 6)?,
        last_ns: uint(row, 7)?,
        is_final: row.get(8)?,
        after_loss: row.get(9)?,
        place: Place {
            blob,
            offset: uint(row, 11)?,
            bytes: uint(row, 12)?,
        },
    })
}

pub(super) fn session(row: &Row<'_>) -> rusqlite::Result<SessionRow> {
    let reason: Option<String> = row.get(10)?;
    let (exit_status, signal) = (row.get(11)?, row.get(12)?);
    let end = reason.map(|reason| EndFacts {
        reason,
        exit_status,
        signal,
    });
    let parent: Option<[u8; 16]> = row.get(1)?;
    Ok(SessionRow {
        session: id(row, 0)?,
        start: StartFacts {
            parent: parent.map(SessionId::from_bytes),
            kind: row.get(2)?,
            user: row.get(3)?,
            login: row.get(4)?,
            host: row.get(5)?,
            title: row.get(6)?,
            labels: list(&row.get::<_, String>(18)?),
            start_utc_ns: uint(row, 7)?,
            recorder_key: row.get(8)?,
        },
        last_ns: uint(row, 9)?,
        end,
        segments: uint(row, 13)?,
        events: uint(row, 14)?,
        data_bytes: uint(row, 15)?,
        stored_bytes: uint(row, 16)?,
        gaps: uint(row, 17)?,
        counted: Counted {
            rx: uint(row, 19)?,
            tx: uint(row, 20)?,
            terminal: row.get(21)?,
            enhanced: row.get(22)?,
            participants: names(&row.get::<_, String>(23)?),
        },
    })
}

/// A list as one text: a line break before and after each.
pub(super) fn lines(list: &[String]) -> String {
    let mut text = String::new();
    for item in list {
        text.push('\n');
        text.push_str(&item.replace('\n', " "));
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

/// The way back.
pub(super) fn list(lines: &str) -> Vec<String> {
    let inside = lines.strip_prefix('\n').and_then(|l| l.strip_suffix('\n'));
    let items = inside.into_iter().flat_map(|inside| inside.split('\n'));
    items.map(str::to_owned).collect()
}

/// A list of names as JSON, since a name may have anything in it. What is no list was never written.
fn names(json: &str) -> Vec<String> {
    serde_json::from_str(json).unwrap_or_default()
}

fn event(row: &Row<'_>) -> rusqlite::Result<EventRow> {
    Ok(EventRow {
        session: id(row, 0)?,
        seq: uint(row, 1)?,
        ordinal: row.get(2)?,
        time_ns: uint(row, 3)?,
        name: row.get(4)?,
        user: row.get(5)?,
        host: row.get(6)?,
        kind: row.get(7)?,
        facts: row.get(8)?,
    })
}
