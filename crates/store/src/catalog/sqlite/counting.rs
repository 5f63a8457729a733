//! Events counted. Times are in the indices, so that they are counted without touching a document; for
//! values a bounded number of documents is read, spread over all of them. And sessions, by host.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, params, params_from_iter};

use super::read::{rows, uint};
use super::write::int;
use crate::catalog::counts::{COUNTED_ROWS_MAX, CountWish, EventCounts, Scale, Tally, span};
use crate::catalog::hosts::{HOST_SESSIONS_MAX, HostSessions, OfKind};
use crate::catalog::query::Query;

/// Which one of so many rows is looked at: scattered, so that nothing that comes at regular distances is
/// missed or taken for all.
const SCATTERED: &str = "(((id & 0x7fffffff) * 2654435761) >> 15) % ? = 0";

pub(super) fn count_events(
    connection: &Connection,
    wish: &CountWish,
) -> rusqlite::Result<EventCounts> {
    let plan = Plan::new(&wish.query);
    let times = match plan.answers_alone {
        true => Some(plan.times(connection, wish)?),
        false => None,
    };
    let (rows, counted_from) = match &times {
        Some(times) => (times.total, times.counted_from_ns),
        None => plan.most(connection)?,
    };
    let stride = rows.div_ceil(wish.exact_rows.max(1)).max(1);
    let tally = plan.sample(connection, stride, counted_from)?;
    let mut counts = tally.finish(wish, stride);
    counts.counted_from_ns = counted_from;
    if let Some(times) = times {
        counts.total = times.total;
        counts.from_ns = times.scale.from_ns;
        counts.bucket_ns = times.scale.bucket_ns;
        counts.buckets = times.buckets;
        counts.is_time_exact = true;
    }
    Ok(counts)
}

/// Rows by time.
struct Times {
    total: u64,
    scale: Scale,
    buckets: Vec<u64>,
    counted_from_ns: Option<u64>,
}

/// Conditions, as an index answers them, and those beside it.
struct Plan<'q> {
    query: &'q Query,
    /// The equality that chooses the index, and its value.
    leading: Option<(&'static str, Value)>,
    /// Other conditions, which only the rows themselves answer.
    others: Vec<(String, Value)>,
    /// Whether an index has all that the query asks, times included.
    answers_alone: bool,
}

impl<'q> Plan<'q> {
    fn new(query: &'q Query) -> Self {
        let text = |word: &Option<String>| word.clone().map(Value::Text);
        let session = query.session.map(|id| Value::Blob(id.as_bytes().to_vec()));
        let mut equalities = [
            ("session", session),
            ("user", text(&query.user)),
            ("host", text(&query.host)),
            ("name", text(&query.name)),
        ]
        .into_iter()
        .filter_map(|(column, value)| Some((column, value?)));
        let leading = equalities.next();
        let others = equalities.chain(text(&query.kind).map(|kind| ("kind", kind)));
        // A plus keeps the condition from choosing another index.
        let others = others.map(|(column, value)| (format!("+{column} = ?"), value));
        let mut others: Vec<(String, Value)> = others.collect();
        if let Some(field) = query.recording_in_facts() {
            others.push(("instr(facts, ?) > 0".to_owned(), Value::Text(field)));
        }
        let is_session = query.session.is_some();
        Self {
            query,
            answers_alone: others.is_empty() && !is_session,
            leading,
            others,
        }
    }

    /// What the index answers: conditions and their values.
    fn indexed(&self, from_ns: Option<u64>, until_ns: Option<u64>) -> (String, Vec<Value>) {
        let (mut conditions, mut values) = (vec!["TRUE".to_owned()], Vec::new());
        if let Some((column, value)) = &self.leading {
            conditions.push(format!("{column} = ?"));
            values.push(value.clone());
        }
        if let Some(from) = from_ns {
            conditions.push("time_ns >= ?".to_owned());
            values.push(Value::Integer(int(from)));
        }
        if let Some(until) = until_ns.filter(|until| i64::try_from(*until).is_ok()) {
            conditions.push("time_ns < ?".to_owned());
            values.push(Value::Integer(int(until)));
        }
        (conditions.join(" AND "), values)
    }

    /// First and last time of the rows.
    fn ends(&self, connection: &Connection) -> rusqlite::Result<Option<(u64, u64)>> {
        let (conditions, values) = self.indexed(self.query.from_ns, self.query.until_ns);
        let end = |order: &str| {
            let text = format!(
                "SELECT time_ns FROM events WHERE {conditions} ORDER BY time_ns {order} LIMIT 1"
            );
            connection
                .prepare(&text)?
                .query_row(params_from_iter(values.iter()), |row| uint(row, 0))
                .optional()
        };
        Ok(end("ASC")?.zip(end("DESC")?))
    }

