//! What is written, as prepared statements.

use hansard_core::SessionId;
use hansard_core::seal::Digest;
use rusqlite::{Connection, OptionalExtension, Statement, ToSql, params};
use serde_json::json;

use super::read::lines;
use super::retention::{self, Act, Done};
use crate::catalog::{
    Advanced, EventRow, Head, Quarantined, SegmentRow, SegmentUpdate, StartFacts,
};

/// Rows of one INSERT; the rest of a batch goes one by one.
const ROWS_PER_INSERT: usize = 64;

/// Statements of one transaction.
pub(super) struct Statements<'c> {
    connection: &'c Connection,
    content: Statement<'c>,
    deleted: Statement<'c>,
    head: Statement<'c>,
    add_segment: Statement<'c>,
    take_off: Statement<'c>,
    add_session: Statement<'c>,
    start: Statement<'c>,
    end: Statement<'c>,
    count: Statement<'c>,
}

/// A number that fits SQLite; a larger one is lowered, which only a forged segment can have.
pub(super) fn int(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

impl<'c> Statements<'c> {
    pub(super) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        let sql = |text| connection.prepare(text);
        Ok(Self {
            connection,
            content: sql("SELECT content FROM segments WHERE session = ? AND number = ?")?,
            deleted: sql("SELECT 1 FROM tombstones WHERE session = ?")?,
            head: sql(
                "SELECT number, digest, is_final FROM segments WHERE session = ?
                 ORDER BY number DESC LIMIT 1",
            )?,
            add_segment: sql(
                "INSERT INTO segments VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)",
            )?,
            take_off: sql("UPDATE segments SET waiting = 0
                 WHERE session = ? AND number = ? AND waiting = 1")?,
            add_session: sql("INSERT INTO sessions VALUES
                 (?, NULL, ?, '', '', '', '', ?, ?, 0, NULL, NULL, NULL, 0, 0, 0, 0, 0,
                  '', 0, 0, 0, 0, '[]', 0, 0)
                 ON CONFLICT DO NOTHING")?,
            start: sql(
                "UPDATE sessions SET parent = ?2, kind = ?3, user = ?4, login = ?5, host = ?6,
                 title = ?7, time_ns = ?8, recorder_key = ?9, labels = ?10 WHERE session = ?1",
            )?,
            end: sql(
                "UPDATE sessions SET end_reason = ?2, exit_status = ?3, signal = ?4
                 WHERE session = ?1",
            )?,
            count: sql(
                "UPDATE sessions SET last_ns = max(last_ns, ?2), segments = segments + 1,
                 events = events + ?3, data_bytes = data_bytes + ?4,
                 stored_bytes = stored_bytes + ?5, gaps = gaps + ?6, rx = ?7, tx = ?8,
                 terminal = ?9, enhanced = ?10, participants = ?11 WHERE session = ?1",
            )?,
        })
    }

    /// One compare-and-swap. Nobody else writes, so what is compared holds still.
    pub(super) fn advance(&mut self, row: &SegmentRow) -> rusqlite::Result<Advanced> {
        let session = row.session.as_bytes();
        let there: Option<Digest> = self
            .content
            .query_row(params![session, row.number], |found| found.get(0))
            .optional()?;
        let head = self.head.query_row([session], |found| {
            Ok(Head {
                number: found.get(0)?,
                digest: found.get(1)?,
                is_final: found.get(2)?,
            })
        });
        let head = head.optional()?;
        // A session of which segments are there was not deleted.
        if head.is_none() && self.deleted.exists([session])? {
            return Ok(Advanced::Conflict);
        }
        let outcome = Head::advance(head.as_ref(), there, row);
        if outcome != Advanced::Done {
            return Ok(outcome);
        }
        self.add_segment.execute(params![
            session,
            row.number,
            row.predecessor,
            row.digest,
            row.content,
            row.key,
            int(row.next_seq),
            int(row.last_ns),
            row.is_final,
            row.after_loss,
            row.place.blob.as_str(),
            int(row.place.offset),
            int(row.place.bytes),
        ])?;
        Ok(outcome)
    }

    /// Many rows with one INSERT, as long as there are enough for one.
    pub(super) fn put_events(&mut self, rows: &[EventRow]) -> rusqlite::Result<()> {
        let chunks = rows.chunks_exact(ROWS_PER_INSERT);
        let rest = chunks.remainder();
        if rows.len() >= ROWS_PER_INSERT {
            let mut many = insert_events(self.connection, ROWS_PER_INSERT)?;
            chunks
                .into_iter()
                .try_for_each(|chunk| bind_events(&mut many, chunk))?;
        }
        if rest.is_empty() {
            return Ok(());
        }
        let mut one = insert_events(self.connection, 1)?;
        rest.chunks(1)
            .try_for_each(|row| bind_events(&mut one, row))
    }

    /// Takes a segment off those that wait, and counts it if it was one.
    pub(super) fn project(&mut self, update: &SegmentUpdate) -> rusqlite::Result<()> {
        let session = update.session.as_bytes();
        if self.take_off.execute(params![session, update.segment])? == 0 {
            return Ok(());
        }
        let unknown = StartFacts::unknown(update.session);
        self.add_session.execute(params![
            session,
            unknown.kind,
            int(unknown.start_utc_ns),
            unknown.recorder_key
        ])?;
        if let Some(start) = &update.start {
            self.start.execute(params![
                session,
                start.parent.as_ref().map(SessionId::as_bytes),
                start.kind,
                start.user,
                start.login,
                start.host,
                start.title,
                int(start.start_utc_ns),
                start.recorder_key,
                lines(&start.labels)
            ])?;
        }
        if let Some(end) = &update.end {
            self.end
                .execute(params![session, end.reason, end.exit_status, end.signal])?;
        }
        let counted = &update.counted;
        self.count.execute(params![
            session,
            int(update.last_ns),
            int(update.events),
            int(update.data_bytes),
            int(update.stored_bytes),
            int(update.gaps),
            int(counted.rx),
            int(counted.tx),
            counted.terminal,
            counted.enhanced,
            json!(counted.participants).to_string()
        ])?;
        Ok(())
    }

    pub(super) fn retain(&mut self, act: &Act) -> rusqlite::Result<Done> {
        retention::act(self.connection, act)
    }

    pub(super) fn quarantine(
        &mut self,
        item: &Quarantined,
        segment: Option<(SessionId, u32)>,
    ) -> rusqlite::Result<()> {
        self.connection.execute(
            "INSERT INTO quarantine VALUES (?1, ?2) ON CONFLICT DO UPDATE SET reason = ?2",
            params![item.what, item.reason],
        )?;
        if let Some((session, number)) = segment {
            self.take_off.execute(params![session.as_bytes(), number])?;
        }
        Ok(())
    }
}

fn insert_events(connection: &Connection, rows: usize) -> rusqlite::Result<Statement<'_>> {
    let row = "(?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let rows = vec![row; rows].join(", ");
    connection.prepare(&format!(
        "INSERT INTO events (session, seq, ordinal, time_ns, name, user, host, kind, facts)
         VALUES {rows} ON CONFLICT DO NOTHING"
    ))
}

fn bind_events(statement: &mut Statement<'_>, rows: &[EventRow]) -> rusqlite::Result<()> {
    let mut index = 0;
    for row in rows {
        let values: [&dyn ToSql; 9] = [
            row.session.as_bytes(),
            &int(row.seq),
            &row.ordinal,
            &int(row.time_ns),
            &row.name,
            &row.user,
            &row.host,
            &row.kind,
            &row.facts,
        ];
        for value in values {
            index += 1;
            statement.raw_bind_parameter(index, value)?;
        }
    }
    statement.raw_execute().map(drop)
}