    /// Every row by time, the newest stretch first, until there are too many.
    fn times(&self, connection: &Connection, wish: &CountWish) -> rusqlite::Result<Times> {
        let (from_ns, until_ns) = span(self.query, self.ends(connection)?);
        let scale = Scale::of(from_ns, until_ns, wish.buckets);
        let mut times = Times {
            total: 0,
            scale,
            buckets: vec![0; scale.count],
            counted_from_ns: None,
        };
        for (number, count) in times.buckets.iter_mut().enumerate().rev() {
            let begin = scale.edge(number).max(from_ns);
            if times.total >= COUNTED_ROWS_MAX {
                times.counted_from_ns = Some(scale.edge(number + 1));
                break;
            }
            let end = scale.edge(number + 1).min(until_ns);
            let (conditions, values) = self.indexed(Some(begin), Some(end));
            let text = format!("SELECT count(*) FROM events WHERE {conditions}");
            let mut counting = connection.prepare(&text)?;
            *count = counting.query_row(params_from_iter(values), |row| uint(row, 0))?;
            times.total = times.total.saturating_add(*count);
        }
        Ok(times)
    }

    /// How many rows there are at most: those that the index finds. And from when on, if there are
    /// too many.
    fn most(&self, connection: &Connection) -> rusqlite::Result<(u64, Option<u64>)> {
        let most = Value::Integer(int(COUNTED_ROWS_MAX));
        if self.query.session.is_some() {
            // Its index knows no times; nobody's session has too many.
            let (conditions, mut values) = self.indexed(None, None);
            values.push(most);
            let text =
                format!("SELECT count(*) FROM (SELECT 1 FROM events WHERE {conditions} LIMIT ?)");
            let mut counting = connection.prepare(&text)?;
            let rows = counting.query_row(params_from_iter(values), |row| uint(row, 0))?;
            return Ok((rows, None));
        }
        let (conditions, mut values) = self.indexed(self.query.from_ns, self.query.until_ns);
        values.push(most);
        let text = format!(
            "SELECT count(*), coalesce(min(time_ns), 0) FROM (SELECT time_ns FROM events
             WHERE {conditions} ORDER BY time_ns DESC LIMIT ?)"
        );
        let mut counting = connection.prepare(&text)?;
        let (rows, first) = counting.query_row(params_from_iter(values), |row| {
            Ok((uint(row, 0)?, uint(row, 1)?))
        })?;
        Ok((rows, (rows >= COUNTED_ROWS_MAX).then_some(first)))
    }

    /// One row of `stride`, not before a time.
    fn sample(
        &self,
        connection: &Connection,
        stride: u64,
        counted_from: Option<u64>,
    ) -> rusqlite::Result<Tally> {
        let from_ns = self.query.from_ns.max(counted_from);
        let (mut conditions, mut values) = self.indexed(from_ns, self.query.until_ns);
        if stride > 1 {
            // Asked before anything of the row itself is read.
            conditions.push_str(" AND ");
            conditions.push_str(SCATTERED);
            values.push(Value::Integer(int(stride)));
        }
        for (condition, value) in &self.others {
            conditions.push_str(&format!(" AND {condition}"));
            values.push(value.clone());
        }
        let text =
            format!("SELECT time_ns, name, user, host, kind, facts FROM events WHERE {conditions}");
        let mut sampling = connection.prepare(&text)?;
        let mut rows = sampling.query(params_from_iter(values))?;
        let mut tally = Tally::default();
        while let Some(row) = rows.next()? {
            let text = |column| row.get_ref(column)?.as_str().map_err(rusqlite::Error::from);
            let values = [text(1)?, text(2)?, text(3)?, text(4)?];
            tally.add(uint(row, 0)?, values, text(5)?);
        }
        Ok(tally)
    }
}

/// Sessions of the newest of a host, by kind. A last event so late that no number holds it is at the
/// latest time that one does.
const OF_HOST: &str = "SELECT kind, count(*), sum(gaps), max(time_ns), max(last) FROM (
    SELECT kind, min(gaps, 4294967295) AS gaps, time_ns,
        CASE WHEN last_ns > 9223372036854775807 - time_ns THEN 9223372036854775807
            ELSE time_ns + last_ns END AS last
    FROM sessions WHERE host = ? ORDER BY time_ns DESC, session DESC LIMIT ?)
    GROUP BY kind ORDER BY kind";

pub(super) fn hosts(
    connection: &Connection,
    after: Option<&str>,
    limit: usize,
) -> rusqlite::Result<Vec<HostSessions>> {
    // The index leads from each name to the next.
    let mut next = connection.prepare("SELECT min(host) FROM sessions WHERE host > ?")?;
    let mut of_host = connection.prepare(OF_HOST)?;
    let mut counting = connection
        .prepare("SELECT count(*) FROM (SELECT 1 FROM sessions WHERE host = ? LIMIT ?)")?;
    let (mut found, mut last) = (Vec::new(), after.unwrap_or_default().to_owned());
    while found.len() < limit {
        let name: Option<String> = next.query_row([&last], |row| row.get(0))?;
        let Some(host) = name else { break };
        let most = rows(HOST_SESSIONS_MAX);
        let kinds = of_host.query_map(params![host, most], |row| {
            Ok(OfKind {
                kind: row.get(0)?,
                sessions: uint(row, 1)?,
                gaps: uint(row, 2)?,
                start_ns: uint(row, 3)?,
                last_ns: uint(row, 4)?,
            })
        })?;
        let kinds = kinds.collect::<rusqlite::Result<Vec<OfKind>>>()?;
        let there = counting.query_row(params![host, most + 1], |row| uint(row, 0))?;
        last.clone_from(&host);
        found.push(HostSessions {
            host,
            kinds,
            has_more: there > HOST_SESSIONS_MAX as u64,
        });
    }
    Ok(found)
}
